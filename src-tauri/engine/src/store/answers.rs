//! The table of ESPHome's answers about configurations. They can be had again: what can't be read is left out, and is
//! asked anew.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use rusqlite::{Connection, params};
use tokio::sync::Mutex;

use super::reader::Reader;
use super::writer::Beside;
use crate::configs::KeptWord;

impl Reader {
    /// What ESPHome said about the configurations of a directory.
    ///
    /// # Errors
    /// The database can't be read, or the disk doesn't answer.
    pub async fn answers(&self, directory: PathBuf) -> anyhow::Result<Vec<KeptWord>> {
        self.read(move |connection| load(connection, &directory.to_string_lossy())).await
    }
}

/// Keeps ESPHome's answers, beside the commits.
#[derive(Clone, Debug)]
pub struct Answers {
    writer: Beside,
    /// One change at a time, so that there is room for a commit.
    turn: Arc<Mutex<()>>,
}

impl Answers {
    pub(super) fn new(writer: Beside) -> Self {
        Self { writer, turn: Arc::default() }
    }

    /// Keeps what ESPHome says, in the place of what it said before.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn keep(&self, directory: PathBuf, words: Vec<KeptWord>) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let save = move |connection: &mut Connection| {
            save(connection, &directory.to_string_lossy(), &words)
        };
        self.writer.work(save).await?
    }
}

fn load(connection: &Connection, directory: &str) -> anyhow::Result<Vec<KeptWord>> {
    let mut read =
        connection.prepare_cached("SELECT file, body FROM answers WHERE directory = ?1")?;
    let rows = read.query_map([directory], |row| {
        Ok(KeptWord { file: row.get("file")?, body: row.get("body")? })
    })?;
    rows.collect::<Result<_, _>>().context("reading ESPHome's answers")
}

fn save(connection: &mut Connection, directory: &str, words: &[KeptWord]) -> anyhow::Result<()> {
    let transaction = connection.transaction().context("beginning a transaction")?;
    for KeptWord { file, body } in words {
        transaction
            .prepare_cached(
                "INSERT INTO answers (directory, file, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT (directory, file) DO UPDATE SET body = excluded.body",
            )?
            .execute(params![directory, file, body])
            .with_context(|| format!("keeping the answer about {file}"))?;
    }
    transaction.commit().context("committing")
}

//! The table of ESPHome's answers about configurations. They can be had again: what can't be read is left out, and is
//! asked anew.

use std::path::PathBuf;

use anyhow::Context;
use rusqlite::{Connection, params};

use super::Store;
use crate::configs::KeptWord;

impl Store {
    /// What ESPHome said about the configurations of a directory.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn answers(&self, directory: PathBuf) -> anyhow::Result<Vec<KeptWord>> {
        self.work(move |connection| load(connection, &directory.to_string_lossy())).await
    }

    /// Keeps what ESPHome says, in the place of what it said before.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn keep_answers(
        &self,
        directory: PathBuf,
        words: Vec<KeptWord>,
    ) -> anyhow::Result<()> {
        self.work(move |connection| save(connection, &directory.to_string_lossy(), &words)).await
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

//! The schema and its history. A step that a release has made is never changed.

use anyhow::Context;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::Value;

use super::aside::set_aside;
use super::rows::{self, Fields, Table};
use super::seal::SealedRow;

/// What leads from one schema version to the next.
struct Step {
    /// What becomes of the tables.
    sql: &'static str,
    /// What becomes of each row that has a body.
    rows: Option<fn(Table, &mut Fields)>,
    /// What follows from the rows then.
    then: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        sql: "CREATE TABLE updates (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        body TEXT NOT NULL
    ) STRICT;
    -- One intent per device: the database itself refuses a second active update.
    CREATE UNIQUE INDEX one_active_update ON updates (device) WHERE active = 1;
    CREATE INDEX updates_by_device ON updates (device, id);
    CREATE TABLE devices (
        name TEXT PRIMARY KEY,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE settings (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        body TEXT NOT NULL
    ) STRICT;",
        rows: None,
        then: "",
    },
    Step {
        sql: "CREATE TABLE wakes (
        name TEXT NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        awake INTEGER,
        flashed INTEGER NOT NULL CHECK (flashed IN (0, 1)),
        PRIMARY KEY (name, number)
    ) STRICT, WITHOUT ROWID;",
        rows: None,
        then: "",
    },
    Step {
        sql: "ALTER TABLE updates ADD COLUMN ended INTEGER;
    ALTER TABLE updates ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
    ALTER TABLE devices ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
    ALTER TABLE settings ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
    -- Rows that can't be read, as they were.
    CREATE TABLE unreadable (
        number INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        key TEXT NOT NULL,
        device TEXT,
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        schema INTEGER NOT NULL,
        at INTEGER NOT NULL,
        reason TEXT NOT NULL,
        body ANY NOT NULL
    ) STRICT;
    -- What ESPHome said about configurations; it can be asked again.
    CREATE TABLE answers (
        directory TEXT NOT NULL,
        file TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (directory, file)
    ) STRICT, WITHOUT ROWID;
    -- Read by every later version, and by earlier ones to say which version wrote this.
    CREATE TABLE about (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        written_by TEXT NOT NULL,
        schema INTEGER NOT NULL,
        set_back TEXT,
        set_back_to INTEGER
    ) STRICT;",
        rows: Some(rows::to_3),
        then: "UPDATE updates SET ended = json_extract(body, '$.state.at') WHERE active = 0;
    -- What has ended, over all devices, in the order of its end.
    CREATE INDEX updates_by_end ON updates (ended, id) WHERE ended IS NOT NULL;",
    },
];

/// The version that this program writes.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// The newest version that a release has written. Those after it may still be changed.
#[cfg(test)]
pub(super) const RELEASED: u32 = 2;

/// The first version whose rows have a seal.
const SEALED_SINCE: u32 = 3;

/// The version of a database; 0: it is empty.
pub(super) fn version(connection: &Connection) -> anyhow::Result<u32> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .context("reading the schema version")
}

/// Brings the schema and all rows up to date, as a whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let found = version(connection)?;
    if found < VERSION {
        migrate_to(connection, found, VERSION).context("bringing the schema up to date")?;
    }
    Ok(())
}

pub(super) fn migrate_to(connection: &mut Connection, from: u32, to: u32) -> anyhow::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (step, version) in STEPS.iter().zip(1..=to).skip(from as usize) {
        transaction.execute_batch(step.sql)?;
        if let Some(change) = step.rows {
            for table in Table::ALL {
                rewrite(&transaction, table, version, change)
                    .with_context(|| format!("bringing {} to version {version}", table.name()))?;
            }
        }
        transaction.execute_batch(step.then)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit().context("committing")
}

/// Rewrites the rows of a table; those that can't be read are set aside.
fn rewrite(
    transaction: &Transaction<'_>,
    table: Table,
    to: u32,
    change: fn(Table, &mut Fields),
) -> anyhow::Result<()> {
    let name = table.name();
    let numbers = transaction
        .prepare(&format!("SELECT rowid FROM {name}"))?
        .query_map([], |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut read = transaction.prepare(&SealedRow::query(table, "WHERE rowid = ?1"))?;
    let mut write =
        transaction.prepare(&format!("UPDATE {name} SET body = ?2, seal = ?3 WHERE rowid = ?1"))?;
    for number in numbers {
        let row = read.query_row([number], |row| SealedRow::of(table, row))?;
        let body = if to > SEALED_SINCE { row.body() } else { row.unsealed_body() };
        match body.and_then(|body| changed(table, body, change)) {
            Ok(body) => {
                let seal = row.seal_for(&body);
                write.execute(params![number, body, seal])?;
            }
            Err(reason) => set_aside(transaction, &row.unreadable(reason), to - 1)?,
        }
    }
    Ok(())
}

fn changed(table: Table, body: &str, change: fn(Table, &mut Fields)) -> Result<String, String> {
    match serde_json::from_str(body) {
        Ok(Value::Object(mut fields)) => {
            change(table, &mut fields);
            Ok(Value::Object(fields).to_string())
        }
        Ok(_) => Err("its body is no object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

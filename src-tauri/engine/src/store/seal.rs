//! Rows with a seal: a digest of all that is in them. SQLite finds out that a page isn't what it should be only
//! where that breaks its own structure; the content of a row could be anything.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};
use sha2::{Digest, Sha256};

use super::aside::Unreadable;
use super::rows::{Stored, Table};

/// So many bytes of the digest are kept: they guard against chance, not against malice.
const LENGTH: usize = 8;

/// A row as it lies in the database, read with nothing taken for granted.
#[derive(Debug)]
pub(super) struct SealedRow {
    table: Table,
    /// SQLite's own number of the row.
    number: i64,
    device: Option<String>,
    active: bool,
    body: Result<String, String>,
    seal: Vec<u8>,
}

impl SealedRow {
    /// The query for rows of a table.
    pub(super) fn query(table: Table, which: &str) -> String {
        let columns = match table {
            Table::Updates => "rowid, device, active, body, seal",
            Table::Devices => "rowid, name, 0, body, seal",
            Table::Settings => "rowid, NULL, 0, body, seal",
        };
        format!("SELECT {columns} FROM {} {which}", table.name())
    }

    /// A row that the query gave.
    pub(super) fn of(table: Table, row: &Row<'_>) -> rusqlite::Result<Self> {
        let device = match row.get_ref(1)? {
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        };
        let body = match row.get_ref(3)? {
            ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_err(|e| e.to_string()),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => {
                Err("its body is no text".to_owned())
            }
        };
        let seal = row.get_ref(4)?.as_blob().unwrap_or_default().to_vec();
        let active = row.get_ref(2)?.as_i64().is_ok_and(|active| active == 1);
        Ok(Self { table, number: row.get(0)?, device, active, body, seal })
    }

    /// Its body, if it is what was written.
    pub(super) fn body(&self) -> Result<&str, String> {
        let body = self.unsealed_body()?;
        if self.seal_for(body).as_slice() == self.seal {
            Ok(body)
        } else {
            Err("it isn't what was written".to_owned())
        }
    }

    /// Its body, of a version that had no seals.
    pub(super) fn unsealed_body(&self) -> Result<&str, String> {
        self.body.as_deref().map_err(Clone::clone)
    }

    /// The seal of this row with another body.
    pub(super) fn seal_for(&self, body: &str) -> [u8; LENGTH] {
        let device = self.device.as_deref().unwrap_or_default();
        match self.table {
            Table::Updates => seal_update(self.number, device, self.active, body),
            Table::Devices => seal_device(device, body),
            Table::Settings => seal_settings(body),
        }
    }

    /// What is said about it when it can't be read.
    pub(super) fn unreadable(&self, reason: String) -> Unreadable {
        Unreadable {
            source: self.table.name(),
            number: self.number,
            device: self.device.clone(),
            active: self.active,
            reason,
        }
    }
}

/// What was read of a table: by the device, and what can't be read.
pub(super) type Read<T> = (Vec<(String, T)>, Vec<Unreadable>);

/// Reads rows of a table.
pub(super) fn read_rows<T: Stored>(
    connection: &Connection,
    which: &str,
    parameters: impl Params,
) -> anyhow::Result<Read<T>> {
    let mut statement = connection.prepare_cached(&SealedRow::query(T::TABLE, which))?;
    let mut rows = statement.query(parameters)?;
    let (mut read, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let row = SealedRow::of(T::TABLE, row)?;
        match row.body().and_then(|body| T::of_body(body).map_err(|error| error.to_string())) {
            Ok(stored) => read.push((row.device.unwrap_or_default(), stored)),
            Err(reason) => unreadable.push(row.unreadable(reason)),
        }
    }
    Ok((read, unreadable))
}

/// The seal of an update's row.
pub(super) fn seal_update(id: i64, device: &str, active: bool, body: &str) -> [u8; LENGTH] {
    seal(Table::Updates, &[&id.to_string(), device, if active { "1" } else { "0" }, body])
}

/// The seal of a device's row.
pub(super) fn seal_device(name: &str, body: &str) -> [u8; LENGTH] {
    seal(Table::Devices, &[name, body])
}

/// The seal of the settings' row.
pub(super) fn seal_settings(body: &str) -> [u8; LENGTH] {
    seal(Table::Settings, &[body])
}

fn seal(table: Table, parts: &[&str]) -> [u8; LENGTH] {
    let mut hasher = Sha256::new();
    hasher.update(table.name());
    for part in parts {
        // The length stands before each part, so that no two rows have the same bytes.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut seal = [0; LENGTH];
    seal.copy_from_slice(&hasher.finalize()[..LENGTH]);
    seal
}

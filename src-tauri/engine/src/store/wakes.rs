//! The table of wakes that were seen: the newest ones of each device.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, Row, params};
use wakeflash_core::schedule::{Schedule, Wake};
use wakeflash_core::time::Timestamp;

/// Stores the wakes of a device that are new or different, and deletes those that are too old.
pub(super) fn save(connection: &Connection, name: &str, wakes: &[Wake]) -> anyhow::Result<()> {
    for wake in wakes {
        let awake = wake.awake.map(|awake| i64::try_from(awake.as_millis()).unwrap_or(i64::MAX));
        connection
            .prepare_cached(
                "INSERT INTO wakes (name, number, at, awake, flashed) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name, number) DO UPDATE SET
                     at = excluded.at, awake = excluded.awake, flashed = excluded.flashed",
            )?
            .execute(params![name, wake.number, wake.at.as_millis(), awake, wake.flashed])
            .with_context(|| format!("storing a wake of {name}"))?;
    }
    connection
        .prepare_cached(
            "DELETE FROM wakes WHERE name = ?1
             AND number <= (SELECT max(number) FROM wakes WHERE name = ?1) - ?2",
        )?
        .execute(params![name, i64::try_from(Schedule::WAKES_KEPT)?])
        .with_context(|| format!("deleting old wakes of {name}"))?;
    Ok(())
}

pub(super) fn forget(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let deleted = connection.execute("DELETE FROM wakes WHERE name = ?1", [name]);
    deleted.with_context(|| format!("deleting the wakes of {name}")).map(drop)
}

/// The wakes of all devices by name, oldest first.
pub(super) fn load(connection: &Connection) -> anyhow::Result<BTreeMap<String, Vec<Wake>>> {
    let mut statement = connection
        .prepare("SELECT name, number, at, awake, flashed FROM wakes ORDER BY name, number")?;
    let rows = statement.query_map([], |row| Ok(read(row)))?;
    let mut wakes: BTreeMap<String, Vec<Wake>> = BTreeMap::new();
    for row in rows {
        match row.context("reading the wakes")? {
            Ok((name, wake)) => wakes.entry(name).or_default().push(wake),
            // The schedule is learned from the others; a later wake of this number takes its place.
            Err(error) => tracing::error!("a wake can't be read and is passed over: {error:#}"),
        }
    }
    Ok(wakes)
}

/// SQLite keeps anything in any column.
fn read(row: &Row<'_>) -> anyhow::Result<(String, Wake)> {
    let name = row.get_ref(0)?.as_str()?.to_owned();
    let awake = row.get_ref(3)?.as_i64_or_null()?.map(u64::try_from).transpose()?;
    let wake = Wake {
        number: row.get_ref(1)?.as_i64()?.try_into()?,
        at: Timestamp::from_millis(row.get_ref(2)?.as_i64()?),
        awake: awake.map(Duration::from_millis),
        flashed: row.get_ref(4)?.as_i64()? != 0,
    };
    Ok((name, wake))
}

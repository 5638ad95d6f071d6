//! The table of wakes that were seen: the newest ones of each device.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, params};
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
    let rows = statement.query_map([], |row| {
        let numbers: (i64, i64, Option<i64>) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get::<_, String>(0)?, numbers, row.get::<_, bool>(4)?))
    })?;
    let mut wakes: BTreeMap<String, Vec<Wake>> = BTreeMap::new();
    for row in rows {
        let (name, (number, at, awake), flashed) = row.context("reading the wakes")?;
        let (Ok(number), Ok(awake)) = (u32::try_from(number), awake.map(u64::try_from).transpose())
        else {
            // The schedule is learned from the others; a later wake of this number takes its place.
            tracing::error!("wake {number} of {name} can't be read and is passed over");
            continue;
        };
        let awake = awake.map(Duration::from_millis);
        let wake = Wake { number, at: Timestamp::from_millis(at), awake, flashed };
        wakes.entry(name).or_default().push(wake);
    }
    Ok(wakes)
}

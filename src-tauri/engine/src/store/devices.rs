//! The table of what is remembered about devices.

use std::collections::BTreeMap;

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::device::DeviceMemory;

pub(super) fn save(
    connection: &Connection,
    name: &str,
    memory: &DeviceMemory,
) -> anyhow::Result<()> {
    let body = serde_json::to_string(memory).context("writing a device")?;
    connection
        .prepare_cached(
            "INSERT INTO devices (name, body) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET body = excluded.body",
        )?
        .execute(params![name, body])
        .with_context(|| format!("storing device {name}"))?;
    Ok(())
}

pub(super) fn forget(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let deleted = connection.execute("DELETE FROM devices WHERE name = ?1", [name]);
    deleted.with_context(|| format!("deleting device {name}")).map(drop)
}

pub(super) fn load(connection: &Connection) -> anyhow::Result<BTreeMap<String, DeviceMemory>> {
    let mut statement = connection.prepare("SELECT name, body FROM devices")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (name, body) = row.context("reading the devices")?;
        let memory =
            serde_json::from_str(&body).with_context(|| format!("reading device {name}"))?;
        Ok((name, memory))
    })
    .collect()
}

//! The table of what is remembered about devices.

use std::collections::BTreeMap;

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::device::DeviceMemory;

use super::aside::Unreadable;
use super::rows::Stored;
use super::seal::{read_rows, seal_device};

pub(super) fn save(
    connection: &Connection,
    name: &str,
    memory: &DeviceMemory,
) -> anyhow::Result<()> {
    let body = memory.to_body().context("writing a device")?;
    let seal = seal_device(name, &body);
    connection
        .prepare_cached(
            "INSERT INTO devices (name, body, seal) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET body = excluded.body, seal = excluded.seal",
        )?
        .execute(params![name, body, seal])
        .with_context(|| format!("storing device {name}"))?;
    Ok(())
}

pub(super) fn forget(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let deleted = connection.execute("DELETE FROM devices WHERE name = ?1", [name]);
    deleted.with_context(|| format!("deleting device {name}")).map(drop)
}

pub(super) fn load(
    connection: &Connection,
) -> anyhow::Result<(BTreeMap<String, DeviceMemory>, Vec<Unreadable>)> {
    let (devices, unreadable) = read_rows(connection, "", []).context("reading the devices")?;
    Ok((devices.into_iter().collect(), unreadable))
}

//! Reading everything at the start.

use std::collections::BTreeMap;

use anyhow::Context;
use rusqlite::Connection;
use wakeflash_core::device::DeviceMemory;
use wakeflash_core::error::Problem;
use wakeflash_core::schedule::Wake;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::Update;

use super::aside::{self, Unreadable};
use super::{devices, migrations, set_back, settings, updates, wakes};

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The active updates and the last one of every device.
    pub updates: Vec<Update>,
    /// What is remembered of the devices, by name.
    pub memories: BTreeMap<String, DeviceMemory>,
    /// The wakes of the devices that were seen, by name, oldest first.
    pub wakes: BTreeMap<String, Vec<Wake>>,
    pub settings: Settings,
    /// A number greater than that of every update that ever was.
    pub next_id: u32,
    /// What is to be said about it, such as rows that can't be read.
    pub problems: Vec<Problem>,
}

/// Reads what was stored. Rows that can't be read are set aside.
pub(super) fn load(connection: &mut Connection) -> anyhow::Result<Loaded> {
    // Those that were set aside when the schema was brought up.
    aside::put_stand_ins(connection)?;
    loop {
        let (updates, mut unreadable) = updates::load(connection)?;
        let (memories, devices) = devices::load(connection)?;
        let (settings, rows) = settings::load(connection)?;
        unreadable.extend(devices.into_iter().chain(rows));
        if !unreadable.is_empty() {
            // What comes to light below them may be unreadable, too.
            set_aside(connection, &unreadable)?;
            continue;
        }
        let wakes = wakes::load(connection)?;
        let next_id = updates::next_id(connection)?;
        let mut problems = aside::problems(&aside::open_losses(connection, &updates)?);
        problems.extend(set_back::told(connection, &settings)?);
        return Ok(Loaded { updates, memories, wakes, settings, next_id, problems });
    }
}

fn set_aside(connection: &mut Connection, unreadable: &[Unreadable]) -> anyhow::Result<()> {
    let transaction = connection.transaction()?;
    for row in unreadable {
        aside::set_aside(&transaction, row, migrations::VERSION)?;
    }
    aside::put_stand_ins(&transaction)?;
    transaction.commit().context("setting rows aside")
}

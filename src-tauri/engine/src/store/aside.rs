//! Rows that can't be read. They are moved into a table of their own as they are, so that nothing is written in
//! their place before somebody has looked, and everything else goes on.

use std::collections::BTreeSet;

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Cleaning, Update, UpdateId, UpdateState};

use super::rows::Table;
use super::{now, updates};

/// So many devices are named in a sentence.
const NAMED: usize = 5;

/// A row that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unreadable {
    pub(super) source: &'static str,
    /// Its number there.
    pub(super) number: i64,
    /// Whose it is: the file of an update's device, or a device's name.
    pub(super) device: Option<String>,
    /// It was an update under way.
    pub(super) active: bool,
    /// Why it can't be read, for the log.
    pub(super) reason: String,
}

/// Moves a row of a version to those that can't be read.
pub(super) fn set_aside(
    connection: &Connection,
    row: &Unreadable,
    version: u32,
) -> anyhow::Result<()> {
    let Unreadable { source, number, device, active, reason } = row;
    tracing::error!(
        "row {number} of {source} ({device:?}) can't be read and is set aside: {reason}"
    );
    let kept = connection.execute(
        &format!(
            "INSERT INTO unreadable (source, key, device, active, schema, at, reason, body)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, body FROM {source} WHERE rowid = ?2"
        ),
        params![source, number, device, active, version, now().as_millis(), reason],
    );
    kept.with_context(|| format!("setting row {number} of {source} aside"))?;
    let removed = connection.execute(&format!("DELETE FROM {source} WHERE rowid = ?1"), [number]);
    removed.with_context(|| format!("deleting row {number} of {source}")).map(drop)
}

/// What stands in the place of an update that was under way, so that its device shows it.
fn stand_in(row: &Unreadable) -> Option<Update> {
    let id = UpdateId(u32::try_from(row.number).ok()?);
    let device = DeviceId::of_file(row.device.clone().filter(|_| row.active)?);
    let name = device.discovered_name().unwrap_or_else(|| {
        let file = device.as_str();
        file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
    });
    let problem = Problem::new(
        "store.update_set_aside",
        "What was stored of this update can't be read. It was set aside.",
    )
    .with_help("Retry builds and installs it again.");
    let mut update = Update {
        id,
        directory: None,
        name: name.to_owned(),
        requested_at: now(),
        known_hashes: Vec::new(),
        mac: None,
        wire_size: None,
        ended_delivery: None,
        build_again: None,
        changed_in_builds: Vec::new(),
        cleaning: Cleaning::No,
        earlier_may_have_arrived: false,
        from_version: None,
        previous_stamp: None,
        state: UpdateState::Failed {
            at: now(),
            problem: problem.clone(),
            rolled_back: false,
            taken_back: None,
            // Nobody knows how far it was.
            may_have_arrived: true,
            dismissed: false,
        },
        timeline: Vec::new(),
        device,
    };
    update.note(now(), &problem);
    Some(update)
}

/// Puts something in the place of each update that was under way and set aside, unless a newer one has it.
pub(super) fn put_stand_ins(connection: &Connection) -> anyhow::Result<()> {
    let without = "active = 1 AND NOT EXISTS (SELECT 1 FROM updates
         WHERE updates.device = unreadable.device AND updates.id >= CAST(key AS INTEGER))";
    for update in losses(connection, without)?.iter().filter_map(stand_in) {
        updates::save(connection, &update)?;
    }
    Ok(())
}

/// The rows that were set aside, and in whose place nothing newer stands yet.
pub(super) fn open_losses(
    connection: &Connection,
    updates: &[Update],
) -> anyhow::Result<Vec<Unreadable>> {
    let mut losses = losses(
        connection,
        "CASE source
             WHEN 'updates' THEN 1
             WHEN 'devices' THEN NOT EXISTS (SELECT 1 FROM devices
                 WHERE devices.name = unreadable.device)
             ELSE NOT EXISTS (SELECT 1 FROM settings) END",
    )?;
    losses.retain(|row| {
        row.source != Table::Updates.name()
            || !updates.iter().any(|update| {
                row.device.as_deref() == Some(update.device.as_str())
                    && (i64::from(update.id.0) > row.number || update.state.is_dismissed())
            })
    });
    Ok(losses)
}

fn losses(connection: &Connection, which: &str) -> anyhow::Result<Vec<Unreadable>> {
    let sql = format!(
        "SELECT source, CAST(key AS INTEGER), device, active, reason FROM unreadable
         WHERE {which} ORDER BY number"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let source: String = row.get(0)?;
        let (number, device) = (row.get(1)?, row.get(2)?);
        let (active, reason) = (row.get(3)?, row.get(4)?);
        let table = Table::ALL.into_iter().find(|table| table.name() == source);
        Ok(table.map(|table| Unreadable { source: table.name(), number, device, active, reason }))
    })?;
    let rows = rows.collect::<Result<Vec<_>, _>>().context("reading what was set aside")?;
    Ok(rows.into_iter().flatten().collect())
}

/// What the user reads about what was stored of these devices.
pub(crate) fn lost_of(devices: &BTreeSet<&str>) -> Problem {
    let mut named: Vec<&str> = devices.iter().copied().take(NAMED).collect();
    if devices.len() > NAMED {
        named.push("…");
    }
    let message =
        format!("What was stored about {} can't be read and was set aside.", named.join(", "));
    Problem::new("store.set_aside", message).with_help(
        "Everything else works. Updates of it that were under way have to be asked for again; what is known of a device is learned again.",
    )
}

/// What the user reads about rows that can't be read.
pub(super) fn problems(losses: &[Unreadable]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let devices: BTreeSet<&str> = losses.iter().filter_map(|row| row.device.as_deref()).collect();
    if !devices.is_empty() {
        problems.push(lost_of(&devices));
    }
    if losses.iter().any(|row| row.source == Table::Settings.name()) {
        problems.push(
            Problem::new(
                "store.settings_set_aside",
                "The settings can't be read and were set aside. They are those of a new installation.",
            )
            .with_help("Choose the folder of your devices and the other settings again."),
        );
    }
    problems
}

//! The row of an update.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};
use wakeflash_core::build_failure::Lack;
use wakeflash_core::device::DeviceId;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{
    Acknowledgement, BuildAgain, BuildStamp, Cleaning, FlashStage, InstalledHow, RollbackWatch,
    Shipped, SourceChange, SourceChangeKind, StateKind, TimelineEntry, Update, UpdateId,
    UpdateState,
};

use super::delivery::{DeliveryRow, ProblemRow};
use super::{Misread, read, read_all, read_some};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateRow {
    id: u32,
    device: String,
    directory: Option<String>,
    name: String,
    requested_at: i64,
    known_hashes: Vec<String>,
    mac: Option<String>,
    from_version: Option<String>,
    previous_stamp: Option<String>,
    wire_size: Option<u32>,
    ended_delivery: Option<ShippedRow>,
    build_again: Option<BuildAgainRow>,
    changed_in_builds: Vec<String>,
    cleaning: CleaningRow,
    earlier_may_have_arrived: bool,
    state: StateRow,
    timeline: Vec<EntryRow>,
}

impl From<&Update> for UpdateRow {
    fn from(update: &Update) -> Self {
        let Update {
            id,
            device,
            directory,
            name,
            requested_at,
            known_hashes,
            mac,
            from_version,
            previous_stamp,
            wire_size,
            ended_delivery,
            build_again,
            changed_in_builds,
            cleaning,
            earlier_may_have_arrived,
            state,
            timeline,
        } = update;
        Self {
            id: id.0,
            device: device.to_string(),
            directory: directory.clone(),
            name: name.clone(),
            requested_at: requested_at.as_millis(),
            known_hashes: known_hashes.iter().map(ToString::to_string).collect(),
            mac: mac.map(|mac| mac.to_string()),
            from_version: from_version.clone(),
            previous_stamp: previous_stamp.as_ref().map(|stamp| stamp.0.clone()),
            wire_size: *wire_size,
            ended_delivery: ended_delivery.as_ref().map(ShippedRow::from),
            build_again: build_again.as_ref().map(BuildAgainRow::from),
            changed_in_builds: changed_in_builds.clone(),
            cleaning: (*cleaning).into(),
            earlier_may_have_arrived: *earlier_may_have_arrived,
            state: state.into(),
            timeline: timeline.iter().map(EntryRow::from).collect(),
        }
    }
}

impl TryFrom<UpdateRow> for Update {
    type Error = Misread;

    fn try_from(row: UpdateRow) -> Result<Self, Misread> {
        Ok(Self {
            id: UpdateId(row.id),
            device: DeviceId::of_file(row.device),
            directory: row.directory,
            name: row.name,
            requested_at: Timestamp::from_millis(row.requested_at),
            known_hashes: read_all("the config hash", row.known_hashes)?,
            mac: read_some("the MAC address", row.mac)?,
            from_version: row.from_version,
            previous_stamp: row.previous_stamp.map(BuildStamp),
            wire_size: row.wire_size,
            ended_delivery: row.ended_delivery.map(Shipped::try_from).transpose()?,
            build_again: row.build_again.map(BuildAgain::from),
            changed_in_builds: row.changed_in_builds,
            cleaning: row.cleaning.into(),
            earlier_may_have_arrived: row.earlier_may_have_arrived,
            state: row.state.try_into()?,
            timeline: row.timeline.into_iter().map(TimelineEntry::from).collect(),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CleaningRow {
    No,
    Clean,
    Reset,
}

impl From<Cleaning> for CleaningRow {
    fn from(cleaning: Cleaning) -> Self {
        match cleaning {
            Cleaning::No => Self::No,
            Cleaning::Clean => Self::Clean,
            Cleaning::Reset => Self::Reset,
        }
    }
}

impl From<CleaningRow> for Cleaning {
    fn from(row: CleaningRow) -> Self {
        match row {
            CleaningRow::No => Self::No,
            CleaningRow::Clean => Self::Clean,
            CleaningRow::Reset => Self::Reset,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShippedRow {
    image_size: u64,
    config_hash: Option<String>,
    version: Option<String>,
    attempts: u32,
    encrypted: Option<bool>,
}

impl From<&Shipped> for ShippedRow {
    fn from(shipped: &Shipped) -> Self {
        let Shipped { image_size, config_hash, version, attempts, encrypted } = shipped;
        Self {
            image_size: *image_size,
            config_hash: config_hash.map(|hash| hash.to_string()),
            version: version.clone(),
            attempts: *attempts,
            encrypted: *encrypted,
        }
    }
}

impl TryFrom<ShippedRow> for Shipped {
    type Error = Misread;

    fn try_from(row: ShippedRow) -> Result<Self, Misread> {
        let ShippedRow { image_size, config_hash, version, attempts, encrypted } = row;
        let config_hash = read_some("the config hash", config_hash)?;
        Ok(Self { image_size, config_hash, version, attempts, encrypted })
    }
}

mirror! { LackRow of Lack {
    Directory = "directory",
    Esphome = "esphome",
    Network = "network",
    Disk = "disk",
    Memory = "memory",
} }

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildAgainRow {
    failures: u32,
    lack: LackRow,
    problem: ProblemRow,
    not_before: Option<i64>,
}

impl From<&BuildAgain> for BuildAgainRow {
    fn from(again: &BuildAgain) -> Self {
        let BuildAgain { failures, lack, problem, not_before } = again;
        Self {
            failures: *failures,
            lack: (*lack).into(),
            problem: problem.into(),
            not_before: not_before.map(Timestamp::as_millis),
        }
    }
}

impl From<BuildAgainRow> for BuildAgain {
    fn from(BuildAgainRow { failures, lack, problem, not_before }: BuildAgainRow) -> Self {
        let (lack, problem) = (lack.into(), problem.into());
        Self { failures, lack, problem, not_before: not_before.map(Timestamp::from_millis) }
    }
}

mirror! { KindRow of StateKind {
    Queued = "queued",
    Building = "building",
    Waiting = "waiting",
    Held = "held",
    Flashing = "flashing",
    Confirming = "confirming",
    Installed = "installed",
    Failed = "failed",
    Cancelled = "cancelled",
    Superseded = "superseded",
} }

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRow {
    at: i64,
    state: KindRow,
    text: String,
    code: Option<String>,
}

impl From<&TimelineEntry> for EntryRow {
    fn from(entry: &TimelineEntry) -> Self {
        let TimelineEntry { at, state, text, code } = entry;
        let (text, code) = (text.clone(), code.clone());
        Self { at: at.as_millis(), state: (*state).into(), text, code }
    }
}

impl From<EntryRow> for TimelineEntry {
    fn from(EntryRow { at, state, text, code }: EntryRow) -> Self {
        Self { at: Timestamp::from_millis(at), state: state.into(), text, code }
    }
}

mirror! { StageRow of FlashStage {
    Incomplete = "incomplete",
    MayBeComplete = "may_be_complete",
} }

mirror! { AcknowledgementRow of Acknowledgement {
    Final = "final",
    Unknown = "unknown",
} }

mirror! { HowRow of InstalledHow {
    Confirmed = "confirmed",
    Returned = "returned",
    AlreadyRunning = "alreadyRunning",
} }

mirror! { WatchRow of RollbackWatch {
    Watched = "watched",
    Over = "over",
} }

mirror! { ChangeKindRow of SourceChangeKind {
    Edited = "edited",
    Removed = "removed",
    Added = "added",
    Unreadable = "unreadable",
} }

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeRow {
    path: String,
    kind: ChangeKindRow,
}

impl From<&SourceChange> for ChangeRow {
    fn from(SourceChange { path, kind }: &SourceChange) -> Self {
        Self { path: path.clone(), kind: (*kind).into() }
    }
}

impl From<ChangeRow> for SourceChange {
    fn from(ChangeRow { path, kind }: ChangeRow) -> Self {
        Self { path, kind: kind.into() }
    }
}

/// Braces where there is nothing in them: a variant without them would take whatever stands beside its name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
enum StateRow {
    Queued {},
    Building {
        started_at: i64,
    },
    Waiting {
        delivery: DeliveryRow,
        retry_at: Option<i64>,
    },
    Held {
        delivery: DeliveryRow,
        changes: Vec<ChangeRow>,
    },
    Flashing {
        delivery: DeliveryRow,
        started_at: i64,
        peer: String,
        previous_hash: Option<String>,
        stage: StageRow,
    },
    Confirming {
        delivery: DeliveryRow,
        acknowledgement: AcknowledgementRow,
        since: i64,
        previous_hash: Option<String>,
        peer: String,
        returned_at: Option<i64>,
    },
    Installed {
        delivery: DeliveryRow,
        at: i64,
        how: HowRow,
        watch: WatchRow,
    },
    Failed {
        at: i64,
        problem: ProblemRow,
        rolled_back: bool,
        taken_back: Option<Box<DeliveryRow>>,
        may_have_arrived: bool,
        dismissed: bool,
    },
    Cancelled {
        at: i64,
        may_have_arrived: bool,
    },
    Superseded {
        at: i64,
        by: u32,
    },
}

impl From<&UpdateState> for StateRow {
    fn from(state: &UpdateState) -> Self {
        use UpdateState as S;
        match state {
            S::Queued => Self::Queued {},
            S::Building { started_at } => Self::Building { started_at: started_at.as_millis() },
            S::Waiting { delivery, retry_at } => Self::Waiting {
                delivery: delivery.into(),
                retry_at: retry_at.map(Timestamp::as_millis),
            },
            S::Held { delivery, changes } => Self::Held {
                delivery: delivery.into(),
                changes: changes.iter().map(ChangeRow::from).collect(),
            },
            S::Flashing { delivery, started_at, peer, previous_hash, stage } => Self::Flashing {
                delivery: delivery.into(),
                started_at: started_at.as_millis(),
                peer: peer.to_string(),
                previous_hash: previous_hash.map(|hash| hash.to_string()),
                stage: (*stage).into(),
            },
            S::Confirming {
                delivery,
                acknowledgement,
                since,
                previous_hash,
                peer,
                returned_at,
            } => Self::Confirming {
                delivery: delivery.into(),
                acknowledgement: (*acknowledgement).into(),
                since: since.as_millis(),
                previous_hash: previous_hash.map(|hash| hash.to_string()),
                peer: peer.to_string(),
                returned_at: returned_at.map(Timestamp::as_millis),
            },
            S::Installed { delivery, at, how, watch } => Self::Installed {
                delivery: delivery.into(),
                at: at.as_millis(),
                how: (*how).into(),
                watch: (*watch).into(),
            },
            S::Failed { at, problem, rolled_back, taken_back, may_have_arrived, dismissed } => {
                Self::Failed {
                    at: at.as_millis(),
                    problem: problem.into(),
                    rolled_back: *rolled_back,
                    taken_back: taken_back.as_deref().map(|delivery| Box::new(delivery.into())),
                    may_have_arrived: *may_have_arrived,
                    dismissed: *dismissed,
                }
            }
            S::Cancelled { at, may_have_arrived } => {
                Self::Cancelled { at: at.as_millis(), may_have_arrived: *may_have_arrived }
            }
            S::Superseded { at, by } => Self::Superseded { at: at.as_millis(), by: by.0 },
        }
    }
}

impl TryFrom<StateRow> for UpdateState {
    type Error = Misread;

    fn try_from(row: StateRow) -> Result<Self, Misread> {
        use StateRow as R;
        let time = Timestamp::from_millis;
        let address = |text| read::<IpAddr>("the address", text);
        let hash = |text| read_some("the config hash", text);
        Ok(match row {
            R::Queued {} => Self::Queued,
            R::Building { started_at } => Self::Building { started_at: time(started_at) },
            R::Waiting { delivery, retry_at } => {
                Self::Waiting { delivery: delivery.try_into()?, retry_at: retry_at.map(time) }
            }
            R::Held { delivery, changes } => Self::Held {
                delivery: delivery.try_into()?,
                changes: changes.into_iter().map(SourceChange::from).collect(),
            },
            R::Flashing { delivery, started_at, peer, previous_hash, stage } => Self::Flashing {
                delivery: delivery.try_into()?,
                started_at: time(started_at),
                peer: address(peer)?,
                previous_hash: hash(previous_hash)?,
                stage: stage.into(),
            },
            R::Confirming {
                delivery,
                acknowledgement,
                since,
                previous_hash,
                peer,
                returned_at,
            } => Self::Confirming {
                delivery: delivery.try_into()?,
                acknowledgement: acknowledgement.into(),
                since: time(since),
                previous_hash: hash(previous_hash)?,
                peer: address(peer)?,
                returned_at: returned_at.map(time),
            },
            R::Installed { delivery, at, how, watch } => Self::Installed {
                delivery: delivery.try_into()?,
                at: time(at),
                how: how.into(),
                watch: watch.into(),
            },
            R::Failed { at, problem, rolled_back, taken_back, may_have_arrived, dismissed } => {
                Self::Failed {
                    at: time(at),
                    problem: problem.into(),
                    rolled_back,
                    taken_back: match taken_back {
                        Some(delivery) => Some(Box::new((*delivery).try_into()?)),
                        None => None,
                    },
                    may_have_arrived,
                    dismissed,
                }
            }
            R::Cancelled { at, may_have_arrived } => {
                Self::Cancelled { at: time(at), may_have_arrived }
            }
            R::Superseded { at, by } => Self::Superseded { at: time(at), by: UpdateId(by) },
        })
    }
}

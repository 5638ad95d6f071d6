//! What the rows of the newest schema version hold, as JSON: types of their own, so that a change of what is decided
//! on can't change what is stored without anybody noticing.
//!
//! A field that is added to a type of the core doesn't compile here until its row says what becomes of it, and a row
//! that is written otherwise than before fails `rows::tests`. docs/ARCHITECTURE.md ("The store") says how to add a
//! field. What a row doesn't know it doesn't read: whoever wrote it knew more, and it must not be written again
//! without that.

#[macro_use]
mod mirror;
mod delivery;
mod device;
#[cfg(test)]
pub(super) mod samples;
mod settings;
mod steps;
#[cfg(test)]
pub(super) mod tests;
mod update;

use core::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wakeflash_core::device::DeviceMemory;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::Update;

use device::DeviceRow;
use settings::SettingsRow;
pub(super) use steps::{Fields, to_3};
use update::UpdateRow;

/// The tables whose rows have a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// One row for each update.
    Updates,
    /// What is remembered of each device.
    Devices,
    /// The only row of settings.
    Settings,
}

impl Table {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Updates, Self::Devices, Self::Settings];

    /// Its name in the database.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Updates => "updates",
            Self::Devices => "devices",
            Self::Settings => "settings",
        }
    }
}

/// Why a row can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misread {
    /// Its body is none of this version.
    #[error(transparent)]
    Body(#[from] serde_json::Error),
    /// A text in it has no meaning.
    #[error("{what} {text:?} has no meaning")]
    Text {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
    },
}

/// A text of a row as what it stands for.
fn read<T: FromStr>(what: &'static str, text: String) -> Result<T, Misread> {
    text.parse().map_err(|_| Misread::Text { what, text })
}

fn read_some<T: FromStr>(what: &'static str, text: Option<String>) -> Result<Option<T>, Misread> {
    text.map(|text| read(what, text)).transpose()
}

fn read_all<T: FromStr>(what: &'static str, texts: Vec<String>) -> Result<Vec<T>, Misread> {
    texts.into_iter().map(|text| read(what, text)).collect()
}

/// Something that is stored as the body of a row.
pub(super) trait Stored: Sized {
    const TABLE: Table;

    /// The body of its row.
    fn to_body(&self) -> Result<String, serde_json::Error>;

    /// Reads the body of a row of this version.
    fn of_body(body: &str) -> Result<Self, Misread>;
}

macro_rules! stored {
    ($domain:ty, $row:ty, $table:expr) => {
        impl Stored for $domain {
            const TABLE: Table = $table;

            fn to_body(&self) -> Result<String, serde_json::Error> {
                to_body(&<$row>::from(self))
            }

            fn of_body(body: &str) -> Result<Self, Misread> {
                of_body::<$row>(body)?.try_into()
            }
        }
    };
}

stored!(Update, UpdateRow, Table::Updates);
stored!(DeviceMemory, DeviceRow, Table::Devices);
stored!(Settings, SettingsRow, Table::Settings);

fn to_body(row: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(row)
}

fn of_body<T: DeserializeOwned>(body: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(body)
}

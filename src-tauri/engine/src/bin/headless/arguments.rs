//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use wakeflash_core::view::StoreChoice;

use crate::failure::Failure;

/// Updates ESPHome devices that sleep, without a window.
#[derive(Debug, Parser)]
#[command(
    name = "wakeflash-headless",
    version,
    about = "Updates ESPHome devices that sleep, without a window",
    long_about = "Updates ESPHome devices that sleep, without a window. `serve` runs it as a service; the other commands \
                  ask that service. Without a command it serves one program on standard input and output (docs/API.md)."
)]
pub(crate) struct Arguments {
    /// The directory of the queue, the images and the logs [default: ~/.local/state/wakeflash]
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) hosting: Hosting,
    /// Without a command: go on when standard input ends
    #[arg(long)]
    pub(crate) detached: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How an engine is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Hosting {
    /// The directory of ESPHome's YAML files, for this run
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,
    /// The esphome program, for this run
    #[arg(long, value_name = "PATH")]
    pub(crate) esphome: Option<PathBuf>,
    /// If the database is damaged, go on from its last backup, paused; the damaged one is kept
    #[arg(long, conflicts_with = "start_empty")]
    restore_backup: bool,
    /// If the database is damaged, go on with an empty queue; the damaged one is kept
    #[arg(long)]
    start_empty: bool,
}

impl Hosting {
    /// What to do about a damaged database.
    pub(crate) fn choice(&self) -> Option<StoreChoice> {
        let restore = self.restore_backup.then_some(StoreChoice::RestoreBackup);
        restore.or(self.start_empty.then_some(StoreChoice::StartEmpty))
    }
}

/// What it is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run as a service, for any number of clients on a socket in the state directory
    Serve(Hosting),
    /// Connect standard input and output to the service
    Attach,
    /// Show what waits, when it wakes, and what needs you
    Status {
        /// Print the service's snapshot as JSON (docs/API.md)
        #[arg(long)]
        json: bool,
    },
    /// List all devices
    List,
    /// Print the log of a device's last build
    Log {
        /// Which device
        device: String,
    },
    /// Build devices and flash them when they wake; an active update is superseded
    Install(Devices),
    /// End the active updates of devices
    Cancel(Devices),
    /// Start the last updates of devices once more: they failed or were cancelled
    Retry {
        #[command(flatten)]
        devices: Devices,
        /// Clean their build files before, or delete them where that was done already
        #[arg(long)]
        clean: bool,
    },
    /// Build the held updates of devices again
    Rebuild(Devices),
    /// Flash the held updates of devices as they were built
    FlashAnyway(Devices),
    /// Flash devices with what was installed before the last update, as it was built
    InstallPrevious(Devices),
    /// Put failed updates aside
    Dismiss(Devices),
    /// Begin no new build and no new flash; what runs goes on
    Pause,
    /// Begin builds and flashes again
    Resume,
    /// Choose the directory of ESPHome's YAML files
    ConfigDir {
        /// Which
        dir: PathBuf,
    },
    /// Choose the ESPHome that builds
    Esphome {
        /// Its program
        program: PathBuf,
    },
    /// Install an ESPHome of Wakeflash's own, which builds from then on; `status` shows how that goes
    InstallEsphome,
    /// Print a script that completes the command line
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// Those that a command is about.
#[derive(Debug, Args)]
pub(crate) struct Devices {
    /// By file (garden.yaml), name (garden) or what people call it ("Garden Soil")
    #[arg(required = true, value_name = "DEVICE")]
    pub(crate) devices: Vec<String>,
}

impl Arguments {
    /// Reads the command line; ends the program when it is none.
    pub(crate) fn read() -> Self {
        let arguments = Self::parse();
        let alone = arguments.hosting != Hosting::default() || arguments.detached;
        let wrong = match &arguments.command {
            Some(_) if alone => {
                Some((ErrorKind::ArgumentConflict, "only --state may stand before a command"))
            }
            None if arguments.state.is_none() => {
                Some((ErrorKind::MissingRequiredArgument, "a command is missing, or --state DIR"))
            }
            Some(_) | None => None,
        };
        if let Some((kind, words)) = wrong {
            Self::command().error(kind, words).exit();
        }
        arguments
    }

    /// The state directory: the one that is given, or where the user's services keep theirs. It is the same for a
    /// service and for who asks it, with the rights of the same user.
    pub(crate) fn state(&self) -> Result<PathBuf, Failure> {
        if let Some(given) = &self.state {
            let absolute = std::path::absolute(given);
            return absolute.map_err(|error| Failure::Refused(format!("--state: {error}.")));
        }
        let home = |name, below: &str| {
            let dir = std::env::var_os(name).map(PathBuf::from);
            dir.filter(|dir| dir.is_absolute()).map(|dir| dir.join(below))
        };
        home("XDG_STATE_HOME", "wakeflash")
            .or_else(|| home("HOME", ".local/state/wakeflash"))
            .ok_or_else(|| {
                Failure::Usage(
                    "There is no HOME: say which state directory with --state.".to_owned(),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_state_directory_may_stand_on_either_side() {
        for line in [["w", "--state", "/s", "status"], ["w", "status", "--state", "/s"]] {
            let arguments = Arguments::try_parse_from(line).unwrap();
            assert_eq!(arguments.state, Some(PathBuf::from("/s")));
            assert!(matches!(arguments.command, Some(Command::Status { json: false })));
        }
    }
}

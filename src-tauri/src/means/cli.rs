//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Updates ESPHome devices that sleep: builds now, flashes at the next wake, sees it confirmed.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "wakeflash", version)]
pub struct Cli {
    /// Keep updates, settings and logs in this directory instead of the user's data directory
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Use this directory of ESPHome YAML files instead of the one from the settings
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Use this esphome program instead of the one from the settings
    #[arg(long, value_name = "PATH")]
    pub esphome: Option<PathBuf>,
    /// Start without a window, in the tray only
    #[arg(long)]
    pub hidden: bool,
    /// Be the window of the application that has started this, over standard input and output
    #[arg(long, hide = true)]
    pub window: bool,
    /// Be the start that follows on a defect of the engine
    #[arg(long, hide = true)]
    pub after_defect: bool,
    /// Be a demo: whoever starts it removes what it has kept when it ends, and the window says so
    #[arg(long, hide = true)]
    pub demo: bool,
}

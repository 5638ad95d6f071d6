//! Wakeflash.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use clap::Parser;

fn main() -> std::process::ExitCode {
    wakeflash_lib::run(wakeflash_lib::cli::Cli::parse())
}

//! Lives of Wakeflash in virtual time: a model of devices, network, ESPHome, files, user, clock and disk around the
//! real decisions, with a judge who knows what is true. See docs/TESTING.md.

mod coverage;
mod house;
mod judge;
mod life;
mod plan;
mod rng;
mod run;
mod shrink;
mod story;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    match run::Options::read(std::env::args().skip(1)) {
        Ok(options) => run::run(&options),
        Err(problem) => {
            run::say(&format!("{problem}\n\n{}", run::USAGE));
            ExitCode::from(2)
        }
    }
}

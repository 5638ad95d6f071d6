//! `wakeflash-lab`: a sleepy device for tests, and the demo.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use wakeflash_tests::control::{self, Schedule};
use wakeflash_tests::demo::{self, DemoOptions};
use wakeflash_tests::flash::{self, FlashOptions};
use wakeflash_tests::lan::crowd::{self, CrowdOptions};
use wakeflash_tests::lan::fleet::{self, FleetOptions};
use wakeflash_tests::lan::forger::{self, ForgeOptions};
use wakeflash_tests::lan::sniffer::{self, SniffOptions};
use wakeflash_tests::lan::storm::{self, StormOptions};
use wakeflash_tests::relay::{self, RelayOptions};
use wakeflash_tests::scripted::{self, ScriptedOptions};
use wakeflash_tests::soak::{self, SoakOptions};
use wakeflash_tests::supervisor::{DeviceOptions, Wake};

#[derive(Parser)]
#[command(about = "Wakeflash's test laboratory")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run a device in the network namespace that this is started in. Prints JSON lines.
    Device(DeviceCommand),
    /// Run a scripted device in the network namespace that this is started in; it obeys JSON lines.
    Scripted(ScriptedOptions),
    /// Run the application next to a device that sleeps and wakes, in a network of their own.
    Demo(DemoOptions),
    /// Install an image on a device, and say how long that took.
    Flash(FlashOptions),
    /// Announce many devices in the network namespace that this is started in, until stdin ends.
    Crowd(CrowdOptions),
    /// Run many scripted sleepers in the network namespace that this is started in, until stdin ends. Prints JSON lines.
    Fleet(FleetOptions),
    /// Let the application work for a long time, and judge whether it grows.
    Soak(SoakOptions),
    /// Announce what isn't so, in the network namespace that this is started in.
    Forge(ForgeOptions),
    /// Let devices come and go in the network namespace that this is started in, until stdin ends.
    Storm(StormOptions),
    /// Tell what passes the network card of the namespace that this is started in. Prints JSON lines.
    Sniff(SniffOptions),
    /// Lead a Unix socket to a TCP port of the network namespace that this is started in.
    Relay(RelayOptions),
}

#[derive(Args)]
struct DeviceCommand {
    #[command(flatten)]
    device: DeviceOptions,
    /// Obey JSON lines on stdin; end with stdin.
    #[arg(long, required_unless_present = "sleep")]
    control: bool,
    /// Sleep this many seconds, again and again, beginning now.
    #[arg(long, requires = "wake")]
    sleep: Option<f64>,
    /// Be awake this many seconds after each sleep.
    #[arg(long, requires = "sleep")]
    wake: Option<f64>,
    /// On that schedule, fall asleep without a goodbye.
    #[arg(long)]
    no_goodbye: bool,
}

impl DeviceCommand {
    fn schedule(&self) -> Result<Option<Schedule>> {
        let (Some(sleep), Some(wake)) = (self.sleep, self.wake) else { return Ok(None) };
        let sleep = Duration::try_from_secs_f64(sleep)?;
        let wake = Duration::try_from_secs_f64(wake)?;
        if wake.is_zero() {
            bail!("a wake takes some time");
        }
        let for_ms = Some(u64::try_from(wake.as_millis())?);
        let wake = Wake { for_ms, no_goodbye: self.no_goodbye, ..Wake::default() };
        Ok(Some(Schedule { sleep, wake }))
    }
}

// One thread: a parent-death signal comes when the thread that started the child ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().what {
        What::Device(command) => {
            let schedule = command.schedule()?;
            control::run(command.device, schedule, command.control).await
        }
        What::Scripted(options) => scripted::run(options).await,
        What::Demo(options) => demo::run(options).await,
        What::Flash(options) => flash::run(options).await,
        What::Crowd(options) => crowd::run(&options).await,
        What::Fleet(options) => fleet::run(options).await,
        What::Soak(options) => soak::tell(&options).await,
        What::Forge(options) => forger::run(&options).await,
        What::Storm(options) => storm::run(&options).await,
        What::Sniff(options) => sniffer::run(&options),
        What::Relay(options) => relay::run(&options).await,
    }
}

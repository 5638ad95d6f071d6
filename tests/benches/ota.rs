//! `make bench`: Wakeflash's OTA client against `esphome upload`; docs/PERFORMANCE.md says what it measures
//! and has its table.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use wakeflash_tests::bench::{self, Bench, Condition, Pair};

#[derive(Parser)]
struct Cli {
    /// How many pairs for each link.
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// Only links whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// The port of the device; the link to it uses the one after that.
    #[arg(long, default_value_t = 13_741)]
    port: u16,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

// One thread runs the device's and the clients' processes; the link has threads of its own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut bench = Bench::start(cli.port).await?;
    bench.warm_up().await?;
    say(&format!("Image: {} bytes. {} pairs for each link.\n", bench.image_size()?, cli.pairs))?;
    say(HEAD)?;
    let wanted = |condition: &Condition| {
        cli.only.as_ref().is_none_or(|only| condition.name.contains(only.as_str()))
    };
    let mut rows = Vec::new();
    for condition in bench::conditions().into_iter().filter(wanted) {
        let mut pairs = Vec::new();
        for number in 0..cli.pairs {
            // Neither is always the one that follows on the other.
            pairs.push(bench.pair(condition.link, number % 2 == 1).await?);
        }
        let row = Row::of(condition, &pairs).context("no pairs")?;
        say(&row.text())?;
        rows.push(row);
    }
    if let Some(Row { bytes: [theirs, ours], .. }) = rows.first() {
        say(&format!(
            "\nThe image travels as {theirs} bytes from ESPHome, as {ours} from Wakeflash."
        ))?;
    }
    for (link, what, aim, of) in AIMS {
        if let Some(row) = rows.iter().find(|row| row.condition.name == link) {
            let ratio = of(row);
            let verdict = if ratio <= aim { "met" } else { "missed" };
            say(&format!("{link}: {what} {ratio:.3} of theirs, aim {aim}: {verdict}"))?;
        }
    }
    Ok(())
}

/// Says it at once, also into a pipe.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}

const HEAD: &str = "\
| link | ESPHome: process | Wakeflash: process | ratio | Wakeflash: call | ratio to ESPHome's process \
| ESPHome: transfer | Wakeflash: transfer | ratio | round trips before the image |
|---|---|---|---|---|---|---|---|---|---|";

type Ratio = fn(&Row) -> f64;

/// The link, what, the aim, and where it is.
const AIMS: [(&str, &str, f64, Ratio); 3] = [
    ("0 ms", "whole time of the call", 0.2, |row| row.call_ratio.median),
    ("100 ms", "transfer time", 0.3, |row| row.transfer_ratio.median),
    ("100 ms, window 5,744", "transfer time", 0.7, |row| row.transfer_ratio.median),
];

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { min, median: f64::midpoint(lower, upper), max })
    }

    fn ratio(&self) -> String {
        format!("**{:.2}** ({:.2} to {:.2})", self.median, self.min, self.max)
    }

    fn seconds(&self) -> String {
        format!("{:.3} s", self.median)
    }
}

struct Row {
    condition: Condition,
    theirs: Spread,
    ours: Spread,
    ratio: Spread,
    call: Spread,
    call_ratio: Spread,
    their_transfer: Spread,
    our_transfer: Spread,
    transfer_ratio: Spread,
    round_trips: [Vec<usize>; 2],
    bytes: [usize; 2],
}

impl Row {
    fn of(condition: Condition, pairs: &[Pair]) -> Option<Self> {
        let time = |value: fn(&Pair) -> Duration| {
            Spread::of(pairs.iter().map(|pair| value(pair).as_secs_f64()))
        };
        let ratio = |value: fn(&Pair) -> f64| Spread::of(pairs.iter().map(value));
        let counts = |value: fn(&Pair) -> usize| {
            let counts: BTreeSet<usize> = pairs.iter().map(value).collect();
            counts.into_iter().collect()
        };
        let first = pairs.first()?;
        Some(Self {
            condition,
            theirs: time(|pair| pair.theirs.whole)?,
            ours: time(|pair| pair.ours.whole)?,
            ratio: ratio(Pair::whole_ratio)?,
            call: time(|pair| pair.ours.own_word)?,
            call_ratio: ratio(Pair::call_ratio)?,
            their_transfer: time(|pair| pair.theirs.transfer)?,
            our_transfer: time(|pair| pair.ours.transfer)?,
            transfer_ratio: ratio(Pair::transfer_ratio)?,
            round_trips: [
                counts(|pair| pair.theirs.round_trips),
                counts(|pair| pair.ours.round_trips),
            ],
            bytes: [first.theirs.image_bytes, first.ours.image_bytes],
        })
    }

    fn text(&self) -> String {
        let [theirs, ours] = self
            .round_trips
            .each_ref()
            .map(|counts| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" or "));
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {theirs}; {ours} |",
            self.condition.name,
            self.theirs.seconds(),
            self.ours.seconds(),
            self.ratio.ratio(),
            self.call.seconds(),
            self.call_ratio.ratio(),
            self.their_transfer.seconds(),
            self.our_transfer.seconds(),
            self.transfer_ratio.ratio(),
        )
    }
}

//! Many lives, on all cores, and what to say of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::judge::Violation;
use crate::life::{How, live};
use crate::plan::Plan;
use crate::shrink::shrink;
use crate::story::Telling;

pub(crate) const USAGE: &str = "\
wakeflash-sim [--seeds N] [--from SEED] [--time SECONDS] [--everywhere N] [--keep-going] [--no-table]
wakeflash-sim --seed SEED [--whole] [--everything]

  --seeds N       how many lives (1000)
  --from SEED     the first seed (1)
  --time SECONDS  begin no life after so many seconds
  --everywhere N  after these, end N small lives at every boundary between decision, commit and effect (10)
  --keep-going    go on after a broken promise, and count them
  --without WORD  nothing happens whose name contains this word, such as Flood; again for more words
  --no-table      say nothing of what was visited, and let nothing of it fail
  --twice         live every life twice and compare; otherwise one of fifty
  --seed SEED     replay one life, with its story; made small, unless --whole; with --everything that passes
                  between Wakeflash and its world";

/// Seeds of small lives are told apart from others by this.
const SMALL: u64 = 1 << 62;

/// One of so many lives is lived twice, to see that nothing but the seed decides.
const TWICE: u64 = 50;

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    seeds: u64,
    from: u64,
    time: Option<Duration>,
    everywhere: u64,
    keep_going: bool,
    table: bool,
    seed: Option<u64>,
    crash_at: Option<u64>,
    whole: bool,
    twice: bool,
    telling: Telling,
    without: Vec<String>,
}

impl Options {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            seeds: 1_000,
            from: 1,
            time: None,
            everywhere: 10,
            keep_going: false,
            table: true,
            seed: None,
            crash_at: None,
            whole: false,
            twice: false,
            telling: Telling::Words,
            without: Vec::new(),
        };
        while let Some(word) = words.next() {
            if word == "--without" {
                options.without.extend(words.next());
                continue;
            }
            let mut number = || -> Result<u64, String> {
                let text = words.next().ok_or(format!("{word} wants a number"))?;
                text.parse().map_err(|_| format!("{word} wants a number, not {text:?}"))
            };
            match word.as_str() {
                "--seeds" => options.seeds = number()?,
                "--from" => options.from = number()?,
                "--time" => options.time = Some(Duration::from_secs(number()?)),
                "--everywhere" => options.everywhere = number()?,
                "--seed" => options.seed = Some(number()?),
                "--crash-at" => options.crash_at = Some(number()?),
                "--keep-going" => options.keep_going = true,
                "--no-table" => options.table = false,
                "--whole" => options.whole = true,
                "--twice" => options.twice = true,
                "--everything" => options.telling = Telling::Everything,
                other => return Err(format!("{other:?} is no option")),
            }
        }
        Ok(options)
    }

    fn plan(&self, seed: u64, crash_at: Option<u64>) -> Plan {
        let mut plan = if seed & SMALL == 0 { Plan::draw(seed) } else { Plan::draw_small(seed) };
        plan.crash_at = crash_at;
        plan.happenings.retain(|happening| {
            let name = format!("{:?}", happening.what);
            !self.without.iter().any(|word| name.contains(word))
        });
        plan
    }
}

/// A life that broke a promise.
#[derive(Clone, Debug)]
struct Broken {
    seed: u64,
    crash_at: Option<u64>,
    violation: Violation,
}

#[derive(Debug, Default)]
struct Total {
    lives: u64,
    cover: Coverage,
    broken: Vec<Broken>,
}

pub(crate) fn say(words: &str) {
    // Nobody is left to hear that nobody listens.
    let _ = writeln!(std::io::stdout(), "{words}");
}

pub(crate) fn run(options: &Options) -> ExitCode {
    if let Some(seed) = options.seed {
        return replay(seed, options);
    }
    std::panic::set_hook(Box::new(|_| {}));
    let since = Instant::now();
    let total = live_all(options, since);
    let took = since.elapsed();
    say(&format!(
        "{} lives in {:.1} s ({:.0} a second)",
        total.lives,
        took.as_secs_f64(),
        f64::from(u32::try_from(total.lives).unwrap_or(u32::MAX)) / took.as_secs_f64().max(0.001)
    ));
    let visited = !options.table || tell_coverage(&total.cover);
    if !total.broken.is_empty() {
        tell_broken(&total.broken);
        return ExitCode::FAILURE;
    }
    if visited { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn live_all(options: &Options, since: Instant) -> Total {
    let next = AtomicU64::new(0);
    let small = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let enough = || {
        let over = options.time.is_some_and(|limit| since.elapsed() > limit);
        over || (!options.keep_going && total.lock().is_ok_and(|total| !total.broken.is_empty()))
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut own = Total::default();
                while !enough() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        break;
                    }
                    one(options, options.from + number, &mut own);
                    hand_over(&mut own, &total);
                }
                while !enough() {
                    let number = small.fetch_add(1, Ordering::Relaxed);
                    if number >= options.everywhere {
                        break;
                    }
                    everywhere(options, SMALL + options.from + number, &mut own);
                    hand_over(&mut own, &total);
                }
            });
        }
    });
    total.into_inner().unwrap_or_default()
}

fn hand_over(own: &mut Total, total: &Mutex<Total>) {
    if let Ok(mut total) = total.lock() {
        let own = std::mem::take(own);
        total.lives += own.lives;
        total.cover.join(own.cover);
        total.broken.extend(own.broken);
    }
}

fn one(options: &Options, seed: u64, total: &mut Total) {
    let plan = options.plan(seed, None);
    let twice = options.twice || seed.is_multiple_of(TWICE);
    let how = How { telling: Telling::Nothing, thorough: twice };
    let outcome = live(&plan, how);
    total.lives += 1;
    total.cover.join(outcome.cover);
    if let Err(violation) = outcome.verdict {
        total.broken.push(Broken { seed, crash_at: None, violation });
    } else if twice && live(&plan, how).digest != outcome.digest {
        let violation = Violation {
            promise: "the same seed, the same life",
            what: "two runs differ".to_owned(),
            at: 0,
        };
        total.broken.push(Broken { seed, crash_at: None, violation });
    }
}

/// Ends a small life at every one of its boundaries.
fn everywhere(options: &Options, seed: u64, total: &mut Total) {
    let whole = live(&options.plan(seed, None), How::default());
    for boundary in 1..=whole.boundaries {
        let outcome = live(&options.plan(seed, Some(boundary)), How::default());
        total.lives += 1;
        total.cover.join(outcome.cover);
        if let Err(violation) = outcome.verdict {
            total.broken.push(Broken { seed, crash_at: Some(boundary), violation });
            return;
        }
    }
}

fn replay(seed: u64, options: &Options) -> ExitCode {
    let plan = options.plan(seed, options.crash_at);
    let first = live(&plan, How::default());
    let plan = match (&first.verdict, options.whole) {
        (Err(violation), false) => shrink(&plan, violation.promise),
        (Err(_) | Ok(()), _) => plan,
    };
    let outcome = live(&plan, How { telling: options.telling, thorough: false });
    for line in plan.describe().iter().chain(&outcome.story) {
        say(line);
    }
    match outcome.verdict {
        Ok(()) => {
            say("every promise was kept");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            say(&describe(&Broken { seed, crash_at: options.crash_at, violation }));
            ExitCode::FAILURE
        }
    }
}

fn describe(broken: &Broken) -> String {
    let Broken { seed, crash_at, violation } = broken;
    let crash = crash_at.map(|at| format!(" --crash-at {at}")).unwrap_or_default();
    let at = crate::story::clock(violation.at);
    format!(
        "BROKEN ({}) at {at}: {}\n  replay: --seed {seed}{crash}",
        violation.promise, violation.what
    )
}

fn tell_broken(all: &[Broken]) {
    let mut kinds: BTreeMap<(&str, String), (u64, &Broken)> = BTreeMap::new();
    for broken in all {
        let what: String = broken.violation.what.chars().filter(|c| !c.is_ascii_digit()).collect();
        let kind = (broken.violation.promise, what.chars().take(90).collect());
        kinds.entry(kind).or_insert((0, broken)).0 += 1;
    }
    for (many, broken) in kinds.into_values() {
        say(&format!("{many} x {}", describe(broken)));
    }
}

/// Returns whether everything was visited.
fn tell_coverage(cover: &Coverage) -> bool {
    say("\nThe lines of the table:");
    let mut all = true;
    for line in cover.table() {
        let mark = if line.complete { ' ' } else { '!' };
        all &= line.complete;
        say(&format!("{mark}{:9}  {}", line.count, line.name));
    }
    for ((from, to, text), many) in &cover.unknown {
        all = false;
        say(&format!("!{many:9}  unknown: {from:?} -> {to:?}: {text}"));
    }
    say("\nFaults:");
    for (fault, many) in &cover.faults {
        say(&format!(" {many:9}  {fault}"));
    }
    if !all {
        say(
            "\nLines with a ! were not visited from every state that they name, or are not in the table.",
        );
    }
    all
}

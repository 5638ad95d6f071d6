//! Finds the period in a row of times.

use core::time::Duration;

use crate::time::Timestamp;

/// A period that the times agree on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub(super) period: Duration,
    pub(super) spread: Duration,
    /// A moment of the schedule.
    pub(super) anchor: Timestamp,
    /// How many wakes agree on it.
    pub(super) wakes: usize,
    /// How far off each wake was from what those before it said, on average, in milliseconds.
    pub(super) misfit: f64,
}

/// An interval of more periods than this is a gap: it says nothing.
pub(super) const GAP: f64 = 8.5;

/// The fewest intervals that show a period.
const FEWEST: usize = 3;

/// How much of a period an interval may be off, and when there are only a few.
const TOLERANCE: f64 = 0.15;
const TOLERANCE_OF_FEW: f64 = 0.1;

/// What is less likely than this is no chance.
const BY_CHANCE: f64 = 0.000_2;

/// How many wakes back the moment of the schedule is sought.
const ANCHORED_BY: usize = 8;

/// How much better the wakes together must predict than the last one alone.
const CLEARLY: f64 = 0.9;

/// The least spread: clocks, and the time between waking and being noticed.
const LEAST_SPREAD_MS: f64 = 2_000.0;

/// The longest row of times up to the last one that agrees on a period; times in milliseconds, in the order
/// in which they were seen.
pub(super) fn fit(times: &[i64]) -> Option<Fit> {
    (0..times.len().saturating_sub(FEWEST)).find_map(|start| {
        let row = times.get(start..)?;
        let intervals = intervals(row);
        let candidates = intervals.iter().filter(|interval| **interval > 0.0);
        let best = candidates
            .filter_map(|candidate| Reading::of(&intervals, *candidate))
            .max_by(|one, other| one.score.total_cmp(&other.score))?;
        match best.another_since() {
            // From then on there is another period.
            Some(run) => fit(times.get(times.len().checked_sub(run + 1)?..)?),
            None => best.fit(row),
        }
    })
}

fn intervals(times: &[i64]) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds between wakes fit easily")]
    let interval = |pair: &[i64]| match pair {
        [from, to] => to.saturating_sub(*from) as f64,
        _ => 0.0,
    };
    times.windows(2).map(interval).collect()
}

/// What one interval is.
#[derive(Clone, Copy, PartialEq)]
enum Interval {
    /// So many periods.
    Periods(f64),
    /// None that agrees with the period.
    Odd,
    /// A part of a period with a wake in between.
    Part,
    /// A gap, which says nothing.
    Gap,
}

/// The intervals as multiples of one period.
struct Reading {
    intervals: Vec<Interval>,
    score: f64,
}

impl Reading {
    /// How the intervals read with this period, if they agree with it.
    fn of(intervals: &[f64], period: f64) -> Option<Self> {
        // Few intervals agree by chance when much is allowed.
        let few = intervals.len() < 6;
        let tolerance = if few { TOLERANCE_OF_FEW } else { TOLERANCE };
        let mut reading = Self { intervals: Vec::new(), score: 0.0 };
        let mut interrupted = 0;
        while let Some(interval) = intervals.get(reading.intervals.len()).copied() {
            let next = intervals.get(reading.intervals.len() + 1).copied();
            let both = next.and_then(|next| multiple(interval + next, period, tolerance));
            if interval <= 0.0 || interval > GAP * period {
                reading.intervals.push(Interval::Gap);
            } else if let Some(multiple) = multiple(interval, period, tolerance) {
                reading.intervals.push(Interval::Periods(multiple));
                reading.score += 1.0 / multiple;
            } else if !few && both.is_some() {
                reading.intervals.extend([Interval::Part; 2]);
                interrupted += 1;
            } else {
                reading.intervals.push(Interval::Odd);
            }
        }
        reading.agrees(interrupted).then_some(reading)
    }

    fn multiples(&self) -> impl DoubleEndedIterator<Item = f64> + Clone {
        self.intervals.iter().filter_map(|interval| match interval {
            Interval::Periods(multiple) => Some(*multiple),
            Interval::Odd | Interval::Part | Interval::Gap => None,
        })
    }

    fn agrees(&self, interrupted: usize) -> bool {
        let matched = self.multiples().count();
        let single = self.multiples().filter(|multiple| *multiple < 1.5).count();
        let odd = self.intervals.iter().filter(|interval| **interval == Interval::Odd).count();
        let counted = matched + odd + interrupted;
        let agree = match counted {
            0..FEWEST => false,
            FEWEST => odd == 0 && single == matched,
            4 | 5 => odd == 0 && single >= 2,
            6..10 => odd == 0 && interrupted <= 1 && single * 3 >= matched,
            _ => (odd + interrupted) * 5 <= counted && single * 3 >= matched,
        };
        agree && matched >= FEWEST && self.agrees_at_the_end()
    }

    /// Whether the latest intervals still go by this period.
    fn agrees_at_the_end(&self) -> bool {
        let telling = self.intervals.iter().rev().filter(|interval| **interval != Interval::Gap);
        let doubt = telling.take(FEWEST).map(|interval| match interval {
            Interval::Periods(_) | Interval::Gap => 0,
            Interval::Part => 1,
            Interval::Odd => 2,
        });
        doubt.sum::<u32>() < 3
    }

    /// How many of the latest intervals are the same multiple, when that is no chance: it has become the period.
    fn another_since(&self) -> Option<usize> {
        let same = |one: f64, other: f64| (one - other).abs() < 0.5;
        let last = self.multiples().next_back().filter(|multiple| *multiple > 1.5)?;
        let run = self.multiples().rev().take_while(|multiple| same(*multiple, last)).count();
        let earlier = || self.multiples().rev().skip(run);
        let before = earlier().filter(|multiple| same(*multiple, last)).count();
        #[expect(clippy::cast_precision_loss, reason = "a few intervals")]
        let usual = (before as f64 + 1.0) / (earlier().count() as f64 + 2.0);
        let chance = (0..run).fold(1.0, |chance, _| chance * usual);
        (run >= FEWEST && chance < BY_CHANCE).then_some(run)
    }

    /// What the schedule is by this reading.
    fn fit(&self, times: &[i64]) -> Option<Fit> {
        let intervals = intervals(times);
        let read = intervals.iter().zip(&self.intervals);
        let mut lengths: Vec<f64> = read
            .filter_map(|(interval, read)| match read {
                Interval::Periods(multiple) => Some(interval / multiple),
                Interval::Odd | Interval::Part | Interval::Gap => None,
            })
            .collect();
        let rough = median(&mut lengths)?;
        let runs = self.runs(times, rough);
        let period = rough + slope(&runs).unwrap_or_default();
        let Anchored { anchor, error, errors, predictions } = anchor(&self.runs(times, period))?;
        let odd = |read: &&Interval| matches!(read, Interval::Odd | Interval::Part);
        #[expect(clippy::cast_precision_loss, reason = "a few intervals")]
        let (odd, predictions) =
            (self.intervals.iter().filter(odd).count() as f64, predictions as f64);
        let most = (period / 4.0).max(LEAST_SPREAD_MS);
        let spread = (1.25 * error + 1_000.0).clamp(LEAST_SPREAD_MS, most);
        #[expect(clippy::cast_possible_truncation, reason = "a rounded time in milliseconds")]
        let anchor = Timestamp::from_millis(times.last()?.saturating_add(anchor.round() as i64));
        Some(Fit {
            period: Duration::try_from_secs_f64(period / 1_000.0).ok()?,
            spread: Duration::try_from_secs_f64(spread / 1_000.0).ok()?,
            anchor,
            wakes: times.len(),
            misfit: (errors + odd * TOLERANCE * period) / (predictions + odd),
        })
    }

    /// The times as places on a grid of this period: which period it was, and how much later than its beginning.
    /// A new run begins wherever an interval doesn't tell how many periods it was.
    fn runs(&self, times: &[i64], period: f64) -> Vec<Vec<(f64, f64)>> {
        let mut runs = vec![vec![(0.0, 0.0)]];
        for (interval, read) in intervals(times).into_iter().zip(&self.intervals) {
            let place = match (read, runs.last().and_then(|run| run.last())) {
                (Interval::Periods(multiple), Some((count, late))) => {
                    Some((count + multiple, late + interval - multiple * period))
                }
                (Interval::Periods(_) | Interval::Odd | Interval::Part | Interval::Gap, _) => None,
            };
            match (place, runs.last_mut()) {
                (Some(place), Some(run)) => run.push(place),
                (Some(_) | None, _) => runs.push(vec![(0.0, 0.0)]),
            }
        }
        runs
    }
}

/// How much longer than it was thought each period is: the middle of what any two times say.
fn slope(runs: &[Vec<(f64, f64)>]) -> Option<f64> {
    let mut slopes = Vec::new();
    for run in runs {
        for (index, (count, late)) in run.iter().enumerate() {
            let earlier = run.get(..index).unwrap_or_default();
            slopes.extend(earlier.iter().map(|(before, then)| (late - then) / (count - before)));
        }
    }
    median(&mut slopes)
}

/// Where a schedule is, and how well it predicted the past.
struct Anchored {
    /// A moment of the schedule, from the last time on.
    anchor: f64,
    /// How far off predictions were at most, usually.
    error: f64,
    /// How far off they were altogether.
    errors: f64,
    predictions: usize,
}

/// A moment of the schedule, and how far off predictions were.
///
/// A device that counts its sleep drifts: its last wake says most. One that wakes by a clock doesn't: all
/// its wakes together say more than the last one. Whichever would have predicted the past better is right.
fn anchor(runs: &[Vec<(f64, f64)>]) -> Option<Anchored> {
    let usual = |run: &[(f64, f64)]| {
        let known = run.get(run.len().saturating_sub(ANCHORED_BY)..).unwrap_or_default();
        median(&mut known.iter().map(|(_, late)| *late).collect::<Vec<_>>())
    };
    let (mut by_last, mut by_all, mut errors) = (0.0, 0.0, Vec::new());
    for run in runs {
        for (index, (_, late)) in run.iter().enumerate().skip(1) {
            let known = run.get(..index)?;
            let error = (late - known.last()?.1).abs();
            by_last += error;
            by_all += (late - usual(known)?).abs();
            errors.push(error);
        }
    }
    let latest = runs.last()?;
    let by_clock = by_all < by_last * CLEARLY && latest.len() >= ANCHORED_BY;
    let anchor = if by_clock { usual(latest)? - latest.last()?.1 } else { 0.0 };
    let (error, predictions) = (usual_most(&mut errors)?, errors.len());
    Some(Anchored { anchor, error, errors: by_last, predictions })
}

/// How many periods the interval is, when it is about that.
pub(super) fn multiple(interval: f64, period: f64, tolerance: f64) -> Option<f64> {
    let multiple = (interval / period).round();
    let off = (interval - multiple * period).abs();
    ((1.0..=GAP).contains(&multiple) && off <= tolerance * period).then_some(multiple)
}

/// The middle of the values, or the lower one of two.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// The value that nine of ten don't exceed.
fn usual_most(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get((values.len() * 9).div_ceil(10).checked_sub(1)?).copied()
}

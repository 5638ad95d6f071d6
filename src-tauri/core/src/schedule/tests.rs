use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::*;

const START: i64 = 1_700_000_000_000;
/// 30,000 years.
const FAR: i64 = 1_000_000_000_000_000;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn wakes(times: impl IntoIterator<Item = i64>) -> Vec<Wake> {
    let wake = |(number, time)| Wake { number, at: at(time), awake: None, flashed: false };
    (0..).zip(times).map(wake).collect()
}

/// Wakes with these seconds between them.
fn spaced(seconds: &[i64]) -> Vec<Wake> {
    let mut time = START;
    let mut times = vec![time];
    for step in seconds {
        time += step * 1_000;
        times.push(time);
    }
    wakes(times)
}

fn learn(wakes: &[Wake]) -> Schedule {
    Schedule::learn(wakes)
}

#[track_caller]
fn period_is(schedule: &Schedule, seconds: f64, off: f64) {
    let period = schedule.period.expect("a period").as_secs_f64();
    assert!((period - seconds).abs() <= seconds * off, "{period} s instead of {seconds} s");
}

#[test]
fn three_equal_intervals_show_a_period_and_two_do_not() {
    assert_eq!(learn(&spaced(&[600, 601])).rhythm, Rhythm::Unknown);
    let wakes = spaced(&[600, 602, 599]);
    let schedule = learn(&wakes);
    assert_eq!(schedule.rhythm, Rhythm::Regular);
    period_is(&schedule, 600.0, 0.01);
    let last = wakes.last().unwrap().at;
    let next = schedule.next(last + secs(1)).unwrap();
    assert!(next.since(last + secs(595)) < secs(10), "{next:?}");
}

#[test]
fn wakes_that_nobody_saw_do_not_break_the_period() {
    let schedule = learn(&spaced(&[600, 1200, 600, 601, 36_000, 1800, 600, 599, 1200, 600]));
    assert_eq!(schedule.rhythm, Rhythm::Regular);
    period_is(&schedule, 600.0, 0.01);
}

#[test]
fn a_wake_by_hand_between_two_regular_ones_is_passed_over() {
    let schedule = learn(&spaced(&[600, 600, 601, 130, 470, 600, 599, 600]));
    assert_eq!(schedule.rhythm, Rhythm::Regular);
    period_is(&schedule, 600.0, 0.01);
}

#[test]
fn a_changed_schedule_counts_after_three_intervals() {
    for (before, after) in [(600, 1_200), (600, 300), (600, 3_600), (3_600, 500), (600, 750)] {
        let mut seconds = vec![before; 20];
        seconds.extend([after; 3]);
        let schedule = learn(&spaced(&seconds));
        assert_eq!(schedule.rhythm, Rhythm::Regular, "{before} to {after}");
        period_is(&schedule, f64::from(i32::try_from(after).unwrap()), 0.01);
    }
}

#[test]
fn a_button_has_no_rhythm() {
    let schedule = learn(&spaced(&[40, 7_000, 300, 90_000, 1_100, 15]));
    assert_eq!(schedule.rhythm, Rhythm::Irregular);
    assert_eq!(schedule.next(at(START + 200_000_000)), None);
    assert_eq!(schedule.missed(at(START + 900_000_000), at(START)), 0, "it is never overdue");
    assert_eq!(learn(&[]).rhythm, Rhythm::Unknown);
}

#[test]
fn the_configuration_is_the_first_guess_and_wakes_know_better() {
    let plan = SleepPlan::read(Some("20s"), Some("10min")).unwrap();
    let guess = Schedule::learn(&spaced(&[])).or_guess(Some(&plan));
    assert_eq!((guess.rhythm, guess.period), (Rhythm::Configured, Some(secs(620))));
    assert_eq!(guess.window, Some(secs(20)));
    assert_eq!(guess.next(at(START + 1_000)), Some(at(START + 620_000)));
    let none_seen = Schedule::learn(&[]).or_guess(Some(&plan));
    assert_eq!((none_seen.rhythm, none_seen.next(at(START))), (Rhythm::Configured, None));
    let known = Schedule::learn(&spaced(&[300, 300, 300])).or_guess(Some(&plan));
    assert_eq!((known.rhythm, known.period), (Rhythm::Regular, Some(secs(300))));
    let pressed =
        Schedule::learn(&spaced(&[40, 7_000, 300, 90_000, 1_100, 15])).or_guess(Some(&plan));
    assert_eq!(pressed.rhythm, Rhythm::Irregular);
}

#[test]
fn a_longer_wake_puts_off_the_next_one_of_a_device_that_counts_its_sleep() {
    let mut wakes = spaced(&[600, 600, 600, 600]);
    for wake in &mut wakes {
        wake.awake = Some(secs(20));
    }
    let last = wakes.last().unwrap().at;
    let next = |wakes: &[Wake]| learn(wakes).or_guess(None).next(last + secs(100));
    assert_eq!(next(&wakes), Some(last + secs(600)));
    wakes.last_mut().unwrap().awake = Some(secs(80));
    assert_eq!(next(&wakes), Some(last + secs(660)));
    // Even when it was awake for longer than it sleeps.
    wakes.last_mut().unwrap().awake = Some(secs(1_020));
    assert_eq!(next(&wakes), Some(last + secs(1_600)));
}

#[test]
fn after_a_longer_wake_it_rushes_for_a_device_that_wakes_by_a_clock_too() {
    for count in 4..12 {
        let mut wakes = spaced(&vec![600; count]);
        for wake in &mut wakes {
            wake.awake = Some(secs(20));
        }
        let wake = wakes.last_mut().unwrap();
        wake.awake = Some(secs(80));
        let last = wake.at;
        let schedule = learn(&wakes).or_guess(None);
        let rushes = |moment| {
            let (from, until) = schedule.rush(moment).unwrap();
            from <= moment && moment <= until
        };
        assert!(rushes(last + secs(600)), "by a clock, {count}");
        assert!(count >= 8 || rushes(last + secs(660)), "counted, {count}");
        assert!(!rushes(last + secs(300)), "{count}");
    }
}

#[test]
fn what_is_learned_of_the_window_does_not_shorten_a_configured_period() {
    let plan = SleepPlan::read(None, Some("60s")).unwrap();
    let mut wakes = spaced(&[80, 80]);
    for wake in &mut wakes {
        wake.awake = Some(secs(20));
    }
    let last = wakes.last().unwrap().at;
    let schedule = learn(&wakes).or_guess(Some(&plan));
    assert_eq!(schedule.rhythm, Rhythm::Configured);
    assert_eq!(schedule.next(last + secs(30)), Some(last + secs(80)));
}

#[test]
fn the_window_is_the_usual_length_of_undisturbed_wakes() {
    let mut wakes = spaced(&[600; 6]);
    for (wake, length) in wakes.iter_mut().zip([20, 21, 300, 19, 20, 22]) {
        wake.awake = Some(secs(length));
        wake.flashed = length == 300;
    }
    assert_eq!(learn(&wakes).window, Some(secs(20)));
}

#[test]
fn a_device_is_late_only_after_what_it_could_have_done_while_somebody_listened() {
    let wakes = spaced(&[600, 600, 600, 600]);
    let schedule = learn(&wakes);
    let last = wakes.last().unwrap().at;
    assert_eq!(schedule.missed(last + secs(605), at(START)), 0);
    assert_eq!(schedule.missed(last + secs(620), at(START)), 1);
    assert_eq!(schedule.missed(last + secs(1_820), at(START)), 3);
    let resumed = last + secs(30_010);
    assert_eq!(schedule.missed(resumed + secs(30), resumed), 0, "nobody listened until now");
    assert_eq!(schedule.missed(resumed + secs(560), resumed), 0);
    assert_eq!(schedule.missed(resumed + secs(620), resumed), 1);
    assert_eq!(schedule.missed(at(0), at(0)), 0, "the clock was set back");
    assert_eq!(schedule.next(at(0)), None);
}

#[test]
fn it_rushes_around_the_expected_wake_only() {
    let wakes = spaced(&[600, 600, 600, 600]);
    let schedule = learn(&wakes);
    let last = wakes.last().unwrap().at;
    let (from, until) = schedule.rush(last + secs(10)).unwrap();
    assert!(from < last + secs(597) && until > last + secs(603));
    assert!(until.since(from) < secs(20));
    assert_eq!(schedule.rush(last + secs(600)), Some((from, until)), "still the same one");
    assert!(schedule.rush(until).unwrap().0 > last + secs(1_100), "then the next one");
    assert_eq!(learn(&spaced(&[10; 10])).rush(at(START + 101_000)), None, "it would always rush");
}

/// A device that wakes by itself, and an observer that misses some of it.
#[derive(Clone, Debug)]
struct Simulated {
    period: f64,
    /// Of each wake against the schedule, as a share of the period.
    jitter: f64,
    /// Whether what is off adds up: the device counts its sleep instead of following a clock.
    drifts: bool,
    missed: f64,
    wakes: usize,
}

impl Simulated {
    fn times(&self, rng: &mut TestRng) -> Vec<i64> {
        let mut schedule = 0.0;
        let mut times = Vec::new();
        while times.len() < self.wakes {
            let off = self.period * self.jitter * (rng.random::<f64>() * 2.0 - 1.0);
            schedule += self.period + if self.drifts { off } else { 0.0 };
            let wake = schedule + if self.drifts { 0.0 } else { off };
            if rng.random::<f64>() >= self.missed {
                times.push(START + (wake * 1_000.0) as i64);
            }
        }
        times
    }
}

/// Whether the last wakes were missed in such a way that the device may as well have got a longer period: three
/// intervals of the same multiple in a row, at the end.
pub(super) fn looks_changed(times: &[i64], period: f64) -> bool {
    let multiples = times.windows(2).rev().map(|pair| {
        let multiple = (pair[1] - pair[0]) as f64 / 1_000.0 / period;
        multiple.round() as i64
    });
    let last: Vec<i64> = multiples.take(3).collect();
    last[0] > 1 && last.iter().all(|multiple| *multiple == last[0])
}

fn simulated() -> impl Strategy<Value = Simulated> {
    (30.0..86_400.0_f64, 0.0..0.04_f64, any::<bool>(), 0.0..0.35_f64, 14..60_usize).prop_map(
        |(period, jitter, drifts, missed, wakes)| Simulated {
            period,
            jitter,
            drifts,
            missed,
            wakes,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_period_of_a_simulated_device_is_learned(device in simulated(), mut rng in Just(()).prop_perturb(|(), rng| rng)) {
        let times = device.times(&mut rng);
        prop_assume!(!looks_changed(&times, device.period));
        let schedule = learn(&wakes(times.clone()));
        prop_assert_eq!(schedule.rhythm, Rhythm::Regular);
        period_is(&schedule, device.period, 0.03);
        let last = at(*times.last().unwrap());
        let next = schedule.next(last + secs(1)).expect("it is expected");
        let away = next.since(last).as_secs_f64();
        prop_assert!((away - device.period).abs() <= device.period * 0.3 + 3.0, "{away}");
    }

    #[test]
    fn most_wakes_of_a_steady_device_come_when_they_are_rushed_for(
        device in simulated().prop_map(|device| Simulated { missed: 0.0, period: device.period.max(300.0), ..device }),
        mut rng in Just(()).prop_perturb(|(), rng| rng),
    ) {
        let all = Simulated { wakes: 60, ..device }.times(&mut rng);
        let mut rushed = 0;
        for seen in 20..all.len() {
            let schedule = learn(&wakes(all.iter().copied().take(seen)));
            let (from, until) = schedule.rush(at(all[seen - 1]) + secs(1)).expect("it concentrates");
            let wake = at(all[seen]);
            rushed += usize::from(from <= wake && wake <= until);
        }
        prop_assert!(rushed * 10 >= (all.len() - 20) * 8, "{rushed} of {}", all.len() - 20);
    }

    #[test]
    fn a_device_without_rhythm_seldom_seems_to_have_one(mut rng in Just(()).prop_perturb(|(), rng| rng)) {
        let mut regular = 0;
        for _ in 0..40 {
            let mut time = START as f64;
            let times: Vec<i64> = (0..20).map(|_| {
                time += -600_000.0 * (1.0 - rng.random::<f64>()).ln();
                time as i64
            }).collect();
            regular += usize::from(learn(&wakes(times)).rhythm == Rhythm::Regular);
        }
        prop_assert!(regular <= 12, "{regular} of 40");
    }

    #[test]
    fn a_clock_that_jumps_breaks_nothing(
        device in simulated(),
        jumps in prop::collection::vec((0..60_usize, -4_000_000_000_000..4_000_000_000_000_i64), 0..4),
        now in any::<i64>(),
        mut rng in Just(()).prop_perturb(|(), rng| rng),
    ) {
        let mut times = device.times(&mut rng);
        for (from, by) in &jumps {
            for time in times.iter_mut().skip(*from) {
                *time = time.saturating_add(*by);
            }
        }
        let schedule = learn(&wakes(times.clone()));
        let _ = (schedule.next(at(now)), schedule.rush(at(now)), schedule.missed(at(now), at(now)));
        let settled = jumps.iter().all(|(from, _)| from + 8 < times.len() || *from >= times.len());
        if settled && device.missed == 0.0 {
            period_is(&schedule, device.period, 0.03);
        }
    }

    #[test]
    fn any_times_give_a_schedule_that_holds_together(
        times in prop::collection::vec(-FAR..FAR, 0..40),
        now in -FAR..FAR,
        since in -FAR..FAR,
    ) {
        let schedule = learn(&wakes(times));
        if let Some(next) = schedule.next(at(now)) {
            prop_assert!(next + schedule.spread >= at(now));
        }
        let _ = (schedule.rush(at(now)), schedule.missed(at(now), at(since)));
    }
}

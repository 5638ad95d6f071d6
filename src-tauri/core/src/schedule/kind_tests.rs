use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::super::tests::looks_changed;
use super::super::*;

const START: i64 = 1_700_000_000_000;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wake(number: usize, at: Timestamp, awake: u64, flashed: bool) -> Wake {
    Wake { number: u32::try_from(number).unwrap(), at, awake: Some(secs(awake)), flashed }
}

/// Wakes of these lengths, in seconds, with so much sleep between them; what is longer than usual is a flash.
fn counted(usual: u64, sleep: u64, lengths: &[u64]) -> Vec<Wake> {
    let mut at = Timestamp::from_millis(START);
    let mut wakes = Vec::new();
    for (number, length) in lengths.iter().enumerate() {
        wakes.push(wake(number, at, *length, *length > usual));
        at = at + secs(length + sleep);
    }
    wakes
}

/// The same with so much time from one wake to the next one.
fn by_clock(usual: u64, period: u64, lengths: &[u64]) -> Vec<Wake> {
    let mut wakes = counted(usual, 0, lengths);
    for (wake, number) in wakes.iter_mut().zip(0..) {
        wake.at = Timestamp::from_millis(START) + secs(period * number);
    }
    wakes
}

#[track_caller]
fn expects(wakes: &[Wake], plan: Option<&SleepPlan>, period: u64, next: u64) {
    let schedule = Schedule::learn(wakes).or_guess(plan);
    assert_eq!(schedule.rhythm, Rhythm::Regular, "{schedule:?}");
    let found = schedule.period.unwrap().as_millis();
    assert!(found.abs_diff(u128::from(period) * 1_000) < 1_000, "{found} ms");
    let last = wakes.last().unwrap().at;
    let expected = schedule.next(last + secs(1)).unwrap().since(last).as_millis();
    assert!(expected.abs_diff(u128::from(next) * 1_000) < 2_000, "in {expected} ms");
}

#[test]
fn flashes_do_not_hide_the_rhythm_of_a_device_that_counts_its_sleep() {
    let plan = SleepPlan::read(Some("15s"), Some("30s"));
    for lengths in [
        &[15, 24, 23, 15, 26, 15][..],
        &[24, 15, 31, 15, 24],
        &[15, 15, 23, 40, 28, 25, 33],
        &[15, 24, 15, 150, 15, 24],
    ] {
        let wakes = counted(15, 30, lengths);
        for plan in [None, plan.as_ref()] {
            expects(&wakes, plan, 45, lengths.last().unwrap() + 30);
        }
    }
}

#[test]
fn a_device_of_which_only_flashes_were_seen_has_a_rhythm() {
    let lengths = [28, 23, 40, 25, 31];
    let wakes = counted(15, 30, &lengths);
    expects(&wakes, None, 53, 31 + 30);
    let plan = SleepPlan::read(Some("15s"), Some("30s"));
    expects(&wakes, plan.as_ref(), 45, 31 + 30);
    let mut wakes = wakes;
    wakes.last_mut().unwrap().awake = None;
    expects(&wakes, plan.as_ref(), 45, 45);
}

#[test]
fn a_flash_whose_end_nobody_saw_tells_nothing() {
    let mut wakes = counted(15, 30, &[15, 15, 24, 15, 60, 15, 15]);
    wakes[4].awake = None;
    expects(&wakes, None, 45, 45);
}

#[test]
fn a_device_that_wakes_by_a_clock_is_recognised_by_its_flashes() {
    let lengths = [20, 80, 20, 20, 95, 80];
    expects(&by_clock(20, 600, &lengths), None, 600, 600);
    let lengths = [15, 24, 15, 15, 24, 26];
    expects(&by_clock(15, 60, &lengths), None, 60, 60);
    expects(&counted(15, 45, &lengths), None, 60, 71);
}

#[test]
fn a_long_wake_says_how_late_the_next_one_is_whatever_place_the_wakes_have() {
    // So regular that a clock would explain the rest as well.
    let mut lengths = vec![20; 20];
    for long in [6, 12, 19] {
        lengths[long] = 50;
    }
    expects(&counted(20, 580, &lengths), None, 600, 630);
    expects(&by_clock(20, 600, &lengths), None, 600, 600);
}

#[test]
fn wakes_that_agree_on_nothing_go_by_the_configuration_if_they_fit_it() {
    let plan = SleepPlan::read(Some("15s"), Some("30s")).unwrap();
    let spaced = |seconds: &[u64]| {
        let mut at = Timestamp::from_millis(START);
        let mut wakes = vec![Wake { number: 0, at, awake: None, flashed: false }];
        for (step, number) in seconds.iter().zip(1..) {
            at = at + secs(*step);
            wakes.push(Wake { number, at, awake: None, flashed: false });
        }
        wakes
    };
    for steps in [&[45, 135, 90, 4_000][..], &[90, 52, 700, 92, 45], &[86_400, 40_000, 80_000, 900]]
    {
        let wakes = spaced(steps);
        let learned = Schedule::learn(&wakes);
        assert_eq!(learned.or_guess(None).rhythm, Rhythm::Irregular, "{steps:?}");
        let schedule = learned.or_guess(Some(&plan));
        assert_eq!(schedule.rhythm, Rhythm::Configured, "{steps:?}");
        let last = wakes.last().unwrap().at;
        assert_eq!(schedule.next(last + secs(1)), Some(last + secs(45)));
    }
    for steps in [&[20, 64, 70, 110][..], &[45, 135, 90, 64, 20]] {
        let schedule = Schedule::learn(&spaced(steps)).or_guess(Some(&plan));
        assert_eq!(schedule.rhythm, Rhythm::Irregular, "{steps:?}");
    }
}

/// A device that is flashed now and then.
#[derive(Clone, Debug)]
struct Simulated {
    usual: f64,
    sleep: f64,
    /// Of its sleep and of its wakes.
    jitter: f64,
    counts: bool,
    flashed: f64,
    missed: f64,
    wakes: usize,
}

impl Simulated {
    /// The wakes that were seen, and when the next one was.
    fn wakes(&self, rng: &mut TestRng) -> (Vec<Wake>, Timestamp) {
        let mut wakes = Vec::new();
        let (mut at, mut alarm) = (0.0, 0.0);
        let mut off = |share: f64| share * (rng.random::<f64>() * 2.0 - 1.0);
        let period = self.usual + self.sleep;
        let time = |seconds: f64| Timestamp::from_millis(START + (seconds * 1_000.0) as i64);
        while wakes.len() < self.wakes {
            let flashed = (off(0.5) + 0.5) < self.flashed;
            let longer =
                if flashed { 8.0 + (off(0.5) + 0.5) * period.min(60.0) * 0.5 } else { 0.0 };
            let awake = self.usual * (1.0 + off(self.jitter)) + longer;
            if (off(0.5) + 0.5) >= self.missed || flashed {
                let number = u32::try_from(wakes.len()).unwrap();
                let awake = Some(Duration::from_secs_f64(awake));
                wakes.push(Wake { number, at: time(at), awake, flashed });
            }
            alarm += period;
            at = if self.counts {
                at + awake + self.sleep * (1.0 + off(self.jitter))
            } else {
                alarm + period * off(self.jitter)
            };
        }
        (wakes, time(at))
    }
}

fn simulated(counts: bool) -> impl Strategy<Value = Simulated> {
    let flashed = prop::sample::select(vec![0.1, 0.3, 0.6]);
    let missed = prop::sample::select(vec![0.0, 0.0, 0.15]);
    (10.0..40.0_f64, 30.0..900.0_f64, 0.0..0.02_f64, flashed, missed, 10..24_usize).prop_map(
        move |(usual, sleep, jitter, flashed, missed, wakes)| {
            // What wakes by a clock has slept when it wakes.
            let sleep = if counts { sleep } else { sleep.max(60.0) };
            Simulated { usual, sleep, jitter, counts, flashed, missed, wakes }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn flashes_spoil_no_schedule_of_who_counts_its_sleep(
        device in simulated(true),
        mut rng in Just(()).prop_perturb(|(), rng| rng),
    ) {
        let (wakes, then) = device.wakes(&mut rng);
        let schedule = Schedule::learn(&wakes).or_guess(None);
        prop_assert_eq!(schedule.rhythm, Rhythm::Regular, "{:?}", wakes);
        if device.missed == 0.0 {
            let last = wakes.last().unwrap();
            let next = schedule.next(last.at + secs(1)).expect("it is expected");
            let off = then.as_millis().abs_diff(next.as_millis());
            let most = 3_000.0 + (device.usual + device.sleep) * 1_000.0 * device.jitter * 4.0;
            prop_assert!((off as f64) < most, "off by {} ms: {:?}\n{:?}", off, schedule, wakes);
        }
    }

    #[test]
    fn flashes_spoil_no_schedule_of_who_wakes_by_a_clock(
        device in simulated(false),
        mut rng in Just(()).prop_perturb(|(), rng| rng),
    ) {
        let (wakes, then) = device.wakes(&mut rng);
        let schedule = Schedule::learn(&wakes).or_guess(None);
        prop_assert_eq!(schedule.rhythm, Rhythm::Regular, "{:?}", wakes);
        let period = schedule.period.unwrap().as_secs_f64();
        let real = device.usual + device.sleep;
        let times: Vec<i64> = wakes.iter().map(|wake| wake.at.as_millis()).collect();
        prop_assume!(!looks_changed(&times, real));
        prop_assert!((period - real).abs() < real * 0.04, "{period} of {real}: {:?}", wakes);
        let flashes = wakes.iter().rev().skip(1).filter(|wake| wake.flashed).count();
        if device.missed == 0.0 && device.jitter < 0.005 && flashes >= 3 {
            let next = schedule.next(wakes.last().unwrap().at + secs(1)).expect("it is expected");
            let off = then.as_millis().abs_diff(next.as_millis());
            prop_assert!((off as f64) < 3_000.0 + real * 20.0, "off by {} ms: {:?}", off, schedule);
        }
    }
}

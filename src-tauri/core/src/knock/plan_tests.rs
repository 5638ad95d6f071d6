use core::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::knock::{HOT, Purpose};

const PERIOD: Duration = Duration::from_secs(2);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ip(last: u8) -> TargetAddress {
    TargetAddress::Ip(IpAddr::from([192, 168, 1, last]))
}

fn target(update: u32, addresses: &[TargetAddress]) -> Target {
    Target {
        claimed: Vec::new(),
        recognised: false,
        update: UpdateId(update),
        name: format!("device{update}"),
        other_name: None,
        link_addresses: Vec::new(),
        addresses: addresses.to_vec(),
        avoid: Vec::new(),
        ports: vec![3232],
        purpose: Purpose::Capture,
        period: PERIOD,
    }
}

fn plan() -> Plan {
    Plan::new(Limits { under_way: 8, per_second: 100 })
}

fn start_one(plan: &mut Plan, now: Duration) -> Attempt {
    let mut due = plan.start_due(now);
    assert_eq!(due.len(), 1, "{due:?}");
    due.remove(0)
}

fn fail(plan: &mut Plan, now: Duration, attempt: &Attempt) {
    assert!(plan.ended(now, attempt.id, Outcome::Failure).is_empty());
}

/// Runs the plan until `end`; nobody answers. Returns when attempts began.
fn run(plan: &mut Plan, from: Duration, end: Duration) -> Vec<(Duration, Attempt)> {
    let (mut now, mut flying) = (from, Vec::<(Duration, u64)>::new());
    let mut begun = Vec::new();
    loop {
        for attempt in plan.start_due(now) {
            flying.retain(|(_, id)| Some(*id) != attempt.replaces);
            flying.push((now + attempt.timeout, attempt.id));
            begun.push((now, attempt));
        }
        let given_up = flying.iter().map(|(at, _)| *at).min();
        let next = given_up.into_iter().chain(plan.next_deadline()).min();
        let Some(next) = next.filter(|next| *next < end) else { return begun };
        assert!(next > now || given_up == Some(now), "no progress at {now:?}");
        now = now.max(next);
        for (_, id) in flying.extract_if(.., |(at, _)| *at <= now) {
            plan.ended(now, id, Outcome::Failure);
        }
    }
}

#[test]
fn a_new_target_is_due_at_once_and_then_when_its_attempt_is_over() {
    let mut plan = plan();
    assert_eq!(plan.next_deadline(), None);
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    let first = start_one(&mut plan, ms(0));
    assert_eq!((first.timeout, plan.next_deadline()), (ms(4000), Some(ms(4000))));
    plan.set_targets(ms(1600), &[target(1, &[ip(1)])]);
    assert!(plan.start_due(ms(3999)).is_empty(), "the list as it was changes no turn");
    fail(&mut plan, ms(4000), &first);
    start_one(&mut plan, ms(4000));
    let sooner = Target { period: ms(250), ..target(1, &[ip(1)]) };
    plan.set_targets(ms(4100), &[sooner]);
    assert_eq!(plan.next_deadline(), Some(ms(4350)), "a shorter period counts at once");
}

#[test]
fn an_attempt_that_fails_early_is_repeated_after_its_period() {
    for outcome in [Outcome::Failure, Outcome::Refused] {
        let mut plan = plan();
        plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
        // Refused for long: that is no sign of life any more.
        let mut now = ms(0);
        while now < ms(20_000) {
            for attempt in plan.start_due(now) {
                plan.ended(now, attempt.id, outcome);
            }
            now = plan.next_deadline().unwrap();
        }
        let attempt = start_one(&mut plan, now);
        plan.ended(now + ms(3), attempt.id, outcome);
        assert_eq!(plan.next_deadline(), Some(now + PERIOD), "{outcome:?}");
        let attempt = start_one(&mut plan, now + PERIOD);
        plan.ended(now + PERIOD + ms(3000), attempt.id, outcome);
        start_one(&mut plan, now + PERIOD + ms(3000));
    }
}

/// The times between two SYNs at an address: those of the attempts, and their repetitions by a system that
/// repeats them after 1 and 3 s.
fn gaps(begun: &[(Duration, Attempt)]) -> Vec<Duration> {
    let mut syns: Vec<Duration> = Vec::new();
    for (at, attempt) in begun {
        let repeated = [ms(0), ms(1000), ms(3000)].into_iter();
        syns.extend(repeated.filter(|after| *after < attempt.timeout).map(|after| *at + after));
    }
    syns.sort_unstable();
    syns.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn an_attempt_is_long_only_where_it_is_in_nobodys_way() {
    let limits = Limits { under_way: 40, per_second: 100 };
    let alone: Vec<Target> = (0..30).map(|n| target(n, &[ip(u8::try_from(n).unwrap())])).collect();
    let crowd: Vec<Target> = (0..31).map(|n| target(n, &[ip(u8::try_from(n).unwrap())])).collect();
    let shared = [target(1, &[ip(1)]), target(2, &[ip(1)]), target(3, &[ip(3)])];
    for (targets, short) in
        [(&alone[..], vec![]), (&crowd, (0..31).collect()), (&shared, vec![1, 2])]
    {
        let mut plan = Plan::new(limits);
        plan.set_targets(ms(0), targets);
        let begun = run(&mut plan, ms(0), ms(60_000));
        for (_, attempt) in &begun {
            let is_short = attempt.timeout == ms(1500);
            assert_eq!(is_short, short.contains(&attempt.spot.update.0), "{attempt:?}");
        }
        for update in targets.iter().map(|target| target.update).filter(|id| !short.contains(&id.0))
        {
            let own: Vec<_> =
                begun.iter().filter(|(_, a)| a.spot.update == update).cloned().collect();
            assert!(own.len() <= 16, "{}", own.len());
            assert!(gaps(&own).iter().all(|gap| *gap <= PERIOD), "{:?}", gaps(&own));
        }
    }
}

#[test]
fn slow_attempts_begin_together() {
    let mut plan = Plan::new(Limits { under_way: 400, per_second: 150 });
    let targets: Vec<Target> =
        (0..200).map(|n| target(n, &[ip(u8::try_from(n).unwrap())])).collect();
    plan.set_targets(ms(0), &targets);
    let begun = run(&mut plan, ms(0), ms(60_000));
    let later = || begun.iter().filter(|(at, _)| *at >= ms(10_000));
    assert!(later().count() >= 200 * 12, "{}", later().count());
    assert!(later().all(|(at, _)| at.as_millis().is_multiple_of(250)), "not on the grid");
}

#[test]
fn after_a_fast_time_the_attempts_follow_one_another_again() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    plan.evidence(ms(0), "device1");
    let begun = run(&mut plan, ms(0), ms(60_000));
    let slow = begun.iter().filter(|(at, _)| *at >= ms(10_000)).count();
    assert!((12..=13).contains(&slow), "{slow}");
}

fn names(count: u32) -> Vec<Target> {
    let name = |n| TargetAddress::Name(format!("device{n}.local"));
    (0..count).map(|n| target(n, &[name(n)])).collect()
}

#[test]
fn many_names_are_looked_up_less_often_each() {
    let mut plan = Plan::new(Limits { under_way: 256, per_second: 150 });
    plan.set_targets(ms(0), &names(200));
    let first = run(&mut plan, ms(0), ms(1_000));
    assert_eq!(first.len(), 10, "a few at once");
    let begun = run(&mut plan, ms(1_000), ms(190_000));
    assert_eq!(begun.len(), 189, "each in its turn");
    assert!(begun.windows(2).all(|pair| pair[1].0 - pair[0].0 >= ms(1_000)), "not in bursts");
    plan.evidence(ms(190_010), "device7");
    let first = plan.start_due(ms(190_010)).remove(0);
    assert_eq!(first.spot.update, UpdateId(7), "evidence comes first");
}

#[test]
fn names_have_their_turn_beside_addresses_that_take_all_places() {
    let mut plan = Plan::new(Limits { under_way: 4, per_second: 100 });
    let mut targets: Vec<_> = (0..100).map(|n| target(200 + n, &[ip(n as u8)])).collect();
    targets.extend(names(3));
    plan.set_targets(ms(0), &targets);
    let begun = run(&mut plan, ms(0), ms(60_000));
    let looked_up = begun.iter().filter(|(_, a)| matches!(a.spot.address, TargetAddress::Name(_)));
    assert!(looked_up.count() >= 15, "three names every 10 s");
}

#[test]
fn names_that_go_give_their_turns_back() {
    let mut plan = Plan::new(Limits { under_way: 256, per_second: 150 });
    let targets = names(300);
    plan.set_targets(ms(0), &targets);
    run(&mut plan, ms(0), ms(30_000));
    // Paused and resumed.
    plan.set_targets(ms(30_000), &[]);
    plan.set_targets(ms(31_000), &targets);
    let begun = run(&mut plan, ms(31_000), ms(61_000));
    assert!((25..=45).contains(&begun.len()), "{}", begun.len());
    plan.set_targets(ms(61_000), &targets[..1]);
    let begun = run(&mut plan, ms(61_000), ms(200_000));
    let times: Vec<_> = begun.iter().map(|(at, _)| *at).collect();
    assert!(times[0] <= ms(71_000), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == LOOKUP_PERIOD), "{times:?}");
}

#[test]
fn a_name_that_was_never_looked_up_comes_before_those_that_were() {
    let mut plan = Plan::new(Limits { under_way: 256, per_second: 150 });
    let targets = names(101);
    plan.set_targets(ms(0), &targets[..100]);
    run(&mut plan, ms(0), ms(150_000));
    plan.set_targets(ms(150_000), &targets);
    let begun = run(&mut plan, ms(150_000), ms(152_000));
    assert_eq!(begun[0].1.spot.update, UpdateId(100));
}

#[test]
fn after_evidence_of_life_it_is_knocked_at_once_and_often() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1)]), target(2, &[ip(2)])]);
    assert_eq!(plan.start_due(ms(0)).len(), 2);
    plan.evidence(ms(700), "DEVICE1");
    plan.evidence(ms(700), "somebody else");
    let begun = run(&mut plan, ms(700), ms(700) + HOT);
    let (one, two): (Vec<_>, Vec<_>) =
        begun.iter().partition(|(_, attempt)| attempt.spot.update == UpdateId(1));
    assert_eq!(two.len(), 1, "others keep their pace");
    let times: Vec<_> = one.iter().map(|(at, _)| *at - ms(700)).collect();
    assert_eq!(times[..6], [ms(0), ms(50), ms(150), ms(400), ms(650), ms(900)]);
    assert!(times.len() <= 24, "{times:?}");
    let later = run(&mut plan, ms(700) + HOT, ms(20_000));
    let later: Vec<_> = later.iter().filter(|(_, a)| a.spot.update == UpdateId(1)).collect();
    assert!(later.len() <= 5, "the slow pace is back: {later:?}");
}

#[test]
fn a_refusal_is_a_sign_of_life_but_not_for_ever() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    let mut now = ms(0);
    let mut begun = Vec::new();
    while now < ms(60_000) {
        for attempt in plan.start_due(now) {
            begun.push(now);
            plan.ended(now, attempt.id, Outcome::Refused);
        }
        now = plan.next_deadline().unwrap();
    }
    assert!(begun[1] <= ms(50) && begun[2] <= ms(150) && begun[3] <= ms(400), "{begun:?}");
    let fast = begun.iter().filter(|at| **at < HOT).count();
    assert!((20..=24).contains(&fast), "{fast}");
    assert!(begun.len() - fast <= 28, "a port that stays closed is knocked at slowly");
}

#[test]
fn a_success_gives_rest_to_all_addresses_of_the_update() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1), ip(2)])]);
    let both = plan.start_due(ms(0));
    let useless = plan.ended(ms(30), both[0].id, Outcome::Success);
    assert_eq!(useless, [both[1].id]);
    plan.evidence(ms(40), "device1");
    assert!(plan.start_due(ms(40)).is_empty(), "the connection is in good hands");
    assert!(plan.is_resting(ms(40), UpdateId(1)));
    plan.set_targets(ms(50), &[target(1, &[ip(1), ip(2), ip(3)])]);
    assert!(plan.start_due(ms(50)).is_empty(), "nor at a new address");
    assert_eq!(plan.next_deadline(), Some(ms(2030)));
    assert_eq!(plan.start_due(ms(2030)).len(), 3, "nobody took it off the list");
    assert!(plan.ended(ms(2040), both[1].id, Outcome::Success).is_empty(), "it was given up");
}

#[test]
fn an_update_that_comes_back_on_the_list_is_knocked_at_once() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    let attempt = start_one(&mut plan, ms(0));
    plan.ended(ms(10), attempt.id, Outcome::Success);
    plan.set_targets(ms(20), &[]);
    plan.set_targets(ms(30), &[target(1, &[ip(1)])]);
    start_one(&mut plan, ms(30));
}

#[test]
fn what_is_no_longer_wanted_is_named() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1)]), target(2, &[ip(2)])]);
    let both = plan.start_due(ms(0));
    assert_eq!(plan.set_targets(ms(5), &[target(2, &[ip(2)])]), [both[0].id]);
}

#[test]
fn evidence_brings_a_new_address_forward() {
    let mut plan = plan();
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    start_one(&mut plan, ms(0));
    plan.evidence(ms(500), "device1");
    plan.set_targets(ms(501), &[target(1, &[ip(1), ip(9)])]);
    let at: Vec<_> = plan.start_due(ms(501)).into_iter().map(|a| a.spot.address).collect();
    assert_eq!(at, [ip(1), ip(9)]);
}

#[test]
fn a_device_that_is_being_renamed_is_known_by_both_names() {
    let mut plan = plan();
    let renamed = Target { other_name: Some("Porch".into()), ..target(1, &[ip(1)]) };
    plan.set_targets(ms(0), &[renamed]);
    start_one(&mut plan, ms(0));
    plan.evidence(ms(300), "porch");
    start_one(&mut plan, ms(300));
}

#[test]
fn two_updates_take_turns_at_one_address() {
    for period in [PERIOD, ms(250)] {
        let mut plan = plan();
        let both = [1, 2].map(|n| Target { period, ..target(n, &[ip(1)]) });
        plan.set_targets(ms(0), &both);
        let begun = run(&mut plan, ms(0), ms(20_000));
        let turns = [1, 2].map(|n| begun.iter().filter(|b| b.1.spot.update == UpdateId(n)).count());
        assert!(turns[0] >= 4 && turns[0].abs_diff(turns[1]) <= 2, "{turns:?}");
    }
}

#[test]
fn the_fleet_is_bounded_and_everybody_has_a_turn() {
    let mut plan = Plan::new(Limits { under_way: 256, per_second: 150 });
    let targets: Vec<Target> = (0..1000_u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            let at = TargetAddress::Ip(IpAddr::from([10, 0, high, low]));
            target(u32::from(n), &[at])
        })
        .collect();
    plan.set_targets(ms(0), &targets);
    let begun = run(&mut plan, ms(0), ms(60_000));
    let mut turns = BTreeMap::<UpdateId, usize>::new();
    for (_, attempt) in &begun {
        *turns.entry(attempt.spot.update).or_default() += 1;
    }
    assert_eq!(turns.len(), 1000);
    let counts: BTreeSet<usize> = turns.values().copied().collect();
    assert!(counts.len() <= 2, "everybody as often as everybody else: {counts:?}");
    assert!((8900..=9100).contains(&begun.len()), "{}", begun.len());
    plan.evidence(ms(60_000), "device3");
    let now = plan.start_due(ms(60_000));
    assert!(now.iter().any(|a| a.spot.update == UpdateId(3)), "evidence comes first");
}

#[test]
fn a_name_is_looked_up_less_often() {
    let mut plan = plan();
    let name = TargetAddress::Name("sleepy.local".into());
    plan.set_targets(ms(0), &[target(1, &[name])]);
    let lookup = start_one(&mut plan, ms(0));
    assert_eq!(lookup.timeout, LOOKUP_TIMEOUT);
    assert!(plan.ended(ms(10), lookup.id, Outcome::Success).is_empty());
    assert_eq!(plan.next_deadline(), Some(LOOKUP_PERIOD));
    plan.evidence(ms(20), "device1");
    assert_eq!(plan.next_deadline(), Some(LOOKUP_FRESH), "the answer is still fresh");
    start_one(&mut plan, LOOKUP_FRESH);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Evidence(u32),
    End(prop::sample::Index, Outcome),
    Targets(Vec<(u32, u8, u64)>),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop::sample::select(vec![Outcome::Failure, Outcome::Refused, Outcome::Success]);
    let wanted = (0..6_u32, 0..4_u8, prop::sample::select(vec![250, 2000]));
    prop_oneof![
        5 => (1..600_u64).prop_map(Step::Wait),
        2 => (0..6_u32).prop_map(Step::Evidence),
        3 => (any::<prop::sample::Index>(), outcome).prop_map(|(i, o)| Step::End(i, o)),
        1 => prop::collection::vec(wanted, 0..10).prop_map(Step::Targets),
    ]
}

fn targets_of(list: &[(u32, u8, u64)]) -> Vec<Target> {
    let mut by_update = BTreeMap::<u32, Target>::new();
    for (update, at, period) in list {
        let target = by_update.entry(*update).or_insert_with(|| target(*update, &[]));
        target.period = ms(*period);
        target.addresses.push(ip(*at));
    }
    by_update.into_values().collect()
}

proptest! {
    #[test]
    fn whatever_happens_the_bounds_hold(steps in prop::collection::vec(step(), 1..120)) {
        let limits = Limits { under_way: 5, per_second: 20 };
        let mut plan = Plan::new(limits);
        let mut now = ms(0);
        let mut flying = BTreeMap::<u64, Spot>::new();
        let mut begun = Vec::new();
        plan.set_targets(now, &targets_of(&[(0, 0, 2000), (1, 1, 250), (2, 1, 250)]));
        for step in steps {
            match step {
                Step::Wait(time) => now += ms(time),
                Step::Evidence(n) => plan.evidence(now, &format!("device{n}")),
                Step::End(at, outcome) if !flying.is_empty() => {
                    let id = *flying.keys().nth(at.index(flying.len())).unwrap();
                    flying.remove(&id);
                    for useless in plan.ended(now, id, outcome) {
                        prop_assert!(flying.remove(&useless).is_some());
                    }
                }
                Step::End(..) => {}
                Step::Targets(list) => {
                    for id in plan.set_targets(now, &targets_of(&list)) {
                        prop_assert!(flying.remove(&id).is_some());
                    }
                }
            }
            for attempt in plan.start_due(now) {
                prop_assert!(!plan.is_resting(now, attempt.spot.update));
                if let Some(replaced) = attempt.replaces {
                    prop_assert_eq!(flying.remove(&replaced), Some(attempt.spot.clone()));
                }
                flying.insert(attempt.id, attempt.spot);
                begun.push(now);
            }
            prop_assert!(flying.len() <= 2 * limits.under_way);
            let second = begun.iter().filter(|at| now.saturating_sub(**at) < ms(1000)).count();
            prop_assert!(second <= 20 + 40 + 16, "{second} attempts in one second");
            for spot in flying.values() {
                let at_place = flying.values().filter(|s| s.address == spot.address);
                prop_assert!(at_place.clone().all(|s| s.update == spot.update));
                prop_assert!(at_place.count() <= MAX_FLIGHTS);
            }
            // Nothing that may start now is left to itself.
            prop_assert!(plan.next_deadline().is_none_or(|due| due > now));
        }
    }

    #[test]
    fn after_evidence_no_gap_is_longer_than_a_quarter_of_a_second(
        at in 0..10_000_u64,
        noise in prop::collection::vec(0..5_000_u64, 0..20),
    ) {
        let mut plan = plan();
        plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
        run(&mut plan, ms(0), ms(at));
        plan.evidence(ms(at), "device1");
        let mut noise: Vec<u64> = noise.into_iter().map(|time| at + time).collect();
        noise.sort_unstable();
        let mut begun = Vec::new();
        let mut from = ms(at);
        for time in noise.into_iter().chain([at + 5_000]) {
            begun.extend(run(&mut plan, from, ms(time)).into_iter().map(|(at, _)| at));
            from = ms(time);
            if time < at + 5_000 {
                plan.evidence(from, "device1");
            }
        }
        prop_assert!(begun[0] <= ms(at + 50), "{begun:?}");
        for pair in begun.windows(2) {
            prop_assert!(pair[1] - pair[0] <= STEADY, "{begun:?}");
        }
    }

    #[test]
    fn endless_chatter_costs_little(every in 5..400_u64) {
        let mut plan = plan();
        plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
        let mut attempts = 0;
        let mut time = 0;
        while time < 60_000 {
            plan.evidence(ms(time), "device1");
            attempts += run(&mut plan, ms(time), ms(time + every)).len();
            time += every;
        }
        prop_assert!(attempts <= 4 * 60 + 20, "{attempts} in a minute");
    }
}

use super::*;

const PERIOD: Duration = Duration::from_secs(2);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ip(last: u8) -> TargetAddress {
    TargetAddress::Ip(IpAddr::from([192, 168, 1, last]))
}

fn target(update: u32, addresses: &[TargetAddress]) -> Target {
    Target {
        update: UpdateId(update),
        name: format!("device{update}"),
        addresses: addresses.to_vec(),
        avoid: Vec::new(),
        port: 3232,
        purpose: Purpose::Capture,
        period: PERIOD,
    }
}

fn start_one(plan: &mut Plan, now: Duration) -> Attempt {
    let mut due = plan.start_due(now);
    assert_eq!(due.len(), 1, "{due:?}");
    due.remove(0)
}

fn fail(plan: &mut Plan, now: Duration, attempt: &Attempt) {
    assert!(plan.ended(now, attempt.id, &attempt.spot, Outcome::Failure).is_empty());
}

#[test]
fn a_new_target_is_due_at_once_and_then_once_per_period() {
    let mut plan = Plan::new(8);
    assert_eq!(plan.next_deadline(ms(0)), None);
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    let first = start_one(&mut plan, ms(0));
    assert!(plan.start_due(ms(5000)).is_empty(), "nothing piles up behind an attempt");
    fail(&mut plan, ms(1500), &first);
    assert_eq!(plan.next_deadline(ms(1500)), Some(PERIOD));
    plan.set_targets(ms(1600), &[target(1, &[ip(1)])]);
    assert!(plan.start_due(ms(1999)).is_empty(), "the list as it was changes no turn");
    start_one(&mut plan, PERIOD);
}

#[test]
fn a_nudge_is_due_at_once_and_replaces_a_stale_attempt() {
    let mut plan = Plan::new(8);
    plan.set_targets(ms(0), &[target(1, &[ip(1)]), target(2, &[ip(2)])]);
    let both = plan.start_due(ms(0));
    fail(&mut plan, ms(10), &both[0]);
    plan.nudge(ms(20), "DEVICE1");
    assert_eq!(start_one(&mut plan, ms(20)).replaces, None);
    plan.nudge(ms(100), "device2");
    assert!(plan.start_due(ms(100)).is_empty(), "its packets are just out");
    assert_eq!(plan.next_deadline(ms(100)), Some(FRESH));
    let again = start_one(&mut plan, FRESH);
    assert_eq!(again.replaces, Some(both[1].id));
    fail(&mut plan, FRESH, &both[1]);
    assert!(plan.start_due(ms(300)).is_empty(), "the end of a replaced attempt frees nothing");
    plan.nudge(ms(300), "somebody else");
    assert!(plan.start_due(ms(300)).is_empty());
}

#[test]
fn a_success_gives_rest_to_all_addresses_of_the_update() {
    let mut plan = Plan::new(8);
    plan.set_targets(ms(0), &[target(1, &[ip(1), ip(2)])]);
    let both = plan.start_due(ms(0));
    let useless = plan.ended(ms(30), both[0].id, &both[0].spot, Outcome::Success);
    assert_eq!(useless, [both[1].id]);
    plan.nudge(ms(40), "device1");
    assert!(plan.start_due(ms(40)).is_empty(), "the connection is in good hands");
    assert_eq!(plan.next_deadline(ms(40)), Some(ms(2030)));
    assert_eq!(plan.start_due(ms(2030)).len(), 2, "nobody took it off the list");
}

#[test]
fn an_update_that_comes_back_on_the_list_is_knocked_at_once() {
    let mut plan = Plan::new(8);
    plan.set_targets(ms(0), &[target(1, &[ip(1)])]);
    let attempt = start_one(&mut plan, ms(0));
    plan.ended(ms(10), attempt.id, &attempt.spot, Outcome::Success);
    plan.set_targets(ms(20), &[]);
    plan.set_targets(ms(30), &[target(1, &[ip(1)])]);
    start_one(&mut plan, ms(30));
}

#[test]
fn what_is_no_longer_wanted_is_named() {
    let mut plan = Plan::new(8);
    plan.set_targets(ms(0), &[target(1, &[ip(1)]), target(2, &[ip(2)])]);
    let both = plan.start_due(ms(0));
    assert_eq!(plan.set_targets(ms(5), &[target(2, &[ip(2)])]), [both[0].id]);
}

#[test]
fn two_updates_never_knock_at_one_address_together() {
    let mut plan = Plan::new(8);
    plan.set_targets(ms(0), &[target(1, &[ip(1)]), target(2, &[ip(1)])]);
    let first = start_one(&mut plan, ms(0));
    fail(&mut plan, ms(100), &first);
    let second = start_one(&mut plan, ms(100));
    assert_ne!(first.spot.update, second.spot.update);
}

#[test]
fn the_fleet_is_bounded_and_everybody_has_a_turn() {
    let mut plan = Plan::new(10);
    let targets: Vec<Target> = (0..50).map(|n| target(u32::from(n), &[ip(n)])).collect();
    plan.set_targets(ms(0), &targets);
    let mut turns = BTreeMap::<UpdateId, u32>::new();
    let mut flying: Vec<Attempt> = Vec::new();
    for round in 0..50 {
        let now = ms(round * 500);
        for attempt in flying.drain(..) {
            fail(&mut plan, now, &attempt);
        }
        flying = plan.start_due(now);
        assert!(flying.len() <= 10);
        for attempt in &flying {
            *turns.entry(attempt.spot.update).or_default() += 1;
        }
    }
    assert_eq!(turns.len(), 50);
    assert!(turns.values().all(|n| (9..=11).contains(n)), "{turns:?}");
    let nobody = plan.start_due(ms(24_500));
    assert!(nobody.is_empty(), "full");
    plan.nudge(ms(24_800), "device3");
    let three = plan.start_due(ms(24_800));
    assert!(
        three.iter().any(|a| a.spot.update == UpdateId(3))
            || flying.iter().any(|a| a.spot.update == UpdateId(3))
    );
}

#[test]
fn a_name_is_looked_up_less_often() {
    let mut plan = Plan::new(8);
    let name = TargetAddress::Name("sleepy.local".into());
    plan.set_targets(ms(0), &[target(1, &[name])]);
    let lookup = start_one(&mut plan, ms(0));
    assert!(plan.ended(ms(10), lookup.id, &lookup.spot, Outcome::Success).is_empty());
    assert_eq!(plan.next_deadline(ms(10)), Some(LOOKUP_PERIOD));
    plan.nudge(ms(20), "device1");
    start_one(&mut plan, ms(20));
}

use super::*;
use wakeflash_core::device::{SightingKind, Source};

fn sighting(name: &str) -> Sighting {
    Sighting {
        name: name.into(),
        source: Source::Answer([127, 0, 0, 1].into()),
        kind: SightingKind::Alive,
        addresses: Vec::new(),
        mac: None,
        link_address: None,
        version: None,
        config_hash: None,
        stamp: None,
        friendly_name: None,
        platform: None,
    }
}

/// Somebody at an address that leads nowhere.
fn online(names: &[&str]) -> Vec<OnlineDevice> {
    let device = |name: &&str| OnlineDevice { name: (*name).to_owned(), addresses: Vec::new() };
    names.iter().map(device).collect()
}

fn verifier(names: &[&str]) -> (Verifier, mpsc::Receiver<WatchEvent>) {
    let (events, received) = mpsc::channel(8);
    let (hearing, asking) = (Hearing::default(), JoinSet::new());
    let mut verifier = Verifier { events, hearing, devices: BTreeMap::new(), asking };
    verifier.set_online(&online(names));
    (verifier, received)
}

#[tokio::test(start_paused = true)]
async fn only_the_silent_are_asked_and_only_when_somebody_looks() {
    let (mut verifier, _events) = verifier(&["quiet", "loud"]);
    tokio::time::advance(SILENCE).await;
    verifier.hearing.is_there("loud");
    verifier.ask_due(false);
    assert_eq!(verifier.asking.len(), 0, "nobody looks");
    verifier.ask_due(true);
    verifier.ask_due(true);
    assert_eq!(verifier.asking.len(), 1, "once");
    assert_eq!(verifier.asking.join_next().await.unwrap().unwrap().0, "quiet");
    verifier.doubt("loud");
    verifier.doubt("nobody");
    verifier.ask_due(false);
    assert_eq!(verifier.asking.join_next().await.unwrap().unwrap().0, "loud", "it is doubted");
}

#[tokio::test(start_paused = true)]
async fn two_silences_are_death_and_an_answer_is_life() {
    let (mut verifier, mut events) = verifier(&["sleepy"]);
    verifier.found("sleepy".into(), Found::Silent).await;
    let answer = Found::Answered(Box::new(sighting("sleepy")));
    verifier.found("sleepy".into(), answer).await;
    assert!(matches!(events.try_recv(), Ok(WatchEvent::Seen(_))));
    verifier.found("sleepy".into(), Found::Silent).await;
    verifier.found("sleepy".into(), Found::Lives).await;
    verifier.found("sleepy".into(), Found::Silent).await;
    assert!(events.try_recv().is_err(), "once is an accident");
    verifier.found("sleepy".into(), Found::Silent).await;
    let Ok(WatchEvent::Silent { name }) = events.try_recv() else { panic!() };
    assert_eq!(name, "sleepy");
    verifier.set_online(&online(&["sleepy"]));
    assert_eq!(verifier.devices["sleepy"].1.silent, 0, "it has come back");
}

#[tokio::test(start_paused = true)]
async fn a_death_that_nobody_takes_in_is_found_out_again() {
    let (mut verifier, mut events) = verifier(&["plug"]);
    for _ in 0..2 {
        verifier.found("plug".into(), Found::Silent).await;
    }
    assert!(matches!(events.try_recv(), Ok(WatchEvent::Silent { .. })));
    // There was no network just then, so the device is still shown as Online, and the list is the same.
    tokio::time::advance(SILENCE).await;
    verifier.ask_due(true);
    assert_eq!(verifier.asking.len(), 1, "it is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_large_fleet_is_asked_little_by_little() {
    let names: Vec<String> = (0..300).map(|n| format!("d{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut verifier, _events) = verifier(&names);
    tokio::time::advance(SILENCE).await;
    for tick in 1..=10 {
        verifier.ask_due(true);
        assert!(verifier.asking.len() <= (tick * PER_TICK).min(LIMIT));
    }
    assert_eq!(verifier.asking.len(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn nobody_of_a_fleet_larger_than_can_be_asked_in_time_is_forgotten() {
    let names: Vec<String> = (0..1_500).map(|n| format!("d{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut verifier, _events) = verifier(&names);
    tokio::time::advance(SILENCE).await;
    let mut asked = BTreeSet::new();
    for _ in 0..60 {
        verifier.ask_due(true);
        while let Some(Ok((name, _))) = verifier.asking.join_next().await {
            asked.insert(name.clone());
            verifier.found(name, Found::Lives).await;
        }
        tokio::time::advance(TICK).await;
    }
    assert_eq!(asked.len(), names.len());
}

#[tokio::test]
async fn a_refused_connection_is_life() {
    let listener = tokio::net::TcpListener::bind("127.0.0.31:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    assert!(is_alive(at).await);
    drop(listener);
    assert!(is_alive(at).await, "somebody refuses");
}

use std::cell::Cell;

use tokio::time::sleep;
use wakeflash_core::device::{ConfigHash, Sighting};
use wakeflash_core::gate::{LiteralAddress, Standing};

use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
const OLD: ConfigHash = ConfigHash(1);
const NEW: ConfigHash = ConfigHash(2);
const KIB: u32 = 1024;

/// What happens, and how many milliseconds after what happened before.
#[derive(Clone, Copy)]
enum Event {
    Reaches(Step),
    Sends(u32),
    Acknowledges(u32),
    Says(&'static str, ConfigHash),
    Other(IpAddr),
    Goodbye,
    /// From now on the device greets others.
    ServesOthers,
}
use Event::{Acknowledges, Goodbye, Other, Reaches, Says, Sends, ServesOthers};

/// How long a look takes at a device that greets nobody.
const NO_GREETING: Duration = Duration::from_secs(3);

fn packet(name: &str, hash: ConfigHash, sender: IpAddr) -> Sighting {
    Sighting {
        name: name.into(),
        source: Source::Packet(sender),
        kind: SightingKind::Alive,
        addresses: vec![sender],
        mac: None,
        link_address: None,
        version: None,
        config_hash: Some(hash),
        stamp: None,
        friendly_name: None,
        platform: None,
    }
}

/// Whether a session with these events is given up, of a device that has restarted by then.
async fn is_given_up(events: &[(u64, Event)]) -> bool {
    watched(&[&[(0, ServesOthers)], events].concat()).await.0
}

/// Whether a session with these events is given up, and how often the device was looked at.
async fn watched(events: &[(u64, Event)]) -> (bool, u32) {
    let hearing = Hearing::default();
    let expectation = Expectation {
        name: "sleepy".into(),
        other_name: Some("renamed".into()),
        mac: None,
        link_address: None,
        identity: Default::default(),
        wanted_hash: Some(NEW),
        wanted_version: None,
        wanted_stamp: None,
        literal_address: LiteralAddress::None,
        least: Standing::Claimed,
        suffixed: false,
        unheard: false,
    };
    let (progress, shown) = watch::channel(crate::flasher::no_progress());
    let restarted = CancellationToken::new();
    let (serves, looks) = (Cell::new(false), Cell::new(0));
    let look = || async {
        looks.set(looks.get() + 1);
        if !serves.get() {
            sleep(NO_GREETING).await;
        }
        serves.get()
    };
    let flash = async {
        for (pause, event) in events {
            sleep(Duration::from_millis(*pause)).await;
            match *event {
                Reaches(step) => progress.send_modify(|now| now.step = step),
                Sends(bytes) => progress.send_modify(|now| now.sent += bytes),
                Acknowledges(bytes) => progress.send_modify(|now| now.acknowledged += bytes),
                Says(name, hash) => hearing.hear(packet(name, hash, PEER)),
                Other(sender) => hearing.hear(packet("sleepy", OLD, sender)),
                ServesOthers => serves.set(true),
                Goodbye => {
                    let mut goodbye = packet("sleepy", OLD, PEER);
                    goodbye.kind = SightingKind::Gone;
                    hearing.hear(goodbye);
                }
            }
        }
        sleep(Duration::from_millis(1)).await;
    };
    let watch = RestartWatch { hearing: &hearing, peer: PEER, expectation: &expectation, look };
    watch.until_restart(flash, shown, &restarted).await;
    (restarted.is_cancelled(), looks.get())
}

#[tokio::test(start_paused = true)]
async fn announcements_in_an_ordinary_transfer_mean_nothing() {
    let mut events = vec![(0, Says("sleepy", OLD)), (300, Reaches(Step::Transfer))];
    for _ in 0..20 {
        events.extend([(0, Sends(8 * KIB)), (100, Acknowledges(8 * KIB))]);
        events.push((100, Says("sleepy", OLD)));
    }
    events.extend([(10, Reaches(Step::Commit)), (3_000, Says("sleepy", OLD))]);
    assert!(!is_given_up(&events).await);
}

#[tokio::test(start_paused = true)]
async fn a_slow_device_may_speak_while_it_takes_its_time() {
    // 20 kbit/s: more than three seconds for each acknowledgement, the first one too.
    let mut events = vec![(0, Reaches(Step::Transfer)), (0, Sends(200 * KIB))];
    for _ in 0..4 {
        for _ in 0..3 {
            events.push((1_000, Says("sleepy", OLD)));
        }
        events.push((300, Acknowledges(8 * KIB)));
    }
    // Lost packets: now it takes twice as long.
    events.extend([(6_500, Says("sleepy", OLD)), (0, Acknowledges(8 * KIB))]);
    let (given_up, looks) = watched(&events).await;
    assert!(!given_up);
    assert!(looks < 10, "{looks} looks in 20 s");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_speaks_after_a_standstill_has_restarted() {
    let half = [(0, Reaches(Step::Transfer)), (0, Sends(99 * KIB)), (100, Acknowledges(8 * KIB))];
    let then = |pause, event| [&half[..], &[(pause, event)]].concat();
    assert!(is_given_up(&then(2_000, Says("sleepy", OLD))).await);
    assert!(is_given_up(&then(2_000, Says("Renamed", OLD))).await, "under either name");
    assert!(!is_given_up(&then(1_900, Says("sleepy", OLD))).await);
    assert!(!is_given_up(&then(4_900, Says("another", OLD))).await);
    assert!(!is_given_up(&then(4_900, Goodbye)).await);
    assert!(!is_given_up(&then(4_900, Other([192, 0, 2, 8].into()))).await, "it speaks elsewhere");
    // Handing bytes to the socket is no sign of life.
    let filling = [&half[..], &[(1_500, Sends(KIB)), (1_500, Says("sleepy", OLD))]].concat();
    assert!(is_given_up(&filling).await);
    // It never acknowledged anything.
    let early = |pause| [(0, Reaches(Step::Transfer)), (pause, Says("sleepy", OLD))];
    assert!(!is_given_up(&early(4_900)).await);
    assert!(is_given_up(&early(5_000)).await);
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_looked_at_as_well() {
    let half = [(0, Reaches(Step::Transfer)), (0, Sends(99 * KIB)), (100, Acknowledges(8 * KIB))];
    let silent = |pause| [&half[..], &[(pause, Sends(KIB))]].concat();
    assert!(!is_given_up(&silent(4_900)).await);
    assert!(is_given_up(&silent(5_100)).await);
}

#[tokio::test(start_paused = true)]
async fn what_anybody_can_say_ends_no_session_of_a_device_that_still_serves_it() {
    let mut events = vec![(0, Reaches(Step::Transfer)), (0, Sends(99 * KIB))];
    events.push((100, Acknowledges(8 * KIB)));
    // The network stalls, and somebody repeats the device's words, or makes up that it runs the build.
    for _ in 0..100 {
        events.extend([(50, Says("sleepy", OLD)), (50, Says("sleepy", NEW))]);
    }
    let (given_up, looks) = watched(&events).await;
    assert!(!given_up);
    assert!((1..=20).contains(&looks), "{looks} looks in 10 s");
    // The device goes on, and what was being looked for doesn't matter any more.
    events.extend([(0, Acknowledges(8 * KIB)), (10, ServesOthers), (1_900, Says("sleepy", OLD))]);
    assert!(!watched(&events).await.0);
    events.push((200, Says("sleepy", OLD)));
    assert!(watched(&events).await.0, "now it stands still, and serves another");
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_of_a_look_is_seen_with_the_next_word() {
    let events = [
        (0, Reaches(Step::Transfer)),
        (0, Sends(99 * KIB)),
        (100, Acknowledges(8 * KIB)),
        // The first look ends nowhere: its connection died with the device.
        (2_000, Says("sleepy", OLD)),
        (600, ServesOthers),
        (0, Says("sleepy", OLD)),
        (100, Sends(KIB)),
    ];
    assert!(watched(&events).await.0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_announces_what_is_being_sent_has_it() {
    let events = |step| [(0, Reaches(step)), (10, Says("sleepy", NEW))];
    assert!(is_given_up(&events(Step::Transfer)).await);
    assert!(!is_given_up(&events(Step::Prepare)).await, "that is the gate's business");
}

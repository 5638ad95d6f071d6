//! The session against a device whose words are written by hand: what is learned, what is answered,
//! and every way it ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod device;

use device::{
    GREETING, KEY_BYTES, LIST_DONE, Message, Secure, device_info, drain, encrypted, hello, kinds,
    missing_state, noise, number, plain, sensor, state, text,
};
use wakeflash_api::{
    Answer, ApiError, Dismissal, Event, Greeting, MAX_RECEIVED, Mac, Opening, Outcome, PowerKind,
    Reading, Session, Silence, Step, Violation, Wish, Worth,
};

const MAC: Mac = Mac([0x98, 0x35, 0x69, 0xAB, 0xF6, 0x79]);
const PING: Message = (7, Vec::new());

fn disconnect(reason: u8) -> Message {
    (5, number(1, reason))
}

fn asked(wish: Wish) -> Session {
    let mut session = Session::new(Opening::Plaintext, wish);
    drain(&mut session);
    session
}

/// A session that has said hello over Noise, and the device's end.
fn secure(wish: Wish) -> (Session, Secure) {
    let mut session = Session::new(encrypted(), wish);
    let (words, secure) = Secure::accept(&drain(&mut session), &KEY_BYTES);
    let mut secure = secure.unwrap();
    session.receive(&words);
    assert_eq!(secure.kinds(&drain(&mut session)), [1, 9]);
    (session, secure)
}

fn answer(session: &Session) -> &Answer {
    let Some(Outcome::Answered(answer, _)) = session.outcome() else { panic!("{session:?}") };
    answer
}

fn greeting(session: &Session) -> (&Greeting, &Silence) {
    match session.outcome() {
        Some(Outcome::Greeted(Some(greeting), silence)) => (greeting, silence),
        _ => panic!("{session:?}"),
    }
}

fn is_sleepy(answer: &Answer, worth: Worth) {
    assert_eq!((answer.name().as_str(), answer.mac(), answer.worth()), ("sleepy", MAC, worth));
    assert_eq!(answer.friendly_name(), Some("Sleepy Sensor"));
    let firmware = answer.firmware();
    assert_eq!(firmware.esphome_version, "2026.10.0");
    assert_eq!(firmware.compilation_time, "2026-11-30 09:46:06 +0000");
    assert!(firmware.has_deep_sleep);
    let project = firmware.project.as_ref().unwrap();
    assert_eq!((project.name.as_str(), project.version.as_str()), ("vendor.product", "1.2"));
}

#[test]
fn in_the_clear_it_takes_one_round_trip_to_a_claim() {
    let mut session = Session::new(Opening::Plaintext, Wish::Identity);
    let wire = drain(&mut session);
    assert_eq!(kinds(&wire), [1, 9]);
    // The hello: who asks, and the version. Nothing that makes the device dial us later.
    assert_eq!(wire[..18], *b"\x00\x0f\x01\x0a\x09Wakeflash\x10\x01\x18\x13");
    session.receive(&plain(&[hello(), device_info()]));
    is_sleepy(answer(&session), Worth::Claim);
    let told = session.poll_event();
    assert!(matches!(told, Some(Event::Answered(answer)) if answer.mac() == MAC));
    assert_eq!(session.poll_event(), None);
    assert_eq!(kinds(&drain(&mut session)), [5], "it says goodbye");
}

#[test]
fn encrypted_it_takes_two_round_trips_to_a_proof() {
    let mut session = Session::new(encrypted(), Wish::Identity);
    let (words, secure) = Secure::accept(&drain(&mut session), &KEY_BYTES);
    let mut secure = secure.unwrap();
    session.receive(&words);
    let Some(Event::Greeted(greeted)) = session.poll_event() else { panic!("{session:?}") };
    assert_eq!((greeted.name.as_str(), greeted.mac), ("sleepy", Some(MAC)));
    assert_eq!(secure.kinds(&drain(&mut session)), [1, 9]);
    session.receive(&secure.say(&[hello(), device_info()]));
    is_sleepy(answer(&session), Worth::Proof);
    assert_eq!(secure.kinds(&drain(&mut session)), [5]);
}

#[test]
fn the_greeting_alone_takes_no_key() {
    let mut session = Session::new(Opening::Greeting, Wish::Identity);
    assert_eq!(drain(&mut session), [1, 0, 0]);
    session.receive(&noise::frame(GREETING));
    let (greeted, silence) = greeting(&session);
    assert_eq!(
        (greeted.name.as_str(), greeted.mac, silence),
        ("sleepy", Some(MAC), &Silence::Unasked)
    );
    assert!(session.transmit().is_empty());
    // Firmware before ESPHome 2022.2 says nothing in it.
    let mut session = Session::new(Opening::Greeting, Wish::Identity);
    session.receive(&[1, 0, 1, 1]);
    assert_eq!(session.outcome(), Some(&Outcome::Greeted(None, Silence::Unasked)));
    assert_eq!(session.poll_event(), None);
}

#[test]
fn another_key_leaves_the_claim() {
    let mut session = Session::new(encrypted(), Wish::Identity);
    let (words, secure) = Secure::accept(&drain(&mut session), &[b'x'; 32]);
    assert!(secure.is_none());
    session.receive(&words);
    let (greeted, silence) = greeting(&session);
    assert_eq!((greeted.mac, silence), (Some(MAC), &Silence::WrongKey));
    assert!(session.transmit().is_empty());
    // Who can't answer our message has no key either.
    let mut session = Session::new(encrypted(), Wish::Identity);
    session.receive(&noise::frame(GREETING));
    session.receive(&noise::frame(&[&[0][..], &[9; 48]].concat()));
    assert_eq!(greeting(&session).1, &Silence::WrongKey);
}

#[test]
fn another_refusal_keeps_its_reason() {
    let mut session = Session::new(encrypted(), Wish::Identity);
    session.receive(&noise::frame(GREETING));
    session.receive(&noise::frame(b"\x01Handshake error"));
    let error = ApiError::HandshakeRefused { reason: "Handshake error".to_owned() };
    assert_eq!(greeting(&session).1, &Silence::Failed(error));
}

#[test]
fn who_speaks_the_other_dialect_is_told_apart() {
    for opening in [encrypted(), Opening::Greeting] {
        let mut session = Session::new(opening, Wish::Identity);
        session.receive(b"\0Bad indicator byte");
        assert_eq!(session.outcome(), Some(&Outcome::SpeaksPlaintext));
        assert!(session.transmit().is_empty());
    }
    let mut session = asked(Wish::Identity);
    session.receive(&noise::frame(b"\x01Bad indicator byte"));
    assert_eq!(session.outcome(), Some(&Outcome::WantsEncryption));
    // Only the first byte tells: later, it is nonsense.
    let mut session = asked(Wish::Identity);
    session.receive(&plain(&[hello()]));
    session.receive(&[1]);
    let violation = Violation::NotAFrame(1);
    let error = ApiError::Protocol { violation, step: Step::Introduction };
    assert_eq!(session.outcome(), Some(&Outcome::Failed(error)));
}

#[test]
fn a_device_without_a_free_place_is_no_failure() {
    for opening in [Opening::Plaintext, Opening::Greeting, encrypted()] {
        let mut session = Session::new(opening, Wish::Identity);
        session.closed("reset");
        assert_eq!(session.outcome(), Some(&Outcome::Full));
    }
}

#[test]
fn a_goodbye_is_answered_at_once_whenever_it_comes() {
    let mut session = asked(Wish::Identity);
    session.receive(&plain(&[hello(), disconnect(0)]));
    assert_eq!(session.outcome(), Some(&Outcome::Dismissed(Dismissal::GoesDown)));
    assert_eq!(kinds(&drain(&mut session)), [6]);

    let mut session = asked(Wish::Identity);
    session.receive(&plain(&[hello(), disconnect(1)]));
    let closed = Outcome::Dismissed(Dismissal::ProvisioningClosed);
    assert_eq!(session.outcome(), Some(&closed));

    let (mut session, mut secure) = secure(Wish::Identity);
    session.receive(&secure.say(&[disconnect(0)]));
    assert_eq!(greeting(&session).1, &Silence::Dismissed(Dismissal::GoesDown));
    assert_eq!(secure.kinds(&drain(&mut session)), [6]);

    // What is known by then stays known.
    let mut session = asked(Wish::Power);
    session.receive(&plain(&[hello(), device_info()]));
    drain(&mut session);
    session.receive(&plain(&[(5, vec![])]));
    is_sleepy(answer(&session), Worth::Claim);
    assert_eq!(kinds(&drain(&mut session)), [6]);
}

#[test]
fn a_ping_is_answered() {
    let mut session = asked(Wish::Identity);
    session.receive(&plain(&[PING, hello(), PING]));
    assert_eq!(kinds(&drain(&mut session)), [8, 8]);
    session.receive(&plain(&[device_info()]));
    is_sleepy(answer(&session), Worth::Claim);
}

#[test]
fn who_asks_without_end_and_reads_no_answer_is_left() {
    let mut session = asked(Wish::Identity);
    for _ in 0..1_000 {
        session.receive(&plain(&[PING]));
        assert!(session.transmit().len() < 2_048);
    }
    let error = ApiError::Protocol { violation: Violation::TooMuch, step: Step::Introduction };
    assert_eq!(session.outcome(), Some(&Outcome::Failed(error)));
}

#[test]
fn the_battery_is_read_when_it_is_wanted() {
    let (mut session, mut secure) = secure(Wish::Power);
    session.receive(&secure.say(&[hello(), device_info()]));
    assert!(matches!(session.poll_event(), Some(Event::Greeted(_))));
    assert!(matches!(session.poll_event(), Some(Event::Answered(_))), "known before the rest");
    assert_eq!(secure.kinds(&drain(&mut session)), [3, 11]);
    session.receive(&secure.say(&[
        (12, text(1, "a_switch")),
        sensor(1, "Battery", "battery", "%"),
        sensor(2, "Temperature", "temperature", "°C"),
        sensor(3, "", "voltage", "V"),
        sensor(3, "again", "voltage", "V"),
        (41, text(1, "a_service")),
        LIST_DONE,
    ]));
    assert_eq!(session.step(), Some(Step::Readings));
    assert_eq!(secure.kinds(&drain(&mut session)), [20]);
    session.receive(&secure.say(&[missing_state(1), state(2, 21.5), state(3, f32::NAN)]));
    session.receive(&secure.say(&[state(1, 71.0), state(1, 70.0)]));
    assert_eq!(session.step(), Some(Step::Readings));
    session.receive(&secure.say(&[state(3, 3.75)]));
    let Some(Outcome::Answered(_, readings)) = session.outcome() else { panic!("{session:?}") };
    let reading = |kind, name: Option<&str>, unit: &str, value| Reading {
        kind,
        name: name.map(str::to_owned),
        unit: Some(unit.to_owned()),
        value,
    };
    let battery = reading(PowerKind::Battery, Some("Battery"), "%", 70.0);
    assert_eq!(*readings, [battery, reading(PowerKind::Voltage, None, "V", 3.75)]);
    assert_eq!(secure.kinds(&drain(&mut session)), [5]);
}

#[test]
fn a_device_without_a_battery_is_not_kept_busy() {
    let mut session = asked(Wish::Power);
    session.receive(&plain(&[
        hello(),
        device_info(),
        sensor(2, "T", "temperature", "K"),
        LIST_DONE,
    ]));
    let Some(Outcome::Answered(_, readings)) = session.outcome() else { panic!("{session:?}") };
    assert!(readings.is_empty());
    assert_eq!(kinds(&drain(&mut session)), [3, 11, 5]);
}

#[test]
fn sensors_are_limited() {
    let mut session = asked(Wish::Power);
    session.receive(&plain(&[hello(), device_info()]));
    for key in 0..1_000 {
        session.receive(&plain(&[sensor(key, "Battery", "battery", "%")]));
    }
    session.receive(&plain(&[LIST_DONE]));
    for key in 0..1_000 {
        session.receive(&plain(&[state(key, 1.0)]));
    }
    let Some(Outcome::Answered(_, readings)) = session.outcome() else { panic!("{session:?}") };
    assert_eq!(readings.len(), 16);
}

#[test]
fn what_has_come_when_time_is_up_counts() {
    let mut session = asked(Wish::Power);
    session.receive(&plain(&[hello(), device_info(), sensor(1, "", "battery", "")]));
    session.receive(&plain(&[sensor(2, "", "voltage", ""), LIST_DONE, state(1, 55.0)]));
    drain(&mut session);
    session.time_out();
    let Some(Outcome::Answered(_, readings)) = session.outcome() else { panic!("{session:?}") };
    assert_eq!(readings.len(), 1);
    assert_eq!(kinds(&drain(&mut session)), [5]);

    let mut session = Session::new(encrypted(), Wish::Identity);
    drain(&mut session);
    session.time_out();
    let error = ApiError::Timeout { step: Step::Greeting };
    assert_eq!(session.outcome(), Some(&Outcome::Failed(error)));
    assert!(session.transmit().is_empty());

    let mut session = Session::new(encrypted(), Wish::Identity);
    session.receive(&noise::frame(GREETING));
    session.closed("reset");
    let error = ApiError::Closed { step: Step::Encryption, reason: "reset".to_owned() };
    assert_eq!(greeting(&session).1, &Silence::Failed(error));
}

#[test]
fn the_first_end_stays() {
    let mut session = asked(Wish::Identity);
    session.receive(&plain(&[hello(), device_info()]));
    session.receive(&plain(&[(10, [text(2, "other"), text(3, "020000000000")].concat())]));
    session.closed("reset");
    session.time_out();
    is_sleepy(answer(&session), Worth::Claim);
}

#[test]
fn another_version_of_the_protocol_is_another_protocol() {
    let mut session = asked(Wish::Identity);
    session.receive(&plain(&[(2, number(1, 3))]));
    assert_eq!(session.outcome(), Some(&Outcome::Failed(ApiError::UnsupportedVersion(3))));
}

#[test]
fn nonsense_in_the_clear_ends_it() {
    let info = |fields: &[Vec<u8>]| plain(&[(10, fields.concat())]);
    let mac = || text(3, "98:35:69:AB:F6:79");
    let cases = [
        (vec![2], Violation::NotAFrame(2)),
        (b"HTTP/1.1 400 Bad Request".to_vec(), Violation::NotAFrame(b'H')),
        (vec![0, 0x80, 0x80, 0x04], Violation::MessageTooLong(65_536)),
        (vec![0, 0xFF, 0xFF, 0xFF, 0xFF], Violation::BadVarint),
        (plain(&[(2, vec![0xFF; 12])]), Violation::BadMessage),
        (plain(&[(5, vec![0x0F])]), Violation::BadMessage),
        (info(&[]), Violation::BadName),
        (info(&[text(2, "two words"), mac()]), Violation::BadName),
        (info(&[device::bytes(2, &[0xFF]), mac()]), Violation::BadName),
        (info(&[text(2, "sleepy"), text(3, "98:35")]), Violation::BadMac),
        (info(&[text(2, "sleepy")]), Violation::BadMac),
    ];
    for (words, violation) in cases {
        let mut session = asked(Wish::Identity);
        session.receive(&words);
        let error = ApiError::Protocol { violation, step: Step::Introduction };
        assert_eq!(session.outcome(), Some(&Outcome::Failed(error)), "{words:?}");
        assert!(session.transmit().is_empty());
    }
}

#[test]
fn nonsense_on_an_encrypted_connection_ends_it() {
    let greetings = [
        (vec![1, 0, 0], Violation::EmptyFrame),
        (noise::frame(&[2]), Violation::UnknownEncryption(2)),
        (noise::frame(b"\x01two words\0"), Violation::BadName),
        (noise::frame(b"\x01sleepy\x00none\x00"), Violation::BadMac),
        (vec![7], Violation::NotAFrame(7)),
    ];
    for (words, violation) in greetings {
        let mut session = Session::new(encrypted(), Wish::Identity);
        session.receive(&words);
        let error = ApiError::Protocol { violation, step: Step::Greeting };
        assert_eq!(session.outcome(), Some(&Outcome::Failed(error)), "{words:?}");
    }
    let inside = |say: &dyn Fn(&mut Secure) -> Vec<u8>, violation| {
        let (mut session, mut secure) = secure(Wish::Identity);
        session.receive(&say(&mut secure));
        let error = ApiError::Protocol { violation, step: Step::Introduction };
        assert_eq!(greeting(&session).1, &Silence::Failed(error));
    };
    inside(&|_| noise::frame(&[0x41; 40]), Violation::NotAuthentic);
    inside(&|_| plain(&[device_info()]), Violation::NotAFrame(0));
    inside(&|secure| secure.seal(&[0, 10, 0]), Violation::BadEnvelope);
    inside(&|secure| secure.seal(&[0, 10, 0, 1]), Violation::BadEnvelope);
    inside(&|secure| secure.say(&[(10, vec![1])]), Violation::BadMessage);
}

#[test]
fn a_device_that_never_ends_is_left() {
    let mut session = asked(Wish::Identity);
    let ballast = plain(&[(41, vec![0x0A; 120])]);
    let mut given = 0;
    while session.outcome().is_none() {
        assert!(given <= MAX_RECEIVED);
        session.receive(&ballast);
        given += ballast.len();
    }
    let error = ApiError::Protocol { violation: Violation::TooMuch, step: Step::Introduction };
    assert_eq!(session.outcome(), Some(&Outcome::Failed(error)));
}

#[test]
fn no_key_shows_in_debug_output() {
    let (session, _) = secure(Wish::Power);
    let begun = Session::new(encrypted(), Wish::Power);
    for session in [session, begun] {
        let shown = format!("{session:?}");
        assert!(!shown.contains("107, 107") && !shown.contains("90, 90"), "{shown}");
    }
}

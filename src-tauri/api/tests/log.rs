//! The log of a device whose words are written by hand: when it is asked for, what comes of it, how it ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod device;

use device::{
    KEY_BYTES, Message, Secure, device_info, drain, encrypted, hello, kinds, plain, text,
};
use wakeflash_api::{
    ApiError, Dismissal, Event, LogEnd, MAX_RECEIVED, Opening, Outcome, Session, Step, Violation,
    Wish, Worth,
};

fn says(line: &str) -> Message {
    (29, [device::number(1, 5), text(3, line)].concat())
}

/// In the clear, after the device has said who it is.
fn known() -> Session {
    let mut session = Session::new(Opening::Plaintext, Wish::Log);
    drain(&mut session);
    session.receive(&plain(&[hello(), device_info()]));
    let Some(Event::Answered(answer)) = session.poll_event() else { panic!("{session:?}") };
    assert_eq!(answer.worth(), Worth::Claim);
    session
}

fn followed() -> Session {
    let mut session = known();
    session.follow_log();
    session
}

fn heard(session: &mut Session) -> Vec<String> {
    let line = |event| match event {
        Event::Logged(line) => line,
        other @ (Event::Greeted(_) | Event::Answered(_)) => panic!("{other:?}"),
    };
    std::iter::from_fn(|| session.poll_event()).map(line).collect()
}

fn end(session: &Session) -> &LogEnd {
    let Some(Outcome::Followed(answer, end)) = session.outcome() else { panic!("{session:?}") };
    assert_eq!(answer.name().as_str(), "sleepy");
    end
}

#[test]
fn nothing_is_asked_for_before_the_caller_knows_who_it_is() {
    let mut session = known();
    assert!(session.transmit().is_empty(), "it waits");
    assert_eq!(session.step(), Some(Step::Log));
    session.receive(&plain(&[says("unasked")]));
    assert_eq!(heard(&mut session), [""; 0]);
    session.leave();
    assert_eq!(kinds(&drain(&mut session)), [5]);
    assert_eq!(end(&session), &LogEnd::Left);
}

#[test]
fn a_log_comes_line_by_line_until_it_is_left() {
    let mut session = followed();
    let wire = drain(&mut session);
    assert_eq!(kinds(&wire), [3, 28]);
    assert!(wire.ends_with(&[0x08, 7, 0x10, 1]), "every level, and its configuration: {wire:?}");
    session.receive(&plain(&[says("\x1b[0;32m[I][app:029]: Running\x1b[0m"), says("a\nb\x08")]));
    let lines = ["\x1b[0;32m[I][app:029]: Running\x1b[0m", "a", "b"];
    assert_eq!(heard(&mut session), lines);
    session.leave();
    assert_eq!(kinds(&drain(&mut session)), [5]);
    assert_eq!(end(&session), &LogEnd::Left);
    session.receive(&plain(&[says("late")]));
    session.follow_log();
    assert_eq!(heard(&mut session), [""; 0]);
    assert!(session.transmit().is_empty());
}

#[test]
fn a_device_that_goes_to_sleep_is_answered_at_once() {
    let mut session = followed();
    drain(&mut session);
    session.receive(&plain(&[says("Going to sleep"), (5, vec![])]));
    assert_eq!(heard(&mut session), ["Going to sleep"], "what was said before counts");
    assert_eq!(end(&session), &LogEnd::Dismissed(Dismissal::GoesDown));
    assert_eq!(kinds(&drain(&mut session)), [6]);
}

#[test]
fn every_other_end_is_told() {
    let mut cut = followed();
    cut.closed("reset");
    let closed = ApiError::Closed { step: Step::Log, reason: "reset".to_owned() };
    assert_eq!(end(&cut), &LogEnd::Failed(closed));

    let mut long = followed();
    drain(&mut long);
    long.time_out();
    assert_eq!(end(&long), &LogEnd::Failed(ApiError::Timeout { step: Step::Log }));
    assert_eq!(kinds(&drain(&mut long)), [5]);

    let mut nonsense = followed();
    nonsense.receive(&plain(&[(29, vec![0x1A, 9])]));
    let violation = ApiError::Protocol { violation: Violation::BadMessage, step: Step::Log };
    assert_eq!(end(&nonsense), &LogEnd::Failed(violation));
}

#[test]
fn a_log_may_be_longer_than_all_else_that_a_device_says() {
    let mut session = followed();
    drain(&mut session);
    let message = plain(&[says(&"x".repeat(100))]);
    let (mut given, mut lines) = (0, 0);
    while given <= 2 * MAX_RECEIVED {
        session.receive(&message);
        given += message.len();
        lines += heard(&mut session).len();
    }
    assert_eq!(session.outcome(), None);
    assert_eq!(lines, given / message.len());
    session.receive(&plain(&[(7, vec![])]));
    assert_eq!(kinds(&drain(&mut session)), [8], "a ping is answered");
    session.ping();
    assert_eq!(kinds(&drain(&mut session)), [7]);
    session.receive(&plain(&[(8, vec![])]));
    assert_eq!(session.step(), Some(Step::Log));
}

#[test]
fn only_a_log_that_was_wished_for_is_followed() {
    for wish in [Wish::Identity, Wish::Power] {
        let mut session = Session::new(Opening::Plaintext, wish);
        drain(&mut session);
        session.follow_log();
        session.leave();
        assert!(session.transmit().is_empty() && session.outcome().is_none());
        session.receive(&plain(&[hello(), device_info()]));
        drain(&mut session);
        session.follow_log();
        assert!(session.transmit().is_empty());
    }
}

#[test]
fn it_is_followed_inside_the_encryption() {
    let mut session = Session::new(encrypted(), Wish::Log);
    let (words, secure) = Secure::accept(&drain(&mut session), &KEY_BYTES);
    let mut secure = secure.unwrap();
    session.receive(&words);
    assert_eq!(secure.kinds(&drain(&mut session)), [1, 9]);
    session.receive(&secure.say(&[hello(), device_info()]));
    assert!(matches!(session.poll_event(), Some(Event::Greeted(_))));
    assert!(
        matches!(session.poll_event(), Some(Event::Answered(it)) if it.worth() == Worth::Proof)
    );
    session.follow_log();
    assert_eq!(secure.kinds(&drain(&mut session)), [3, 28]);
    session.receive(&secure.say(&[says("sealed")]));
    assert_eq!(heard(&mut session), ["sealed"]);
    session.leave();
    assert_eq!(secure.kinds(&drain(&mut session)), [5]);
}

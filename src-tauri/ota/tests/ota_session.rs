//! The OTA session, byte by byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod device;

use device::{Device, IMAGE, drain, run, session, wary_session};
use proptest::prelude::*;
use wakeflash_ota::{
    ACK_BLOCK, Compression, Encryption, HELD_TAIL, MAGIC, OtaError, PasswordCheck, Session,
    SessionEvent, Step, WINDOW,
};

/// Plays the first words of a device that does everything right, as far as a session with a shut
/// gate goes along.
fn converse(session: &mut Session, words: usize) {
    let mut device = Device::new(2, 64, 0x08);
    let mut said = Vec::new();
    while said.len() < words {
        let sent = drain(session);
        if sent.is_empty() && !said.is_empty() {
            return;
        }
        let next = device.take(&sent);
        let next = &next[..next.len().min(words - said.len())];
        session.receive(next).unwrap();
        said.extend_from_slice(next);
    }
}

#[test]
fn the_conversation_is_the_same_at_every_split() {
    for (version, auth, flags) in
        [(2, 64, 0x08), (1, 32, 0x01), (2, 0, 0x00), (2, 0, 0x0C), (1, 0, 0x04), (2, 64, 0x0D)]
    {
        let whole = run(&mut Device::new(version, auth, flags), |waiting| waiting, usize::MAX);
        assert!(whole.starts_with(&MAGIC));
        if flags & 0x04 == 0 {
            assert_eq!(whole.last(), Some(&0x00));
        }
        let single = run(&mut Device::new(version, auth, flags), |_| 1, usize::MAX);
        assert_eq!(single, whole);
        for split in 1..260 {
            let mut first = true;
            let cut = |waiting: usize| {
                if std::mem::take(&mut first) || waiting > split { split } else { waiting }
            };
            assert_eq!(
                run(&mut Device::new(version, auth, flags), cut, 4096),
                whole,
                "split {split}"
            );
        }
    }
}

#[test]
fn the_greeting_goes_out_in_one_piece_with_the_features() {
    let mut session = session();
    assert_eq!(session.transmit(), [&MAGIC[..], &[0x17]].concat());
    let _ = drain(&mut session);
    session.receive(&[0x00, 0x02, 0x48, 0x08, 0x02]).unwrap();
    session.receive(&[b'0'; 64]).unwrap();
    assert_eq!(session.transmit().len(), 128, "nonce and response together");
    assert_eq!(session.step(), Step::AuthResult);
}

#[test]
fn sizes_go_together_and_wait_for_their_answer() {
    let mut session = authenticated();
    session.open_gate(IMAGE.clone());
    let sizes = drain(&mut session);
    let wire = IMAGE.wire_size(Compression::Deflate) as u32;
    let expected = [&[0][..], &wire.to_be_bytes(), &(IMAGE.size() as u32).to_be_bytes()].concat();
    assert_eq!(sizes, expected);
    session.receive(&[0x42]).unwrap();
    let next = drain(&mut session);
    assert!(next.starts_with(IMAGE.md5().as_bytes()));
    assert_eq!(next.len(), 32 + WINDOW, "the image follows its MD5 without waiting");
}

fn authenticated() -> Session {
    let mut session = session();
    let _ = drain(&mut session);
    session.receive(&[0x00, 0x02, 0x48, 0x08, 0x41]).unwrap();
    session
}

#[test]
fn nothing_is_sent_before_the_gate_opens() {
    let mut session = authenticated();
    assert_eq!(session.poll_event(), Some(SessionEvent::Authenticated));
    session.allow_completion();
    assert_eq!(session.step(), Step::Gate);
    assert!(session.transmit().is_empty());
    session.open_gate(IMAGE.clone());
    assert!(!session.transmit().is_empty());
}

#[test]
fn an_answer_before_its_question_is_a_violation() {
    // The response to the nonce has been produced, but not sent.
    let mut early = session();
    let _ = drain(&mut early);
    early.receive(&[0x00, 0x02, 0x48, 0x08, 0x02]).unwrap();
    early.receive(&[b'0'; 64]).unwrap();
    let error = early.receive(&[0x41]).unwrap_err();
    assert!(matches!(error, OtaError::Protocol { step: Step::AuthResult, .. }), "{error}");

    let mut early = authenticated();
    early.open_gate(IMAGE.clone());
    let error = early.receive(&[0x42]).unwrap_err();
    assert!(matches!(error, OtaError::Protocol { step: Step::Prepare, .. }), "{error}");
}

#[test]
fn the_outcome_is_unknown_from_the_last_byte_to_the_confirmation() {
    let mut session = authenticated();
    session.open_gate(IMAGE.clone());
    session.allow_completion();
    let _ = drain(&mut session);
    session.receive(&[0x42]).unwrap();
    session.transmitted(32);
    session.receive(&[0x43]).unwrap();
    let last = IMAGE.wire_size(Compression::Deflate) - 1;
    let (mut sent, mut acknowledged) = (0, 0);
    while sent < last {
        let count = session.transmit().len().min(last - sent);
        session.transmitted(count);
        sent += count;
        while acknowledged + ACK_BLOCK <= sent {
            session.receive(&[0x47]).unwrap();
            acknowledged += ACK_BLOCK;
        }
    }
    assert!(!session.closed("").outcome_unknown());
    session.transmitted(1);
    assert!(session.closed("").outcome_unknown());
    assert!(session.timed_out().outcome_unknown());
    assert!(session.cancelled().outcome_unknown());
    let error = session.receive(&[0x8B]).unwrap_err();
    assert!(matches!(error, OtaError::Device { step: Step::Commit, .. }));
    assert!(!session.closed("").outcome_unknown(), "what the device has said stays");
}

/// A session whose peer, of whom nothing is known, asks for the password.
fn challenged(request: u8, nonce: usize) -> Session {
    let mut session = wary_session(Encryption::None);
    let _ = drain(&mut session);
    session.receive(&[0x00, 0x02, 0x48, 0x08, request]).unwrap();
    session.receive(&vec![b'0'; nonce]).unwrap();
    session
}

#[test]
fn a_challenge_is_answered_only_when_the_peer_is_known() {
    for (request, nonce) in [(0x02, 64), (0x01, 32)] {
        let mut session = challenged(request, nonce);
        session.open_gate(IMAGE.clone());
        assert_eq!(session.step(), Step::Identity);
        assert!(session.transmit().is_empty(), "an open gate is not enough");
        session.answer_challenge(PasswordCheck::AlsoMd5).unwrap();
        assert_eq!(session.transmit().len(), 2 * nonce);
        assert_eq!(session.step(), Step::AuthResult);
        assert_eq!(session.handshake_round_trips(), 2);
    }
    let mut impatient = challenged(0x02, 64);
    let error = impatient.receive(&[0x41]).unwrap_err();
    assert!(matches!(error, OtaError::Protocol { step: Step::Identity, .. }), "{error}");
    assert!(impatient.answer_challenge(PasswordCheck::AlsoMd5).is_ok());
    assert!(impatient.transmit().is_empty(), "the session is over");
}

#[test]
fn md5_is_answered_only_where_there_is_nothing_better() {
    let mut late = challenged(0x01, 32);
    let refused = late.answer_challenge(PasswordCheck::Sha256);
    assert_eq!(refused, Err(OtaError::OutdatedPasswordCheck));
    assert_eq!(late.failure(), Some(OtaError::OutdatedPasswordCheck));
    assert!(late.transmit().is_empty());

    let mut early = wary_session(Encryption::None);
    early.answer_challenge(PasswordCheck::Sha256).unwrap();
    let _ = drain(&mut early);
    early.receive(&[0x00, 0x02, 0x48, 0x08, 0x01]).unwrap();
    assert_eq!(early.receive(&[b'0'; 32]), Err(OtaError::OutdatedPasswordCheck));
    assert!(early.transmit().is_empty());

    let mut right = challenged(0x02, 64);
    right.answer_challenge(PasswordCheck::Sha256).unwrap();
    assert_eq!(right.transmit().len(), 128);
}

/// A session whose device has asked for the image.
fn in_transfer() -> Session {
    let mut session = authenticated();
    assert_eq!(session.poll_event(), Some(SessionEvent::Authenticated));
    session.open_gate(IMAGE.clone());
    let _ = drain(&mut session);
    session.receive(&[0x42]).unwrap();
    session.transmitted(32);
    session.receive(&[0x43]).unwrap();
    session
}

#[test]
fn a_device_that_has_shown_no_more_than_half_of_the_image_cannot_have_all_of_it() {
    let mut session = in_transfer();
    let total = IMAGE.wire_size(Compression::Deflate);
    let blocks = total / ACK_BLOCK;
    // It would be recorded at once; but there is nothing to record.
    session.allow_completion();
    let _ = drain(&mut session);
    for _ in 0..blocks / 2 {
        session.receive(&[0x47]).unwrap();
        let _ = drain(&mut session);
    }
    let sent = session.progress().sent as usize;
    assert_eq!(sent, total - HELD_TAIL, "all that can be sent is sent, and waits in the socket");
    assert_eq!(session.poll_event(), None);
    for error in [session.closed(""), session.timed_out(), session.cancelled()] {
        assert!(!error.outcome_unknown(), "{error}");
    }
    // With the last quarter on its way it is time.
    for _ in blocks / 2..blocks * 3 / 4 {
        session.receive(&[0x47]).unwrap();
    }
    assert_eq!(session.poll_event(), Some(SessionEvent::AboutToComplete));
    session.receive(&[0x47]).unwrap();
    let _ = drain(&mut session);
    assert_eq!(session.progress().sent as usize, total);
    assert!(session.closed("").outcome_unknown());
}

proptest! {
    #[test]
    fn any_splits_lead_to_the_same_end(
        cuts in proptest::collection::vec(1usize..100, 1..50),
        piece in 1usize..20_000,
        version in 1u8..=2,
        auth in prop_oneof![Just(0usize), Just(32), Just(64)],
        flags in prop_oneof![Just(0u8), Just(0x01), Just(0x08), Just(0x04), Just(0x0C)],
    ) {
        let mut cuts = cuts.into_iter().cycle();
        let piece = piece.max(50);
        let sent = run(&mut Device::new(version, auth, flags), |_| cuts.next().unwrap_or(1), piece);
        let whole = run(&mut Device::new(version, auth, flags), |waiting| waiting, usize::MAX);
        prop_assert_eq!(sent, whole);
    }

    /// Whatever the device says, nothing panics, nothing is sent out of turn, and the session
    /// keeps no more than it is to send.
    #[test]
    fn garbage_is_survived(
        likely in any::<bool>(),
        right in 0usize..100,
        words in proptest::collection::vec((any::<u8>(), 0usize..5000), 0..400),
        open_at in 0usize..20,
        allow_at in 0usize..200,
    ) {
        const ANSWERS: [u8; 13] =
            [0, 1, 2, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, b'a'];
        let mut session = session();
        let mut image_sent = 0;
        let mut ended = None;
        if right > 0 {
            // Garbage is more interesting after a good beginning.
            converse(&mut session, right - 1);
            prop_assert!(session.failure().is_none());
        }
        for (turn, (byte, count)) in words.into_iter().enumerate() {
            if turn == open_at {
                session.open_gate(IMAGE.clone());
            }
            if turn == allow_at {
                session.allow_completion();
            }
            let before = session.progress();
            session.transmitted(count.min(session.transmit().len()));
            let after = session.progress();
            image_sent += after.sent - before.sent;
            if turn < open_at {
                prop_assert_eq!(image_sent, 0);
            }
            if turn < allow_at && after.total > 0 {
                let held = (after.total as usize).saturating_sub(HELD_TAIL);
                prop_assert!(image_sent as usize <= held);
            }
            prop_assert!(session.transmit().len() <= WINDOW.max(IMAGE.size()));
            prop_assert!(after.acknowledged <= after.sent);
            let byte =
                if likely { ANSWERS[usize::from(byte) % ANSWERS.len()] } else { byte };
            match (session.receive(&[byte]), &ended) {
                (Err(error), None) => ended = Some(error),
                (Err(error), Some(first)) => prop_assert_eq!(&error, first),
                (Ok(()), Some(first)) => prop_assert!(false, "went on after {first}"),
                (Ok(()), None) => {}
            }
            if ended.is_some() {
                prop_assert!(session.transmit().is_empty());
            }
        }
    }

    /// A device that answers in order, with one byte changed, never gets a completed image out of
    /// a session that has failed.
    #[test]
    fn one_wrong_byte_is_noticed_or_harmless(at in 0usize..100, wrong in any::<u8>()) {
        let mut device = Device::new(2, 64, 0x08);
        let mut session = session();
        session.open_gate(IMAGE.clone());
        session.allow_completion();
        let mut heard = 0;
        let mut previous = usize::MAX;
        while !session.accepted() && session.failure().is_none() {
            let count = session.transmit().len();
            let words = device.take(session.transmit());
            session.transmitted(count);
            if words.is_empty() && count == 0 && previous == 0 {
                break;
            }
            previous = count;
            for byte in words {
                let byte = if heard == at { wrong } else { byte };
                heard += 1;
                if session.receive(&[byte]).is_err() {
                    break;
                }
            }
        }
        if session.failure().is_some() {
            prop_assert!(session.transmit().is_empty());
            prop_assert!(!session.accepted());
        }
    }
}

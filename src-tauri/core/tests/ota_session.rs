//! The OTA session, byte by byte.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "../../../tests/src/peer/noise.rs"]
mod noise;

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use wakeflash_core::ota::{
    ACK_BLOCK, Compression, Encryption, EncryptionKey, HELD_TAIL, MAGIC, OtaError, Password,
    PreparedImage, Randomness, Session, SessionEvent, SessionRequest, Step, Violation, WINDOW,
};

/// Noise, so that it has several blocks and more than a window in every form.
static IMAGE: LazyLock<Arc<PreparedImage>> = LazyLock::new(|| {
    let mut seed = 7u32;
    let noise = (0..200_000).map(|_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    Arc::new(PreparedImage::new(noise.collect()).unwrap())
});

/// 32 times the letter "k".
const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
const KEY_BYTES: [u8; 32] = [b'k'; 32];

fn session() -> Session {
    session_with(Encryption::None)
}

fn key() -> EncryptionKey {
    EncryptionKey::from_base64(KEY).unwrap()
}

fn session_with(encryption: Encryption) -> Session {
    let request = SessionRequest {
        image: Arc::clone(&IMAGE),
        password: Some(Password::new("hunter2")),
        encryption,
    };
    Session::new(request, Randomness::new([0x5A; 64]))
}

/// Takes everything that the session wants to send for now.
fn drain(session: &mut Session) -> Vec<u8> {
    let mut sent = Vec::new();
    while !session.transmit().is_empty() {
        sent.extend_from_slice(session.transmit());
        session.transmitted(session.transmit().len());
    }
    sent
}

/// The device's end of an encrypted connection.
enum Secure {
    Off,
    Expected(Box<noise::Responder>),
    On(noise::Connection),
}

/// A device in memory that looks at how much has come and says what it has to say to it.
struct Device {
    /// What it answers once so many bytes have come in all.
    script: Vec<(usize, Vec<u8>)>,
    came: usize,
    answered: usize,
    secure: Secure,
    /// Bytes of a frame that isn't complete.
    frame: Vec<u8>,
    /// The plaintext of each frame.
    fields: Vec<Vec<u8>>,
}

impl Device {
    fn new(version: u8, auth: usize, flags: u8) -> Self {
        let (form, sizes) = match flags & !0x04 {
            0x08 => (Compression::Deflate, 8),
            0x01 => (Compression::Gzip, 4),
            _ => (Compression::Raw, 4),
        };
        let total = IMAGE.wire_size(form);
        let mut script = vec![(5, vec![0x00, version]), (6, vec![0x48, flags])];
        let mut came = 6;
        if auth > 0 {
            let mut words = vec![if auth == 32 { 0x01 } else { 0x02 }];
            words.extend(std::iter::repeat_n(b'c', auth));
            script.push((came, words));
            came += 2 * auth;
        }
        script.push((came, vec![0x41]));
        came += 1 + sizes;
        script.push((came, vec![0x42]));
        came += 32;
        script.push((came, vec![0x43]));
        for block in 1..=total.div_ceil(ACK_BLOCK) {
            if version == 2 {
                script.push((came + total.min(block * ACK_BLOCK), vec![0x47]));
            }
        }
        script.push((came + total, vec![0x44, 0x45]));
        let secure = if flags & 0x04 == 0 {
            Secure::Off
        } else {
            let prologue = noise::prologue(version, 0x1F, flags);
            Secure::Expected(Box::new(noise::Responder::new(&KEY_BYTES, &prologue).unwrap()))
        };
        Self { script, came: 0, answered: 0, secure, frame: Vec::new(), fields: Vec::new() }
    }

    /// The greeting and the features; then frames, when the device has Noise.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        if matches!(self.secure, Secure::Off) {
            self.came += bytes.len();
            return self.answers();
        }
        let mut words = Vec::new();
        for byte in bytes {
            if self.came < 6 {
                self.came += 1;
                words.extend(self.answers());
                continue;
            }
            self.frame.push(*byte);
            if let [1, high, low, payload @ ..] = self.frame.as_slice()
                && payload.len() == usize::from(u16::from_be_bytes([*high, *low]))
            {
                let payload = payload.to_vec();
                self.frame.clear();
                words.extend(self.take_frame(&payload));
            }
        }
        words
    }

    fn take_frame(&mut self, payload: &[u8]) -> Vec<u8> {
        match std::mem::replace(&mut self.secure, Secure::Off) {
            Secure::Off => panic!("a frame in the clear"),
            Secure::Expected(responder) => {
                let (answer, connection) = responder.answer(payload).unwrap();
                self.secure = Secure::On(connection.unwrap());
                [noise::frame(&answer), self.answers()].concat()
            }
            Secure::On(mut connection) => {
                assert!(payload.len() <= noise::MAX_CIPHERTEXT, "{}", payload.len());
                let field = connection.open(payload).unwrap();
                self.secure = Secure::On(connection);
                self.came += field.len();
                self.fields.push(field);
                self.answers()
            }
        }
    }

    fn answers(&mut self) -> Vec<u8> {
        let mut words = Vec::new();
        while let Some((at, answer)) = self.script.get(self.answered) {
            let early = matches!(self.secure, Secure::Expected(_)) && self.answered >= 2;
            if *at > self.came || early {
                break;
            }
            match &mut self.secure {
                // One byte a frame, as devices do.
                Secure::On(connection) => {
                    words.extend(answer.iter().flat_map(|byte| connection.seal(&[*byte]).unwrap()));
                }
                Secure::Off | Secure::Expected(_) => words.extend_from_slice(answer),
            }
            self.answered += 1;
        }
        words
    }
}

/// Runs a whole update with the device's bytes cut as `cut` says and the client's taken in
/// pieces of `piece`. Returns everything that the client has sent.
fn run(device: &mut Device, mut cut: impl FnMut(usize) -> usize, piece: usize) -> Vec<u8> {
    let encrypted = !matches!(device.secure, Secure::Off);
    let mut session = if encrypted { session_with(Encryption::Required(key())) } else { session() };
    let mut sent = Vec::new();
    let mut words: Vec<u8> = Vec::new();
    let mut gate = 0;
    let mut hold = 0;
    for _ in 0..1_000_000 {
        let output = &session.transmit()[..session.transmit().len().min(piece)];
        let count = output.len();
        words.extend(device.take(output));
        sent.extend_from_slice(output);
        session.transmitted(count);
        let length = cut(words.len()).min(words.len());
        let rest = words.split_off(length);
        session.receive(&words).unwrap();
        words = rest;
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Authenticated => gate += 1,
                SessionEvent::AboutToComplete => hold += 1,
                SessionEvent::Accepted => {
                    assert_eq!((gate, hold), (1, 1));
                    assert_eq!(session.progress().acknowledged, session.progress().total);
                    assert_eq!(session.encrypted(), encrypted);
                    sent.extend(drain(&mut session));
                    return sent;
                }
            }
        }
        if gate == 1 {
            session.open_gate();
        }
        if hold == 1 {
            session.allow_completion();
        }
    }
    panic!("no end: {session:?}");
}

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
    session.open_gate();
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
    session.open_gate();
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
    early.open_gate();
    let error = early.receive(&[0x42]).unwrap_err();
    assert!(matches!(error, OtaError::Protocol { step: Step::Prepare, .. }), "{error}");
}

#[test]
fn the_outcome_is_unknown_from_the_last_byte_to_the_confirmation() {
    let mut session = authenticated();
    session.open_gate();
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

/// A session that has said hello to a device with Noise, and the device's end.
fn greeted(flags: u8) -> (Session, Device) {
    let mut session = session_with(Encryption::Required(key()));
    let mut device = Device::new(2, 0, flags);
    let words = device.take(&drain(&mut session));
    session.receive(&words).unwrap();
    (session, device)
}

#[test]
fn every_field_has_a_frame_of_its_own() {
    let mut device = Device::new(2, 0, 0x0C);
    let wire = run(&mut device, |waiting| waiting, usize::MAX);
    let total = IMAGE.wire_size(Compression::Deflate);
    let lengths: Vec<usize> = device.fields.iter().map(Vec::len).collect();
    assert_eq!(lengths[..4], [1, 4, 4, 32]);
    let image = &lengths[4..];
    assert_eq!(image.iter().sum::<usize>(), total);
    let (last, full) = image.split_last().unwrap();
    assert!(full.iter().all(|length| *length == 1024) && (1..=1024).contains(last));
    assert_eq!(device.fields[3], IMAGE.md5().as_bytes());
    // The goodbye has a frame as well.
    let frames = device.fields.len() + 1;
    assert_eq!(wire.len(), 6 + (3 + 49) + 19 * frames + 41 + total + 1);
}

#[test]
fn noise_is_offered_only_with_a_key_and_used_only_when_both_have_it() {
    let cases = [
        (Encryption::None, 0x17, 0x0C, false),
        (Encryption::WhenOffered(key()), 0x1F, 0x08, false),
        (Encryption::WhenOffered(key()), 0x1F, 0x0C, true),
        (Encryption::Required(key()), 0x1F, 0x0C, true),
    ];
    for (encryption, features, flags, noise) in cases {
        let mut session = session_with(encryption);
        assert_eq!(drain(&mut session).last(), Some(&features));
        session.receive(&[0, 2, 0x48, flags]).unwrap();
        assert_eq!(session.step(), if noise { Step::Encryption } else { Step::Auth });
        assert_eq!(!session.transmit().is_empty(), noise);
    }
}

#[test]
fn required_encryption_never_gives_way() {
    for answer in [&[0, 2, 0x48, 0x08][..], &[0, 2, 0x40], &[0, 1, 0x46]] {
        let mut session = session_with(Encryption::Required(key()));
        session.open_gate();
        session.allow_completion();
        let _ = drain(&mut session);
        assert_eq!(session.receive(answer), Err(OtaError::EncryptionNotOffered));
        assert!(session.transmit().is_empty());
        assert!(session.receive(&[0x41, 0x42, 0x43]).is_err() && session.transmit().is_empty());
    }
}

#[test]
fn a_wrong_key_is_told_by_the_device_or_by_its_answer() {
    let (mut session, _) = greeted(0x0C);
    let frame = drain(&mut session);
    let prologue = noise::prologue(2, 0x1F, 0x0C);
    let responder = noise::Responder::new(&[b'x'; 32], &prologue).unwrap();
    let (reject, connection) = responder.answer(&frame[3..]).unwrap();
    assert!(connection.is_none());
    assert_eq!(session.receive(&noise::frame(&reject)), Err(OtaError::WrongKey));

    // What isn't the answer to the client's message is no better.
    let (mut session, _) = greeted(0x0C);
    let _ = drain(&mut session);
    let forged = [&[0][..], &[9; 48]].concat();
    assert_eq!(session.receive(&noise::frame(&forged)), Err(OtaError::WrongKey));
    assert!(session.transmit().is_empty() && !session.encrypted());
}

#[test]
fn a_negotiation_that_somebody_has_changed_ends_in_the_handshake() {
    for (version, features, flags) in [(1, 0x1F, 0x0C), (2, 0x0F, 0x0C), (2, 0x1F, 0x0D)] {
        let (mut session, _) = greeted(0x0C);
        let frame = drain(&mut session);
        let prologue = noise::prologue(version, features, flags);
        let responder = noise::Responder::new(&KEY_BYTES, &prologue).unwrap();
        let (reject, _) = responder.answer(&frame[3..]).unwrap();
        assert_eq!(session.receive(&noise::frame(&reject)), Err(OtaError::WrongKey));
    }
}

#[test]
fn other_refusals_keep_their_reason() {
    let (mut session, _) = greeted(0x0C);
    let _ = drain(&mut session);
    let error = session.receive(&noise::frame(b"\x01Handshake error")).unwrap_err();
    assert_eq!(error, OtaError::HandshakeRefused { reason: "Handshake error".to_owned() });
    assert!(error.sentence().contains("“Handshake error”"));
}

#[test]
fn frames_that_are_wrong_end_the_session() {
    let cases = [
        (vec![0x41], Violation::NotAFrame(0x41)),
        (vec![1, 0, 0], Violation::EmptyFrame),
        (vec![1, 0xFF, 0xFF], Violation::FrameTooLong(65_535)),
        (noise::frame(&[0x41; 17]), Violation::NotAuthentic),
        (noise::frame(&[0x41; 3]), Violation::NotAuthentic),
    ];
    for (words, violation) in cases {
        let (mut session, mut device) = greeted(0x0C);
        let answer = device.take(&drain(&mut session));
        // The device's half of the handshake, without the answer that follows it.
        session.receive(&answer[..52]).unwrap();
        assert!(session.encrypted());
        let error = session.receive(&words).unwrap_err();
        assert_eq!(error, OtaError::Protocol { violation, step: Step::Auth });
    }
    // Authentic, and empty.
    let (mut session, mut device) = greeted(0x0C);
    let answer = device.take(&drain(&mut session));
    session.receive(&answer).unwrap();
    let Secure::On(connection) = &mut device.secure else { panic!("no connection") };
    let empty = connection.seal(&[]).unwrap();
    let error = session.receive(&empty).unwrap_err();
    assert_eq!(error, OtaError::Protocol { violation: Violation::EmptyFrame, step: Step::Gate });
}

#[test]
fn the_answer_to_a_handshake_that_has_not_left_is_a_violation() {
    let (mut session, _) = greeted(0x0C);
    let error = session.receive(&[1]).unwrap_err();
    assert!(matches!(error, OtaError::Protocol { step: Step::Encryption, .. }), "{error}");
}

#[test]
fn an_encrypted_image_is_complete_with_the_last_byte_of_its_last_frame() {
    let (mut session, mut device) = greeted(0x0C);
    session.open_gate();
    session.allow_completion();
    let total = IMAGE.wire_size(Compression::Deflate);
    let mut sealed_at_most = 0;
    loop {
        let output = session.transmit();
        sealed_at_most = sealed_at_most.max(output.len());
        // One byte at a time, where it matters.
        let count =
            if session.progress().sent as usize + 20 * 1024 > total { 1 } else { output.len() };
        let count = count.min(output.len());
        let piece = output[..count].to_vec();
        session.transmitted(count);
        let complete = device.fields.iter().skip(4).map(Vec::len).sum::<usize>() == total;
        let words = device.take(&piece);
        let arrived = device.fields.iter().skip(4).map(Vec::len).sum::<usize>() == total;
        assert_eq!(session.closed("").outcome_unknown(), arrived, "{:?}", session.progress());
        assert!(!complete);
        if arrived {
            break;
        }
        session.receive(&words).unwrap();
    }
    assert!(sealed_at_most <= 16 * (1024 + 19), "{sealed_at_most}");
}

#[test]
fn an_error_of_an_encrypted_device_comes_in_a_frame() {
    let (mut session, mut device) = greeted(0x0C);
    let answer = device.take(&drain(&mut session));
    session.receive(&answer).unwrap();
    let Secure::On(connection) = &mut device.secure else { panic!("no connection") };
    session.open_gate();
    let _ = drain(&mut session);
    let error = session.receive(&connection.seal(&[0x89]).unwrap()).unwrap_err();
    assert_eq!(error.code(), "ota.esp32_not_enough_space");
    assert_eq!(error.step(), Step::Prepare);
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
                session.open_gate();
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
        session.open_gate();
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

//! The encrypted OTA session.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod device;

use device::{Device, IMAGE, KEY_BYTES, Secure, drain, key, noise, run, session_with};
use wakeflash_ota::{Compression, Encryption, OtaError, Session, Step, Violation};

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
        session.open_gate(IMAGE.clone());
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
    session.open_gate(IMAGE.clone());
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
    session.open_gate(IMAGE.clone());
    let _ = drain(&mut session);
    let error = session.receive(&connection.seal(&[0x89]).unwrap()).unwrap_err();
    assert_eq!(error.code(), "ota.esp32_not_enough_space");
    assert_eq!(error.step(), Step::Prepare);
}

//! What the fuzz targets do with their input. The tests of the core run the same on random input, so that it
//! can't rot.

use std::sync::{Arc, LazyLock};

use wakeflash_ota::{
    ACK_BLOCK, Encryption, EncryptionKey, HELD_TAIL, OtaError, Password, PasswordCheck,
    PreparedImage, Randomness, Session, SessionRequest, Step,
};

use crate::noise;

const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
const KEY_BYTES: [u8; 32] = [b'k'; 32];

/// Noise, so that it has several blocks in every form.
static IMAGE: LazyLock<Arc<PreparedImage>> = LazyLock::new(|| {
    let mut seed = 7u32;
    let noise = (0..5 * ACK_BLOCK).map(|_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    Arc::new(PreparedImage::new(noise.collect()).unwrap())
});

fn session(encryption: Encryption) -> Session {
    let request = SessionRequest { password: Some(Password::new("hunter2")), encryption };
    Session::new(request, Randomness::new([0x5A; 64]))
}

fn key() -> EncryptionKey {
    EncryptionKey::from_base64(KEY).unwrap()
}

/// Takes what the session wants to send, at most `limit` bytes of it.
fn take(session: &mut Session, limit: usize) -> Vec<u8> {
    let taken: Vec<u8> = session.transmit().iter().copied().take(limit).collect();
    session.transmitted(taken.len());
    taken
}

/// What holds whatever a device says.
struct Watch {
    may_answer: bool,
    gate_open: bool,
    completion_allowed: bool,
    failed: Option<OtaError>,
}

impl Watch {
    fn new() -> Self {
        Self { may_answer: false, gate_open: false, completion_allowed: false, failed: None }
    }

    fn look(&mut self, session: &Session, outcome: Result<(), OtaError>) {
        match (outcome, &self.failed) {
            (Err(error), None) => self.failed = Some(error),
            (Err(error), Some(first)) => assert_eq!(&error, first, "the first error stays"),
            (Ok(()), failed) => assert!(failed.is_none(), "went on after {failed:?}"),
        }
        let progress = session.progress();
        assert!(progress.acknowledged <= progress.sent && progress.sent <= progress.total);
        if !self.may_answer {
            assert_ne!(session.step(), Step::AuthResult, "answered a challenge unasked");
        }
        if !self.gate_open {
            assert_eq!(progress.sent, 0, "sent through a shut gate");
        }
        if !self.completion_allowed && progress.total > 0 {
            assert!(progress.sent as usize <= (progress.total as usize).saturating_sub(HELD_TAIL));
            assert!(!session.accepted());
        }
        if let Some(failed) = &self.failed {
            assert!(session.transmit().is_empty(), "sends after {failed}");
            assert_eq!(session.closed("").class(), failed.class());
            assert!(!failed.sentence().is_empty());
        }
    }
}

/// A session in the clear, with or without a key. Each input byte pair is one turn: what happens, and a byte.
pub(crate) fn session_body(data: &[u8]) {
    let Some((first, turns)) = data.split_first() else { return };
    let encryption = match first % 3 {
        0 => Encryption::None,
        1 => Encryption::WhenOffered(key()),
        _ => Encryption::Required(key()),
    };
    let required = matches!(encryption, Encryption::Required(_));
    let (mut session, mut watch) = (session(encryption), Watch::new());
    for turn in turns.chunks(2) {
        let &[what, byte] = turn else { return };
        let mut outcome = session.failure().map_or(Ok(()), Err);
        match what % 9 {
            8 => watch.may_answer = true,
            0 => watch.gate_open = true,
            1 => watch.completion_allowed = true,
            2 | 3 => drop(take(&mut session, usize::from(byte) * 64)),
            4 => drop(take(&mut session, usize::MAX)),
            // What a device may well say.
            5 => outcome = session.receive(&[0x40 + byte % 9]),
            6 => outcome = session.receive(&[byte % 3]),
            _ => outcome = session.receive(&[byte]),
        }
        if watch.may_answer && outcome.is_ok() {
            outcome = session.answer_challenge(PasswordCheck::Sha256);
        }
        if watch.gate_open {
            session.open_gate(IMAGE.clone());
        }
        if watch.completion_allowed {
            session.allow_completion();
        }
        while session.poll_event().is_some() {}
        watch.look(&session, outcome);
        if required && !session.encrypted() {
            assert_eq!(session.progress().total, 0, "an update in the clear");
        }
    }
}

/// Everything that an encrypted session sends is a frame that the device can open and has room for.
fn open_frames(wire: &mut Vec<u8>, connection: &mut noise::Connection) {
    while let [indicator, high, low, payload @ ..] = wire.as_slice() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(*indicator == 1 && length <= noise::MAX_CIPHERTEXT, "{indicator} {length}");
        if payload.len() < length {
            return;
        }
        assert!(!connection.open(&payload[..length]).unwrap().is_empty());
        wire.drain(..3 + length);
    }
}

/// An encrypted session behind a good handshake: raw bytes, and frames with a device's seal on them.
pub(crate) fn frames_body(data: &[u8]) {
    const FLAGS: u8 = 0x0C;
    let (mut session, mut watch) = (session(Encryption::Required(key())), Watch::new());
    let _ = take(&mut session, usize::MAX);
    assert_eq!(session.receive(&[0, 2, 0x48, FLAGS]), Ok(()));
    let Some((&first, rest)) = data.split_first() else { return };
    let mut connection = None;
    if first != 0 {
        let hello = take(&mut session, usize::MAX);
        let responder =
            noise::Responder::new(&KEY_BYTES, &noise::prologue(2, 0x1F, FLAGS)).unwrap();
        let (answer, made) = responder.answer(&hello[3..]).unwrap();
        assert_eq!(session.receive(&noise::frame(&answer)), Ok(()));
        assert!(session.encrypted());
        connection = made;
    }
    let mut wire = Vec::new();
    let mut rest = rest;
    while let [what, length, after @ ..] = rest {
        let (piece, next) = after.split_at(usize::from(*length).min(after.len()));
        rest = next;
        let mut outcome = session.failure().map_or(Ok(()), Err);
        match (what % 7, &mut connection) {
            (6, _) => watch.may_answer = true,
            (0, _) => watch.gate_open = true,
            (1, _) => watch.completion_allowed = true,
            (2, connection) => {
                wire.extend(take(&mut session, usize::from(*length) * 64));
                if let Some(connection) = connection {
                    open_frames(&mut wire, connection);
                }
            }
            (3 | 4, Some(connection)) => {
                outcome = session.receive(&connection.seal(piece).unwrap());
            }
            (_, _) => outcome = session.receive(piece),
        }
        if watch.may_answer && outcome.is_ok() {
            outcome = session.answer_challenge(PasswordCheck::Sha256);
        }
        if watch.gate_open {
            session.open_gate(IMAGE.clone());
        }
        if watch.completion_allowed {
            session.allow_completion();
        }
        while session.poll_event().is_some() {}
        watch.look(&session, outcome);
    }
}

//! A device in memory, in the clear or encrypted, and what it takes to run a session against it.

#[path = "../../../../tests/src/peer/noise.rs"]
pub(crate) mod noise;

use std::sync::{Arc, LazyLock};

use wakeflash_ota::{
    ACK_BLOCK, Compression, Encryption, EncryptionKey, Password, PasswordCheck, PreparedImage,
    Randomness, Session, SessionEvent, SessionRequest,
};

/// Noise, so that it has several blocks and more than a window in every form.
pub(crate) static IMAGE: LazyLock<Arc<PreparedImage>> = LazyLock::new(|| {
    let mut seed = 7u32;
    let noise = (0..200_000).map(|_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    Arc::new(PreparedImage::new(noise.collect()).unwrap())
});

/// 32 times the letter "k".
pub(crate) const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
pub(crate) const KEY_BYTES: [u8; 32] = [b'k'; 32];

pub(crate) fn session() -> Session {
    session_with(Encryption::None)
}

pub(crate) fn key() -> EncryptionKey {
    EncryptionKey::from_base64(KEY).unwrap()
}

/// A session that answers any challenge.
pub(crate) fn session_with(encryption: Encryption) -> Session {
    let mut session = wary_session(encryption);
    session.answer_challenge(PasswordCheck::AlsoMd5).unwrap();
    session
}

/// A session that knows nothing about the peer yet.
pub(crate) fn wary_session(encryption: Encryption) -> Session {
    let request = SessionRequest { password: Some(Password::new("hunter2")), encryption };
    Session::new(request, Randomness::new([0x5A; 64]))
}

/// Takes everything that the session wants to send for now.
pub(crate) fn drain(session: &mut Session) -> Vec<u8> {
    let mut sent = Vec::new();
    while !session.transmit().is_empty() {
        sent.extend_from_slice(session.transmit());
        session.transmitted(session.transmit().len());
    }
    sent
}

/// The device's end of an encrypted connection.
pub(crate) enum Secure {
    Off,
    Expected(Box<noise::Responder>),
    On(noise::Connection),
}

/// A device in memory that looks at how much has come and says what it has to say to it.
pub(crate) struct Device {
    /// What it answers once so many bytes have come in all.
    script: Vec<(usize, Vec<u8>)>,
    came: usize,
    answered: usize,
    pub(crate) secure: Secure,
    /// Bytes of a frame that isn't complete.
    frame: Vec<u8>,
    /// The plaintext of each frame.
    pub(crate) fields: Vec<Vec<u8>>,
}

impl Device {
    pub(crate) fn new(version: u8, auth: usize, flags: u8) -> Self {
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
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
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
pub(crate) fn run(
    device: &mut Device,
    mut cut: impl FnMut(usize) -> usize,
    piece: usize,
) -> Vec<u8> {
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
            session.open_gate(IMAGE.clone());
        }
        if hold == 1 {
            session.allow_completion();
        }
    }
    panic!("no end: {session:?}");
}

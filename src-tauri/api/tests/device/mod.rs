//! A device of the native API for the tests of the session: what it says is written by hand, byte
//! by byte, so that it doesn't share the client's mistakes.
#![allow(dead_code, reason = "each test uses some of it")]

#[path = "../../../../tests/src/peer/noise.rs"]
pub(crate) mod noise;

use wakeflash_api::{EncryptionKey, Ephemeral, Opening, Session};

pub(crate) const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
pub(crate) const KEY_BYTES: [u8; 32] = [b'k'; 32];
pub(crate) const PROLOGUE: &[u8] = b"NoiseAPIInit\0\0";

/// What a Noise device says first, as a frame's payload.
pub(crate) const GREETING: &[u8] = b"\x01sleepy\x00983569abf679\x00";

pub(crate) fn encrypted() -> Opening {
    let key = EncryptionKey::from_base64(KEY).unwrap();
    Opening::Encrypted(key, Ephemeral::new([0x5A; 32]))
}

/// Takes what the session wants to send.
pub(crate) fn drain(session: &mut Session) -> Vec<u8> {
    let taken = session.transmit().to_vec();
    session.transmitted(taken.len());
    taken
}

/// A field of a message: its number, and text.
pub(crate) fn text(number: u8, text: &str) -> Vec<u8> {
    bytes(number, text.as_bytes())
}

pub(crate) fn bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(number < 16 && length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

/// A field with a small number.
pub(crate) fn number(field: u8, value: u8) -> Vec<u8> {
    assert!(field < 16 && value < 128);
    vec![field << 3, value]
}

/// A field with four bytes.
pub(crate) fn fixed(field: u8, value: [u8; 4]) -> Vec<u8> {
    [&[field << 3 | 5], &value[..]].concat()
}

pub(crate) fn hello() -> Message {
    (2, [number(1, 1), number(2, 12), text(3, "2026.10.0"), text(4, "sleepy")].concat())
}

pub(crate) fn device_info() -> Message {
    let fields = [
        text(2, "sleepy"),
        text(3, "98:35:69:AB:F6:79"),
        text(4, "2026.10.0"),
        text(5, "2026-11-30 09:46:06 +0000"),
        text(6, "Host"),
        number(7, 1),
        text(8, "vendor.product"),
        text(9, "1.2"),
        text(13, "Sleepy Sensor"),
    ];
    (10, fields.concat())
}

pub(crate) fn sensor(key: u32, name: &str, device_class: &str, unit: &str) -> Message {
    let fields = [
        text(1, "object_id"),
        fixed(2, key.to_le_bytes()),
        text(3, name),
        text(6, unit),
        text(9, device_class),
    ];
    (16, fields.concat())
}

pub(crate) fn state(key: u32, value: f32) -> Message {
    (25, [fixed(1, key.to_le_bytes()), fixed(2, value.to_le_bytes())].concat())
}

pub(crate) fn missing_state(key: u32) -> Message {
    (25, [fixed(1, key.to_le_bytes()), number(3, 1)].concat())
}

pub(crate) const LIST_DONE: Message = (19, Vec::new());

pub(crate) type Message = (u8, Vec<u8>);

/// Messages as they travel in the clear.
pub(crate) fn plain(messages: &[Message]) -> Vec<u8> {
    let one = |(kind, body): &Message| {
        let length = body.len();
        let [low, high] = [length & 0x7F, length >> 7];
        let length = if high == 0 { vec![low as u8] } else { vec![low as u8 | 0x80, high as u8] };
        [&[0][..], &length, &[*kind], body].concat()
    };
    messages.iter().flat_map(one).collect()
}

/// The types of the messages that a client sent in the clear.
pub(crate) fn kinds(wire: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut rest = wire;
    while let [0, length, kind, after @ ..] = rest {
        kinds.push(*kind);
        rest = &after[usize::from(*length)..];
    }
    assert!(rest.is_empty(), "{wire:?}");
    kinds
}

/// A device's end of an encrypted connection.
pub(crate) struct Secure(noise::Connection);

impl Secure {
    /// Takes what a session says first; gives what the device answers to it.
    pub(crate) fn accept(opening: &[u8], key: &[u8; 32]) -> (Vec<u8>, Option<Self>) {
        let [1, 0, 0, 1, 0, 49, payload @ ..] = opening else { panic!("{opening:?}") };
        let responder = noise::Responder::new(key, PROLOGUE).unwrap();
        let (answer, connection) = responder.answer(payload).unwrap();
        let wire = [noise::frame(GREETING), noise::frame(&answer)].concat();
        (wire, connection.map(Self))
    }

    pub(crate) fn say(&mut self, messages: &[Message]) -> Vec<u8> {
        let seal = |(kind, body): &Message| {
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            self.0.seal(&[&[0, *kind][..], &length, body].concat()).unwrap()
        };
        messages.iter().flat_map(seal).collect()
    }

    /// A frame with any content.
    pub(crate) fn seal(&mut self, content: &[u8]) -> Vec<u8> {
        self.0.seal(content).unwrap()
    }

    /// The types of the messages that the client sent.
    pub(crate) fn kinds(&mut self, wire: &[u8]) -> Vec<u8> {
        let mut kinds = Vec::new();
        let mut rest = wire;
        while let [1, high, low, after @ ..] = rest {
            let (frame, next) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            let plain = self.0.open(frame).unwrap();
            let [0, kind, high, low, ref body @ ..] = plain[..] else { panic!("{plain:?}") };
            assert_eq!(usize::from(u16::from_be_bytes([high, low])), body.len());
            kinds.push(kind);
            rest = next;
        }
        assert!(rest.is_empty(), "{wire:?}");
        kinds
    }
}

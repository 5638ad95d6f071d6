//! Messages in the clear: the byte `00`, the message's length and its type as varints, the message.

use crate::error::Violation;

/// The first byte of every message in the clear.
pub(crate) const INDICATOR: u8 = 0x00;
/// The longest message that is taken in the clear: what fits into an encrypted frame.
const LONGEST: u32 = u16::MAX as u32;
/// The bytes of the longest varint that is taken: what ESPHome's own devices take.
const VARINT_BYTES: u8 = 3;

/// One message of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u32,
    pub(crate) body: Vec<u8>,
}

/// Puts messages together, byte by byte; keeps one at most.
#[derive(Debug, Default)]
pub(crate) struct Reader(Part);

#[derive(Debug, Default)]
enum Part {
    #[default]
    Indicator,
    Length(Varint),
    Kind {
        length: usize,
        kind: Varint,
    },
    Body {
        length: usize,
        message: Message,
    },
}

impl Reader {
    /// The message, when this byte completes one.
    pub(crate) fn take(&mut self, byte: u8) -> Result<Option<Message>, Violation> {
        match &mut self.0 {
            Part::Indicator if byte == INDICATOR => self.0 = Part::Length(Varint::default()),
            Part::Indicator => return Err(Violation::NotAFrame(byte)),
            Part::Length(varint) => {
                if let Some(length) = varint.take(byte)? {
                    if length > LONGEST {
                        return Err(Violation::MessageTooLong(length));
                    }
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    self.0 = Part::Kind { length, kind: Varint::default() };
                }
            }
            Part::Kind { length, kind } => {
                if let Some(kind) = kind.take(byte)? {
                    let message = Message { kind, body: Vec::new() };
                    self.0 = Part::Body { length: *length, message };
                }
            }
            Part::Body { message, .. } => message.body.push(byte),
        }
        Ok(self.complete())
    }

    fn complete(&mut self) -> Option<Message> {
        let complete = matches!(
            &self.0,
            Part::Body { length, message } if message.body.len() >= *length
        );
        let part = if complete { std::mem::take(&mut self.0) } else { return None };
        if let Part::Body { message, .. } = part { Some(message) } else { None }
    }
}

#[derive(Debug, Default)]
struct Varint {
    value: u32,
    bytes: u8,
}

impl Varint {
    fn take(&mut self, byte: u8) -> Result<Option<u32>, Violation> {
        self.value |= u32::from(byte & 0x7F) << (7 * self.bytes);
        self.bytes += 1;
        if byte & 0x80 == 0 {
            Ok(Some(self.value))
        } else if self.bytes == VARINT_BYTES {
            Err(Violation::BadVarint)
        } else {
            Ok(None)
        }
    }
}

/// Appends a message in the clear.
pub(crate) fn put_message(kind: u16, body: &[u8], wire: &mut Vec<u8>) {
    wire.push(INDICATOR);
    put_varint(body.len(), wire);
    put_varint(usize::from(kind), wire);
    wire.extend_from_slice(body);
}

fn put_varint(mut value: usize, wire: &mut Vec<u8>) {
    while value > 0x7F {
        wire.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    wire.push(value as u8);
}

/// A message as it is sealed: its type and length as two bytes each, and the message.
pub(crate) fn sealed_form(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
}

/// The message in what was sealed.
pub(crate) fn read_sealed_form(plain: &[u8]) -> Result<Message, Violation> {
    let &[kind_high, kind_low, high, low, ref rest @ ..] = plain else {
        return Err(Violation::BadEnvelope);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let body = rest.get(..length).ok_or(Violation::BadEnvelope)?.to_vec();
    Ok(Message { kind: u32::from(u16::from_be_bytes([kind_high, kind_low])), body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Message>, Violation> {
        let mut reader = Reader::default();
        let mut messages = Vec::new();
        for byte in bytes {
            messages.extend(reader.take(*byte)?);
        }
        Ok(messages)
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        assert_eq!(all(&[1]), Err(Violation::NotAFrame(1)));
        assert_eq!(all(&[0, 0x80, 0x80, 0x04]), Err(Violation::MessageTooLong(65_536)));
        assert_eq!(all(&[0, 0x80, 0x80, 0x80]), Err(Violation::BadVarint));
        assert_eq!(all(&[0, 0, 0xFF, 0xFF, 0xFF]), Err(Violation::BadVarint));
        assert_eq!(all(&[0, 2, 7, 9]), Ok(vec![]));
        assert_eq!(all(&[0, 0, 8]), Ok(vec![Message { kind: 8, body: vec![] }]));
    }

    proptest! {
        #[test]
        fn messages_follow_each_other(
            messages in proptest::collection::vec(
                (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let mut wire = Vec::new();
            for (kind, body) in &messages {
                put_message(*kind, body, &mut wire);
                let read = read_sealed_form(&sealed_form(*kind, body)).unwrap();
                prop_assert_eq!((read.kind, &read.body), (u32::from(*kind), body));
            }
            let read = all(&wire).unwrap();
            prop_assert_eq!(read.len(), messages.len());
            for (read, (kind, body)) in read.iter().zip(&messages) {
                prop_assert_eq!((read.kind, &read.body), (u32::from(*kind), body));
            }
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = all(&bytes);
            let _ = read_sealed_form(&bytes);
        }
    }
}

//! Frames: the byte `01`, the payload's length as two bytes, the payload.

/// The first byte of every frame.
pub const INDICATOR: u8 = 0x01;
/// The bytes before a frame's payload.
pub const HEADER: usize = 3;
/// What encryption adds to a plaintext.
pub const TAG: usize = 16;

/// Bytes that are no frame of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A byte where a frame should begin.
    #[error("byte 0x{0:02X} where a frame should begin")]
    NotAFrame(u8),
    /// A frame without content.
    #[error("an empty frame")]
    Empty,
    /// A frame longer than any that a device sends.
    #[error("a frame of {0} bytes")]
    TooLong(usize),
}

/// Puts frames together, byte by byte; keeps one frame at most.
#[derive(Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    longest: u16,
}

impl Frames {
    /// Takes payloads of up to `longest` bytes.
    #[must_use]
    pub fn new(longest: u16) -> Self {
        Self { bytes: Vec::new(), longest }
    }

    /// The payload, when this byte completes a frame.
    ///
    /// # Errors
    /// When the bytes are no frame. What comes after has no meaning.
    pub fn take(&mut self, byte: u8) -> Result<Option<Vec<u8>>, FrameError> {
        self.bytes.push(byte);
        let &[indicator, ref rest @ ..] = self.bytes.as_slice() else { return Ok(None) };
        if indicator != INDICATOR {
            return Err(FrameError::NotAFrame(indicator));
        }
        let &[high, low, ref payload @ ..] = rest else { return Ok(None) };
        let length = u16::from_be_bytes([high, low]);
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.longest {
            return Err(FrameError::TooLong(usize::from(length)));
        }
        if payload.len() < usize::from(length) {
            return Ok(None);
        }
        let payload = self.bytes.split_off(HEADER);
        self.bytes.clear();
        Ok(Some(payload))
    }
}

/// Appends a frame. Every payload here is far below 64 KiB.
pub fn put_frame(payload: &[u8], wire: &mut Vec<u8>) {
    let [high, low] = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    wire.extend_from_slice(&[INDICATOR, high, low]);
    wire.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Frames::new(1040);
        let mut payloads = Vec::new();
        for byte in bytes {
            payloads.extend(frames.take(*byte)?);
        }
        Ok(payloads)
    }

    #[test]
    fn frames_that_are_none_are_told_apart() {
        assert_eq!(all(&[0x02]), Err(FrameError::NotAFrame(2)));
        assert_eq!(all(&[1, 0, 0]), Err(FrameError::Empty));
        assert_eq!(all(&[1, 4, 17]), Err(FrameError::TooLong(1041)));
        assert_eq!(all(&[1, 0, 1]), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=1040), 0..5),
        ) {
            let mut wire = Vec::new();
            for payload in &payloads {
                put_frame(payload, &mut wire);
            }
            prop_assert_eq!(all(&wire), Ok(payloads));
        }

        #[test]
        fn no_more_than_one_frame_is_kept(
            length in 0u16..1200,
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
        ) {
            let mut wire = vec![INDICATOR];
            wire.extend_from_slice(&length.to_be_bytes());
            wire.extend_from_slice(&bytes);
            let mut frames = Frames::new(1040);
            for byte in wire {
                if frames.take(byte).is_err() {
                    break;
                }
                prop_assert!(frames.bytes.len() < HEADER + 1040);
            }
        }
    }
}

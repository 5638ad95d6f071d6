//! What the fuzz target `api` does with its input. The tests of the native API's client run the same on random
//! input and on the corpus, so that it can't rot.

use wakeflash_api::{
    EncryptionKey, Ephemeral, Event, LONGEST_LINE, MAX_RECEIVED, Opening, Outcome, Session, Step,
    Wish, Worth,
};

use crate::noise;

const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
const KEY_BYTES: [u8; 32] = [b'k'; 32];
const GREETING: &[u8] = b"\x01sleepy\x00983569abf679\x00";

fn take(session: &mut Session) -> Vec<u8> {
    let taken = session.transmit().to_vec();
    session.transmitted(taken.len());
    taken
}

/// What holds whatever a device says.
struct Watch {
    end: Option<Outcome>,
    received: usize,
    /// Whether something with the device's seal on it was received.
    sealed: bool,
}

impl Watch {
    fn receive(&mut self, session: &mut Session, bytes: &[u8]) {
        self.received += bytes.len();
        session.receive(bytes);
        self.look(session);
    }

    fn look(&mut self, session: &mut Session) {
        while let Some(event) = session.poll_event() {
            match event {
                Event::Answered(answer) => {
                    self.judge(answer.worth());
                    // Without effect where no log is wished for.
                    session.follow_log();
                }
                Event::Logged(line) => {
                    assert!(line.len() <= LONGEST_LINE);
                    let unsafe_to_show = |c: char| c.is_control() && c != '\x1B';
                    assert!(!line.contains(unsafe_to_show), "{line:?}");
                }
                Event::Greeted(_) => {}
            }
        }
        assert!(session.transmit().len() <= 2_048, "it writes without end");
        let Some(outcome) = session.outcome() else {
            let bounded = self.received <= MAX_RECEIVED || session.step() == Some(Step::Log);
            assert!(self.end.is_none() && bounded);
            return;
        };
        if let Outcome::Answered(answer, readings) = outcome {
            self.judge(answer.worth());
            assert!(!answer.name().as_str().is_empty() && readings.len() <= 16);
            assert!(readings.iter().all(|reading| reading.value.is_finite()));
        }
        assert!(session.step().is_none());
        let first = self.end.get_or_insert_with(|| outcome.clone());
        assert_eq!(first, outcome, "the first end stays");
    }

    fn judge(&self, worth: Worth) {
        if worth == Worth::Proof {
            assert!(self.sealed, "proven by nothing");
        }
    }
}

/// The first byte says how it begins. Then pieces: what is done, a length, and so many bytes.
pub(crate) fn api_body(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let wish = match first & 12 {
        0 => Wish::Identity,
        4 => Wish::Power,
        _ => Wish::Log,
    };
    let opening = match first & 3 {
        0 => Opening::Plaintext,
        1 => Opening::Greeting,
        _ => {
            let key = EncryptionKey::from_base64(KEY).unwrap();
            Opening::Encrypted(key, Ephemeral::new([0x5A; 32]))
        }
    };
    let mut session = Session::new(opening, wish);
    let mut watch = Watch { end: None, received: 0, sealed: false };
    let mut connection = None;
    if first & 3 == 3 {
        let said = take(&mut session);
        let responder = noise::Responder::new(&KEY_BYTES, b"NoiseAPIInit\0\0").unwrap();
        let (answer, made) = responder.answer(&said[6..]).unwrap();
        watch.receive(&mut session, &noise::frame(GREETING));
        watch.receive(&mut session, &noise::frame(&answer));
        connection = made;
    }
    while let [what, length, after @ ..] = rest {
        let (piece, next) = after.split_at(usize::from(*length).min(after.len()));
        rest = next;
        match (what % 8, &mut connection) {
            (0, _) => drop(take(&mut session)),
            (1, _) => session.closed("closed"),
            (2, _) => session.time_out(),
            (6, _) if wish == Wish::Log => session.leave(),
            // A whole message, whose type is the first byte.
            (3 | 4, Some(connection)) => {
                let Some((kind, body)) = piece.split_first() else { continue };
                let length = u16::try_from(body.len()).unwrap().to_be_bytes();
                let message = [&[0, *kind][..], &length, body].concat();
                watch.sealed = true;
                watch.receive(&mut session, &connection.seal(&message).unwrap());
            }
            (5, Some(connection)) => {
                watch.sealed = true;
                watch.receive(&mut session, &connection.seal(piece).unwrap());
            }
            (3 | 4, None) => {
                let Some((kind, body)) = piece.split_first() else { continue };
                let length = body.len();
                let header = [0, (length & 0x7F) as u8 | 0x80, (length >> 7) as u8, *kind & 0x7F];
                watch.receive(&mut session, &[&header, body].concat());
            }
            (_, _) => watch.receive(&mut session, piece),
        }
        watch.look(&mut session);
    }
}

//! Whatever a device says, in whatever pieces it comes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "../../../tests/fuzz/api.rs"]
mod api;
mod device;

use device::{
    KEY_BYTES, LIST_DONE, Message, Secure, device_info, drain, encrypted, hello, missing_state,
    noise, plain, sensor, state,
};
use proptest::prelude::*;
use wakeflash_api::{Event, Opening, Outcome, Session, Wish};

/// A device that says all it has to say: in the clear, or encrypted.
fn words(secure: bool) -> (Opening, Vec<u8>) {
    let messages = [
        hello(),
        (7, vec![]),
        device_info(),
        sensor(1, "Battery", "battery", "%"),
        sensor(2, "Temperature", "temperature", "K"),
        (41, vec![0x0A; 120]),
        LIST_DONE,
        missing_state(1),
        state(2, 20.0),
        state(1, 70.0),
        (5, vec![]),
    ];
    if !secure {
        return (Opening::Plaintext, plain(&messages));
    }
    let mut session = Session::new(encrypted(), Wish::Power);
    let (mut wire, secure) = Secure::accept(&drain(&mut session), &KEY_BYTES);
    wire.extend(secure.unwrap().say(&messages));
    (encrypted(), wire)
}

type Told = (Vec<Event>, Option<Outcome>, Vec<u8>);

fn told(opening: Opening, wish: Wish, pieces: &[&[u8]]) -> Told {
    let mut session = Session::new(opening, wish);
    let (mut events, mut said) = (Vec::new(), drain(&mut session));
    for piece in pieces {
        session.receive(piece);
        events.extend(std::iter::from_fn(|| session.poll_event()));
        said.extend(drain(&mut session));
    }
    (events, session.outcome().cloned(), said)
}

fn split<'a>(wire: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect()
}

fn wishes() -> impl Strategy<Value = Wish> {
    prop_oneof![Just(Wish::Identity), Just(Wish::Power)]
}

/// A message that a device may well send, or may not.
fn message() -> impl Strategy<Value = Message> {
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(hello()),
        Just(device_info()),
        Just(sensor(1, "", "battery", "")),
        Just(state(1, 1.0)),
        Just(LIST_DONE),
        Just((29, vec![0x1A, 4, b'[', 0x1B, b'[', b'm'])),
        (0u8..64, body),
    ]
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        secure in any::<bool>(),
        wish in wishes(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (opening, wire) = words(secure);
        let whole = told(opening, wish, &[&wire]);
        prop_assert!(matches!(&whole.1, Some(Outcome::Answered(..))), "{:?}", whole.1);
        let (opening, wire) = words(secure);
        prop_assert_eq!(&told(opening, wish, &split(&wire, &cuts)), &whole);
        let (opening, wire) = words(secure);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        prop_assert_eq!(told(opening, wish, &bytes), whole);
    }

    #[test]
    fn pieces_of_anything_make_no_difference(
        wish in wishes(),
        messages in proptest::collection::vec(message(), 0..12),
        tail in proptest::collection::vec(any::<u8>(), 0..20),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let wire = [plain(&messages), tail].concat();
        let (events, outcome, said) = told(Opening::Plaintext, wish, &[&wire]);
        let (in_pieces, same, said_too) = told(Opening::Plaintext, wish, &split(&wire, &cuts));
        prop_assert_eq!((in_pieces, &same), (events, &outcome));
        // A session that fails says nothing more, not even what was about to be said.
        prop_assert!(said_too.starts_with(&said));
    }

    #[test]
    fn a_cut_connection_never_says_more_than_a_whole_one(
        secure in any::<bool>(),
        wish in wishes(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (opening, wire) = words(secure);
        let whole = told(opening, wish, &[&wire]).1;
        let (opening, _) = words(secure);
        let mut session = Session::new(opening, wish);
        let cut = cut.index(wire.len());
        session.receive(&wire[..cut]);
        session.closed("reset");
        let outcome = session.outcome().unwrap();
        match (outcome, &whole) {
            (Outcome::Answered(answer, _), Some(Outcome::Answered(expected, _))) => {
                prop_assert_eq!(answer, expected);
            }
            (Outcome::Answered(..), _) => prop_assert!(false, "{outcome:?}"),
            (Outcome::Full, _) => prop_assert_eq!(cut, 0),
            (Outcome::Greeted(..) | Outcome::Failed(_), _) => {}
            (
                Outcome::SpeaksPlaintext
                | Outcome::WantsEncryption
                | Outcome::Dismissed(_)
                | Outcome::Followed(..),
                _,
            ) => {
                prop_assert!(false, "{outcome:?}");
            }
        }
    }
}

proptest! {
    // A failing input is printed, shrunk.
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_session_survives(
        first in 0u8..16,
        pieces in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..40),
    ) {
        let mut data = vec![first];
        for (what, piece) in pieces {
            data.extend([what, u8::try_from(piece.len()).unwrap()]);
            data.extend(piece);
        }
        api::api_body(&data);
    }

    #[test]
    fn a_session_survives_messages(
        first in 0u8..16,
        messages in proptest::collection::vec(message(), 0..20),
    ) {
        api::api_body(&input(first, &messages));
    }
}

/// Input of the fuzz target: a device says these messages.
fn input(first: u8, messages: &[Message]) -> Vec<u8> {
    let mut data = vec![first];
    for (kind, body) in messages {
        data.extend([3, u8::try_from(body.len() + 1).unwrap(), *kind]);
        data.extend(body);
    }
    data
}

/// Every file of the corpus, which holds what was found, and what a device says.
#[test]
fn the_corpus_survives() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/api");
    let mut files = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        api::api_body(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 6, "{files}");
}

//! The bodies of the fuzz targets (`tests/fuzz`), on random input with a printed seed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "../../../tests/fuzz/bodies.rs"]
mod bodies;
#[path = "../../../tests/src/peer/noise.rs"]
mod noise;

use proptest::prelude::*;

proptest! {
    // A failing input is printed, shrunk.
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_session_survives(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        bodies::session_body(&data);
    }

    #[test]
    fn an_encrypted_session_survives(
        handshake in any::<bool>(),
        pieces in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(likely(), 0..8)),
            0..200,
        ),
    ) {
        let mut data = vec![u8::from(handshake)];
        for (what, piece) in pieces {
            data.extend([what, u8::try_from(piece.len()).unwrap()]);
            data.extend(piece);
        }
        bodies::frames_body(&data);
    }
}

/// What a device may well say, more often than not.
fn likely() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0x40u8..0x49, 1 => any::<u8>()]
}

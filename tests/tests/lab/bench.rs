//! One pair of the OTA bench: it measures what it says it does. It doesn't judge times: this is a debug build
//! on a machine that is busy.

use std::time::Duration;

use wakeflash_tests::bench::{Bench, Pair, SMALL_WINDOW};
use wakeflash_tests::link::LinkOptions;

#[tokio::test]
async fn one_pair_of_the_bench() {
    let mut bench = Bench::start(13_745).await.unwrap();
    let round_trip = Duration::from_millis(40);
    let link = LinkOptions { round_trip, rate: None, window: Some(SMALL_WINDOW) };
    let mut pair = bench.pair(link, false).await.unwrap();
    // The last word of the other client is read when the machine gets to it.
    let agrees = |pair: &Pair| {
        let theirs = pair.theirs;
        theirs.own_word.abs_diff(theirs.transfer) < theirs.transfer / 4
    };
    for _ in 0..9 {
        if !agrees(&pair) {
            pair = bench.pair(link, false).await.unwrap();
        }
    }
    println!("{pair:?}");
    // The connection; magic and features; the password; the sizes. ESPHome waits for each answer.
    assert_eq!((pair.ours.round_trips, pair.theirs.round_trips), (4, 6));
    for sample in [pair.ours, pair.theirs] {
        // No client can be faster than the window lets it.
        let windows = (sample.image_bytes - 1) / SMALL_WINDOW;
        assert!(windows > 10, "{sample:?}");
        assert!(sample.transfer > round_trip * windows as u32, "{sample:?}");
        let before_image = sample.whole - sample.transfer;
        assert!(before_image > round_trip * sample.round_trips as u32, "{sample:?}");
    }
    // The same deflate level and window, by another implementation.
    let (ours, theirs) = (pair.ours.image_bytes, pair.theirs.image_bytes);
    assert!(ours.abs_diff(theirs) < theirs / 20, "{ours} {theirs}");
    // The stopwatch agrees with what the clients say: ours times the same and its start, and theirs ends
    // with the last acknowledgement, just before the device confirms.
    assert!(pair.ours.own_word > pair.ours.transfer && pair.ours.own_word < pair.ours.whole);
    assert!(agrees(&pair), "{pair:?}");
}

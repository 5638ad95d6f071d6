#![no_main]

#[path = "../bodies.rs"]
#[allow(dead_code, reason = "each target runs one of them")]
mod bodies;
#[path = "../../src/peer/noise.rs"]
#[allow(dead_code, reason = "it is the device of the tests as well")]
mod noise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::frames_body(data));

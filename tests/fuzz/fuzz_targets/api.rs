#![no_main]

#[path = "../api.rs"]
mod api;
#[path = "../../src/peer/noise.rs"]
#[allow(dead_code, reason = "it is the device of the tests as well")]
mod noise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| api::api_body(data));

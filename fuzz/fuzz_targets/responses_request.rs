//! `cargo +nightly fuzz run responses_request`

#![no_main]

#[path = "../bodies/responses_request.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

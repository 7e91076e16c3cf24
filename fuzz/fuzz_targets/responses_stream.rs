//! `cargo +nightly fuzz run responses_stream`

#![no_main]

#[path = "../bodies/responses_stream.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

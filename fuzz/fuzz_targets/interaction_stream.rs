//! `cargo +nightly fuzz run interaction_stream`

#![no_main]

#[path = "../bodies/interaction_stream.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

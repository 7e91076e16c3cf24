//! `cargo +nightly fuzz run gemini_stream`

#![no_main]

#[path = "../bodies/gemini_stream.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

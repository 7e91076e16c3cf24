//! `cargo +nightly fuzz run gemini_request`

#![no_main]

#[path = "../bodies/gemini_request.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

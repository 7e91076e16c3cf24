//! `cargo +nightly fuzz run completions_request`

#![no_main]

#[path = "../bodies/completions_request.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

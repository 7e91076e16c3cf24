//! `cargo +nightly fuzz run translate`

#![no_main]

#[path = "../bodies/translate.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

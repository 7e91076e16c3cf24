//! `cargo +nightly fuzz run splice`

#![no_main]

#[path = "../bodies/splice.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

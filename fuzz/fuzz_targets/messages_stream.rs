//! `cargo +nightly fuzz run messages_stream`

#![no_main]

#[path = "../bodies/messages_stream.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

//! `cargo +nightly fuzz run chat_stream`

#![no_main]

#[path = "../bodies/chat_stream.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

//! `cargo +nightly fuzz run chat_request`

#![no_main]

#[path = "../bodies/chat_request.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

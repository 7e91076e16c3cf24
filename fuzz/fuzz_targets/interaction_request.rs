//! `cargo +nightly fuzz run interaction_request`

#![no_main]

#[path = "../bodies/interaction_request.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));

//! A Gemini request that can be read stays readable after any rewrite and says what was asked; as a conversation it is
//! written again as JSON that can be read.
//!
//! The first byte chooses the rewrite.

use bytes::Bytes;
use gateway_protocols::conversation::{Losses, Target};
use gateway_protocols::gemini::{self, CountRequest, GenerateRequest};
use gateway_protocols::json::MAX_MEMBERS;
use gateway_protocols::openai::CapMember;

/// More bytes than a body has that is full of members.
const FULL: usize = MAX_MEMBERS * 4;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let cap = (choice & 1 != 0).then_some(77);
    if let Ok(request) = GenerateRequest::read(&body) {
        let rewritten = request.rewrite(cap);
        match GenerateRequest::read(&rewritten) {
            Ok(again) => {
                assert_eq!(again.output_cap(), cap.or(request.output_cap()));
                assert_eq!(again.n(), request.n());
                assert_eq!(again.rewrite(cap), rewritten);
            }
            // A body that is full of members has no room for one more.
            Err(fault) => assert!(body.len() > FULL, "{fault}: {rewritten:?}"),
        }
    }
    if let Ok(request) = CountRequest::read(&body) {
        CountRequest::read(&request.rewrite("m")).expect("a count request");
    }
    let Ok(conversation) = gemini::conversation(&body, choice & 2 != 0) else { return };
    let target = Target {
        model: if choice & 4 != 0 { "gemini-2.5-pro" } else { "gemini-3-flash" },
        cap,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: choice & 8 != 0,
        asks_for_usage: true,
        missing_signature: None,
    };
    let mut losses = Losses::new("Gemini", true);
    let rendered = gemini::render_request(&conversation, &target, &mut losses).expect("lenient");
    let text = std::str::from_utf8(&rendered).expect("text");
    serde_json::from_str::<serde::de::IgnoredAny>(text).expect("JSON");
    if conversation.turns.iter().any(|turn| !turn.parts.is_empty()) {
        // A turn of nothing but what was left out leaves no contents.
        let _ = gemini::conversation(&rendered, false);
    }
}

//! A request that can be read stays readable after any rewrite, says what was asked, and keeps
//! every other member.
//!
//! The first byte chooses the rewrite.

use bytes::Bytes;
use gateway_protocols::json::{Cursor, JsonFault, MAX_MEMBERS, Object};
use gateway_protocols::openai::{CapMember, ChatRequest, Rewrite};

/// What a rewrite may change.
const EDITED: [&str; 4] = ["model", "max_tokens", "max_completion_tokens", "stream_options"];

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let Ok(request) = ChatRequest::read(&body) else { return };
    let member = if choice & 1 == 0 { CapMember::MaxTokens } else { CapMember::MaxCompletionTokens };
    let rewrite = Rewrite {
        model: (choice & 2 != 0).then_some("provider/\"model\""),
        cap: (choice & 4 != 0).then_some((member, 77)),
        include_usage: choice & 8 != 0,
    };
    let rewritten = request.rewrite(&rewrite);
    let again = match ChatRequest::read(&rewritten) {
        Ok(again) => again,
        // A body that is full of members has no room for one more.
        Err(fault) if members(&body).len() + 3 > MAX_MEMBERS => return drop(fault),
        Err(fault) => panic!("{fault}: {rewritten:?}"),
    };
    if let Some(model) = rewrite.model {
        assert_eq!(again.model(), Some(model));
    }
    if let Some((_, cap)) = rewrite.cap {
        assert_eq!(again.output_cap(), Some(cap));
    }
    assert_eq!(again.include_usage(), request.include_usage() || (rewrite.include_usage && request.stream()));
    assert_eq!(members(&body), members(&rewritten));
    assert_eq!(again.rewrite(&rewrite), rewritten);
}

/// Name and bytes of each member that no rewrite may touch.
fn members(body: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut members = Vec::new();
    let listed = Object::read(&mut Cursor::new(text), |_, key, value| {
        if !EDITED.contains(&&*key.name) {
            members.push((key.name.to_string(), value.raw.to_owned()));
        }
        Ok::<(), JsonFault>(())
    });
    assert!(listed.is_ok());
    members
}

//! Whatever chat request can be read can be written again, as JSON that reads the same.

use bytes::Bytes;
use gateway_protocols::conversation::{Losses, Target};
use gateway_protocols::openai::{self, CapMember};

const TARGET: Target<'static> = Target {
    model: "m",
    cap: None,
    max_output: 4096,
    cap_member: CapMember::MaxTokens,
    takes_temperature: true,
    asks_for_usage: true,
    missing_signature: None,
};

/// Panics where this does not hold.
pub fn check(body: &[u8]) {
    let body = Bytes::copy_from_slice(body);
    let Some(once) = rewritten(&body) else { return };
    // What was left out the first time is gone; nothing else goes.
    let json = serde_json::from_slice::<serde::de::IgnoredAny>(&once);
    assert!(json.is_ok(), "{once:?}");
    // Of a conversation with nothing left in it no request can be made.
    if let Some(twice) = rewritten(&once) {
        assert_eq!(rewritten(&twice), Some(twice));
    }
}

/// The request as it is written from its neutral form.
fn rewritten(body: &Bytes) -> Option<Bytes> {
    let conversation = openai::conversation(body).ok()?;
    let mut losses = Losses::new("chat", true);
    openai::render_request(&conversation, &TARGET, &mut losses).ok()
}

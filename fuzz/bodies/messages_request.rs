//! A Messages request that can be read stays readable after any rewrite and says what was asked; as a conversation it
//! is written again as a request that can be read.
//!
//! The first byte chooses the rewrite.

use bytes::Bytes;
use gateway_protocols::anthropic::{self, DIALECT, MessagesRequest};
use gateway_protocols::conversation::{Losses, Target};
use gateway_protocols::json::MAX_MEMBERS;
use gateway_protocols::openai::CapMember;
use serde::de::IgnoredAny;

/// More bytes than a body has that is full of members.
const FULL: usize = MAX_MEMBERS * 4;

/// One of each way to think, and one that is not Anthropic's.
const MODELS: [&str; 4] = ["claude-3-5-haiku-latest", "claude-sonnet-4-5", "claude-opus-5-5", "m"];

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let cap = (choice & 1 != 0).then_some(77);
    let model = (choice & 2 != 0).then_some("provider/\"model\"");
    if let Ok(request) = MessagesRequest::read_count_tokens(&body) {
        let rewritten = request.rewrite(model, cap);
        match MessagesRequest::read_count_tokens(&rewritten) {
            Ok(again) => {
                assert_eq!(again.output_cap(), cap.or(request.output_cap()));
                assert_eq!(again.model(), model.or(request.model()));
                assert_eq!(again.rewrite(model, cap), rewritten);
            }
            // A body that is full of members has no room for one more.
            Err(fault) => assert!(body.len() > FULL, "{fault}: {rewritten:?}"),
        }
    }
    let Ok(conversation) = anthropic::conversation(&body) else { return };
    let target = Target {
        model: MODELS[usize::from(choice >> 6)],
        cap,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: choice & 4 != 0,
        asks_for_usage: true,
        missing_signature: None,
    };
    // Only a request in which nothing is said is refused by a lenient translation.
    let mut losses = Losses::new(DIALECT, true);
    let Ok(rendered) = anthropic::render_request(&conversation, &target, &mut losses) else { return };
    serde_json::from_slice::<IgnoredAny>(&rendered).expect("JSON");
    let again = anthropic::conversation(&rendered).expect("a request");
    assert_eq!(again.max_output, cap.or(conversation.max_output));
    assert_eq!(again.tools, conversation.tools.iter().map(with_schema).collect::<Vec<_>>());
    assert!(again.extras.is_empty());
}

/// A tool as it is written: with a schema, and strict or not said to be.
fn with_schema<'a>(
    tool: &gateway_protocols::conversation::Tool<'a>,
) -> gateway_protocols::conversation::Tool<'a> {
    let mut tool = tool.clone();
    tool.schema.get_or_insert(r#"{"type":"object","properties":{}}"#.into());
    tool.strict = tool.strict.filter(|strict| *strict);
    tool
}

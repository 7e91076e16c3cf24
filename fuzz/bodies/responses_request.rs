//! A request of the Responses API that can be read stays readable after any rewrite and says what was asked; as a
//! conversation it is written again as a request that can be read.
//!
//! The first byte chooses the rewrite.

use bytes::Bytes;
use gateway_protocols::conversation::{Losses, Target};
use gateway_protocols::json::MAX_MEMBERS;
use gateway_protocols::openai::CapMember;
use gateway_protocols::responses::{self, Echoed, ResponsesRequest, ResponsesWriter};
use serde::de::IgnoredAny;

/// More bytes than a body has that is full of members.
const FULL: usize = MAX_MEMBERS * 4;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let cap = (choice & 1 != 0).then_some(77);
    let model = (choice & 2 != 0).then_some("provider/\"model\"");
    if let Ok(request) = ResponsesRequest::read(&body) {
        let rewritten = request.rewrite(model, cap);
        match ResponsesRequest::read(&rewritten) {
            Ok(again) => {
                assert_eq!(again.output_cap(), cap.or(request.output_cap()));
                assert_eq!(again.model(), model.or(request.model()));
                assert_eq!(again.rewrite(model, cap), rewritten);
                assert_eq!(again.prompt_parts().count(), request.prompt_parts().count());
            }
            // A body that is full of members has no room for one more.
            Err(fault) => assert!(body.len() > FULL, "{fault}: {rewritten:?}"),
        }
    }
    let Ok(conversation) = responses::conversation(&body) else { return };
    let echoed = Echoed::read(&body).expect("what can be translated can be repeated");
    let answer = ResponsesWriter::new("resp_1", "m", 0).repeating(echoed).render(&[]);
    serde_json::from_str::<IgnoredAny>(&answer).expect("an answer");
    assert!(!answer.contains(['\n', '\r']));
    let target = Target {
        model: "m",
        cap,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: choice & 4 != 0,
        asks_for_usage: true,
        missing_signature: None,
    };
    let mut losses = Losses::new("the Responses API", true);
    let Ok(rendered) = responses::render_request(&conversation, &target, &mut losses) else { return };
    serde_json::from_slice::<IgnoredAny>(&rendered).expect("JSON");
    let again = responses::conversation(&rendered).expect("a request");
    assert_eq!(again.max_output, cap.or(conversation.max_output));
    assert_eq!(again.tools.len(), conversation.tools.len());
    assert_eq!(again.format.is_some(), conversation.format.is_some());
    assert!(again.extras.is_empty(), "{:?}", again.extras);
}

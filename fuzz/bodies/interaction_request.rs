//! A request for an interaction that can be read stays readable after any rewrite and says what was asked.
//!
//! The first byte chooses the rewrite.

use bytes::Bytes;
use gateway_protocols::interactions::{self, InteractionRequest};
use gateway_protocols::json::MAX_MEMBERS;

/// More bytes than a body has that is full of members.
const FULL: usize = MAX_MEMBERS * 4;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let _ = interactions::whole(body);
    let body = Bytes::copy_from_slice(body);
    let Ok(request) = InteractionRequest::read(&body) else { return };
    let cap = (choice & 1 != 0).then_some(77);
    let model = "provider/\"model\"";
    let rewritten = request.rewrite(model, cap);
    match InteractionRequest::read(&rewritten) {
        Ok(again) => {
            assert_eq!(again.output_cap(), cap.or(request.output_cap()));
            assert_eq!(again.model(), request.model().map(|_| model));
            assert_eq!(again.previous_interaction_id(), request.previous_interaction_id());
            assert_eq!(again.rewrite(model, cap), rewritten);
            assert_eq!(again.prompt_parts().count(), request.prompt_parts().count());
        }
        // A body that is full of members has no room for one more.
        Err(fault) => assert!(body.len() > FULL, "{fault}: {rewritten:?}"),
    }
}

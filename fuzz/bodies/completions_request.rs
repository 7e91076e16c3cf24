//! A request for completions or embeddings that can be read stays readable after any rewrite, and says what was asked.
//!
//! The first byte chooses the rewrite.

use bytes::Bytes;
use gateway_protocols::completions::{self, CompletionsRequest};
use gateway_protocols::embeddings::{self, EmbeddingsRequest};
use gateway_protocols::json::MAX_MEMBERS;

/// More bytes than a body has that is full of members.
const FULL: usize = MAX_MEMBERS * 4;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let body = Bytes::copy_from_slice(bytes);
    let model = (choice & 1 != 0).then_some("provider/\"model\"");
    let cap = (choice & 2 != 0).then_some(77);
    let include_usage = choice & 4 != 0;
    if let Ok(request) = CompletionsRequest::read(&body) {
        let rewritten = request.rewrite(model, cap, include_usage);
        match CompletionsRequest::read(&rewritten) {
            Ok(again) => {
                assert_eq!(again.model(), model.or(request.model()));
                assert_eq!(again.output_cap(), cap.or(request.output_cap()));
                assert_eq!(
                    again.include_usage(),
                    request.include_usage() || (include_usage && request.stream())
                );
                assert_eq!((again.n(), again.prompt_tokens()), (request.n(), request.prompt_tokens()));
                assert_eq!(again.rewrite(model, cap, include_usage), rewritten);
            }
            // A body that is full of members has no room for one more.
            Err(fault) => assert!(body.len() > FULL, "{fault}: {rewritten:?}"),
        }
    }
    if let Ok(request) = EmbeddingsRequest::read(&body) {
        let rewritten = request.rewrite(model);
        match EmbeddingsRequest::read(&rewritten) {
            Ok(again) => {
                assert_eq!(again.model(), model.or(request.model()));
                assert_eq!(
                    (again.inputs(), again.prompt_tokens()),
                    (request.inputs(), request.prompt_tokens())
                );
            }
            Err(fault) => assert!(body.len() > FULL, "{fault}: {rewritten:?}"),
        }
    }
    let _ = completions::whole(bytes);
    let _ = embeddings::whole(bytes);
}

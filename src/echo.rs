//! The built-in provider `echo`: answers with the prompt, so that a first request works on a fresh machine.
//!
//! It stands where an upstream would, behind the same admission, lease, clocks and relay.

use std::iter::once;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gateway_protocols::echo::EchoAnswer;
use gateway_protocols::error::{Dialect, ErrorBody, render};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::upstream::{AnswerBody, UpstreamAnswer};

/// The answer to a chat request in OpenAI's form, as a stream or whole.
pub fn answer(body: &Bytes, streamed: bool) -> UpstreamAnswer {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let id = format!("{:032x}", rand::random::<u128>());
    match EchoAnswer::new(body, &id, created) {
        Ok(answer) if streamed => {
            made(StatusCode::OK, "text/event-stream", AnswerBody::made(answer.frames()))
        }
        Ok(answer) => made(StatusCode::OK, "application/json", AnswerBody::made(once(answer.json()))),
        Err(fault) => {
            let error = ErrorBody {
                status: 400,
                message: &fault.to_string(),
                kind: "invalid_request_error",
                param: fault.param(),
                code: None,
                limit: None,
                request_id: "",
            };
            let body = AnswerBody::made(once(render(Dialect::OpenAi, &error)));
            made(StatusCode::BAD_REQUEST, "application/json", body)
        }
    }
}

fn made(status: StatusCode, content_type: &'static str, body: AnswerBody) -> UpstreamAnswer {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    UpstreamAnswer { status, headers, body }
}

//! Which failures of an upstream there are, and what is done then: the one table.
//!
//! | the upstream … | then | its health |
//! | --- | --- | --- |
//! | answers 429 | the same again if it wants that within a second, else another; with nobody else, the same after its `Retry-After`, up to 5 s | rests as long as it asks, at most `cooling_max` |
//! | answers 500, or closes before a byte of an answer | the same again, once, after a pause; then another | a failure |
//! | answers 408, 502, 503, 504, 529 or any other 5xx | another | a failure |
//! | cannot be reached, is silent, misses a clock | another; never the same again | a failure |
//! | answers with what is no answer: HTML, nothing, `null`, no event stream, a broken event | another | a failure |
//! | does not take our key: 401, 402 | another | the key rests for a minute, for all models, and the log says so |
//! | answers 403 | another | a failure of this model |
//! | does not have the model: 404, or a 400 that says so; 410 | another | none |
//! | finds the context too long | another, which may have a larger one | none |
//! | refuses what the request says: any other 4xx, a content filter | nothing: the caller is told | none |
//! | goes on with an answer that broke off, and differs from it | nothing: the stream ends in an error event | none |
//! | misses the clock of the whole request, or cannot be accounted for | nothing | none |
//!
//! An error that comes as the first event of a stream, or as an object in a 200, is what its status or its words say.
//!
//! Called   by `attempts.rs`, before the commit point and after it.
//! Fails    never: every fault has its row. There is no wildcard arm for faults.

use std::time::Duration;

use gateway_actors::Blame;
use gateway_protocols::event::{AnswerFault, StreamFault};
use gateway_protocols::openai::UpstreamErrorBody;
use http::StatusCode;

use crate::call::{Clock, UpstreamFault, status_of_error};
use crate::upstream::WireFault;

/// A `Retry-After` up to this is waited for at the same target, although another could be asked.
const WAIT_AT_ONCE: Duration = Duration::from_secs(1);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same target may be asked once more, after this wait or, without one, a pause.
    Same {
        /// The upstream's own word.
        after: Option<Duration>,
    },
    /// Another target, and not this one again; where there is none, this one after `or_after`.
    Other {
        /// When the upstream itself wants to be asked again.
        or_after: Option<Duration>,
    },
    /// The caller is told.
    Nothing,
}

/// The row of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What comes next.
    pub next: Next,
    /// What the target's health has of it.
    pub blame: Option<Blame>,
}

const SAME: Verdict = Verdict { next: Next::Same { after: None }, blame: Some(Blame::Upstream) };
const OTHER: Verdict = Verdict { next: Next::Other { or_after: None }, blame: Some(Blame::Upstream) };
const OTHER_WITHOUT_BLAME: Verdict = Verdict { next: Next::Other { or_after: None }, blame: None };
const KEY_REFUSED: Verdict = Verdict { blame: Some(Blame::KeyRefused), ..OTHER };
const NOTHING: Verdict = Verdict { next: Next::Nothing, blame: None };

/// Finds the row of a fault.
pub fn verdict(fault: &UpstreamFault) -> Verdict {
    match fault {
        UpstreamFault::Wire(fault) => match fault {
            WireFault::ClosedBeforeAnswer | WireFault::RefusedStream => SAME,
            WireFault::Unreachable(_)
            | WireFault::ConnectTimeout
            | WireFault::BadHttp
            | WireFault::CutShort
            | WireFault::Undecodable => OTHER,
            // The configuration's fault; another target has another address.
            WireFault::BadAddress => OTHER_WITHOUT_BLAME,
        },
        UpstreamFault::TimedOut { clock, .. } => match clock {
            Clock::Connect | Clock::FirstToken | Clock::Answer | Clock::Stall | Clock::Silence => OTHER,
            Clock::Total => NOTHING,
        },
        UpstreamFault::Status { status, body, retry } => of_status(*status, body, retry.wait),
        UpstreamFault::Stream(StreamFault::Upstream(error)) => of_error(error),
        UpstreamFault::Answer(AnswerFault::ErrorObject(error)) => of_error(error),
        // Whoever is asked next may differ as well, and the client can take no third answer.
        UpstreamFault::Stream(StreamFault::Differs) => NOTHING,
        UpstreamFault::Answer(_) | UpstreamFault::Stream(_) => OTHER,
        UpstreamFault::NoEventStream | UpstreamFault::Undecodable => OTHER,
        // Another answer to the same question is as large.
        UpstreamFault::TooLarge | UpstreamFault::NotAccounted => NOTHING,
    }
}

/// An error without a status of its own.
fn of_error(error: &UpstreamErrorBody) -> Verdict {
    match status_of_error(error) {
        Some(status) => of_status(status, error, None),
        None if is_about_context(error) => OTHER_WITHOUT_BLAME,
        None => OTHER,
    }
}

fn of_status(status: StatusCode, body: &UpstreamErrorBody, retry_after: Option<Duration>) -> Verdict {
    match status.as_u16() {
        429 | 498 => {
            let next = match retry_after {
                Some(after) if after <= WAIT_AT_ONCE => Next::Same { after: Some(after) },
                or_after => Next::Other { or_after },
            };
            Verdict { next, blame: Some(Blame::RateLimited { retry_after }) }
        }
        500 => SAME,
        408 => OTHER,
        _ if status.is_server_error() => OTHER,
        401 | 402 => KEY_REFUSED,
        403 => OTHER,
        404 | 410 => OTHER_WITHOUT_BLAME,
        _ if is_about_context(body) || is_about_model(body) => OTHER_WITHOUT_BLAME,
        _ => NOTHING,
    }
}

/// Whether an upstream says that the request is too long for the model. OpenAI, Groq and vLLM have a code for it;
/// Anthropic, Gemini and others only say it in words.
fn is_about_context(body: &UpstreamErrorBody) -> bool {
    const WORDS: [&str; 6] = [
        "context length",
        "context_length",
        "context window",
        "prompt is too long",
        "input token count",
        "maximum context",
    ];
    body.code.as_deref() == Some("context_length_exceeded")
        || body.message.as_deref().is_some_and(|message| {
            let message = message.to_ascii_lowercase();
            WORDS.iter().any(|words| message.contains(words))
        })
}

/// Whether it says that it does not have the model, any more or at all.
fn is_about_model(body: &UpstreamErrorBody) -> bool {
    const CODES: [&str; 3] = ["model_not_found", "model_decommissioned", "model_not_available"];
    body.code.as_deref().is_some_and(|code| CODES.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::RetryHeaders;

    fn status(status: u16, body: &str, wait: Option<u64>) -> Verdict {
        verdict(&UpstreamFault::Status {
            status: StatusCode::from_u16(status).unwrap(),
            body: Box::new(UpstreamErrorBody::read(body.as_bytes())),
            retry: Box::new(RetryHeaders {
                wait: wait.map(Duration::from_millis),
                ..RetryHeaders::default()
            }),
        })
    }

    #[test]
    fn a_busy_upstream_is_waited_for_a_second_and_no_longer_while_there_are_others() {
        assert_eq!(status(429, "", Some(900)).next, Next::Same { after: Some(Duration::from_millis(900)) });
        let two = Some(Duration::from_secs(2));
        let expected = Verdict {
            next: Next::Other { or_after: two },
            blame: Some(Blame::RateLimited { retry_after: two }),
        };
        assert_eq!(status(429, "", Some(2_000)), expected);
    }

    #[test]
    fn what_the_request_says_is_nobody_elses_business() {
        for (code, body) in [
            (400, r#"{"error":{"message":"bad tool","type":"invalid_request_error"}}"#),
            (400, r#"{"error":{"message":"filtered","code":"content_filter"}}"#),
            (413, ""),
            (422, r#"{"detail":"no"}"#),
            (409, ""),
        ] {
            assert_eq!(status(code, body, None), NOTHING, "{code} {body}");
        }
    }

    #[test]
    fn a_context_that_is_too_long_is_known_by_code_or_by_words() {
        for body in [
            r#"{"error":{"message":"…","code":"context_length_exceeded"}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            r#"{"error":{"code":400,"message":"The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
        ] {
            assert_eq!(status(400, body, None), OTHER_WITHOUT_BLAME, "{body}");
        }
    }

    #[test]
    fn our_own_key_is_set_aside_and_a_model_that_is_gone_is_nobodys_failure() {
        assert_eq!(status(401, "", None), KEY_REFUSED);
        assert_eq!(status(404, "", None), OTHER_WITHOUT_BLAME);
        assert_eq!(status(400, r#"{"error":{"code":"model_decommissioned"}}"#, None), OTHER_WITHOUT_BLAME);
        assert_eq!(status(500, "", None), SAME);
        assert_eq!(status(503, "", None), OTHER);
        assert_eq!(status(529, "", None), OTHER);
    }
}

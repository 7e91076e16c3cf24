//! A Messages request: one scan for what the gateway reads, exact edits for what it changes.
//!
//! Owns     which members are read, which of them may end up in the prompt, and the values the gateway decides by.
//! Called   by the handlers of `/v1/messages` and `/v1/messages/count_tokens` before admission, and for each target
//!          of the same dialect ([`MessagesRequest::rewrite`]).
//! Bounded  by [`MAX_DEPTH`](crate::json::MAX_DEPTH) and [`MAX_MEMBERS`](crate::json::MAX_MEMBERS); a rewrite is one copy of the body, or none.
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use bytes::Bytes;

use crate::body::{self, Body};
use crate::json::{Kind, Value, quoted};
use crate::openai::RequestFault;

#[cfg(test)]
mod tests;

const MODEL: &str = "model";
const MESSAGES: &str = "messages";
const MAX_TOKENS: &str = "max_tokens";
const STREAM: &str = "stream";
const SYSTEM: &str = "system";
const TOOLS: &str = "tools";

/// The members the gateway reads. Each may stand only once.
const READ: [&str; 6] = [MODEL, MESSAGES, MAX_TOKENS, STREAM, SYSTEM, TOOLS];

/// Structured or textual members that no model reads. Any other array, object or string counts as prompt, known or
/// not (`output_config` has a schema), so that an extension cannot escape the estimate.
const NOT_PROMPT: [&str; 14] = [
    "model",
    "stop_sequences",
    "metadata",
    "thinking",
    "tool_choice",
    "cache_control",
    "context_management",
    "container",
    "diagnostics",
    "service_tier",
    "speed",
    "inference_geo",
    "user_profile_id",
    "workspace_id",
];

/// A Messages request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct MessagesRequest {
    body: Body,
    model: Option<String>,
    stream: bool,
    max_tokens: Option<u64>,
    /// The places of what may end up in the prompt.
    prompt: Vec<usize>,
}

impl MessagesRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied but the model's name.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller. `max_tokens` must be there, as the API wants it.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let request = Self::read_count_tokens(body)?;
        match request.max_tokens {
            Some(_) => Ok(request),
            None => Err(RequestFault::Missing { param: MAX_TOKENS }),
        }
    }

    /// Reads the body of a `count_tokens` request: the same members, but for the output.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read_count_tokens(body: &Bytes) -> Result<Self, RequestFault> {
        let (mut model, mut stream, mut max_tokens) = (None, false, None);
        let mut has_messages = false;
        let mut prompt = Vec::new();
        let take = |name: &'static str, value: &Value<'_>| {
            match name {
                MODEL => model = body::optional_text(name, value)?,
                MESSAGES => {
                    check_messages(value)?;
                    has_messages = true;
                }
                MAX_TOKENS => max_tokens = cap(value)?,
                STREAM => stream = body::optional_bool(name, value)?.unwrap_or(false),
                // Read only to be counted; what they must look like is the upstream's affair.
                _ => {}
            }
            Ok(())
        };
        let body = Body::read(body, &READ, take, |place, key, value| {
            let speaks = matches!(value.kind, Kind::Array | Kind::Object | Kind::String);
            if speaks && !NOT_PROMPT.contains(&&*key.name) {
                prompt.push(place);
            }
        })?;
        match has_messages {
            true => Ok(Self { body, model, stream, max_tokens, prompt }),
            false => Err(RequestFault::Missing { param: MESSAGES }),
        }
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        self.body.bytes()
    }

    /// The model's name; `None` when missing or null.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the answer is to be streamed.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// `max_tokens`. Zero fills the upstream's cache and answers nothing.
    pub fn output_cap(&self) -> Option<u64> {
        self.max_tokens
    }

    /// How many answers are asked for.
    pub fn n(&self) -> u64 {
        1
    }

    /// Every value that may end up in the prompt, as written.
    pub fn prompt_parts(&self) -> impl Iterator<Item = &[u8]> {
        self.prompt.iter().map(|place| self.body.at(*place))
    }

    /// The body for one target: model and `max_tokens` replaced where given, everything else byte for byte as it
    /// came. Without a change it is the same handle.
    pub fn rewrite(&self, model: Option<&str>, cap: Option<u64>) -> Bytes {
        let model = model.filter(|model| self.model() != Some(model)).map(|model| (MODEL, quoted(model)));
        let cap = cap.map(|cap| (MAX_TOKENS, cap.to_string()));
        let values: Vec<(&'static str, String)> = model.into_iter().chain(cap).collect();
        self.body.with(&values)
    }
}

/// The value of `max_tokens`, which may be zero.
pub(super) fn cap(value: &Value<'_>) -> Result<Option<u64>, RequestFault> {
    body::optional_count(MAX_TOKENS, value, 0)
}

/// Whether `messages` is an array with something in it.
pub(super) fn check_messages(value: &Value<'_>) -> Result<(), RequestFault> {
    match value.kind {
        Kind::Array if value.is_blank() => Err(RequestFault::NoMessages),
        Kind::Array => Ok(()),
        found => Err(RequestFault::WrongType { param: MESSAGES, found, expected: "an array" }),
    }
}

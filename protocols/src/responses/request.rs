//! A request of the Responses API: one scan for what the gateway reads, exact edits for what it changes.
//!
//! Owns     the body's bytes and the values the gateway decides by.
//! Called   by the handler of `/v1/responses` before admission ([`ResponsesRequest::read`]) and for each target that
//!          speaks the same dialect ([`ResponsesRequest::rewrite`]).
//! Bounded  by the scan of a body; a rewrite is one copy, or none.
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use bytes::Bytes;

use crate::body::{self, Body};
use crate::json::{Kind, quoted};
use crate::openai::RequestFault;

#[cfg(test)]
mod tests;

const MODEL: &str = "model";
const STREAM: &str = "stream";
const BACKGROUND: &str = "background";
const STORE: &str = "store";
const PREVIOUS_RESPONSE_ID: &str = "previous_response_id";
const MAX_OUTPUT_TOKENS: &str = "max_output_tokens";

/// The members the gateway reads. Each may stand only once.
const READ: [&str; 6] = [MODEL, STREAM, BACKGROUND, STORE, PREVIOUS_RESPONSE_ID, MAX_OUTPUT_TOKENS];

/// Structured or textual members that no model reads. Any other array, object or string counts as prompt, known or
/// not, so that an upstream's own extension cannot escape the estimate.
const NOT_PROMPT: [&str; 17] = [
    MODEL,
    PREVIOUS_RESPONSE_ID,
    "background_options",
    "context_management",
    "conversation",
    "include",
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "stream_options",
    "truncation",
    "user",
];

/// A request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct ResponsesRequest {
    body: Body,
    model: Option<String>,
    stream: bool,
    background: bool,
    store: Option<bool>,
    previous_response_id: Option<String>,
    max_output_tokens: Option<u64>,
    prompt: Vec<usize>,
}

impl ResponsesRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied but names and ids.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let mut model = None;
        let (mut stream, mut background, mut store) = (None, None, None);
        let mut previous_response_id = None;
        let mut max_output_tokens = None;
        let mut prompt = Vec::new();
        let body = Body::read(
            body,
            &READ,
            |name, value| {
                match name {
                    MODEL => model = body::optional_text(name, value)?,
                    STREAM => stream = body::optional_bool(name, value)?,
                    BACKGROUND => background = body::optional_bool(name, value)?,
                    STORE => store = body::optional_bool(name, value)?,
                    PREVIOUS_RESPONSE_ID => previous_response_id = body::optional_text(name, value)?,
                    _ => max_output_tokens = body::optional_count(name, value, 1)?,
                }
                Ok(())
            },
            |place, key, value| {
                let speaks = matches!(value.kind, Kind::Array | Kind::Object | Kind::String);
                if speaks && !NOT_PROMPT.contains(&&*key.name) {
                    prompt.push(place);
                }
            },
        )?;
        let (stream, background) = (stream.unwrap_or(false), background.unwrap_or(false));
        Ok(Self { body, model, stream, background, store, previous_response_id, max_output_tokens, prompt })
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

    /// Whether the answer is to be made without anybody waiting for it. What comes back is then an answer that has
    /// only been queued, without usage.
    pub fn background(&self) -> bool {
        self.background
    }

    /// Whether the upstream is to keep the answer, as it does unless told otherwise.
    pub fn store(&self) -> bool {
        self.store.unwrap_or(true)
    }

    /// The stored answer that this one goes on from. Its upstream adds that whole conversation to the prompt, which
    /// [`prompt_parts`](Self::prompt_parts) cannot know.
    pub fn previous_response_id(&self) -> Option<&str> {
        self.previous_response_id.as_deref()
    }

    /// `max_output_tokens`; `None` when missing or null.
    pub fn output_cap(&self) -> Option<u64> {
        self.max_output_tokens
    }

    /// How many answers are asked for: always 1 in this dialect.
    pub fn n(&self) -> u64 {
        1
    }

    /// Every value that may end up in the prompt, as written: instructions, input, tools, the text format's schema,
    /// and whatever structured member is not known to stay out of it.
    pub fn prompt_parts(&self) -> impl Iterator<Item = &[u8]> {
        self.prompt.iter().map(|place| self.body.at(*place))
    }

    /// The body for one target: the named values replaced, everything else byte for byte as it came. Without a
    /// change it is the same handle.
    pub fn rewrite(&self, model: Option<&str>, cap: Option<u64>) -> Bytes {
        let model = model.filter(|model| self.model() != Some(model)).map(quoted);
        let model = model.map(|model| (MODEL, model));
        let cap = cap.map(|cap| (MAX_OUTPUT_TOKENS, cap.to_string()));
        self.body.with(&model.into_iter().chain(cap).collect::<Vec<_>>())
    }
}

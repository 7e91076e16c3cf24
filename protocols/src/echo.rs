//! The built-in provider that needs no key: it answers a chat request with the words of its last
//! user message.
//!
//! Owns     the answer in OpenAI's chat dialect, whole or as a stream, and an honest count of what
//!          it reads and writes.
//! Called   by the provider of kind `echo`, in the place of a call to an upstream.
//! Bounded  by the request, times [`MAX_CHOICES`]; a stream is made frame by frame as it is pulled.
//! Fails    with an [`EchoFault`] when the request does not say what to answer.
//!
//! A token here is a word with the white space before it, cut at 32 bytes ([`PlainTokens`]). The
//! prompt is counted in the same unit as the answer, one chunk of the stream is one token, and the
//! output cap counts tokens too; so the numbers in `usage` are what a reader of the stream would
//! count. Tools, sampling and formats are ignored.

use bytes::Bytes;

use crate::json::{JsonFault, Kind, quoted};
use crate::usage::Usage;

mod plain_tokens;
mod request;
mod stream;

#[cfg(test)]
mod tests;

pub use plain_tokens::PlainTokens;
pub use stream::EchoFrames;

/// The most answers to one request (`n`).
///
/// They are all alike, so more would show nothing; each one is as large as the prompt may be.
pub const MAX_CHOICES: u64 = 8;

/// Why a request can't be echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EchoFault {
    /// The body is not JSON.
    #[error("the body is not valid JSON: {0}")]
    Json(#[from] JsonFault),
    /// A member that has to be there is not.
    #[error("`{member}` is missing")]
    Missing {
        /// The member, as in OpenAI's `param`.
        member: &'static str,
    },
    /// A member holds something of another kind.
    #[error("`{member}` is {found}; it has to be {expected}")]
    Type {
        /// The member, as in OpenAI's `param`.
        member: &'static str,
        /// What is there.
        found: &'static str,
        /// What may be there.
        expected: &'static str,
    },
    /// More answers than [`MAX_CHOICES`], or none.
    #[error("`n` is {n}; the echo provider gives 1 to {most} answers")]
    Choices {
        /// How many were asked for.
        n: u64,
        /// How many there can be.
        most: u64,
    },
}

impl EchoFault {
    /// The member at fault, for OpenAI's `param`.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => None,
            Self::Missing { member } | Self::Type { member, .. } => Some(member),
            Self::Choices { .. } => Some("n"),
        }
    }

    fn unexpected(member: &'static str, found: Kind, expected: &'static str) -> Self {
        Self::Type { member, found: found.described(), expected }
    }
}

/// Why the answer ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    /// It is all there, or a stop sequence came.
    Stop,
    /// The output cap came first.
    Length,
}

impl Finish {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// An answer, ready to be written whole or as a stream.
#[derive(Clone, Debug)]
pub struct EchoAnswer {
    id: String,
    created: u64,
    /// As a JSON string.
    model: String,
    text: String,
    finish: Finish,
    choices: u64,
    include_usage: bool,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl EchoAnswer {
    /// Reads a chat-completions request and decides the answer.
    ///
    /// `id` is what comes behind `chatcmpl-`, and `created` is now in seconds since the Unix epoch.
    ///
    /// # Errors
    /// When the body is not a chat request, or asks for more answers than there are.
    pub fn new(body: &[u8], id: &str, created: u64) -> Result<Self, EchoFault> {
        let request = request::Request::read(body)?;
        let mut text = request.last_user_text;
        if let Some(end) = request.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }
        let mut tokens = PlainTokens::new(&text);
        let written = tokens
            .by_ref()
            .take(request.cap)
            .fold((0, 0), |(count, length), token| (count + 1, length + token.len()));
        let (per_choice, length): (u64, usize) = written;
        let finish = if length < text.len() { Finish::Length } else { Finish::Stop };
        text.truncate(length);
        Ok(Self {
            id: format!("chatcmpl-{id}"),
            created,
            model: quoted(&request.model),
            text,
            finish,
            choices: request.choices,
            include_usage: request.include_usage,
            prompt_tokens: request.prompt_tokens,
            completion_tokens: per_choice * request.choices,
        })
    }

    /// What was read and what is written, in plain tokens, over all choices.
    pub fn usage(&self) -> Usage {
        Usage { input: self.prompt_tokens, output: self.completion_tokens, ..Usage::default() }
    }

    /// The `chat.completion` object.
    pub fn json(&self) -> Bytes {
        let choices: Vec<String> = (0..self.choices)
            .map(|index| {
                format!(
                    concat!(
                        r#"{{"index":{},"message":{{"role":"assistant","content":{},"refusal":null}},"#,
                        r#""logprobs":null,"finish_reason":"{}"}}"#
                    ),
                    index,
                    quoted(&self.text),
                    self.finish.as_str()
                )
            })
            .collect();
        Bytes::from(format!(
            r#"{{"id":{},"object":"chat.completion","created":{},"model":{},"choices":[{}],"usage":{}}}"#,
            quoted(&self.id),
            self.created,
            self.model,
            choices.join(","),
            self.usage_json()
        ))
    }

    /// The answer as server-sent events, one per token: for each choice its role, its tokens and
    /// its finish reason; then the usage when the request asks for it; then `[DONE]`.
    pub fn frames(self) -> EchoFrames {
        EchoFrames::new(self)
    }

    fn usage_json(&self) -> String {
        format!(
            r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}"#,
            self.prompt_tokens,
            self.completion_tokens,
            self.prompt_tokens.saturating_add(self.completion_tokens)
        )
    }
}

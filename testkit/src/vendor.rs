//! What the vendors have in common: each takes a request, refuses it or answers, and says what went
//! wrong in its own shape.
//!
//! ```text
//! request ─ Vendor::of(path) ─┬─ openai ────┐
//!                             ├─ anthropic ─┼─ Served: what the model says, or a body, or a refusal
//!                             └─ gemini ────┘
//! ```
//!
//! Owns     nothing; each vendor's shapes are in its module.
//! Called   by `reply` when a request is rendered.
//! Fails    never: a request that makes no sense gets the error that its vendor gives it.

use serde_json::Value;

use crate::answer::{Answer, Written};
use crate::asked::Asked;
use crate::dialect::{Dialect, Vendor};
use crate::reply::{Content, Frame, Part};
use crate::seen::{Billed, Seen};
use crate::shelf::Shelf;
use crate::{anthropic, gemini, openai};

/// What the name of a model, or the id of a kept object, holds that nobody may use. Any other is
/// served, so that a test may call it what it likes.
pub(crate) const UNKNOWN: &str = "does-not-exist";

/// A request that is not served.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A request that is.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) content: Content,
    /// What it costs, where the content does not say.
    pub(crate) bill: Billed,
}

/// What is checked before a request is answered, beside what its vendor always refuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    /// Whether what the vendor always refuses is refused also where a reply is scripted.
    pub(crate) usual: bool,
    /// Whether reasoning and calls must come back with the signatures that they were sent with.
    pub(crate) signatures: bool,
    /// The only names that `anthropic-beta` may hold.
    pub(crate) betas: Option<Vec<String>>,
}

impl Served {
    pub(crate) fn json(json: impl ToString) -> Self {
        Self::body("application/json", json.to_string())
    }

    pub(crate) fn body(content_type: &'static str, bytes: impl Into<bytes::Bytes>) -> Self {
        let parts = vec![Part::piece(bytes)];
        Self { content: Content::Body { content_type, parts }, bill: Billed::default() }
    }

    pub(crate) fn billed(mut self, prompt: u64, completion: u64) -> Self {
        self.bill = Billed { prompt, completion };
        self
    }

    /// What the model says to a question.
    pub(crate) fn spoken(asked: &Asked) -> Self {
        let spoken = crate::model::speak(asked);
        let content = Content::Chat { deltas: spoken.deltas, finish: spoken.finish };
        Self { content, bill: Billed::default() }
    }
}

impl Vendor {
    /// Answers a request as the vendor does.
    pub(crate) fn serve(self, seen: &Seen, asked: &Asked, shelf: &Shelf) -> Result<Served, Refused> {
        match self {
            Self::OpenAi => openai::serve(seen, asked, shelf),
            Self::Anthropic => anthropic::serve(seen, asked),
            Self::Gemini => gemini::serve(seen, asked),
        }
    }

    /// Refuses what these checks refuse.
    pub(crate) fn check(self, seen: &Seen, asked: &Asked, checks: &Checks) -> Result<(), Refused> {
        match self {
            Self::OpenAi => openai::check(seen, asked, checks),
            Self::Anthropic => anthropic::check(seen, asked, checks),
            Self::Gemini => gemini::check(seen, asked, checks),
        }
    }

    /// The body of the vendor's own error for a status.
    pub(crate) fn error(self, status: u16, number: usize) -> String {
        match self {
            Self::OpenAi => openai::error_for(status),
            Self::Anthropic => anthropic::error_for(status, number),
            Self::Gemini => gemini::error_for(status),
        }
    }

    /// The lines that go with an error's status.
    pub(crate) fn error_headers(self, status: u16) -> &'static [(&'static str, &'static str)] {
        match (self, status) {
            (Self::OpenAi, 429) => &[("retry-after", "1"), ("retry-after-ms", "850")],
            (Self::Anthropic, 429) => &[("retry-after", "1"), ("x-should-retry", "true")],
            (Self::Anthropic, 529) => &[("x-should-retry", "true")],
            _ => &[],
        }
    }

    /// The header lines that the vendor puts on every answer beside content type and framing.
    pub(crate) fn headers(self, number: usize) -> Vec<(String, String)> {
        match self {
            Self::OpenAi => openai::headers(number),
            Self::Anthropic => anthropic::headers(number),
            Self::Gemini => gemini::headers(),
        }
    }
}

impl Dialect {
    /// Writes an answer.
    pub(crate) fn write(self, answer: &Answer<'_>) -> Written {
        match self {
            Self::Chat => openai::chat_written(answer),
            Self::Completions => openai::completion_written(answer),
            Self::Responses => openai::response_written(answer),
            Self::Messages => anthropic::written(answer),
            Self::Generate => gemini::written(answer),
            Self::Interactions => gemini::interaction_written(answer),
        }
    }

    /// The event by which a stream says that its upstream is overloaded, as number `sequence` of it.
    pub(crate) fn error_event(self, number: usize, sequence: usize) -> Frame {
        match self {
            Self::Chat | Self::Completions => Frame::aside(openai::overloaded()),
            Self::Responses => Frame::aside(openai::overloaded_event(sequence)).named("error"),
            Self::Messages => Frame::aside(anthropic::error_for(529, number)).named("error"),
            Self::Generate => Frame::aside(gemini::error_for(503)),
            Self::Interactions => Frame::aside(gemini::overloaded_event()).named("error"),
        }
    }

    /// An event that is not JSON.
    pub(crate) fn malformed_event(self) -> Frame {
        match self {
            Self::Chat => Frame::aside("{\"choices\":[{\"delta\":"),
            Self::Completions => Frame::aside("{\"choices\":[{\"text\":"),
            Self::Responses => Frame::aside("{\"type\":\"response.output_text.delta\",\"delta\":")
                .named("response.output_text.delta"),
            Self::Messages => Frame::aside("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":")
                .named("content_block_delta"),
            Self::Generate => Frame::aside("{\"candidates\":[{\"content\":"),
            Self::Interactions => {
                Frame::aside("{\"event_type\":\"step.delta\",\"index\":").named("step.delta")
            }
        }
    }

    /// What keeps a silent stream alive: Anthropic's `ping`, a comment for the others.
    pub(crate) fn ping(self) -> &'static str {
        match self {
            Self::Messages => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            _ => ": keep-alive\n\n",
        }
    }
}

/// The value of a JSON text that a client sent, and `null` for one that is none.
pub(crate) fn lenient(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

//! Which API a request speaks, by its path, and whose.
//!
//! Owns     nothing.
//! Called   by `asked` and `reply` for every request.
//! Fails    never: a path that is nobody's is OpenAI's, as its host would answer for it.

use crate::seen::Seen;

/// The form of a question and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI's `/chat/completions`; also what a scripted answer looks like on any other path.
    Chat,
    /// OpenAI's `/completions`.
    Completions,
    /// OpenAI's `/responses`.
    Responses,
    /// Anthropic's `/messages`.
    Messages,
    /// Gemini's `:generateContent` and `:streamGenerateContent`.
    Generate,
    /// Gemini's `/interactions`.
    Interactions,
}

/// Whose errors and header lines an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    OpenAi,
    Anthropic,
    Gemini,
}

/// How a stream is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Server-sent events.
    Events,
    /// One JSON array, element by element: Gemini's streams without `alt=sse`.
    Array,
}

impl Dialect {
    pub(crate) fn of(seen: &Seen) -> Self {
        let path = seen.path();
        if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
            Self::Generate
        } else if path.ends_with("/interactions") {
            Self::Interactions
        } else if path.ends_with("/messages") {
            Self::Messages
        } else if path.ends_with("/responses") {
            Self::Responses
        } else if path.ends_with("/completions") && !path.ends_with("/chat/completions") {
            Self::Completions
        } else {
            Self::Chat
        }
    }

    /// Whether a stream ends with `[DONE]`.
    pub(crate) fn says_done(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Interactions)
    }

    /// The name of an event, which its payload carries as well.
    pub(crate) fn event_name(self, payload: &str) -> Option<String> {
        let member = match self {
            Self::Messages | Self::Responses => "type",
            Self::Interactions => "event_type",
            Self::Chat | Self::Completions | Self::Generate => return None,
        };
        let payload: serde_json::Value = serde_json::from_str(payload).ok()?;
        payload[member].as_str().map(str::to_owned)
    }
}

impl Vendor {
    pub(crate) fn of(seen: &Seen) -> Self {
        let path = seen.path();
        let is_method = |path: &str| path.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if is_method(path) || (path.starts_with("/v1beta") && !path.starts_with("/v1beta/openai/")) {
            Self::Gemini
        } else if path.contains("/messages") || !seen.headers().all("anthropic-version").is_empty() {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }
}

impl Wire {
    pub(crate) fn of(seen: &Seen) -> Self {
        let sse = seen.query().split('&').any(|pair| pair == "alt=sse");
        match seen.path().ends_with(":streamGenerateContent") && !sse {
            true => Self::Array,
            false => Self::Events,
        }
    }
}

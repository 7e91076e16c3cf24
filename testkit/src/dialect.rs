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

/// Whose errors and header lines an answer has. By its path, and below `/v1/models`, where all three
/// have theirs, by the header that only one of them takes.
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
        let below_beta = path.starts_with("/v1beta") && !path.starts_with("/v1beta/openai/");
        // All three have their models below `/v1`, and Google's SDK asks for them there.
        let of_models = path.contains("/models");
        let names = |header: &str| of_models && !seen.headers().all(header).is_empty();
        if has_method(path) || below_beta || path.contains("/interactions") || names("x-goog-api-key") {
            Self::Gemini
        } else if path.contains("/messages") || names("anthropic-version") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }
}

/// Gemini's methods on a model.
const METHODS: [&str; 5] =
    ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"];

fn has_method(path: &str) -> bool {
    path.rsplit_once(':').is_some_and(|(_, method)| METHODS.contains(&method))
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

//! What a request asks for, in no vendor's words, as far as an answer depends on it.
//!
//! Owns     the vocabulary; the vendors' modules read their own requests into it.
//! Called   by `reply` for every request that is answered.
//! Bounded  by the request.
//! Fails    never: it is read leniently, for a scripted answer is given to any request. What a
//!          vendor refuses is in its own module.

use serde_json::Value;

use crate::dialect::Dialect;
use crate::seen::Seen;
use crate::{anthropic, gemini, openai};

/// Bytes to a token: OpenAI's own rule of thumb for English.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens around each message, and around the whole, as OpenAI's cookbook counts them.
const TOKENS_PER_MESSAGE: u64 = 3;
const TOKENS_PER_PROMPT: u64 = 3;

/// Tokens of an image in low detail, as OpenAI counts it.
const TOKENS_PER_IMAGE: u64 = 85;

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) choices: u64,
    pub(crate) prompt_tokens: u64,
    /// The most pieces that the answer may have.
    pub(crate) output_cap: Option<usize>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: ToolChoice,
    pub(crate) format: Format,
    pub(crate) thinking: Thinking,
    pub(crate) stops: Vec<String>,
    pub(crate) last: Turn,
    /// The body as it came.
    pub(crate) json: Value,
}

/// A function that may be called.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    Text,
    /// Any JSON object.
    Json,
    Schema(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    Off,
    /// It costs tokens and is not shown.
    Hidden,
    Shown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Other,
    User,
    Tool,
}

/// What one side said at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) text: String,
    /// Images, files and sounds.
    pub(crate) images: u64,
}

impl Asked {
    /// Reads a request's body.
    pub(crate) fn read(seen: &Seen) -> Self {
        let json = seen.json();
        match Dialect::of(seen) {
            Dialect::Chat => openai::chat_asked(json),
            Dialect::Completions => openai::completion_asked(json),
            Dialect::Responses => openai::response_asked(json),
            Dialect::Messages => anthropic::asked(json),
            Dialect::Generate => gemini::asked(seen, json),
            Dialect::Interactions => gemini::interaction_asked(json),
        }
    }

    /// A request for text and nothing else.
    pub(crate) fn plain(dialect: Dialect, json: Value, turns: Vec<Turn>) -> Self {
        Self {
            dialect,
            model: json["model"].as_str().unwrap_or_default().to_owned(),
            stream: json["stream"] == true,
            include_usage: false,
            choices: 1,
            prompt_tokens: prompt_tokens(&turns),
            output_cap: None,
            tools: Vec::new(),
            choice: ToolChoice::Auto,
            format: Format::Text,
            thinking: Thinking::Off,
            stops: Vec::new(),
            last: turns.into_iter().last().unwrap_or_default(),
            json,
        }
    }
}

/// The tokens of a prompt.
pub(crate) fn prompt_tokens(turns: &[Turn]) -> u64 {
    let of_one = |turn: &Turn| TOKENS_PER_MESSAGE + tokens_of(&turn.text) + TOKENS_PER_IMAGE * turn.images;
    TOKENS_PER_PROMPT + turns.iter().map(of_one).sum::<u64>()
}

/// The tokens of a text.
pub(crate) fn tokens_of(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

/// A member that is an array; none where it isn't.
pub(crate) fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// The texts of an array of them, or the one text.
pub(crate) fn texts(json: &Value) -> Vec<String> {
    let owned = |text: &Value| text.as_str().map(str::to_owned);
    match json {
        Value::String(text) => vec![text.clone()],
        json => list(json).iter().filter_map(owned).collect(),
    }
}

/// A cap on the output, in pieces.
pub(crate) fn cap(json: &Value) -> Option<usize> {
    usize::try_from(json.as_u64()?).ok()
}

//! The parts of an answer.

use serde_json::Value;

/// Stands where a text of a given size is put in later. Holds no character that JSON escapes.
pub(crate) const FILLER: &str = "<<filler>>";

/// How many characters of a tool call's arguments come in one piece.
const ARGUMENTS_PER_PIECE: usize = 8;

/// One part of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Delta {
    /// Text, escaped as within JSON's quotes.
    Text(String),
    /// Reasoning, escaped likewise.
    Reasoning(String),
    /// Reasoning that costs so many tokens and is not shown.
    Unseen(u64),
    /// Reasoning as bytes that only its vendor can read; escaped.
    Redacted(String),
    /// Words of refusal, escaped.
    Refusal(String),
    /// A text of so many bytes.
    Filler(u64),
    /// A tool call; several pieces of a stream.
    Tool(ToolCall),
}

impl Delta {
    /// Plain text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(escaped(text))
    }

    /// Plain reasoning.
    pub(crate) fn reasoning(text: &str) -> Self {
        Self::Reasoning(escaped(text))
    }

    /// What it costs, unless the test says otherwise: a token for each piece.
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::Tool(call) => 1 + call.arguments.len() as u64,
            Self::Unseen(tokens) => *tokens,
            _ => 1,
        }
    }

    pub(super) fn is_reasoning(&self) -> bool {
        matches!(self, Self::Reasoning(_) | Self::Unseen(_) | Self::Redacted(_))
    }
}

/// A call of a function.
#[derive(Clone, Debug)]
pub(crate) struct ToolCall {
    /// Escaped.
    pub(crate) name: String,
    /// Escaped, as a JSON text within a JSON text.
    pub(crate) arguments: Vec<String>,
    /// The arguments as they are.
    raw: String,
}

impl ToolCall {
    /// A call of `name` with arguments as JSON text.
    pub(crate) fn new(name: &str, arguments: &str) -> Self {
        let letters: Vec<char> = arguments.chars().collect();
        let piece = |letters: &[char]| escaped(&letters.iter().collect::<String>());
        Self {
            name: escaped(name),
            arguments: letters.chunks(ARGUMENTS_PER_PIECE).map(piece).collect(),
            raw: arguments.to_owned(),
        }
    }

    /// The arguments as an object, for dialects that do not put them into a text.
    pub(crate) fn object(&self) -> &str {
        match self.raw.trim() {
            "" => "{}",
            raw => raw,
        }
    }
}

/// Why an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// This stop text was met; escaped.
    StopSequence(String),
    Length,
    ToolCalls,
    /// The model refuses.
    Refusal,
    /// A filter stopped the question or the answer.
    Blocked,
}

/// Text as it stands between JSON's quotes.
pub(crate) fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Text in pieces of one word, each with the space behind it.
pub(crate) fn words(text: &str) -> Vec<Delta> {
    text.split_inclusive(char::is_whitespace).map(Delta::text).collect()
}

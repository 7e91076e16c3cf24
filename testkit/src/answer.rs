//! An answer in no vendor's words: what every dialect's writer is given.
//!
//! Owns     the vocabulary. Texts are escaped as within JSON's quotes from the start, so that what a
//!          test gives in escaped form (lone surrogates, 40-digit numbers) is written as given.
//! Called   by `reply`, which makes it of a script or of what the [`model`](crate::model) says.
//! Fails    never.

mod delta;
mod signature;
mod style;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub(crate) use self::delta::{Delta, FILLER, Finish, ToolCall, escaped, words};
pub(crate) use self::signature::signature_of;
pub(crate) use self::style::Style;
pub use self::style::UsageStyle;
use crate::asked::Asked;
use crate::reply::Frame;
use crate::seen::Billed;

/// One answer, ready to be written.
pub(crate) struct Answer<'a> {
    /// The request's number: ids follow from it.
    pub(crate) number: usize,
    /// Seconds since the Unix epoch.
    pub(crate) created: u64,
    /// As JSON, with its quotes.
    pub(crate) model: String,
    pub(crate) asked: &'a Asked,
    pub(crate) deltas: &'a [Delta],
    pub(crate) finish: &'a Finish,
    pub(crate) style: &'a Style,
}

/// An answer in a dialect.
pub(crate) struct Written {
    /// The whole object.
    pub(crate) whole: String,
    /// The events of the stream.
    pub(crate) frames: Vec<Frame>,
}

/// Deltas that belong together: a block, an item, a part.
pub(crate) enum Group<'a> {
    /// Pieces of reasoning.
    Reasoning(Vec<&'a str>),
    /// Reasoning that only its vendor can read.
    Redacted(&'a str),
    /// Reasoning that is not shown.
    Unseen,
    /// Pieces of text.
    Text(Vec<&'a str>),
    /// Pieces of a refusal.
    Refusal(Vec<&'a str>),
    /// A tool call, and its place among the calls.
    Call(usize, &'a ToolCall),
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        number: usize,
        asked: &'a Asked,
        deltas: &'a [Delta],
        finish: &'a Finish,
        style: &'a Style,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            number,
            created: now.map_or(0, |since| since.as_secs()),
            model: Value::from(asked.model.as_str()).to_string(),
            asked,
            deltas,
            finish,
            style,
        }
    }

    /// The size of the text that [`FILLER`] stands for.
    pub(crate) fn filler(&self) -> Option<u64> {
        self.deltas.iter().find_map(|delta| match delta {
            Delta::Filler(size) => Some(*size),
            _ => None,
        })
    }

    /// What the answer costs: a token for each piece of each choice, unless the test says otherwise.
    pub(crate) fn tokens(&self) -> Billed {
        self.style.tokens.unwrap_or_else(|| {
            let calls = self.deltas.iter().filter(|delta| matches!(delta, Delta::Tool(_))).count();
            // Calls without an index begin in one event together.
            let shared = if self.style.without_tool_index { calls.saturating_sub(1) } else { 0 };
            let each: u64 = self.deltas.iter().map(Delta::tokens).sum();
            Billed {
                prompt: self.asked.prompt_tokens,
                completion: (each - shared as u64) * self.asked.choices,
            }
        })
    }

    /// How many of its tokens are reasoning.
    pub(crate) fn reasoning_tokens(&self) -> u64 {
        let reasoning = self.deltas.iter().filter(|delta| delta.is_reasoning());
        let each: u64 = reasoning.map(Delta::tokens).sum();
        (each * self.asked.choices).min(self.tokens().completion)
    }

    /// Why it ends, where the test says it in the dialect's own word.
    pub(crate) fn finish_word(&self, usual: &'static str) -> &str {
        self.style.finish.as_deref().unwrap_or(usual)
    }

    /// Its deltas, put together where they are of one kind.
    pub(crate) fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut calls = 0;
        for delta in self.deltas {
            match (delta, groups.last_mut()) {
                (Delta::Reasoning(piece), Some(Group::Reasoning(pieces)))
                | (Delta::Text(piece), Some(Group::Text(pieces)))
                | (Delta::Refusal(piece), Some(Group::Refusal(pieces))) => pieces.push(piece),
                (Delta::Filler(_), Some(Group::Text(pieces))) => pieces.push(FILLER),
                (Delta::Reasoning(piece), _) => groups.push(Group::Reasoning(vec![piece])),
                (Delta::Text(piece), _) => groups.push(Group::Text(vec![piece])),
                (Delta::Refusal(piece), _) => groups.push(Group::Refusal(vec![piece])),
                (Delta::Filler(_), _) => groups.push(Group::Text(vec![FILLER])),
                (Delta::Redacted(data), _) => groups.push(Group::Redacted(data)),
                (Delta::Tool(call), _) => {
                    groups.push(Group::Call(calls, call));
                    calls += 1;
                }
                (Delta::Unseen(_), _) => groups.push(Group::Unseen),
            }
        }
        groups
    }

    /// The signature over a text that stands escaped, itself escaped; `None` where the test wants none.
    pub(crate) fn signature(&self, signed: &str) -> Option<String> {
        let plain = || serde_json::from_str(&format!("\"{signed}\"")).unwrap_or_else(|_| signed.to_owned());
        let own = || signature_of(&plain());
        let signature = self.style.signature.as_deref().map_or_else(own, escaped);
        (!self.style.without_signatures).then_some(signature)
    }

    /// An id with this prefix, the same for the same request and purpose.
    pub(crate) fn id(&self, prefix: &str, purpose: &str, length: usize) -> String {
        format!("{prefix}{}", identifier(self.number, purpose, length))
    }
}

/// Letters and digits that follow from a request's number and a purpose.
pub(crate) fn identifier(number: usize, purpose: &str, length: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // SplitMix64 (Steele, Lea, Flood, 2014), seeded with number and purpose.
    let mut state = purpose
        .bytes()
        .fold(number as u64, |state, byte| state.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut letter = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        char::from(LETTERS[((mixed ^ (mixed >> 31)) % 62) as usize])
    };
    (0..length).map(|_| letter()).collect()
}

pub(crate) fn quoted_or_null(text: Option<&str>) -> String {
    text.map_or(Value::Null, Value::from).to_string()
}

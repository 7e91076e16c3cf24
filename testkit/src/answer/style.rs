//! The freedoms that an answer takes with its dialect.

use crate::seen::Billed;

/// Where an answer's usage stands in a stream. The styles that have no equal in a dialect are that
/// dialect's usual one there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageStyle {
    /// The vendor's own. OpenAI's: where `include_usage` asks for it, in a last chunk with empty
    /// `choices`, and `null` on the others. Anthropic's: at both ends. Gemini's: on every chunk.
    #[default]
    AsAsked,
    /// OpenAI: the last chunk, asked for or not.
    Always,
    /// Nowhere.
    Never,
    /// OpenAI, Gemini: on the chunk with the finish reason alone, beside its choices.
    BesideChoices,
    /// OpenAI, Gemini: on a last chunk that has no member `choices` (`candidates`).
    WithoutChoices,
    /// On every chunk, counting up.
    OnEveryChunk,
    /// Groq's: as `x_groq.usage` on the chunk with the finish reason.
    Groq,
}

/// The form of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Style {
    pub(crate) usage: UsageStyle,
    pub(crate) finish: Option<String>,
    pub(crate) finish_throughout: Option<String>,
    pub(crate) without_finish: bool,
    pub(crate) without_tool_index: bool,
    pub(crate) interleaved_tools: bool,
    pub(crate) without_call_ids: bool,
    pub(crate) without_signatures: bool,
    /// In place of the signatures that follow from what is signed.
    pub(crate) signature: Option<String>,
    pub(crate) tokens: Option<Billed>,
    /// Of the prompt's tokens, those read from a cache and those written to one.
    pub(crate) cached: u64,
    pub(crate) cache_written: u64,
    pub(crate) usage_object: Option<String>,
}

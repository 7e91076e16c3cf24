//! Why a message ends, in Anthropic's words and in neutral ones.
//!
//! Owns     the table of stop reasons ("Handling stop reasons" in Anthropic's guide), read one way and the other.
//! Called   by the reader and the writers of answers.
//! Bounded  by the word.
//! Fails    never: a word that this version does not know stays what it is.

use crate::event::Finish;

/// What a stop reason says.
pub(super) fn read(word: &str) -> Finish {
    match word {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextWindow,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::PauseTurn,
        other => Finish::Other(other.to_owned()),
    }
}

/// The stop reason that says it. A filter that stopped another provider's model is Anthropic's refusal, and a word
/// unknown here goes out as it came: under no circumstances is it a normal end.
pub(super) fn written(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ContextWindow => "model_context_window_exceeded",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter | Finish::Refusal => "refusal",
        Finish::PauseTurn => "pause_turn",
        Finish::Other(word) => word,
    }
}

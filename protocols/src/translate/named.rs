//! What a caller calls that which has no equal at the other side: writers know it by its neutral name, or by what is
//! wrong with it.
//!
//! Owns     the table of such names.
//! Called   by [`super::request`] for what a writer has refused or left out.
//! Bounded  by the table.
//! Fails    never: what is not in the table has its caller's own name already.

use super::Protocol;
use crate::conversation::Extra;

/// Beginnings of writers' words, and the member in OpenAI's chat API, Anthropic's Messages API, Gemini's and OpenAI's
/// Responses API. The first that fits counts.
const NAMES: [(&str, [&str; 4]); 26] = [
    ("temperature", ["temperature", "temperature", "generationConfig.temperature", "temperature"]),
    ("a temperature", ["temperature", "temperature", "generationConfig.temperature", "temperature"]),
    ("top_p", ["top_p", "top_p", "generationConfig.topP", "top_p"]),
    ("top_k", ["top_k", "top_k", "generationConfig.topK", "top_k"]),
    (
        "frequency_penalty",
        ["frequency_penalty", "", "generationConfig.frequencyPenalty", "frequency_penalty"],
    ),
    ("presence_penalty", ["presence_penalty", "", "generationConfig.presencePenalty", "presence_penalty"]),
    ("seed", ["seed", "", "generationConfig.seed", "seed"]),
    ("stop", ["stop", "stop_sequences", "generationConfig.stopSequences", "stop"]),
    ("a stop sequence", ["stop", "stop_sequences", "generationConfig.stopSequences", "stop"]),
    ("parallel_tool_calls", ["", "tool_choice.disable_parallel_tool_use", "", ""]),
    (
        "a JSON answer without",
        ["response_format", "output_config.format", "generationConfig.responseMimeType", "text.format"],
    ),
    (
        "reasoning_effort",
        ["reasoning_effort", "thinking", "generationConfig.thinkingConfig", "reasoning.effort"],
    ),
    ("reasoning b", ["reasoning_effort", "thinking", "generationConfig.thinkingConfig", "reasoning.effort"]),
    (
        "reasoning within",
        ["reasoning_effort", "thinking", "generationConfig.thinkingConfig", "reasoning.effort"],
    ),
    ("system", ["messages", "system", "systemInstruction", "instructions"]),
    ("instructions that", ["messages", "system", "systemInstruction", "instructions"]),
    (
        "redacted_thinking",
        ["reasoning_details", "redacted_thinking", "thoughtSignature", "encrypted_content"],
    ),
    ("a thought", ["reasoning_content", "thinking", "thought", "reasoning"]),
    ("image_url.detail", ["image_url.detail", "", "", "input_image.detail"]),
    ("the low detail", ["image_url.detail", "", "", "input_image.detail"]),
    ("an image by", ["file_id", "source.file_id", "fileData", "file_id"]),
    ("an image", ["image_url", "image", "inlineData", "input_image"]),
    ("a document", ["file", "document", "inlineData", "input_file"]),
    ("a sound", ["input_audio", "audio", "inlineData", "input_audio"]),
    ("a call", ["tool_calls", "tool_result", "functionResponse", "function_call_output"]),
    ("a tool", ["tool_calls", "tool_result", "functionResponse", "function_call_output"]),
];

/// The caller's name for what a writer calls by this word; `extras` are called by it already.
pub(super) fn by_caller<'w>(word: &'w str, caller: Protocol, extras: &[Extra<'_>]) -> &'w str {
    if extras.iter().any(|extra| extra.member == word) {
        return word;
    }
    let Some((_, names)) = NAMES.iter().find(|(known, _)| is_so(word, known)) else { return word };
    let [chat, messages, gemini, responses] = *names;
    let name = match caller {
        Protocol::Chat => chat,
        Protocol::Messages => messages,
        Protocol::Gemini => gemini,
        Protocol::Responses => responses,
    };
    if name.is_empty() { word } else { name }
}

/// Whether a word is this member, one of its elements, or a sentence that begins so.
fn is_so(word: &str, known: &str) -> bool {
    let rest = word.strip_prefix(known);
    rest.is_some_and(|rest| known.contains(' ') || rest.is_empty() || rest.starts_with(['[', ' ']))
}

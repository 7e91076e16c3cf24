//! Chat completions on the wire: the whole object and the chunks of a stream, byte for byte as
//! OpenAI lays them out, and the freedoms that servers which call themselves compatible take.
//!
//! JSON is put together from strings here, so that what a test gives in escaped form (lone
//! surrogates, 40-digit numbers) is written as given.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::asked::Asked;
use crate::seen::Billed;

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
}

/// A call of a function.
#[derive(Clone, Debug)]
pub(crate) struct ToolCall {
    name: String,
    /// Escaped.
    arguments: Vec<String>,
}

impl ToolCall {
    /// A call of `name` with arguments as JSON text.
    pub(crate) fn new(name: &str, arguments: &str) -> Self {
        let letters: Vec<char> = arguments.chars().collect();
        let piece = |letters: &[char]| escaped(&letters.iter().collect::<String>());
        Self { name: escaped(name), arguments: letters.chunks(ARGUMENTS_PER_PIECE).map(piece).collect() }
    }
}

/// Text as it stands between JSON's quotes.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Text in pieces of one word, each with the space behind it.
pub(crate) fn words(text: &str) -> Vec<Delta> {
    text.split_inclusive(char::is_whitespace).map(Delta::text).collect()
}

/// Letters and digits that follow from a request's number and a purpose.
pub(super) fn identifier(number: usize, purpose: &str, length: usize) -> String {
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

/// Where an answer's usage stands in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageStyle {
    /// OpenAI's: where `include_usage` asks for it, in a last chunk with empty `choices`, and
    /// `null` on the others.
    #[default]
    AsAsked,
    /// The last chunk, asked for or not.
    Always,
    /// Nowhere.
    Never,
    /// On the chunk with the finish reason, beside its choices.
    BesideChoices,
    /// On a last chunk that has no member `choices`.
    WithoutChoices,
    /// On every chunk, counting up.
    OnEveryChunk,
    /// Groq's: as `x_groq.usage` on the chunk with the finish reason.
    Groq,
}

/// The form of a chat answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChatStyle {
    pub(crate) usage: UsageStyle,
    pub(crate) finish: Option<String>,
    pub(crate) finish_throughout: Option<String>,
    pub(crate) without_finish: bool,
    pub(crate) without_tool_index: bool,
    pub(crate) tokens: Option<Billed>,
    pub(crate) usage_object: Option<String>,
}

/// One chat answer, ready to be written either way.
pub(crate) struct Chat<'a> {
    number: usize,
    created: u64,
    /// As JSON, with its quotes.
    model: String,
    asked: &'a Asked,
    deltas: &'a [Delta],
    finish: &'a str,
    style: &'a ChatStyle,
    /// The members of each piece's `delta`.
    fragments: Vec<String>,
}

impl<'a> Chat<'a> {
    pub(crate) fn new(
        number: usize,
        asked: &'a Asked,
        deltas: &'a [Delta],
        finish: &'a str,
        style: &'a ChatStyle,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            number,
            created: now.map_or(0, |since| since.as_secs()),
            model: Value::from(asked.model.as_str()).to_string(),
            asked,
            deltas,
            finish: style.finish.as_deref().unwrap_or(finish),
            style,
            fragments: fragments(number, deltas, style.without_tool_index),
        }
    }

    /// The size of the text that [`FILLER`] stands for.
    pub(crate) fn filler(&self) -> Option<u64> {
        self.deltas.iter().find_map(|delta| match delta {
            Delta::Filler(size) => Some(*size),
            Delta::Text(_) | Delta::Reasoning(_) | Delta::Tool(_) => None,
        })
    }

    /// What the answer costs: a token for each piece of each choice, unless the test says otherwise.
    pub(crate) fn tokens(&self) -> Billed {
        self.style.tokens.unwrap_or(Billed {
            prompt: self.asked.prompt_tokens,
            completion: self.fragments.len() as u64 * self.asked.choices,
        })
    }

    /// The whole answer as one object.
    pub(crate) fn completion(&self) -> String {
        let message = self.message();
        let finish = quoted_or_null((!self.style.without_finish).then_some(self.finish));
        let choice = |index: u64| {
            format!(
                "{{\"index\":{index},\"message\":{message},\"logprobs\":null,\
                 \"finish_reason\":{finish}}}"
            )
        };
        let choices: Vec<String> = (0..self.asked.choices).map(choice).collect();
        let usage = match self.style.usage {
            UsageStyle::Never => String::new(),
            _ => format!(",\"usage\":{}", self.usage(self.tokens())),
        };
        format!(
            "{{{},\"choices\":[{}]{usage},\"service_tier\":\"default\",{}}}",
            self.preamble("chat.completion"),
            choices.join(","),
            self.fingerprint(),
        )
    }

    fn message(&self) -> String {
        let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
        for delta in self.deltas {
            match delta {
                Delta::Text(piece) => text.push_str(piece),
                Delta::Filler(_) => text.push_str(FILLER),
                Delta::Reasoning(piece) => reasoning.push_str(piece),
                Delta::Tool(call) => {
                    let index = calls.len();
                    let arguments = call.arguments.concat();
                    calls.push(call_object(self.number, index, call, &arguments));
                }
            }
        }
        let content = match (text.is_empty(), calls.is_empty()) {
            (true, false) => "null".to_owned(),
            _ => format!("\"{text}\""),
        };
        let mut message = format!("{{\"role\":\"assistant\",\"content\":{content}");
        if !reasoning.is_empty() {
            message.push_str(&format!(",\"reasoning_content\":\"{reasoning}\""));
        }
        if !calls.is_empty() {
            let calls: Vec<String> = calls.iter().map(|call| format!("{{{call}}}")).collect();
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        message.push_str(",\"refusal\":null,\"annotations\":[]}");
        message
    }

    /// The `data` of each event of a stream, and whether it is a piece.
    pub(crate) fn chunks(&self) -> Vec<(String, bool)> {
        let mut chunks = Vec::new();
        let role = "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null";
        let throughout = quoted_or_null(self.style.finish_throughout.as_deref());
        for choice in 0..self.asked.choices {
            chunks.push((self.chunk(choice, role, &throughout, 0, ""), false));
        }
        let mut sent = 0;
        for fragment in &self.fragments {
            for choice in 0..self.asked.choices {
                sent += 1;
                chunks.push((self.chunk(choice, fragment, &throughout, sent, ""), true));
            }
        }
        if !self.style.without_finish {
            let finish = quoted_or_null(Some(self.finish));
            for choice in 0..self.asked.choices {
                let extra = match choice + 1 == self.asked.choices {
                    true => self.usage_beside_finish(),
                    false => String::new(),
                };
                chunks.push((self.chunk(choice, "", &finish, sent, &extra), false));
            }
        }
        chunks.extend(self.usage_chunk().map(|chunk| (chunk, false)));
        chunks
    }

    fn chunk(&self, choice: u64, delta: &str, finish: &str, sent: u64, extra: &str) -> String {
        let usage = match self.style.usage {
            UsageStyle::OnEveryChunk => {
                let whole = self.tokens();
                let completion = whole.completion.min(sent);
                let so_far = Billed { completion, ..whole };
                format!(",\"usage\":{}", self.usage(so_far))
            }
            UsageStyle::AsAsked | UsageStyle::Always if self.asked.include_usage => {
                ",\"usage\":null".to_owned()
            }
            _ => String::new(),
        };
        format!(
            "{{{},\"service_tier\":\"default\",{},\"choices\":[{{\"index\":{choice},\
             \"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage}{extra},\
             \"obfuscation\":\"{}\"}}",
            self.preamble("chat.completion.chunk"),
            self.fingerprint(),
            identifier(self.number, "obfuscation", 7),
        )
    }

    fn usage_beside_finish(&self) -> String {
        let usage = self.usage(self.tokens());
        match self.style.usage {
            UsageStyle::BesideChoices => format!(",\"usage\":{usage}"),
            UsageStyle::Groq => {
                let id = identifier(self.number, "groq", 26);
                format!(",\"x_groq\":{{\"id\":\"req_{id}\",\"usage\":{usage}}}")
            }
            _ => String::new(),
        }
    }

    fn usage_chunk(&self) -> Option<String> {
        let choices = match self.style.usage {
            UsageStyle::AsAsked if !self.asked.include_usage => return None,
            UsageStyle::AsAsked | UsageStyle::Always => ",\"choices\":[]",
            UsageStyle::WithoutChoices => "",
            UsageStyle::Never | UsageStyle::BesideChoices | UsageStyle::OnEveryChunk | UsageStyle::Groq => {
                return None;
            }
        };
        Some(format!(
            "{{{},\"service_tier\":\"default\",{}{choices},\"usage\":{},\"obfuscation\":\"\"}}",
            self.preamble("chat.completion.chunk"),
            self.fingerprint(),
            self.usage(self.tokens()),
        ))
    }

    fn preamble(&self, object: &str) -> String {
        format!(
            "\"id\":\"chatcmpl-{}\",\"object\":\"{object}\",\"created\":{},\"model\":{}",
            identifier(self.number, "chat", 29),
            self.created,
            self.model,
        )
    }

    fn fingerprint(&self) -> String {
        "\"system_fingerprint\":\"fp_44709d6fcb\"".to_owned()
    }

    fn usage(&self, tokens: Billed) -> String {
        if let Some(object) = &self.style.usage_object {
            return object.clone();
        }
        let is_reasoning = |delta: &&Delta| matches!(delta, Delta::Reasoning(_));
        let reasoning = self.deltas.iter().filter(is_reasoning).count() as u64;
        format!(
            "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{},\
             \"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
             \"completion_tokens_details\":{{\"reasoning_tokens\":{},\"audio_tokens\":0,\
             \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}",
            tokens.prompt,
            tokens.completion,
            tokens.total(),
            (reasoning * self.asked.choices).min(tokens.completion),
        )
    }
}

fn quoted_or_null(text: Option<&str>) -> String {
    text.map_or(Value::Null, Value::from).to_string()
}

/// A call's members without its index.
fn call_object(number: usize, index: usize, call: &ToolCall, arguments: &str) -> String {
    format!(
        "\"id\":\"{}\",\"type\":\"function\",\"function\":{{\"name\":\"{}\",\
         \"arguments\":\"{arguments}\"}}",
        call_id(number, index),
        call.name,
    )
}

fn call_id(number: usize, index: usize) -> String {
    format!("call_{}", identifier(number, &format!("call {index}"), 24))
}

/// The members of `delta` for each piece of a stream.
fn fragments(number: usize, deltas: &[Delta], without_index: bool) -> Vec<String> {
    let mut fragments = Vec::new();
    let mut calls: Vec<&ToolCall> = Vec::new();
    for delta in deltas {
        match delta {
            Delta::Text(text) => fragments.push(format!("\"content\":\"{text}\"")),
            Delta::Reasoning(text) => fragments.push(format!("\"reasoning_content\":\"{text}\"")),
            Delta::Filler(_) => fragments.push(format!("\"content\":\"{FILLER}\"")),
            Delta::Tool(call) => {
                if !without_index {
                    fragments.extend(indexed_call(number, calls.len(), call));
                }
                calls.push(call);
            }
        }
    }
    if without_index && !calls.is_empty() {
        fragments.extend(calls_without_index(number, &calls));
    }
    fragments
}

fn indexed_call(number: usize, index: usize, call: &ToolCall) -> Vec<String> {
    let begin = call_object(number, index, call, "");
    let mut pieces = vec![format!("\"tool_calls\":[{{\"index\":{index},{begin}}}]")];
    pieces.extend(call.arguments.iter().map(|arguments| {
        format!("\"tool_calls\":[{{\"index\":{index},\"function\":{{\"arguments\":\"{arguments}\"}}}}]")
    }));
    pieces
}

fn calls_without_index(number: usize, calls: &[&ToolCall]) -> Vec<String> {
    let begin = |(index, call): (usize, &&ToolCall)| format!("{{{}}}", call_object(number, index, call, ""));
    let begins: Vec<String> = calls.iter().enumerate().map(begin).collect();
    let mut pieces = vec![format!("\"tool_calls\":[{}]", begins.join(","))];
    let longest = calls.iter().map(|call| call.arguments.len()).max();
    for turn in 0..longest.unwrap_or(0) {
        for (index, call) in calls.iter().enumerate() {
            let Some(arguments) = call.arguments.get(turn) else {
                continue;
            };
            let id = call_id(number, index);
            pieces.push(format!(
                "\"tool_calls\":[{{\"id\":\"{id}\",\"function\":{{\"arguments\":\"{arguments}\"}}}}]"
            ));
        }
    }
    pieces
}

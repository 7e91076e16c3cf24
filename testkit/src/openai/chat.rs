//! Chat completions on the wire: the whole object and the chunks of a stream, byte for byte as
//! OpenAI lays them out, and the freedoms that servers which call themselves compatible take.
//!
//! Owns     nothing.
//! Called   by `reply` for a chat answer.
//! Fails    never.

use crate::answer::{
    Answer, Delta, FILLER, Finish, ToolCall, UsageStyle, Written, identifier, quoted_or_null,
};
use crate::asked::Asked;
use crate::reply::Frame;
use crate::seen::Billed;

/// One chat answer, ready to be written either way.
struct Chat<'a> {
    answer: &'a Answer<'a>,
    finish: &'a str,
    /// The members of each piece's `delta`.
    fragments: Vec<String>,
}

/// Writes a chat answer.
pub(crate) fn chat_written(answer: &Answer<'_>) -> Written {
    let chat = Chat {
        answer,
        finish: answer.finish_word(finish_reason(answer.finish)),
        fragments: fragments(answer),
    };
    Written { whole: chat.completion(), frames: chat.chunks() }
}

pub(super) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Blocked => "content_filter",
    }
}

impl Chat<'_> {
    fn asked(&self) -> &Asked {
        self.answer.asked
    }

    /// The whole answer as one object.
    fn completion(&self) -> String {
        let message = self.message();
        let finish = quoted_or_null((!self.answer.style.without_finish).then_some(self.finish));
        let choice = |index: u64| {
            format!(
                "{{\"index\":{index},\"message\":{message},\"logprobs\":null,\
                 \"finish_reason\":{finish}}}"
            )
        };
        let choices: Vec<String> = (0..self.asked().choices).map(choice).collect();
        let usage = match self.answer.style.usage {
            UsageStyle::Never => String::new(),
            _ => format!(",\"usage\":{}", self.usage(self.answer.tokens())),
        };
        format!(
            "{{{},\"choices\":[{}]{usage},\"service_tier\":\"default\",{}}}",
            self.preamble("chat.completion"),
            choices.join(","),
            self.fingerprint(),
        )
    }

    fn message(&self) -> String {
        let (mut text, mut reasoning, mut refusal) = (String::new(), String::new(), String::new());
        let mut calls = Vec::new();
        for delta in self.answer.deltas {
            match delta {
                Delta::Text(piece) => text.push_str(piece),
                Delta::Filler(_) => text.push_str(FILLER),
                Delta::Reasoning(piece) => reasoning.push_str(piece),
                Delta::Refusal(piece) => refusal.push_str(piece),
                Delta::Tool(call) => {
                    let arguments = call.arguments.concat();
                    let call = call_object(self.answer.number, calls.len(), call, &arguments);
                    calls.push(format!("{{{call}}}"));
                }
                Delta::Unseen(_) | Delta::Redacted(_) => {}
            }
        }
        let content = match text.is_empty() && (!calls.is_empty() || !refusal.is_empty()) {
            true => "null".to_owned(),
            false => format!("\"{text}\""),
        };
        let mut message = format!("{{\"role\":\"assistant\",\"content\":{content}");
        if !reasoning.is_empty() {
            message.push_str(&format!(",\"reasoning_content\":\"{reasoning}\""));
        }
        if !calls.is_empty() {
            message.push_str(&format!(",\"tool_calls\":[{}]", calls.join(",")));
        }
        let refusal = if refusal.is_empty() { "null".to_owned() } else { format!("\"{refusal}\"") };
        message.push_str(&format!(",\"refusal\":{refusal},\"annotations\":[]}}"));
        message
    }

    /// The `data` of each event of a stream, and whether it is a piece.
    fn chunks(&self) -> Vec<Frame> {
        let mut chunks = Vec::new();
        let role = "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null";
        let throughout = quoted_or_null(self.answer.style.finish_throughout.as_deref());
        for choice in 0..self.asked().choices {
            chunks.push(Frame::aside(self.chunk(choice, role, &throughout, 0, "")));
        }
        let mut sent = 0;
        for fragment in &self.fragments {
            for choice in 0..self.asked().choices {
                sent += 1;
                chunks.push(Frame::piece(self.chunk(choice, fragment, &throughout, sent, "")));
            }
        }
        if !self.answer.style.without_finish {
            let finish = quoted_or_null(Some(self.finish));
            for choice in 0..self.asked().choices {
                let extra = match choice + 1 == self.asked().choices {
                    true => self.usage_beside_finish(),
                    false => String::new(),
                };
                chunks.push(Frame::aside(self.chunk(choice, "", &finish, sent, &extra)));
            }
        }
        chunks.extend(self.usage_chunk().map(Frame::aside));
        chunks.push(Frame::done());
        chunks
    }

    fn chunk(&self, choice: u64, delta: &str, finish: &str, sent: u64, extra: &str) -> String {
        let usage = match self.answer.style.usage {
            UsageStyle::OnEveryChunk => {
                let whole = self.answer.tokens();
                let completion = whole.completion.min(sent);
                let so_far = Billed { completion, ..whole };
                format!(",\"usage\":{}", self.usage(so_far))
            }
            UsageStyle::AsAsked | UsageStyle::Always if self.asked().include_usage => {
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
            identifier(self.answer.number, "obfuscation", 7),
        )
    }

    fn usage_beside_finish(&self) -> String {
        let usage = self.usage(self.answer.tokens());
        match self.answer.style.usage {
            UsageStyle::BesideChoices => format!(",\"usage\":{usage}"),
            UsageStyle::Groq => {
                let id = identifier(self.answer.number, "groq", 26);
                format!(",\"x_groq\":{{\"id\":\"req_{id}\",\"usage\":{usage}}}")
            }
            _ => String::new(),
        }
    }

    fn usage_chunk(&self) -> Option<String> {
        let choices = match self.answer.style.usage {
            UsageStyle::AsAsked if !self.asked().include_usage => return None,
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
            self.usage(self.answer.tokens()),
        ))
    }

    fn preamble(&self, object: &str) -> String {
        format!(
            "\"id\":\"chatcmpl-{}\",\"object\":\"{object}\",\"created\":{},\"model\":{}",
            identifier(self.answer.number, "chat", 29),
            self.answer.created,
            self.answer.model,
        )
    }

    fn fingerprint(&self) -> String {
        "\"system_fingerprint\":\"fp_44709d6fcb\"".to_owned()
    }

    fn usage(&self, tokens: Billed) -> String {
        if let Some(object) = &self.answer.style.usage_object {
            return object.clone();
        }
        format!(
            "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{},\"audio_tokens\":0}},\
             \"completion_tokens_details\":{{\"reasoning_tokens\":{},\"audio_tokens\":0,\
             \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}",
            tokens.prompt,
            tokens.completion,
            tokens.total(),
            self.answer.style.cached,
            self.answer.reasoning_tokens().min(tokens.completion),
        )
    }
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

pub(super) fn call_id(number: usize, index: usize) -> String {
    format!("call_{}", identifier(number, &format!("call {index}"), 24))
}

/// The members of `delta` for each piece of a stream.
fn fragments(answer: &Answer<'_>) -> Vec<String> {
    let mut fragments = Vec::new();
    let mut calls: Vec<&ToolCall> = Vec::new();
    let (number, style) = (answer.number, answer.style);
    let together = style.without_tool_index || style.interleaved_tools;
    for delta in answer.deltas {
        match delta {
            Delta::Text(text) => fragments.push(format!("\"content\":\"{text}\"")),
            Delta::Reasoning(text) => fragments.push(format!("\"reasoning_content\":\"{text}\"")),
            Delta::Refusal(text) => fragments.push(format!("\"refusal\":\"{text}\"")),
            Delta::Filler(_) => fragments.push(format!("\"content\":\"{FILLER}\"")),
            Delta::Unseen(_) | Delta::Redacted(_) => {}
            Delta::Tool(call) => {
                if !together {
                    fragments.push(call_begin(number, calls.len(), call));
                    fragments.extend(call.arguments.iter().map(|json| indexed_piece(calls.len(), json)));
                }
                calls.push(call);
            }
        }
    }
    if style.without_tool_index && !calls.is_empty() {
        let begin =
            |(index, call): (usize, &&ToolCall)| format!("{{{}}}", call_object(number, index, call, ""));
        let begins: Vec<String> = calls.iter().enumerate().map(begin).collect();
        fragments.push(format!("\"tool_calls\":[{}]", begins.join(",")));
        let piece = |(index, json): (usize, &str)| {
            let id = call_id(number, index);
            format!("\"tool_calls\":[{{\"id\":\"{id}\",\"function\":{{\"arguments\":\"{json}\"}}}}]")
        };
        fragments.extend(in_turns(&calls).into_iter().map(piece));
    } else if style.interleaved_tools {
        let begin = |(index, call): (usize, &&ToolCall)| call_begin(number, index, call);
        fragments.extend(calls.iter().enumerate().map(begin));
        let pieces = in_turns(&calls).into_iter();
        fragments.extend(pieces.map(|(index, json)| indexed_piece(index, json)));
    }
    fragments
}

fn call_begin(number: usize, index: usize, call: &ToolCall) -> String {
    format!("\"tool_calls\":[{{\"index\":{index},{}}}]", call_object(number, index, call, ""))
}

fn indexed_piece(index: usize, json: &str) -> String {
    format!("\"tool_calls\":[{{\"index\":{index},\"function\":{{\"arguments\":\"{json}\"}}}}]")
}

/// The pieces of several calls' arguments, one of each call after the other.
pub(super) fn in_turns<'a>(calls: &[&'a ToolCall]) -> Vec<(usize, &'a str)> {
    let longest = calls.iter().map(|call| call.arguments.len()).max().unwrap_or(0);
    let turn = |turn: usize| {
        let piece = move |(index, call): (usize, &&'a ToolCall)| {
            call.arguments.get(turn).map(|piece| (index, piece.as_str()))
        };
        calls.iter().enumerate().filter_map(piece).collect::<Vec<_>>()
    };
    (0..longest).flat_map(turn).collect()
}

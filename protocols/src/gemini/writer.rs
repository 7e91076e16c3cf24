//! An answer as a Gemini client reads it, made of events.
//!
//! Owns     the form of responses; in a stream, what must wait: calls until they are whole, and the finish reason,
//!          which goes with the usage in the last response.
//! Called   by the translation of answers: [`GenerateWriter`] for streams, [`render_answer`] for whole ones.
//! Bounded  by the answer's calls.
//! Fails    never; the order of events was checked before.

use bytes::BytesMut;

use crate::event::{Event, EventWriter, Finish};
use crate::gemini::call_writer::PendingCalls;
use crate::gemini::signature;
use crate::json::Writer;
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// A sign of life in a stream of server-sent events: a response with an empty text. Google's SDKs do not read comments.
pub const KEEP_ALIVE: &[u8] =
    b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"index\":0}]}\n\n";

/// Writes a stream of server-sent events.
#[derive(Debug)]
pub struct GenerateWriter {
    answer: AnswerHead,
    calls: PendingCalls,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

/// What every response repeats.
#[derive(Clone, Debug)]
struct AnswerHead {
    id: String,
    model: String,
}

impl AnswerHead {
    /// What the upstream says of itself goes before what was known.
    fn take(&mut self, id: Option<&String>, model: Option<&String>) {
        if let Some(id) = id {
            self.id.clone_from(id);
        }
        if let Some(model) = model {
            self.model.clone_from(model);
        }
    }
}

impl GenerateWriter {
    /// A stream of which nothing is written. `id` and `model` stand where the upstream names none.
    pub fn new(id: &str, model: &str) -> Self {
        Self {
            answer: AnswerHead { id: id.to_owned(), model: model.to_owned() },
            calls: PendingCalls::default(),
            finish: None,
            usage: None,
        }
    }

    /// Writes a response with these parts as an event.
    fn respond(&self, last: Option<&Last>, parts: impl FnOnce(&mut Writer), out: &mut BytesMut) {
        let mut json = Writer::new();
        response(&self.answer, last, parts, &mut json);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(json.into_text().as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    fn end(&mut self, out: &mut BytesMut) {
        let mut calls = std::mem::take(&mut self.calls);
        let mut parts = Writer::new();
        parts.array(|parts| calls.write(true, parts));
        let parts = parts.into_text();
        let last = Last::of(self.finish.take(), calls.has_malformed(), self.usage);
        self.respond(
            Some(&last),
            |json| match parts.get(1..parts.len() - 1) {
                Some(calls) if !calls.is_empty() => json.raw(calls),
                _ => text("", false, None, json),
            },
            out,
        );
    }
}

impl EventWriter for GenerateWriter {
    fn write(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { id, model } => self.answer.take(id.as_ref(), model.as_ref()),
            Event::Text(said) | Event::Refusal(said) => {
                self.respond(None, |json| text(said, false, None, json), out);
            }
            Event::Thinking(said) => self.respond(None, |json| text(said, true, None, json), out),
            Event::Signature(signature) => {
                self.respond(None, |json| text("", true, Some(signature), json), out);
            }
            // A thought that its own upstream alone can read has no place here, nor anybody who would bring it back.
            Event::Redacted(_) => {}
            Event::CallStart { id, name, signature, .. } => self.calls.start(id, name, signature.as_deref()),
            Event::CallArguments { call, json } => {
                self.calls.add(*call, json);
                if self.calls.is_ready() {
                    let mut calls = std::mem::take(&mut self.calls);
                    self.respond(None, |json| calls.write(false, json), out);
                    self.calls = calls;
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(KEEP_ALIVE),
            Event::Finish { reason, .. } => self.finish = Some(reason.clone()),
            Event::End => self.end(out),
        }
    }
}

/// Writes a whole answer. `id` and `model` stand where the upstream names none.
pub fn render_answer(events: &[Event], id: &str, model: &str) -> String {
    let mut head = AnswerHead { id: id.to_owned(), model: model.to_owned() };
    let mut runs: Vec<Run> = Vec::new();
    let mut calls = PendingCalls::default();
    let (mut finish, mut usage) = (None, None);
    for event in events {
        match event {
            Event::Start { id, model } => head.take(id.as_ref(), model.as_ref()),
            Event::Text(text) | Event::Refusal(text) => Run::add(&mut runs, text, false),
            Event::Thinking(text) => Run::add(&mut runs, text, true),
            Event::Signature(signature) => Run::sign(&mut runs, signature),
            Event::CallStart { id, name, signature, .. } => calls.start(id, name, signature.as_deref()),
            Event::CallArguments { call, json } => calls.add(*call, json),
            Event::Usage(reported) => usage = Some(*reported),
            Event::Finish { reason, .. } => finish = Some(reason.clone()),
            Event::Redacted(_) | Event::Ping | Event::End => {}
        }
    }
    let mut parts = Writer::new();
    parts.array(|json| {
        for run in &runs {
            text(&run.text, run.is_thought, run.signature.as_deref(), json);
        }
        calls.write(true, json);
    });
    let parts = parts.into_text();
    let last = Last::of(finish, calls.has_malformed(), usage);
    let mut json = Writer::new();
    let inside = parts.get(1..parts.len() - 1).filter(|parts| !parts.is_empty());
    response(
        &head,
        Some(&last),
        |json| match inside {
            Some(parts) => json.raw(parts),
            None => text("", false, None, json),
        },
        &mut json,
    );
    json.into_text()
}

/// Text of one sort in a whole answer.
struct Run {
    text: String,
    is_thought: bool,
    signature: Option<String>,
}

impl Run {
    fn add(runs: &mut Vec<Self>, text: &str, is_thought: bool) {
        match runs.last_mut() {
            Some(run) if run.is_thought == is_thought && run.signature.is_none() => run.text.push_str(text),
            _ => runs.push(Self { text: text.to_owned(), is_thought, signature: None }),
        }
    }

    fn sign(runs: &mut Vec<Self>, signature: &str) {
        if runs.last().is_none_or(|run| !run.is_thought || run.signature.is_some()) {
            runs.push(Self { text: String::new(), is_thought: true, signature: None });
        }
        if let Some(run) = runs.last_mut() {
            run.signature = Some(signature.to_owned());
        }
    }
}

/// What only the last response says.
#[derive(Debug)]
struct Last {
    reason: &'static str,
    message: Option<String>,
    usage: Option<Usage>,
}

impl Last {
    /// The reason in Gemini's words (`FinishReason` in its API reference). Of those that it has no word for, the
    /// other's word is the message.
    fn of(finish: Option<Finish>, has_malformed_calls: bool, usage: Option<Usage>) -> Self {
        let (reason, message) = match finish {
            _ if has_malformed_calls => {
                ("MALFORMED_FUNCTION_CALL", Some("the arguments of a call are not a JSON object".to_owned()))
            }
            Some(Finish::Stop | Finish::StopSequence | Finish::ToolCalls) => ("STOP", None),
            Some(Finish::Length | Finish::ContextWindow) => ("MAX_TOKENS", None),
            Some(Finish::ContentFilter | Finish::Refusal) => ("SAFETY", None),
            Some(Finish::PauseTurn) => ("OTHER", Some("pause_turn".to_owned())),
            Some(Finish::Other(word)) => ("OTHER", Some(word)),
            None => ("OTHER", None),
        };
        Self { reason, message, usage }
    }
}

/// Writes one response.
fn response(head: &AnswerHead, last: Option<&Last>, parts: impl FnOnce(&mut Writer), json: &mut Writer) {
    json.object(|json| {
        json.key("candidates").array(|json| {
            json.object(|json| {
                json.key("content").object(|json| {
                    json.key("parts").array(parts);
                    json.key("role").text("model");
                });
                if let Some(last) = last {
                    json.key("finishReason").text(last.reason);
                    json.text_member("finishMessage", last.message.as_deref());
                }
                json.key("index").number(0);
            });
        });
        if let Some(usage) = last.and_then(|last| last.usage) {
            json.key("usageMetadata").object(|json| usage_metadata(&usage, json));
        }
        json.key("modelVersion").text(&head.model);
        json.key("responseId").text(&head.id);
    });
}

fn text(text: &str, is_thought: bool, signed: Option<&str>, json: &mut Writer) {
    json.object(|json| {
        json.key("text").text(text);
        if is_thought {
            json.key("thought").bool(true);
        }
        json.text_member("thoughtSignature", signed.map(signature::wrapped).as_deref());
    });
}

/// The parts under Gemini's names, which count as [`crate::usage::from_gemini`] reads them.
fn usage_metadata(usage: &Usage, json: &mut Writer) {
    json.key("promptTokenCount").number(usage.prompt_tokens());
    if usage.cache_read > 0 {
        json.key("cachedContentTokenCount").number(usage.cache_read);
    }
    json.key("candidatesTokenCount").number(usage.output);
    if usage.reasoning > 0 {
        json.key("thoughtsTokenCount").number(usage.reasoning);
    }
    json.key("totalTokenCount").number(usage.total());
}

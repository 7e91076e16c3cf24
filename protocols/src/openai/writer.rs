//! A client's chat stream, written from events: the second half of a translation of a stream.
//!
//! Owns     the chunks' identity, which all of them repeat, and what is said once: role, finish reason, usage.
//! Called   by [`crate::translate`] with events in order.
//! Bounded  by the events; what is kept between them is the head of a chunk and the latest usage.
//! Fails    never.
//!
//! What OpenAI's own API has no member for goes where others of the same dialect have it: thoughts in
//! `reasoning_content` (DeepSeek, vLLM), signatures and redacted thoughts in `reasoning_details` and the upstream's
//! own finish reason in `native_finish_reason` (OpenRouter), the stop text in `stop_reason` (vLLM), Gemini's
//! signature on a call in `extra_content` (Google).

use bytes::BytesMut;

use crate::event::{Event, EventWriter, Finish};
use crate::json::{Writer, quoted};
use crate::openai::render::thought_signature;
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// Nothing to say: a comment of the event stream, which clients skip.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// What an answer is called where it has no name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The answer's id.
    pub id: &'a str,
    /// The model, unless the upstream says which.
    pub model: &'a str,
    /// When it began, in seconds since the Unix epoch.
    pub created: u64,
}

/// Writes a chat stream.
#[derive(Debug)]
pub struct ChatWriter {
    id: String,
    model: String,
    created: u64,
    show_usage: bool,
    /// Whether the answer has the id that its upstream gave it.
    takes_id: bool,
    /// A chunk up to its choices.
    head: String,
    /// The thought that is being told, counted from 0, and whether it goes on.
    thought: usize,
    in_thought: bool,
    has_refused: bool,
    usage: Option<Usage>,
}

impl ChatWriter {
    /// A writer of one answer. With `show_usage` a chunk with the usage comes before the end.
    pub fn new(identity: Identity<'_>, show_usage: bool) -> Self {
        let Identity { id, model, created } = identity;
        let (id, model) = (id.to_owned(), model.to_owned());
        let head = head(&id, created, &model);
        Self {
            id,
            model,
            created,
            show_usage,
            takes_id: false,
            head,
            thought: 0,
            in_thought: false,
            has_refused: false,
            usage: None,
        }
    }

    /// The same for an answer whose beginning passes as it came: what is written behind it has the id that the upstream
    /// gave it.
    #[must_use]
    pub fn behind_passed(self) -> Self {
        Self { takes_id: true, ..self }
    }

    /// One chunk of the one choice; the delta's pieces are JSON together.
    fn chunk(&self, delta: &[&str], out: &mut BytesMut) {
        self.open_chunk(delta, out);
        out.extend_from_slice(b"null");
        self.close_chunk(out);
    }

    /// A chunk as far as its finish reason.
    fn open_chunk(&self, delta: &[&str], out: &mut BytesMut) {
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(b"\"choices\":[{\"index\":0,\"delta\":");
        delta.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
    }

    fn close_chunk(&self, out: &mut BytesMut) {
        let end: &[u8] = if self.show_usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" };
        out.extend_from_slice(end);
    }

    /// The chunk that says why the answer ends.
    fn finish(&self, reason: &Finish, stop: Option<&str>, out: &mut BytesMut) {
        let (word, native) = finish_words(reason, self.has_refused);
        self.open_chunk(&["{}"], out);
        out.extend_from_slice(quoted(word).as_bytes());
        for (name, value) in [("native_finish_reason", native), ("stop_reason", stop)] {
            if let Some(value) = value {
                out.extend_from_slice(format!(",\"{name}\":{}", quoted(value)).as_bytes());
            }
        }
        self.close_chunk(out);
    }

    fn call(&self, call: usize, members: impl FnOnce(&mut Writer), out: &mut BytesMut) {
        let mut json = Writer::new();
        json.object(|json| {
            json.key("tool_calls").array(|json| {
                json.object(|json| {
                    json.key("index").number(call as u64);
                    members(json);
                });
            });
        });
        self.chunk(&[&json.into_text()], out);
    }

    fn thinking(&mut self, text: &str, out: &mut BytesMut) {
        self.in_thought = true;
        let mut json = Writer::new();
        json.object(|json| {
            json.key("reasoning_content").text(text);
            json.key("reasoning_details").array(|json| thought(json, self.thought, Some(text), None));
        });
        self.chunk(&[&json.into_text()], out);
    }

    /// Something of a thought that is not to be read, and is complete by it.
    fn unreadable(&mut self, detail: impl FnOnce(&mut Writer, usize), out: &mut BytesMut) {
        let mut json = Writer::new();
        json.object(|json| json.key("reasoning_details").array(|json| detail(json, self.thought)));
        self.chunk(&[&json.into_text()], out);
        self.thought += 1;
        self.in_thought = false;
    }

    fn usage_chunk(&self, out: &mut BytesMut) {
        let mut json = Writer::new();
        usage(&mut json, &self.usage.unwrap_or_default());
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(b"\"choices\":[],\"usage\":");
        out.extend_from_slice(json.into_text().as_bytes());
        out.extend_from_slice(b"}\n\n");
    }
}

impl EventWriter for ChatWriter {
    fn write(&mut self, event: &Event, out: &mut BytesMut) {
        let goes_on =
            matches!(event, Event::Thinking(_) | Event::Signature(_) | Event::Usage(_) | Event::Ping);
        if self.in_thought && !goes_on {
            self.thought += 1;
            self.in_thought = false;
        }
        match event {
            Event::Start { id, model } => {
                if let Some(id) = id.as_ref().filter(|_| self.takes_id) {
                    self.id.clone_from(id);
                }
                if let Some(model) = model {
                    self.model.clone_from(model);
                }
                self.head = head(&self.id, self.created, &self.model);
                self.chunk(&[r#"{"role":"assistant","content":"","refusal":null}"#], out);
            }
            Event::Text(text) => self.chunk(&["{\"content\":", &quoted(text), "}"], out),
            Event::Thinking(text) => self.thinking(text, out),
            Event::Signature(signature) => {
                self.unreadable(|json, index| thought(json, index, None, Some(signature)), out);
            }
            Event::Redacted(data) => self.unreadable(|json, index| redacted(json, index, data), out),
            Event::Refusal(text) => {
                self.has_refused = true;
                self.chunk(&["{\"refusal\":", &quoted(text), "}"], out);
            }
            Event::CallStart { call, id, name, signature } => {
                let function = |json: &mut Writer| function_call(json, id, name, "", signature.as_deref());
                self.call(*call, function, out);
            }
            Event::CallArguments { call, json: arguments } => {
                let function = |json: &mut Writer| {
                    json.key("function").object(|json| json.key("arguments").text(arguments));
                };
                self.call(*call, function, out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(KEEP_ALIVE),
            Event::Finish { reason, stop_sequence } => {
                self.finish(reason, stop_sequence.as_deref(), out);
            }
            Event::End => {
                if self.show_usage {
                    self.usage_chunk(out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }
}

/// The members that every chunk begins with.
fn head(id: &str, created: u64, model: &str) -> String {
    format!(
        r#"data: {{"id":{},"object":"chat.completion.chunk","created":{created},"model":{},"system_fingerprint":null,"#,
        quoted(id),
        quoted(model),
    )
}

/// An entry of `reasoning_details` for a thought that can be read.
pub(super) fn thought(json: &mut Writer, index: usize, text: Option<&str>, signature: Option<&str>) {
    json.object(|json| {
        json.key("type").text("reasoning.text");
        json.text_member("text", text);
        json.text_member("signature", signature);
        json.key("index").number(index as u64);
    });
}

/// An entry of `reasoning_details` for a thought that cannot.
pub(super) fn redacted(json: &mut Writer, index: usize, data: &str) {
    json.object(|json| {
        json.key("type").text("reasoning.encrypted");
        json.key("data").text(data);
        json.key("index").number(index as u64);
    });
}

/// The members of a call, without its index.
pub(super) fn function_call(
    json: &mut Writer,
    id: &str,
    name: &str,
    arguments: &str,
    signature: Option<&str>,
) {
    json.key("id").text(id);
    json.key("type").text("function");
    json.key("function").object(|json| {
        json.key("name").text(name);
        json.key("arguments").text(arguments);
    });
    if let Some(signature) = signature {
        thought_signature(json, signature);
    }
}

/// What a reason is called in chat, and in the upstream's words where chat's say less.
///
/// Clients know five words. Of those `length` is the one for an answer that is not complete, which is all that is
/// known of one with an unknown reason; `stop` would say that it is.
pub(super) fn finish_words(reason: &Finish, has_refused: bool) -> (&'static str, Option<&str>) {
    match reason {
        Finish::Stop | Finish::StopSequence => ("stop", None),
        Finish::Length => ("length", None),
        Finish::ContextWindow => ("length", Some("model_context_window_exceeded")),
        Finish::ToolCalls => ("tool_calls", None),
        Finish::ContentFilter => ("content_filter", None),
        // A refusal in words stands in the message's `refusal`, and ends as any message.
        Finish::Refusal if has_refused => ("stop", None),
        Finish::Refusal => ("content_filter", Some("refusal")),
        Finish::PauseTurn => ("length", Some("pause_turn")),
        Finish::Other(word) => ("length", Some(word)),
    }
}

/// Usage as OpenAI counts it: cached tokens within the prompt, reasoning within the completion.
pub(super) fn usage(json: &mut Writer, usage: &Usage) {
    json.object(|json| {
        json.key("prompt_tokens").number(usage.prompt_tokens());
        json.key("completion_tokens").number(usage.completion_tokens());
        json.key("total_tokens").number(usage.total());
        json.key("prompt_tokens_details").object(|json| {
            json.key("cached_tokens").number(usage.cache_read);
            if usage.cache_write > 0 {
                json.key("cache_write_tokens").number(usage.cache_write);
            }
        });
        json.key("completion_tokens_details")
            .object(|json| json.key("reasoning_tokens").number(usage.reasoning));
    });
}

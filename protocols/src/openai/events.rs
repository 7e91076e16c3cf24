//! A chat upstream's stream as events: the first half of its translation for a client that speaks another dialect.
//!
//! Owns     the frames' reading, and the one finish reason, kept until the stream's end: usage may come behind it.
//! Called   by [`crate::translate`]; where the client speaks chat too, [`super::ChatStream`] passes the bytes.
//! Bounded  by the frame limit and by [`CALLS_MAX`](crate::event::CALLS_MAX) calls, whose count the order of events
//!          checks.
//! Fails    with a [`StreamFault`]; events before it have been handed out.
//!
//! Of several choices the first (index 0) is read: no translated request asks for more.

use bytes::Bytes;

use crate::event::{Event, EventReader, Finish, StreamFault};
use crate::json::{self, Cursor, Kind, Span, Value};
use crate::openai::UpstreamErrorBody;
use crate::openai::chunk::ChunkFault;
use crate::openai::template::Template;
use crate::sse::{Frame, FrameReader};
use crate::usage;

mod delta;

#[cfg(test)]
mod tests;

pub(super) use delta::Delta;

/// Reads a chat stream.
#[derive(Debug)]
pub struct ChatEvents {
    frames: FrameReader,
    has_started: bool,
    delta: Delta,
    template: Template,
    reason: Option<Reason>,
    has_ended: bool,
}

/// Why the choice ended, in the upstream's words.
#[derive(Debug, Default)]
pub(super) struct Reason {
    finish: String,
    native: Option<String>,
    stop: Option<String>,
}

/// The members of a chunk that count, whatever their order.
#[derive(Debug, Default)]
struct Chunk<'a> {
    id: Option<Value<'a>>,
    model: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    groq: Option<Value<'a>>,
    is_error: bool,
}

impl ChatEvents {
    /// A reader of a stream of which nothing has come.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            frames: FrameReader::new(max_frame_bytes),
            has_started: false,
            delta: Delta::default(),
            template: Template::default(),
            reason: None,
            has_ended: false,
        }
    }

    fn read_frame(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if frame.is_late_newline() || self.has_ended {
            return Ok(());
        }
        let data = frame.data().unwrap_or_default();
        if frame.event() == Some(b"error") {
            return Err(StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data))));
        }
        match data.trim_ascii() {
            b"" => events.push(Event::Ping),
            b"[DONE]" if self.has_started => self.end(events),
            b"[DONE]" => return Err(StreamFault::Empty),
            _ => self.read_chunk(data, events)?,
        }
        Ok(())
    }

    fn read_chunk(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if let Some((literal, sort)) = self.template.text_of(data) {
            self.delta.say(literal, sort, events);
            return Ok(());
        }
        let events_before = events.len();
        let text = json::utf8(data).map_err(ChunkFault::Json)?;
        let chunk = Chunk::read(text)?;
        if chunk.is_error {
            return Err(StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data))));
        }
        if !self.has_started && chunk.is_preamble() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_started, true) {
            events.push(Event::Start { id: owned(chunk.id), model: owned(chunk.model) });
        }
        let had_reason = self.reason.is_some();
        if let Some(choices) = chunk.choices {
            self.read_choices(text, choices.span, events).map_err(ChunkFault::Json)?;
        }
        if let Some(reported) = chunk.usage.as_ref().and_then(usage::from_openai) {
            events.push(Event::Usage(reported));
        }
        if let Some(groq) = chunk.groq {
            read_groq(&groq, events).map_err(ChunkFault::Json)?;
        }
        let is_plain = events.len() == events_before + 1 && self.reason.is_some() == had_reason;
        if let Some((span, sort)) = self.delta.take_only_text().filter(|_| is_plain) {
            self.template.learn(data, span, sort);
        }
        Ok(())
    }

    /// Reads the choices that stand at `span` of a chunk.
    fn read_choices(
        &mut self,
        chunk: &str,
        span: Span,
        events: &mut Vec<Event>,
    ) -> Result<(), json::JsonFault> {
        let mut cursor = Cursor::within(chunk, span);
        if !cursor.enter_if(Kind::Array)? {
            return Ok(());
        }
        let mut position = 0;
        while cursor.next_element()? {
            let choice = cursor.value()?.span;
            self.read_choice(position, chunk, choice, events)?;
            position += 1;
        }
        Ok(())
    }

    fn read_choice(
        &mut self,
        position: u64,
        chunk: &str,
        span: Span,
        events: &mut Vec<Event>,
    ) -> Result<(), json::JsonFault> {
        let mut cursor = Cursor::within(chunk, span);
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        let (mut index, mut delta) = (position, None);
        let mut reason = Reason::default();
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "index" => index = value.as_u64().unwrap_or(position),
                "delta" => delta = Some(value),
                _ => reason.take(&key.name, &value),
            }
        }
        if index != 0 {
            return Ok(());
        }
        if let Some(delta) = delta {
            self.delta.read(chunk, delta.span, events)?;
        }
        if !reason.finish.is_empty() {
            self.reason = Some(reason);
        }
        Ok(())
    }

    /// Nothing more is said.
    fn end(&mut self, events: &mut Vec<Event>) {
        self.delta.finish(events);
        let reason = self.reason.take().unwrap_or_default();
        events.push(reason.into_finish(self.delta.has_calls(), self.delta.has_refused()));
        events.push(Event::End);
        self.has_ended = true;
    }
}

impl EventReader for ChatEvents {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        self.frames.push(chunk);
        while let Some(frame) = self.frames.next_frame()? {
            self.read_frame(&frame, events)?;
        }
        Ok(())
    }

    /// A stream whose choice has its reason is whole without `[DONE]` too.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if let Some(frame) = self.frames.finish()
            && frame.data().is_some_and(|data| !data.trim_ascii().is_empty())
        {
            let was_finished = self.reason.is_some();
            match self.read_frame(&frame, events) {
                // It was cut off; behind the reason nothing is missed by it.
                Err(StreamFault::Malformed(_)) if was_finished => {}
                Err(StreamFault::Malformed(_)) => return Err(StreamFault::Truncated),
                read => read?,
            }
        }
        if self.has_ended {
            return Ok(());
        }
        match (self.has_started, &self.reason) {
            (false, _) => return Err(StreamFault::Empty),
            (true, None) => return Err(StreamFault::Truncated),
            (true, Some(_)) => self.end(events),
        }
        Ok(())
    }
}

impl<'a> Chunk<'a> {
    fn read(text: &'a str) -> Result<Self, ChunkFault> {
        let mut cursor = Cursor::new(text);
        let found = cursor.peek()?;
        if found != Kind::Object {
            return Err(ChunkFault::NotAnObject { found });
        }
        let mut chunk = Self::default();
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "id" => chunk.id = Some(value),
                "model" => chunk.model = Some(value),
                "choices" => chunk.choices = Some(value),
                "usage" => chunk.usage = Some(value),
                "x_groq" => chunk.groq = Some(value),
                "error" => chunk.is_error |= !value.is_blank(),
                "object" => chunk.is_error |= value.raw == "\"error\"",
                _ => {}
            }
        }
        cursor.finish()?;
        Ok(chunk)
    }

    /// Neither choices nor usage: Azure says first how it has filtered the prompt, and leaves id and model empty.
    fn is_preamble(&self) -> bool {
        self.choices.is_none_or(|choices| choices.is_blank())
            && self.usage.is_none_or(|usage| usage.is_blank())
    }
}

impl Reason {
    /// Takes a member of a choice, if it says something of the end.
    pub(super) fn take(&mut self, name: &str, value: &Value<'_>) {
        match name {
            // An empty reason is none.
            "finish_reason" => self.finish = value.as_text().unwrap_or_default().into_owned(),
            // OpenRouter's, and ours: the word of whoever answered.
            "native_finish_reason" => self.native = owned(Some(*value)),
            // vLLM's, and ours: the stop text that was met; a number is a token's.
            "stop_reason" => self.stop = owned(Some(*value)),
            _ => {}
        }
    }

    pub(super) fn into_finish(self, has_calls: bool, has_refused: bool) -> Event {
        let reason = match (&*self.finish, self.native.as_deref()) {
            ("length", Some("model_context_window_exceeded")) => Finish::ContextWindow,
            ("content_filter", Some("refusal")) => Finish::Refusal,
            (_, Some("pause_turn")) => Finish::PauseTurn,
            ("stop", _) if has_refused => Finish::Refusal,
            ("stop", _) if self.stop.is_some() => Finish::StopSequence,
            // An upstream that says nothing but that it is done.
            ("stop" | "", _) => Finish::Stop,
            // Mistral's second word is for the context window.
            ("model_length", _) => Finish::ContextWindow,
            ("length", _) => Finish::Length,
            // The older word is from before several tools could be called.
            ("tool_calls" | "function_call", _) => Finish::ToolCalls,
            ("content_filter", _) => Finish::ContentFilter,
            (other, _) => Finish::Other(other.to_owned()),
        };
        Event::Finish { reason: reason.with_calls(has_calls), stop_sequence: self.stop }
    }
}

/// The usage that Groq reports in a member of its own.
fn read_groq(groq: &Value<'_>, events: &mut Vec<Event>) -> Result<(), json::JsonFault> {
    let mut cursor = Cursor::new(groq.raw);
    if cursor.enter_if(Kind::Object)? {
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if key.name == "usage"
                && let Some(reported) = usage::from_openai(&value)
            {
                events.push(Event::Usage(reported));
            }
        }
    }
    Ok(())
}

/// The text of a string that is not empty.
pub(super) fn owned(value: Option<Value<'_>>) -> Option<String> {
    value.and_then(|value| value.as_text()).filter(|text| !text.is_empty()).map(String::from)
}

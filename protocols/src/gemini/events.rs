//! A Gemini upstream's answer as events, for clients of another dialect.
//!
//! Owns     what was said so far: which calls, which finish reason, which half of a character.
//! Called   by the translation of answers: [`GenerateEvents`] for streams, [`events`] for whole ones.
//! Bounded  by the frame limit. Only the first candidate is read; a translated request asks for one.
//! Fails    with a [`StreamFault`] or [`AnswerFault`]; events before it are handed out.
//!
//! The finish reason is told at the close, since calls may come with it or behind it, and a `STOP` behind a call does
//! not undo the call. Reports of usage are cumulative. Parts that no other dialect has a place for (files that a model
//! makes, code that ran at Google) come only to those who asked for them, which a translated request cannot.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use crate::event::{AnswerFault, Event, EventReader, Finish, StreamFault};
use crate::gemini::answer::{expect_answer, text_of};
use crate::gemini::response::{FunctionCall, Part, Response, ResponseFault, Said};
use crate::json::{Halves, utf8};
use crate::openai::UpstreamErrorBody;
use crate::sse::{Frame, FrameReader};
use crate::usage::{Usage, from_gemini};

#[cfg(test)]
mod tests;

/// Reads a stream (`alt=sse`).
#[derive(Debug)]
pub struct GenerateEvents {
    reader: FrameReader,
    answer: Answer,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
}

impl GenerateEvents {
    /// A stream of which nothing has come, and whose largest event has this many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { reader: FrameReader::new(max_frame_bytes), answer: Answer::default(), phase: Phase::Open }
    }

    fn read(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        let data = frame.data().unwrap_or_default();
        if frame.event() == Some(b"error") {
            return Err(StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data))));
        }
        if !data.trim_ascii().is_empty() {
            self.answer.read(utf8(data)?, events)?;
        } else if frame.data().is_none() && !frame.is_late_newline() {
            // A comment: the upstream lives.
            events.push(Event::Ping);
        }
        Ok(())
    }

    fn read_all(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        while let Some(frame) = self.reader.next_frame()? {
            self.read(&frame, events)?;
        }
        Ok(())
    }

    fn read_end(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if let Some(frame) = self.reader.finish() {
            match self.read(&frame, events) {
                // A frame that was cut off is not JSON; behind the end nobody misses it.
                Err(StreamFault::Unreadable(_)) if self.answer.finish.is_some() => {}
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => result?,
            }
        }
        if !self.answer.has_started {
            return Err(StreamFault::Empty);
        }
        let finish = self.answer.finish.take().ok_or(StreamFault::Truncated)?;
        self.answer.end(finish, events);
        Ok(())
    }
}

impl EventReader for GenerateEvents {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        self.reader.push(chunk);
        let result = self.read_all(events);
        if result.is_err() {
            self.phase = Phase::Closed;
        }
        result
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if std::mem::replace(&mut self.phase, Phase::Closed) == Phase::Closed {
            return Ok(());
        }
        self.read_end(events)
    }
}

/// The events of a whole answer.
///
/// # Errors
/// An [`AnswerFault`] when the body is no answer.
pub fn events(body: &[u8]) -> Result<Vec<Event>, AnswerFault> {
    let mut answer = Answer::default();
    let mut events = Vec::new();
    expect_answer(answer.read(text_of(body)?, &mut events)?)?;
    let finish =
        answer.finish.take().unwrap_or_else(|| Finish::Other("FINISH_REASON_UNSPECIFIED".to_owned()));
    answer.end(finish, &mut events);
    Ok(events)
}

/// What an answer has said so far.
#[derive(Debug, Default)]
struct Answer {
    has_started: bool,
    /// The answer's id, from which those of its calls are made.
    id: String,
    calls: usize,
    /// The first reason that is no normal stop, else the normal stop.
    finish: Option<Finish>,
    usage: Option<Usage>,
    text: Halves,
    thought: Halves,
    /// Nothing was said since the last piece of a thought.
    is_behind_thought: bool,
}

impl Answer {
    fn read<'a>(&mut self, text: &'a str, events: &mut Vec<Event>) -> Result<Response<'a>, ResponseFault> {
        let mut parts = Vec::new();
        let mut reason = None;
        let response = Response::read(text, |candidate, said| match said {
            Said::Part(part) if candidate == 0 => parts.push(part),
            Said::Finish(word) if candidate == 0 => reason = Some(finish(&word)),
            _ => {}
        })?;
        self.start(&response, events);
        for part in parts {
            self.say(part, events);
        }
        if response.block_reason.is_some() {
            reason = Some(Finish::ContentFilter);
        }
        if let Some(reason) = reason
            && matches!(self.finish, None | Some(Finish::Stop))
        {
            self.finish = Some(reason);
        }
        self.report(response.usage.as_ref().and_then(from_gemini), events);
        Ok(response)
    }

    fn start(&mut self, response: &Response<'_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let id = response.id.as_deref().filter(|id| !id.is_empty()).map(str::to_owned);
        self.id = id.clone().unwrap_or_default();
        let model = response.model.as_deref().filter(|model| !model.is_empty()).map(str::to_owned);
        events.push(Event::Start { id, model });
    }

    fn report(&mut self, usage: Option<Usage>, events: &mut Vec<Event>) {
        let Some(usage) = usage.filter(|usage| self.usage != Some(*usage) && usage.total() > 0) else {
            return;
        };
        self.usage = Some(usage);
        events.push(Event::Usage(usage));
    }

    fn say(&mut self, part: Part<'_>, events: &mut Vec<Event>) {
        if let Some(call) = part.call {
            self.flush(events);
            self.call(&call, part.signature.map(String::from), events);
            return;
        }
        if let Some(literal) = part.text {
            self.speak(literal, part.is_thought, events);
        }
        // One on a text is Google's wish, not its demand, and no other dialect has a place for it.
        if let Some(signature) = part.signature
            && self.is_behind_thought
        {
            self.flush(events);
            self.is_behind_thought = false;
            events.push(Event::Signature(signature.into_owned()));
        }
    }

    fn speak(&mut self, literal: &str, is_thought: bool, events: &mut Vec<Event>) {
        if literal == "\"\"" {
            return;
        }
        // Half a character of the one sort is not completed by the other.
        let other = if is_thought { &mut self.text } else { &mut self.thought };
        if let Some(rest) = other.rest() {
            events.push(said(rest, !is_thought));
        }
        let halves = if is_thought { &mut self.thought } else { &mut self.text };
        let text = halves.join(literal);
        if !text.is_empty() {
            events.push(said(text, is_thought));
        }
        self.is_behind_thought = is_thought;
    }

    /// Says the halves of characters that are left over.
    fn flush(&mut self, events: &mut Vec<Event>) {
        events.extend(self.thought.rest().map(Event::Thinking));
        events.extend(self.text.rest().map(Event::Text));
    }

    fn call(&mut self, call: &FunctionCall<'_>, signature: Option<String>, events: &mut Vec<Event>) {
        self.is_behind_thought = false;
        let number = self.calls;
        self.calls += 1;
        let id = call.id.as_deref().map_or_else(|| self.made_id(number, call), str::to_owned);
        events.push(Event::CallStart { call: number, id, name: call.name.to_string(), signature });
        let json = call.args.unwrap_or("{}").to_owned();
        events.push(Event::CallArguments { call: number, json });
    }

    /// An id for a call that has none: the same however often the answer is read, and another in every answer.
    fn made_id(&self, number: usize, call: &FunctionCall<'_>) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.id.as_bytes());
        hasher.write_usize(number);
        hasher.write(call.raw.as_bytes());
        format!("call_{:016x}", hasher.finish())
    }

    fn end(&mut self, finish: Finish, events: &mut Vec<Event>) {
        self.flush(events);
        let reason = finish.with_calls(self.calls > 0);
        events.push(Event::Finish { reason, stop_sequence: None });
        events.push(Event::End);
    }
}

fn said(text: String, is_thought: bool) -> Event {
    if is_thought { Event::Thinking(text) } else { Event::Text(text) }
}

/// Gemini's finish reasons (`FinishReason` in its API reference).
fn finish(word: &str) -> Finish {
    match word {
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::ContentFilter,
        // Among them `MALFORMED_FUNCTION_CALL`, `UNEXPECTED_TOOL_CALL`, `LANGUAGE` and `OTHER`.
        other => Finish::Other(other.to_owned()),
    }
}

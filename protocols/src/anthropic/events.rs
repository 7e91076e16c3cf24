//! A Messages upstream's stream as events: the first half of its translation for a client that speaks another
//! dialect.
//!
//! Owns     the content blocks that are open, and the one stop reason, kept until the stream's end.
//! Called   by [`crate::translate`]; where the client speaks Messages too, [`super::MessagesStream`] passes the bytes.
//! Bounded  by the frame limit and by [`CALLS_MAX`] open blocks.
//! Fails    with a [`StreamFault`]; events before it have been handed out.
//!
//! What only this dialect has is passed over: server tools, whose use a translated request cannot ask for, and
//! citations.

use bytes::Bytes;

use super::members::said;
use super::stop_reason;
use super::stream_event::{Block, Delta, Message, StreamEvent};
use crate::event::{CALLS_MAX, Event, EventReader, Finish, OutOfOrder, StreamFault};
use crate::json::{self, Halves, Value};
use crate::openai::UpstreamErrorBody;
use crate::sse::{Frame, FrameReader};
use crate::usage::AnthropicReport;

#[cfg(test)]
mod tests;

/// Reads a Messages stream.
#[derive(Debug)]
pub struct MessagesEvents {
    frames: FrameReader,
    answer: Answer,
    has_data: bool,
    has_ended: bool,
}

impl MessagesEvents {
    /// A reader of a stream of which nothing has come.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            frames: FrameReader::new(max_frame_bytes),
            answer: Answer::default(),
            has_data: false,
            has_ended: false,
        }
    }

    fn read(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if frame.is_late_newline() || self.has_ended {
            return Ok(());
        }
        let data = frame.data().unwrap_or_default();
        let upstream = || StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data)));
        if frame.event() == Some(b"error") {
            return Err(upstream());
        }
        if data.trim_ascii().is_empty() {
            events.push(Event::Ping);
            return Ok(());
        }
        self.has_data = true;
        match StreamEvent::read(frame.event(), json::utf8(data)?)? {
            StreamEvent::MessageStart(message) => self.answer.start(&message, events),
            StreamEvent::BlockStart { index, block } => self.answer.open(index, &block, events)?,
            StreamEvent::BlockDelta { index, delta } => self.answer.extend(index, &delta, events)?,
            StreamEvent::BlockStop { index } => self.answer.close(index, events),
            StreamEvent::MessageDelta(message) => self.answer.last_members(&message, events),
            StreamEvent::MessageStop => {
                self.answer.end(events);
                self.has_ended = true;
            }
            StreamEvent::Ping => events.push(Event::Ping),
            StreamEvent::Error => return Err(upstream()),
            StreamEvent::Unknown => {}
        }
        Ok(())
    }
}

impl EventReader for MessagesEvents {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if self.has_ended {
            return Ok(());
        }
        self.frames.push(chunk);
        while let Some(frame) = self.frames.next_frame()? {
            self.read(&frame, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if self.has_ended {
            return Ok(());
        }
        let had_reason = self.answer.reason.is_some();
        if let Some(frame) = self.frames.finish() {
            match self.read(&frame, events) {
                Err(StreamFault::Unreadable(_)) if had_reason => {}
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => result?,
            }
        }
        match (self.has_ended, self.has_data, self.answer.reason.is_some()) {
            (true, ..) => {}
            (_, false, _) => return Err(StreamFault::Empty),
            (_, _, false) => return Err(StreamFault::Truncated),
            (_, _, true) => {
                self.answer.end(events);
                self.has_ended = true;
            }
        }
        Ok(())
    }
}

/// What is known of the answer, streamed or whole.
#[derive(Debug, Default)]
pub(super) struct Answer {
    report: AnthropicReport,
    /// Blocks that have begun and not ended; as the API streams them, one.
    open: Vec<(u64, Open)>,
    calls: usize,
    reason: Option<Finish>,
    stop_sequence: Option<String>,
    refusal: Option<String>,
}

/// A block that may get more.
#[derive(Debug)]
enum Open {
    Text(Halves),
    Thinking(Halves, Option<String>),
    Call(OpenCall),
    Other,
}

#[derive(Debug)]
struct OpenCall {
    call: usize,
    /// The arguments that came with the block's start, which count when no others come.
    input: Option<String>,
    has_arguments: bool,
    halves: Halves,
}

impl Answer {
    pub(super) fn start(&mut self, message: &Message<'_>, events: &mut Vec<Event>) {
        let text = |value: Option<Value<'_>>| said(value).map(String::from);
        events.push(Event::Start { id: text(message.id), model: text(message.model) });
        self.report(message, events);
    }

    fn report(&mut self, message: &Message<'_>, events: &mut Vec<Event>) {
        if let Some(usage) = &message.usage {
            self.report.take(usage);
            events.extend(self.report.usage().map(Event::Usage));
        }
    }

    /// A block begins, with what it holds already.
    pub(super) fn open(
        &mut self,
        index: u64,
        block: &Block<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), OutOfOrder> {
        // One that is never closed ends where its number is given anew.
        self.close(index, events);
        if self.open.len() == CALLS_MAX {
            return Err(OutOfOrder::Call);
        }
        let open = match block {
            Block::Text(text) => {
                let mut halves = Halves::default();
                piece(&mut halves, text.as_ref(), Event::Text, events);
                Open::Text(halves)
            }
            Block::Thinking { text, signature } => {
                let mut halves = Halves::default();
                piece(&mut halves, text.as_ref(), Event::Thinking, events);
                Open::Thinking(halves, said(*signature).map(String::from))
            }
            Block::Redacted(data) => {
                events.extend(data.as_text().map(|data| Event::Redacted(data.into_owned())));
                Open::Other
            }
            Block::ToolUse { id, name, input } => Open::Call(self.call(*id, *name, *input, events)),
            Block::Other => Open::Other,
        };
        self.open.push((index, open));
        Ok(())
    }

    fn call(
        &mut self,
        id: Option<Value<'_>>,
        name: Option<Value<'_>>,
        input: Option<Value<'_>>,
        events: &mut Vec<Event>,
    ) -> OpenCall {
        let call = self.calls;
        self.calls += 1;
        let text = |value: Option<Value<'_>>| said(value).map(String::from).unwrap_or_default();
        events.push(Event::CallStart { call, id: text(id), name: text(name), signature: None });
        let input = input.filter(|input| !input.is_blank()).map(|input| input.raw.to_owned());
        OpenCall { call, input, has_arguments: false, halves: Halves::default() }
    }

    fn extend(&mut self, index: u64, delta: &Delta<'_>, events: &mut Vec<Event>) -> Result<(), OutOfOrder> {
        if self.open.iter().all(|(place, _)| *place != index) {
            // Some servers leave out the start of a block of text.
            match delta {
                Delta::Text(_) => self.open.push((index, Open::Text(Halves::default()))),
                Delta::Thinking(_) => self.open.push((index, Open::Thinking(Halves::default(), None))),
                Delta::Input(_) => return Err(OutOfOrder::Arguments),
                Delta::Signature(_) | Delta::Other => {}
            }
        }
        let open = self.open.iter_mut().find(|(place, _)| *place == index).map(|(_, open)| open);
        match (delta, open) {
            (Delta::Text(text), Some(Open::Text(halves))) => piece(halves, Some(text), Event::Text, events),
            (Delta::Thinking(text), Some(Open::Thinking(halves, _))) => {
                piece(halves, Some(text), Event::Thinking, events);
            }
            (Delta::Signature(given), Some(Open::Thinking(_, signature))) => {
                *signature = given.as_text().map(String::from);
            }
            (Delta::Input(json), Some(Open::Call(open))) => {
                let call = open.call;
                let before = events.len();
                piece(&mut open.halves, Some(json), |json| Event::CallArguments { call, json }, events);
                open.has_arguments |= events.len() > before;
            }
            // The input of a server tool, a citation, or a delta of another kind than its block.
            _ => {}
        }
        Ok(())
    }

    /// A block ends: what was kept for its end is said.
    pub(super) fn close(&mut self, index: u64, events: &mut Vec<Event>) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == index) else { return };
        match self.open.remove(place).1 {
            Open::Text(mut halves) => events.extend(halves.rest().map(Event::Text)),
            Open::Thinking(mut halves, signature) => {
                events.extend(halves.rest().map(Event::Thinking));
                events.extend(signature.filter(|signature| !signature.is_empty()).map(Event::Signature));
            }
            Open::Call(OpenCall { call, input, has_arguments, mut halves }) => {
                let rest = halves.rest();
                // A call without arguments is one with an empty object: an empty text is no JSON.
                let missing =
                    (!has_arguments && rest.is_none()).then(|| input.unwrap_or_else(|| String::from("{}")));
                let arguments = rest.or(missing).map(|json| Event::CallArguments { call, json });
                events.extend(arguments);
            }
            Open::Other => {}
        }
    }

    /// Takes the members that come last: usage, and why it ends.
    pub(super) fn last_members(&mut self, message: &Message<'_>, events: &mut Vec<Event>) {
        self.report(message, events);
        // An empty reason is none.
        if let Some(word) = said(message.stop_reason) {
            self.reason = Some(stop_reason::read(&word));
        }
        if let Some(met) = message.stop_sequence.and_then(|met| met.as_text()) {
            self.stop_sequence = Some(met.into_owned());
        }
        if let Some(words) = message.refusal() {
            self.refusal = Some(words.into_owned());
        }
    }

    /// The answer is whole. Without a reason it is a normal end, for its terminal event came.
    pub(super) fn end(&mut self, events: &mut Vec<Event>) {
        while let Some((index, _)) = self.open.first() {
            self.close(*index, events);
        }
        events.extend(self.refusal.take().map(Event::Refusal));
        let reason = self.reason.take().unwrap_or(Finish::Stop).with_calls(self.calls > 0);
        events.push(Event::Finish { reason, stop_sequence: self.stop_sequence.take() });
        events.push(Event::End);
    }
}

/// The next piece of a text that grows, if it says anything.
fn piece(
    halves: &mut Halves,
    literal: Option<&Value<'_>>,
    event: impl FnOnce(String) -> Event,
    events: &mut Vec<Event>,
) {
    let Some(literal) = literal.filter(|literal| literal.kind == json::Kind::String) else { return };
    let text = halves.join(literal.raw);
    if !text.is_empty() {
        events.push(event(text));
    }
}

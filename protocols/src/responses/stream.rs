//! A stream of the Responses API on its way from upstream to client: watched, otherwise untouched.
//!
//! Owns     whether the stream has ended well, and what it said of itself: its id, its usage.
//! Called   by the relay, through [`AnswerStream`].
//! Bounded  by the frame limit; held at most: one unfinished event. Events that pass side by side leave as one slice
//!          of the upstream's buffer.
//! Fails    with a [`StreamFault`]: an `error` event, `response.failed`, data that is no JSON, an end before the
//!          terminal event. What was good before it is in `out`, what comes after is dropped.

use std::collections::VecDeque;

use bytes::Bytes;

use super::frame::{self, Act, Event, Received};
use super::output;
use crate::estimate::Estimator;
use crate::event::AnswerStream;
use crate::json::{JsonFault, Kind, decoded};
use crate::openai::{Outgoing, StreamFault};
use crate::sse::{Frame, FrameReader};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// The relay's view of one stream.
#[derive(Debug)]
pub struct ResponsesStream {
    reader: FrameReader,
    has_data: bool,
    /// The terminal event came.
    has_ended: bool,
    /// What comes is dropped unread.
    is_deaf: bool,
    response_id: Option<String>,
    /// The number of the event that would come next.
    sequence: u64,
    contents: u64,
    usage: Option<Usage>,
    output: Estimator,
    reasoning: Estimator,
}

impl ResponsesStream {
    /// A stream of which nothing has come, and whose events have at most this many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            reader: FrameReader::new(max_frame_bytes),
            has_data: false,
            has_ended: false,
            is_deaf: false,
            response_id: None,
            sequence: 0,
            contents: 0,
            usage: None,
            output: Estimator::default(),
            reasoning: Estimator::default(),
        }
    }

    fn relay_frames(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        while let Some(frame) = self.reader.next_frame()? {
            match self.has_ended {
                false => self.judge(&frame)?,
                true if belongs_to_end(&frame) => {}
                true => {
                    self.is_deaf = true;
                    return Ok(());
                }
            }
            outgoing.pass(frame.raw(), frame.in_chunk());
        }
        Ok(())
    }

    fn relay_end(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        if self.has_ended {
            return Ok(());
        }
        if let Some(frame) = self.reader.finish() {
            match self.judge(&frame) {
                // An event that was cut off.
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => result?,
            }
            outgoing.pass(frame.raw(), frame.in_chunk());
        }
        match (self.has_ended, self.has_data) {
            (true, _) => Ok(()),
            (false, true) => Err(StreamFault::Truncated),
            (false, false) => Err(StreamFault::Empty),
        }
    }

    fn judge(&mut self, frame: &Frame) -> Result<(), StreamFault> {
        match frame::received(frame)? {
            Received::Nothing => {}
            Received::Done => self.has_data = true,
            Received::Event(event) => {
                self.has_data = true;
                self.take(&event)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event<'_>) -> Result<(), JsonFault> {
        self.sequence = event.sequence_number.map_or(self.sequence, |number| number.saturating_add(1));
        match event.act() {
            Act::Output => self.count(event, Act::Output),
            Act::Reasoning => self.count(event, Act::Reasoning),
            Act::End => {
                self.read_response(event)?;
                self.has_ended = true;
            }
            Act::Other if self.response_id.is_none() => self.read_response(event)?,
            // The first sign of a call; arguments may be a long time coming, or never.
            Act::Other if event.kind == "response.output_item.added" => {
                let item = event.item()?;
                self.contents += u64::from(item.is_some_and(|item| item.is_act()));
            }
            Act::Other => {}
        }
        Ok(())
    }

    fn count(&mut self, event: &Event<'_>, act: Act) {
        let Some(delta) = event.delta.filter(|delta| !delta.is_blank()) else {
            // A picture comes under another name.
            self.contents += u64::from(event.delta.is_none());
            return;
        };
        self.contents += 1;
        let estimator = if act == Act::Reasoning { &mut self.reasoning } else { &mut self.output };
        // Sound comes as text too, in base64, and is no text.
        if delta.kind == Kind::String && event.kind != "response.audio.delta" {
            estimator.push(&decoded(delta.raw));
        }
    }

    fn read_response(&mut self, event: &Event<'_>) -> Result<(), JsonFault> {
        if let Some(response) = event.response()? {
            self.response_id = response.id.or(self.response_id.take());
            self.usage = response.usage.or(self.usage);
        }
        Ok(())
    }

    /// A fault is the end, unless the end was there before it.
    fn conclude(&mut self, result: Result<(), StreamFault>) -> Result<(), StreamFault> {
        self.is_deaf |= result.is_err();
        if self.has_ended { Ok(()) } else { result }
    }
}

/// Whether a frame behind the terminal event still goes with it: the late half of its line end, or the `[DONE]` that
/// some compatible servers send.
fn belongs_to_end(frame: &Frame) -> bool {
    frame.is_late_newline() || matches!(frame::received(frame), Ok(Received::Done))
}

impl AnswerStream for ResponsesStream {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.is_deaf {
            return Ok(());
        }
        self.reader.push(chunk.clone());
        let mut outgoing = Outgoing::new(chunk, out);
        let result = self.relay_frames(&mut outgoing);
        outgoing.flush();
        self.conclude(result)
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.is_deaf {
            return Ok(());
        }
        let mut outgoing = Outgoing::new(Bytes::new(), out);
        let result = self.relay_end(&mut outgoing);
        outgoing.flush();
        self.conclude(result)
    }

    fn contents(&self) -> u64 {
        self.contents
    }

    fn is_terminal(&self) -> bool {
        self.has_ended
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The first event brings it.
    fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        output::error_event(&event, self.sequence).unwrap_or(event)
    }

    fn counted(&self) -> Usage {
        Usage { output: self.output.tokens(), reasoning: self.reasoning.tokens(), ..Usage::default() }
    }
}

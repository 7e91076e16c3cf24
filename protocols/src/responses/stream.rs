//! A stream of the Responses API on its way from upstream to client: watched, otherwise untouched.
//!
//! Owns     whether the stream has ended well, and what it said of itself: its id, its usage.
//! Called   by [`Watched`], event by event.
//! Bounded  by the event; nothing of it is kept.
//! Fails    with a [`StreamFault`]: an `error` event, `response.failed`, data that is no JSON.

use bytes::Bytes;

use super::frame::{self, Act, Event, Received};
use super::output;
use crate::estimate::Estimator;
use crate::json::{JsonFault, Kind, decoded};
use crate::openai::StreamFault;
use crate::sse::Frame;
use crate::usage::Usage;
use crate::watched::{Watched, Watcher};

#[cfg(test)]
mod tests;

/// The relay's view of one stream.
pub type ResponsesStream = Watched<ResponseWatcher>;

/// What one stream has said so far.
#[derive(Debug, Default)]
pub struct ResponseWatcher {
    /// The terminal event came.
    has_ended: bool,
    response_id: Option<String>,
    item_ids: Vec<String>,
    /// The number of the event that would come next.
    sequence: u64,
    contents: u64,
    usage: Option<Usage>,
    output: Estimator,
    reasoning: Estimator,
}

impl ResponseWatcher {
    fn take_event(&mut self, event: &Event<'_>) -> Result<(), JsonFault> {
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
            self.item_ids = response.item_ids();
            self.response_id = response.id.or(self.response_id.take());
            self.usage = response.usage.or(self.usage);
        }
        Ok(())
    }
}

impl Watcher for ResponseWatcher {
    fn take(&mut self, frame: &Frame) -> Result<bool, StreamFault> {
        match frame::received(frame)? {
            Received::Nothing => return Ok(false),
            Received::Done => {}
            Received::Event(event) => self.take_event(&event)?,
        }
        Ok(true)
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn is_done_mark(frame: &Frame) -> bool {
        matches!(frame::received(frame), Ok(Received::Done))
    }

    fn contents(&self) -> u64 {
        self.contents
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn counted(&self) -> Usage {
        Usage { output: self.output.tokens(), reasoning: self.reasoning.tokens(), ..Usage::default() }
    }

    /// The first event brings it.
    fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// The terminal event brings them.
    fn item_ids(&self) -> &[String] {
        &self.item_ids
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        output::error_event(&event, self.sequence).unwrap_or(event)
    }
}

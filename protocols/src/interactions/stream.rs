//! A streamed interaction on its way from upstream to client: watched, untouched.
//!
//! Owns     whether it has ended well, and what it said of itself: its id, its usage.
//! Called   by [`Watched`], event by event.
//! Bounded  by the event; nothing of it is kept.
//! Fails    with a [`StreamFault`]: an `error` event, or data that is no JSON.

use super::frame::{self, Event, Received};
use super::step;
use crate::event::{StreamFault, Tally};
use crate::json::JsonFault;
use crate::sse::Frame;
use crate::usage::Usage;
use crate::watched::{Watched, Watcher};

#[cfg(test)]
mod tests;

/// The relay's view of one stream.
pub type InteractionStream = Watched<InteractionWatcher>;

/// What one stream has said so far.
#[derive(Debug, Default)]
pub struct InteractionWatcher {
    /// The terminal event came.
    has_ended: bool,
    id: Option<String>,
    usage: Option<Usage>,
    tally: Tally,
}

impl InteractionWatcher {
    fn take_event(&mut self, event: &Event<'_>) -> Result<(), JsonFault> {
        if let Some(step) = &event.step {
            step::take(step, &mut self.tally)?;
        }
        if let Some(interaction) = event.interaction()? {
            self.id = interaction.id.or(self.id.take());
            self.usage = interaction.usage.or(self.usage);
        }
        if event.is_end() {
            // What stands beside the interaction counts only where that says nothing, and only when it is final.
            self.usage = self.usage.or(event.usage);
            self.has_ended = true;
        }
        Ok(())
    }
}

impl Watcher for InteractionWatcher {
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
        self.tally.contents()
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn counted(&self) -> Usage {
        self.tally.counted()
    }

    /// The first event brings it.
    fn response_id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

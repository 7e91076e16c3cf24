//! What lies between every reader and every writer of answers: one check of the order, and the same few repairs.
//!
//! Owns     the order, the counts, and which calls have arguments.
//! Called   by [`super::Translated`] for each event of a stream, by [`super::answer`] for those of a whole answer.
//! Bounded  by [`CALLS_MAX`](crate::event::CALLS_MAX): a byte for each call.
//! Fails    with [`OutOfOrder`]; nothing of such an event is passed on.
//!
//! The repairs, so that no writer has to know of them: a call without arguments gets `{}`, since an empty text is no
//! JSON; an answer that calls tools ends for that reason; an answer of which no usage was reported shows what was
//! counted, since some clients fail without.

use crate::event::{Event, Finish, Order, OutOfOrder, Tally};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// One answer on its way.
#[derive(Debug, Default)]
pub(super) struct Passage {
    order: Order,
    tally: Tally,
    /// For each call whether it has arguments.
    has_arguments: Vec<bool>,
}

impl Passage {
    /// Takes the next event and hands out what is to be written for it.
    pub(super) fn pass(&mut self, event: Event, write: &mut dyn FnMut(&Event)) -> Result<(), OutOfOrder> {
        self.order.admit(&event)?;
        match event {
            Event::CallStart { .. } => {
                self.has_arguments.push(false);
                self.hand_out(&event, write);
            }
            Event::CallArguments { call, ref json } => {
                if let Some(has_arguments) = self.has_arguments.get_mut(call) {
                    *has_arguments |= !json.trim().is_empty();
                }
                self.hand_out(&event, write);
            }
            Event::Finish { reason, stop_sequence } => {
                self.complete_arguments(write);
                let reason = reason.with_calls(!self.has_arguments.is_empty());
                let stop_sequence = stop_sequence.filter(|_| reason == Finish::StopSequence);
                self.hand_out(&Event::Finish { reason, stop_sequence }, write);
            }
            Event::Usage(usage) => {
                // One of zeros says nothing behind a real one.
                if usage.total() > 0 || self.tally.usage().is_none() {
                    self.hand_out(&event, write);
                }
            }
            Event::End => {
                if self.tally.usage().is_none() {
                    write(&Event::Usage(self.tally.counted()));
                }
                write(&event);
            }
            Event::Start { .. }
            | Event::Text(_)
            | Event::Thinking(_)
            | Event::Signature(_)
            | Event::Redacted(_)
            | Event::Refusal(_)
            | Event::Ping => self.hand_out(&event, write),
        }
        Ok(())
    }

    fn hand_out(&mut self, event: &Event, write: &mut dyn FnMut(&Event)) {
        self.tally.take(event);
        write(event);
    }

    fn complete_arguments(&mut self, write: &mut dyn FnMut(&Event)) {
        let has_arguments = std::mem::take(&mut self.has_arguments);
        for (call, has) in has_arguments.iter().enumerate() {
            if !has {
                self.hand_out(&Event::CallArguments { call, json: "{}".to_owned() }, write);
            }
        }
        self.has_arguments = has_arguments;
    }

    /// Whether the answer is whole.
    pub(super) fn has_ended(&self) -> bool {
        self.order.has_ended()
    }

    pub(super) fn contents(&self) -> u64 {
        self.tally.contents()
    }

    /// Another upstream goes on: what the one before it reported is not of the whole answer.
    pub(super) fn forget_usage(&mut self) {
        self.tally.forget_usage();
    }

    /// What the upstream reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.tally.usage()
    }

    pub(super) fn counted(&self) -> Usage {
        self.tally.counted()
    }
}

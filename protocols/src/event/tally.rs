//! What an answer amounts to: pieces, tokens counted from its text, and what the upstream reported.
//!
//! Owns     the counts.
//! Called   with each event of an answer, whether it comes as a stream or whole.
//! Bounded  by two estimators of a few bytes.
//! Fails    never.

use crate::estimate::Estimator;
use crate::event::Event;
use crate::usage::Usage;

/// Counts one answer's events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    contents: u64,
    output: Estimator,
    reasoning: Estimator,
    usage: Option<Usage>,
}

impl Tally {
    /// Takes the next event.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Text(text) | Event::Refusal(text) | Event::CallArguments { json: text, .. } => {
                self.contents += u64::from(!text.is_empty());
                self.output.push(text);
            }
            Event::CallStart { name, .. } => {
                self.contents += 1;
                self.output.push(name);
            }
            Event::Thinking(text) => {
                self.contents += u64::from(!text.is_empty());
                self.reasoning.push(text);
            }
            Event::Redacted(_) => self.contents += 1,
            // Running reports grow; one of zeros says nothing behind a real one.
            Event::Usage(usage) if usage.total() > 0 || self.usage.is_none() => self.usage = Some(*usage),
            Event::Usage(_)
            | Event::Start { .. }
            | Event::Signature(_)
            | Event::Ping
            | Event::Finish { .. }
            | Event::End => {}
        }
    }

    /// How many pieces of content there were.
    pub fn contents(&self) -> u64 {
        self.contents
    }

    /// What the upstream reported last.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Forgets what was reported: another upstream goes on.
    pub fn forget_usage(&mut self) {
        self.usage = None;
    }

    /// The tokens counted from the text: `output` and `reasoning` only.
    pub fn counted(&self) -> Usage {
        Usage { output: self.output.tokens(), reasoning: self.reasoning.tokens(), ..Usage::default() }
    }
}

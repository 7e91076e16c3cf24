//! What an answer is made of, in no vendor's words: the middle of every translation of answers.
//!
//! Owns     the vocabulary and [`Order`], the one check of what may follow what. A stream and a whole answer are
//!          the same events, so that both are translated alike.
//! Called   by the readers of upstreams' answers, which make events, and the writers of clients' answers,
//!          which take them.
//! Bounded  by [`CALLS_MAX`]; texts by the frame they came in.
//! Fails    with [`OutOfOrder`] for a sequence that no client could read.
//!
//! ```text
//! Start (Thinking | Signature | Redacted | Text | Refusal | CallStart | CallArguments | Usage | Ping)* Finish (Usage | Ping)* End
//! ```

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};

use crate::usage::Usage;

pub use crate::openai::{AnswerFault, StreamFault};
pub use crate::translate::Mendable;
pub use replayed::Replayed;
pub use tally::Tally;

mod replayed;
mod tally;

#[cfg(test)]
mod tests;

/// Tool calls in one answer. Agents open some 20.
pub const CALLS_MAX: usize = 1024;

/// One thing that an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The upstream's id of it.
        id: Option<String>,
        /// The model that answers, by its upstream's name.
        model: Option<String>,
    },
    /// More of the visible text.
    Text(String),
    /// More of a thought.
    Thinking(String),
    /// The signature over the thought just before.
    Signature(String),
    /// A thought that only its upstream can read.
    Redacted(String),
    /// More of the model's words of refusal.
    Refusal(String),
    /// A tool call begins. Calls count from 0 without a gap.
    CallStart {
        /// Which call.
        call: usize,
        /// Its id.
        id: String,
        /// The tool's name.
        name: String,
        /// Gemini's `thoughtSignature` on it.
        signature: Option<String>,
    },
    /// More of a call's arguments, as JSON text. Calls may take turns.
    CallArguments {
        /// Which call.
        call: usize,
        /// The next piece.
        json: String,
    },
    /// What was used until here; the latest counts.
    Usage(Usage),
    /// Nothing is said, but the upstream lives.
    Ping,
    /// Nothing more is said, for this reason.
    Finish {
        /// Why.
        reason: Finish,
        /// The stop text that was met.
        stop_sequence: Option<String>,
    },
    /// The answer is whole: the upstream's terminal event came.
    End,
}

/// Why an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is finished.
    Stop,
    /// A stop text was met.
    StopSequence,
    /// The cap on the output was met.
    Length,
    /// The context window is full.
    ContextWindow,
    /// Tools are to be called.
    ToolCalls,
    /// A filter stopped it.
    ContentFilter,
    /// The model refuses.
    Refusal,
    /// The upstream paused a long turn; ask on with what there is.
    PauseTurn,
    /// A word that this version does not know.
    Other(String),
}

impl Finish {
    /// The one terminal reason of an answer that called tools: a normal stop is a tool call then, whatever the
    /// upstream said.
    #[must_use]
    pub fn with_calls(self, has_calls: bool) -> Self {
        match self {
            Self::Stop | Self::StopSequence if has_calls => Self::ToolCalls,
            other => other,
        }
    }
}

/// Makes events of an upstream's stream.
pub trait EventReader: Debug + Send + Sync {
    /// Takes the upstream's next bytes, cut anywhere.
    ///
    /// # Errors
    /// When the stream cannot go on; events before that are in `events`.
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), StreamFault>;

    /// The upstream has closed. A stream that had its terminal event, or needs none, gets its [`Event::End`] here at
    /// the latest.
    ///
    /// # Errors
    /// [`StreamFault::Truncated`] or [`StreamFault::Empty`] when this is no end.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault>;
}

/// Makes a client's stream of events.
pub trait EventWriter: Debug + Send + Sync {
    /// Writes what the client gets for an event, which may be nothing until a later one.
    fn write(&mut self, event: &Event, out: &mut BytesMut);

    /// The error that ends the stream, as this dialect has it; see [`AnswerStream::closing_error`].
    fn closing_error(&mut self, event: Bytes) -> Bytes {
        event
    }
}

/// A stream on its way from upstream to client, whatever the two speak: what the relay has of it.
pub trait AnswerStream: Debug + Send + Sync {
    /// Takes the upstream's next bytes and puts what the client gets into `out`. Behind the end everything is
    /// dropped.
    ///
    /// # Errors
    /// A [`StreamFault`], once; what was good before it is in `out`.
    fn push(&mut self, chunk: Bytes, out: &mut std::collections::VecDeque<Bytes>) -> Result<(), StreamFault>;

    /// The upstream has closed.
    ///
    /// # Errors
    /// [`StreamFault::Empty`] or [`StreamFault::Truncated`] when this is no end; a fault of the last event.
    fn finish(&mut self, out: &mut std::collections::VecDeque<Bytes>) -> Result<(), StreamFault>;

    /// How many pieces of content (text, thought, refusal, tool call, sound) have been relayed.
    fn contents(&self) -> u64;

    /// Whether the stream has ended well.
    fn is_terminal(&self) -> bool;

    /// What the upstream reported.
    fn usage(&self) -> Option<Usage>;

    /// The answer's tokens counted from its text so far (`output` and `reasoning` only).
    fn counted(&self) -> Usage;

    /// The id under which the upstream keeps the answer for later calls, once it has said so; `None` where it keeps
    /// none.
    fn response_id(&self) -> Option<&str> {
        None
    }

    /// The ids under which the upstream keeps the parts of a whole answer, for requests that refer to them.
    fn item_ids(&self) -> &[String] {
        &[]
    }

    /// The error that ends the stream, as this stream's client reads it, made of the server-sent event that says it.
    fn closing_error(&mut self, event: Bytes) -> Bytes {
        event
    }

    /// The stream as one that another upstream can go on with, if it is one.
    fn mendable(&mut self) -> Option<&mut Mendable> {
        None
    }
}

/// What a whole answer says of itself, whatever its dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeAnswer {
    /// What the upstream reported.
    pub usage: Option<Usage>,
    /// The answer's tokens counted from its text (`output` and `reasoning` only).
    pub counted: Usage,
    /// The model that answered, by its upstream's name.
    pub model: Option<String>,
}

/// A sequence that no client could read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfOrder {
    /// Something came before the start, or a second start.
    #[error("the answer does not begin once")]
    Start,
    /// A call's number leaves a gap or comes twice, or there are more than [`CALLS_MAX`].
    #[error("the answer's tool calls are not numbered")]
    Call,
    /// Arguments of a call that has not begun.
    #[error("the answer has arguments of no tool call")]
    Arguments,
    /// Content behind the finish, or a second finish.
    #[error("the answer goes on behind its end")]
    Finish,
    /// The end without a finish.
    #[error("the answer ends without a reason")]
    End,
}

/// Checks the order of one answer's events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    has_started: bool,
    calls: usize,
    has_finished: bool,
    has_ended: bool,
}

impl Order {
    /// Whether this event may come next; if so, it has.
    ///
    /// # Errors
    /// [`OutOfOrder`] says why not.
    pub fn admit(&mut self, event: &Event) -> Result<(), OutOfOrder> {
        let is_content = !matches!(event, Event::Usage(_) | Event::Ping | Event::End);
        if matches!(event, Event::Start { .. }) == self.has_started && !matches!(event, Event::Ping) {
            return Err(OutOfOrder::Start);
        }
        if self.has_ended || (self.has_finished && is_content) {
            return Err(OutOfOrder::Finish);
        }
        match event {
            Event::Start { .. } => self.has_started = true,
            Event::CallStart { call, .. } => {
                if *call != self.calls || self.calls == CALLS_MAX {
                    return Err(OutOfOrder::Call);
                }
                self.calls += 1;
            }
            Event::CallArguments { call, .. } if *call >= self.calls => return Err(OutOfOrder::Arguments),
            Event::Finish { .. } => self.has_finished = true,
            Event::End if !self.has_finished => return Err(OutOfOrder::End),
            Event::End => self.has_ended = true,
            _ => {}
        }
        Ok(())
    }

    /// Whether the answer is whole.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }
}

//! A kept answer that its upstream tells again as a stream: no token of it counts a second time.
//!
//! Owns     nothing but the stream that is watched.
//! Called   by the relay, as any stream.
//! Bounded  by that stream.
//! Fails    as that stream does.
//!
//! Its end tells what an answer came to that was made in the background.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use gateway_limits::Usage;
use gateway_protocols::event::{AnswerStream, Later, StreamFault, WholeAnswer};

use crate::background::Background;

/// A stream of which no token counts.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) stream: Box<dyn AnswerStream>,
    pub(super) background: Arc<Background>,
    /// Of the answer.
    pub(super) id: String,
}

impl Replayed {
    /// Settles before the relay hands out the end.
    fn note_end(&self) {
        if self.stream.is_terminal() {
            let (usage, counted) = (self.stream.usage(), self.stream.counted());
            let answer = WholeAnswer { usage, counted, ..WholeAnswer::default() };
            self.background.told(&self.id, &Later::Ended(answer));
        }
    }
}

impl AnswerStream for Replayed {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        let result = self.stream.push(chunk, out);
        self.note_end();
        result
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        let result = self.stream.finish(out);
        self.note_end();
        result
    }

    fn contents(&self) -> u64 {
        self.stream.contents()
    }

    fn is_terminal(&self) -> bool {
        self.stream.is_terminal()
    }

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn counted(&self) -> Usage {
        Usage::default()
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        self.stream.closing_error(event)
    }
}

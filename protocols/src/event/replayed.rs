//! A stream that its upstream tells again: it was paid for when it was made.
//!
//! Owns     nothing but the stream that is watched.
//! Called   by the relay, for answers that an upstream keeps.
//! Bounded  by that stream.
//! Fails    as that stream does.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::{AnswerStream, StreamFault};
use crate::usage::Usage;

/// A stream of which no token counts.
#[derive(Debug)]
pub struct Replayed<S>(pub S);

impl<S: AnswerStream> AnswerStream for Replayed<S> {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        self.0.push(chunk, out)
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        self.0.finish(out)
    }

    fn contents(&self) -> u64 {
        self.0.contents()
    }

    fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn counted(&self) -> Usage {
        Usage::default()
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        self.0.closing_error(event)
    }
}

//! A completions stream: a chat stream whose choices have a text of their own in place of a delta.
//!
//! Owns     nothing that [`ChatStream`] does not: finish reasons, `[DONE]`, the usage chunk and errors are the same.
//! Called   by the relay, through [`AnswerStream`].
//! Bounded  as a chat stream is.
//! Fails    with a [`StreamFault`].

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::AnswerStream;
use crate::openai::{ChatStream, StreamFault, StreamOptions};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// The relay's view of one stream.
#[derive(Debug)]
pub struct CompletionsStream(ChatStream);

impl CompletionsStream {
    /// A stream of which nothing has come. `show_usage` says whether the client asked for the usage chunk.
    pub fn new(show_usage: bool, max_frame_bytes: usize) -> Self {
        Self(ChatStream::new(StreamOptions { show_usage, max_frame_bytes }))
    }
}

impl AnswerStream for CompletionsStream {
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
        self.0.usage().copied()
    }

    fn counted(&self) -> Usage {
        self.0.counted()
    }
}

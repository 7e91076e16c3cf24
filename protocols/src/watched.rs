//! A stream of server-sent events that passes untouched, watched event by event.
//!
//! Owns     the cutting into events, and what leaves: whole events up to the terminal one, and nothing behind it but
//!          what belongs to it.
//! Called   by the relay, through [`AnswerStream`]; a dialect adds its [`Watcher`].
//! Bounded  by the frame limit; held at most: one unfinished event. Events that pass side by side leave as one slice
//!          of the upstream's buffer.
//! Fails    with a [`StreamFault`]: what the watcher finds, or an end before the terminal event. What was good before
//!          it is in `out`, what comes after is dropped.

use std::collections::VecDeque;
use std::fmt::Debug;

use bytes::Bytes;

use crate::event::{AnswerStream, StreamFault};
use crate::openai::Outgoing;
use crate::sse::{Frame, FrameReader};
use crate::usage::Usage;

/// What a dialect knows of its stream.
pub trait Watcher: Debug + Send + Sync {
    /// Reads the next event. Whether it was one, and not a comment.
    ///
    /// # Errors
    /// An error event, or data that is no event.
    fn take(&mut self, frame: &Frame) -> Result<bool, StreamFault>;

    /// Whether the terminal event came.
    fn has_ended(&self) -> bool;

    /// Whether a frame behind the terminal event is the `[DONE]` that some servers send there.
    fn is_done_mark(frame: &Frame) -> bool
    where
        Self: Sized;

    /// As [`AnswerStream::contents`].
    fn contents(&self) -> u64;

    /// As [`AnswerStream::usage`].
    fn usage(&self) -> Option<Usage>;

    /// As [`AnswerStream::counted`].
    fn counted(&self) -> Usage;

    /// As [`AnswerStream::response_id`].
    fn response_id(&self) -> Option<&str>;

    /// As [`AnswerStream::item_ids`].
    fn item_ids(&self) -> &[String] {
        &[]
    }

    /// As [`AnswerStream::closing_error`].
    fn closing_error(&mut self, event: Bytes) -> Bytes {
        event
    }
}

/// The relay's view of one stream.
#[derive(Debug)]
pub struct Watched<W> {
    reader: FrameReader,
    has_data: bool,
    /// What comes is dropped unread.
    is_deaf: bool,
    watcher: W,
}

impl<W: Watcher + Default> Watched<W> {
    /// A stream of which nothing has come, and whose events have at most this many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            reader: FrameReader::new(max_frame_bytes),
            has_data: false,
            is_deaf: false,
            watcher: W::default(),
        }
    }
}

impl<W: Watcher> Watched<W> {
    fn relay_frames(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        while let Some(frame) = self.reader.next_frame()? {
            match self.watcher.has_ended() {
                false => self.has_data |= self.watcher.take(&frame)?,
                // The late half of the terminal event's line end, too.
                true if frame.is_late_newline() || W::is_done_mark(&frame) => {}
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
        if self.watcher.has_ended() {
            return Ok(());
        }
        if let Some(frame) = self.reader.finish() {
            match self.watcher.take(&frame) {
                // An event that was cut off.
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => self.has_data |= result?,
            }
            outgoing.pass(frame.raw(), frame.in_chunk());
        }
        match (self.watcher.has_ended(), self.has_data) {
            (true, _) => Ok(()),
            (false, true) => Err(StreamFault::Truncated),
            (false, false) => Err(StreamFault::Empty),
        }
    }

    /// A fault is the end, unless the end was there before it.
    fn conclude(&mut self, result: Result<(), StreamFault>) -> Result<(), StreamFault> {
        self.is_deaf |= result.is_err();
        if self.watcher.has_ended() { Ok(()) } else { result }
    }
}

impl<W: Watcher> AnswerStream for Watched<W> {
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
        self.watcher.contents()
    }

    fn is_terminal(&self) -> bool {
        self.watcher.has_ended()
    }

    fn usage(&self) -> Option<Usage> {
        self.watcher.usage()
    }

    fn counted(&self) -> Usage {
        self.watcher.counted()
    }

    fn response_id(&self) -> Option<&str> {
        self.watcher.response_id()
    }

    fn item_ids(&self) -> &[String] {
        self.watcher.item_ids()
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        self.watcher.closing_error(event)
    }
}

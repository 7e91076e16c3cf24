//! A Gemini stream (`alt=sse`) on its way from upstream to client: watched, untouched.
//!
//! Owns     whether the stream has ended well. Gemini has no terminal event: it closes behind the last finish reason.
//! Called   by the relay: [`GenerateStream::push`] for each chunk, [`GenerateStream::finish`] at the upstream's end.
//! Bounded  by the frame limit; held at most: one unfinished frame.
//! Fails    with a [`StreamFault`]; what was good before it is in `out`, what comes after is dropped.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::{AnswerStream, StreamFault};
use crate::gemini::progress::{CANDIDATES_MAX, Progress};
use crate::json;
use crate::openai::{ChunkFault, Outgoing, UpstreamErrorBody};
use crate::sse::{Frame, FrameReader};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// The relay's view of one stream.
#[derive(Debug)]
pub struct GenerateStream {
    reader: FrameReader,
    progress: Progress,
    phase: Phase,
    has_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Done,
    Failed,
}

impl GenerateStream {
    /// A stream of which nothing has come, and whose largest event has this many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            reader: FrameReader::new(max_frame_bytes),
            progress: Progress::default(),
            phase: Phase::Open,
            has_data: false,
        }
    }

    fn relay_frames(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        while let Some(frame) = self.reader.next_frame()? {
            self.relay(&frame, outgoing)?;
        }
        Ok(())
    }

    fn relay(&mut self, frame: &Frame, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        let data = frame.data().unwrap_or_default();
        if frame.event() == Some(b"error") {
            return Err(StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data))));
        }
        // A comment, the second half of a line's end, or an event that the standard says is none.
        if !data.trim_ascii().is_empty() {
            self.has_data = true;
            self.progress.read(json::utf8(data)?)?;
            if self.progress.has_too_many() {
                return Err(ChunkFault::TooManyChoices { limit: CANDIDATES_MAX }.into());
            }
        }
        outgoing.pass(frame.raw(), frame.in_chunk());
        Ok(())
    }

    fn relay_end(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        if let Some(frame) = self.reader.finish() {
            let was_finished = self.progress.has_finished();
            match self.relay(&frame, outgoing) {
                // A frame that was cut off is not JSON; behind the end nobody misses it.
                Err(StreamFault::Unreadable(_)) if was_finished => {}
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => result?,
            }
        }
        match (self.has_data, self.progress.has_finished()) {
            (false, _) => Err(StreamFault::Empty),
            (true, false) => Err(StreamFault::Truncated),
            (true, true) => Ok(()),
        }
    }
}

impl AnswerStream for GenerateStream {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        self.reader.push(chunk.clone());
        let mut outgoing = Outgoing::new(chunk, out);
        let result = self.relay_frames(&mut outgoing);
        outgoing.flush();
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        let mut outgoing = Outgoing::new(Bytes::new(), out);
        let result = self.relay_end(&mut outgoing);
        outgoing.flush();
        self.phase = if result.is_ok() { Phase::Done } else { Phase::Failed };
        result
    }

    fn contents(&self) -> u64 {
        self.progress.contents()
    }

    fn is_terminal(&self) -> bool {
        self.phase == Phase::Done
    }

    fn usage(&self) -> Option<Usage> {
        self.progress.usage()
    }

    fn counted(&self) -> Usage {
        self.progress.counted()
    }
}

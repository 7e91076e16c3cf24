//! A Messages stream on its way from upstream to client: watched, untouched.
//!
//! Owns     whether the stream has ended well: with `message_stop`, or closed behind the event that says why.
//! Called   by the relay: `push` for each chunk, `finish` at the upstream's end.
//! Bounded  by the frame limit; held at most: one unfinished frame. Frames that pass side by side leave as one slice
//!          of the upstream's buffer.
//! Fails    with a [`StreamFault`]; what was good before it is in `out`, what comes after is dropped.

use std::collections::VecDeque;

use bytes::Bytes;

use super::progress::Progress;
use super::stream_event::StreamEvent;
use crate::event::{AnswerStream, StreamFault};
use crate::json;
use crate::openai::{Outgoing, UpstreamErrorBody};
use crate::sse::{Frame, FrameReader};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// The last event, for an upstream that closes without it.
pub(super) const MESSAGE_STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// The relay's view of one stream.
#[derive(Debug)]
pub struct MessagesStream {
    max_frame_bytes: usize,
    reader: FrameReader,
    progress: Progress,
    phase: Phase,
    has_data: bool,
    /// The frame before was relayed, so that the late half of its line end is too.
    has_passed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Done,
    Failed,
}

impl MessagesStream {
    /// A stream of which nothing has come, and whose largest event has this many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            max_frame_bytes,
            reader: FrameReader::new(max_frame_bytes),
            progress: Progress::default(),
            phase: Phase::Open,
            has_data: false,
            has_passed: true,
        }
    }

    fn relay_frames(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        while let Some(frame) = self.reader.next_frame()? {
            self.relay(&frame, outgoing)?;
        }
        Ok(())
    }

    fn relay(&mut self, frame: &Frame, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        if !frame.is_late_newline() {
            self.has_passed = self.phase == Phase::Open;
            self.judge(frame)?;
        }
        if self.has_passed {
            outgoing.pass(frame.raw(), frame.in_chunk());
        }
        Ok(())
    }

    fn judge(&mut self, frame: &Frame) -> Result<(), StreamFault> {
        let data = frame.data().unwrap_or_default();
        let is_comment = data.trim_ascii().is_empty();
        if self.phase != Phase::Open || is_comment && frame.event() != Some(b"error") {
            return Ok(());
        }
        self.has_data = true;
        let upstream = || StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data)));
        if frame.event() == Some(b"error") {
            return Err(upstream());
        }
        let event = StreamEvent::read(frame.event(), json::utf8(data)?)?;
        self.progress.take(&event);
        match event {
            StreamEvent::Error => return Err(upstream()),
            StreamEvent::MessageStop => self.phase = Phase::Done,
            _ => {}
        }
        Ok(())
    }

    fn relay_end(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        let had_reason = self.progress.has_reason();
        if let Some(frame) = self.reader.finish() {
            match self.relay(&frame, outgoing) {
                // A frame that was cut off is not JSON; behind the reason nobody misses it.
                Err(StreamFault::Unreadable(_)) if had_reason => {}
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => result?,
            }
        }
        match (self.phase, self.has_data) {
            (Phase::Done, _) => Ok(()),
            (_, false) => Err(StreamFault::Empty),
            (_, true) if !self.progress.has_reason() => Err(StreamFault::Truncated),
            (_, true) => {
                outgoing.write(Bytes::from_static(MESSAGE_STOP));
                Ok(())
            }
        }
    }
}

impl AnswerStream for MessagesStream {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.phase == Phase::Failed {
            return Ok(());
        }
        self.reader.push(chunk.clone());
        let mut outgoing = Outgoing::new(chunk, out);
        let result = self.relay_frames(&mut outgoing);
        outgoing.flush();
        match (self.phase, &result) {
            (_, Ok(())) => {}
            // Whatever comes behind the end is dropped, and so is its fault.
            (Phase::Done, Err(_)) => {
                self.reader = FrameReader::new(self.max_frame_bytes);
                return Ok(());
            }
            (_, Err(_)) => self.phase = Phase::Failed,
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

    fn item_ids(&self) -> &[String] {
        self.progress.containers()
    }
}

//! Event streams (text/event-stream of the HTML standard), cut into frames wherever the network cut
//! them.
//!
//! Owns     the search for a frame's end and the parts of a frame; a frame is what stands between
//!          blank lines, the blank line that ends it included, so that all frames together are the
//!          stream.
//! Called   by the stream readers of each dialect, chunk by chunk.
//! Bounded  by the limit for a frame that the caller gives. A frame inside one chunk is a slice of
//!          it; only one that spans chunks is copied, once. Each byte is searched once, however
//!          small the chunks are.
//! Fails    only with [`FrameTooLarge`]. Any other bytes are frames of some kind.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

mod frame;
#[cfg(test)]
mod tests;

pub use frame::Frame;

/// The default for the largest frame: 16 MiB.
///
/// Images arrive as base64 in one data line; the largest seen in use have 8 MiB.
pub const DEFAULT_MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// A frame was longer than allowed, or had no end within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct FrameTooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

/// Cuts a stream into [`Frame`]s: push a chunk, take frames until there is none, push the next.
#[derive(Debug)]
pub struct FrameReader {
    max_frame_bytes: usize,
    lines: Lines,
    /// The chunk being read, and how far.
    chunk: Bytes,
    at: usize,
    /// The start of a frame whose end has not come yet.
    pending: BytesMut,
    /// No frame was taken yet: a byte order mark may stand before the first.
    at_start: bool,
}

impl FrameReader {
    /// A reader that refuses frames above `max_frame_bytes`.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            max_frame_bytes,
            lines: Lines::new(),
            chunk: Bytes::new(),
            at: 0,
            pending: BytesMut::new(),
            at_start: true,
        }
    }

    /// Gives the next chunk. The one before must have been read to its end.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert_eq!(self.at, self.chunk.len(), "frames of the chunk before were not taken");
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next whole frame, or `None` when the chunk holds no further end of a frame.
    ///
    /// # Errors
    /// [`FrameTooLarge`], after which the reader is of no use.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLarge> {
        let start = self.at;
        if start == self.chunk.len() {
            return Ok(None);
        }
        if self.lines.take_late_newline(&self.chunk) {
            self.at = 1;
            return Ok(Some(Frame::late_newline(self.chunk.slice(..1))));
        }
        let end = self.lines.frame_end(&self.chunk, start);
        self.at = end.unwrap_or(self.chunk.len());
        let length = self.pending.len() + (self.at - start);
        if length > self.max_frame_bytes {
            return Err(FrameTooLarge { limit: self.max_frame_bytes });
        }
        let whole_in_chunk = self.pending.is_empty();
        match end {
            Some(end) if whole_in_chunk => {
                let raw = self.chunk.slice(start..end);
                Ok(Some(self.frame(raw, Some(start..end))))
            }
            Some(end) => {
                self.pending.extend_from_slice(&self.chunk[start..end]);
                let raw = std::mem::take(&mut self.pending).freeze();
                Ok(Some(self.frame(raw, None)))
            }
            None => {
                self.pending.extend_from_slice(&self.chunk[start..]);
                self.chunk = Bytes::new();
                self.at = 0;
                Ok(None)
            }
        }
    }

    /// At the end of the stream: the frame whose blank line never came, completed by one.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.pending.is_empty() {
            return None;
        }
        let mut raw = std::mem::take(&mut self.pending);
        raw.extend_from_slice(self.lines.missing_end());
        Some(self.frame(raw.freeze(), None))
    }

    fn frame(&mut self, raw: Bytes, in_chunk: Option<Range<usize>>) -> Frame {
        let at_start = std::mem::take(&mut self.at_start);
        Frame::parse(raw, in_chunk, at_start)
    }
}

/// Where in its lines the stream is. Lines end with CR, LF or CRLF.
#[derive(Debug)]
struct Lines {
    /// Nothing of the current line has come.
    line_is_empty: bool,
    /// The last byte was the CR of a line's end: an LF now belongs to it.
    after_cr: bool,
    /// That CR ended a frame at the end of a chunk.
    frame_ended_with_cr: bool,
}

impl Lines {
    fn new() -> Self {
        Self { line_is_empty: true, after_cr: false, frame_ended_with_cr: false }
    }

    /// Whether `chunk` begins with the LF of the CRLF whose CR was the last byte of the frame
    /// before.
    fn take_late_newline(&mut self, chunk: &[u8]) -> bool {
        std::mem::take(&mut self.frame_ended_with_cr) && chunk.first() == Some(&b'\n')
    }

    /// The offset after the frame that begins, or goes on, at `from`; `None` when its end is not in
    /// `bytes`.
    fn frame_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return None;
            }
            if std::mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                at += 1;
                continue;
            }
            let found = match rest.first() {
                Some(b'\n' | b'\r') => Some(0),
                _ => memchr2(b'\n', b'\r', rest),
            };
            let Some(length) = found else {
                self.line_is_empty = false;
                return None;
            };
            let blank = length == 0 && self.line_is_empty;
            let ended_by_cr = rest.get(length) == Some(&b'\r');
            at += length + 1;
            self.line_is_empty = true;
            self.after_cr = ended_by_cr;
            if blank {
                return Some(self.past_blank_line(bytes, at));
            }
        }
    }

    /// A blank line ended before `at`: the frame is complete, and the LF of a CRLF goes with it
    /// when it is here.
    fn past_blank_line(&mut self, bytes: &[u8], at: usize) -> usize {
        if !std::mem::take(&mut self.after_cr) {
            return at;
        }
        match bytes.get(at) {
            Some(b'\n') => at + 1,
            Some(_) => at,
            None => {
                self.frame_ended_with_cr = true;
                at
            }
        }
    }

    /// What a frame needs behind it to be complete where the stream ended.
    fn missing_end(&self) -> &'static [u8] {
        // Behind a CR the first LF would only make it a CRLF.
        if self.line_is_empty && !self.after_cr { b"\n" } else { b"\n\n" }
    }
}

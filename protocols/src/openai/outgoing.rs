//! What leaves for the client: neighbours in the upstream's buffer leave together.
//!
//! Owns     the run of bytes of the current chunk that passes so far.
//! Called   by [`super::ChatStream`], and by the streams of other dialects, while they read one chunk.
//! Bounded  by the chunk; a run is a slice of it, not a copy.
//! Fails    never.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

/// The way out while one chunk is read.
pub(crate) struct Outgoing<'o> {
    chunk: Bytes,
    run: Range<usize>,
    out: &'o mut VecDeque<Bytes>,
}

impl<'o> Outgoing<'o> {
    pub(crate) fn new(chunk: Bytes, out: &'o mut VecDeque<Bytes>) -> Self {
        Self { chunk, run: 0..0, out }
    }

    /// Lets `raw` pass. `in_chunk` says where in the chunk it stands, if there.
    pub(crate) fn pass(&mut self, raw: &Bytes, in_chunk: Option<Range<usize>>) {
        match in_chunk {
            Some(range) if range.start == self.run.end => self.run.end = range.end,
            Some(range) => {
                self.flush();
                self.run = range;
            }
            None => self.write(raw.clone()),
        }
    }

    /// Writes bytes that are not of the chunk.
    pub(crate) fn write(&mut self, bytes: Bytes) {
        self.flush();
        self.out.push_back(bytes);
    }

    /// Hands out the run. To be called when the chunk has been read.
    pub(crate) fn flush(&mut self) {
        if !self.run.is_empty() {
            self.out.push_back(self.chunk.slice(self.run.clone()));
        }
        self.run = self.run.end..self.run.end;
    }
}

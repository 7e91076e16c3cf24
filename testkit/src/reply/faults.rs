//! What goes wrong with an answer's bytes.

use std::time::Duration;

use bytes::Bytes;

use super::{Ending, Insert, LineEnd, Part, Place, Reply};

/// Ways for a body to end too soon.
impl Reply {
    fn ending(mut self, place: Place, ending: Ending) -> Self {
        self.end = Some((place, ending));
        self
    }

    /// After the head nothing more comes.
    #[must_use]
    pub fn stall_after_head(self) -> Self {
        self.ending(Place::Head, Ending::Stall)
    }

    /// After `n` pieces nothing more comes.
    #[must_use]
    pub fn stall_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Stall)
    }

    /// After `n` pieces the connection is closed within the body.
    #[must_use]
    pub fn cut_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Close)
    }

    /// After `n` bytes of the body the connection is closed.
    #[must_use]
    pub fn cut_at_byte(self, n: usize) -> Self {
        self.ending(Place::Byte(n), Ending::Close)
    }

    /// After `n` pieces the body ends as properly as its framing allows: the last chunk is sent,
    /// what is missing are events.
    #[must_use]
    pub fn clean_cut_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Complete { close: false })
    }

    /// After `n` pieces the connection is reset (HTTP/2: the stream, `INTERNAL_ERROR`).
    #[must_use]
    pub fn reset_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Reset)
    }
}

/// Faults within a stream.
impl Reply {
    /// No terminal event: `[DONE]`, `message_stop`, `response.completed`.
    #[must_use]
    pub fn without_done(mut self) -> Self {
        self.stream.done = false;
        self
    }

    /// Other line ends.
    #[must_use]
    pub fn line_ends(mut self, line_end: LineEnd) -> Self {
        self.stream.line_end = line_end;
        self
    }

    /// A byte order mark first.
    #[must_use]
    pub fn byte_order_mark(mut self) -> Self {
        self.stream.byte_order_mark = true;
        self
    }

    /// No line end behind the last line.
    #[must_use]
    pub fn without_last_line_end(mut self) -> Self {
        self.stream.last_line_end = false;
        self
    }

    /// A comment line before each piece.
    #[must_use]
    pub fn comments(mut self, comment: &str) -> Self {
        self.stream.comment = Some(comment.to_owned());
        self
    }

    /// These bytes after `n` pieces, as they are: a ping, a comment, an event of one's own.
    #[must_use]
    pub fn insert_after(mut self, n: usize, bytes: impl Into<Bytes>) -> Self {
        let part = Part::aside(bytes);
        self.inserts.push((n, Insert::Part(part)));
        self
    }

    /// This comment before the first piece, `times` times, each after a wait of `every`.
    #[must_use]
    pub fn keep_alives(mut self, comment: &str, every: Duration, times: u64) -> Self {
        let part = Part::aside(format!(": {comment}\n\n")).repeated(times, every);
        self.inserts.push((0, Insert::Part(part)));
        self
    }

    /// Anthropic's `ping` before the first piece, a comment in the other dialects: `times` times,
    /// each after a wait of `every`.
    #[must_use]
    pub fn pings(mut self, every: Duration, times: u64) -> Self {
        self.inserts.push((0, Insert::Ping { every, times }));
        self
    }

    /// The dialect's error event after `n` pieces, then the end, without a terminal event.
    #[must_use]
    pub fn error_event_after(mut self, n: usize) -> Self {
        self.inserts.push((n, Insert::ErrorEvent));
        self.clean_cut_after(n)
    }

    /// An event that is not JSON after `n` pieces.
    #[must_use]
    pub fn malformed_event_after(mut self, n: usize) -> Self {
        self.inserts.push((n, Insert::MalformedEvent));
        self
    }
}

//! How an answer is delivered: status, header lines, framing, encoding, pace, and how it falls into
//! writes. All of it is legal HTTP, however unkind, except for a wrong length or label.

use std::time::Duration;

use super::compression::Compression;
use super::{After, Framing, Reply, Shape};

/// Head and framing.
impl Reply {
    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// One header line more. It takes the place of the usual one of that name; several of one
    /// name all stand.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.own.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves out a usual header, `content-type` and `content-encoding` among them.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.hidden.push(name.to_owned());
        self
    }

    /// None of the twenty headers that OpenAI puts on every answer.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.headers.bare = true;
        self
    }

    /// Each usual header twice.
    #[must_use]
    pub fn every_header_twice(mut self) -> Self {
        self.headers.twice = true;
        self
    }

    /// Another content type.
    #[must_use]
    pub fn content_type(self, content_type: &str) -> Self {
        self.header("content-type", content_type)
    }

    /// A JSON body although a stream was asked for.
    #[must_use]
    pub fn not_streamed(mut self) -> Self {
        self.shape = Shape::Json;
        self
    }

    /// A stream although none was asked for.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.shape = Shape::Stream;
        self
    }

    /// Chunked framing, also for a JSON body.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// `content-length` framing, also for a stream; `off_by` is added to the true length. A body
    /// shorter than promised stalls its reader, unless the connection is closed after it.
    #[must_use]
    pub fn content_length(mut self, off_by: i64) -> Self {
        self.framing = Framing::Length(off_by);
        self
    }

    /// No framing: the body ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// HTTP/1.0: the connection is closed after the answer, whose body ends with it unless a
    /// length is asked for.
    #[must_use]
    pub fn http10(mut self) -> Self {
        self.http10 = true;
        self
    }

    /// Closes the connection after the complete answer without having said so: what a client
    /// meets in its pool as a stale connection.
    #[must_use]
    pub fn close_silently(mut self) -> Self {
        self.after = After::ClosedSilently;
        self
    }

    /// Says `connection: close`, and does it.
    #[must_use]
    pub fn close_as_announced(mut self) -> Self {
        self.after = After::ClosedAsAnnounced;
        self
    }

    /// Keeps the connection open after a raw answer.
    #[must_use]
    pub fn keep_open(mut self) -> Self {
        self.after = After::KeptOpen;
        self
    }

    /// Compresses the body with gzip and says so.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.compression = Compression::Gzip;
        self.headers.usual.push(("content-encoding", "gzip"));
        self
    }

    /// Compresses the body with zlib and says `deflate`.
    #[must_use]
    pub fn deflate(mut self) -> Self {
        self.compression = Compression::Deflate;
        self.headers.usual.push(("content-encoding", "deflate"));
        self
    }

    /// Says that the body is encoded so; it isn't.
    #[must_use]
    pub fn mislabelled(self, encoding: &str) -> Self {
        self.header("content-encoding", encoding)
    }

    /// Damages the compressed body behind its first bytes.
    ///
    /// # Panics
    /// If it is not to be compressed.
    #[must_use]
    pub fn corrupted(mut self) -> Self {
        self.compression = self.compression.damaged();
        self
    }
}

/// Pace.
impl Reply {
    /// Waits before the head.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.pace.before_head = wait;
        self
    }

    /// Waits before the first piece; head and role event are out by then.
    #[must_use]
    pub fn first_piece_after(mut self, wait: Duration) -> Self {
        self.pace.before_first = wait;
        self
    }

    /// Waits before each piece but the first.
    #[must_use]
    pub fn gap(mut self, gap: Duration) -> Self {
        self.pace.gap = gap;
        self
    }

    /// Cuts the body into parts of `n` bytes, wherever that falls: each is a write of its own and
    /// under HTTP/1 a chunk of its own, so a client reads them one by one.
    #[must_use]
    pub fn split_every(mut self, n: usize) -> Self {
        self.cuts.every = Some(n.max(1));
        self
    }

    /// Cuts the body in two at this offset, as [`Reply::split_every`] does.
    #[must_use]
    pub fn split_at(mut self, offset: usize) -> Self {
        self.cuts.at.push(offset);
        self
    }

    /// Writes everything, head and framing included, in writes of `n` bytes. HTTP/1 only.
    #[must_use]
    pub fn writes_of(mut self, n: usize) -> Self {
        self.cuts.writes_of = Some(n.max(1));
        self
    }
}

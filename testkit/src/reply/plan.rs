//! An answer as it is to be written: a head, parts in order, an ending. All faults are decided
//! here already; the connections only write.

use std::time::Duration;

use bytes::Bytes;

use crate::seen::Billed;

/// What a connection writes for one request.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How long nothing at all happens first.
    pub(crate) wait: Duration,
    /// `None`: nothing is written before the parts, which are then raw bytes.
    pub(crate) head: Option<Head>,
    pub(crate) parts: Vec<Part>,
    /// HTTP/1.1's chunked framing around each part.
    pub(crate) chunked: bool,
    pub(crate) ending: Ending,
    /// HTTP/1 only: bytes per write to the socket; `None` writes each part at once.
    pub(crate) writes_of: Option<usize>,
    pub(crate) bill: Bill,
}

/// An answer's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) http10: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content_length: Option<u64>,
    pub(crate) announce_close: bool,
}

/// Bytes that are written together.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// How long to wait before them, each time.
    pub(crate) wait: Duration,
    pub(crate) bytes: Bytes,
    /// How often they are written; [`FOREVER`] until the client leaves.
    pub(crate) times: u64,
    /// Whether a piece begins with them, and is out when they are.
    pub(crate) begins_piece: bool,
    pub(crate) ends_piece: bool,
    /// Whether it was put behind the piece before it, so that the next one put there comes after.
    pub(crate) inserted: bool,
}

/// More often than any client stays for.
pub(crate) const FOREVER: u64 = u64::MAX;

impl Part {
    /// Bytes that count as a piece.
    pub(crate) fn piece(bytes: impl Into<Bytes>) -> Self {
        Self { begins_piece: true, ends_piece: true, ..Self::aside(bytes) }
    }

    /// Bytes beside the pieces: a role event, a comment, `[DONE]`.
    pub(crate) fn aside(bytes: impl Into<Bytes>) -> Self {
        Self {
            wait: Duration::ZERO,
            bytes: bytes.into(),
            times: 1,
            begins_piece: false,
            ends_piece: false,
            inserted: false,
        }
    }

    /// The same bytes again and again.
    pub(crate) fn repeated(self, times: u64, wait: Duration) -> Self {
        Self { times, wait, ..self }
    }
}

/// What comes after the last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The body ends as its framing says; then the connection stays, or is closed.
    Complete { close: bool },
    /// The connection is closed (HTTP/2: `INTERNAL_ERROR`) whatever the framing promised.
    Close,
    /// The connection is reset (HTTP/2: `INTERNAL_ERROR`).
    Reset,
    /// HTTP/2's `REFUSED_STREAM`; on HTTP/1 the connection is closed.
    Refuse,
    /// Nothing more happens until the client leaves.
    Stall,
}

/// What an answer costs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bill {
    pub(crate) whole: Billed,
    /// How many pieces the whole has.
    pub(crate) pieces: usize,
}

impl Bill {
    /// The cost when so many pieces are out: a token each until the whole is.
    pub(crate) fn after(self, pieces: usize) -> Billed {
        if pieces >= self.pieces {
            return self.whole;
        }
        Billed { prompt: self.whole.prompt, completion: self.whole.completion.min(pieces as u64) }
    }
}

//! The stream under a connection: tells the connection's clocks what passes, and lingers at the end.
//!
//! Owns     the stream, TCP or TLS; what it writes is watched by `outbound`.
//! Called   by hyper, which reads and writes through it, always from the connection's own task.
//! Bounded  by `AHEAD_BYTES` kept for later requests and `LINGER_BYTES` thrown away at the end; the times are
//!          the connection's (see `phase`).
//! Fails    with the stream's own errors. While lingering an error is the end, not a failure: the
//!          answer has already been handed over.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head::LengthScan;
use super::phase::SharedActivity;

/// How an HTTP/2 connection with prior knowledge begins (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much a lingering connection throws away: twice the default body limit, so that whoever is a
/// little above it can finish sending and reads its 413; more is not worth our time.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Thrown away per read, on the stack: a TCP receive buffer's usual share for one wake-up.
const LINGER_READ: usize = 16 * 1024;

/// How much of later requests is taken while an earlier one is served, in bytes: as much as a head may
/// have. A client that sends more ahead is not seen to leave before the answer is written.
const AHEAD_BYTES: usize = 64 * 1024;

/// Taken per read of what comes ahead: hardly anything ever does, so it need not be large.
const AHEAD_READ: usize = 4 * 1024;

/// Which protocol the first bytes belong to.
enum Opening {
    /// All bytes so far match the HTTP/2 preface; this many have come.
    Preface { matched: usize },
    /// Known, whichever it is.
    Settled,
}

/// A stream that reports to its connection's [`SharedActivity`].
pub(super) struct Socket<T> {
    stream: T,
    activity: SharedActivity,
    opening: Opening,
    lengths: LengthScan,
    /// Bytes of later requests, not yet handed to hyper.
    ahead: BytesMut,
    /// hyper itself waits for bytes, or for the client's end.
    read_waits: bool,
    write_shut: bool,
    client_closed: bool,
    thrown_away: usize,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// Wraps a stream just accepted.
    pub(super) fn new(stream: T, activity: SharedActivity) -> Self {
        Self {
            stream,
            activity,
            opening: Opening::Preface { matched: 0 },
            lengths: LengthScan::default(),
            ahead: BytesMut::new(),
            read_waits: false,
            write_shut: false,
            client_closed: false,
            thrown_away: 0,
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let mut activity = self.activity.lock();
        if activity.awaits_head() {
            activity.head_begins(Instant::now());
            self.lengths = LengthScan::default();
        }
        self.lengths.read(bytes);
        if self.lengths.finds_two() {
            activity.finds_two_lengths();
        }
        if let Opening::Preface { matched } = self.opening {
            let rest = &HTTP2_PREFACE[matched..];
            let compared = rest.len().min(bytes.len());
            self.opening = if rest[..compared] != bytes[..compared] {
                Opening::Settled
            } else if compared == rest.len() {
                activity.speaks_http2(Instant::now());
                Opening::Settled
            } else {
                Opening::Preface { matched: matched + compared }
            };
        }
    }

    /// Reads what comes behind a request that is being served, to notice when the client leaves. hyper
    /// does so only while it holds no byte of a later request: behind one, be it a stray line end, the
    /// handler would run on for nobody.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        if std::mem::take(&mut self.read_waits) || self.client_closed || !self.activity.lock().reads_ahead() {
            return;
        }
        let mut room = [MaybeUninit::uninit(); AHEAD_READ];
        while self.ahead.len() < AHEAD_BYTES {
            let mut buffer = ReadBuf::uninit(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.ahead.extend_from_slice(buffer.filled());
                }
                Poll::Ready(_) => {
                    self.client_closed = true;
                    self.activity.lock().client_leaves();
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Reads and throws away until the client closes, fails, or has sent enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [0; LINGER_READ];
        while self.thrown_away < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.thrown_away += buffer.filled().len();
                    self.activity.lock().lingering_hears(Instant::now());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let had_room = buffer.remaining() > 0;
        let outcome = if self.ahead.is_empty() {
            let reading = Pin::new(&mut self.stream).poll_read(cx, buffer);
            self.read_waits = reading.is_pending();
            ready!(reading)
        } else {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            Ok(())
        };
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            self.received(bytes);
        } else if had_room {
            self.client_closed = true;
        }
        Poll::Ready(outcome)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ahead(cx);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.write_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.write_shut = true;
            if self.client_closed || !self.activity.lock().lingers(Instant::now()) {
                self.client_closed = true;
            }
        }
        if !self.client_closed {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

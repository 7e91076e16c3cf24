//! The TCP stream's way out: tells the write clock whether the client takes bytes.
//!
//! Owns     the TCP stream. It stands below TLS, which keeps some of what it is given: whether a client reads
//!          shows only here.
//! Called   by `Socket`, or by TLS between the two.
//! Bounded  by its few fields.
//! Fails    with the stream's own errors.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::phase::SharedActivity;

/// A stream that reports blocked and moving writes to its connection's [`SharedActivity`].
pub(super) struct Outbound<T> {
    stream: T,
    activity: SharedActivity,
    /// Spares the lock on writes that follow a write that moved.
    blocked: bool,
}

impl<T> Outbound<T> {
    /// Wraps a stream just accepted.
    pub(super) fn new(stream: T, activity: SharedActivity) -> Self {
        Self { stream, activity, blocked: false }
    }

    fn wrote(&mut self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Pending if !self.blocked => {
                self.blocked = true;
                self.activity.lock().write_blocks(Instant::now());
            }
            Poll::Ready(Ok(written)) if self.blocked && *written > 0 => {
                self.blocked = false;
                self.activity.lock().write_moves();
            }
            Poll::Pending | Poll::Ready(_) => {}
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Outbound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Outbound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! The tasks of HTTP/2 streams, and the write clock of each.
//!
//! Owns     nothing but its clocks. On HTTP/1 a client that stops reading blocks the socket; on HTTP/2
//!          it can withhold the window of one stream while the socket stays open, so the clock is
//!          the stream's.
//! Called   by hyper, which spawns one task per stream through `StreamExecutor`.
//! Bounded  by `MAX_STREAMS` per connection; every task is in the server's tracker.
//! Fails    a stream whose client takes nothing for `write_timeout` is dropped, and its handler's body
//!          with it; h2 then resets that stream and the connection goes on.

use std::cell::Cell;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

tokio::task_local! {
    /// Since when this stream holds a frame that its client leaves no room for; set by the answer's
    /// body, read by the task that polls it.
    pub(super) static OWED_SINCE: Cell<Option<Instant>>;
}

/// Spawns the streams of one HTTP/2 connection.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    pub(super) streams: TaskTracker,
    pub(super) write_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let watched = watch(stream, self.write_timeout);
        self.streams.spawn(OWED_SINCE.scope(Cell::new(None), watched));
    }
}

/// Runs a stream until it ends or its client has taken nothing for `write_timeout`.
async fn watch(stream: impl Future<Output = ()>, write_timeout: Duration) {
    let mut stream = pin!(stream);
    let mut alarm = pin!(sleep_until(Instant::now()));
    std::future::poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = OWED_SINCE.with(Cell::get) else {
            return Poll::Pending;
        };
        let due = since + write_timeout;
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        ready!(alarm.as_mut().poll(cx));
        tracing::debug!(
            write_timeout_ms = write_timeout.as_millis(),
            "client takes nothing from its stream; stream reset"
        );
        Poll::Ready(())
    })
    .await;
}

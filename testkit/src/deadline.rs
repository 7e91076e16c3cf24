//! Waiting for an event, with an end.
//!
//! Owns     one thread with a runtime of its own, whose clock nobody pauses.
//! Called   by everything in this crate that waits for the other side.
//! Bounded  [`PATIENCE`] of real time. A deadline on the test's own clock would not do: where that
//!          clock is paused, tokio moves it forward as soon as every task waits for a socket.
//! Fails    by a panic that says what was awaited, so that a test ends instead of hanging.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// How long a test waits for an event before it fails. All of them take milliseconds on an idle
/// machine; a loaded one that runs many tests at once has been seen to pause for seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

static REAL_CLOCK: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime with nothing but a timer can be built");
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(pending::<()>()));
    handle
});

struct Alarm(JoinHandle<()>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The event's value, or a panic naming `awaited` when it has not come within [`PATIENCE`].
///
/// Dropping the future drops the event's.
pub async fn patiently<F: Future>(awaited: &str, event: F) -> F::Output {
    let mut event = pin!(event);
    // Most events have happened already: those cost no timer.
    if let Poll::Ready(value) = poll_fn(|context| Poll::Ready(event.as_mut().poll(context))).await {
        return value;
    }
    let mut alarm = Alarm(REAL_CLOCK.spawn(async { tokio::time::sleep(PATIENCE).await }));
    tokio::select! {
        biased;
        value = event => value,
        _ = &mut alarm.0 => panic!("waited {PATIENCE:?} in vain for {awaited}"),
    }
}

//! One connection, from accept to close: hyper under the connection's clocks.
//!
//! Owns     the connection's task and its single timer, re-armed only when it has fired or a clock
//!          ends earlier than it is set for.
//! Called   by `serve`, which spawns one task per connection.
//! Bounded  by `MAX_HEAD_BYTES` and hyper's 100 headers per request (431 above), `MAX_STREAMS`, the
//!          windows below, and the clocks of `phase`.
//! Fails    a connection whose clock has run out is dropped, and with it whatever its requests hold;
//!          what the client did wrong is logged at debug level only.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_util::task::TaskTracker;

use super::bodies::RequestBody;
use super::exchange::exchange;
use super::handshake;
use super::outbound::Outbound;
use super::phase::{Clock, SharedActivity};
use super::socket::Socket;
use super::stream::StreamExecutor;
use super::{BoxError, ConnectionSettings, PanicAnswer, Peer};

/// Largest request head: 8 times what common clients send with long cookies and traces. hyper's read
/// and write buffers have the same bound, so a connection holds at most twice this.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Requests at once on one HTTP/2 connection: RFC 9113 (6.5.2) advises at least 100, clients' pools
/// expect 100 to 256.
const MAX_STREAMS: u32 = 250;

/// HTTP/2 request bytes in transit, per connection and per stream: at 50 ms round trip 5 MB/s, and
/// what a client can make us hold before a handler reads.
const HTTP2_WINDOW: u32 = 256 * 1024;

/// Tells every connection that the server stops.
#[derive(Default)]
pub(super) struct StopSignal {
    stopping: AtomicBool,
    wake: Notify,
}

impl StopSignal {
    /// Lets every connection end as soon as nothing runs on it.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Resolves when the server stops, or has stopped.
    async fn stopped(&self) {
        let mut woken = pin!(self.wake.notified());
        // Registered before the flag is read, so that a stop between the two is not missed.
        woken.as_mut().enable();
        if !self.stopping.load(Ordering::Acquire) {
            woken.await;
        }
    }
}

/// What all connections of one server share.
#[derive(Clone, Default)]
pub(super) struct Shared {
    /// Another process goes on listening at the address when this server stops.
    pub(super) hands_over: bool,
    pub(super) stop: Arc<StopSignal>,
    /// The tasks of HTTP/2 streams. One ends with its connection, a moment later.
    pub(super) streams: TaskTracker,
}

/// What a connection is served with.
pub(super) struct Serving<S, B> {
    pub(super) peer: Peer,
    pub(super) service: S,
    pub(super) on_panic: PanicAnswer<B>,
    pub(super) settings: ConnectionSettings,
    pub(super) shared: Shared,
}

/// Serves one connection until it ends, after a handshake where there is TLS. Dropping this closes it at once.
pub(super) async fn run<S, B>(stream: TcpStream, mut serving: Serving<S, B>)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let accepted = Instant::now();
    let activity = SharedActivity::new(accepted);
    let Some(tls) = serving.settings.tls.take() else {
        let stream = Outbound::new(stream, activity.clone());
        return serve(stream, accepted, activity, serving).await;
    };
    // In the heap, so that a connection without TLS does not have the size of one with it.
    let shaking = Box::pin(handshake::shake(stream, tls, activity.clone()));
    let in_time = timeout_at(accepted + serving.settings.header_timeout, shaking);
    let peer = serving.peer.0;
    let shaken = tokio::select! {
        biased;
        () = serving.shared.stop.stopped() => return,
        shaken = in_time => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => Box::pin(serve(stream, accepted, activity, serving)).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS connection"),
        Err(_) => tracing::debug!(%peer, "TLS handshake cut; it took longer than header_timeout"),
    }
}

/// Serves one connection whose stream can be read and written. The clocks run from `accepted`.
async fn serve<T, S, B>(stream: T, accepted: Instant, activity: SharedActivity, serving: Serving<S, B>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let Serving { peer, service, on_panic, settings, shared } = serving;
    let socket = TokioIo::new(Socket::new(stream, activity.clone()));
    let service = {
        let activity = activity.clone();
        service_fn(move |request| exchange(&service, request, peer, &activity, on_panic))
    };
    let builder = builder(StreamExecutor { streams: shared.streams, write_timeout: settings.write_timeout });
    let mut connection = pin!(builder.serve_connection(socket, service));
    let mut alarm = pin!(sleep_until(accepted + settings.keep_alive));
    let mut stopped = pin!(shared.stop.wake.notified());

    // This future is all of its task, so its waker never changes and one poll registers it for good;
    // polling at every turn would take a lock that all connections share.
    std::future::poll_fn(|cx| {
        let _ = stopped.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    // Told to end: for the clocks, and for hyper.
    let (mut closing, mut shut) = (false, false);
    let ended = std::future::poll_fn(|cx| {
        loop {
            if !closing && shared.stop.stopping.load(Ordering::Acquire) {
                closing = true;
                activity.lock().close(Instant::now());
            }
            if closing && !shut && (!shared.hands_over || activity.lock().ends_without_loss()) {
                shut = true;
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(Ended::Failed));
            }
            if activity.lock().client_left() {
                return Poll::Ready(Err(Ended::ClientLeft));
            }
            match ready!(poll_clocks(alarm.as_mut(), &activity, &settings, cx)) {
                Clock::KeepAlive => {
                    (closing, shut) = (true, true);
                    activity.lock().close(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
                Clock::Closing if !shut => {
                    shut = true;
                    connection.as_mut().graceful_shutdown();
                }
                clock => return Poll::Ready(Err(Ended::TimeUp(clock))),
            }
        }
    })
    .await;
    match ended {
        Ok(()) => {}
        Err(Ended::Failed(error)) => tracing::debug!(peer = %peer.0, %error, "connection failed"),
        Err(Ended::ClientLeft) => tracing::debug!(peer = %peer.0, "client left before its answer"),
        Err(Ended::TimeUp(clock)) => tracing::debug!(peer = %peer.0, ?clock, "connection cut"),
    }
}

/// Why a connection did not end by itself.
enum Ended {
    Failed(BoxError),
    ClientLeft,
    TimeUp(Clock),
}

/// Ready with the clock that has run out.
fn poll_clocks(
    mut alarm: Pin<&mut Sleep>,
    activity: &SharedActivity,
    settings: &ConnectionSettings,
    cx: &mut Context<'_>,
) -> Poll<Clock> {
    loop {
        let Some(due) = activity.lock().due(settings) else {
            return Poll::Pending;
        };
        // An alarm set too early costs one idle wake-up; setting it anew for each request would cost
        // a timer operation for each.
        if alarm.deadline() > due.at {
            alarm.as_mut().reset(due.at);
        }
        ready!(alarm.as_mut().poll(cx));
        if due.at <= Instant::now() {
            return Poll::Ready(due.clock);
        }
        alarm.as_mut().reset(due.at);
    }
}

fn builder(executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        // Also hyper's limit for an idle connection, so it cannot tell a slow head from a quiet
        // client; `phase` can.
        .header_read_timeout(None)
        // A client that has shut its side counts as gone, which frees its upstream call at once. TCP
        // shows no difference between one that still listens and one that has left.
        .half_close(false)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_send_buf_size(MAX_HEAD_BYTES)
        .initial_stream_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_WINDOW);
    builder
}

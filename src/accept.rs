//! Listener to hyper connections around one service: accepting, the clocks and bounds of a
//! connection, and the orderly end.
//!
//! Owns     the listener (`door`) and every open connection.
//! Called   by the program, once per listening address: a [`Door`], then `serve` with the service made of
//!          all routes.
//! Bounded  by `max_connections` (above it the kernel's backlog holds newcomers) and, per connection,
//!          by what `connection` and `phase` say.
//! Fails    never while it serves: an accept error is logged and accepting goes on; a connection that
//!          fails, or whose task panics, ends alone.
//!
//! ```text
//! serve ── connection::run ── hyper ── exchange ── service
//!               │ phase: which clock runs   └─ stream: one task per HTTP/2 stream
//!               ├ handshake: TLS, where it is served
//!               └ socket, outbound: tell phase what passes; lingers at the end
//! ```

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body::Body;
use hyper::service::Service;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

mod bodies;
mod connection;
mod door;
mod exchange;
mod handshake;
mod head;
mod outbound;
mod phase;
mod socket;
mod stream;

pub use bodies::RequestBody;
use connection::{Serving, Shared};
pub use door::Door;
pub use handshake::SPEAKS_TLS;
pub use head::HeadFault;

/// What hyper takes as the error of an answer's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long accepting rests when the process or the machine has run out of something: connections
/// that end meanwhile give it back, and trying at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A shortage that lasts is reported this often.
const WARNING_PERIOD: Duration = Duration::from_secs(10);

/// The clocks and bounds of connections, read anew for each, so that a reload reaches the next one.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// What speaks TLS on the connection; `None` is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// From the first byte of a request head to its last; a TLS handshake has as long.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request, the first one included.
    pub keep_alive: Duration,
    /// How long a client may take no byte of an answer that waits for it.
    pub write_timeout: Duration,
    /// Open connections at once; the next one waits in the backlog.
    pub max_connections: usize,
}

/// Beyond a year a timeout means never; kept there, a point in time cannot overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

impl ConnectionSettings {
    fn bounded(self) -> Self {
        Self {
            header_timeout: self.header_timeout.min(LONGEST_TIMEOUT),
            keep_alive: self.keep_alive.min(LONGEST_TIMEOUT),
            write_timeout: self.write_timeout.min(LONGEST_TIMEOUT),
            ..self
        }
    }
}

/// Where a request comes from: an extension of every request. An IPv4 client of an IPv6 listener
/// appears under its IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What stands behind `?` in a request's target, as it came: an extension of every request that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(pub Box<str>);

/// What is left of a request whose handler panicked.
#[derive(Debug)]
pub struct Panicked<'a> {
    /// What was asked for; says in which protocol to answer.
    pub uri: &'a Uri,
    /// The panic's message, for the log and never for the client.
    pub message: &'a str,
}

/// Answers, and logs, a request whose handler panicked.
pub type PanicAnswer<B> = fn(&Panicked<'_>) -> Response<B>;

/// Accepts and serves connections until `stop`, then waits until the last one has ended.
///
/// The service never fails, it answers; a warp filter becomes one as
/// `TowerToHyperService::new(warp::service(filter))`.
///
/// After `stop` the door is closed, connections between two requests end at once, and the others
/// when their running requests have ended. Where the door hands over, each connection may have one more request
/// first, so that none is lost that was on its way. `kill` closes what is left, at any time: handlers and
/// answers are dropped where they are. Dropping the future does the same.
pub async fn serve<S, B>(
    door: Door,
    service: S,
    on_panic: PanicAnswer<B>,
    settings: impl Fn() -> ConnectionSettings,
    stop: CancellationToken,
    kill: CancellationToken,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let shared = Shared { hands_over: door.hands_over(), ..Shared::default() };
    let mut connections = JoinSet::new();
    let spawn = |connections: &mut JoinSet<()>, (stream, address), settings| {
        let peer = prepare(&stream, address);
        let (service, shared) = (service.clone(), shared.clone());
        connections.spawn(connection::run(stream, Serving { peer, service, on_panic, settings, shared }));
    };
    let mut shortage = Shortage::default();
    loop {
        let full = connections.len() >= settings().bounded().max_connections;
        if full {
            shortage.warn(&"max_connections reached");
        }
        let accepted = tokio::select! {
            biased;
            () = kill.cancelled() => break,
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = door.accept(), if !full => accepted,
        };
        match accepted {
            // A reload may have come while nobody connected: a new certificate counts from its next connection on.
            Ok(accepted) => spawn(&mut connections, accepted, settings().bounded()),
            Err(error) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "a client left before it was accepted");
            }
            Err(error) => {
                shortage.warn(&error);
                tokio::select! {
                    () = sleep(ACCEPT_PAUSE) => {}
                    () = stop.cancelled() => {}
                    () = kill.cancelled() => {}
                }
            }
        }
    }
    for accepted in door.close() {
        spawn(&mut connections, accepted, settings().bounded());
    }
    drain(connections, &shared, &kill).await;
}

/// Waits for every connection, or ends them all when `kill` comes.
async fn drain(mut connections: JoinSet<()>, shared: &Shared, kill: &CancellationToken) {
    shared.stop.stop();
    loop {
        tokio::select! {
            biased;
            () = kill.cancelled() => {
                connections.shutdown().await;
                break;
            }
            ended = connections.join_next() => match ended {
                Some(ended) => report(ended),
                None => break,
            },
        }
    }
    // With its connection gone each stream is woken and ends.
    shared.streams.close();
    shared.streams.wait().await;
}

/// Makes an accepted stream ready and gives the address its client is known by.
fn prepare(stream: &TcpStream, address: SocketAddr) -> Peer {
    // Each piece of an answer is one write; holding it back for more would add up to 40 ms. Where it
    // fails the client has gone already, which the first read will tell.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    Peer(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Whether an accept error is the fault of the connection it would have given. Each such error has
/// taken one out of the backlog, so trying again at once cannot spin. All others (out of file
/// descriptors, memory, buffers) hold for the next connection too.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A connection's task ended; the one way to do so wrongly is a panic outside of a handler.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(error = error.to_string(), "a connection's task panicked; it alone was closed");
    }
}

/// Keeps a lasting shortage from filling the log.
#[derive(Default)]
struct Shortage {
    warned: Option<Instant>,
}

impl Shortage {
    /// Warns unless that was done less than [`WARNING_PERIOD`] ago.
    fn warn(&mut self, cause: &dyn std::fmt::Display) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARNING_PERIOD) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                cause = cause.to_string(),
                "cannot accept connections for now; they wait in the backlog"
            );
        }
    }
}

#[cfg(test)]
mod tests;

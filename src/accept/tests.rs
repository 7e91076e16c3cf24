//! Connections over real loopback sockets, with raw bytes where the bytes matter.
//!
//! Clocks are configured short and tests wait for what they cause (a close, a drop), never for time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

mod ending;
mod filters;
mod http1;
mod http2;
mod timeouts;

type TestBody = UnsyncBoxBody<Bytes, Infallible>;

/// Long enough never to run out in a test.
const NEVER: Duration = Duration::from_secs(600);

/// A test that waits longer than this for an event has failed.
const PATIENCE: Duration = Duration::from_secs(10);

const PATIENT: ConnectionSettings = ConnectionSettings {
    tls: None,
    header_timeout: NEVER,
    keep_alive: NEVER,
    write_timeout: NEVER,
    max_connections: 2_000,
};

async fn within<F: Future>(event: F) -> F::Output {
    timeout(PATIENCE, event).await.expect("nothing happened")
}

/// What the service reports of the paths that never end by themselves.
#[derive(Debug, PartialEq)]
enum Event {
    Began(String),
    Dropped(String),
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    kill: CancellationToken,
    serving: JoinHandle<()>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Lets `/wait` answer.
    go_on: Arc<Notify>,
}

impl Server {
    async fn start(settings: ConnectionSettings) -> Self {
        let door = Door::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        let address = door.address().unwrap();
        let (report, events) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let notified = Arc::clone(&go_on);
        let service = service_fn(move |request| route(request, report.clone(), Arc::clone(&notified)));
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let serving = tokio::spawn(serve(
            door,
            service,
            panic_answer,
            move || settings.clone(),
            stop.clone(),
            kill.clone(),
        ));
        Self { address, stop, kill, serving, events, go_on }
    }

    async fn connect(&self) -> RawClient {
        RawClient(TcpStream::connect(self.address).await.unwrap())
    }

    async fn event(&mut self) -> Event {
        within(self.events.recv()).await.unwrap()
    }

    async fn ended(self) {
        within(self.serving).await.unwrap();
    }
}

fn panic_answer(panicked: &Panicked<'_>) -> Response<TestBody> {
    let text = format!("{} panicked: {}", panicked.uri.path(), panicked.message);
    answer(StatusCode::INTERNAL_SERVER_ERROR, text)
}

fn answer(status: StatusCode, text: impl Into<Bytes>) -> Response<TestBody> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Reports its end, whichever way it comes.
struct Reporter {
    path: String,
    report: mpsc::UnboundedSender<Event>,
}

impl Reporter {
    fn new(path: &str, report: mpsc::UnboundedSender<Event>) -> Self {
        let path = path.to_owned();
        let _ = report.send(Event::Began(path.clone()));
        Self { path, report }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        let _ = self.report.send(Event::Dropped(path));
    }
}

/// A body that never ends: `first`, then `piece` again and again, or silence where there is none.
struct Endless {
    _reporter: Reporter,
    first: Option<Bytes>,
    piece: Option<Bytes>,
}

impl Stream for Endless {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.first.take().or_else(|| self.piece.clone()) {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

async fn route(
    request: Request<RequestBody>,
    report: mpsc::UnboundedSender<Event>,
    go_on: Arc<Notify>,
) -> Result<Response<TestBody>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = match path.as_str() {
        "/peer" => {
            let peer = request.extensions().get::<Peer>().unwrap();
            answer(StatusCode::OK, peer.0.to_string())
        }
        // Answers without reading the body.
        "/refuse" => answer(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
        "/read" => match request.into_body().collect().await {
            Ok(body) => answer(StatusCode::OK, body.to_bytes().len().to_string()),
            Err(_) => answer(StatusCode::BAD_REQUEST, "broken"),
        },
        "/panic" => panic!("on purpose"),
        "/hang" => {
            let _reporter = Reporter::new(&path, report);
            std::future::pending().await
        }
        "/wait" => {
            let _ = report.send(Event::Began(path.clone()));
            go_on.notified().await;
            answer(StatusCode::OK, path)
        }
        "/flood" => streamed(Endless {
            _reporter: Reporter::new(&path, report),
            first: None,
            piece: Some(Bytes::from(vec![b'x'; 16 * 1024])),
        }),
        "/quiet" => streamed(Endless {
            _reporter: Reporter::new(&path, report),
            first: Some(Bytes::from_static(b"first")),
            piece: None,
        }),
        // Three pieces of unknown length in all.
        "/pieces" => streamed(
            futures_util::stream::iter(["a", "b", "c"])
                .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))),
        ),
        other => answer(StatusCode::OK, other.to_owned()),
    };
    Ok(response)
}

fn streamed(
    stream: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static,
) -> Response<TestBody> {
    Response::new(StreamBody::new(stream).boxed_unsync())
}

/// A client that sends and reads bytes as the test says.
struct RawClient(TcpStream);

/// An answer as it came, with a body by `content-length` alone.
struct RawAnswer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl RawClient {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn get(&mut self, path: &str) -> RawAnswer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        self.answer().await
    }

    async fn head(&mut self) -> (u16, HeaderMap) {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(within(self.0.read_u8()).await.unwrap());
        }
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
            })
            .collect();
        (status, headers)
    }

    async fn answer(&mut self) -> RawAnswer {
        let (status, headers) = self.head().await;
        let length =
            headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        within(self.0.read_exact(&mut body)).await.unwrap();
        RawAnswer { status, headers, body: String::from_utf8(body).unwrap() }
    }

    /// All that still comes until the server closes. A reset is a close too: there the server left
    /// bytes of ours unread.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within(self.0.read_to_end(&mut rest)).await;
        rest
    }

    /// Waits for the server's close and says how long that took. Nothing may come before it.
    async fn closed_after(&mut self, since: Instant) -> Duration {
        assert_eq!(self.rest().await, b"");
        since.elapsed()
    }
}

/// Whether a clock set to `set` ran out when it should: not before, and without much delay.
fn ran_out(elapsed: Duration, set: Duration) -> bool {
    // Timers tick in milliseconds, and a busy machine may be late, but not by another clock's length.
    elapsed + Duration::from_millis(2) >= set && elapsed < set + Duration::from_secs(2)
}

#[test]
fn an_accept_error_of_one_connection_needs_no_pause_and_a_shortage_does() {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Other, OutOfMemory};
    for kind in [ConnectionAborted, ConnectionReset] {
        assert!(concerns_one_connection(&kind.into()));
    }
    for kind in [OutOfMemory, Other] {
        assert!(!concerns_one_connection(&kind.into()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn running_out_of_file_descriptors_is_a_shortage() {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    for code in [ENFILE, EMFILE] {
        assert!(!concerns_one_connection(&io::Error::from_raw_os_error(code)));
    }
}

#[tokio::test]
async fn a_port_can_be_bound_again_while_old_connections_wait_for_their_end() {
    let server = Server::start(PATIENT).await;
    let address = server.address;
    let mut client = server.connect().await;
    assert_eq!(client.get("/a").await.status, 200);
    // The server closes first, so that its side is the one in TIME_WAIT.
    server.stop.cancel();
    server.ended().await;
    assert_eq!(client.rest().await, b"");
    drop(client);
    Door::bind(address, false).unwrap();
}

#[tokio::test]
async fn five_hundred_idle_connections_do_not_keep_the_next_one_waiting() {
    let server = Server::start(PATIENT).await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(server.connect().await);
    }
    let mut client = server.connect().await;
    assert_eq!(client.get("/a").await.body, "/a");
    for client in &mut idle[..10] {
        assert_eq!(client.get("/b").await.body, "/b");
    }
}

#[tokio::test]
async fn above_the_bound_a_connection_waits_until_another_has_ended() {
    let server = Server::start(ConnectionSettings { max_connections: 2, ..PATIENT }).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    assert_eq!(first.get("/1").await.status, 200);
    assert_eq!(second.get("/2").await.status, 200);

    let mut third = server.connect().await;
    third.send("GET /3 HTTP/1.1\r\nhost: test\r\n\r\n").await;
    // The others go on being served while it waits.
    assert_eq!(first.get("/1").await.status, 200);
    let mut byte = [0];
    assert!(third.0.try_read(&mut byte).is_err());

    drop(second);
    assert_eq!(third.answer().await.body, "/3");
}

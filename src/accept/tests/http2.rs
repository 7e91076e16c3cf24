//! HTTP/2 with prior knowledge: the same promises, per stream.

use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::*;

const SHORT: Duration = Duration::from_millis(150);

struct Http2Client {
    requests: SendRequest<Empty<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    /// The same socket, to leave without a goodbye.
    socket: std::net::TcpStream,
}

impl Http2Client {
    async fn connect(server: &Server) -> Self {
        Self::connect_with(server, |_| {}).await
    }

    async fn connect_with(server: &Server, configure: impl FnOnce(&mut Builder<TokioExecutor>)) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let stream = stream.into_std().unwrap();
        let socket = stream.try_clone().unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        let mut builder = Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new());
        configure(&mut builder);
        let (requests, connection) = within(builder.handshake(TokioIo::new(stream))).await.unwrap();
        Self { requests, connection: tokio::spawn(connection), socket }
    }

    async fn ask(&mut self, method: &str, path: &str) -> Response<Incoming> {
        let request =
            Request::builder().method(method).uri(format!("http://test{path}")).body(Empty::new()).unwrap();
        within(self.requests.send_request(request)).await.unwrap()
    }

    async fn get(&mut self, path: &str) -> String {
        let response = self.ask("GET", path).await;
        let body = within(response.into_body().collect()).await.unwrap();
        String::from_utf8(body.to_bytes().into()).unwrap()
    }

    /// Waits until the server has closed the connection.
    async fn closed(self) {
        let _ = within(self.connection).await.unwrap();
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served() {
    let server = Server::start(PATIENT).await;
    let mut client = Http2Client::connect(&server).await;
    assert_eq!(client.get("/a").await, "/a");
    assert_eq!(client.get("/pieces").await, "abc");
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_and_no_body_on_http2_too() {
    let server = Server::start(PATIENT).await;
    let mut client = Http2Client::connect(&server).await;
    let response = client.ask("HEAD", "/length").await;
    assert_eq!(response.headers()["content-length"], "7");
    let body = within(response.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "");
    assert_eq!(client.get("/a").await, "/a");
}

#[tokio::test]
async fn a_panic_on_one_stream_is_answered() {
    let server = Server::start(PATIENT).await;
    let mut client = Http2Client::connect(&server).await;
    assert_eq!(client.get("/panic").await, "/panic panicked: on purpose");
    assert_eq!(client.get("/a").await, "/a");
}

#[tokio::test]
async fn pings_between_requests_neither_trip_the_header_clock_nor_keep_a_connection_alive() {
    let keep_alive = SHORT * 3;
    let server = Server::start(ConnectionSettings { header_timeout: SHORT, keep_alive, ..PATIENT }).await;
    let mut client = Http2Client::connect_with(&server, |builder| {
        builder.keep_alive_interval(SHORT / 10).keep_alive_while_idle(true);
    })
    .await;
    assert_eq!(client.get("/a").await, "/a");
    let start = Instant::now();
    client.closed().await;
    let elapsed = start.elapsed();
    assert!(ran_out(elapsed, keep_alive), "after {elapsed:?}");
}

#[tokio::test]
async fn a_connection_with_a_running_stream_is_not_idle() {
    let mut server = Server::start(ConnectionSettings { keep_alive: SHORT / 10, ..PATIENT }).await;
    let mut client = Http2Client::connect(&server).await;
    let running = client.ask("GET", "/quiet").await;
    assert_eq!(server.event().await, Event::Began("/quiet".into()));
    assert!(timeout(SHORT, server.events.recv()).await.is_err());
    assert_eq!(client.get("/a").await, "/a");
    drop(running);
    assert_eq!(server.event().await, Event::Dropped("/quiet".into()));
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_alone() {
    let mut server = Server::start(ConnectionSettings { write_timeout: SHORT, ..PATIENT }).await;
    let mut client = Http2Client::connect(&server).await;
    let start = Instant::now();
    let unread = client.ask("GET", "/flood").await;
    assert_eq!(server.event().await, Event::Began("/flood".into()));
    assert_eq!(server.event().await, Event::Dropped("/flood".into()));
    assert!(ran_out(start.elapsed(), SHORT), "{:?}", start.elapsed());
    drop(unread);
    assert_eq!(client.get("/a").await, "/a");
}

#[tokio::test]
async fn a_quiet_stream_is_not_taken_for_one_that_is_not_read() {
    let mut server = Server::start(ConnectionSettings { write_timeout: SHORT / 10, ..PATIENT }).await;
    let mut client = Http2Client::connect(&server).await;
    let _running = client.ask("GET", "/quiet").await;
    assert_eq!(server.event().await, Event::Began("/quiet".into()));
    assert!(timeout(SHORT, server.events.recv()).await.is_err());
}

#[tokio::test]
async fn a_client_that_leaves_has_the_handlers_of_all_its_streams_dropped() {
    let mut server = Server::start(PATIENT).await;
    let mut client = Http2Client::connect(&server).await;
    let _body = client.ask("GET", "/quiet").await;
    assert_eq!(server.event().await, Event::Began("/quiet".into()));
    let mut requests = client.requests.clone();
    let hanging = tokio::spawn(async move {
        let request = Request::get("http://test/hang").body(Empty::new()).unwrap();
        requests.send_request(request).await
    });
    assert_eq!(server.event().await, Event::Began("/hang".into()));
    client.socket.shutdown(std::net::Shutdown::Both).unwrap();
    let mut dropped = [server.event().await, server.event().await];
    dropped.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(dropped, [Event::Dropped("/hang".into()), Event::Dropped("/quiet".into())]);
    assert!(within(hanging).await.unwrap().is_err());
}

#[tokio::test]
async fn stopping_says_goodbye_to_an_idle_http2_connection_at_once() {
    let server = Server::start(PATIENT).await;
    let mut client = Http2Client::connect(&server).await;
    assert_eq!(client.get("/a").await, "/a");
    server.stop.cancel();
    client.closed().await;
    server.ended().await;
}

#[tokio::test]
async fn killing_drops_the_handlers_of_http2_streams() {
    let mut server = Server::start(PATIENT).await;
    let mut client = Http2Client::connect(&server).await;
    let _body = client.ask("GET", "/quiet").await;
    assert_eq!(server.event().await, Event::Began("/quiet".into()));
    server.kill.cancel();
    assert_eq!(server.event().await, Event::Dropped("/quiet".into()));
    client.closed().await;
    server.ended().await;
}

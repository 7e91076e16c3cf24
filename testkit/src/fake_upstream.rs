//! LLM providers on a loopback port: OpenAI's, Anthropic's and Gemini's APIs as the real ones speak
//! them, told apart by a request's path, and every way in which they have been seen to fail.
//!
//! ```text
//! FakeUpstream ─ accepts ─┬─ connection (http1) ── request → Seen ─┐
//!                         └─ connection (http2) ── request → Seen ─┤  when → script → always → the real API's answer
//!                                                                  └─ Reply → plan → bytes, waits, a fault
//! ```
//!
//! Owns     the port, the replies that wait, the requests seen, and the tasks that serve them.
//! Called   by tests in process, and by the `fake-upstream` binary for other languages' SDKs.
//! Bounded  the last [`KEPT_REQUESTS`] requests are kept, with answers of at most 16 MiB. It sleeps
//!          only where a reply asks for it.
//! Fails    a request that is not HTTP, or a `when` that panics, panics in the fake's task, and
//!          again in the test when the fake is dropped.

mod http1;
mod http2;
mod switchboard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use crate::deadline::patiently;
use crate::reply::Reply;
use crate::seen::{Billed, Seen};
use switchboard::Switchboard;

/// How many requests are kept to be looked at, unless a test wants fewer. Tests see dozens; of a
/// storm at about 2 KB each these are 20 MB.
pub const KEPT_REQUESTS: usize = 10_000;

/// What a new connection meets before its first request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Closed at once, unread.
    Close,
    /// Reset at once, unread.
    Reset,
    /// HTTP/2 only: the first request is answered by GOAWAY with last stream id 0 ("I have begun
    /// none of yours"), then the connection is closed.
    GoAway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// The upstream. Lives on the runtime that started it; dropping it closes its port and all its
/// connections, and raises a panic of its tasks again.
pub struct FakeUpstream {
    address: SocketAddr,
    switchboard: Arc<Switchboard>,
    handed_out: AtomicUsize,
}

impl FakeUpstream {
    /// Listens on a free loopback port, HTTP/1.1.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Listens on a given loopback port, HTTP/1.1.
    pub async fn start_on(port: u16) -> Self {
        Self::listen(port, Protocol::Http1).await
    }

    /// Listens on a free loopback port for HTTP/2 without TLS, known beforehand (h2c).
    pub async fn start_h2c() -> Self {
        Self::listen(0, Protocol::Http2).await
    }

    async fn listen(port: u16, protocol: Protocol) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let switchboard = Arc::new(Switchboard::default());
        switchboard.spawn(accept(Arc::clone(&switchboard), listener, protocol));
        Self { address, switchboard, handed_out: AtomicUsize::new(0) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is configured with: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What a client of Gemini is configured with: `http://127.0.0.1:PORT`, and `/v1beta` behind it
    /// where it wants the version.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next POST gets this reply, the one after that the reply scripted next, and so on.
    ///
    /// GETs (the model list) don't use the script up: when a client asks for models is its own affair.
    pub fn script(&self, reply: Reply) {
        self.switchboard.script(reply);
    }

    /// From now on every POST that finds the script empty gets this reply.
    pub fn always(&self, reply: Reply) {
        self.switchboard.always(reply);
    }

    /// From now on every request that `applies` gets this reply, whatever is scripted. The rule
    /// made first wins.
    pub fn when(&self, applies: impl Fn(&Seen) -> bool + Send + Sync + 'static, reply: Reply) {
        let reply = Arc::new(reply);
        self.switchboard.decide(Arc::new(move |seen| applies(seen).then(|| Arc::clone(&reply))));
    }

    /// As [`FakeUpstream::when`], with a reply that depends on the request; `None` leaves it to
    /// the next rule.
    pub fn decide(&self, rule: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        self.switchboard.decide(Arc::new(move |seen| rule(seen).map(Arc::new)));
    }

    /// Keeps only the last `n` requests and their answers from now on, at most [`KEPT_REQUESTS`]:
    /// for long runs, where nobody looks at them. Counts and bills go on.
    pub fn keep_requests(&self, n: usize) {
        self.switchboard.keep_requests(n.min(KEPT_REQUESTS));
    }

    /// The next `n` connections meet this greeting.
    pub fn greet(&self, n: usize, greeting: Greeting) {
        self.switchboard.greet(n, greeting);
    }

    /// How many requests have arrived in full.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.switchboard.requests()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.switchboard.connections()
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.switchboard.in_flight()
    }

    /// Request number `n`, from 0.
    ///
    /// # Panics
    /// If it has not arrived yet, or is no longer kept.
    #[must_use]
    pub fn request(&self, n: usize) -> Seen {
        self.switchboard.request(n)
    }

    /// The first request that this function has not returned yet; waits for it.
    pub async fn next_request(&self) -> Seen {
        let n = self.handed_out.fetch_add(1, Ordering::Relaxed);
        self.arrived(n + 1).await;
        self.request(n)
    }

    /// Waits until `n` requests have arrived.
    pub async fn arrived(&self, n: usize) {
        let what = format!("request {} to reach the upstream", n.saturating_sub(1));
        patiently(&what, self.switchboard.arrived(n)).await;
    }

    /// Waits until `n` pieces of the answer to the latest request have been written; for the
    /// first request when none has come. What a piece is: [`crate::reply`].
    pub async fn has_sent(&self, n: usize) {
        self.arrived(1).await;
        self.request(self.requests() - 1).has_sent(n).await;
    }

    /// Waits until nothing is being answered.
    pub async fn idle(&self) {
        patiently("the upstream to be idle", self.switchboard.idle()).await;
    }

    /// What it charges for each request, in their order, so far; of those kept.
    #[must_use]
    pub fn billed(&self) -> Vec<Billed> {
        self.switchboard.billed()
    }

    /// What it charges for all requests together, so far.
    #[must_use]
    pub fn billed_total(&self) -> Billed {
        self.switchboard.billed_total()
    }

    /// Ends the fake and checks that the script was used up.
    ///
    /// # Panics
    /// If scripted replies are left, or one of the fake's tasks panicked.
    pub fn finish(self) {
        let left = self.switchboard.script_left();
        drop(self);
        assert!(left == 0, "{left} scripted replies were never asked for");
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        let panicked = self.switchboard.dismiss();
        if let Some(payload) = panicked
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(payload);
        }
    }
}

async fn accept(switchboard: Arc<Switchboard>, listener: TcpListener, protocol: Protocol) {
    loop {
        let (stream, _) = listener.accept().await.expect("connections can be accepted");
        stream.set_nodelay(true).expect("a TCP socket takes TCP_NODELAY");
        let (number, greeting) = switchboard.connected();
        let board = Arc::clone(&switchboard);
        match (greeting, protocol) {
            (Some(Greeting::Close), _) => drop(stream),
            (Some(Greeting::Reset), _) => {
                stream.set_zero_linger().expect("a TCP socket takes SO_LINGER");
            }
            (Some(Greeting::GoAway), Protocol::Http2) => switchboard.spawn(http2::go_away(stream)),
            (Some(Greeting::GoAway), Protocol::Http1) => panic!("GOAWAY needs `start_h2c`"),
            (None, Protocol::Http1) => switchboard.spawn(http1::serve(board, stream, number)),
            (None, Protocol::Http2) => switchboard.spawn(http2::serve(board, stream, number)),
        }
    }
}

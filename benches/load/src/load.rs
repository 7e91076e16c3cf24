//! The load generator: connections that ask, one request after the other, and check every answer.
//!
//! Owns     the client side of a cell: its connections and what they measured.
//! Called   by [`crate::bench`] and the other runs with a target, a workload and a time.
//! Bounded  by [`ANSWER_LIMIT`] per request and [`FAILURES_MAX`] per connection and phase.
//! Fails    never as a whole: each request that did not get exactly the bytes it must get is counted as a
//!          [`Failure`], and its connection is opened anew.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::expected::Expected;
use crate::scenario::Scenario;

/// How long one answer may take unless a run says otherwise: thirty times the longest workload's.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// After so many failures a connection rests until the phase ends: a target that is down is not hammered.
const FAILURES_MAX: u64 = 20;

/// What a client talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum TargetKind {
    /// The fake upstream itself: what there is to add to.
    Direct,
    /// nginx, which looks the key up in a map and proxies with keep-alive.
    Nginx,
    /// This project's gateway.
    Gateway,
    /// The same gateway with its accounts in memory alone: what it costs to keep them.
    NoLedger,
    /// The same gateway before an upstream that speaks Anthropic's API: what it costs to translate.
    Translated,
    /// The same gateway with `max_attempts = 1`, so that nothing is ever asked again.
    NoFailover,
    /// The same gateway whose models have three targets with two keys each.
    Pool,
}

impl TargetKind {
    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Gateway => "gateway",
            Self::NoLedger => "no-ledger",
            Self::Translated => "translated",
            Self::NoFailover => "no-failover",
            Self::Pool => "pool",
        }
    }

    /// What people read, in tables and in errors.
    pub fn title(self) -> &'static str {
        match self {
            Self::NoLedger => "gateway without its ledger",
            Self::Translated => "gateway, translating",
            Self::NoFailover => "gateway with `max_attempts = 1`",
            Self::Pool => "gateway, 3 targets with 2 keys each",
            Self::Direct | Self::Nginx | Self::Gateway => self.name(),
        }
    }
}

/// A target's address and the keys that its callers use.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Where it listens.
    pub address: SocketAddr,
    /// The root of its processes, whose CPU time is counted; the upstream itself is charged to nobody.
    pub pid: Option<u32>,
    /// The `Authorization` values of its callers; requests are spread over them.
    pub authorizations: Arc<[HeaderValue]>,
}

/// What a phase does to a target.
#[derive(Debug)]
pub struct Load {
    target: Target,
    host: HeaderValue,
    /// How long an answer takes because its upstream takes that long.
    upstream_time: Duration,
    request_body: Bytes,
    expected: Expected,
    patience: Duration,
    pace: Pace,
}

/// When a connection asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As soon as it has its answer.
    AtOnce,
    /// So long after it asked last, so that the load is the same however fast the target is. Where the answer takes
    /// longer it asks at once, and the load is less.
    Every(Duration),
}

impl Load {
    /// Prepares a workload against a target: each connection asks again at once.
    pub fn new(target: Target, scenario: Scenario) -> Self {
        let host = HeaderValue::from_str(&target.address.to_string())
            .unwrap_or(HeaderValue::from_static("127.0.0.1"));
        let expected = match target.kind {
            TargetKind::Translated => scenario.translated(),
            TargetKind::Direct
            | TargetKind::Nginx
            | TargetKind::Gateway
            | TargetKind::NoLedger
            | TargetKind::NoFailover
            | TargetKind::Pool => scenario.passed(),
        };
        Self {
            target,
            host,
            upstream_time: scenario.upstream_time(),
            request_body: scenario.request_body(),
            expected,
            patience: ANSWER_LIMIT,
            pace: Pace::AtOnce,
        }
    }

    /// The same with another body.
    pub fn asking(self, request_body: Bytes) -> Self {
        Self { request_body, ..self }
    }

    /// The same at another pace.
    pub fn paced(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same for clients that wait for an answer no longer than this.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn request(&self, authorization: HeaderValue) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.request_body.clone()));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = hyper::Uri::from_static("/v1/chat/completions");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, authorization);
        request
    }
}

/// Why an answer is not what it must be.
#[derive(Debug)]
pub enum Failure {
    /// No connection.
    Connect(io::Error),
    /// The connection or the answer broke.
    Http(hyper::Error),
    /// A status that is not 200, with the beginning of what it said.
    Status(StatusCode, String),
    /// The body is not what it must be from this byte on.
    Differs {
        /// How many bytes were right.
        at: usize,
    },
    /// The body ended early.
    Short {
        /// How many bytes came.
        received: usize,
        /// How many there must be.
        expected: usize,
    },
    /// No whole answer within the time the client gives it.
    TimedOut(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(out, "cannot connect: {error}"),
            Self::Http(error) => match std::error::Error::source(error) {
                Some(cause) => write!(out, "{error}: {cause}"),
                None => write!(out, "{error}"),
            },
            Self::Status(status, text) => write!(out, "status {status}: {text}"),
            Self::Differs { at } => write!(out, "the body is not what it must be from byte {at} on"),
            Self::Short { received, expected } => {
                write!(out, "the body ended after {received} of {expected} bytes")
            }
            Self::TimedOut(patience) => write!(out, "no whole answer within {patience:?}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

/// One keep-alive connection, opened when it is first needed and after each failure.
#[derive(Debug)]
pub struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
    next_key: usize,
    key_step: usize,
}

impl Connection {
    /// `count` connections that together go through all keys in turn.
    pub fn several(count: u16) -> Vec<Self> {
        let count = usize::from(count);
        (0..count).map(|first| Self { sender: None, next_key: first, key_step: count }).collect()
    }

    async fn open(&mut self, address: SocketAddr) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let open = match self.sender.take() {
            // A server may close behind any answer, as behind a refusal whose request it has not read.
            Some(mut open) => open.ready().await.is_ok().then_some(open),
            None => None,
        };
        let sender = match open {
            Some(open) => open,
            None => {
                let stream = TcpStream::connect(address).await.map_err(Failure::Connect)?;
                stream.set_nodelay(true).map_err(Failure::Connect)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                // Its errors reach the request they break.
                tokio::spawn(connection);
                sender
            }
        };
        let sender = self.sender.insert(sender);
        sender.ready().await?;
        Ok(sender)
    }

    /// One request with the next key, and its latency.
    pub async fn ask(&mut self, load: &Load) -> Result<Duration, Failure> {
        self.ask_until(load, Until::End).await
    }

    /// The same, but the connection is closed as soon as the latency is taken, with the rest of the answer to come.
    pub async fn ask_and_leave(&mut self, load: &Load) -> Result<Duration, Failure> {
        let outcome = self.ask_until(load, Until::Latency).await;
        self.sender = None;
        outcome
    }

    async fn ask_until(&mut self, load: &Load, until: Until) -> Result<Duration, Failure> {
        let keys = &load.target.authorizations;
        let authorization = keys[self.next_key % keys.len()].clone();
        self.next_key += self.key_step;
        let exchange = async {
            let sender = self.open(load.target.address).await?;
            exchange(sender, load, authorization, until).await
        };
        let outcome = tokio::time::timeout(load.patience, exchange).await;
        let outcome = outcome.unwrap_or(Err(Failure::TimedOut(load.patience)));
        // Behind a status with its body the connection is as good as before.
        if !matches!(outcome, Ok(_) | Err(Failure::Status(..))) {
            self.sender = None;
        }
        outcome
    }
}

/// How much of an answer a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// What the latency is measured to.
    Latency,
    /// All.
    End,
}

/// Sends one request and compares the answer with what it must be as it comes.
async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    load: &Load,
    authorization: HeaderValue,
    until: Until,
) -> Result<Duration, Failure> {
    let request = load.request(authorization);
    let started = Instant::now();
    let mut response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let start = &body[..body.len().min(300)];
        return Err(Failure::Status(status, String::from_utf8_lossy(start).into_owned()));
    }
    let mut comparison = load.expected.compare();
    let mut latency = None;
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        comparison.take(&data).map_err(|at| Failure::Differs { at })?;
        if comparison.is_past_latency() {
            let latency = *latency.get_or_insert_with(|| started.elapsed());
            if until == Until::Latency {
                return Ok(latency);
            }
        }
    }
    match latency {
        Some(latency) if comparison.is_whole() => Ok(latency),
        _ => Err(Failure::Short { received: comparison.received(), expected: load.expected.len() }),
    }
}

/// What a phase, or one connection of it, did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Right answers per second: the sum over connections, each over its own time, so that a connection
    /// that starts late or ends early does not lower the figure.
    pub per_second: f64,
    /// Latencies of the right answers, one each.
    pub latencies: Vec<Duration>,
    /// Requests that failed.
    pub failed: u64,
    /// The first failure, as an example.
    pub first_failure: Option<Failure>,
}

impl Tally {
    /// Right answers.
    pub fn answered(&self) -> usize {
        self.latencies.len()
    }

    /// Counts one request.
    pub fn count(&mut self, outcome: Result<Duration, Failure>) {
        match outcome {
            Ok(latency) => self.latencies.push(latency),
            Err(failure) => {
                self.failed += 1;
                self.first_failure.get_or_insert(failure);
            }
        }
    }

    /// Counts what another did too.
    pub fn add(&mut self, other: Self) {
        self.per_second += other.per_second;
        self.latencies.extend(other.latencies);
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// Lets every connection ask for `duration` and then finish what it is at: each request that costs the
/// target CPU time within the phase is counted, and none beyond. Every connection asks at least once.
/// Gives the connections back for the next phase.
///
/// Starts are spread over the time that an answer takes by itself, or the time between two requests, so that
/// connections are not in step.
pub async fn run_phase(
    connections: Vec<Connection>,
    load: &Arc<Load>,
    duration: Duration,
) -> (Vec<Connection>, Tally) {
    let started = Instant::now();
    // A u16 made the number of connections.
    let time_of_one = match load.pace {
        Pace::AtOnce => load.upstream_time,
        Pace::Every(period) => period,
    };
    let spread = time_of_one / u32::try_from(connections.len().max(1)).unwrap_or(u32::MAX);
    let mut running = JoinSet::new();
    for (delay, connection) in
        std::iter::successors(Some(Duration::ZERO), |last| Some(*last + spread)).zip(connections)
    {
        running.spawn(ask_until(connection, Arc::clone(load), started + delay, started + duration));
    }
    let mut idle = Vec::with_capacity(running.len());
    let mut total = Tally::default();
    for (connection, tally) in running.join_all().await {
        idle.push(connection);
        total.add(tally);
    }
    (idle, total)
}

async fn ask_until(
    mut connection: Connection,
    load: Arc<Load>,
    start: Instant,
    end: Instant,
) -> (Connection, Tally) {
    tokio::time::sleep_until(start.into()).await;
    let started = Instant::now();
    let mut next = started;
    let mut tally = Tally::default();
    loop {
        tally.count(connection.ask(&load).await);
        if let Pace::Every(period) = load.pace {
            next = (next + period).max(Instant::now());
            if next < end {
                tokio::time::sleep_until(next.into()).await;
            }
        }
        if next.max(Instant::now()) >= end || tally.failed >= FAILURES_MAX {
            break;
        }
    }
    tally.per_second = tally.answered() as f64 / started.elapsed().as_secs_f64();
    (connection, tally)
}

/// Asks once, on a connection of its own: does the target answer as it must?
pub async fn try_once(load: &Load) -> Result<(), Failure> {
    let mut connection = Connection { sender: None, next_key: 0, key_step: 1 };
    connection.ask(load).await.map(|_latency| ())
}

#[cfg(test)]
mod tests;

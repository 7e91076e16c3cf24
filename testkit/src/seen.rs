//! One request as it reached the upstream, and the events of its answer.
//!
//! Owns     nothing but what arrived; a clone is a handle to the same request.
//! Called   by tests, through `FakeUpstream::request` and its kin.
//! Bounded  the answer's body is kept up to 16 MiB; every wait ends after
//!          [`PATIENCE`](crate::deadline::PATIENCE).
//! Fails    by a panic that says what did not happen.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::deadline::patiently;
use crate::headers::Headers;

/// How much of an answer's body is kept for comparison: twice the longest data line that the
/// gateway must let pass (8 MiB).
const KEPT_ANSWER: usize = 16 << 20;

/// Tokens the upstream charges for: what its usage says, or for a stream that was cut, the prompt
/// and the pieces it had sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the answer.
    pub completion: u64,
}

impl Billed {
    /// Both together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.prompt + self.completion
    }
}

impl std::ops::AddAssign for Billed {
    fn add_assign(&mut self, more: Self) {
        self.prompt += more.prompt;
        self.completion += more.completion;
    }
}

/// How the writing of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Everything the reply asked for was done, its fault included.
    AsPlanned,
    /// The client closed the connection (HTTP/2: reset the stream) before that.
    ClientLeft,
}

/// Who closed a connection (HTTP/2: a stream), and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Connected,
    Left(Instant),
    SentAway,
}

/// What was written of an answer so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) pieces: usize,
    pub(crate) finish: Option<Finish>,
    pub(crate) billed: Billed,
    written: u64,
    body: Vec<Bytes>,
    kept: usize,
}

impl Progress {
    /// Notes body bytes that were written.
    pub(crate) fn keep(&mut self, bytes: &Bytes) {
        self.written += bytes.len() as u64;
        if self.kept + bytes.len() <= KEPT_ANSWER {
            self.kept += bytes.len();
            self.body.push(bytes.clone());
        }
    }
}

/// The parts of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) number: usize,
    pub(crate) connection: usize,
    pub(crate) at: Instant,
    pub(crate) version: http::Version,
    pub(crate) head: Bytes,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

/// A request that arrived in full.
#[derive(Clone, Debug)]
pub struct Seen {
    request: Arc<Request>,
    progress: watch::Receiver<Progress>,
    peer: watch::Receiver<Peer>,
}

impl Seen {
    pub(crate) fn new(
        request: Request,
        progress: watch::Receiver<Progress>,
        peer: watch::Receiver<Peer>,
    ) -> Self {
        Self { request: Arc::new(request), progress, peer }
    }

    /// Its place among all requests of this upstream, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.request.number
    }

    /// Which connection it came on, counted from 0.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.request.connection
    }

    /// When its last byte had been read, on tokio's clock.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.request.at
    }

    /// HTTP/1.1 or HTTP/2.
    #[must_use]
    pub fn version(&self) -> http::Version {
        self.request.version
    }

    /// The head's exact bytes with the empty line. Empty under HTTP/2, where it is compressed.
    #[must_use]
    pub fn head(&self) -> &Bytes {
        &self.request.head
    }

    /// The method as sent.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = &self.request.target;
        target.split_once('?').map_or(target.as_str(), |(path, _)| path)
    }

    /// The query without its question mark; empty when there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        let target = &self.request.target;
        target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The header lines.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.request.headers
    }

    /// The only value of a header; see [`Headers::get`].
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)
    }

    /// The body's exact bytes, without framing.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.request.body
    }

    /// The body read as JSON; `null` when it is none. Numbers beyond 2^64 lose digits here:
    /// compare [`Seen::body`] where they matter.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_default()
    }

    /// The body's `model`, for Gemini the one in the path; empty when there is none.
    #[must_use]
    pub fn model(&self) -> String {
        let in_body = self.json()["model"].as_str().map(str::to_owned);
        in_body.or_else(|| self.model_in_path().map(str::to_owned)).unwrap_or_default()
    }

    /// `M` of a path that ends in `/models/M:METHOD`.
    pub(crate) fn model_in_path(&self) -> Option<&str> {
        let (_, model) = self.path().split_once("/models/")?;
        let (model, _method) = model.rsplit_once(':')?;
        Some(model)
    }

    /// Waits until `n` pieces of its answer have been written. What a piece is:
    /// [`crate::reply`].
    ///
    /// # Panics
    /// If the answer ends with fewer.
    pub async fn has_sent(&self, n: usize) {
        let mut progress = self.progress.clone();
        let enough = progress.wait_for(|now| now.pieces >= n || now.finish.is_some());
        let what = format!("{n} pieces of the answer to request {}", self.number());
        let pieces = patiently(&what, enough).await.expect("the fake upstream outlives this wait").pieces;
        assert!(pieces >= n, "the answer ended after {pieces} pieces");
    }

    /// Waits until nothing more will be written as its answer.
    pub async fn finished(&self) -> Finish {
        let mut progress = self.progress.clone();
        let what = format!("the end of the answer to request {}", self.number());
        patiently(&what, progress.wait_for(|now| now.finish.is_some()))
            .await
            .expect("the fake upstream outlives this wait")
            .finish
            .expect("just waited for")
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.progress.borrow().finish.is_some()
    }

    /// Every byte of the answer's body as written, without HTTP's framing. Waits for its end.
    pub async fn answer_body(&self) -> Bytes {
        self.finished().await;
        let progress = self.progress.borrow();
        let mut whole = BytesMut::with_capacity(progress.kept);
        progress.body.iter().for_each(|part| whole.extend(part));
        whole.freeze()
    }

    /// How many bytes of its answer's body were written so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.progress.borrow().written
    }

    /// What the upstream charges for it, so far.
    #[must_use]
    pub fn billed(&self) -> Billed {
        self.progress.borrow().billed
    }

    /// Waits until the client closes the connection (HTTP/2: resets the stream), and says when
    /// that was noticed, on tokio's clock.
    ///
    /// # Panics
    /// If the fake itself closes it.
    pub async fn connection_closed(&self) -> Instant {
        let mut peer = self.peer.clone();
        let what = format!("the client to close connection {}", self.connection());
        let gone = patiently(&what, peer.wait_for(|peer| *peer != Peer::Connected))
            .await
            .expect("the fake upstream outlives this wait");
        match *gone {
            Peer::Left(at) => at,
            Peer::Connected | Peer::SentAway => panic!("the upstream itself closed the connection"),
        }
    }
}

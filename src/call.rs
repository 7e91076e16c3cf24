//! One attempt at an upstream: the clocks, and the commit point.
//!
//! Owns     nothing; it runs in the request's own future, so the call ends when the client leaves.
//! Called   by `attempts.rs`, with a [`Charge`] that says whom to call.
//! Bounded  by the clocks of the settings; a whole answer by `ANSWER_MAX`, an error body by `ERROR_BODY_MAX`,
//!          what is held before the commit point by `HELD_MAX`.
//! Fails    with an [`UpstreamFault`]; what follows from it is decided above. Until the commit point (the first content
//!          of a stream, its end, or the whole answer) nothing has reached the client, so another may be asked, and
//!          the status is still ours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use gateway_actors::Lease;
use gateway_protocols::event::{AnswerFault, AnswerStream, StreamFault, WholeAnswer};
use gateway_protocols::openai::{ChatAnswer, UpstreamErrorBody};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::charge::{Charge, Unattended};
use crate::decode;
use crate::echo;
use crate::quota;
use crate::resolve::Leg;
use crate::settings::ProviderKind;
use crate::upstream::{AnswerBody, UpstreamAnswer, UpstreamRequest, Upstreams, WireFault};

pub use pieces::{Came, Pieces};

mod pieces;
mod status_word;

/// The largest whole answer: four images in base64 at 6 MB each, and as much again.
pub const ANSWER_MAX: usize = 64 << 20;

/// The most that is read of an error's body; messages are cut shorter still.
const ERROR_BODY_MAX: usize = 64 << 10;

/// The most that is held before a stream's first content. Beyond it the preamble itself is content.
const HELD_MAX: usize = 256 << 10;

/// The clocks that run on a call, by their names in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Until a connection is made.
    Connect,
    /// Until the first content of a stream.
    FirstToken,
    /// Until the whole answer.
    Answer,
    /// Between two pieces of content.
    Stall,
    /// Between any two bytes.
    Silence,
    /// The whole request.
    Total,
}

impl Clock {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Answer => "answer",
            Self::Stall => "stall",
            Self::Silence => "silence",
            Self::Total => "total",
        }
    }
}

/// How an upstream failed a call.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UpstreamFault {
    /// On the wire.
    #[error("{0}")]
    Wire(#[from] WireFault),
    /// A clock ran out.
    #[error("the {} clock ({}) ran out", .clock.as_str(), in_words(*.after))]
    TimedOut {
        /// Which.
        clock: Clock,
        /// What it was set to.
        after: Duration,
    },
    /// It answered with a status that is no success.
    #[error("it answered with status {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// What its body says.
        body: Box<UpstreamErrorBody>,
        /// Its `retry-after` headers.
        retry: Box<RetryHeaders>,
    },
    /// A whole answer that cannot be used.
    #[error("{0}")]
    Answer(AnswerFault),
    /// A stream that cannot be used, or does not end as it must.
    #[error("{0}")]
    Stream(StreamFault),
    /// An answer above [`ANSWER_MAX`].
    #[error("its answer is larger than {ANSWER_MAX} bytes")]
    TooLarge,
    /// A stream was asked for, and something else came.
    #[error("it did not answer with an event stream")]
    NoEventStream,
    /// The answer is in an encoding that we do not know, or is damaged.
    #[error("its answer cannot be decoded")]
    Undecodable,
    /// It did answer. Its reservation could not be written, and nothing goes out that a crash could forget.
    #[error("the accounts cannot be written right now")]
    NotAccounted,
}

/// A duration in the largest unit that keeps it whole.
fn in_words(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// The upstream's own word on when to come again; passed on with its error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryHeaders {
    /// `retry-after`.
    pub after: Option<HeaderValue>,
    /// `retry-after-ms`.
    pub after_ms: Option<HeaderValue>,
    /// When to come again, in whatever form it was said.
    pub wait: Option<Duration>,
}

/// `retry-after-ms`, as OpenAI sends it.
pub static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

impl UpstreamFault {
    /// A fixed word for health statistics and logs: never the upstream's own text.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Wire(fault) => fault.as_str(),
            Self::TimedOut { clock, .. } => clock.as_str(),
            Self::Status { status, .. } => status_word::of(*status),
            Self::Answer(_) => "unusable answer",
            Self::Stream(_) => "broken stream",
            Self::TooLarge => "answer too large",
            Self::NoEventStream => "no event stream",
            Self::Undecodable => "undecodable answer",
            Self::NotAccounted => "not accounted",
        }
    }

    /// The same without the key that the call was made with. An upstream may repeat it, and one that is a plain
    /// word is not known by its look.
    pub fn without_key(mut self, lease: &Lease) -> Self {
        let said = match &mut self {
            Self::Status { body, .. } | Self::Stream(StreamFault::Upstream(body)) => body,
            _ => return self,
        };
        if let Some(key) = &lease.endpoint().api_key {
            let texts = [&mut said.message, &mut said.kind, &mut said.param, &mut said.code];
            for text in texts.into_iter().flatten().filter(|text| text.contains(key.expose())) {
                *text = text.replace(key.expose(), "***");
            }
        }
        self
    }

    /// The status that the upstream gave: of its answer, or of an error that came as a stream's event.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Stream(StreamFault::Upstream(error)) => status_of_error(error),
            _ => None,
        }
    }

    /// Whether the upstream found fault with the request and not with itself.
    pub fn is_callers(&self) -> bool {
        self.status().is_some_and(passes)
    }
}

/// The status that an error names which came without one, or the one that OpenAI and Anthropic give to its code or
/// type.
pub fn status_of_error(error: &UpstreamErrorBody) -> Option<StatusCode> {
    if let Some(status) = error.status {
        return StatusCode::from_u16(status).ok();
    }
    // The code first: OpenAI's type for a wrong key is `invalid_request_error`.
    [&error.code, &error.kind].into_iter().flatten().find_map(|word| match word.as_str() {
        "invalid_request_error" => Some(StatusCode::BAD_REQUEST),
        "authentication_error" | "invalid_api_key" => Some(StatusCode::UNAUTHORIZED),
        "permission_error" => Some(StatusCode::FORBIDDEN),
        "not_found_error" | "model_not_found" => Some(StatusCode::NOT_FOUND),
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => {
            Some(StatusCode::TOO_MANY_REQUESTS)
        }
        "overloaded_error" => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ => None,
    })
}

/// Statuses of an upstream that say something about the caller's request, and so reach the caller.
pub fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 409 | 413 | 422 | 429)
}

/// One attempt, but for its charge.
#[derive(Debug)]
pub struct Call<'a> {
    /// The HTTP clients.
    pub upstreams: &'a Upstreams,
    /// Whom to ask, and its clocks.
    pub leg: &'a Leg,
    /// When the client's request arrived: the total clock runs from here.
    pub arrived: Instant,
    /// What to send.
    pub request: &'a UpstreamRequest,
}

/// A whole answer.
#[derive(Debug)]
pub struct Whole {
    /// What the client gets.
    pub bytes: Bytes,
    /// The upstream's content type.
    pub content_type: Option<HeaderValue>,
    /// `openai-processing-ms`, if it came.
    pub processing_ms: Option<HeaderValue>,
    /// What it says.
    pub answer: WholeAnswer,
    /// How long the upstream took.
    pub upstream_time: Duration,
    /// The account of an answer that its upstream goes on with.
    pub unattended: Option<Unattended>,
}

/// Makes of an upstream's whole answer what the client gets, and says what is in it.
pub type ReadWhole = Box<dyn FnOnce(Bytes) -> Result<(Bytes, WholeAnswer), AnswerFault> + Send>;

/// The head of a stream whose first content, or end, has come.
#[derive(Debug)]
pub struct Begun {
    /// The rest.
    pub body: AnswerBody,
    /// `openai-processing-ms`, if it came.
    pub processing_ms: Option<HeaderValue>,
    /// How long the upstream took until here.
    pub upstream_time: Duration,
}

impl Call<'_> {
    /// Calls and takes the whole answer.
    ///
    /// # Errors
    /// Whatever kept a usable answer from coming.
    pub async fn whole(&self, charge: &mut Charge, read: ReadWhole) -> Result<Whole, UpstreamFault> {
        let sent = Instant::now();
        let until = [(Clock::Answer, sent, Some(self.leg.timeouts.answer)), self.total()];
        let head = self.head(charge, sent, until, false).await?;
        self.rest(charge, head, read, sent, until).await
    }

    /// The rest of a whole answer.
    async fn rest(
        &self,
        charge: &mut Charge,
        head: UpstreamAnswer,
        read: ReadWhole,
        sent: Instant,
        until: [Limit; 2],
    ) -> Result<Whole, UpstreamFault> {
        self.note_cached(charge, &head.headers);
        let (content_type, processing_ms) = passed(&head.headers);
        let mut body = decode::decoded(head.body, head.headers.get(CONTENT_ENCODING))
            .ok_or(UpstreamFault::Undecodable)?;
        let bytes = self.collect(&mut body, ANSWER_MAX, until).await?;
        let (bytes, answer) = read(bytes).map_err(UpstreamFault::Answer)?;
        charge.succeeded();
        charge.written().await.map_err(|_| UpstreamFault::NotAccounted)?;
        let upstream_time = sent.elapsed();
        Ok(Whole { bytes, content_type, processing_ms, answer, upstream_time, unattended: None })
    }

    /// Calls and waits for a stream's first content, or its end; what may go to the client then is in `held`.
    ///
    /// # Errors
    /// Whatever kept content from coming.
    pub async fn open(
        &self,
        charge: &mut Charge,
        scan: &mut dyn AnswerStream,
        held: &mut VecDeque<Bytes>,
    ) -> Result<Begun, UpstreamFault> {
        let sent = Instant::now();
        let (body, processing_ms) = self.first_content(charge, scan, held, sent).await?;
        charge.succeeded();
        charge.written().await.map_err(|_| UpstreamFault::NotAccounted)?;
        Ok(Begun { body, processing_ms, upstream_time: sent.elapsed() })
    }

    async fn first_content(
        &self,
        charge: &mut Charge,
        scan: &mut dyn AnswerStream,
        held: &mut VecDeque<Bytes>,
        sent: Instant,
    ) -> Result<(AnswerBody, Option<HeaderValue>), UpstreamFault> {
        let until = [(Clock::FirstToken, sent, Some(self.leg.timeouts.first_token)), self.total()];
        let head = self.head(charge, sent, until, true).await?;
        self.note_cached(charge, &head.headers);
        let (content_type, processing_ms) = passed(&head.headers);
        let mut body = decode::decoded(head.body, head.headers.get(CONTENT_ENCODING))
            .ok_or(UpstreamFault::Undecodable)?;
        if !content_type.as_ref().is_some_and(is_event_stream) {
            return Err(self.not_a_stream(&mut body, until).await);
        }
        let mut held_bytes = 0;
        while let Some(chunk) = self.next(&mut body, until).await? {
            held_bytes += chunk.len();
            scan.push(chunk, held).map_err(UpstreamFault::Stream)?;
            if scan.contents() > 0 || scan.is_terminal() || held_bytes > HELD_MAX {
                return Ok((body, processing_ms));
            }
        }
        scan.finish(held).map_err(UpstreamFault::Stream)?;
        Ok((body, processing_ms))
    }

    /// Some providers count what they read from a cache in a header, and leave it out of the usage.
    fn note_cached(&self, charge: &mut Charge, headers: &HeaderMap) {
        let named = self.leg.provider.quirks.cached_tokens_header.as_ref();
        let told = named.and_then(|name| headers.get(name)).and_then(|value| value.to_str().ok());
        if let Some(tokens) = told.and_then(|tokens| tokens.trim().parse().ok()) {
            charge.read_from_cache(tokens);
        }
    }

    /// A success that is no event stream: an error object says more than its content type.
    async fn not_a_stream(&self, body: &mut AnswerBody, until: [Limit; 2]) -> UpstreamFault {
        match self.collect(body, ERROR_BODY_MAX, until).await.map(|bytes| ChatAnswer::read(&bytes)) {
            // A whole answer in another protocol is none in this one.
            Ok(Ok(_) | Err(AnswerFault::NoChoices)) => UpstreamFault::NoEventStream,
            Ok(Err(fault)) => UpstreamFault::Answer(fault),
            Err(UpstreamFault::TooLarge) => UpstreamFault::NoEventStream,
            Err(fault) => fault,
        }
    }

    /// Sends, and judges the status.
    async fn head(
        &self,
        charge: &mut Charge,
        sent: Instant,
        until: [Limit; 2],
        streamed: bool,
    ) -> Result<UpstreamAnswer, UpstreamFault> {
        charge.sending(sent);
        let answer = if self.leg.provider.kind == ProviderKind::Echo {
            echo::answer(&self.request.body, streamed)
        } else {
            let connect = self.leg.timeouts.connect;
            let endpoint = Arc::clone(charge.lease().endpoint());
            // Each attempt is a span of its own; without traces the caller's header passes as it came.
            let traced = charge.traceparent().map(|parent| self.request.below(parent));
            let request = traced.as_ref().unwrap_or(self.request);
            let sending = self.upstreams.send(connect, &endpoint, request);
            within(self.silence_from(sent), until, sending).await?.map_err(|fault| match fault {
                WireFault::ConnectTimeout => {
                    UpstreamFault::TimedOut { clock: Clock::Connect, after: connect }
                }
                fault => UpstreamFault::Wire(fault),
            })?
        };
        charge.told(&answer.headers);
        if answer.status.is_success() || passes(answer.status) {
            charge.answered(sent.elapsed());
        }
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.error_status(answer, until).await)
    }

    async fn error_status(&self, answer: UpstreamAnswer, until: [Limit; 2]) -> UpstreamFault {
        let (status, headers) = (answer.status, answer.headers);
        let body = match decode::decoded(answer.body, headers.get(CONTENT_ENCODING)) {
            // An error whose body breaks off is still that error.
            Some(mut body) => self.collect(&mut body, ERROR_BODY_MAX, until).await.ok(),
            None => None,
        };
        let body = body.unwrap_or_default();
        let retry = Box::new(RetryHeaders {
            after: headers.get(RETRY_AFTER).cloned(),
            after_ms: headers.get(&RETRY_AFTER_MS).cloned(),
            wait: quota::retry_after(&headers, &body),
        });
        UpstreamFault::Status { status, body: Box::new(UpstreamErrorBody::read(&body)), retry }
    }

    /// A body as one piece; copied only when it came in several.
    async fn collect(
        &self,
        body: &mut AnswerBody,
        max: usize,
        until: [Limit; 2],
    ) -> Result<Bytes, UpstreamFault> {
        let Some(first) = self.next(body, until).await? else { return Ok(Bytes::new()) };
        if first.len() > max {
            return Err(UpstreamFault::TooLarge);
        }
        let Some(second) = self.next(body, until).await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if all.len() + piece.len() > max {
                return Err(UpstreamFault::TooLarge);
            }
            all.extend_from_slice(&piece);
            next = self.next(body, until).await?;
        }
        Ok(all.freeze())
    }

    async fn next(&self, body: &mut AnswerBody, until: [Limit; 2]) -> Result<Option<Bytes>, UpstreamFault> {
        next_piece(body, self.leg.timeouts.silence, until).await
    }

    fn total(&self) -> Limit {
        (Clock::Total, self.arrived, self.leg.timeouts.total)
    }

    fn silence_from(&self, since: Instant) -> Limit {
        (Clock::Silence, since, Some(self.leg.timeouts.silence))
    }
}

/// A clock, when it started and what it is set to; `None` is no such clock.
type Limit = (Clock, Instant, Option<Duration>);

/// The next piece of a body, waited for no longer than `silence`.
async fn next_piece(
    body: &mut AnswerBody,
    silence: Duration,
    until: [Limit; 2],
) -> Result<Option<Bytes>, UpstreamFault> {
    let silence = (Clock::Silence, Instant::now(), Some(silence));
    let chunk = within(silence, until, body.next()).await?;
    chunk.transpose().map_err(|fault| match fault {
        WireFault::Undecodable => UpstreamFault::Undecodable,
        fault => UpstreamFault::Wire(fault),
    })
}

/// Waits no longer than the clock that runs out first.
async fn within<T>(
    silence: Limit,
    until: [Limit; 2],
    future: impl Future<Output = T>,
) -> Result<T, UpstreamFault> {
    let [one, other] = until;
    let ends = [silence, one, other]
        .into_iter()
        .filter_map(|(clock, since, after)| Some((since + after?, clock, after?)));
    match ends.min_by_key(|(end, ..)| *end) {
        None => Ok(future.await),
        Some((end, clock, after)) => {
            tokio::time::timeout_at(end, future).await.map_err(|_| UpstreamFault::TimedOut { clock, after })
        }
    }
}

fn passed(headers: &HeaderMap) -> (Option<HeaderValue>, Option<HeaderValue>) {
    (headers.get(CONTENT_TYPE).cloned(), headers.get("openai-processing-ms").cloned())
}

fn is_event_stream(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

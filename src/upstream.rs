//! One attempt over the wire: sends a request to an upstream and tells its errors apart.
//!
//! Owns     the HTTP clients and their pools of idle connections. The client's type stays in this file.
//! Called   by `call.rs`, with a lease in hand.
//! Bounded  by the leases; idle connections by `IDLE_MAX` per host and `IDLE_FOR`.
//! Fails    with a [`WireFault`] that says whether a byte of an answer had come. Redirects, environment
//!          proxies, decompression and hidden retries are off: what an upstream says is what `call.rs` sees.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use gateway_actors::Endpoint;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body;
use reqwest::Url;
use sync_wrapper::SyncWrapper;

/// Idle connections kept per upstream host.
const IDLE_MAX: usize = 512;

/// How long an idle connection is kept. Upstreams close theirs after 60 s and more, or after 5 s (uvicorn); a
/// connection that was closed just as we sent is handled by one resend, see [`WireFault::may_resend`].
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Request headers of the caller that an upstream gets, and no others.
pub const PASSED_UPSTREAM: [HeaderName; 7] = [
    http::header::ACCEPT,
    http::header::CONTENT_TYPE,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
];

/// What failed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// No connection could be made: name, route, port or TLS.
    #[error("no connection")]
    Unreachable,
    /// The connect clock ran out.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// The connection ended before the first byte of an answer.
    #[error("the connection closed before an answer")]
    ClosedBeforeAnswer,
    /// The upstream refused the HTTP/2 stream before it looked at the request.
    #[error("the stream was refused")]
    RefusedStream,
    /// What came is no HTTP, or its head is too large.
    #[error("the answer is not valid HTTP")]
    BadHttp,
    /// The connection ended in the middle of the answer's body.
    #[error("the connection closed in the middle of the answer")]
    CutShort,
    /// The answer's encoding is damaged.
    #[error("the answer cannot be decoded")]
    Undecodable,
    /// The address in the configuration cannot be called.
    #[error("the provider's address cannot be called")]
    BadAddress,
}

impl WireFault {
    /// Whether the request may be sent once more, on a connection of its own.
    ///
    /// A kept-alive connection that the upstream closes just as we send looks exactly like an upstream that
    /// read the request and closed: neither has sent a byte. The first is frequent (one call in eight to a
    /// server that closes after each answer), the second rare, so one resend is worth the risk that a call is
    /// billed twice, to the operator. A refused stream was never looked at.
    pub fn may_resend(self) -> bool {
        matches!(self, Self::ClosedBeforeAnswer | Self::RefusedStream)
    }

    /// The word for health statistics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect timeout",
            Self::ClosedBeforeAnswer => "closed before an answer",
            Self::RefusedStream => "stream refused",
            Self::BadHttp => "invalid HTTP",
            Self::CutShort => "cut short",
            Self::Undecodable => "undecodable answer",
            Self::BadAddress => "bad address",
        }
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// The method.
    pub method: Method,
    /// The path below the endpoint's base URL, with a leading slash.
    pub path: &'static str,
    /// Headers; the key and `accept-encoding` are added here.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The head of an answer, and its body to come.
#[derive(Debug)]
pub struct UpstreamAnswer {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: AnswerBody,
}

/// An answer's body: bytes from the wire, as they are or decoded, or made by the built-in echo provider.
/// Dropping it closes the call.
pub struct AnswerBody(Inner);

enum Inner {
    Wire(reqwest::Body),
    Decoded(SyncWrapper<BoxStream<'static, Result<Bytes, WireFault>>>),
    Made(SyncWrapper<Box<dyn Iterator<Item = Bytes> + Send>>),
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Inner::Wire(_) => "AnswerBody(wire)",
            Inner::Decoded(_) => "AnswerBody(decoded)",
            Inner::Made(_) => "AnswerBody(made)",
        })
    }
}

impl AnswerBody {
    /// A body of these pieces.
    pub fn made(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self(Inner::Made(SyncWrapper::new(Box::new(pieces))))
    }
}

impl AnswerBody {
    /// A body whose encoding is taken off on the way.
    pub fn decoded(stream: BoxStream<'static, Result<Bytes, WireFault>>) -> Self {
        Self(Inner::Decoded(SyncWrapper::new(stream)))
    }
}

impl Stream for AnswerBody {
    type Item = Result<Bytes, WireFault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = match &mut self.0 {
            Inner::Made(pieces) => return Poll::Ready(pieces.get_mut().next().map(Ok)),
            Inner::Decoded(stream) => return stream.get_mut().poll_next_unpin(cx),
            Inner::Wire(body) => body,
        };
        loop {
            match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(fault_of(&error, WireFault::CutShort)))),
                // Trailers are passed over.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(_) => {}
                },
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Clients {
    pooled: reqwest::Client,
    /// Never uses a kept connection.
    fresh: reqwest::Client,
}

/// The HTTP clients: one pair per connect timeout in the settings, as that is the client's own.
#[derive(Debug)]
pub struct Upstreams {
    by_connect_timeout: HashMap<Duration, Clients>,
    /// Parsed addresses, by base URL and path: as many as the settings have endpoints and we have routes.
    urls: DashMap<(Arc<str>, &'static str), Url>,
}

impl Upstreams {
    /// Clients for these connect timeouts. Those that `before` has are kept, with their open connections.
    ///
    /// # Errors
    /// When the platform's TLS set-up cannot be used.
    pub fn new(
        connect_timeouts: impl IntoIterator<Item = Duration>,
        before: Option<&Self>,
    ) -> Result<Self, reqwest::Error> {
        let mut by_connect_timeout = HashMap::new();
        for timeout in connect_timeouts {
            // Nearly all models share one; a client costs milliseconds to build.
            if by_connect_timeout.contains_key(&timeout) {
                continue;
            }
            let kept = before.and_then(|before| before.by_connect_timeout.get(&timeout).cloned());
            let clients = match kept {
                Some(clients) => clients,
                None => Clients { pooled: client(timeout, IDLE_MAX)?, fresh: client(timeout, 0)? },
            };
            by_connect_timeout.insert(timeout, clients);
        }
        Ok(Self { by_connect_timeout, urls: DashMap::new() })
    }

    /// Sends a request and waits for the head of the answer; resends once where [`WireFault::may_resend`].
    /// Has no clock but the connect timeout: the caller drops the future when its own runs out.
    ///
    /// # Errors
    /// When no answer began.
    pub async fn send(
        &self,
        connect_timeout: Duration,
        endpoint: &Endpoint,
        request: &UpstreamRequest,
    ) -> Result<UpstreamAnswer, WireFault> {
        let clients = self.by_connect_timeout.get(&connect_timeout).ok_or(WireFault::BadAddress)?;
        let url = self.url(endpoint, request.path)?;
        match attempt(&clients.pooled, endpoint, url.clone(), request).await {
            Err(fault) if fault.may_resend() => attempt(&clients.fresh, endpoint, url, request).await,
            other => other,
        }
    }

    fn url(&self, endpoint: &Endpoint, path: &'static str) -> Result<Url, WireFault> {
        let key = (Arc::clone(&endpoint.base_url), path);
        if let Some(url) = self.urls.get(&key) {
            return Ok(url.clone());
        }
        let url = format!("{}{path}", endpoint.base_url);
        let url = Url::parse(&url).map_err(|_| WireFault::BadAddress)?;
        self.urls.insert(key, url.clone());
        Ok(url)
    }
}

fn client(connect_timeout: Duration, idle_max: usize) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(idle_max)
        .pool_idle_timeout(IDLE_FOR)
        .redirect(reqwest::redirect::Policy::none())
        // With retries allowed at all, each request would be cloned up front.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .no_proxy()
        .referer(false)
        .user_agent(concat!("dsp-ai-gateway/", env!("CARGO_PKG_VERSION")))
        .build()
}

async fn attempt(
    client: &reqwest::Client,
    endpoint: &Endpoint,
    url: Url,
    request: &UpstreamRequest,
) -> Result<UpstreamAnswer, WireFault> {
    let mut outgoing = reqwest::Request::new(request.method.clone(), url);
    let headers = outgoing.headers_mut();
    headers.clone_from(&request.headers);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(key) = &endpoint.api_key {
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()));
        let mut bearer = bearer.map_err(|_| WireFault::BadAddress)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    if !request.body.is_empty() {
        *outgoing.body_mut() = Some(request.body.clone().into());
    }
    let answer = client.execute(outgoing).await.map_err(|error| {
        if error.is_builder() {
            WireFault::BadAddress
        } else if error.is_connect() {
            if error.is_timeout() { WireFault::ConnectTimeout } else { WireFault::Unreachable }
        } else {
            fault_of(&error, WireFault::ClosedBeforeAnswer)
        }
    })?;
    let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
    Ok(UpstreamAnswer { status: head.status, headers: head.headers, body: AnswerBody(Inner::Wire(body)) })
}

/// What an error's chain of causes says; `otherwise` when the connection just ended.
fn fault_of(error: &(dyn Error + 'static), otherwise: WireFault) -> WireFault {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR));
            return if refused && otherwise == WireFault::ClosedBeforeAnswer {
                WireFault::RefusedStream
            } else {
                otherwise
            };
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_parse()
        {
            return WireFault::BadHttp;
        }
        cause = error.source();
    }
    otherwise
}

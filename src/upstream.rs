//! One attempt over the wire: sends a request to an upstream and tells its errors apart.
//!
//! Owns     the HTTP clients and their pools of idle connections. The client's type stays in this file.
//! Called   by `call.rs`, with a lease in hand.
//! Bounded  by the leases; idle connections by `IDLE_MAX` per host and `IDLE_FOR`; an answer's head by `HEAD_MAX`.
//! Fails    with a [`WireFault`] that says whether a byte of an answer had come. Redirects, environment
//!          proxies, decompression and hidden retries are off: what an upstream says is what `call.rs` sees.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::trace_context::TRACEPARENT;
use bytes::Bytes;
use dashmap::DashMap;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use gateway_actors::Endpoint;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use sync_wrapper::SyncWrapper;
use tower_service::Service;

use no_connection::Resolver;

pub use no_connection::{NoConnection, innermost};

mod no_connection;

/// Idle connections kept per upstream host.
const IDLE_MAX: usize = 512;

/// How long an idle connection is kept. Upstreams close theirs after 60 s and more, or after 5 s (uvicorn); a
/// connection that was closed just as we sent is handled by one resend, see [`WireFault::may_resend`].
const IDLE_FOR: Duration = Duration::from_secs(30);

/// The largest head of an answer, an order of magnitude above what providers send. hyper's buffers have the same
/// bound; with its own, seven times as large, an upstream whose headers do not end costs others more.
const HEAD_MAX: usize = 64 * 1024;

/// Between two probes of a connection that says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

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
    Unreachable(NoConnection),
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
            Self::Unreachable(cause) => cause.as_str(),
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

/// The header that carries the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer KEY`
    #[default]
    Bearer,
    /// `api-key: KEY`, Azure's
    ApiKey,
    /// `x-api-key: KEY`, Anthropic's
    XApiKey,
    /// `x-goog-api-key: KEY`, Google's
    XGoogApiKey,
}

impl Auth {
    pub(crate) fn header(
        self,
        key: &str,
    ) -> Result<(HeaderName, HeaderValue), http::header::InvalidHeaderValue> {
        let bare = |name| Ok((HeaderName::from_static(name), HeaderValue::from_str(key)?));
        let (name, mut value) = match self {
            Self::Bearer => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}"))?),
            Self::ApiKey => bare("api-key")?,
            Self::XApiKey => bare("x-api-key")?,
            Self::XGoogApiKey => bare("x-goog-api-key")?,
        };
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// The method.
    pub method: Method,
    /// The path below the endpoint's base URL, with a leading slash, and what follows it.
    pub path: Cow<'static, str>,
    /// How the key is presented.
    pub auth: Auth,
    /// Whether a server without TLS is known to speak HTTP/2; with TLS it says so itself.
    pub http2: bool,
    /// Headers; the key and `accept-encoding` are added here.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl UpstreamRequest {
    /// The same with our span as its parent, in place of the caller's.
    pub fn below(&self, traceparent: HeaderValue) -> Self {
        let mut request = self.clone();
        request.headers.insert(&TRACEPARENT, traceparent);
        request
    }
}

/// A path with what its provider wants behind every one.
pub fn with_query(path: Cow<'static, str>, query: Option<&str>) -> Cow<'static, str> {
    match query {
        None => path,
        Some(query) => {
            let joint = if path.contains('?') { '&' } else { '?' };
            Cow::Owned(format!("{path}{joint}{query}"))
        }
    }
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
    Wire(Incoming),
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

/// What makes connections: TCP, then TLS where the address says so, within the connect timeout.
type Connector = Within<HttpsConnector<HttpConnector<Resolver>>>;

type HttpClient = Client<Connector, Full<Bytes>>;

#[derive(Debug, Clone)]
struct Clients {
    pooled: HttpClient,
    /// Never uses a kept connection.
    fresh: HttpClient,
    /// Speaks HTTP/2 without asking. A refused stream may be sent again on the same connection, a closed one is gone
    /// from the pool.
    prior: HttpClient,
}

/// The HTTP clients: three per connect timeout in the settings, as that is the connector's own.
#[derive(Debug)]
pub struct Upstreams {
    by_connect_timeout: HashMap<Duration, Clients>,
    /// Parsed addresses, by base URL and path: as many as the settings have endpoints and we have routes. Those
    /// with a model's name in them are not kept.
    uris: DashMap<(Arc<str>, &'static str), Uri>,
}

impl Upstreams {
    /// Clients for these connect timeouts. Those that `before` has are kept, with their open connections.
    ///
    /// # Errors
    /// When the platform's TLS set-up cannot be used.
    pub fn new(
        connect_timeouts: impl IntoIterator<Item = Duration>,
        before: Option<&Self>,
    ) -> Result<Self, rustls::Error> {
        let mut by_connect_timeout = HashMap::new();
        let mut tls = None;
        for timeout in connect_timeouts {
            // Nearly all models share one.
            if by_connect_timeout.contains_key(&timeout) {
                continue;
            }
            let kept = before.and_then(|before| before.by_connect_timeout.get(&timeout).cloned());
            let clients = match (kept, &tls) {
                (Some(clients), _) => clients,
                (None, Some(tls)) => Clients::new(timeout, tls),
                // Reading the platform's certificates takes milliseconds.
                (None, None) => Clients::new(timeout, tls.insert(ClientConfig::with_platform_verifier()?)),
            };
            by_connect_timeout.insert(timeout, clients);
        }
        Ok(Self { by_connect_timeout, uris: DashMap::new() })
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
        let uri = match &request.path {
            Cow::Borrowed(path) => self.uri(endpoint, path)?,
            Cow::Owned(path) => uri(endpoint, path)?,
        };
        let (first, second) = match request.http2 && uri.scheme() == Some(&Scheme::HTTP) {
            true => (&clients.prior, &clients.prior),
            false => (&clients.pooled, &clients.fresh),
        };
        match attempt(first, endpoint, uri.clone(), request).await {
            Err(fault) if fault.may_resend() => attempt(second, endpoint, uri, request).await,
            other => other,
        }
    }

    fn uri(&self, endpoint: &Endpoint, path: &'static str) -> Result<Uri, WireFault> {
        let key = (Arc::clone(&endpoint.base_url), path);
        if let Some(uri) = self.uris.get(&key) {
            return Ok(uri.clone());
        }
        let uri = uri(endpoint, path)?;
        self.uris.insert(key, uri.clone());
        Ok(uri)
    }
}

fn uri(endpoint: &Endpoint, path: &str) -> Result<Uri, WireFault> {
    Uri::try_from(format!("{}{path}", endpoint.base_url)).map_err(|_| WireFault::BadAddress)
}

impl Clients {
    fn new(connect_timeout: Duration, tls: &ClientConfig) -> Self {
        let client = |idle_max, http2| {
            let mut tcp = HttpConnector::new_with_resolver(Resolver::new());
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            tcp.set_keepalive(Some(KEEP_ALIVE));
            let tls = HttpsConnectorBuilder::new().with_tls_config(tls.clone());
            let connector = tls.https_or_http().enable_http1().enable_http2().wrap_connector(tcp);
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_FOR)
                .pool_max_idle_per_host(idle_max)
                .http1_max_buf_size(HEAD_MAX)
                .http2_only(http2)
                .build(Within { connector, timeout: connect_timeout })
        };
        Self { pooled: client(IDLE_MAX, false), fresh: client(0, false), prior: client(IDLE_MAX, true) }
    }
}

/// A connector with a clock.
#[derive(Debug, Clone)]
struct Within<C> {
    connector: C,
    timeout: Duration,
}

/// The clock of [`Within`] ran out.
#[derive(Debug, thiserror::Error)]
#[error("connecting took too long")]
struct ConnectTimedOut;

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error = Box<dyn Error + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<C::Response, C::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.connector.call(uri));
        Box::pin(async move { connecting.await.unwrap_or_else(|_| Err(ConnectTimedOut.into())) })
    }
}

async fn attempt(
    client: &HttpClient,
    endpoint: &Endpoint,
    uri: Uri,
    request: &UpstreamRequest,
) -> Result<UpstreamAnswer, WireFault> {
    let mut outgoing = http::Request::new(Full::new(request.body.clone()));
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = uri;
    let headers = outgoing.headers_mut();
    headers.clone_from(&request.headers);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
        .insert(USER_AGENT, HeaderValue::from_static(concat!("dsp-ai-gateway/", env!("CARGO_PKG_VERSION"))));
    if let Some(key) = &endpoint.api_key {
        let (name, value) = request.auth.header(key.expose()).map_err(|_| WireFault::BadAddress)?;
        headers.insert(name, value);
    }
    let answer = client.request(outgoing).await.map_err(|error| {
        if !error.is_connect() {
            return fault_of(&error, WireFault::ClosedBeforeAnswer);
        }
        match caused_by::<ConnectTimedOut>(&error) {
            true => WireFault::ConnectTimeout,
            false => WireFault::Unreachable(NoConnection::of(&error)),
        }
    })?;
    let (head, body) = answer.into_parts();
    Ok(UpstreamAnswer { status: head.status, headers: head.headers, body: AnswerBody(Inner::Wire(body)) })
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
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

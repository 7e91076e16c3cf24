//! The front door: one warp filter, from a request's head to its answer.
//!
//! Owns     what all requests share: the tree's handle, the settings in force, the authenticator, the bounds.
//! Called   by `accept.rs` for every request, through [`filter`].
//! Bounded  by `max_in_flight` requests of clients; bodies by the buffer budget.
//! Fails    with a [`Fault`], turned into an answer here and nowhere else; a panic becomes a 500 in `accept.rs`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Buf;
use futures_util::Stream;
use gateway_actors::gate::{Gate, Pass};
use gateway_actors::{Client, GatewayHandle};
use gateway_protocols::error::Dialect;
use gateway_protocols::openai::mask_keys;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::reply::Response;

use crate::accept::{HeadFault, Panicked, Peer, Query};
use crate::admin_guesses::AdminGuesses;
use crate::admin_token::AdminToken;
use crate::audit::Author;
use crate::background::Background;
use crate::body::{BodyLimits, BufferBudget, BufferedBody, read_body};
use crate::cors;
use crate::credentials::{Authenticator, Origin};
use crate::cut_off::CutOff;
use crate::fault::Fault;
use crate::handlers;
use crate::handlers::kept::OwnerReader;
use crate::handlers::live::LiveView;
use crate::handlers::usage::UsageReader;
use crate::live::Live;
use crate::model_list::ModelList;
use crate::observer::Observer;
use crate::reload::Reloader;
use crate::request_id::RequestId;
use crate::respond;
use crate::retirements::Retirements;
use crate::routes::{self, Access, Matched, NoMatch, Route};
use crate::trail::{Beginning, Step, Trail};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
static X_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// The longest request id of a caller's that is logged and sent back.
const CLIENT_REQUEST_ID_MAX: usize = 128;

/// The most of a path that an error repeats.
const PATH_SHOWN_MAX: usize = 200;

/// What all requests share.
#[derive(Debug)]
pub struct Front {
    /// The supervision tree.
    pub gateway: GatewayHandle,
    /// The settings in force, and what is built from them; swapped whole at a reload.
    pub live: ArcSwap<Live>,
    /// Who is calling.
    pub authenticator: Authenticator,
    /// Bytes of request bodies in memory.
    pub budget: Arc<BufferBudget>,
    /// Answers that nobody waits for.
    pub background: Arc<Background>,
    /// Requests of clients in flight.
    pub in_flight: Arc<Gate>,
    /// What the upstreams offer.
    pub model_list: ModelList,
    /// Reads the configuration again.
    pub reloader: Reloader,
    /// What opens the admin routes.
    pub admin_token: AdminToken,
    /// Who tried to open them.
    pub admin_guesses: AdminGuesses,
    /// Retired models that were asked for.
    pub retirements: Retirements,
    /// Answers questions for what was used.
    pub usage: UsageReader,
    /// Looks up whose is what upstreams keep.
    pub owners: OwnerReader,
    /// Set when the gateway takes no new work.
    pub draining: AtomicBool,
    /// Cancelled when no more connections are accepted: watchers leave, what runs goes on.
    pub stop_accepting: CancellationToken,
    /// Cancelled when what runs must end.
    pub cut_off: CutOff,
    /// What becomes of ended requests.
    pub observer: Arc<Observer>,
    /// Who watches the live view.
    pub live_view: LiveView,
}

/// One request, but for its body.
#[derive(Debug)]
pub struct Exchange {
    /// Our id for it.
    pub id: RequestId,
    /// Its method.
    pub method: Method,
    /// Its path, as it came.
    pub path: String,
    /// What stands behind the path, as it came; empty where there is no query.
    pub query: Box<str>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Why it is refused whatever it asks for.
    pub head_fault: Option<HeadFault>,
    /// Where it comes from.
    pub origin: Origin,
    /// In which form it is answered.
    pub dialect: Dialect,
    /// When its head was complete.
    pub arrived: Instant,
    /// The settings it is judged by, whatever a reload does meanwhile.
    pub live: Arc<Live>,
    /// What is decided about it.
    pub trail: Trail,
}

/// A request's head, as it came.
struct Head<'p> {
    method: Method,
    path: &'p str,
    query: Box<str>,
    headers: HeaderMap,
    fault: Option<HeadFault>,
}

/// The service's filter: every request, whatever it is.
pub fn filter(
    front: Arc<Front>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::any()
        .map(move || Arc::clone(&front))
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::ext::optional::<Query>())
        .and(warp::ext::optional::<HeadFault>())
        .and(warp::body::stream())
        .then(
            async |front: Arc<Front>,
                   method,
                   path: warp::path::FullPath,
                   headers,
                   peer: Option<Peer>,
                   query: Option<Query>,
                   head_fault: Option<HeadFault>,
                   body| {
                // `accept.rs` names the peer of every connection; without one nobody is local or trusted.
                let peer = peer.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |peer| peer.0);
                let query = query.map(|query| query.0).unwrap_or_default();
                // Boxed: each layer above would move it, which is some kilobytes, on its way to its first poll.
                let head = Head { method, path: path.as_str(), query, headers, fault: head_fault };
                Box::pin(front.answer(head, peer, body)).await
            },
        )
        .recover(async |_| Ok::<_, Infallible>(respond::respond(Dialect::Seed, &Fault::Bug, "")))
        .unify()
}

impl Front {
    async fn answer<S, D>(self: Arc<Self>, head: Head<'_>, peer: SocketAddr, body: S) -> Response
    where
        S: Stream<Item = Result<D, warp::Error>> + Send,
        D: Buf,
    {
        let Head { method, path, query, headers, fault } = head;
        let live = self.live.load_full();
        let (id, arrived) = (RequestId::new(), Instant::now());
        let client_request_id = client_request_id(&headers).cloned();
        let telemetry = self.observer.telemetry.as_ref();
        let trace = telemetry.map(|telemetry| telemetry.trace_of(&headers, id.number()));
        let origin = Origin::of(peer, &headers, &live.settings.server.trusted_proxies);
        let address = origin.address;
        let beginning = Beginning { id: id.clone(), arrived, address, client_request_id, trace };
        let exchange = Exchange {
            trail: Trail::begin(beginning, self.observer.clone()),
            id,
            origin,
            dialect: Dialect::of_path(path),
            arrived,
            path: path.to_owned(),
            query,
            method,
            headers,
            head_fault: fault,
            live,
        };
        // The head of an answer has come, or the gateway will wait for it no longer.
        let routed = tokio::select! {
            biased;
            routed = self.route(&exchange, body) => routed,
            () = self.cut_off.token().cancelled() => Err(Fault::Draining),
        };
        let mut response = match routed {
            Ok(response) => response,
            Err(fault) => {
                let response = respond::respond(exchange.dialect, &fault, exchange.id.as_str());
                let status = response.status().as_u16();
                let facts = fault.facts(response.headers());
                exchange.trail.note(Step::Refused { status, why: fault.word(), facts });
                response
            }
        };
        exchange.trail.note(Step::Answered { status: response.status().as_u16() });
        exchange.sign(response.headers_mut());
        cors::allow(&exchange, response.headers_mut());
        // The request lasts until its answer's last byte: `accept.rs` keeps the trail until then.
        response.extensions_mut().insert(exchange.trail.clone());
        response
    }

    async fn route<S, D>(self: &Arc<Self>, exchange: &Exchange, body: S) -> Result<Response, Fault>
    where
        S: Stream<Item = Result<D, warp::Error>> + Send,
        D: Buf,
    {
        if let Some(fault) = exchange.head_fault {
            return Err(fault.into());
        }
        let found = routes::find(&exchange.method, &exchange.path);
        exchange.log_unless_clients(found.as_ref());
        let matched = match found {
            Ok(matched) => matched,
            Err(NoMatch::Method(allow)) => {
                if let Some(preflight) = cors::preflight(exchange, &allow) {
                    return Ok(preflight);
                }
                return Err(Fault::MethodNotAllowed { method: exchange.method.to_string(), allow });
            }
            Err(NoMatch::Path) => {
                let path = exchange.path_shown().to_owned();
                return Err(Fault::NoRoute { method: exchange.method.to_string(), path });
            }
        };
        match matched.line.access {
            Access::Public => handlers::public(self, exchange, matched.line.route),
            Access::Admin => {
                if !self.admin_token.opens(&exchange.headers) {
                    return Err(self.not_admin(exchange));
                }
                let takes_body = handlers::admin::takes_body(matched.line.route);
                let body = if takes_body { Some(self.read(exchange, body).await?) } else { None };
                handlers::admin::answer(self, exchange, matched, body).await
            }
            Access::AdminOrLocal => {
                if !exchange.origin.is_local && !self.admin_token.opens(&exchange.headers) {
                    return Err(self.not_admin(exchange));
                }
                handlers::metrics::answer(self).await
            }
            Access::Client(endpoint) => self.for_client(exchange, matched, endpoint, body).await,
        }
    }

    /// Whoever does not have the admin token leaves a trace: in the metrics always, in the log now and then.
    fn not_admin(&self, exchange: &Exchange) -> Fault {
        let fault = Fault::NotAdmin;
        self.observer.metrics.refused(fault.word());
        let address = exchange.origin.address;
        if let Some(requests) = self.admin_guesses.note(address) {
            tracing::warn!(
                request_id = exchange.id.as_str(),
                %address,
                path = &*mask_keys(exchange.path_shown()),
                requests,
                "the admin token is missing or wrong"
            );
        }
        fault
    }

    /// A client's request: who it is, whether it may, its body, its answer.
    async fn for_client<S, D>(
        self: &Arc<Self>,
        exchange: &Exchange,
        matched: Matched<'_>,
        endpoint: &'static str,
        body: S,
    ) -> Result<Response, Fault>
    where
        S: Stream<Item = Result<D, warp::Error>> + Send,
        D: Buf,
    {
        exchange.trail.note(Step::Routed { endpoint });
        if self.draining.load(Ordering::Acquire) {
            return Err(Fault::Draining);
        }
        let client = self.identify(exchange).await?;
        exchange.trail.note(Step::Known { client: client.id.clone() });
        self.observer.requests.keep(exchange.trail.record());
        if !client.may_use_endpoint(endpoint) {
            return Err(Fault::EndpointNotAllowed { endpoint });
        }
        let max = self.in_flight.max();
        let pass = self.in_flight.enter().ok_or(Fault::TooManyInFlight { max })?;
        let rest = matched.rest;
        let body = match matched.line.route {
            Route::ClientsReload => {
                let (id, address) = (client.id.clone(), exchange.origin.address);
                let author = Author::Client { id, address, request_id: exchange.id.as_str().to_owned() };
                return handlers::generate::reload(self, author).await;
            }
            Route::Models => return handlers::models::list(self, exchange, &client).await,
            Route::Model => return handlers::models::one(self, exchange, &client, rest).await,
            Route::GeminiModels => return handlers::models::gemini_list(self, exchange, &client).await,
            Route::GeminiModel if exchange.method != Method::POST => {
                return handlers::models::gemini_one(self, exchange, &client, rest).await;
            }
            Route::Response | Route::Interaction | Route::Passed | Route::Kept => {
                self.read_any(exchange, body).await?
            }
            _ => self.read(exchange, body).await?,
        };
        self.with_body(exchange, &client, matched, endpoint, body, pass.into()).await
    }

    /// A client's request whose body has been read.
    async fn with_body(
        self: &Arc<Self>,
        exchange: &Exchange,
        client: &Client,
        matched: Matched<'_>,
        endpoint: &'static str,
        body: BufferedBody,
        pass: InFlight,
    ) -> Result<Response, Fault> {
        use handlers::{counted, generate, generative, interactions, kept, passed, plain};
        let rest = matched.rest;
        match matched.line.route {
            Route::ChatCompletions => generative::chat(self, exchange, client, body, pass).await,
            Route::Messages => generative::messages(self, exchange, client, body, pass).await,
            Route::Responses => generative::responses(self, exchange, client, body, pass).await,
            Route::GeminiModel => generative::gemini(self, exchange, client, rest, body, pass).await,
            Route::Interactions => interactions::create(self, exchange, client, body, pass).await,
            Route::Interaction => interactions::kept(self, exchange, client, rest, body, pass).await,
            Route::CountTokens => counted::messages(self, exchange, client, body, pass).await,
            Route::Embeddings => plain::embeddings(self, exchange, client, body, pass).await,
            Route::Completions => plain::completions(self, exchange, client, body, pass).await,
            Route::Response => kept::response(self, exchange, client, rest, body, pass).await,
            Route::Passed => {
                let passing = passed::Passing { endpoint, is_free: false, earlier: None };
                passed::with_model(self, exchange, client, passing, body, pass).await
            }
            Route::Kept => passed::without_model(self, exchange, client, endpoint, rest, body, pass).await,
            Route::Generate => generate::generate(self, exchange, client, &body).await,
            // No other line of the table is for clients.
            _ => Err(Fault::Bug),
        }
    }

    async fn identify(&self, exchange: &Exchange) -> Result<Arc<Client>, Fault> {
        let now = self.gateway.shared().clock().now();
        let (origin, clients) = (exchange.origin, &exchange.live.clients);
        Ok(self.authenticator.identify(&exchange.headers, origin, clients, now.unix_ms).await?)
    }

    async fn read<S, D>(&self, exchange: &Exchange, body: S) -> Result<BufferedBody, Fault>
    where
        S: Stream<Item = Result<D, warp::Error>> + Send,
        D: Buf,
    {
        if let Some(content_type) =
            exchange.headers.get_all(CONTENT_TYPE).iter().find(|value| !is_json(value))
        {
            let content_type = String::from_utf8_lossy(content_type.as_bytes()).into_owned();
            return Err(Fault::NotJson { content_type });
        }
        self.read_any(exchange, body).await
    }

    /// A body of whatever type.
    async fn read_any<S, D>(&self, exchange: &Exchange, body: S) -> Result<BufferedBody, Fault>
    where
        S: Stream<Item = Result<D, warp::Error>> + Send,
        D: Buf,
    {
        let mut encodings = exchange.headers.get_all(CONTENT_ENCODING).iter();
        if let Some(encoding) = encodings.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            return Err(Fault::Encoded { encoding });
        }
        let server = &exchange.live.settings.server;
        let limits = BodyLimits {
            max_body_bytes: server.max_body_bytes,
            max_buffered_bytes: server.max_buffered_bytes,
            body_timeout: server.body_timeout,
        };
        let length =
            exchange.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let body = read_body(body, length, &limits, &self.budget).await?;
        exchange.trail.note(Step::BodyRead { bytes: body.bytes().len() });
        Ok(body)
    }
}

impl Exchange {
    /// The ids by which this answer is found again.
    fn sign(&self, headers: &mut HeaderMap) {
        if self.dialect == Dialect::Anthropic {
            headers.insert(&REQUEST_ID, self.id.header());
        }
        headers.insert(&X_REQUEST_ID, self.id.header());
        if let Some(theirs) = client_request_id(&self.headers) {
            headers.insert(&X_CLIENT_REQUEST_ID, theirs.clone());
        }
    }

    /// A line for what no client's request is: what comes to no route shows a wrong base URL, the rest is probes
    /// and operators. A client's request has its line at its end.
    fn log_unless_clients(&self, found: Result<&Matched<'_>, &NoMatch>) {
        let (request_id, method, address) = (self.id.as_str(), &self.method, self.origin.address);
        let path = || mask_keys(self.path_shown());
        match found.map(|matched| matched.line.access) {
            Ok(Access::Client(_)) => {}
            Ok(Access::Public | Access::Admin | Access::AdminOrLocal) => {
                tracing::debug!(request_id, %address, %method, path = &*path(), "request");
            }
            // A browser asks so before it asks for something.
            Err(NoMatch::Method(_)) if method == Method::OPTIONS => {
                tracing::debug!(request_id, %address, %method, path = &*path(), "request");
            }
            Err(NoMatch::Method(allow)) => {
                tracing::info!(request_id, %address, %method, path = &*path(), allow = &**allow, "method not allowed");
            }
            Err(NoMatch::Path) => {
                tracing::info!(request_id, %address, %method, path = &*path(), "no such route");
            }
        }
    }

    /// The path, cut to what a person reads.
    fn path_shown(&self) -> &str {
        let end = self.path.floor_char_boundary(PATH_SHOWN_MAX);
        &self.path[..end]
    }
}

/// The caller's own id, where it is one that can be logged and sent back.
fn client_request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(&X_REQUEST_ID).filter(|value| {
        let length = 1..=CLIENT_REQUEST_ID_MAX;
        length.contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    })
}

/// `application/json`, any `+json`, with any parameters.
fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

/// The answer to a request whose handler panicked.
pub fn panicked(panicked: &Panicked<'_>) -> Response {
    let id = RequestId::new();
    tracing::error!(request_id = id.as_str(), panic = panicked.message, "a request handler panicked");
    let mut response = respond::respond(Dialect::of_path(panicked.uri.path()), &Fault::Bug, id.as_str());
    response.headers_mut().insert(&X_REQUEST_ID, id.header());
    response
}

/// Held by an answer as long as it is in flight.
#[derive(Debug)]
pub struct InFlight {
    _pass: Pass,
}

impl From<Pass> for InFlight {
    fn from(pass: Pass) -> Self {
        Self { _pass: pass }
    }
}

/// The methods of a path, as `Allow` has them.
pub fn allow_header(allow: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((ALLOW, HeaderValue::try_from(allow).ok()?))
}

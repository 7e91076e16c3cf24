//! One question for a model, whatever protocol it comes in and whatever its provider speaks: resolved, bounded,
//! admitted, called, answered.
//!
//! Called   by the surfaces in [`super::generative`] and by the seed's, with what they have read.
//! Fails    before the admission for what is wrong with the request, so that it uses up nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gateway_actors::Client;
use gateway_actors::ledger::AnswerOwner;
use gateway_protocols::anthropic::beta;
use gateway_protocols::event::AnswerStream;
use gateway_protocols::responses;
use gateway_protocols::translate::Protocol;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use warp::reply::{Reply, Response};

use crate::body::BufferedBody;
use crate::call::{Call, Whole};
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::relay::{Keeper, Relay, RelayContext};
use crate::resolve::Resolved;
use crate::settings::ProviderKind;
use crate::surface::{self, Asked, Outgoing, Upstream};
use crate::upstream::{PASSED_UPSTREAM, UpstreamRequest, with_query};

use super::{Asking, Cap, Dispatched, Shown, UNKNOWN_MAX_OUTPUT, cap, dispatch, price};

pub(super) static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static OPENAI_PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
static ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
static ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
static OPENAI_BETA: HeaderName = HeaderName::from_static("openai-beta");

/// The version of Anthropic's API that is asked for when the caller names none.
const ANTHROPIC_VERSION_DEFAULT: &str = "2023-06-01";

/// A request as its surface has read it.
#[derive(Debug)]
pub struct Question {
    /// What it asks.
    pub asked: Asked,
    /// The endpoint's name, as the ledger has it.
    pub endpoint: &'static str,
    /// The one key that will do, for what an upstream keeps there.
    pub key: Option<Arc<str>>,
    /// The body, which counts in the budget for bodies until it is sent.
    pub body: BufferedBody,
}

/// Answers a question.
pub async fn answer(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: &Resolved,
    question: Question,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let Question { asked, endpoint, key, body: held } = question;
    let target = &resolved.target;
    let capability = exchange.live.settings.capabilities.of(&target.provider, &target.model);
    let (asked_cap, param) = asked.cap();
    let Cap { sent, reserved } = cap(client, asked_cap, capability.max_output, param)?;
    let upstream = Upstream {
        provider: &resolved.provider,
        model: &target.model,
        capability,
        cap: sent,
        max_output: capability.max_output.unwrap_or(UNKNOWN_MAX_OUTPUT),
    };
    let (stream, protocol) = (asked.stream(), asked.protocol());
    let prompt_tokens = asked.prompt_tokens();
    let output_tokens = reserved.saturating_mul(asked.n());
    let is_passed = surface::spoken(&resolved.provider, protocol) == protocol;
    // What cannot be translated uses up nothing.
    let translated = if is_passed { None } else { Some(surface::outgoing(&asked, upstream)?) };

    let price = price(exchange, resolved);
    let asking = Asking { endpoint, prompt_tokens, output_tokens, price, key };
    let Dispatched { charge, mut shown } = dispatch(front, exchange, client, resolved, asking).await?;
    let Outgoing { path, body, dropped } = match translated {
        Some(outgoing) => outgoing,
        None => surface::outgoing(&asked, upstream)?,
    };
    shown.dropped = dropped;
    let keeps = is_passed && protocol == Protocol::Responses;
    let keeper = keeps.then(|| Keeper {
        shared: Arc::clone(front.gateway.shared()),
        owner: AnswerOwner {
            client: client.id.clone(),
            provider: Arc::clone(&target.provider),
            key: Arc::clone(&charge.lease().endpoint().key_name),
        },
    });
    let call = call(exchange, resolved, Sent { method: Method::POST, path, body, is_passed });
    let created = created();
    let id = exchange.id.as_str();
    if stream {
        let scan = surface::stream(&asked, upstream, id, created);
        let is_array = asked.is_array();
        // The body's memory is free while the answer flows.
        drop((asked, held));
        return Ok(
            relay(front, exchange, resolved, call, charge, scan, shown, in_flight, is_array, keeper).await
        );
    }
    let read = surface::read_whole(&asked, upstream, id, created);
    Ok(match call.whole(charge, read).await {
        Ok(whole) => {
            if let (Some(keeper), Some(id)) = (keeper, responses::response_id(&whole.bytes)) {
                keeper.note(&id);
                responses::item_ids(&whole.bytes).iter().for_each(|id| keeper.note(id));
            }
            shown.whole(exchange, whole)
        }
        Err(fault) => shown.failed(exchange, fault),
    })
}

/// What goes to an upstream.
pub(super) struct Sent {
    pub(super) method: Method,
    /// Below the base URL.
    pub(super) path: Cow<'static, str>,
    pub(super) body: Bytes,
    /// Whether the caller speaks the upstream's protocol.
    pub(super) is_passed: bool,
}

/// A call of a provider, with the headers that it gets.
pub(super) fn call(exchange: &Exchange, resolved: &Resolved, sent: Sent) -> Call {
    let Sent { method, path, body, is_passed } = sent;
    let quirks = &resolved.provider.quirks;
    Call {
        upstreams: Arc::clone(&exchange.live.upstreams),
        provider: Arc::clone(&resolved.provider),
        timeouts: resolved.timeouts,
        arrived: exchange.arrived,
        request: UpstreamRequest {
            method,
            path: with_query(path, quirks.query.as_deref()),
            auth: quirks.auth,
            http2: quirks.http2,
            headers: upstream_headers(exchange, resolved, is_passed),
            body,
        },
    }
}

impl Shown {
    /// A whole answer as it came, or as it was translated.
    pub(super) fn whole(&self, exchange: &Exchange, whole: Whole) -> Response {
        let mut response = Response::new(whole.bytes.into());
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, whole.content_type.unwrap_or(json));
        headers.extend(whole.processing_ms.map(|ms| (OPENAI_PROCESSING_MS.clone(), ms)));
        self.sign(exchange, response, Some(whole.upstream_time))
    }
}

/// Of the caller's headers only the listed ones go upstream; a vendor's own mean nothing to one of another protocol.
fn upstream_headers(exchange: &Exchange, resolved: &Resolved, is_passed: bool) -> HeaderMap {
    let kind = resolved.provider.kind;
    let mut headers = HeaderMap::with_capacity(PASSED_UPSTREAM.len() + 2);
    for name in &PASSED_UPSTREAM {
        let is_vendors = [&ANTHROPIC_VERSION, &ANTHROPIC_BETA, &OPENAI_BETA].contains(&name);
        if is_vendors && !is_passed {
            continue;
        }
        // A list may stand on several lines; `extend` appends.
        headers.extend(exchange.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    if kind == ProviderKind::Anthropic {
        let default = HeaderValue::from_static(ANTHROPIC_VERSION_DEFAULT);
        headers.entry(&ANTHROPIC_VERSION).or_insert(default);
        if headers.contains_key(&ANTHROPIC_BETA) {
            let flags = headers.get_all(&ANTHROPIC_BETA).iter().map(HeaderValue::as_bytes);
            let flags = beta::filtered(flags, resolved.provider.quirks.betas.as_deref());
            headers.remove(&ANTHROPIC_BETA);
            headers.extend(
                HeaderValue::try_from(flags)
                    .ok()
                    .filter(|flags| !flags.is_empty())
                    .map(|flags| (ANTHROPIC_BETA.clone(), flags)),
            );
        }
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.extend(resolved.provider.quirks.headers.iter().cloned());
    headers
}

/// Waits for the first content, or no longer than `hold_back`, and relays.
#[expect(
    clippy::too_many_arguments,
    reason = "each is used once, and a struct for them would live for one call"
)]
pub(super) async fn relay(
    front: &Front,
    exchange: &Exchange,
    resolved: &Resolved,
    call: Call,
    charge: Charge,
    scan: Box<dyn AnswerStream>,
    shown: Shown,
    in_flight: InFlight,
    is_array: bool,
    keeper: Option<Keeper>,
) -> Response {
    let context = RelayContext {
        dialect: exchange.dialect,
        request_id: exchange.id.clone(),
        provider: Arc::clone(&shown.target.provider),
        timeouts: resolved.timeouts,
        arrived: exchange.arrived,
        in_flight,
        is_array,
        keeper,
    };
    let cut_off = front.cut_off.token().clone().cancelled_owned();
    let mut opening = Box::pin(call.open(charge, scan));
    let hold_back = resolved.timeouts.hold_back;
    let (relay, processing_ms, upstream_time) = match tokio::time::timeout(hold_back, &mut opening).await {
        Ok(Ok(mut opened)) => {
            let (processing_ms, time) = (opened.processing_ms.take(), opened.upstream_time);
            (Relay::flowing(context, opened, cut_off), processing_ms, Some(time))
        }
        Ok(Err(fault)) => return shown.failed(exchange, fault),
        Err(_) => (Relay::opening(context, opening, cut_off), None, None),
    };
    let mut response = warp::reply::stream(relay).into_response();
    let headers = response.headers_mut();
    let content_type = if is_array { "application/json" } else { "text/event-stream; charset=utf-8" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.extend(processing_ms.map(|ms| (OPENAI_PROCESSING_MS.clone(), ms)));
    shown.sign(exchange, response, upstream_time)
}

/// Now, in seconds since the Unix epoch.
pub(super) fn created() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// HEAD is our own answer to a GET, whose body is left out behind us.
pub(super) fn upstream_method(method: &Method) -> Method {
    if *method == Method::HEAD { Method::GET } else { method.clone() }
}

//! One file per surface: a request in, the tree asked, an answer out.

pub mod admin;
mod ask;
pub mod counted;
pub mod docs;
pub mod generate;
pub mod generative;
pub mod interactions;
pub mod kept;
pub mod models;
pub mod passed;
pub mod plain;
mod probes;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gateway_actors::job::Memo;
use gateway_actors::{Client, Refusal, Target, View};
use gateway_limits::{Ask, Price};
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use warp::reply::Response;

use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::limit_headers;
use crate::resolve::Resolved;
use crate::respond;
use crate::routes::Route;

/// The largest output of a model that the table does not know.
const UNKNOWN_MAX_OUTPUT: u64 = 4_096;

/// How long a request waits for its dispatch, a pool's queue not counted: actors answer in microseconds, or
/// are being restarted.
const ADMISSION_WAIT: Duration = Duration::from_secs(10);

/// What must not stand in an element of a header's list as it is; characters beyond ASCII never do.
const NOT_IN_LIST: &AsciiSet = &CONTROLS.add(b',').add(b'%');

/// The most of a left-out member's name that is shown, in bytes. Paths of real members are half as long.
const DROPPED_NAME_MAX: usize = 128;

/// Headers of an answer after dispatch.
const HEADERS_EXPECTED: usize = 24;

static X_GATEWAY_PROVIDER: HeaderName = HeaderName::from_static("x-gateway-provider");
static X_GATEWAY_MODEL: HeaderName = HeaderName::from_static("x-gateway-model");
static X_GATEWAY_ATTEMPTS: HeaderName = HeaderName::from_static("x-gateway-attempts");
static X_GATEWAY_DROPPED: HeaderName = HeaderName::from_static("x-gateway-dropped");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Routes for everybody.
pub fn public(front: &Front, exchange: &Exchange, route: Route) -> Result<Response, Fault> {
    match route {
        Route::Docs | Route::Redoc | Route::OpenApi => Ok(docs::answer(exchange, route)),
        _ => probes::answer(front, route),
    }
}

/// The output caps of a request: what goes upstream, and what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cap {
    /// `None` leaves the request without one, as it came.
    sent: Option<u64>,
    reserved: u64,
}

/// Which cap holds: the caller's, within its client's limit; else, for a client whose output is limited in any
/// way, the smaller of its limit and the model's largest output.
fn cap(
    client: &Client,
    asked: Option<u64>,
    max_output: Option<u64>,
    param: &'static str,
) -> Result<Cap, Fault> {
    let largest = max_output.unwrap_or(UNKNOWN_MAX_OUTPUT);
    let limit = client.max_tokens_limit;
    let clamps = client.max_tokens_policy == gateway_actors::client::MaxTokensPolicy::Clamp;
    match (asked, limit) {
        // Blocked: there is no cap so small that it would fit.
        (_, Some(0)) => Err(Fault::CapAboveLimit { limit: 0, param }),
        (Some(asked), Some(limit)) if asked > limit && clamps => {
            Ok(Cap { sent: Some(limit), reserved: limit })
        }
        (Some(asked), Some(limit)) if asked > limit => Err(Fault::CapAboveLimit { limit, param }),
        (Some(asked), _) => Ok(Cap { sent: None, reserved: asked }),
        (None, limit) => {
            let is_limited = limit.is_some()
                || client.limits.tokens_per_minute.is_some()
                || client.limits.tokens_per_day.is_some()
                || client.limits.usd_per_day.is_some()
                || client.limits.usd_per_month.is_some();
            let smaller = limit.map_or(largest, |limit| limit.min(largest));
            Ok(Cap { sent: is_limited.then_some(smaller), reserved: smaller })
        }
    }
}

/// What the target charges, where that is known.
fn price(exchange: &Exchange, resolved: &Resolved) -> Option<Price> {
    let Target { provider, model } = &resolved.target;
    exchange.live.settings.capabilities.of(provider, model).price
}

/// What a request asks the tree for.
#[derive(Clone)]
struct Asking {
    /// The endpoint's name, as the ledger has it.
    endpoint: &'static str,
    /// The most tokens that its prompt can be.
    prompt_tokens: u64,
    /// The most tokens that its answer can be.
    output_tokens: u64,
    /// What the target charges, where that is known.
    price: Option<Price>,
    /// The one key that will do.
    key: Option<Arc<str>>,
}

/// A request that was admitted and has a key to call with.
struct Dispatched {
    charge: Charge,
    shown: Shown,
}

/// What the answer's head says of the dispatch.
#[derive(Debug, Clone)]
struct Shown {
    target: Target,
    limits: Option<View>,
    /// Members that a translation left out.
    dropped: Vec<String>,
}

/// Asks the tree.
async fn dispatch(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: &Resolved,
    asking: Asking,
) -> Result<Dispatched, Fault> {
    let target = &resolved.target;
    let Asking { endpoint, prompt_tokens, output_tokens, price, key } = asking;
    let has_budget = client.limits.usd_per_day.is_some() || client.limits.usd_per_month.is_some();
    if price.is_none() && has_budget {
        return Err(Fault::NoPrice {
            provider: target.provider.to_string(),
            model: target.model.to_string(),
        });
    }
    let ask = Ask {
        tokens: prompt_tokens.saturating_add(output_tokens),
        cost: price.map_or(0, |price| price.bound(prompt_tokens, output_tokens)),
    };
    let memo = Memo { request_id: exchange.id.as_str().into(), endpoint, price, key };
    let admission = front.gateway.admit_with(client.id.clone(), ask, target.clone(), memo);
    let wait = ADMISSION_WAIT + resolved.provider.queue.wait;
    let dispatch = match tokio::time::timeout(wait, admission).await {
        Ok(answer) => answer?,
        Err(_) => return Err(Refusal::Overloaded { actor: "the gateway" }.into()),
    };
    let shown = Shown { target: resolved.target.clone(), limits: dispatch.limits, dropped: Vec::new() };
    Ok(Dispatched { charge: Charge::new(dispatch, prompt_tokens), shown })
}

impl Shown {
    /// Puts it into an answer, success or not.
    fn sign(&self, exchange: &Exchange, mut response: Response, upstream_time: Option<Duration>) -> Response {
        let headers = response.headers_mut();
        // In one step: these, the limits' eight, and the few of ours that follow.
        headers.reserve(HEADERS_EXPECTED);
        limit_headers::insert(headers, self.limits.as_ref(), None);
        let named = [(&X_GATEWAY_PROVIDER, &*self.target.provider), (&X_GATEWAY_MODEL, &*self.target.model)];
        for (name, value) in named {
            headers.extend(HeaderValue::from_str(value).map(|value| (name.clone(), value)));
        }
        if !self.dropped.is_empty() {
            let names = HeaderValue::try_from(list_of(&self.dropped));
            headers.extend(names.map(|names| (X_GATEWAY_DROPPED.clone(), names)));
        }
        headers.insert(&X_GATEWAY_ATTEMPTS, HeaderValue::from_static("1"));
        let whole = exchange.arrived.elapsed();
        let upstream = upstream_time.unwrap_or(whole).min(whole);
        headers.extend(server_timing(whole - upstream, upstream).map(|value| (SERVER_TIMING.clone(), value)));
        response
    }

    /// The answer to a request whose upstream failed.
    fn failed(&self, exchange: &Exchange, fault: crate::call::UpstreamFault) -> Response {
        tracing::warn!(
            request_id = exchange.id.as_str(),
            provider = &*self.target.provider,
            fault = fault.as_str(),
            "upstream failed"
        );
        let fault = Fault::of_call(&self.target.provider, fault);
        self.sign(exchange, respond::respond(exchange.dialect, &fault, exchange.id.as_str()), None)
    }
}

/// Names that a caller made up, as a list that a header can hold.
fn list_of(names: &[String]) -> String {
    let names = names.iter().map(|name| {
        let shown = &name[..name.floor_char_boundary(DROPPED_NAME_MAX)];
        utf8_percent_encode(shown, NOT_IN_LIST).to_string()
    });
    names.collect::<Vec<_>>().join(", ")
}

/// W3C Server-Timing, in milliseconds: ours to the hundredth, the upstream's to the tenth.
fn server_timing(gateway: Duration, upstream: Duration) -> Option<HeaderValue> {
    let mut timing = BytesMut::with_capacity(64);
    let mut number = |text: &str, number: u128, digits: u32| {
        let unit = 10_u128.pow(digits);
        timing.extend_from_slice(text.as_bytes());
        timing.extend_from_slice(itoa::Buffer::new().format(number / unit).as_bytes());
        timing.extend_from_slice(b".");
        if digits == 2 && number % unit < 10 {
            timing.extend_from_slice(b"0");
        }
        timing.extend_from_slice(itoa::Buffer::new().format(number % unit).as_bytes());
    };
    number("gateway;dur=", gateway.as_micros() / 10, 2);
    number(", upstream;dur=", upstream.as_micros() / 100, 1);
    HeaderValue::from_maybe_shared(timing.freeze()).ok()
}

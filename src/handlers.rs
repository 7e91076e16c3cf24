//! One file per surface: a request in, the tree asked, an answer out.

pub mod admin;
mod ask;
mod bound;
mod console;
pub mod counted;
pub mod docs;
pub mod generate;
pub mod generative;
pub mod interactions;
pub mod kept;
pub mod live;
pub mod metrics;
pub mod models;
pub mod passed;
pub mod plain;
mod probes;
mod requests;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gateway_actors::{Candidate, Client, Memo, Plan, Refusal, Skipped, Target, View};
use gateway_limits::{Denied, Mode, Price};
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use warp::reply::Response;

use crate::attempts::{Failed, Served};
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::limit_headers;
use crate::resolve::{self, Leg, RetiredModel};
use crate::respond;
use crate::routes::Route;
use crate::trail::Step;

use bound::{Beyond, Reserved};

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
static X_GATEWAY_WARNING: HeaderName = HeaderName::from_static("x-gateway-warning");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Routes for everybody.
pub fn public(front: &Front, exchange: &Exchange, route: Route) -> Result<Response, Fault> {
    match route {
        Route::Docs | Route::Redoc | Route::OpenApi => Ok(docs::answer(exchange, route)),
        Route::Console => console::answer(&exchange.path),
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

/// What a request asks the tree for.
#[derive(Clone)]
struct Asking<'a> {
    /// The endpoint's name, as the ledger has it.
    endpoint: &'static str,
    /// The most tokens that its prompt can be.
    prompt_tokens: u64,
    /// The most tokens that each target's answer can be; the last for those beyond.
    output_tokens: &'a [u64],
    /// Whether it costs nothing, whatever the target charges for others.
    is_free: bool,
    /// The one key that will do.
    key: Option<Arc<str>>,
}

impl Asking<'_> {
    /// What a target charges for it.
    fn price(&self, leg: &Leg) -> Option<Price> {
        if self.is_free { Some(Price::FREE) } else { leg.capability.price }
    }
}

/// A request that was admitted and has a key to call with.
struct Dispatched {
    charge: Charge,
    shown: Shown,
}

/// What the answer's head says of the dispatch.
#[derive(Debug, Clone)]
struct Shown {
    limits: Option<View>,
    would_refuse: Option<Denied>,
    /// What is to be said of a retired model.
    warning: Option<HeaderValue>,
}

/// Leaves out the targets whose price nobody knows, for a client with a budget.
fn affordable(exchange: &Exchange, client: &Client, legs: &mut Vec<Leg>) -> Result<(), Fault> {
    if !client.limits.has_budget() || client.limits.mode != Mode::Enforce {
        return Ok(());
    }
    let unpriced = legs.first().map(|leg| leg.target.clone());
    let why = "it has no price, and the client a budget";
    resolve::retain(legs, &exchange.trail, why, |leg| leg.capability.price.is_some());
    match unpriced {
        Some(Target { provider, model }) if legs.is_empty() => {
            Err(Fault::NoPrice { provider: provider.to_string(), model: model.to_string() })
        }
        _ => Ok(()),
    }
}

/// Asks the tree. The reservation covers the dearest of the targets.
async fn dispatch(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    legs: &[Leg],
    asking: Asking<'_>,
) -> Result<Dispatched, Fault> {
    dispatch_beyond(front, exchange, client, legs, asking, Beyond::default()).await
}

/// The same for a request that may use more than it shows.
async fn dispatch_beyond(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    legs: &[Leg],
    asking: Asking<'_>,
    beyond: Beyond,
) -> Result<Dispatched, Fault> {
    let Reserved { ask, most, bound } = bound::reserved(client, legs, &asking, beyond);
    let candidate = |leg: &Leg| Candidate {
        target: leg.target.clone(),
        price: asking.price(leg),
        key: asking.key.clone(),
    };
    let plan = Plan::new(legs.iter().map(candidate).collect()).ok_or(Fault::Bug)?;
    let memo = Memo { request_id: exchange.id.as_str().into(), endpoint: asking.endpoint };
    let admission = front.gateway.admit_with(client.id.clone(), ask, most, plan, memo);
    let queues = legs.iter().map(|leg| leg.provider.queue.wait).sum::<Duration>();
    let dispatch = match tokio::time::timeout(ADMISSION_WAIT + queues, admission).await {
        Ok(answer) => answer.inspect_err(|refused| {
            for Skipped { at, why } in &refused.skipped {
                exchange.trail.note(Step::Dropped { target: legs[*at].target.clone(), why });
            }
        })?,
        Err(_) => return Err(Refusal::Overloaded { actor: "the gateway" }.into()),
    };
    let (limits, would_refuse) = (dispatch.limits, dispatch.would_refuse);
    if let Some(denied) = would_refuse {
        let (request_id, client, limit) = (exchange.id.as_str(), client.id.as_str(), denied.limit.as_str());
        exchange.trail.note(Step::WouldRefuse { limit });
        let denied = denied.to_string();
        tracing::info!(request_id, client, limit, denied, "would be refused, were its limits not in shadow");
    }
    let ask = dispatch.admission.ask();
    exchange.trail.note(Step::Admitted { tokens: ask.tokens, cost: ask.cost });
    let shown = Shown { limits, would_refuse, warning: None };
    Ok(Dispatched { charge: Charge::new(dispatch, bound, exchange.trail.clone()), shown })
}

impl Shown {
    /// What is to be said of a retired model, in the head and, once a day, in the log.
    fn warn(&mut self, front: &Front, retired: Option<&RetiredModel>) {
        let Some(retired) = retired else { return };
        front.retirements.note(retired);
        self.warning = HeaderValue::try_from(retired.to_string()).ok();
    }

    /// Puts it into an answer, success or not.
    fn sign(
        &self,
        exchange: &Exchange,
        mut response: Response,
        served: &Served,
        upstream_time: Option<Duration>,
    ) -> Response {
        let headers = response.headers_mut();
        // In one step: these, the limits' eight, and the few of ours that follow.
        headers.reserve(HEADERS_EXPECTED);
        limit_headers::insert(headers, self.limits.as_ref(), None);
        limit_headers::insert_would_refuse(headers, self.would_refuse.as_ref());
        let Target { provider, model } = &served.leg.target;
        for (name, value) in [(&X_GATEWAY_PROVIDER, &**provider), (&X_GATEWAY_MODEL, &**model)] {
            headers.extend(HeaderValue::from_str(value).map(|value| (name.clone(), value)));
        }
        if !served.dropped.is_empty() {
            let names = HeaderValue::try_from(list_of(&served.dropped));
            headers.extend(names.map(|names| (X_GATEWAY_DROPPED.clone(), names)));
        }
        headers.extend(self.warning.clone().map(|warning| (X_GATEWAY_WARNING.clone(), warning)));
        headers.insert(&X_GATEWAY_ATTEMPTS, HeaderValue::from(served.attempts));
        let whole = exchange.arrived.elapsed();
        let upstream = upstream_time.unwrap_or(whole).min(whole);
        headers.extend(server_timing(whole - upstream, upstream).map(|value| (SERVER_TIMING.clone(), value)));
        response
    }

    /// The answer to a request whose upstreams failed.
    fn failed(&self, exchange: &Exchange, failed: &Failed) -> Response {
        let response = respond::respond(exchange.dialect, &failed.fault, exchange.id.as_str());
        self.sign(exchange, response, &failed.served, None)
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

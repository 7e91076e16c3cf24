//! One question for a model, whatever protocol it comes in and whatever its provider speaks: resolved, bounded,
//! admitted, called, answered.
//!
//! Called   by the surfaces in [`super::generative`] and by the seed's, with what they have read.
//! Fails    before the admission for what is wrong with the request, so that it uses up nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gateway_actors::ledger::AnswerOwner;
use gateway_actors::{Client, ClientId};
use gateway_protocols::anthropic::beta;
use gateway_protocols::event::{AnswerFault, AnswerStream, WholeAnswer};
use gateway_protocols::translate::{Mendable, Protocol, Resume};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use warp::reply::{Reply, Response};

use crate::attempts::{Attempts, Course, Served, StreamWriter, Writer, Written};
use crate::body::BufferedBody;
use crate::call::{ReadWhole, Whole};
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::relay::{Keeper, Relay, RelayContext};
use crate::request_id::RequestId;
use crate::resolve::{Leg, Resolved};
use crate::settings::{Midstream, ProviderKind};
use crate::surface::{self, Asked, Outgoing, Upstream};
use crate::trail::Step;
use crate::upstream::{PASSED_UPSTREAM, UpstreamRequest, with_query};

use super::bound::Beyond;
use super::{Asking, Cap, Dispatched, Shown, UNKNOWN_MAX_OUTPUT, affordable, cap, dispatch_beyond};

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
    /// The body, which counts in the budget for bodies until an answer has begun.
    pub body: BufferedBody,
}

/// Answers a question.
pub async fn answer(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: Resolved,
    question: Question,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let Question { asked, endpoint, key, body: held } = question;
    let Resolved { mut legs, retired, midstream } = resolved;
    affordable(exchange, client, &mut legs)?;
    let caps = caps(client, &asked, &legs)?;
    let (stream, is_array, in_background) = (asked.stream(), asked.is_array(), asked.in_background());
    let (prompt_tokens, n) = (asked.prompt_tokens(), asked.n());
    // Several answers at once take turns in the stream, and nobody else could go on with all of them; one that is made
    // in the background does not break off.
    let midstream = if stream && n == 1 && !in_background { midstream } else { Midstream::Error };
    let mut asks = Asks {
        asked,
        caps,
        passed: HeaderMap::new(),
        id: exchange.id.clone(),
        created: created(),
        is_mendable: midstream != Midstream::Error,
        _held: held,
    };
    // What cannot be translated uses up nothing.
    let translated = asks.translatable(exchange, &mut legs)?;
    let output_tokens: Vec<u64> = asks.caps.iter().map(|cap| cap.reserved.saturating_mul(n)).collect();
    let asking = Asking { endpoint, prompt_tokens, output_tokens: &output_tokens, is_free: false, key };
    let beyond = Beyond::of_pinned(asking.key.is_some());
    let Dispatched { mut charge, mut shown } =
        dispatch_beyond(front, exchange, client, &legs, asking, beyond).await?;
    charge.in_background(in_background);
    shown.warn(front, retired.as_ref());
    if legs.len() > 1 || asks.is_mendable {
        asks.passed = passed_upstream(&exchange.headers);
    }
    let at = charge.lease().at();
    let written = match translated.filter(|_| at == 0) {
        Some(written) => written,
        None => asks.written(&exchange.headers, &legs[at], at)?,
    };
    let protocol = asks.asked.protocol();
    let keeps = matches!(protocol, Protocol::Responses | Protocol::Messages);
    let course = Course { midstream, ..course(front, exchange, client, legs) };
    let attempts = Attempts::new(course, asks, Some((at, written)));
    if stream {
        let keeps_for = keeps.then(|| client.id.clone());
        let flow = Flow { shown, in_flight, is_array, keeps_for, in_background };
        return Ok(relay(front, exchange, attempts, charge, flow).await);
    }
    let response = match attempts.whole(charge).await {
        Ok((mut whole, served)) => {
            if keeps && is_passed(&served.leg, protocol) {
                keep(front, client, protocol, &mut whole, &served);
            }
            shown.whole(exchange, whole, &served)
        }
        Err(failed) => shown.failed(exchange, &failed),
    };
    drop(in_flight);
    Ok(response)
}

/// Notes whose an answer is that its upstream keeps, and holds on to one that is not made yet.
fn keep(front: &Front, client: &Client, protocol: Protocol, whole: &mut Whole, served: &Served) {
    let shared = Arc::clone(front.gateway.shared());
    let keeper = Keeper { shared, owner: owner(client, served) };
    let kept = surface::kept(protocol, &whole.bytes);
    kept.iter().for_each(|id| keeper.note(id));
    if let (Some(id), Some(call)) = (kept.first(), whole.unattended.take()) {
        front.background.hold(id, call);
    }
}

fn is_passed(leg: &Leg, protocol: Protocol) -> bool {
    surface::spoken(&leg.provider, protocol) == protocol
}

/// Whose an answer is, and at which key.
pub(super) fn owner(client: &Client, served: &Served) -> AnswerOwner {
    AnswerOwner {
        client: client.id.clone(),
        provider: Arc::clone(&served.leg.target.provider),
        key: Arc::clone(&served.key),
    }
}

/// The output caps of a request at each of its targets.
fn caps(client: &Client, asked: &Asked, legs: &[Leg]) -> Result<Vec<Cap>, Fault> {
    let (asked_cap, param) = asked.cap();
    legs.iter().map(|leg| cap(client, asked_cap, leg.capability.max_output, param)).collect()
}

/// A question, written for any of its targets.
#[derive(Debug)]
struct Asks {
    asked: Asked,
    /// As the targets.
    caps: Vec<Cap>,
    /// The caller's headers that may go upstream; empty where there is one target only.
    passed: HeaderMap,
    id: RequestId,
    created: u64,
    /// Whether others may go on with a stream that breaks off.
    is_mendable: bool,
    _held: BufferedBody,
}

impl Asks {
    /// Leaves out the first targets that the question has no form for. Where the first of the others speaks another
    /// protocol, it is written already.
    fn translatable(&mut self, exchange: &Exchange, legs: &mut Vec<Leg>) -> Result<Option<Written>, Fault> {
        loop {
            if is_passed(&legs[0], self.asked.protocol()) {
                return Ok(None);
            }
            match self.written(&exchange.headers, &legs[0], 0) {
                Ok(written) => return Ok(Some(written)),
                Err(fault) if legs.len() == 1 => return Err(fault),
                Err(_) => {
                    let target = legs.remove(0).target;
                    let why = "the request has no form there";
                    exchange.trail.note(Step::Dropped { target, why });
                    self.caps.remove(0);
                }
            }
        }
    }

    fn upstream<'a>(&'a self, leg: &'a Leg, at: usize) -> Upstream<'a> {
        Upstream {
            provider: &leg.provider,
            model: &leg.target.model,
            capability: leg.capability,
            cap: self.caps[at].sent,
            max_output: leg.capability.max_output.unwrap_or(UNKNOWN_MAX_OUTPUT),
        }
    }

    fn written(&self, headers: &HeaderMap, leg: &Leg, at: usize) -> Result<Written, Fault> {
        self.written_as(&self.asked, headers, leg, at)
    }

    fn written_as(&self, asked: &Asked, headers: &HeaderMap, leg: &Leg, at: usize) -> Result<Written, Fault> {
        let Outgoing { path, body, dropped } = surface::outgoing(asked, self.upstream(leg, at))?;
        let is_passed = is_passed(leg, self.asked.protocol());
        let request = request(headers, leg, Sent { method: Method::POST, path, body, is_passed });
        Ok(Written { request, dropped })
    }
}

impl Writer for Asks {
    fn write(&self, leg: &Leg, at: usize) -> Result<Written, Fault> {
        self.written(&self.passed, leg, at)
    }

    fn read_whole(&self, leg: &Leg, at: usize) -> ReadWhole {
        surface::read_whole(&self.asked, self.upstream(leg, at), self.id.as_str(), self.created)
    }
}

impl StreamWriter for Asks {
    fn stream(&self, leg: &Leg, at: usize) -> Box<dyn AnswerStream> {
        let stream = if self.is_mendable { surface::mendable } else { surface::stream };
        stream(&self.asked, self.upstream(leg, at), self.id.as_str(), self.created)
    }

    fn resume(&self, leg: &Leg, at: usize, stream: &mut Mendable, how: Resume) {
        surface::resume(&self.asked, self.upstream(leg, at), stream, how);
    }

    fn continued(&self, leg: &Leg, at: usize, text: &str) -> Option<Written> {
        if !leg.capability.takes_prefill {
            return None;
        }
        let asked = surface::continued(&self.asked, text)?;
        self.written_as(&asked, &self.passed, leg, at).ok()
    }
}

/// A request that has one target, and one form.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) request: UpstreamRequest,
    pub(super) read: fn(Bytes) -> Result<(Bytes, WholeAnswer), AnswerFault>,
}

impl Writer for Fixed {
    fn write(&self, _: &Leg, _: usize) -> Result<Written, Fault> {
        Ok(Written { request: self.request.clone(), dropped: Vec::new() })
    }

    fn read_whole(&self, _: &Leg, _: usize) -> ReadWhole {
        Box::new(self.read)
    }
}

/// What all attempts of a request have in common.
pub(super) fn course(front: &Front, exchange: &Exchange, client: &Client, legs: Vec<Leg>) -> Course {
    Course {
        gateway: front.gateway.clone(),
        upstreams: Arc::clone(&exchange.live.upstreams),
        legs: legs.into(),
        arrived: exchange.arrived,
        max_attempts: exchange.live.settings.retries.max_attempts,
        priority: client.priority,
        request_id: exchange.id.as_str().into(),
        midstream: Midstream::Error,
    }
}

/// The same for a request that may change something upstream, and so is never sent a second time.
pub(super) fn once(course: Course) -> Course {
    Course { max_attempts: 1, ..course }
}

/// What goes to an upstream.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) method: Method,
    /// Below the base URL.
    pub(super) path: Cow<'static, str>,
    pub(super) body: Bytes,
    /// Whether the caller speaks the upstream's protocol.
    pub(super) is_passed: bool,
}

/// A request to a provider, with the headers that it gets.
pub(super) fn request(headers: &HeaderMap, leg: &Leg, sent: Sent) -> UpstreamRequest {
    let Sent { method, path, body, is_passed } = sent;
    let quirks = &leg.provider.quirks;
    UpstreamRequest {
        method,
        path: with_query(path, quirks.query.as_deref()),
        auth: quirks.auth,
        http2: quirks.http2,
        headers: upstream_headers(headers, leg, is_passed),
        body,
    }
}

impl Shown {
    /// A whole answer as it came, or as it was translated.
    pub(super) fn whole(&self, exchange: &Exchange, whole: Whole, served: &Served) -> Response {
        let mut response = Response::new(whole.bytes.into());
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, whole.content_type.unwrap_or(json));
        headers.extend(whole.processing_ms.map(|ms| (OPENAI_PROCESSING_MS.clone(), ms)));
        self.sign(exchange, response, served, Some(whole.upstream_time))
    }
}

/// Those of a caller's headers that may go upstream.
pub(super) fn passed_upstream(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(PASSED_UPSTREAM.len());
    for name in &PASSED_UPSTREAM {
        // A list may stand on several lines; `extend` appends.
        passed.extend(headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    passed
}

/// Of the caller's headers only the listed ones go upstream; a vendor's own mean nothing to one of another protocol.
fn upstream_headers(of_caller: &HeaderMap, leg: &Leg, is_passed: bool) -> HeaderMap {
    let kind = leg.provider.kind;
    let mut headers = HeaderMap::with_capacity(PASSED_UPSTREAM.len() + 2);
    for name in &PASSED_UPSTREAM {
        let is_vendors = [&ANTHROPIC_VERSION, &ANTHROPIC_BETA, &OPENAI_BETA].contains(&name);
        if is_vendors && !is_passed {
            continue;
        }
        // A list may stand on several lines; `extend` appends.
        headers.extend(of_caller.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    if kind == ProviderKind::Anthropic {
        let default = HeaderValue::from_static(ANTHROPIC_VERSION_DEFAULT);
        headers.entry(&ANTHROPIC_VERSION).or_insert(default);
        if headers.contains_key(&ANTHROPIC_BETA) {
            let flags = headers.get_all(&ANTHROPIC_BETA).iter().map(HeaderValue::as_bytes);
            let flags = beta::filtered(flags, leg.provider.quirks.betas.as_deref());
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
    headers.extend(leg.provider.quirks.headers.iter().cloned());
    headers
}

/// How a stream is relayed.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) shown: Shown,
    pub(super) in_flight: InFlight,
    /// Whether it is one JSON array instead of server-sent events.
    pub(super) is_array: bool,
    /// Who may ask for the answer again, where its upstream keeps it.
    pub(super) keeps_for: Option<ClientId>,
    /// Whether its upstream goes on with it when the client has left.
    pub(super) in_background: bool,
}

/// Waits for the first content, or no longer than `hold_back`, and relays.
pub(super) async fn relay<W: StreamWriter>(
    front: &Front,
    exchange: &Exchange,
    attempts: Attempts<W>,
    charge: Charge,
    flow: Flow,
) -> Response {
    let Flow { shown, in_flight, is_array, keeps_for, in_background } = flow;
    // Where content is late, the head names whom it was asked for first.
    let first = attempts.served_by(&charge);
    let hold_back = first.leg.timeouts.hold_back;
    let context = RelayContext {
        dialect: exchange.dialect,
        request_id: exchange.id.clone(),
        provider: Arc::clone(&first.leg.target.provider),
        timeouts: first.leg.timeouts,
        arrived: exchange.arrived,
        in_flight,
        is_array,
        keeper: keeps_for.map(|client| (Arc::clone(front.gateway.shared()), client)),
        background: in_background.then(|| Arc::clone(&front.background)),
    };
    let cut_off = front.cut_off.token().clone().cancelled_owned();
    let mut opening = Box::pin(attempts.open(charge));
    let (relay, served, processing_ms, upstream_time) =
        match tokio::time::timeout(hold_back, &mut opening).await {
            Ok(Ok(mut opened)) => {
                let (processing_ms, time) = (opened.processing_ms.take(), opened.upstream_time);
                let served = opened.served.clone();
                (Relay::flowing(context, opened, cut_off), served, processing_ms, Some(time))
            }
            Ok(Err(failed)) => return shown.failed(exchange, &failed),
            Err(_) => (Relay::opening(context, opening, cut_off), first, None, None),
        };
    let mut response = warp::reply::stream(relay).into_response();
    let headers = response.headers_mut();
    let content_type = if is_array { "application/json" } else { "text/event-stream; charset=utf-8" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.extend(processing_ms.map(|ms| (OPENAI_PROCESSING_MS.clone(), ms)));
    shown.sign(exchange, response, &served, upstream_time)
}

/// Now, in seconds since the Unix epoch.
pub(super) fn created() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// HEAD is our own answer to a GET, whose body is left out behind us.
pub(super) fn upstream_method(method: &Method) -> Method {
    if *method == Method::HEAD { Method::GET } else { method.clone() }
}

//! OpenAI's chat completions, for every provider of kind `openai` and for `echo`: bytes pass.
//!
//! Called   by the front door with the body read. One scan finds the members that matter; the request goes on
//!          as it came, but for the model's name, the output cap and `stream_options.include_usage`.

use std::sync::Arc;

use gateway_actors::Client;
use gateway_protocols::estimate;
use gateway_protocols::event::{AnswerFault, AnswerStream, WholeAnswer};
use gateway_protocols::openai::{CapMember, ChatAnswer, ChatRequest, ChatStream, Rewrite, StreamOptions};
use gateway_protocols::usage::Usage;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use warp::reply::{Reply, Response};

use crate::body::BufferedBody;
use crate::call::Call;
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::relay::{Relay, RelayContext};
use crate::resolve::{self, Asker, GROQ, Resolved};
use crate::upstream::{Auth, PASSED_UPSTREAM, UpstreamRequest};

use super::{Asking, Dispatched, Shown, cap, dispatch, prompt_tokens};

static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static OPENAI_PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

/// The endpoint's name in the ledger.
const ENDPOINT: &str = "chat/completions";

/// The largest event of a stream that is passed on: an image of 8 MB in base64, and some more.
const EVENT_MAX: usize = 16 << 20;

/// Answers one chat request.
pub async fn chat(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: impl Into<InFlight>,
) -> Result<Response, Fault> {
    let request = ChatRequest::read(body.bytes())?;
    let name = request.model().ok_or(Fault::NoModel)?;
    let settings = &exchange.live.settings;
    let home = exchange.path.starts_with("/openai/").then_some(GROQ);
    let resolved = resolve::model(settings, Asker { client, home }, name)?;
    let capability = settings.capabilities.of(&resolved.target.provider, &resolved.target.model);
    let (asked, asked_as) = (request.output_cap(), asked_as(&request));
    let cap = cap(client, asked, capability.max_output, asked_as.unwrap_or_default().as_str())?;
    // The caller's cap goes under the name that the model is known to take, else under the caller's own.
    let member = capability.cap_member.or(asked_as).unwrap_or_default();
    let sent = cap.sent.or(asked.filter(|_| asked_as != Some(member)));
    let prompt_tokens = prompt_tokens(&request);
    let output_tokens = cap.reserved.saturating_mul(request.n());

    let price = super::price(exchange, &resolved);
    let asking = Asking { endpoint: ENDPOINT, prompt_tokens, output_tokens, price, key: None };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved, asking).await?;
    let rewrite = Rewrite {
        model: (*name != *resolved.target.model).then_some(&resolved.target.model),
        cap: sent.map(|cap| (member, cap)),
        include_usage: request.stream(),
    };
    let call = Call {
        upstreams: exchange.live.upstreams.clone(),
        provider: resolved.provider.clone(),
        timeouts: resolved.timeouts,
        arrived: exchange.arrived,
        request: upstream_request(exchange, request.rewrite(&rewrite)),
    };
    if request.stream() {
        let scan = Box::new(ChatStream::new(StreamOptions {
            show_usage: request.include_usage(),
            max_frame_bytes: EVENT_MAX,
        }));
        drop(body);
        return Ok(stream(front, exchange, &resolved, call, charge, scan, shown, in_flight.into()).await);
    }
    Ok(match call.whole(charge, Box::new(passed)).await {
        Ok(whole) => {
            let mut response = Response::new(whole.bytes.into());
            let headers = response.headers_mut();
            let content_type = whole.content_type.unwrap_or(HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_TYPE, content_type);
            headers.extend(whole.processing_ms.map(|ms| (OPENAI_PROCESSING_MS.clone(), ms)));
            shown.sign(exchange, response, Some(whole.upstream_time))
        }
        Err(fault) => shown.failed(exchange, fault),
    })
}

/// A chat answer that passes as it came.
pub(super) fn passed(body: bytes::Bytes) -> Result<(bytes::Bytes, WholeAnswer), AnswerFault> {
    let ChatAnswer { usage, text, model } = ChatAnswer::read(&body)?;
    let counted = Usage { output: estimate::text_tokens(&text), ..Usage::default() };
    Ok((body, WholeAnswer { usage, counted, model }))
}

/// The member that holds the caller's cap.
fn asked_as(request: &ChatRequest) -> Option<CapMember> {
    let newer = request.max_completion_tokens().map(|_| CapMember::MaxCompletionTokens);
    newer.or(request.max_tokens().map(|_| CapMember::MaxTokens))
}

/// Of the caller's headers only the listed ones go upstream.
pub(super) fn upstream_request(exchange: &Exchange, body: bytes::Bytes) -> UpstreamRequest {
    let mut headers = HeaderMap::with_capacity(PASSED_UPSTREAM.len() + 2);
    for name in &PASSED_UPSTREAM {
        // A list may stand on several lines; `extend` appends.
        headers.extend(exchange.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    UpstreamRequest {
        method: Method::POST,
        path: "/chat/completions".into(),
        auth: Auth::Bearer,
        headers,
        body,
    }
}

/// Waits for the first content, or no longer than `hold_back`, and relays.
#[expect(
    clippy::too_many_arguments,
    reason = "each is used once, and a struct for them would live for one call"
)]
async fn stream(
    front: &Front,
    exchange: &Exchange,
    resolved: &Resolved,
    call: Call,
    charge: Charge,
    scan: Box<dyn AnswerStream>,
    shown: Shown,
    in_flight: InFlight,
) -> Response {
    let context = RelayContext {
        dialect: exchange.dialect,
        request_id: exchange.id.clone(),
        provider: Arc::clone(&shown.target.provider),
        timeouts: resolved.timeouts,
        arrived: exchange.arrived,
        in_flight,
        keeper: None,
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
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.extend(processing_ms.map(|ms| (OPENAI_PROCESSING_MS.clone(), ms)));
    shown.sign(exchange, response, upstream_time)
}

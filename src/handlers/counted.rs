//! How many tokens a question has: `POST /v1/messages/count_tokens` and Gemini's `:countTokens`.
//!
//! Called   by the front door, behind the one admission; nothing is generated, so no token is charged.
//! Fails    as any question does. A provider of another protocol is not asked: the answer is then the gateway's own
//!          bound, which is never below the true count by much and may be above it.

use gateway_actors::Client;
use gateway_protocols::event::WholeAnswer;
use gateway_protocols::translate::Protocol;
use http::Method;
use serde_json::json;
use warp::reply::Response;

use crate::attempts::Attempts;
use crate::body::BufferedBody;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::resolve::Resolved;
use crate::respond;
use crate::surface;

use super::ask::{Fixed, Sent, course, request};
use super::generative::resolved;
use super::{Asking, Dispatched, dispatch};

/// The endpoint's name, as the ledger has it.
const ENDPOINT: &str = "messages";

/// `POST /v1/messages/count_tokens`
pub async fn messages(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let request = gateway_protocols::anthropic::MessagesRequest::read_count_tokens(body.bytes())?;
    let resolved = resolved(exchange, client, request.model(), false)?;
    let model = &*resolved.first().target.model;
    let renamed = request.rewrite((request.model() != Some(model)).then_some(model), None);
    let tokens =
        request.prompt_parts().map(gateway_protocols::estimate::prompt_tokens).fold(0, u64::saturating_add);
    let counting = Counting {
        protocol: Protocol::Messages,
        path: "/messages/count_tokens".to_owned(),
        tokens,
        member: "input_tokens",
    };
    count(front, exchange, client, resolved.alone(&exchange.trail), counting, renamed, in_flight).await
}

/// How something is counted.
pub(super) struct Counting {
    /// Whose protocol it is in.
    pub(super) protocol: Protocol,
    /// Where an upstream of the same protocol counts.
    pub(super) path: String,
    /// Our own count.
    pub(super) tokens: u64,
    /// The member of our own answer that has it.
    pub(super) member: &'static str,
}

/// Asks an upstream of the same protocol, or answers with our own count.
pub(super) async fn count(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: Resolved,
    counting: Counting,
    body: bytes::Bytes,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let Counting { protocol, path, tokens, member } = counting;
    let asking =
        Asking { endpoint: ENDPOINT, prompt_tokens: 0, output_tokens: &[0], is_free: true, key: None };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved.legs, asking).await?;
    let leg = resolved.first();
    let sent = Sent { method: Method::POST, path: path.into(), body, is_passed: true };
    let request = request(&exchange.headers, leg, sent);
    let is_passed = surface::spoken(&leg.provider, protocol) == protocol;
    let fixed = Fixed { request, read: |body| Ok((body, WholeAnswer::default())) };
    let attempts = Attempts::new(course(front, exchange, client, resolved.legs), fixed, None);
    if !is_passed {
        let served = attempts.served_by(&charge);
        // Nobody is asked, so the charge ends as never sent; the request stays in no window.
        drop((charge, in_flight));
        let counted = respond::json(json!({member: tokens}).to_string());
        return Ok(shown.sign(exchange, counted, &served, None));
    }
    let answer = attempts.whole(charge).await;
    drop(in_flight);
    Ok(match answer {
        Ok((whole, served)) => shown.whole(exchange, whole, &served),
        Err(failed) => shown.failed(exchange, &failed),
    })
}

/// `POST /v1beta/models/M:countTokens`
pub(super) async fn gemini(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    model: &str,
    body: &BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let request = gateway_protocols::gemini::CountRequest::read(body.bytes())?;
    let resolved = resolved(exchange, client, Some(model), false)?;
    let counting = Counting {
        protocol: Protocol::Gemini,
        path: surface::gemini_path(&resolved.first().target.model, "countTokens"),
        tokens: gateway_protocols::estimate::prompt_tokens(request.prompt()),
        member: "totalTokens",
    };
    let body = request.rewrite(&resolved.first().target.model);
    count(front, exchange, client, resolved.alone(&exchange.trail), counting, body, in_flight).await
}

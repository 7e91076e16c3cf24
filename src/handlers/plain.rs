//! OpenAI's embeddings and its older completions, of providers that have them: bytes pass.
//!
//! Called   by the front door with the body read.
//! Fails    before the admission for what is wrong with the request, or for a provider of another kind.

use gateway_actors::Client;
use gateway_protocols::completions::{self, CompletionsRequest, CompletionsStream};
use gateway_protocols::embeddings::{self, EmbeddingsRequest};
use gateway_protocols::event::AnswerStream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use warp::reply::Response;

use crate::body::BufferedBody;
use crate::call::{Call, ReadWhole};
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::surface::EVENT_MAX;

use super::ask::{Sent, call, relay};
use super::generative::resolved;
use super::passed::served;
use super::{Asking, Cap, Dispatched, Shown, cap, dispatch, price};

/// `POST /v1/embeddings`
pub async fn embeddings(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    const ENDPOINT: &str = "embeddings";
    let request = EmbeddingsRequest::read(body.bytes())?;
    let resolved = resolved(exchange, client, request.model(), false)?;
    served(&resolved, ENDPOINT)?;
    let prompt_tokens = request.prompt_tokens();
    let price = price(exchange, &resolved);
    let asking = Asking { endpoint: ENDPOINT, prompt_tokens, output_tokens: 0, price, key: None };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved, asking).await?;
    let model = &*resolved.target.model;
    let sent = request.rewrite((request.model() != Some(model)).then_some(model));
    let sent = Sent { method: Method::POST, path: "/embeddings".into(), body: sent, is_passed: true };
    let call = call(exchange, &resolved, sent);
    let read: ReadWhole = Box::new(|body| embeddings::whole(&body).map(|answer| (body, answer)));
    let response = whole(exchange, call, charge, read, &shown).await;
    drop((body, in_flight));
    Ok(response)
}

/// `POST /v1/completions`
pub async fn completions(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    const ENDPOINT: &str = "completions";
    let request = CompletionsRequest::read(body.bytes())?;
    let resolved = resolved(exchange, client, request.model(), request.stream())?;
    served(&resolved, ENDPOINT)?;
    let target = &resolved.target;
    let capability = exchange.live.settings.capabilities.of(&target.provider, &target.model);
    let Cap { sent, reserved } = cap(client, request.output_cap(), capability.max_output, "max_tokens")?;
    let prompt_tokens = request.prompt_tokens();
    let output_tokens = reserved.saturating_mul(request.n());
    let price = price(exchange, &resolved);
    let asking = Asking { endpoint: ENDPOINT, prompt_tokens, output_tokens, price, key: None };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved, asking).await?;
    let model = &*resolved.target.model;
    let renamed = (request.model() != Some(model)).then_some(model);
    let include_usage = request.stream() && !resolved.provider.quirks.tells_usage_unasked;
    let body_sent = request.rewrite(renamed, sent, include_usage);
    let sent = Sent { method: Method::POST, path: "/completions".into(), body: body_sent, is_passed: true };
    let call = call(exchange, &resolved, sent);
    if request.stream() {
        let scan: Box<dyn AnswerStream> =
            Box::new(CompletionsStream::new(request.include_usage(), EVENT_MAX));
        drop((request, body));
        return Ok(relay(front, exchange, &resolved, call, charge, scan, shown, in_flight, false, None).await);
    }
    let read: ReadWhole = Box::new(|body| completions::whole(&body).map(|answer| (body, answer)));
    let response = whole(exchange, call, charge, read, &shown).await;
    drop((body, in_flight));
    Ok(response)
}

async fn whole(exchange: &Exchange, call: Call, charge: Charge, read: ReadWhole, shown: &Shown) -> Response {
    match call.whole(charge, read).await {
        Ok(whole) => {
            let mut response = Response::new(whole.bytes.into());
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, whole.content_type.unwrap_or(json));
            shown.sign(exchange, response, Some(whole.upstream_time))
        }
        Err(fault) => shown.failed(exchange, fault),
    }
}

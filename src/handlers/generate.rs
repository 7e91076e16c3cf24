//! The seed's API: `POST /api/v1/generate` and `GET /api/v1/clients/reload`, in its exact shapes.

use std::sync::Arc;

use gateway_actors::Client;
use gateway_protocols::generate::{self, FaultKind, GenerateRequest, ValidationFault};
use gateway_protocols::openai::{ChatAnswer, ChatRequest};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};
use serde_json::json;
use warp::reply::Response;

use crate::body::BufferedBody;
use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::resolve::{self, Missing};
use crate::respond;
use crate::surface::{self, Asked, Outgoing, Upstream};
use crate::trail::Step;

use super::ask::{Sent, call, created};
use super::{Asking, Dispatched, cap, dispatch};

/// The endpoint's name in the ledger.
const ENDPOINT: &str = "generate";

/// The output cap of a request that names none, unless its client's limit is lower.
const DEFAULT_MAX_TOKENS: u64 = 150;

/// Answers one seed request.
pub async fn generate(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: &BufferedBody,
) -> Result<Response, Fault> {
    let request = GenerateRequest::read(body.bytes()).map_err(Fault::Validation)?;
    let settings = &exchange.live.settings;
    let (provider, model) = (request.provider.as_deref(), request.model.as_deref());
    let resolved = resolve::seed(settings, client, provider, model)?
        .map_err(|missing| missing_member(missing, provider))?;
    let asked_model = model.unwrap_or(&resolved.target.model).into();
    exchange.trail.note(Step::Asked { model: asked_model, stream: false });
    let default = client.max_tokens_limit.map_or(DEFAULT_MAX_TOKENS, |limit| limit.min(DEFAULT_MAX_TOKENS));
    let asked = request.max_tokens.unwrap_or(default);
    let cap = cap(client, Some(asked), None, "max_tokens")?;
    let max_tokens = cap.sent.unwrap_or(asked);
    let capability = settings.capabilities.of(&resolved.target.provider, &resolved.target.model);
    let chat = request.to_chat(
        &resolved.target.model,
        capability.cap_member.unwrap_or_default().as_str(),
        max_tokens,
        capability.takes_temperature,
    );
    let asked = Asked::Chat(ChatRequest::read(&chat)?);
    let upstream = Upstream {
        provider: &resolved.provider,
        model: &resolved.target.model,
        capability,
        cap: None,
        max_output: max_tokens,
    };
    let Outgoing { path, body: sent, .. } = surface::outgoing(&asked, upstream)?;
    let prompt_tokens = asked.prompt_tokens();
    let price = super::price(exchange, &resolved);
    let asking = Asking { endpoint: ENDPOINT, prompt_tokens, output_tokens: cap.reserved, price, key: None };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved, asking).await?;
    let call = call(exchange, &resolved, Sent { method: Method::POST, path, body: sent, is_passed: false });
    let read = surface::read_whole(&asked, upstream, exchange.id.as_str(), created());
    Ok(match call.whole(charge, read).await {
        Ok(whole) => {
            let answer = &whole.answer;
            // It was read before, so it can be read.
            let text = ChatAnswer::read(&whole.bytes).map(|answer| answer.text).unwrap_or_default();
            let (prompt, completion) = match &answer.usage {
                Some(usage) => (usage.prompt_tokens(), usage.completion_tokens()),
                None => (prompt_tokens, answer.counted.total()),
            };
            let total = answer.usage.as_ref().map_or(prompt + completion, |usage| usage.total());
            let model = answer.model.as_deref().unwrap_or(&resolved.target.model);
            let body = generate::answer(&text, model, prompt, completion, total);
            shown.sign(exchange, respond::json(body), Some(whole.upstream_time))
        }
        Err(fault) => shown.failed(exchange, fault),
    })
}

fn missing_member(missing: Missing, provider: Option<&str>) -> Fault {
    let fault = match missing {
        Missing::Provider => ValidationFault::of_member("provider", FaultKind::Missing, "null"),
        Missing::Model => ValidationFault::of_member("model", FaultKind::Missing, "null"),
        Missing::UnknownProvider => {
            let input = serde_json::Value::from(provider).to_string();
            ValidationFault::of_member("provider", FaultKind::UnknownProvider, &input)
        }
    };
    Fault::Validation(vec![fault])
}

/// Reloads, and answers as the seed does.
pub async fn reload(front: &Arc<Front>) -> Result<Response, Fault> {
    let report = front.reloader.reload(front).await?;
    let count = report.count;
    let message = format!("Successfully reloaded {count} client configurations");
    let mut response = respond::json(json!({"message": message, "count": count}).to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

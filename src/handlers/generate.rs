//! The seed's API: `POST /api/v1/generate` and `GET /api/v1/clients/reload`, in its exact shapes.

use std::sync::Arc;

use gateway_actors::Client;
use gateway_protocols::event::AnswerFault;
use gateway_protocols::generate::{self, FaultKind, GenerateRequest, ValidationFault};
use gateway_protocols::openai::{ChatAnswer, ChatRequest};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;
use warp::reply::Response;

use crate::attempts::{Attempts, Writer, Written};
use crate::audit::Author;
use crate::body::BufferedBody;
use crate::call::ReadWhole;
use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::request_id::RequestId;
use crate::resolve::{self, Asker, Leg, Missing, Resolved};
use crate::respond;
use crate::surface::{self, Asked, Outgoing, Upstream};
use crate::trail::Step;

use super::ask::{Sent, course, created, passed_upstream, request};
use super::generative::note_targets;
use super::{Asking, Dispatched, affordable, cap, dispatch};

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
    let (provider, model) = (request.provider.as_deref(), request.model.as_deref());
    let asker = Asker { client, home: None, trail: Some(&exchange.trail) };
    let resolved = resolve::seed(&exchange.live.settings, asker, provider, model)?
        .map_err(|missing| missing_member(missing, provider))?;
    let asked_model = model.unwrap_or(&resolved.first().target.model).into();
    exchange.trail.note(Step::Asked { model: asked_model, stream: false });
    let Resolved { mut legs, retired, .. } = resolved;
    note_targets(exchange, &legs);
    affordable(exchange, client, &mut legs)?;
    let default = client.max_tokens_limit.map_or(DEFAULT_MAX_TOKENS, |limit| limit.min(DEFAULT_MAX_TOKENS));
    let asked = request.max_tokens.unwrap_or(default);
    let cap = cap(client, Some(asked), None, "max_tokens")?;
    let passed = if legs.len() > 1 { passed_upstream(&exchange.headers) } else { HeaderMap::new() };
    let seed = Seed {
        max_tokens: cap.sent.unwrap_or(asked),
        request,
        passed,
        id: exchange.id.clone(),
        created: created(),
    };
    let first = seed.asked(&legs[0])?;
    let prompt_tokens = first.prompt_tokens();
    let written = seed.written(&exchange.headers, &legs[0], &first)?;
    let output_tokens = &[cap.reserved];
    let asking = Asking { endpoint: ENDPOINT, prompt_tokens, output_tokens, is_free: false, key: None };
    let Dispatched { charge, mut shown } = dispatch(front, exchange, client, &legs, asking).await?;
    shown.warn(front, retired.as_ref());
    let attempts = Attempts::new(course(front, exchange, client, legs), seed, Some((0, written)));
    Ok(match attempts.whole(charge).await {
        Ok((whole, served)) => {
            let answer = &whole.answer;
            // It was read before, so it can be read.
            let text = ChatAnswer::read(&whole.bytes).map(|answer| answer.text).unwrap_or_default();
            let (prompt, completion) = match &answer.usage {
                Some(usage) => (usage.prompt_tokens(), usage.completion_tokens()),
                None => (prompt_tokens, answer.counted.total()),
            };
            let total = answer.usage.as_ref().map_or(prompt + completion, |usage| usage.total());
            let model = answer.model.as_deref().unwrap_or(&served.leg.target.model);
            let body = generate::answer(&text, model, prompt, completion, total);
            shown.sign(exchange, respond::json(body), &served, Some(whole.upstream_time))
        }
        Err(failed) => shown.failed(exchange, &failed),
    })
}

/// A seed request, written as a chat for any of its targets.
#[derive(Debug)]
struct Seed {
    request: GenerateRequest,
    max_tokens: u64,
    /// The caller's headers that may go upstream; empty where there is one target only.
    passed: HeaderMap,
    id: RequestId,
    created: u64,
}

impl Seed {
    fn asked(&self, leg: &Leg) -> Result<Asked, Fault> {
        let capability = leg.capability;
        let chat = self.request.to_chat(
            &leg.target.model,
            capability.cap_member.unwrap_or_default().as_str(),
            self.max_tokens,
            capability.takes_temperature,
        );
        Ok(Asked::Chat(ChatRequest::read(&chat)?))
    }

    fn upstream<'a>(&'a self, leg: &'a Leg) -> Upstream<'a> {
        Upstream {
            provider: &leg.provider,
            model: &leg.target.model,
            capability: leg.capability,
            cap: None,
            max_output: self.max_tokens,
        }
    }

    fn written(&self, headers: &HeaderMap, leg: &Leg, asked: &Asked) -> Result<Written, Fault> {
        let Outgoing { path, body, dropped } = surface::outgoing(asked, self.upstream(leg))?;
        let sent = Sent { method: Method::POST, path, body, is_passed: false };
        Ok(Written { request: request(headers, leg, sent), dropped })
    }
}

impl Writer for Seed {
    fn write(&self, leg: &Leg, _: usize) -> Result<Written, Fault> {
        self.written(&self.passed, leg, &self.asked(leg)?)
    }

    fn read_whole(&self, leg: &Leg, _: usize) -> ReadWhole {
        match self.asked(leg) {
            Ok(asked) => surface::read_whole(&asked, self.upstream(leg), self.id.as_str(), self.created),
            // It was read when it was written.
            Err(_) => Box::new(|_| Err(AnswerFault::Empty)),
        }
    }
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
pub async fn reload(front: &Arc<Front>, author: Author) -> Result<Response, Fault> {
    let report = front.reloader.reload(front, author).await?;
    let count = report.count;
    let message = format!("Successfully reloaded {count} client configurations");
    let mut response = respond::json(json!({"message": message, "count": count}).to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

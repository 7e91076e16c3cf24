//! OpenAI's embeddings and its older completions, of providers that have them: bytes pass.
//!
//! Called   by the front door with the body read.
//! Fails    before the admission for what is wrong with the request, or for a provider of another kind.

use gateway_actors::Client;
use gateway_protocols::completions::{self, CompletionsRequest, CompletionsStream};
use gateway_protocols::embeddings::{self, EmbeddingsRequest};
use gateway_protocols::event::AnswerStream;
use http::{HeaderMap, Method};
use warp::reply::Response;

use crate::attempts::{Attempts, StreamWriter, Writer, Written};
use crate::body::BufferedBody;
use crate::call::ReadWhole;
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::resolve::{Leg, Resolved};
use crate::settings::ProviderKind;
use crate::surface::EVENT_MAX;

use super::ask::{Flow, Sent, course, passed_upstream, relay, request};
use super::generative::resolved;
use super::passed::served;
use super::{Asking, Cap, Dispatched, Shown, affordable, cap, dispatch};

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
    let Resolved { mut legs, retired, .. } = resolved(exchange, client, request.model(), false)?;
    served(exchange, &mut legs, ProviderKind::OpenAi, ENDPOINT)?;
    affordable(exchange, client, &mut legs)?;
    let prompt_tokens = request.prompt_tokens();
    let asking = Asking { endpoint: ENDPOINT, prompt_tokens, output_tokens: &[0], is_free: false, key: None };
    let Dispatched { charge, mut shown } = dispatch(front, exchange, client, &legs, asking).await?;
    shown.warn(front, retired.as_ref());
    let embeds = Embeds { request, passed: passed_upstream(&exchange.headers), _held: body };
    let attempts = Attempts::new(course(front, exchange, client, legs), embeds, None);
    let response = whole(exchange, attempts, charge, &shown).await;
    drop(in_flight);
    Ok(response)
}

/// A request for embeddings, written for any of its targets.
#[derive(Debug)]
struct Embeds {
    request: EmbeddingsRequest,
    passed: HeaderMap,
    _held: BufferedBody,
}

impl Writer for Embeds {
    fn write(&self, leg: &Leg, _: usize) -> Result<Written, Fault> {
        let model = &*leg.target.model;
        let body = self.request.rewrite((self.request.model() != Some(model)).then_some(model));
        let sent = Sent { method: Method::POST, path: "/embeddings".into(), body, is_passed: true };
        Ok(Written { request: request(&self.passed, leg, sent), dropped: Vec::new() })
    }

    fn read_whole(&self, _: &Leg, _: usize) -> ReadWhole {
        Box::new(|body| embeddings::whole(&body).map(|answer| (body, answer)))
    }
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
    let Resolved { mut legs, retired, .. } = resolved(exchange, client, request.model(), request.stream())?;
    served(exchange, &mut legs, ProviderKind::OpenAi, ENDPOINT)?;
    affordable(exchange, client, &mut legs)?;
    let caps =
        legs.iter().map(|leg| cap(client, request.output_cap(), leg.capability.max_output, "max_tokens"));
    let caps = caps.collect::<Result<Vec<Cap>, Fault>>()?;
    let prompt_tokens = request.prompt_tokens();
    let output_tokens: Vec<u64> = caps.iter().map(|cap| cap.reserved.saturating_mul(request.n())).collect();
    let asking = Asking {
        endpoint: ENDPOINT,
        prompt_tokens,
        output_tokens: &output_tokens,
        is_free: false,
        key: None,
    };
    let Dispatched { charge, mut shown } = dispatch(front, exchange, client, &legs, asking).await?;
    shown.warn(front, retired.as_ref());
    let stream = request.stream();
    let completes = Completes { request, caps, passed: passed_upstream(&exchange.headers), _held: body };
    let attempts = Attempts::new(course(front, exchange, client, legs), completes, None);
    if stream {
        let flow = Flow { shown, in_flight, is_array: false, keeps_for: None, in_background: false };
        return Ok(relay(front, exchange, attempts, charge, flow).await);
    }
    let response = whole(exchange, attempts, charge, &shown).await;
    drop(in_flight);
    Ok(response)
}

/// A request for a completion, written for any of its targets.
#[derive(Debug)]
struct Completes {
    request: CompletionsRequest,
    caps: Vec<Cap>,
    passed: HeaderMap,
    _held: BufferedBody,
}

impl Writer for Completes {
    fn write(&self, leg: &Leg, at: usize) -> Result<Written, Fault> {
        let model = &*leg.target.model;
        let renamed = (self.request.model() != Some(model)).then_some(model);
        let include_usage = self.request.stream() && !leg.provider.quirks.tells_usage_unasked;
        let body = self.request.rewrite(renamed, self.caps[at].sent, include_usage);
        let sent = Sent { method: Method::POST, path: "/completions".into(), body, is_passed: true };
        Ok(Written { request: request(&self.passed, leg, sent), dropped: Vec::new() })
    }

    fn read_whole(&self, _: &Leg, _: usize) -> ReadWhole {
        Box::new(|body| completions::whole(&body).map(|answer| (body, answer)))
    }
}

impl StreamWriter for Completes {
    fn stream(&self, _: &Leg, _: usize) -> Box<dyn AnswerStream> {
        Box::new(CompletionsStream::new(self.request.include_usage(), EVENT_MAX))
    }
}

async fn whole<W: Writer>(
    exchange: &Exchange,
    attempts: Attempts<W>,
    charge: Charge,
    shown: &Shown,
) -> Response {
    match attempts.whole(charge).await {
        Ok((whole, served)) => shown.whole(exchange, whole, &served),
        Err(failed) => shown.failed(exchange, &failed),
    }
}

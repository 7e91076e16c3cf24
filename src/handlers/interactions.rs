//! Gemini's interactions, of providers that have them: bytes pass.
//!
//! Called   by the front door with the body read. An interaction's id belongs to the client that made it, as a
//!          response's does (`kept.rs`).
//! Bounded  by the body's limits and the limits of any answer.
//! Fails    before the admission for what is wrong with the request, for a provider of another kind, and for an id that
//!          is not this client's.

use std::sync::Arc;

use gateway_actors::Client;
use gateway_protocols::estimate;
use gateway_protocols::event::AnswerStream;
use gateway_protocols::interactions::{InteractionRequest, InteractionStream, later, whole};
use gateway_protocols::passthrough;
use gateway_protocols::referenced;
use http::{HeaderMap, Method};
use warp::reply::Response;

use crate::attempts::{Attempts, StreamWriter, Writer, Written};
use crate::body::BufferedBody;
use crate::call::ReadWhole;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::relay::Keeper;
use crate::resolve::{Leg, Resolved};
use crate::settings::ProviderKind;
use crate::surface::EVENT_MAX;

use super::ask::{Flow, Sent, course, owner, passed_upstream, relay, request};
use super::bound::Beyond;
use super::generative::resolved;
use super::kept::{self, Kept, Replay, owned, pinned, without_shared};
use super::passed::served;
use super::{Asking, Cap, Dispatched, affordable, cap, dispatch_beyond};

/// The endpoint's name, as the ledger has it.
const ENDPOINT: &str = "interactions";

/// What an id is of, for an error.
const WHAT: &str = "interaction";

/// The parameters of a kept interaction that go upstream. A `key` among them would be used in place of the gateway's.
const PASSED: [&str; 3] = ["include_input", "last_event_id", "stream"];

/// `POST /v1beta/interactions`. What goes on from an earlier interaction goes to the key that has that one.
pub async fn create(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let request = InteractionRequest::read(body.bytes())?;
    let earlier = request.previous_interaction_id().map(|id| (WHAT, id));
    let mut resolved = resolved(exchange, client, request.model(), request.stream())?;
    served(exchange, &mut resolved.legs, ProviderKind::Gemini, ENDPOINT)?;
    let referred = without_shared(&mut resolved.legs, referenced::references(body.bytes())?);
    let key =
        pinned(front, exchange, client, earlier, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    let Resolved { mut legs, retired, .. } = resolved;
    affordable(exchange, client, &mut legs)?;
    let caps = legs
        .iter()
        .map(|leg| cap(client, request.output_cap(), leg.capability.max_output, InteractionRequest::CAP));
    let caps = caps.collect::<Result<Vec<Cap>, Fault>>()?;
    let output_tokens: Vec<u64> = caps.iter().map(|cap| cap.reserved).collect();
    let asking = Asking {
        endpoint: ENDPOINT,
        prompt_tokens: request.prompt_parts().map(estimate::prompt_tokens).fold(0, u64::saturating_add),
        output_tokens: &output_tokens,
        is_free: false,
        key,
    };
    let beyond = Beyond::of_pinned(asking.key.is_some());
    let Dispatched { mut charge, mut shown } =
        dispatch_beyond(front, exchange, client, &legs, asking, beyond).await?;
    let in_background = request.background();
    charge.in_background(in_background);
    shown.warn(front, retired.as_ref());
    let (stream, keeps) = (request.stream(), request.store() || in_background);
    let interacts = Interacts { request, caps, passed: passed_upstream(&exchange.headers), _held: body };
    let attempts = Attempts::new(course(front, exchange, client, legs), interacts, None);
    if stream {
        let keeps_for = keeps.then(|| client.id.clone());
        let flow = Flow { shown, in_flight, is_array: false, keeps_for, in_background };
        return Ok(relay(front, exchange, attempts, charge, flow).await);
    }
    let answer = attempts.whole(charge).await;
    drop(in_flight);
    Ok(match answer {
        Ok((mut whole, served)) => {
            if keeps && let Some(id) = passthrough::id(&whole.bytes) {
                let shared = Arc::clone(front.gateway.shared());
                Keeper { shared, owner: owner(client, &served) }.note(&id);
                if let Some(call) = whole.unattended.take() {
                    front.background.hold(&id, call);
                }
            }
            shown.whole(exchange, whole, &served)
        }
        Err(failed) => shown.failed(exchange, &failed),
    })
}

/// A request for an interaction, written for any of its targets.
#[derive(Debug)]
struct Interacts {
    request: InteractionRequest,
    /// As the targets.
    caps: Vec<Cap>,
    passed: HeaderMap,
    _held: BufferedBody,
}

impl Writer for Interacts {
    fn write(&self, leg: &Leg, at: usize) -> Result<Written, Fault> {
        let body = self.request.rewrite(&leg.target.model, self.caps[at].sent);
        let sent = Sent { method: Method::POST, path: "/interactions".into(), body, is_passed: true };
        Ok(Written { request: request(&self.passed, leg, sent), dropped: Vec::new() })
    }

    fn read_whole(&self, _: &Leg, _: usize) -> ReadWhole {
        Box::new(|bytes| whole(&bytes).map(|answer| (bytes, answer)))
    }
}

impl StreamWriter for Interacts {
    fn stream(&self, _: &Leg, _: usize) -> Box<dyn AnswerStream> {
        Box::new(InteractionStream::new(EVENT_MAX))
    }
}

/// `METHOD /v1beta/interactions/REST`
pub async fn kept(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    rest: &str,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let (id, below) = rest.split_once('/').map_or((rest, None), |(id, below)| (id, Some(below)));
    let is_known = matches!(
        (&exchange.method, below),
        (&Method::GET | &Method::HEAD | &Method::DELETE, None) | (&Method::POST, Some("cancel"))
    );
    if !is_known {
        return Err(Fault::NoRoute { method: exchange.method.to_string(), path: exchange.path.clone() });
    }
    let owner = owned(front, exchange, client, WHAT, id).await?;
    let path = format!("/interactions/{rest}{}", query(exchange));
    let replay: Option<Replay> =
        kept::is_replay(exchange).then_some(|| Box::new(InteractionStream::new(EVENT_MAX)));
    let kept = Kept { endpoint: ENDPOINT, owner, id: id.to_owned(), path, replay, later };
    kept::about(front, exchange, client, kept, body, in_flight).await
}

/// What of the query goes upstream, with its question mark.
fn query(exchange: &Exchange) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let parameters = form_urlencoded::parse(exchange.query.as_bytes());
    query.extend_pairs(parameters.filter(|(name, _)| PASSED.contains(&&**name)));
    match query.finish() {
        query if query.is_empty() => query,
        query => format!("?{query}"),
    }
}

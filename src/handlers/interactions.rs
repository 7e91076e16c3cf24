//! Gemini's interactions, of providers that have them: bytes pass.
//!
//! Called   by the front door with the body read. An interaction's id belongs to the client that made it, as a
//!          response's does (`kept.rs`).
//! Bounded  by the body's limits and the limits of any answer.
//! Fails    before the admission for what is wrong with the request, for a provider of another kind, and for an id that
//!          is not this client's.

use std::sync::Arc;

use gateway_actors::Client;
use gateway_actors::ledger::AnswerOwner;
use gateway_protocols::estimate;
use gateway_protocols::event::{AnswerStream, Replayed};
use gateway_protocols::interactions::{InteractionRequest, InteractionStream, WholeInteraction, whole};
use gateway_protocols::passthrough;
use gateway_protocols::referenced;
use http::Method;
use warp::reply::Response;

use crate::body::BufferedBody;
use crate::call::ReadWhole;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::relay::Keeper;
use crate::resolve::Resolved;
use crate::settings::ProviderKind;
use crate::surface::EVENT_MAX;

use super::ask::{Sent, call, relay};
use super::generative::resolved;
use super::kept::{self, Kept, owned, pinned};
use super::{Asking, Cap, Dispatched, cap, dispatch, price};

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
    let pin = pinned(front, exchange, client, earlier, &referenced::references(body.bytes())?).await?;
    let resolved = resolved(exchange, client, request.model())?;
    served(&resolved)?;
    let target = &resolved.target;
    let key = pin.key_at(&resolved)?;
    let capability = exchange.live.settings.capabilities.of(&target.provider, &target.model);
    let asked_cap = request.output_cap();
    let Cap { sent, reserved } = cap(client, asked_cap, capability.max_output, InteractionRequest::CAP)?;
    let asking = Asking {
        endpoint: ENDPOINT,
        prompt_tokens: request.prompt_parts().map(estimate::prompt_tokens).fold(0, u64::saturating_add),
        output_tokens: reserved,
        price: price(exchange, &resolved),
        key,
    };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved, asking).await?;
    let keeper = (request.store() || request.background()).then(|| Keeper {
        shared: Arc::clone(front.gateway.shared()),
        owner: AnswerOwner {
            client: client.id.clone(),
            provider: Arc::clone(&target.provider),
            key: Arc::clone(&charge.lease().endpoint().key_name),
        },
    });
    let sent = Sent {
        method: Method::POST,
        path: "/interactions".into(),
        body: request.rewrite(&target.model, sent),
        is_passed: true,
    };
    let call = call(exchange, &resolved, sent);
    if request.stream() {
        let scan: Box<dyn AnswerStream> = Box::new(InteractionStream::new(EVENT_MAX));
        drop((request, body));
        return Ok(
            relay(front, exchange, &resolved, call, charge, scan, shown, in_flight, false, keeper).await
        );
    }
    let answer = call.whole(charge, read_whole(reserved)).await;
    drop((request, body, in_flight));
    Ok(match answer {
        Ok(whole) => {
            if let (Some(keeper), Some(id)) = (keeper, passthrough::id(&whole.bytes)) {
                keeper.note(&id);
            }
            shown.whole(exchange, whole)
        }
        Err(fault) => shown.failed(exchange, fault),
    })
}

/// What is in a whole answer, of which so many tokens were reserved.
fn read_whole(reserved: u64) -> ReadWhole {
    Box::new(move |bytes| {
        let WholeInteraction { mut answer, goes_on, .. } = whole(&bytes)?;
        if goes_on {
            // Nobody will tell what it comes to, so it comes to what was reserved.
            answer.counted.output = reserved;
        }
        Ok((bytes, answer))
    })
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
    let replay: Option<Box<dyn AnswerStream>> =
        kept::is_replay(exchange).then(|| Box::new(Replayed(InteractionStream::new(EVENT_MAX))) as _);
    let kept = Kept { endpoint: ENDPOINT, owner, path, replay };
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

/// Only Gemini's API has these.
fn served(resolved: &Resolved) -> Result<(), Fault> {
    match resolved.provider.kind {
        ProviderKind::Gemini => Ok(()),
        ProviderKind::OpenAi | ProviderKind::Anthropic | ProviderKind::Echo => {
            Err(Fault::NotServed { provider: resolved.provider.name.to_string(), endpoint: ENDPOINT })
        }
    }
}

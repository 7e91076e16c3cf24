//! Answers that an upstream keeps, and what requests refer to of them: a response found again (whole or as its stream),
//! deleted, cancelled, its input read.
//!
//! Called   by the front door; the ledger knows whose a response is and which key has it.
//! Bounded  by one look-up of what a request refers to (`owners.rs`).
//! Fails    with a 404 for an id that is unknown, older than 30 days, or another client's: they look the same.

use std::sync::Arc;

use gateway_actors::ledger::AnswerOwner;
use gateway_actors::{Client, Target};
use gateway_protocols::event::{AnswerStream, Later, WholeAnswer};
use gateway_protocols::passthrough;
use gateway_protocols::referenced::{self, Reference};
use gateway_protocols::responses::{self, ResponsesStream};
use gateway_protocols::translate::Protocol;
use http::Method;
use warp::reply::Response;

use crate::attempts::{Attempts, StreamWriter, Writer, Written};
use crate::background::Background;
use crate::body::BufferedBody;
use crate::call::ReadWhole;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::resolve::{self, Leg, Resolved};
use crate::surface::{self, EVENT_MAX};
use crate::trail::Trail;

use super::ask::{Fixed, Flow, Sent, course, once, relay, request, upstream_method};
use super::passed::{self, Passing};
use super::{Asking, Dispatched, dispatch};

mod owners;
mod replayed;

pub use owners::OwnerReader;
pub(super) use owners::{owned, owners};
use replayed::Replayed;

/// The endpoint's name, as the ledger has it.
const ENDPOINT: &str = "responses";

/// What stands in an id's place to have an input's tokens counted.
const COUNTING: &str = "input_tokens";

/// What stands for the model in the ledger: nobody says which one made the answer.
const NO_MODEL: &str = "-";

/// Answers `METHOD /v1/responses/REST`.
pub async fn response(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    rest: &str,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    if let (&Method::POST, "compact" | COUNTING) = (&exchange.method, rest) {
        let earlier = passthrough::text_member(body.bytes(), "previous_response_id")?;
        let passing = Passing { endpoint: ENDPOINT, is_free: rest == COUNTING, earlier };
        let answer = passed::with_model(front, exchange, client, passing, body, in_flight).await;
        // A provider without it has no such route.
        return answer.map_err(|fault| match fault {
            Fault::NotServed { .. } => {
                Fault::NotFound { what: "method of the provider", name: rest.to_owned() }
            }
            fault => fault,
        });
    }
    let (id, below) = rest.split_once('/').map_or((rest, None), |(id, below)| (id, Some(below)));
    let is_known = matches!(
        (&exchange.method, below),
        (&Method::GET | &Method::HEAD, None | Some("input_items"))
            | (&Method::DELETE, None)
            | (&Method::POST, Some("cancel"))
    );
    if !is_known {
        return Err(Fault::NoRoute { method: exchange.method.to_string(), path: exchange.path.clone() });
    }
    let owner = owned(front, exchange, client, "response", id).await?;
    let path = match &*exchange.query {
        "" => format!("/responses/{rest}"),
        query => format!("/responses/{rest}?{query}"),
    };
    let replay: Option<Replay> =
        (below.is_none() && is_replay(exchange)).then_some(|| Box::new(ResponsesStream::new(EVENT_MAX)));
    let (id, later) = (id.to_owned(), responses::later);
    let kept = Kept { endpoint: ENDPOINT, owner, id, path, replay, later };
    about(front, exchange, client, kept, body, in_flight).await
}

/// Where a request must go, because an upstream's key has there what it refers to.
#[derive(Debug)]
pub(super) struct Pin(Option<(AnswerOwner, Fault)>);

impl Pin {
    /// The one key that will do. Only the targets at its provider are left: nobody else knows what it has.
    ///
    /// # Errors
    /// None of the request's targets is there.
    pub(super) fn key_at(self, resolved: &mut Resolved, trail: &Trail) -> Result<Option<Arc<str>>, Fault> {
        let Some((owner, unknown)) = self.0 else { return Ok(None) };
        let why = "another provider has what the request refers to";
        resolve::retain(&mut resolved.legs, trail, why, |leg| leg.target.provider == owner.provider);
        if resolved.legs.is_empty() { Err(unknown) } else { Ok(Some(owner.key)) }
    }

    /// Who has what the request refers to.
    pub(super) fn owner(self) -> Option<AnswerOwner> {
        self.0.map(|(owner, _)| owner)
    }
}

/// What of a request refers to its upstream's store. A translation carries files alone; of all else it says
/// that it has no equal.
pub(super) fn references(
    resolved: &mut Resolved,
    protocol: Protocol,
    body: &[u8],
) -> Result<Vec<Reference>, Fault> {
    let mut references = referenced::references(body)?;
    if resolved.legs.iter().all(|leg| surface::spoken(&leg.provider, protocol) != protocol) {
        references.retain(|reference| reference.what == "file");
    }
    Ok(without_shared(&mut resolved.legs, references))
}

/// Leaves out what a provider shares with every client. Only the targets at such providers are left then: nobody else
/// has it.
pub(super) fn without_shared(legs: &mut Vec<Leg>, mut references: Vec<Reference>) -> Vec<Reference> {
    references.retain(|reference| {
        let shares = |leg: &Leg| leg.provider.quirks.shares(&reference.id);
        let is_shared = legs.iter().any(shares);
        if is_shared {
            legs.retain(shares);
        }
        !is_shared
    });
    references
}

/// Looks that all that a request refers to is the client's, and at one key; `earlier` is the answer that it goes on from:
/// what that is, and its id.
pub(super) async fn pinned(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    earlier: Option<(&'static str, &str)>,
    references: &[Reference],
) -> Result<Pin, Fault> {
    let references = references.iter().map(|reference| (reference.what, reference.id.as_str()));
    let (whats, ids): (Vec<&'static str>, Vec<&str>) = earlier.into_iter().chain(references).unzip();
    let found = owners(front, exchange, client, &ids).await?;
    let mut pin: Option<(AnswerOwner, Fault)> = None;
    for ((what, id), owner) in whats.into_iter().zip(ids).zip(found) {
        let owner = owner.ok_or_else(|| Fault::NotFound { what, name: id.to_owned() })?;
        match &pin {
            Some((pinned, _)) if (&pinned.provider, &pinned.key) != (&owner.provider, &owner.key) => {
                return Err(Fault::KeptApart { what, id: id.to_owned() });
            }
            Some(_) => {}
            None => pin = Some((owner, Fault::NotFound { what, name: id.to_owned() })),
        }
    }
    Ok(Pin(pin))
}

/// What is asked about an answer that an upstream keeps.
pub(super) struct Kept {
    /// The endpoint's name, as the ledger has it.
    pub(super) endpoint: &'static str,
    /// Who has it.
    pub(super) owner: AnswerOwner,
    /// Its id.
    pub(super) id: String,
    /// Below the upstream's base URL, with the query.
    pub(super) path: String,
    /// How its stream is watched, where it is to be told again as one.
    pub(super) replay: Option<Replay>,
    /// What its object says of an answer that was made in the background.
    pub(super) later: fn(&[u8]) -> Later,
}

/// Watches a kept answer's stream.
pub(super) type Replay = fn() -> Box<dyn AnswerStream>;

/// A request for a kept answer's stream.
#[derive(Debug)]
struct Replays {
    asks: Fixed,
    replay: Replay,
    id: String,
    background: Arc<Background>,
}

impl Writer for Replays {
    fn write(&self, leg: &Leg, at: usize) -> Result<Written, Fault> {
        self.asks.write(leg, at)
    }

    fn read_whole(&self, leg: &Leg, at: usize) -> ReadWhole {
        self.asks.read_whole(leg, at)
    }
}

impl StreamWriter for Replays {
    fn stream(&self, _: &Leg, _: usize) -> Box<dyn AnswerStream> {
        let (background, id) = (Arc::clone(&self.background), self.id.clone());
        Box::new(Replayed { stream: (self.replay)(), background, id })
    }
}

/// Whether a kept answer is asked for as a stream.
pub(super) fn is_replay(exchange: &Exchange) -> bool {
    exchange.method == Method::GET
        && form_urlencoded::parse(exchange.query.as_bytes())
            .any(|(name, value)| name == "stream" && value == "true")
}

/// Asks the one key that has the answer. No token counts: they did when it was made.
pub(super) async fn about(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    kept: Kept,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let Kept { endpoint, owner, id, path, replay, later } = kept;
    let resolved = at(exchange, client, &owner)?;
    let asking =
        Asking { endpoint, prompt_tokens: 0, output_tokens: &[0], is_free: true, key: Some(owner.key) };
    let Dispatched { charge, shown } = dispatch(front, exchange, client, &resolved.legs, asking).await?;
    let sent = Sent {
        method: upstream_method(&exchange.method),
        path: path.into(),
        body: body.bytes().clone(),
        is_passed: true,
    };
    let request = request(&exchange.headers, resolved.first(), sent);
    let asks = Fixed { request, read: |body| Ok((body, WholeAnswer::default())) };
    let course = once(course(front, exchange, client, resolved.legs));
    if let Some(replay) = replay {
        drop(body);
        let background = Arc::clone(&front.background);
        let attempts = Attempts::new(course, Replays { asks, replay, id, background }, None);
        let flow = Flow { shown, in_flight, is_array: false, keeps_for: None, in_background: false };
        return Ok(relay(front, exchange, attempts, charge, flow).await);
    }
    let answer = Attempts::new(course, asks, None).whole(charge).await;
    drop((body, in_flight));
    Ok(match answer {
        Ok((whole, served)) => {
            match exchange.method {
                Method::DELETE => front.background.forgotten(&id),
                _ => front.background.told(&id, &later(&whole.bytes)),
            }
            shown.whole(exchange, whole, &served)
        }
        Err(failed) => shown.failed(exchange, &failed),
    })
}

/// The provider and key that have it, as they are configured now.
fn at(exchange: &Exchange, client: &Client, owner: &AnswerOwner) -> Result<Resolved, Fault> {
    let target = Target { provider: Arc::clone(&owner.provider), model: NO_MODEL.into() };
    resolve::provider_of(&exchange.live.settings, client, target)
}

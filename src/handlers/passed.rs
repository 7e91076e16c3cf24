//! What only providers of kind `openai` have, and passes as it is: images, audio, moderations, files, batches.
//!
//! Called   by the front door, behind the one admission: each request is counted, and so are the tokens where the
//!          answer tells them.
//! Bounded  by the body's limits and, as any whole answer, by the largest one.
//! Fails    before the admission for what is wrong with the request.
//!
//! Files and batches belong to the upstream's key, which all clients share. The ledger knows which client made
//! which: another client's is a 404, and a list shows only one's own.

use std::sync::Arc;

use gateway_actors::ledger::AnswerOwner;
use gateway_actors::{Client, Target};
use gateway_limits::{Mode, Usage};
use gateway_protocols::event::WholeAnswer;
use gateway_protocols::passthrough::{self, Named};
use gateway_protocols::{error::Dialect, estimate};
use http::Method;
use http::header::CONTENT_TYPE;
use warp::reply::Response;

use crate::attempts::Attempts;
use crate::body::BufferedBody;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::resolve::{self, Leg, Resolved};
use crate::settings::ProviderKind;

use super::ask::{Fixed, Sent, course, once, request, upstream_method};
use super::generative::resolved;
use super::kept::owned;
use super::{Asking, Dispatched, affordable, dispatch};

/// The endpoint of batches, by its name in the ledger.
const BATCHES: &str = "batches";

/// What stands for the model in the ledger where a request names none.
const NO_MODEL: &str = "-";

/// How a request that names a model is passed.
#[derive(Debug)]
pub struct Passing {
    /// The endpoint's name.
    pub endpoint: &'static str,
    /// Whether nothing is generated, so that no token is charged.
    pub is_free: bool,
    /// The one key that will do.
    pub key: Option<Arc<str>>,
}

/// Answers a request that names a model, in JSON or in a form: images, audio, moderations.
pub async fn with_model(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    passing: Passing,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let Passing { endpoint, is_free, key } = passing;
    let named = passthrough::model(body.bytes(), content_type(exchange))?.ok_or(Fault::NoModel)?;
    let mut resolved = resolved(exchange, client, Some(&named.name), false)?.alone();
    served(&mut resolved.legs, endpoint)?;
    if !is_free {
        affordable(exchange, client, &mut resolved.legs)?;
    }
    let is_json = content_type(exchange).trim_start().starts_with("application/json");
    let asking = Asking {
        endpoint,
        // A form holds pictures and sound, of which nobody knows the tokens before the answer.
        prompt_tokens: if is_json && !is_free { estimate::prompt_tokens(body.bytes()) } else { 0 },
        output_tokens: &[0],
        is_free,
        key,
    };
    pass(front, exchange, client, resolved, asking, Some(named), body, in_flight)
        .await
        .map(|(response, _)| response)
}

/// Answers a request for files or batches; `rest` is what follows the endpoint's path.
pub async fn without_model(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    endpoint: &'static str,
    rest: &str,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let is_batch = endpoint == BATCHES;
    let what = if is_batch { "batch" } else { "file" };
    let id = id(exchange, endpoint, rest)?;
    let mut owner = match id {
        Some(id) => Some(owned(front, exchange, client, what, id).await?),
        None => None,
    };
    let makes = exchange.method == Method::POST && id.is_none();
    let makes_work = is_batch && makes;
    if makes_work && client.limits.has_budget() && client.limits.mode == Mode::Enforce {
        // What a batch costs is told a day later, when no budget can refuse it any more.
        return Err(Fault::NotUnderBudget { what: "batches" });
    }
    if makes_work && let Some(input) = passthrough::text_member(body.bytes(), "input_file_id")? {
        // Only the key that has the file can work on it.
        owner = Some(owned(front, exchange, client, "file", &input).await?);
    }
    let mut resolved = provider(exchange, client, owner.as_ref())?;
    served(&mut resolved.legs, endpoint)?;
    let key = owner.as_ref().map(|owner| Arc::clone(&owner.key));
    let asking = Asking { endpoint, prompt_tokens: 0, output_tokens: &[0], is_free: true, key };
    let made_at = resolved.first().target.provider.clone();
    let (mut response, made) = pass(front, exchange, client, resolved, asking, None, body, in_flight).await?;
    let Some(Made { body, key }) = made else { return Ok(response) };
    let lists = id.is_none() && !makes;
    let shown = if lists { own(front, exchange, client, what, &body).await? } else { body };
    let made = if makes { passthrough::id(&shown) } else { None };
    let written = if is_batch { passthrough::files_written(&shown) } else { Vec::new() };
    let shared = front.gateway.shared();
    for id in made.into_iter().chain(written) {
        // A batch is asked for again and again until it is done.
        if shared.recent_answer(&id).is_none() {
            let owner = AnswerOwner {
                client: client.id.clone(),
                provider: Arc::clone(&made_at),
                key: Arc::clone(&key),
            };
            shared.keep_answer(&id, owner);
        }
    }
    if lists {
        *response.body_mut() = shown.into();
    }
    Ok(response)
}

/// The id in a path's rest, if there is one. What may follow it is listed: an upstream that folds `..` away would
/// otherwise show another client's.
fn id<'r>(exchange: &Exchange, endpoint: &str, rest: &'r str) -> Result<Option<&'r str>, Fault> {
    let (id, below) = rest.split_once('/').map_or((rest, None), |(id, below)| (id, Some(below)));
    let is_known = match (&exchange.method, below) {
        (_, None) => true,
        (&Method::GET | &Method::HEAD, Some("content")) => endpoint != BATCHES,
        (&Method::POST, Some("cancel")) => endpoint == BATCHES,
        _ => false,
    };
    if !is_known {
        return Err(Fault::NoRoute { method: exchange.method.to_string(), path: exchange.path.clone() });
    }
    Ok((!rest.is_empty()).then_some(id))
}

/// The elements of a list that the client made.
async fn own(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    what: &'static str,
    list: &bytes::Bytes,
) -> Result<bytes::Bytes, Fault> {
    let mut ids = Vec::new();
    passthrough::filtered(list, |id| {
        ids.push(id.to_owned());
        false
    });
    let mut mine = Vec::with_capacity(ids.len());
    for id in ids {
        match owned(front, exchange, client, what, &id).await {
            Ok(_) => mine.push(id),
            Err(Fault::NotFound { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    // What is no list shows nothing that could be another's.
    Ok(passthrough::filtered(list, |id| mine.iter().any(|mine| mine == id)).unwrap_or_else(|| list.clone()))
}

/// An answer's bytes, and the name of the key that gave it.
struct Made {
    body: bytes::Bytes,
    key: Arc<str>,
}

/// Passes a request and its answer.
#[expect(
    clippy::too_many_arguments,
    reason = "each is used once, and a struct for them would live for one call"
)]
async fn pass(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: Resolved,
    asking: Asking<'_>,
    named: Option<Named>,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<(Response, Option<Made>), Fault> {
    let Dispatched { charge, mut shown } = dispatch(front, exchange, client, &resolved.legs, asking).await?;
    shown.warn(front, resolved.retired.as_ref());
    let leg = resolved.first();
    let sent = match &named {
        Some(named) => passthrough::renamed(body.bytes(), named, &leg.target.model),
        None => body.bytes().clone(),
    };
    let method = upstream_method(&exchange.method);
    let sent = Sent { method, path: path(exchange).into(), body: sent, is_passed: true };
    let request = request(&exchange.headers, leg, sent);
    let read = |body: bytes::Bytes| {
        let usage = passthrough::usage(&body);
        Ok((body, WholeAnswer { usage, counted: Usage::default(), model: None }))
    };
    let mut course = course(front, exchange, client, resolved.legs);
    if named.is_none() {
        // It may make something.
        course = once(course);
    }
    let answer = Attempts::new(course, Fixed { request, read }, None).whole(charge).await;
    drop((body, in_flight));
    Ok(match answer {
        Ok((whole, served)) => {
            let made = Made { body: whole.bytes.clone(), key: Arc::clone(&served.key) };
            let mut response = Response::new(whole.bytes.into());
            response.headers_mut().extend(whole.content_type.map(|value| (CONTENT_TYPE, value)));
            (shown.sign(exchange, response, &served, Some(whole.upstream_time)), Some(made))
        }
        Err(failed) => (shown.failed(exchange, &failed), None),
    })
}

/// The path below the upstream's base URL, with its query.
fn path(exchange: &Exchange) -> String {
    debug_assert_eq!(exchange.dialect, Dialect::OpenAi, "only OpenAI's paths come here");
    let path = exchange.path.strip_prefix("/openai").unwrap_or(&exchange.path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    match &*exchange.query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

fn content_type(exchange: &Exchange) -> &str {
    exchange.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json")
}

/// Only OpenAI's API has these: the targets that speak it are left.
pub(super) fn served(legs: &mut Vec<Leg>, endpoint: &'static str) -> Result<(), Fault> {
    let first = legs.first().map(|leg| leg.provider.name.to_string());
    legs.retain(|leg| match leg.provider.kind {
        ProviderKind::OpenAi => true,
        ProviderKind::Anthropic | ProviderKind::Gemini | ProviderKind::Echo => false,
    });
    match first {
        Some(provider) if legs.is_empty() => Err(Fault::NotServed { provider, endpoint }),
        _ => Ok(()),
    }
}

/// Where files and batches go: to whom has them, else to the client's default provider, else to the first that it may
/// use and that has them.
fn provider(exchange: &Exchange, client: &Client, owner: Option<&AnswerOwner>) -> Result<Resolved, Fault> {
    let settings = &exchange.live.settings;
    let default = client.default_provider.as_deref().and_then(|name| settings.providers.get(name));
    let may = |provider: &&Arc<crate::settings::ProviderSettings>| {
        provider.kind == ProviderKind::OpenAi
            && client.may_use_provider(&provider.name)
            && provider.can_be_called()
    };
    let name = match owner {
        Some(owner) => Arc::clone(&owner.provider),
        None => {
            let found = default.filter(may).or_else(|| settings.providers.values().find(may));
            Arc::clone(&found.ok_or(Fault::NoProviderFor { what: "files and batches" })?.name)
        }
    };
    resolve::provider_of(settings, client, Target { provider: name, model: NO_MODEL.into() })
}

//! What only providers of kind `openai` have, and passes as it is: images, audio, moderations, files, batches.
//!
//! Called   by the front door, behind the one admission: each request is counted, and so are the tokens where the
//!          answer tells them.
//! Bounded  by the body's limits and, where the answer is JSON, by the largest one; all else passes as it comes.
//! Fails    before the admission for what is wrong with the request.
//!
//! Files and batches belong to the upstream's key, which all clients share. The ledger knows which client made
//! which: another client's is a 404, and a list shows only one's own.

use std::sync::Arc;

use gateway_actors::ledger::AnswerOwner;
use gateway_actors::{Client, Target};
use gateway_limits::Mode;
use gateway_protocols::event::WholeAnswer;
use gateway_protocols::passthrough::{self, Named};
use gateway_protocols::{error::Dialect, estimate, referenced};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use warp::reply::{Reply, Response};

use crate::attempts::{Attempts, Served, Taken};
use crate::body::BufferedBody;
use crate::call::Pieces;
use crate::charge::Charge;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::resolve::{self, Leg, Resolved};
use crate::settings::ProviderKind;

use super::ask::{Fixed, Sent, X_ACCEL_BUFFERING, course, once, request, upstream_method};
use super::generative::{self, resolved};
use super::kept::{owned, pinned, without_shared};
use super::{Asking, Dispatched, Shown, affordable, dispatch};

/// The endpoint of batches, by its name in the ledger.
const BATCHES: &str = "batches";

/// Pages of a list that are asked for one after the other until one has something of the client's own.
const PAGES_MAX: u32 = 8;

/// What stands for the model in the ledger where a request names none.
const NO_MODEL: &str = "-";

/// How a request that names a model is passed.
#[derive(Debug)]
pub struct Passing {
    /// The endpoint's name.
    pub endpoint: &'static str,
    /// Whether nothing is generated, so that no token is charged.
    pub is_free: bool,
    /// The response that the request goes on from.
    pub earlier: Option<String>,
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
    let Passing { endpoint, is_free, earlier } = passing;
    let named = passthrough::model(body.bytes(), content_type(exchange))?.ok_or(Fault::NoModel)?;
    let mut resolved = resolved(exchange, client, Some(&named.name), false)?;
    served(exchange, &mut resolved.legs, ProviderKind::OpenAi, endpoint)?;
    let is_json = content_type(exchange).trim_start().starts_with("application/json");
    // A form holds what it means.
    let referred = if is_json { referenced::references(body.bytes())? } else { Vec::new() };
    let referred = without_shared(&mut resolved.legs, referred);
    let earlier = earlier.as_deref().map(|id| ("response", id));
    let key =
        pinned(front, exchange, client, earlier, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    if !is_free {
        affordable(exchange, client, &mut resolved.legs)?;
    }
    let resolved = resolved.alone(&exchange.trail);
    let asking = Asking {
        endpoint,
        // A form holds pictures and sound, of which nobody knows the tokens before the answer.
        prompt_tokens: if is_json && !is_free { estimate::prompt_tokens(body.bytes()) } else { 0 },
        output_tokens: &[0],
        is_free,
        key,
    };
    let path = path(exchange, &exchange.query);
    let passed = pass(front, exchange, client, &resolved, asking, path, Some(named), &body).await;
    drop(body);
    Ok(passed?.answer(front, exchange, in_flight))
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
    let is_upload = makes && !is_batch;
    let batch = if is_upload { passthrough::batch(body.bytes(), content_type(exchange))? } else { None };
    if let Some(batch) = &batch {
        let mut first = provider(exchange, client, None)?;
        let referred = without_shared(&mut first.legs, batch.references.clone());
        owner = pinned(front, exchange, client, None, &referred).await?.owner();
    }
    let mut resolved = provider(exchange, client, owner.as_ref())?;
    served(exchange, &mut resolved.legs, ProviderKind::OpenAi, endpoint)?;
    for (line, model) in batch.iter().flat_map(|batch| &batch.models) {
        check_line(exchange, client, &resolved, *line, model)?;
    }
    let key = owner.as_ref().map(|owner| Arc::clone(&owner.key));
    let made_at = Arc::clone(&resolved.first().target.provider);
    let asking = Asking { endpoint, prompt_tokens: 0, output_tokens: &[0], is_free: true, key };
    if id.is_none() && !makes {
        let listed = list(front, exchange, client, &resolved, asking, what, &body).await;
        drop(body);
        return Ok(listed?.answer(front, exchange, in_flight));
    }
    let path = path(exchange, &exchange.query);
    let passed = pass(front, exchange, client, &resolved, asking, path, None, &body).await?;
    drop(body);
    if let Passed::Whole { made: Some(made), .. } = &passed {
        let new = if makes { passthrough::id(&made.body) } else { None };
        keep(front, client, &made_at, made, new, is_batch);
    }
    Ok(passed.answer(front, exchange, in_flight))
}

/// Notes whose a file or batch is, and the files that a batch has written.
fn keep(
    front: &Front,
    client: &Client,
    provider: &Arc<str>,
    made: &Made,
    new: Option<String>,
    is_batch: bool,
) {
    let written = if is_batch { passthrough::files_written(&made.body) } else { Vec::new() };
    let shared = front.gateway.shared();
    for id in new.into_iter().chain(written) {
        // A batch is asked for again and again until it is done.
        if shared.recent_answer(&id).is_none() {
            let (provider, key) = (Arc::clone(provider), Arc::clone(&made.key));
            shared.keep_answer(&id, AnswerOwner { client: client.id.clone(), provider, key });
        }
    }
}

/// A list of what is the client's own. A page without any is followed by the next: a client takes a page of nothing for
/// the end.
async fn list(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: &Resolved,
    asking: Asking<'_>,
    what: &'static str,
    body: &BufferedBody,
) -> Result<Passed, Fault> {
    let mut query = exchange.query.to_string();
    for page in 1.. {
        let (asking, path) = (asking.clone(), path(exchange, &query));
        let passed = pass(front, exchange, client, resolved, asking, path, None, body).await?;
        let Passed::Whole { mut response, made: Some(mut made) } = passed else { return Ok(passed) };
        let (shown, is_empty) = own(front, exchange, client, what, &made.body).await?;
        let next = passthrough::next_page(&made.body).filter(|_| is_empty && page < PAGES_MAX);
        if let Some(last) = next {
            query = after(&exchange.query, &last);
            continue;
        }
        made.body = shown;
        keep(front, client, &resolved.first().target.provider, &made, None, what == "batch");
        *response.body_mut() = made.body.into();
        return Ok(Passed::Whole { response, made: None });
    }
    Err(Fault::Bug)
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

/// Whether a client may ask for the model of a batch's line, where the batch would run.
fn check_line(
    exchange: &Exchange,
    client: &Client,
    resolved: &Resolved,
    line: usize,
    model: &str,
) -> Result<(), Fault> {
    let found = generative::resolved(exchange, client, Some(model), false)
        .map_err(|fault| Fault::BatchLine { line, fault: Box::new(fault) })?;
    let here = &resolved.first().target.provider;
    // Another target of the model is of no use to a batch, which nobody asks a second time.
    match found.legs.iter().any(|leg| leg.target.provider == *here && &*leg.target.model == model) {
        true => Ok(()),
        false => Err(Fault::BatchModel { line, model: model.to_owned(), provider: here.to_string() }),
    }
}

/// The query of a list's next page.
fn after(query: &str, last: &str) -> String {
    let mut next = form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after"));
    next.append_pair("after", last).finish()
}

/// The elements of a list that the client made, and whether there are none.
async fn own(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    what: &'static str,
    list: &bytes::Bytes,
) -> Result<(bytes::Bytes, bool), Fault> {
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
    let shown = passthrough::filtered(list, |id| mine.iter().any(|mine| mine == id));
    Ok((shown.unwrap_or_else(|| list.clone()), mine.is_empty()))
}

/// An answer's bytes, and the name of the key that gave it.
struct Made {
    body: bytes::Bytes,
    key: Arc<str>,
}

/// What came of a request that passes.
enum Passed {
    /// The whole answer; what was made, unless it failed.
    Whole { response: Response, made: Option<Made> },
    /// Sound, events, the content of a file: nothing in it is to be noted, and it may be long.
    Flowing { pieces: Box<Pieces>, charge: Box<Charge>, served: Box<Served>, shown: Box<Shown> },
}

impl Passed {
    /// What the client gets.
    fn answer(self, front: &Front, exchange: &Exchange, in_flight: InFlight) -> Response {
        let (pieces, charge, served, shown) = match self {
            Self::Whole { response, .. } => return response,
            Self::Flowing { pieces, charge, served, shown } => (pieces, charge, served, shown),
        };
        let (content_type, upstream_time) = (pieces.content_type.clone(), pieces.upstream_time);
        let flowing = pieces.flowing(*charge, in_flight, front.cut_off.token().clone());
        let mut response = warp::reply::stream(flowing).into_response();
        let headers = response.headers_mut();
        headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        headers.insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        shown.sign(exchange, response, &served, Some(upstream_time))
    }
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
    resolved: &Resolved,
    asking: Asking<'_>,
    path: String,
    named: Option<Named>,
    body: &BufferedBody,
) -> Result<Passed, Fault> {
    let Dispatched { charge, mut shown } = dispatch(front, exchange, client, &resolved.legs, asking).await?;
    shown.warn(front, resolved.retired.as_ref());
    let leg = resolved.first();
    let sent = match &named {
        Some(named) => passthrough::renamed(body.bytes(), named, &leg.target.model),
        None => body.bytes().clone(),
    };
    let method = upstream_method(&exchange.method);
    let sent = Sent { method, path: path.into(), body: sent, is_passed: true };
    let request = request(&exchange.headers, leg, sent);
    let read = |body: bytes::Bytes| {
        let usage = passthrough::usage(&body);
        Ok((body, WholeAnswer { usage, ..WholeAnswer::default() }))
    };
    let mut course = course(front, exchange, client, resolved.legs.clone());
    if named.is_none() {
        // It may make something.
        course = once(course);
    }
    Ok(match Attempts::new(course, Fixed { request, read }, None).taken(charge).await {
        Ok((Taken::Whole(whole), served)) => {
            let made = Some(Made { body: whole.bytes.clone(), key: Arc::clone(&served.key) });
            let mut response = Response::new(whole.bytes.into());
            response.headers_mut().extend(whole.content_type.map(|value| (CONTENT_TYPE, value)));
            let response = shown.sign(exchange, response, &served, Some(whole.upstream_time));
            Passed::Whole { response, made }
        }
        Ok((Taken::Flowing(pieces, charge), served)) => Passed::Flowing {
            pieces,
            charge: Box::new(charge),
            served: Box::new(served),
            shown: Box::new(shown),
        },
        Err(failed) => Passed::Whole { response: shown.failed(exchange, &failed), made: None },
    })
}

/// The path below the upstream's base URL, with this query.
fn path(exchange: &Exchange, query: &str) -> String {
    debug_assert_eq!(exchange.dialect, Dialect::OpenAi, "only OpenAI's paths come here");
    let path = exchange.path.strip_prefix("/openai").unwrap_or(&exchange.path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

fn content_type(exchange: &Exchange) -> &str {
    exchange.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json")
}

/// What only the API of one kind of provider has: the targets of that kind are left.
pub(super) fn served(
    exchange: &Exchange,
    legs: &mut Vec<Leg>,
    kind: ProviderKind,
    endpoint: &'static str,
) -> Result<(), Fault> {
    let first = legs.first().map(|leg| leg.provider.name.to_string());
    let why = "the provider's kind does not have this endpoint";
    resolve::retain(legs, &exchange.trail, why, |leg| leg.provider.kind == kind);
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

//! What only providers of kind `openai` have, and passes as it is: images, audio, moderations, files, batches.
//!
//! Called   by the front door, behind the one admission: each request is counted, and so are the tokens where the
//!          answer tells them.
//! Bounded  by the body's limits and, where the answer is JSON, by the largest one; all else passes as it comes.
//! Fails    before the admission for what is wrong with the request.
//!
//! Files and batches belong to the upstream's key, which all clients share. The ledger knows which client made
//! which: another client's is a 404, and a list shows only one's own.

use std::collections::HashSet;
use std::sync::Arc;

use gateway_actors::ledger::AnswerOwner;
use gateway_actors::{Client, Target};
use gateway_limits::{Limits, Mode};
use gateway_protocols::event::{AnswerFault, WholeAnswer};
use gateway_protocols::openai::RequestFault;
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
use super::bound::{Beyond, More};
use super::generative::{self, resolved};
use super::kept::{owned, owners, pinned, without_shared};
use super::{Asking, Dispatched, Shown, UNKNOWN_MAX_OUTPUT, affordable, dispatch_beyond};

/// The endpoint of batches, by its name in the ledger.
const BATCHES: &str = "batches";

/// The endpoint of moderations, whose answers no model writes.
const MODERATIONS: &str = "moderations";

/// Pages of a list that are asked for one after the other until one has something of the client's own.
const PAGES_MAX: u32 = 8;

/// Parameters of a list's query that name one of its elements.
const CURSORS: [&str; 2] = ["after", "before"];

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
    let content_type = content_type(exchange)?;
    let named = passthrough::model(body.bytes(), content_type)?.ok_or(Fault::NoModel)?;
    let mut resolved = resolved(exchange, client, Some(&named.name), false)?;
    served(exchange, &mut resolved.legs, ProviderKind::OpenAi, endpoint)?;
    // A form holds what it means. All else was read as JSON, whatever it calls itself.
    let is_form = passthrough::is_form(content_type);
    let referred = if is_form { Vec::new() } else { referenced::references(body.bytes())? };
    let referred = without_shared(&mut resolved.legs, referred);
    let earlier = earlier.as_deref().map(|id| ("response", id));
    let key =
        pinned(front, exchange, client, earlier, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    if !is_free {
        affordable(exchange, client, &mut resolved.legs)?;
    }
    let resolved = resolved.alone(&exchange.trail);
    let prompt_tokens = if is_form || is_free { 0 } else { estimate::prompt_tokens(body.bytes()) };
    // No cap can be sent, so the model's own is the only one.
    let answers = match is_free || endpoint == MODERATIONS {
        true => 0,
        false => passthrough::answers(body.bytes(), content_type),
    };
    let max_output = resolved.first().capability.max_output.unwrap_or(UNKNOWN_MAX_OUTPUT);
    let output_tokens = [max_output.saturating_mul(answers)];
    let prompt = match () {
        () if is_free => More::Nothing,
        () if is_form => More::Files(passthrough::form_tokens(body.bytes(), content_type)),
        () if key.is_some() => More::Kept,
        () => More::Nothing,
    };
    let is_charged_untold = client.limits.has_budget() && !is_free;
    let beyond = Beyond { prompt, answers, is_charged_untold };
    let asking = Asking { endpoint, prompt_tokens, output_tokens: &output_tokens, is_free, key };
    let path = path(exchange, &exchange.query);
    let passage = Passage { path, named: Some(named), is_list: false };
    let passed = pass(front, exchange, client, &resolved, (asking, beyond), passage, &body).await;
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
    if makes_work && client.limits.mode == Mode::Enforce {
        // What a batch uses is told a day later, when no limit can refuse it any more.
        let Limits { tokens_per_minute, tokens_per_day, .. } = client.limits;
        let limited = match client.limits.has_budget() {
            true => Some("a budget"),
            false => tokens_per_minute.or(tokens_per_day).map(|_| "a limit on its tokens"),
        };
        limited.map_or(Ok(()), |limited| Err(Fault::NotUnderLimit { what: "batches", limited }))?;
    }
    if makes_work {
        // Only the key that has the file can work on it.
        let input = passthrough::input_file(body.bytes())?;
        owner = Some(owned(front, exchange, client, "file", &input).await?);
    }
    let is_upload = makes && !is_batch;
    let batch = if is_upload { passthrough::batch(body.bytes(), content_type(exchange)?)? } else { None };
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
    let passage = Passage { path, named: None, is_list: false };
    let asked = (asking, Beyond::default());
    let passed = pass(front, exchange, client, &resolved, asked, passage, &body).await?;
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
    for (name, id) in form_urlencoded::parse(exchange.query.as_bytes()) {
        // What stands beside another's element is nobody else's business, nor whether there is one.
        if CURSORS.contains(&&*name) && !id.is_empty() {
            owned(front, exchange, client, what, &id).await?;
        }
    }
    let mut query = exchange.query.to_string();
    for page in 1.. {
        let (asking, path) = (asking.clone(), path(exchange, &query));
        let passage = Passage { path, named: None, is_list: true };
        let asked = (asking, Beyond::default());
        let passed = pass(front, exchange, client, resolved, asked, passage, body).await?;
        let Passed::Whole { mut response, made: Some(mut made) } = passed else { return Ok(passed) };
        let (shown, is_empty) = own(front, exchange, client, &made.body).await?;
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
    list: &bytes::Bytes,
) -> Result<(bytes::Bytes, bool), Fault> {
    // It was found to be a list when it was read.
    let ids = passthrough::ids(list).map_err(|_| Fault::Bug)?;
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let owners = owners(front, exchange, client, &asked).await?;
    let mine: HashSet<&str> =
        asked.into_iter().zip(&owners).filter(|(_, owner)| owner.is_some()).map(|(id, _)| id).collect();
    let shown = passthrough::filtered(list, |id| mine.contains(id)).ok_or(Fault::Bug)?;
    Ok((shown, mine.is_empty()))
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

/// How a request goes upstream, and what must come.
struct Passage {
    /// Below the upstream's base URL, with the query.
    path: String,
    /// The model's name in the body.
    named: Option<Named>,
    /// Whether the answer is of any use only as a list: nothing else may be shown, whatever it calls itself.
    is_list: bool,
}

/// Passes a request and its answer.
async fn pass(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    resolved: &Resolved,
    (asking, beyond): (Asking<'_>, Beyond),
    passage: Passage,
    body: &BufferedBody,
) -> Result<Passed, Fault> {
    let Passage { path, named, is_list } = passage;
    let Dispatched { charge, mut shown } =
        dispatch_beyond(front, exchange, client, &resolved.legs, asking, beyond).await?;
    shown.warn(front, resolved.retired.as_ref());
    let leg = resolved.first();
    let sent = match &named {
        Some(named) => passthrough::renamed(body.bytes(), named, &leg.target.model),
        None => body.bytes().clone(),
    };
    let method = upstream_method(&exchange.method);
    let sent = Sent { method, path: path.into(), body: sent, is_passed: true };
    let request = request(&exchange.headers, leg, sent);
    let read = if is_list { read_list } else { read_any };
    let mut course = course(front, exchange, client, resolved.legs.clone());
    if named.is_none() {
        // It may make something.
        course = once(course);
    }
    let attempts = Attempts::new(course, Fixed { request, read }, None);
    let taken = match is_list {
        true => attempts.whole(charge).await.map(|(whole, served)| (Taken::Whole(whole), served)),
        false => attempts.taken(charge).await,
    };
    Ok(match taken {
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

fn read_any(body: bytes::Bytes) -> Result<(bytes::Bytes, WholeAnswer), AnswerFault> {
    let usage = passthrough::usage(&body);
    Ok((body, WholeAnswer { usage, ..WholeAnswer::default() }))
}

fn read_list(body: bytes::Bytes) -> Result<(bytes::Bytes, WholeAnswer), AnswerFault> {
    passthrough::ids(&body)?;
    Ok((body, WholeAnswer::default()))
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

/// The content type, which says how a body is read.
fn content_type(exchange: &Exchange) -> Result<&str, Fault> {
    let mut types = exchange.headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (_, Some(_)) => Err(RequestFault::Duplicate { param: "content-type" }.into()),
        (first, None) => Ok(first.and_then(|value| value.to_str().ok()).unwrap_or("application/json")),
    }
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

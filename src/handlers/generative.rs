//! The surfaces that generate text: OpenAI's chat completions and responses, Anthropic's messages, Gemini's
//! generateContent. Each reads its own form; the rest is `ask.rs`.

use gateway_actors::Client;
use gateway_actors::glob::is_model_name;
use gateway_protocols::anthropic::MessagesRequest;
use gateway_protocols::gemini::{self, GenerateRequest, Method as GeminiMethod};
use gateway_protocols::openai::ChatRequest;
use gateway_protocols::responses::ResponsesRequest;
use warp::reply::Response;

use crate::body::BufferedBody;
use crate::fault::Fault;
use crate::front::{Exchange, Front, InFlight};
use crate::resolve::{self, Asker, GROQ, Leg, Resolved};
use crate::surface::Asked;
use crate::trail::Step;

use super::ask::{self, Question};
use super::counted;
use super::kept::{pinned, references};

/// Endpoint names, as the ledger has them.
const CHAT: &str = "chat/completions";
const MESSAGES: &str = "messages";
const RESPONSES: &str = "responses";

/// `POST /v1/chat/completions`
pub async fn chat(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let asked = Asked::Chat(ChatRequest::read(body.bytes())?);
    let mut resolved = resolved(exchange, client, asked.model(), asked.stream())?;
    let referred = references(&mut resolved, asked.protocol(), body.bytes())?;
    let key =
        pinned(front, exchange, client, None, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    let question = Question { asked, endpoint: CHAT, key, body };
    ask::answer(front, exchange, client, resolved, question, in_flight).await
}

/// `POST /v1/messages`
pub async fn messages(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let asked = Asked::Messages(MessagesRequest::read(body.bytes())?);
    let mut resolved = resolved(exchange, client, asked.model(), asked.stream())?;
    let referred = references(&mut resolved, asked.protocol(), body.bytes())?;
    let key =
        pinned(front, exchange, client, None, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    let question = Question { asked, endpoint: MESSAGES, key, body };
    ask::answer(front, exchange, client, resolved, question, in_flight).await
}

/// `POST /v1/responses`. What goes on from an earlier response goes to the key that has that one.
pub async fn responses(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let request = ResponsesRequest::read(body.bytes())?;
    let earlier = request.previous_response_id().map(str::to_owned);
    let asked = Asked::Responses(request);
    let mut resolved = resolved(exchange, client, asked.model(), asked.stream())?;
    let referred = references(&mut resolved, asked.protocol(), body.bytes())?;
    let earlier = earlier.as_deref().map(|id| ("response", id));
    let key =
        pinned(front, exchange, client, earlier, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    let question = Question { asked, endpoint: RESPONSES, key, body };
    ask::answer(front, exchange, client, resolved, question, in_flight).await
}

/// `POST /v1beta/models/M:generateContent` and `:streamGenerateContent`; `rest` is what follows `/v1beta/models/`.
pub async fn gemini(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    rest: &str,
    body: BufferedBody,
    in_flight: InFlight,
) -> Result<Response, Fault> {
    let no_route = || Fault::NoRoute { method: exchange.method.to_string(), path: exchange.path.clone() };
    let (model, method) = gemini::path(rest).ok_or_else(no_route)?;
    let request = GenerateRequest::read(body.bytes())?;
    let stream = match method {
        GeminiMethod::GenerateContent => false,
        GeminiMethod::StreamGenerateContent => true,
        GeminiMethod::CountTokens => {
            return counted::gemini(front, exchange, client, &model, &body, in_flight).await;
        }
    };
    let sse = form_urlencoded::parse(exchange.query.as_bytes())
        .any(|(name, value)| name == "alt" && value == "sse");
    let asked = Asked::Gemini { request, model, stream, sse };
    let mut resolved = resolved(exchange, client, asked.model(), asked.stream())?;
    let referred = references(&mut resolved, asked.protocol(), body.bytes())?;
    let key =
        pinned(front, exchange, client, None, &referred).await?.key_at(&mut resolved, &exchange.trail)?;
    let question = Question { asked, endpoint: MESSAGES, key, body };
    ask::answer(front, exchange, client, resolved, question, in_flight).await
}

/// Finds the model that a body or path names.
pub(super) fn resolved(
    exchange: &Exchange,
    client: &Client,
    model: Option<&str>,
    stream: bool,
) -> Result<Resolved, Fault> {
    let name = model.ok_or(Fault::NoModel)?;
    // Whatever else stands there may be anything, also a prompt.
    if is_model_name(name) {
        exchange.trail.note(Step::Asked { model: name.into(), stream });
    }
    let home = exchange.path.starts_with("/openai/").then_some(GROQ);
    let asker = Asker { client, home, trail: Some(&exchange.trail) };
    let resolved = resolve::model(&exchange.live.settings, asker, name)?;
    note_targets(exchange, &resolved.legs);
    Ok(resolved)
}

/// Tells the request's trail where it may go.
pub(super) fn note_targets(exchange: &Exchange, legs: &[Leg]) {
    exchange.trail.note(Step::Targets(legs.iter().map(|leg| leg.target.clone()).collect()));
}

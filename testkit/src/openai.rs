//! OpenAI's API as its own clients see it: what it takes, answers, refuses and sends along.
//!
//! Below any of the prefixes under which OpenAI and its imitators serve it: `/v1`, Groq's
//! `/openai/v1`, OpenRouter's `/api/v1`, Fireworks' `/inference/v1`, Gemini's `/v1beta/openai`,
//! Azure's `/openai/deployments/NAME`, or none.
//!
//! | path | answer |
//! | --- | --- |
//! | `chat/completions`, `completions`, `responses` | what the [`model`](crate::model) says |
//! | `responses/ID`, `…/cancel`, `…/input_items` | what was kept of it |
//! | `responses/input_tokens`, `responses/compact` | a count; a compaction of the input |
//! | `embeddings`, `moderations` | vectors and verdicts that follow from the text |
//! | `images/…`, `audio/…` | the smallest picture, sound and transcript |
//! | `files`, `batches` | what was uploaded; a batch that is completed at once |
//! | `models` | [`MODELS`] |
//!
//! Owns     nothing; an answer follows from the request, its number and what is on the shelf, so
//!          that the same test gives the same bytes (`created` excepted).
//! Called   by `vendor`.
//! Fails    never: a request that makes no sense gets the error that OpenAI gives it.

mod chat;
mod chat_request;
mod completions;
mod embeddings;
mod errors;
mod files;
mod media;
mod response_events;
mod response_request;
mod responses;

use serde_json::{Value, json};

pub(crate) use chat::chat_written;
pub(crate) use chat_request::chat_asked;
pub(crate) use completions::{completion_asked, completion_written};
pub(crate) use errors::{error_for, overloaded, overloaded_event};
pub(crate) use response_request::response_asked;
pub(crate) use responses::{keep_response, response_written, shown_at_once};

use crate::answer::identifier;
use crate::asked::Asked;
use crate::dialect::Dialect;
use crate::seen::Seen;
use crate::shelf::Shelf;
use crate::vendor::{Checks, Refused, Served, UNKNOWN};

/// The models in the list. Any other name is served too, but for one that holds [`UNKNOWN`]; asked
/// for alone, one of OpenAI's own (`gpt-`, `ft:`).
const MODELS: [&str; 6] = [
    "gpt-5.4-nano",
    "gpt-5.4-mini",
    "gpt-4o-mini",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
    "text-embedding-3-small",
];

/// What stands before OpenAI's paths, the longest first.
const PREFIXES: [&str; 7] =
    ["/v1beta/openai/v1/", "/v1beta/openai/", "/openai/v1/", "/inference/v1/", "/api/v1/", "/v1/", "/"];

/// The path below the prefix.
fn route(seen: &Seen) -> &str {
    let path = seen.path();
    let azure = path.strip_prefix("/openai/deployments/").and_then(|rest| rest.split_once('/'));
    if let Some((_deployment, route)) = azure {
        return route;
    }
    PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path)
}

/// Refuses what OpenAI refuses before it looks at the path.
pub(crate) fn check(seen: &Seen, asked: &Asked, checks: &Checks) -> Result<(), Refused> {
    if !checks.usual {
        return Ok(());
    }
    authorised(seen)?;
    match (seen.method(), asked.dialect) {
        ("POST", Dialect::Chat) if route(seen) == "chat/completions" => chat_request::check(asked),
        ("POST", Dialect::Completions) => completions::check(asked),
        ("POST", Dialect::Responses) => response_request::check(asked),
        _ => Ok(()),
    }
}

/// Answers a request as OpenAI does.
pub(crate) fn serve(seen: &Seen, asked: &Asked, shelf: &Shelf) -> Result<Served, Refused> {
    let unknown = || errors::no_such_url(seen.method(), seen.path());
    let steps: Vec<&str> = route(seen).split('/').collect();
    match (seen.method(), steps.as_slice()) {
        ("POST", ["chat", "completions"] | ["completions"] | ["responses"]) => Ok(Served::spoken(asked)),
        (method, ["responses", rest @ ..]) => responses::serve(method, rest, seen, asked, shelf),
        ("POST", ["embeddings"]) => embeddings::serve(asked),
        ("POST", ["moderations"]) => media::moderation(seen, asked),
        ("POST", ["images", _]) => media::image(seen, asked),
        ("POST", ["audio", what]) => media::audio(what, seen, asked),
        (method, ["files", rest @ ..]) => files::file(method, rest, seen, shelf),
        (method, ["batches", rest @ ..]) => files::batch(method, rest, seen, shelf),
        ("GET", ["models"]) => Ok(Served::json(model_list())),
        ("GET", ["models", id @ ..]) => {
            let id = id.join("/").replace("%2F", "/").replace("%2f", "/");
            let is_known =
                MODELS.contains(&id.as_str()) || ["gpt-", "ft:"].iter().any(|own| id.starts_with(own));
            match is_known && !id.contains(UNKNOWN) {
                true => Ok(Served::json(model(&id))),
                false => Err(errors::no_such_model(&id)),
            }
        }
        ("DELETE", ["models", id]) => Ok(Served::json(json!({"id": id, "object": "model", "deleted": true}))),
        (_, ["chat", "completions"] | ["completions" | "models" | "embeddings" | "moderations"]) => {
            Err(errors::method(seen.method(), seen.path()))
        }
        _ => Err(unknown()),
    }
}

/// A bearer token, or Azure's header, is any, but for one with `invalid` in it.
fn authorised(seen: &Seen) -> Result<(), Refused> {
    let bearer = seen.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
    match bearer.or_else(|| seen.header("api-key")) {
        None | Some("") => Err(errors::no_key()),
        Some(key) if key.contains("invalid") => Err(errors::wrong_key(key)),
        Some(_) => Ok(()),
    }
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_715_367_049, "owned_by": "system"})
}

fn model_list() -> Value {
    let models: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
    json!({"object": "list", "data": models})
}

/// The header lines that OpenAI sends beside content type and framing: its limits, its cookies,
/// its customer's names.
pub(crate) fn headers(number: usize) -> Vec<(String, String)> {
    // It is refilled before it is empty: nobody who obeys it is held up.
    let remaining = (9_999 - number % 5_000).to_string();
    let request = format!("req_{}", identifier(number, "request", 32));
    let cookie = identifier(number, "cookie", 43);
    let lines = [
        ("access-control-expose-headers", "X-Request-ID"),
        ("openai-organization", "org-fakeupstream0000000000"),
        ("openai-processing-ms", "123"),
        ("openai-project", "proj_FakeUpstream0000000000"),
        ("openai-version", "2020-10-01"),
        ("x-envoy-upstream-service-time", "127"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", &remaining),
        ("x-ratelimit-remaining-tokens", "199986"),
        ("x-ratelimit-reset-requests", "8.64s"),
        ("x-ratelimit-reset-tokens", "4ms"),
        ("x-request-id", &request),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("cf-cache-status", "DYNAMIC"),
        ("set-cookie", &format!("__cf_bm={cookie}; path=/; HttpOnly; Secure; SameSite=None")),
        ("set-cookie", &format!("_cfuvid={cookie}; path=/; HttpOnly; Secure; SameSite=None")),
        ("x-content-type-options", "nosniff"),
        ("server", "cloudflare"),
        ("cf-ray", "8f0a1b2c3d4e5f60-FRA"),
        ("alt-svc", "h3=\":443\"; ma=86400"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    lines.map(owned).into()
}

//! Anthropic's API as its own clients see it.
//!
//! | path | answer |
//! | --- | --- |
//! | `/v1/messages` | what the [`model`](crate::model) says |
//! | `/v1/messages/count_tokens` | a count |
//! | `/v1/models`, `/v1/models/ID` | [`MODELS`] |
//!
//! Owns     nothing; an answer follows from the request and its number alone.
//! Called   by `vendor` for these paths, the last where the request has `anthropic-version`.
//! Fails    never: a request that makes no sense gets the error that Anthropic gives it.

mod check;
mod errors;
mod message;
mod request;

use serde_json::{Value, json};

pub(crate) use check::check;
pub(crate) use errors::error_for;
pub(crate) use message::written;
pub(crate) use request::asked;

use crate::answer::identifier;
use crate::asked::Asked;
use crate::seen::Seen;
use crate::vendor::{Refused, Served, UNKNOWN};

/// The models in the list: ids and names. Any other is served too.
const MODELS: [(&str, &str); 3] = [
    ("claude-opus-4-6", "Claude Opus 4.6"),
    ("claude-sonnet-4-6", "Claude Sonnet 4.6"),
    ("claude-haiku-4-5", "Claude Haiku 4.5"),
];

/// Answers a request as Anthropic does.
pub(crate) fn serve(seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    let path = seen.path();
    let route = path.split_once("/v1/").map_or(path, |(_, route)| route);
    match (seen.method(), route) {
        ("POST", "messages") => Ok(Served::spoken(asked)),
        ("POST", "messages/count_tokens") => {
            let tokens = request::asked(asked.json.clone()).prompt_tokens;
            Ok(Served::json(json!({"input_tokens": tokens})))
        }
        ("GET", "models") => Ok(Served::json(model_list())),
        ("GET", route) => {
            let id = route.strip_prefix("models/").filter(|id| !id.contains(UNKNOWN));
            let id = id.ok_or_else(|| errors::not_found(path, seen.number()))?;
            let known = MODELS.iter().find(|(known, _)| *known == id);
            Ok(Served::json(model(id, known.map_or(id, |(_, name)| name))))
        }
        _ => Err(errors::not_found(path, seen.number())),
    }
}

fn model(id: &str, name: &str) -> Value {
    json!({
        "type": "model",
        "id": id,
        "display_name": name,
        "created_at": "2026-01-31T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "lifecycle": "active",
        "deprecated_at": null,
        "retires_at": null,
        "line": null,
        "capabilities": null,
    })
}

fn model_list() -> Value {
    let models: Vec<Value> = MODELS.iter().map(|(id, name)| model(id, name)).collect();
    let (first, last) = (MODELS[0].0, MODELS[MODELS.len() - 1].0);
    json!({"data": models, "has_more": false, "first_id": first, "last_id": last})
}

/// The header lines that Anthropic sends beside content type and framing.
pub(crate) fn headers(number: usize) -> Vec<(String, String)> {
    // It is refilled before it is empty: nobody who obeys it is held up.
    let remaining = (3_999 - number % 2_000).to_string();
    let request = errors::request_id(number);
    let cookie = identifier(number, "cookie", 43);
    let lines = [
        ("anthropic-organization-id", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", &remaining),
        ("anthropic-ratelimit-requests-reset", "2026-01-31T12:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "480000"),
        ("anthropic-ratelimit-tokens-remaining", "479000"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-31T12:00:00Z"),
        ("anthropic-ratelimit-input-tokens-limit", "400000"),
        ("anthropic-ratelimit-input-tokens-remaining", "400000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-01-31T12:00:00Z"),
        ("anthropic-ratelimit-output-tokens-limit", "80000"),
        ("anthropic-ratelimit-output-tokens-remaining", "79000"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-01-31T12:00:00Z"),
        ("request-id", &request),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("cf-cache-status", "DYNAMIC"),
        ("set-cookie", &format!("_cfuvid={cookie}; path=/; HttpOnly; Secure; SameSite=None")),
        ("x-robots-tag", "none"),
        ("server", "cloudflare"),
        ("cf-ray", "8f0a1b2c3d4e5f61-FRA"),
        ("via", "1.1 google"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    lines.map(owned).into()
}

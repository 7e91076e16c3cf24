//! Gemini's API as its own clients see it.
//!
//! | path | answer |
//! | --- | --- |
//! | `/v1beta/models/M:generateContent`, `:streamGenerateContent` | what the [`model`](crate::model) says |
//! | `/v1beta/models/M:countTokens` | a count |
//! | `/v1beta/models`, `/v1beta/models/M` | [`MODELS`] |
//! | `/v1beta/interactions`, `…/ID`, `…/ID/cancel` | what the model says; an example |
//!
//! Owns     nothing; an answer follows from the request and its number alone.
//! Called   by `vendor` for everything below `/v1beta`.
//! Fails    never: a request that makes no sense gets the error that Gemini gives it.

mod check;
mod errors;
mod generate;
mod interactions;
mod request;

use serde_json::{Value, json};

pub(crate) use check::check;
pub(crate) use errors::{error_for, overloaded_event};
pub(crate) use generate::written;
pub(crate) use interactions::{interaction_asked, interaction_written};
pub(crate) use request::asked;

use crate::asked::Asked;
use crate::seen::Seen;
use crate::vendor::{Refused, Served, UNKNOWN};

/// The models in the list. Any other is served too.
const MODELS: [&str; 3] = ["gemini-3-flash", "gemini-3-pro", "gemini-2.5-flash"];

/// Answers a request as Gemini does.
pub(crate) fn serve(seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    let path = seen.path();
    let after_version = path.trim_start_matches('/').split_once('/');
    let route = after_version.map_or("", |(_version, route)| route);
    match (seen.method(), route) {
        ("GET", "models") => {
            let models: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
            Ok(Served::json(json!({ "models": models })))
        }
        ("GET", route) if route.starts_with("models/") => {
            let id = &route["models/".len()..];
            match id.contains(UNKNOWN) {
                true => Err(errors::no_such_model(id)),
                false => Ok(Served::json(model(id))),
            }
        }
        (_, route) if route.starts_with("interactions") => {
            let rest = route["interactions".len()..].trim_start_matches('/');
            interactions::serve(rest, seen, asked)
        }
        ("POST", route) => match route.rsplit_once(':').map(|(_, method)| method) {
            Some("generateContent" | "streamGenerateContent") => Ok(Served::spoken(asked)),
            Some("countTokens") => Ok(Served::json(count(seen, &asked.json))),
            _ => Err(errors::no_such_page(path)),
        },
        _ => Err(errors::no_such_page(path)),
    }
}

/// The tokens of a request, which may stand in a member of its own.
fn count(seen: &Seen, json: &Value) -> Value {
    let inner = request::member(json, "generateContentRequest");
    let whole = if inner.is_null() { json } else { inner };
    let tokens = request::asked(seen, whole.clone()).prompt_tokens;
    let details = json!([{"modality": "TEXT", "tokenCount": tokens}]);
    json!({"totalTokens": tokens, "promptTokensDetails": details})
}

fn model(id: &str) -> Value {
    json!({
        "name": format!("models/{id}"),
        "version": "001",
        "displayName": id,
        "description": "A model of the fake upstream",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        "thinking": true,
    })
}

/// The header lines that Gemini sends beside content type and framing.
pub(crate) fn headers() -> Vec<(String, String)> {
    let lines = [
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("server", "scaffolding on HTTPServer2"),
        ("x-xss-protection", "0"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", "gfet4t7; dur=123"),
        ("alt-svc", "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    lines.map(owned).into()
}

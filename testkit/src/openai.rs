//! OpenAI's API as its own clients see it: what it takes, answers, refuses and sends along.
//!
//! Owns     nothing; an answer follows from the request and its number alone, so that the same
//!          test gives the same bytes (`created` excepted).
//! Called   by `reply` when a request is rendered.
//! Fails    never: a request that makes no sense gets the error that OpenAI gives it.

mod asked;
mod chat;
mod errors;
mod sample;

use serde_json::{Value, json};

pub(crate) use asked::Asked;
pub use chat::UsageStyle;
pub(crate) use chat::{Chat, ChatStyle, Delta, FILLER, ToolCall, words};
pub(crate) use errors::{error_for, overloaded};

use crate::reply::{Content, Part};
use crate::seen::Seen;
use errors::Refused;

/// The models in the list. Any other name is served too, so that a test may call its model what it
/// likes; only a name with [`UNKNOWN`] in it is refused.
const MODELS: [&str; 6] = [
    "gpt-5.4-nano",
    "gpt-5.4-mini",
    "gpt-4o-mini",
    "openai/gpt-oss-20b",
    "openai/gpt-oss-120b",
    "text-embedding-3-small",
];

/// What a model's name holds that nobody may use.
const UNKNOWN: &str = "does-not-exist";

/// What the API answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: Content,
}

/// Answers a request as OpenAI does.
pub(crate) fn answer(seen: &Seen, asked: &Asked) -> Answer {
    match served(seen, asked) {
        Ok(content) => Answer { status: 200, content },
        Err(refused) => Answer { status: refused.status, content: json_body(refused.body) },
    }
}

fn served(seen: &Seen, asked: &Asked) -> Result<Content, Refused> {
    authorised(seen)?;
    let path = seen.path();
    let path = path.strip_prefix("/openai").unwrap_or(path);
    let unknown = || Refused::no_such_url(seen.method(), seen.path());
    let route = path.strip_prefix("/v1/").ok_or_else(unknown)?;
    match (seen.method(), route) {
        ("POST", "chat/completions") => chat_completion(asked),
        ("GET", "models") => Ok(json_body(model_list().to_string())),
        (_, "chat/completions" | "models") => Err(Refused::method(seen.method(), seen.path())),
        ("GET", route) => {
            let id = route.strip_prefix("models/").ok_or_else(unknown)?;
            let id = id.replace("%2F", "/").replace("%2f", "/");
            if MODELS.contains(&id.as_str()) {
                Ok(json_body(model(&id).to_string()))
            } else {
                Err(Refused::no_such_model(&id))
            }
        }
        _ => Err(unknown()),
    }
}

fn json_body(json: String) -> Content {
    Content::Body { content_type: "application/json", parts: vec![Part::piece(json)] }
}

/// A bearer token is any, but for one with `invalid` in it.
fn authorised(seen: &Seen) -> Result<(), Refused> {
    let header = seen.header("authorization").unwrap_or_default();
    match header.strip_prefix("Bearer ") {
        None | Some("") => Err(Refused::no_key()),
        Some(key) if key.contains("invalid") => Err(Refused::wrong_key(key)),
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

fn chat_completion(asked: &Asked) -> Result<Content, Refused> {
    asked.check()?;
    if asked.model.contains(UNKNOWN) {
        return Err(Refused::no_such_model(&asked.model));
    }
    let (mut deltas, mut finish) = if let Some(call) = asked.tool_to_call() {
        (vec![Delta::Tool(call)], "tool_calls")
    } else {
        (words(&asked.answer_text()), "stop")
    };
    if let Some(cap) = asked.output_cap()
        && finish == "stop"
        && cap < deltas.len()
    {
        deltas.truncate(cap);
        finish = "length";
    }
    Ok(Content::Chat { deltas, finish })
}

/// The header lines that OpenAI sends beside content type and framing: its limits, its cookies,
/// its customer's names.
pub(crate) fn headers(number: usize) -> Vec<(String, String)> {
    let remaining = 9_999_usize.saturating_sub(number).to_string();
    let request = format!("req_{}", chat::identifier(number, "request", 32));
    let cookie = chat::identifier(number, "cookie", 43);
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

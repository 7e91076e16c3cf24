//! What Anthropic refuses of a request.
//!
//! Owns     nothing.
//! Called   by `vendor` before a request is answered.
//! Fails    with Anthropic's own 400, 401 and 404.

use serde_json::Value;

use super::errors::{invalid, not_found, unauthorised};
use crate::answer::signature_of;
use crate::asked::{Asked, list};
use crate::dialect::Dialect;
use crate::seen::Seen;
use crate::vendor::{Checks, Refused, UNKNOWN};

/// The newest version of the API, which refuses what the ones before it took.
const NEWEST: &str = "2026-10-21";

/// The versions of the API that there are.
const VERSIONS: [&str; 3] = [NEWEST, "2023-06-01", "2023-01-01"];

/// The models that take no system message between the others: those before Claude Opus 4.8.
const WITHOUT_SYSTEM_MESSAGES: [&str; 11] = [
    "claude-3",
    "claude-sonnet-4",
    "claude-haiku-4",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-2",
    "claude-instant",
];

/// The least that may be spent on thinking, in tokens.
const LEAST_BUDGET: u64 = 1024;

/// Refuses what these checks refuse.
pub(crate) fn check(seen: &Seen, asked: &Asked, checks: &Checks) -> Result<(), Refused> {
    let number = seen.number();
    if checks.usual {
        headers(seen)?;
    }
    if let Some(known) = &checks.betas {
        betas(seen, known)?;
    }
    if asked.dialect != Dialect::Messages {
        return Ok(());
    }
    let refused = |message: String| invalid(&message, number);
    if checks.usual {
        members(&asked.json).map_err(refused)?;
        if asked.model.contains(UNKNOWN) {
            return Err(not_found(&format!("model: {}", asked.model), number));
        }
        messages(&asked.json).map_err(refused)?;
        thinking(&asked.json).map_err(refused)?;
        if seen.header("anthropic-version") == Some(NEWEST) {
            newest(&asked.json).map_err(refused)?;
        }
    }
    if checks.signatures {
        signatures(&asked.json).map_err(refused)?;
    }
    Ok(())
}

fn headers(seen: &Seen) -> Result<(), Refused> {
    let number = seen.number();
    let bearer = seen.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
    match seen.header("x-api-key").or(bearer) {
        None | Some("") => return Err(unauthorised("x-api-key header is required", number)),
        Some(key) if key.contains("invalid") => return Err(unauthorised("invalid x-api-key", number)),
        Some(_) => {}
    }
    match seen.header("anthropic-version") {
        None => Err(invalid("anthropic-version: header is required", number)),
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(version) => {
            Err(invalid(&format!("anthropic-version: \"{version}\" is not a valid version"), number))
        }
    }
}

fn betas(seen: &Seen, known: &[String]) -> Result<(), Refused> {
    let lines = seen.headers().all("anthropic-beta");
    let named = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
    let unknown: Vec<String> = named
        .filter(|beta| !known.iter().any(|known| known == beta))
        .map(|beta| format!("`{beta}`"))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Unexpected value(s) {} for the `anthropic-beta` header. Please consult our documentation at \
         docs.claude.com or try again without the header.",
        unknown.join(", "),
    );
    Err(invalid(&message, seen.number()))
}

fn members(json: &Value) -> Result<(), String> {
    if !json.is_object() {
        return Err("The request body is not valid JSON".to_owned());
    }
    for member in ["model", "max_tokens", "messages"] {
        if json[member].is_null() {
            return Err(format!("{member}: Field required"));
        }
    }
    if !json["max_tokens"].is_u64() {
        return Err("max_tokens: Input should be a valid integer".to_owned());
    }
    match json["messages"].as_array().map(Vec::len) {
        None => Err("messages: Input should be a valid list".to_owned()),
        Some(0) => Err("messages: at least one message is required".to_owned()),
        Some(_) => Ok(()),
    }
}

fn messages(json: &Value) -> Result<(), String> {
    let all = list(&json["messages"]);
    for block in list(&json["system"]) {
        text_block(block, "system")?;
    }
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in all.iter().enumerate() {
        let place = format!("messages.{at}");
        let role = message["role"].as_str().unwrap_or_default();
        if !["user", "assistant", "system"].contains(&role) {
            return Err(format!("{place}.role: Input should be 'user', 'assistant' or 'system'"));
        }
        let model = json["model"].as_str().unwrap_or_default();
        let is_older = WITHOUT_SYSTEM_MESSAGES.iter().any(|older| model.starts_with(older));
        if role == "system" && (is_older || at == 0) {
            return Err(format!("{place}: role 'system' is not supported on this model"));
        }
        let content = &message["content"];
        let is_empty = content.as_str().is_some_and(str::is_empty) || content == &Value::Array(Vec::new());
        let is_last_answer = role == "assistant" && at + 1 == all.len();
        if content.is_null() {
            return Err(format!("{place}.content: Field required"));
        }
        if is_empty && !is_last_answer {
            return Err(format!(
                "{place}: all messages must have non-empty content except for the optional final assistant message"
            ));
        }
        open = blocks(content, &place, &open)?;
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(unanswered(&format!("messages.{}", all.len().saturating_sub(1)), &open)),
    }
}

/// Checks a message's blocks; the calls in it, which the next message must answer.
fn blocks<'a>(content: &'a Value, place: &str, open: &[&str]) -> Result<Vec<&'a str>, String> {
    let mut calls = Vec::new();
    let mut answered: Vec<&str> = Vec::new();
    for (at, block) in list(content).iter().enumerate() {
        let place = format!("{place}.content.{at}");
        match block["type"].as_str() {
            Some("text") => text_block(block, &place)?,
            Some("tool_use") => {
                if !block["input"].is_object() {
                    return Err(format!("{place}.tool_use.input: Input should be a valid dictionary"));
                }
                calls.push(member(block, "id", &format!("{place}.tool_use"))?);
            }
            Some("tool_result") => {
                let id = member(block, "tool_use_id", &format!("{place}.tool_result"))?;
                if !open.contains(&id) {
                    return Err(format!(
                        "{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                         `tool_result` block must have a corresponding `tool_use` block in the previous message."
                    ));
                }
                answered.push(id);
            }
            Some("thinking") => {
                member(block, "signature", &format!("{place}.thinking"))?;
            }
            Some("redacted_thinking") => {
                member(block, "data", &format!("{place}.redacted_thinking"))?;
            }
            Some(_) => {}
            None => return Err(format!("{place}.type: Field required")),
        }
    }
    let missing: Vec<&str> = open.iter().copied().filter(|id| !answered.contains(id)).collect();
    match missing.is_empty() {
        true => Ok(calls),
        false => Err(unanswered(place, &missing)),
    }
}

fn unanswered(place: &str, ids: &[&str]) -> String {
    format!(
        "{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
        ids.join(", "),
    )
}

fn member<'a>(block: &'a Value, name: &str, place: &str) -> Result<&'a str, String> {
    block[name].as_str().ok_or_else(|| format!("{place}.{name}: Field required"))
}

fn text_block(block: &Value, place: &str) -> Result<(), String> {
    match block["text"].as_str() {
        None => Err(format!("{place}.text: Field required")),
        Some("") => Err("messages: text content blocks must be non-empty".to_owned()),
        Some(text) if text.trim().is_empty() => {
            Err("messages: text content blocks must contain non-whitespace text".to_owned())
        }
        Some(_) => Ok(()),
    }
}

fn thinking(json: &Value) -> Result<(), String> {
    let thinking = &json["thinking"];
    let is_on = matches!(thinking["type"].as_str(), Some("enabled" | "adaptive"));
    if thinking["type"] == "enabled" {
        let budget = thinking["budget_tokens"].as_u64();
        let Some(budget) = budget else {
            return Err("thinking.enabled.budget_tokens: Field required".to_owned());
        };
        if budget < LEAST_BUDGET {
            return Err(format!(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
            ));
        }
        if json["max_tokens"].as_u64().is_some_and(|cap| cap <= budget) {
            return Err("`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned());
        }
    }
    if is_on && json["temperature"].as_f64().is_some_and(|temperature| temperature != 1.0) {
        return Err("`temperature` may only be set to 1 when thinking is enabled.".to_owned());
    }
    let forces = matches!(json["tool_choice"]["type"].as_str(), Some("any" | "tool"));
    if is_on && forces {
        return Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    Ok(())
}

/// What the newest version refuses: sampling parameters, the model's documents, the user's citations.
fn newest(json: &Value) -> Result<(), String> {
    for member in ["temperature", "top_p", "top_k"] {
        if !json[member].is_null() {
            return Err(format!("{member}: Extra inputs are not permitted"));
        }
    }
    for (at, message) in list(&json["messages"]).iter().enumerate() {
        for (nth, block) in list(&message["content"]).iter().enumerate() {
            let place = format!("messages.{at}.content.{nth}");
            if message["role"] == "assistant" && block["type"] == "document" {
                return Err(format!("{place}: `document` blocks are not permitted in assistant messages"));
            }
            if message["role"] == "user" && block["type"] == "text" && !block["citations"].is_null() {
                return Err(format!("{place}.text.citations: Extra inputs are not permitted"));
            }
        }
    }
    Ok(())
}

fn signatures(json: &Value) -> Result<(), String> {
    for (at, message) in list(&json["messages"]).iter().enumerate() {
        for (nth, block) in list(&message["content"]).iter().enumerate() {
            if block["type"] != "thinking" {
                continue;
            }
            let own = signature_of(block["thinking"].as_str().unwrap_or_default());
            if block["signature"] != own.as_str() {
                return Err(format!("messages.{at}.content.{nth}: Invalid `signature` in `thinking` block"));
            }
        }
    }
    Ok(())
}

//! What a request to OpenAI's chat API asks for, and what OpenAI refuses of it.

use serde_json::Value;

use super::errors;
use crate::asked::{Asked, Format, Role, Thinking, Tool, ToolChoice, Turn, cap, list, texts};
use crate::dialect::Dialect;
use crate::vendor::Refused;

/// The most choices that OpenAI gives.
const MOST_CHOICES: u64 = 128;

/// Reads a chat request.
pub(crate) fn chat_asked(json: Value) -> Asked {
    let turns = list(&json["messages"]).iter().map(turn).collect();
    let mut asked = Asked::plain(Dialect::Chat, json, turns);
    let json = &asked.json;
    asked.include_usage = json["stream_options"]["include_usage"] == true;
    asked.choices = choices(json);
    asked.output_cap = cap(&json["max_completion_tokens"]).or_else(|| cap(&json["max_tokens"]));
    asked.tools = list(&json["tools"])
        .iter()
        .filter_map(|tool| function(&tool["function"]))
        .chain(list(&json["functions"]).iter().filter_map(function))
        .collect();
    asked.choice = choice(&json["tool_choice"], &json["tool_choice"]["function"]["name"]);
    asked.format = format(&json["response_format"], &json["response_format"]["json_schema"]["schema"]);
    asked.thinking = match (&json["reasoning_effort"], &json["reasoning_format"]) {
        (Value::String(effort), shown) if effort != "none" => match shown == "parsed" {
            true => Thinking::Shown,
            false => Thinking::Hidden,
        },
        _ => Thinking::Off,
    };
    asked.stops = texts(&json["stop"]);
    asked
}

pub(super) fn choices(json: &Value) -> u64 {
    json["n"].as_u64().unwrap_or(1).clamp(1, MOST_CHOICES)
}

/// A function's name and schema, which stand side by side in chat and in Responses.
pub(super) fn function(function: &Value) -> Option<Tool> {
    let name = function["name"].as_str()?.to_owned();
    Some(Tool { name, schema: function["parameters"].clone() })
}

pub(super) fn choice(choice: &Value, name: &Value) -> ToolChoice {
    match (choice.as_str(), name.as_str()) {
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        (Some("none"), _) => ToolChoice::None,
        (Some("required"), _) => ToolChoice::Required,
        _ => ToolChoice::Auto,
    }
}

pub(super) fn format(format: &Value, schema: &Value) -> Format {
    match format["type"].as_str() {
        Some("json_schema") => Format::Schema(schema.clone()),
        Some("json_object") => Format::Json,
        _ => Format::Text,
    }
}

fn turn(message: &Value) -> Turn {
    let role = match message["role"].as_str() {
        Some("user") => Role::User,
        Some("tool" | "function") => Role::Tool,
        _ => Role::Other,
    };
    let content = &message["content"];
    let is_image = |part: &&Value| {
        matches!(part["type"].as_str(), Some("image_url" | "file" | "input_audio" | "video_url"))
    };
    let images = list(content).iter().filter(is_image).count() as u64;
    Turn { role, text: text(content), images }
}

/// A content's text, whatever its parts are called.
pub(super) fn text(content: &Value) -> String {
    match content.as_str() {
        Some(text) => text.to_owned(),
        None => list(content).iter().filter_map(|part| part["text"].as_str()).collect(),
    }
}

/// Refuses what OpenAI refuses of a chat request.
pub(super) fn check(asked: &Asked) -> Result<(), Refused> {
    let json = &asked.json;
    check_model(asked)?;
    match json["messages"].as_array().map(Vec::len) {
        None => return Err(errors::missing("messages")),
        Some(0) => return Err(errors::empty_array("messages")),
        Some(_) => {}
    }
    // Both caps at once are taken, as the official SDKs' own tests send them.
    let only_old_cap = !json["max_tokens"].is_null() && json["max_completion_tokens"].is_null();
    if takes_only_completion_cap(&asked.model) && only_old_cap {
        return Err(errors::max_tokens());
    }
    Ok(())
}

/// Refuses a body that is no object, or names no model that may be used.
pub(super) fn check_model(asked: &Asked) -> Result<(), Refused> {
    if !asked.json.is_object() {
        return Err(errors::not_json());
    }
    if asked.model.is_empty() {
        return Err(errors::no_model());
    }
    if asked.model.contains(crate::vendor::UNKNOWN) {
        return Err(errors::no_such_model(&asked.model));
    }
    Ok(())
}

/// OpenAI's reasoning models take `max_completion_tokens` alone.
fn takes_only_completion_cap(model: &str) -> bool {
    let mut letters = model.chars();
    let series_o = letters.next() == Some('o') && letters.next().is_some_and(|c| c.is_ascii_digit());
    series_o || model.starts_with("gpt-5") || model.starts_with("gpt-6")
}

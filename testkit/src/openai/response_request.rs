//! What a request to OpenAI's Responses API asks for, and what OpenAI refuses of it.

use serde_json::Value;

use super::chat_request::{check_model, choice, format, function, text};
use super::errors;
use crate::asked::{Asked, Role, Thinking, Turn, cap, list, prompt_tokens};
use crate::dialect::Dialect;
use crate::vendor::Refused;

/// The model of a stored prompt.
const STORED_MODEL: &str = "gpt-5.4-mini";

/// Reads a Responses request.
pub(crate) fn response_asked(json: Value) -> Asked {
    let mut turns: Vec<Turn> = match &json["input"] {
        Value::String(text) => vec![Turn { role: Role::User, text: text.clone(), images: 0 }],
        input => list(input).iter().map(turn).collect(),
    };
    let last = turns.last().cloned().unwrap_or_default();
    if let Some(instructions) = json["instructions"].as_str() {
        turns.push(Turn { text: instructions.to_owned(), ..Turn::default() });
    }
    let tokens = prompt_tokens(&turns);
    let mut asked = Asked::plain(Dialect::Responses, json, vec![last]);
    let json = &asked.json;
    if json["model"].is_null() {
        STORED_MODEL.clone_into(&mut asked.model);
    }
    asked.prompt_tokens = tokens;
    asked.output_cap = cap(&json["max_output_tokens"]);
    let functions = list(&json["tools"]).iter().filter(|tool| tool["type"] == "function");
    asked.tools = functions.filter_map(function).collect();
    asked.choice = choice(&json["tool_choice"], &json["tool_choice"]["name"]);
    asked.format = format(&json["text"]["format"], &json["text"]["format"]["schema"]);
    asked.thinking = thinking(json);
    asked
}

fn thinking(json: &Value) -> Thinking {
    let reasoning = &json["reasoning"];
    let summarised = !reasoning["summary"].is_null() || !reasoning["generate_summary"].is_null();
    match reasoning["effort"].as_str() {
        Some("none") => Thinking::Off,
        _ if summarised => Thinking::Shown,
        Some(_) => Thinking::Hidden,
        None => Thinking::Off,
    }
}

fn turn(item: &Value) -> Turn {
    let content = &item["content"];
    let is_image =
        |part: &&Value| matches!(part["type"].as_str(), Some("input_image" | "input_file" | "input_audio"));
    match (item["type"].as_str(), item["role"].as_str()) {
        (Some("function_call_output" | "custom_tool_call_output"), _) => {
            let output = &item["output"];
            let images = list(output).iter().filter(is_image).count() as u64;
            Turn { role: Role::Tool, text: text(output), images }
        }
        (_, role) => {
            let role = if role == Some("user") { Role::User } else { Role::Other };
            let images = list(content).iter().filter(is_image).count() as u64;
            Turn { role, text: text(content), images }
        }
    }
}

/// Refuses what OpenAI refuses of a Responses request.
pub(super) fn check(asked: &Asked) -> Result<(), Refused> {
    let json = &asked.json;
    if !json.is_object() {
        return Err(errors::not_json());
    }
    // Input and model may both stand in a prompt that was stored before.
    let is_stored = json["input"].is_null() && json["model"].is_null();
    let stored = ["previous_response_id", "prompt", "conversation"];
    if json["model"].is_null() && !is_stored {
        return Err(errors::no_model());
    }
    if json["input"].is_null() && !is_stored && stored.iter().all(|member| json[*member].is_null()) {
        return Err(errors::missing("input"));
    }
    check_model(asked)?;
    if json["store"] == false && json["background"] == true {
        return Err(errors::background_without_store());
    }
    Ok(())
}

//! What a request to Anthropic's messages API asks for.

use serde_json::Value;

use crate::asked::{Asked, Format, Role, Thinking, Tool, ToolChoice, Turn, cap, list, prompt_tokens, texts};
use crate::dialect::Dialect;

/// Reads a messages request.
pub(crate) fn asked(json: Value) -> Asked {
    let mut turns: Vec<Turn> = list(&json["messages"]).iter().map(turn).collect();
    let last = turns.last().cloned().unwrap_or_default();
    let system = text(&json["system"]);
    if !system.is_empty() {
        turns.push(Turn { text: system, ..Turn::default() });
    }
    let tokens = prompt_tokens(&turns);
    let mut asked = Asked::plain(Dialect::Messages, json, vec![last]);
    let json = &asked.json;
    asked.prompt_tokens = tokens;
    asked.output_cap = cap(&json["max_tokens"]);
    asked.tools = list(&json["tools"]).iter().filter_map(tool).collect();
    asked.choice = match json["tool_choice"]["type"].as_str() {
        Some("none") => ToolChoice::None,
        Some("any") => ToolChoice::Required,
        Some("tool") => {
            ToolChoice::Named(json["tool_choice"]["name"].as_str().unwrap_or_default().to_owned())
        }
        _ => ToolChoice::Auto,
    };
    asked.format = format(json);
    asked.thinking = match (json["thinking"]["type"].as_str(), &json["thinking"]["display"]) {
        (Some("enabled" | "adaptive"), display) if display == "omitted" => Thinking::Hidden,
        (Some("enabled" | "adaptive"), _) => Thinking::Shown,
        _ => Thinking::Off,
    };
    asked.stops = texts(&json["stop_sequences"]);
    asked
}

/// Tools that the client runs; those that Anthropic runs have no schema.
fn tool(tool: &Value) -> Option<Tool> {
    let schema = tool.get("input_schema")?.clone();
    Some(Tool { name: tool["name"].as_str()?.to_owned(), schema })
}

fn format(json: &Value) -> Format {
    let now = &json["output_config"]["format"];
    let format = if now.is_null() { &json["output_format"] } else { now };
    match format["type"] == "json_schema" {
        true => Format::Schema(format["schema"].clone()),
        false => Format::Text,
    }
}

fn turn(message: &Value) -> Turn {
    let content = &message["content"];
    let results: Vec<&Value> = list(content).iter().filter(|block| block["type"] == "tool_result").collect();
    let images = list(content).iter().map(images).sum();
    if results.is_empty() {
        let role = if message["role"] == "user" { Role::User } else { Role::Other };
        return Turn { role, text: text(content), images };
    }
    let said: Vec<String> = results.iter().map(|result| text(&result["content"])).collect();
    Turn { role: Role::Tool, text: said.join("\n"), images }
}

/// The images and documents in a block, in a tool's result as well.
fn images(block: &Value) -> u64 {
    match block["type"].as_str() {
        Some("image" | "document") => 1,
        Some("tool_result") => list(&block["content"]).iter().map(images).sum(),
        _ => 0,
    }
}

fn text(content: &Value) -> String {
    match content.as_str() {
        Some(text) => text.to_owned(),
        None => list(content).iter().filter_map(|block| block["text"].as_str()).collect(),
    }
}

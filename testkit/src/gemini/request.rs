//! What a request to Gemini's `generateContent` asks for. Members are taken in camel and snake case,
//! as Gemini takes them.

use serde_json::Value;

use crate::asked::{Asked, Format, Role, Thinking, Tool, ToolChoice, Turn, cap, list, prompt_tokens, texts};
use crate::dialect::Dialect;
use crate::seen::Seen;

/// The most candidates that Gemini gives.
const MOST_CANDIDATES: u64 = 8;

/// A member by its camel-case name, or by the snake-case one.
pub(super) fn member<'a>(json: &'a Value, name: &str) -> &'a Value {
    match &json[name] {
        Value::Null => &json[snake(name)],
        found => found,
    }
}

pub(super) fn snake(name: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_uppercase() {
        true => format!("_{}", letter.to_ascii_lowercase()),
        false => letter.to_string(),
    };
    name.chars().map(letter).collect()
}

/// Reads a request.
pub(crate) fn asked(seen: &Seen, json: Value) -> Asked {
    let mut turns: Vec<Turn> = list(&json["contents"]).iter().map(turn).collect();
    let last = turns.last().cloned().unwrap_or_default();
    let system = turn(member(&json, "systemInstruction"));
    if !system.text.is_empty() {
        turns.push(system);
    }
    let tokens = prompt_tokens(&turns);
    let mut asked = Asked::plain(Dialect::Generate, json, vec![last]);
    asked.model = seen.model_in_path().unwrap_or_default().to_owned();
    asked.stream = seen.path().ends_with(":streamGenerateContent");
    asked.prompt_tokens = tokens;
    let json = &asked.json;
    let config = member(json, "generationConfig");
    asked.choices = member(config, "candidateCount").as_u64().unwrap_or(1).clamp(1, MOST_CANDIDATES);
    asked.output_cap = cap(member(config, "maxOutputTokens"));
    asked.stops = texts(member(config, "stopSequences"));
    asked.tools = list(&json["tools"])
        .iter()
        .flat_map(|tool| list(member(tool, "functionDeclarations")))
        .filter_map(function)
        .collect();
    asked.choice = choice(member(member(json, "toolConfig"), "functionCallingConfig"));
    asked.format = format(config);
    asked.thinking = thinking(member(config, "thinkingConfig"));
    asked
}

fn function(function: &Value) -> Option<Tool> {
    let schema = match member(function, "parametersJsonSchema") {
        Value::Null => &function["parameters"],
        schema => schema,
    };
    Some(Tool { name: function["name"].as_str()?.to_owned(), schema: schema.clone() })
}

fn choice(config: &Value) -> ToolChoice {
    let allowed = texts(member(config, "allowedFunctionNames"));
    match (config["mode"].as_str(), allowed.as_slice()) {
        (Some("NONE"), _) => ToolChoice::None,
        (Some("ANY"), [name, ..]) => ToolChoice::Named(name.clone()),
        (Some("ANY"), []) => ToolChoice::Required,
        _ => ToolChoice::Auto,
    }
}

fn format(config: &Value) -> Format {
    for name in ["responseJsonSchema", "responseSchema"] {
        let schema = member(config, name);
        if schema.is_object() {
            return Format::Schema(schema.clone());
        }
    }
    match member(config, "responseMimeType") == "application/json" {
        true => Format::Json,
        false => Format::Text,
    }
}

fn thinking(config: &Value) -> Thinking {
    let budget = member(config, "thinkingBudget");
    let asks = member(config, "thinkingLevel").is_string() || budget.as_i64().is_some_and(|n| n != 0);
    match member(config, "includeThoughts") == true {
        _ if budget.as_i64() == Some(0) => Thinking::Off,
        true => Thinking::Shown,
        false if asks => Thinking::Hidden,
        false => Thinking::Off,
    }
}

fn turn(content: &Value) -> Turn {
    let parts = list(&content["parts"]);
    let results: Vec<&Value> =
        parts.iter().map(|part| member(part, "functionResponse")).filter(|part| !part.is_null()).collect();
    let is_image =
        |part: &&Value| !member(part, "inlineData").is_null() || !member(part, "fileData").is_null();
    let images = parts.iter().filter(is_image).count() as u64;
    if !results.is_empty() {
        let said: Vec<String> = results.iter().map(|result| said(&result["response"])).collect();
        return Turn { role: Role::Tool, text: said.join("\n"), images };
    }
    // The role may be left out, and is the user's then.
    let role = if content["role"] == "model" { Role::Other } else { Role::User };
    let shown = parts.iter().filter(|part| part["thought"] != true);
    Turn { role, text: shown.filter_map(|part| part["text"].as_str()).collect(), images }
}

/// What a function said: the one text in its result, or the whole of it.
fn said(response: &Value) -> String {
    let members: Vec<&Value> = response.as_object().into_iter().flatten().map(|(_, value)| value).collect();
    match members.as_slice() {
        [Value::String(text)] => text.clone(),
        _ => response.to_string(),
    }
}

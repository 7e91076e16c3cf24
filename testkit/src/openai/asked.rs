//! What a chat request asks for, as far as the fake's answer depends on it.

use serde_json::Value;

use super::chat::ToolCall;
use super::errors::Refused;
use super::sample::sample;
use crate::seen::Seen;

/// Bytes to a token: OpenAI's own rule of thumb for English.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens around each message, and around the whole, as OpenAI's cookbook counts them.
const TOKENS_PER_MESSAGE: u64 = 3;
const TOKENS_PER_PROMPT: u64 = 3;

/// Tokens of an image in low detail.
const TOKENS_PER_IMAGE: u64 = 85;

/// The most choices that OpenAI gives.
const MOST_CHOICES: u64 = 128;

/// How much of the question is repeated in the answer.
const ECHOED: usize = 2000;

/// A chat request, read leniently: a scripted answer is given to any request.
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) choices: u64,
    pub(crate) prompt_tokens: u64,
    json: Value,
}

impl Asked {
    /// Reads a request's body.
    pub(crate) fn read(seen: &Seen) -> Self {
        let json = seen.json();
        Self {
            model: json["model"].as_str().unwrap_or_default().to_owned(),
            stream: json["stream"] == true,
            include_usage: json["stream_options"]["include_usage"] == true,
            choices: json["n"].as_u64().unwrap_or(1).clamp(1, MOST_CHOICES),
            prompt_tokens: prompt_tokens(&json["messages"]),
            json,
        }
    }

    /// Refuses what OpenAI refuses.
    pub(super) fn check(&self) -> Result<(), Refused> {
        if !self.json.is_object() {
            return Err(Refused::not_json());
        }
        if self.model.is_empty() {
            return Err(Refused::no_model());
        }
        let messages = self.json["messages"].as_array();
        match messages.map(Vec::len) {
            None => return Err(Refused::no_messages()),
            Some(0) => return Err(Refused::empty_messages()),
            Some(_) => {}
        }
        if takes_only_completion_cap(&self.model) && !self.json["max_tokens"].is_null() {
            return Err(Refused::max_tokens());
        }
        Ok(())
    }

    /// The most pieces the answer may have.
    pub(super) fn output_cap(&self) -> Option<usize> {
        let caps = ["max_completion_tokens", "max_tokens"];
        let cap = caps.iter().find_map(|name| self.json[name].as_u64())?;
        usize::try_from(cap).ok()
    }

    /// The tool that the answer calls, with arguments that its schema allows: the one that was
    /// demanded, or the first, if one was required or the user says "call the tool".
    pub(super) fn tool_to_call(&self) -> Option<ToolCall> {
        let tools = self.json["tools"].as_array()?;
        let choice = &self.json["tool_choice"];
        let demanded = choice["function"]["name"].as_str();
        let asked_for = self.last_role() == "user" && self.last_text().contains("call the tool");
        if choice == "none" || !(demanded.is_some() || choice == "required" || asked_for) {
            return None;
        }
        let function = tools
            .iter()
            .map(|tool| &tool["function"])
            .find(|function| demanded.is_none_or(|name| function["name"] == name))?;
        let schema = &function["parameters"];
        let arguments = sample(schema, schema);
        let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
        Some(ToolCall::new(function["name"].as_str()?, &arguments))
    }

    /// The text of the answer: of the form that was asked for, else what the last message said.
    pub(super) fn answer_text(&self) -> String {
        let format = &self.json["response_format"];
        if format["type"] == "json_schema" {
            let schema = &format["json_schema"]["schema"];
            return sample(schema, schema).to_string();
        }
        let said: String = self.last_text().chars().take(ECHOED).collect();
        if format["type"] == "json_object" {
            return serde_json::json!({ "answer": said }).to_string();
        }
        let images = images(&self.last()["content"]);
        match (self.last_role(), images) {
            ("tool", _) => format!("The tool said: {said}"),
            (_, 0) => format!("You said: {said}"),
            (_, n) => format!("You said: {said} (images: {n})"),
        }
    }

    fn last(&self) -> &Value {
        let messages = self.json["messages"].as_array();
        messages.and_then(|all| all.last()).unwrap_or(&Value::Null)
    }

    fn last_role(&self) -> &str {
        self.last()["role"].as_str().unwrap_or_default()
    }

    fn last_text(&self) -> String {
        text(&self.last()["content"])
    }
}

/// OpenAI's reasoning models take `max_completion_tokens` alone.
fn takes_only_completion_cap(model: &str) -> bool {
    let mut letters = model.chars();
    let series_o = letters.next() == Some('o') && letters.next().is_some_and(|c| c.is_ascii_digit());
    series_o || model.starts_with("gpt-5") || model.starts_with("gpt-6")
}

fn parts(content: &Value) -> &[Value] {
    content.as_array().map_or(&[], Vec::as_slice)
}

fn text(content: &Value) -> String {
    match content.as_str() {
        Some(text) => text.to_owned(),
        None => parts(content).iter().filter_map(|part| part["text"].as_str()).collect(),
    }
}

fn images(content: &Value) -> u64 {
    let images = parts(content).iter().filter(|part| part["type"] == "image_url");
    images.count() as u64
}

fn prompt_tokens(messages: &Value) -> u64 {
    let of_one = |message: &Value| {
        let content = &message["content"];
        let text = (text(content).len() as u64).div_ceil(BYTES_PER_TOKEN);
        TOKENS_PER_MESSAGE + text + TOKENS_PER_IMAGE * images(content)
    };
    TOKENS_PER_PROMPT + parts(messages).iter().map(of_one).sum::<u64>()
}

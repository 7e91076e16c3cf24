//! OpenAI's older completions, the text API.
//!
//! Owns     nothing.
//! Called   by `asked`, `vendor` and the routes.
//! Fails    never; what OpenAI refuses, [`check`] refuses.

use serde_json::Value;

use super::chat::finish_reason;
use super::chat_request::{check_model, choices};
use super::errors;
use crate::answer::{Answer, Group, UsageStyle, Written, quoted_or_null};
use crate::asked::{Asked, Role, Turn, cap, list, texts};
use crate::dialect::Dialect;
use crate::reply::Frame;
use crate::vendor::Refused;

/// Reads a completion request. Several prompts get as many choices.
pub(crate) fn completion_asked(json: Value) -> Asked {
    let mut prompts = texts(&json["prompt"]);
    if prompts.is_empty() {
        prompts = list(&json["prompt"]).iter().map(|token| token.to_string()).collect();
    }
    let count = texts(&json["prompt"]).len().max(1) as u64;
    let turn = |text: String| Turn { role: Role::User, text, images: 0 };
    let mut asked = Asked::plain(Dialect::Completions, json, prompts.into_iter().map(turn).collect());
    asked.include_usage = asked.json["stream_options"]["include_usage"] == true;
    asked.choices = choices(&asked.json) * count;
    asked.output_cap = cap(&asked.json["max_tokens"]);
    asked.stops = texts(&asked.json["stop"]);
    asked
}

/// Refuses what OpenAI refuses of a completion request.
pub(super) fn check(asked: &Asked) -> Result<(), Refused> {
    check_model(asked)?;
    match asked.json["prompt"].is_null() {
        true => Err(errors::missing("prompt")),
        false => Ok(()),
    }
}

/// Writes a completion. Anything but text has no place in one.
pub(crate) fn completion_written(answer: &Answer<'_>) -> Written {
    let mut pieces = Vec::new();
    for group in answer.groups() {
        if let Group::Text(texts) | Group::Refusal(texts) = group {
            pieces.extend(texts);
        }
    }
    let finish = quoted_or_null(Some(answer.finish_word(finish_reason(answer.finish))));
    let usage = usage(answer);
    let object = |choices: &str, usage: &str| {
        format!(
            "{{\"id\":\"{}\",\"object\":\"text_completion\",\"created\":{},\"model\":{},\
             \"choices\":[{choices}]{usage},\"system_fingerprint\":\"fp_44709d6fcb\"}}",
            answer.id("cmpl-", "completion", 29),
            answer.created,
            answer.model,
        )
    };
    let choice = |index: u64, text: &str, finish: &str| {
        format!("{{\"text\":\"{text}\",\"index\":{index},\"logprobs\":null,\"finish_reason\":{finish}}}")
    };
    let choices = 0..answer.asked.choices;
    let text = pieces.concat();
    let whole: Vec<String> = choices.clone().map(|index| choice(index, &text, &finish)).collect();
    let shown = match answer.style.usage {
        UsageStyle::Never => String::new(),
        _ => format!(",\"usage\":{usage}"),
    };
    let whole = object(&whole.join(","), &shown);

    let asks = answer.asked.include_usage && answer.style.usage != UsageStyle::Never;
    let beside = if asks { ",\"usage\":null" } else { "" };
    let mut frames = Vec::new();
    for piece in pieces {
        let event = |index| Frame::piece(object(&choice(index, piece, "null"), beside));
        frames.extend(choices.clone().map(event));
    }
    if !answer.style.without_finish {
        let event = |index| Frame::aside(object(&choice(index, "", &finish), beside));
        frames.extend(choices.map(event));
    }
    if asks || answer.style.usage == UsageStyle::Always {
        frames.push(Frame::aside(object("", &format!(",\"usage\":{usage}"))));
    }
    frames.push(Frame::done());
    Written { whole, frames }
}

fn usage(answer: &Answer<'_>) -> String {
    if let Some(object) = &answer.style.usage_object {
        return object.clone();
    }
    let tokens = answer.tokens();
    format!(
        "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}}}",
        tokens.prompt,
        tokens.completion,
        tokens.total(),
    )
}

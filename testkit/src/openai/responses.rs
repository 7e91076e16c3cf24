//! OpenAI's Responses API on the wire: the response object, and what is kept of it.
//!
//! Owns     the object's layout; its events are in `response_events`.
//! Called   by `reply` for an answer, by the routes for what was kept.
//! Fails    never; what OpenAI refuses is refused.

use serde_json::{Value, json};

use super::chat::call_id;
use super::files::found;
use super::{errors, response_events, response_request};
use crate::answer::{Answer, Finish, Group, UsageStyle, Written, identifier, signature_of};
use crate::asked::{Asked, list, texts};
use crate::dialect::Dialect;
use crate::seen::Seen;
use crate::shelf::{Kept, Shelf};
use crate::vendor::{Refused, Served, lenient};

/// How a response ended.
pub(super) enum Outcome {
    Completed,
    /// Too soon, for this reason.
    Incomplete(&'static str),
    Failed,
}

impl Outcome {
    pub(super) fn of(answer: &Answer<'_>) -> Self {
        let usual = match answer.finish {
            Finish::Length => "length",
            Finish::Blocked => "content_filter",
            _ => "",
        };
        match answer.finish_word(usual) {
            "length" | "max_output_tokens" => Self::Incomplete("max_output_tokens"),
            "content_filter" => Self::Incomplete("content_filter"),
            "failed" => Self::Failed,
            _ => Self::Completed,
        }
    }

    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// Writes a response.
pub(crate) fn response_written(answer: &Answer<'_>) -> Written {
    let groups = answer.groups();
    let item = |(index, group): (usize, &Group<'_>)| item(answer, index, group, "completed");
    let output: Vec<String> = groups.iter().enumerate().map(item).collect();
    let whole = object(answer, Some(&Outcome::of(answer)), &output.join(","));
    Written { frames: response_events::frames(answer, &groups, &whole), whole }
}

/// The object; without an outcome it is in progress.
pub(super) fn object(answer: &Answer<'_>, outcome: Option<&Outcome>, output: &str) -> String {
    let json = &answer.asked.json;
    let or = |member: &str, usual: Value| match &json[member] {
        Value::Null => usual.to_string(),
        given => given.to_string(),
    };
    let (error, details) = match outcome {
        Some(Outcome::Failed) => (
            r#"{"code":"server_error","message":"The model failed to generate a response."}"#,
            "null".to_owned(),
        ),
        Some(Outcome::Incomplete(reason)) => ("null", format!(r#"{{"reason":"{reason}"}}"#)),
        _ => ("null", "null".to_owned()),
    };
    let completed_at = match outcome {
        Some(Outcome::Completed) => answer.created.to_string(),
        _ => "null".to_owned(),
    };
    let reasoning = json!({"effort": json["reasoning"]["effort"], "summary": json["reasoning"]["summary"]});
    let format = match &json["text"]["format"] {
        Value::Null => json!({"type": "text"}),
        given => given.clone(),
    };
    let verbosity = json["text"]["verbosity"].as_str().unwrap_or("medium");
    let instructions = json["instructions"].as_str();
    let tier = match json["service_tier"].as_str() {
        None | Some("auto") => "default",
        Some(tier) => tier,
    };
    let usage = match (outcome, answer.style.usage) {
        (None, _) | (_, UsageStyle::Never) => "null".to_owned(),
        (Some(_), _) => usage(answer),
    };
    format!(
        "{{\"id\":\"{}\",\"object\":\"response\",\"created_at\":{},\"status\":\"{}\",\
         \"background\":{},\"completed_at\":{completed_at},\"error\":{error},\
         \"frequency_penalty\":0.0,\"incomplete_details\":{details},\"instructions\":{},\
         \"max_output_tokens\":{},\"max_tool_calls\":{},\"model\":{},\"output\":[{output}],\
         \"parallel_tool_calls\":{},\"presence_penalty\":0.0,\"previous_response_id\":{},\
         \"prompt_cache_key\":{},\"reasoning\":{reasoning},\"safety_identifier\":{},\
         \"service_tier\":\"{tier}\",\"store\":{},\"temperature\":{},\
         \"text\":{{\"format\":{format},\"verbosity\":\"{verbosity}\"}},\"tool_choice\":{},\
         \"tools\":{},\"top_logprobs\":{},\"top_p\":{},\"truncation\":{},\"usage\":{usage},\
         \"user\":{},\"metadata\":{}}}",
        answer.id("resp_", "response", 48),
        answer.created,
        outcome.map_or("in_progress", Outcome::status),
        or("background", json!(false)),
        Value::from(instructions),
        json["max_output_tokens"],
        json["max_tool_calls"],
        answer.model,
        or("parallel_tool_calls", json!(true)),
        json["previous_response_id"],
        json["prompt_cache_key"],
        json["safety_identifier"],
        or("store", json!(true)),
        or("temperature", json!(1.0)),
        or("tool_choice", json!("auto")),
        tools(json),
        or("top_logprobs", json!(0)),
        or("top_p", json!(1.0)),
        or("truncation", json!("disabled")),
        json["user"],
        or("metadata", json!({})),
    )
}

/// The tools as the API shows them: functions with all their members.
fn tools(json: &Value) -> Value {
    let shown = |tool: &Value| {
        let mut tool = tool.clone();
        if tool["type"] == "function" {
            for (member, usual) in
                [("description", Value::Null), ("parameters", json!({})), ("strict", json!(true))]
            {
                if tool[member].is_null() {
                    tool[member] = usual;
                }
            }
        }
        tool
    };
    list(&json["tools"]).iter().map(shown).collect()
}

fn usage(answer: &Answer<'_>) -> String {
    if let Some(object) = &answer.style.usage_object {
        return object.clone();
    }
    let tokens = answer.tokens();
    format!(
        "{{\"input_tokens\":{},\"input_tokens_details\":{{\"cached_tokens\":{},\"cache_write_tokens\":{}}},\
         \"output_tokens\":{},\"output_tokens_details\":{{\"reasoning_tokens\":{}}},\"total_tokens\":{}}}",
        tokens.prompt,
        answer.style.cached,
        answer.style.cache_written,
        tokens.completion,
        answer.reasoning_tokens(),
        tokens.total(),
    )
}

/// The id of output item `index`.
pub(super) fn item_id(answer: &Answer<'_>, index: usize, group: &Group<'_>) -> String {
    let prefix = match group {
        Group::Reasoning(_) | Group::Redacted(_) | Group::Unseen => "rs_",
        Group::Text(_) | Group::Refusal(_) => "msg_",
        Group::Call(..) => "fc_",
    };
    answer.id(prefix, &format!("item {index}"), 48)
}

/// An output item as it stands in the end.
pub(super) fn item(answer: &Answer<'_>, index: usize, group: &Group<'_>, status: &str) -> String {
    let id = item_id(answer, index, group);
    match group {
        Group::Reasoning(pieces) => format!(
            "{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[{}]{}}}",
            summary(&pieces.concat()),
            encrypted(answer, &id),
        ),
        Group::Redacted(data) => format!(
            "{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"{data}\"}}"
        ),
        Group::Unseen => {
            format!("{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[]{}}}", encrypted(answer, &id),)
        }
        Group::Text(pieces) => message(&id, status, &text_part(&pieces.concat())),
        Group::Refusal(pieces) => message(&id, status, &refusal_part(&pieces.concat())),
        Group::Call(nth, call) => {
            call_item(&id, &call_id(answer.number, *nth), &call.name, &call.arguments.concat(), status)
        }
    }
}

/// Reasoning that the client carries, where it asks for it.
fn encrypted(answer: &Answer<'_>, id: &str) -> String {
    let asks = texts(&answer.asked.json["include"]).iter().any(|one| one == "reasoning.encrypted_content");
    match asks {
        true => format!(",\"encrypted_content\":\"{}\"", signature_of(id)),
        false => String::new(),
    }
}

pub(super) fn summary(text: &str) -> String {
    format!("{{\"type\":\"summary_text\",\"text\":\"{text}\"}}")
}

pub(super) fn text_part(text: &str) -> String {
    format!("{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"{text}\"}}")
}

pub(super) fn refusal_part(text: &str) -> String {
    format!("{{\"type\":\"refusal\",\"refusal\":\"{text}\"}}")
}

pub(super) fn message(id: &str, status: &str, content: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"type\":\"message\",\"status\":\"{status}\",\"content\":[{content}],\
         \"role\":\"assistant\"}}"
    )
}

pub(super) fn call_item(id: &str, call: &str, name: &str, arguments: &str, status: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"type\":\"function_call\",\"status\":\"{status}\",\
         \"arguments\":\"{arguments}\",\"call_id\":\"{call}\",\"name\":\"{name}\"}}"
    )
}

/// Keeps a response that is to be stored.
pub(crate) fn keep_response(asked: &Asked, written: &Written, shelf: &Shelf) {
    if asked.dialect != Dialect::Responses || asked.json["store"] == false {
        return;
    }
    let object = lenient(&written.whole);
    let items = match &asked.json["input"] {
        Value::String(text) => vec![json!({"type": "message", "role": "user", "content": text})],
        input => list(input).to_vec(),
    };
    let items = items.into_iter().enumerate().map(|(n, item)| input_item(n, item)).collect();
    let id = object["id"].as_str().unwrap_or_default().to_owned();
    shelf.keep(&id, Kept { object, items, ..Kept::default() });
}

/// What is shown of an answer at once: of a response that is made in the background, that it waits its turn.
pub(crate) fn shown_at_once(asked: &Asked, whole: String) -> String {
    if asked.dialect != Dialect::Responses || asked.json["background"] != true {
        return whole;
    }
    let mut object = lenient(&whole);
    object["status"] = "queued".into();
    object["output"] = json!([]);
    for member in ["usage", "completed_at", "incomplete_details", "error"] {
        object[member] = Value::Null;
    }
    object.to_string()
}

/// An input item with an id, its content in parts.
fn input_item(n: usize, mut item: Value) -> Value {
    let is_message = item["type"].is_null() || item["type"] == "message";
    if is_message {
        let by_model = item["role"] == "assistant";
        let text = item["content"].as_str().map(str::to_owned);
        if let Some(text) = text {
            item["content"] = match by_model {
                true => json!([{"type": "output_text", "text": text, "annotations": []}]),
                false => json!([{"type": "input_text", "text": text}]),
            };
        }
        item["type"] = "message".into();
        item["status"] = "completed".into();
    }
    if item["id"].is_null() && item.is_object() {
        item["id"] = format!("msg_{}", identifier(n, "input item", 48)).into();
    }
    item
}

/// Everything below `/responses/`.
pub(super) fn serve(
    method: &str,
    rest: &[&str],
    seen: &Seen,
    asked: &Asked,
    shelf: &Shelf,
) -> Result<Served, Refused> {
    let kept = |id: &str| found("Response", id, shelf, example);
    match (method, rest) {
        ("POST", ["input_tokens"]) => {
            let tokens = response_request::response_asked(asked.json.clone()).prompt_tokens;
            Ok(Served::json(json!({"object": "response.input_tokens", "input_tokens": tokens})))
        }
        ("POST", ["compact"]) => compact(seen, asked),
        ("GET", [id]) => match seen.query().split('&').any(|pair| pair == "stream=true") {
            true => Ok(replayed(&kept(id)?.object)),
            false => Ok(Served::json(kept(id)?.object)),
        },
        ("DELETE", [id]) => {
            kept(id)?;
            shelf.delete(id);
            Ok(Served::json(json!({"id": id, "object": "response", "deleted": true})))
        }
        ("GET", [id, "input_items"]) => {
            let items = kept(id)?.items;
            let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
            let (first, last) = (id_of(items.first()), id_of(items.last()));
            Ok(Served::json(json!({
                "object": "list", "data": items, "first_id": first, "last_id": last, "has_more": false,
            })))
        }
        ("POST", [id, "cancel"]) => {
            let mut response = kept(id)?;
            if response.object["background"] != true {
                return Err(errors::not_in_background());
            }
            response.object["status"] = "cancelled".into();
            shelf.change(id, response.clone());
            Ok(Served::json(response.object))
        }
        _ => Err(errors::no_such_url(seen.method(), seen.path())),
    }
}

/// A response that was there before the test, made in the background.
fn example(id: &str) -> Kept {
    let asked = response_request::response_asked(json!({
        "model": "gpt-5.4-mini", "input": "Hello", "background": true,
    }));
    let spoken = crate::model::speak(&asked);
    let style = crate::answer::Style::default();
    let answer = Answer::new(0, &asked, &spoken.deltas, &spoken.finish, &style);
    let mut object = lenient(&response_written(&answer).whole);
    object["id"] = id.into();
    let hello = json!({"type": "message", "role": "user", "content": "Hello"});
    Kept { object, items: vec![input_item(0, hello)], ..Kept::default() }
}

/// A kept response's stream, as far as it matters to who comes late: its two ends.
fn replayed(object: &Value) -> Served {
    let event = |kind: &str, sequence: u64| {
        let data = json!({"type": kind, "sequence_number": sequence, "response": object});
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let events = [event("response.created", 0), event("response.completed", 1)].concat();
    Served::body("text/event-stream; charset=utf-8", events)
}

/// The input, and in place of what the model had said an item that only it can read.
fn compact(seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    super::chat_request::check_model(asked)?;
    let read = response_request::response_asked(asked.json.clone());
    let number = seen.number();
    let of_user = list(&asked.json["input"]).iter().filter(|item| item["role"] == "user").cloned();
    let mut output: Vec<Value> = of_user.enumerate().map(|(n, item)| input_item(n, item)).collect();
    output.push(json!({
        "id": format!("cmp_{}", identifier(number, "compaction", 48)),
        "type": "compaction",
        "encrypted_content": signature_of(&asked.json["input"].to_string()),
    }));
    let (input, written) = (read.prompt_tokens, output.len() as u64);
    let object = json!({
        "id": format!("resp_{}", identifier(number, "response", 48)),
        "object": "response.compaction",
        "created_at": 1_764_000_000,
        "output": output,
        "usage": {
            "input_tokens": input, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input + written,
        },
    });
    Ok(Served::json(object).billed(input, written))
}

//! Gemini's interactions: the request, the object, the typed events of a stream.
//!
//! ```text
//! interaction.created (step.start step.delta* step.stop)* interaction.completed [DONE]
//! ```

use serde_json::{Value, json};

use super::errors;
use crate::answer::{Answer, Finish, Group, UsageStyle, Written};
use crate::asked::{Asked, Format, Role, Thinking, Tool, ToolChoice, Turn, cap, list, prompt_tokens, texts};
use crate::dialect::Dialect;
use crate::reply::Frame;
use crate::seen::Seen;
use crate::vendor::{Refused, Served, UNKNOWN};

/// When every interaction was made.
const MADE: &str = "2026-01-31T12:00:00Z";

/// Reads a request for an interaction.
pub(crate) fn interaction_asked(json: Value) -> Asked {
    let mut turns = match &json["input"] {
        Value::String(text) => vec![Turn { role: Role::User, text: text.clone(), images: 0 }],
        input => list(input).iter().map(turn).collect(),
    };
    let last = turns.last().cloned().unwrap_or_default();
    if let Some(system) = json["system_instruction"].as_str() {
        turns.push(Turn { text: system.to_owned(), ..Turn::default() });
    }
    let tokens = prompt_tokens(&turns);
    let mut asked = Asked::plain(Dialect::Interactions, json, vec![last]);
    let json = &asked.json;
    let config = &json["generation_config"];
    asked.prompt_tokens = tokens;
    asked.output_cap = cap(&config["max_output_tokens"]);
    asked.stops = texts(&config["stop_sequences"]);
    asked.tools = list(&json["tools"]).iter().filter_map(function).collect();
    asked.choice = match config["tool_choice"].as_str() {
        Some("none") => ToolChoice::None,
        Some("any") => ToolChoice::Required,
        _ => ToolChoice::Auto,
    };
    let schema = &json["response_format"]["schema"];
    asked.format = if schema.is_object() { Format::Schema(schema.clone()) } else { Format::Text };
    asked.thinking = match config["thinking_level"].is_string() {
        true => Thinking::Shown,
        false => Thinking::Off,
    };
    asked
}

fn function(tool: &Value) -> Option<Tool> {
    let is_function = tool["type"] == "function";
    let name = tool["name"].as_str().filter(|_| is_function)?;
    Some(Tool { name: name.to_owned(), schema: tool["parameters"].clone() })
}

fn turn(step: &Value) -> Turn {
    let content = if step["type"] == "text" { std::slice::from_ref(step) } else { list(&step["content"]) };
    let is_image =
        |part: &&Value| matches!(part["type"].as_str(), Some("image" | "document" | "audio" | "video"));
    let images = content.iter().filter(is_image).count() as u64;
    if step["type"] == "function_result" {
        let result = &step["result"];
        let text = result.as_str().map_or_else(|| result.to_string(), str::to_owned);
        return Turn { role: Role::Tool, text, images };
    }
    let by_model = step["type"] == "model_output" || step["role"] == "model";
    let role = if by_model { Role::Other } else { Role::User };
    let text = match step["content"].as_str() {
        Some(text) => text.to_owned(),
        None => content.iter().filter_map(|part| part["text"].as_str()).collect(),
    };
    Turn { role, text, images }
}

/// Writes an interaction.
pub(crate) fn interaction_written(answer: &Answer<'_>) -> Written {
    let groups = answer.groups();
    let steps: Vec<String> = groups.iter().map(|group| step(answer, group)).collect();
    let is_begun = answer.asked.json["background"] == true && answer.asked.json["stream"] != true;
    let whole = match is_begun {
        true => object(answer, "in_progress", ""),
        false => {
            object(answer, status(answer), &format!(",\"steps\":[{}]{}", steps.join(","), usage(answer)))
        }
    };
    Written { frames: frames(answer, &groups, &whole), whole }
}

fn status<'a>(answer: &'a Answer<'_>) -> &'a str {
    answer.finish_word(match answer.finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Refusal => "completed",
        Finish::ToolCalls => "requires_action",
        Finish::Length => "incomplete",
        Finish::Blocked => "failed",
    })
}

fn object(answer: &Answer<'_>, status: &str, more: &str) -> String {
    format!(
        "{{\"id\":\"{}\",\"object\":\"interaction\",\"model\":{},\"status\":\"{status}\",\
         \"created\":\"{MADE}\",\"updated\":\"{MADE}\"{more}}}",
        answer.id("v1_", "interaction", 40),
        answer.model,
    )
}

fn usage(answer: &Answer<'_>) -> String {
    match (&answer.style.usage_object, answer.style.usage) {
        (_, UsageStyle::Never) => return String::new(),
        (Some(object), _) => return format!(",\"usage\":{object}"),
        (None, _) => {}
    }
    let (tokens, thoughts) = (answer.tokens(), answer.reasoning_tokens());
    format!(
        ",\"usage\":{{\"total_input_tokens\":{},\"total_output_tokens\":{},\"total_thought_tokens\":{thoughts},\
         \"total_cached_tokens\":{},\"total_tool_use_tokens\":0,\"total_tokens\":{}}}",
        tokens.prompt,
        tokens.completion - thoughts,
        answer.style.cached,
        tokens.total(),
    )
}

fn call_id(answer: &Answer<'_>, nth: usize) -> String {
    answer.id("call_", &format!("call {nth}"), 12)
}

fn step(answer: &Answer<'_>, group: &Group<'_>) -> String {
    let thought = |text: &str, summary: &str| {
        let signature = answer.signature(text).map(|signature| format!(",\"signature\":\"{signature}\""));
        format!("{{\"type\":\"thought\"{}{summary}}}", signature.unwrap_or_default())
    };
    match group {
        Group::Reasoning(pieces) => {
            let text = pieces.concat();
            thought(&text, &format!(",\"summary\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]"))
        }
        Group::Unseen | Group::Redacted(_) => thought("", ""),
        Group::Text(pieces) | Group::Refusal(pieces) => format!(
            "{{\"type\":\"model_output\",\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}}]}}",
            pieces.concat(),
        ),
        Group::Call(nth, call) => call_step(&call_id(answer, *nth), &call.name, call.object()),
    }
}

fn call_step(id: &str, name: &str, arguments: &str) -> String {
    format!("{{\"type\":\"function_call\",\"id\":\"{id}\",\"name\":\"{name}\",\"arguments\":{arguments}}}")
}

fn frames(answer: &Answer<'_>, groups: &[Group<'_>], whole: &str) -> Vec<Frame> {
    let event = |kind: &str, members: &str| format!("{{\"event_type\":\"{kind}\",{members}}}");
    let begun = format!("\"interaction\":{}", object(answer, "in_progress", ""));
    let created = "interaction.created";
    let mut frames = vec![Frame::aside(event(created, &begun)).named(created)];
    for (index, group) in groups.iter().enumerate() {
        let (begin, deltas) = step_deltas(answer, group);
        let start = event("step.start", &format!("\"index\":{index},\"step\":{begin}"));
        let start = match group {
            Group::Call(..) | Group::Redacted(_) => Frame::piece(start),
            _ => Frame::aside(start),
        };
        frames.push(start.named("step.start"));
        for (is_piece, delta) in deltas {
            let data = event("step.delta", &format!("\"index\":{index},\"delta\":{delta}"));
            let frame = if is_piece { Frame::piece(data) } else { Frame::aside(data) };
            frames.push(frame.named("step.delta"));
        }
        frames.push(Frame::aside(event("step.stop", &format!("\"index\":{index}"))).named("step.stop"));
    }
    let completed = "interaction.completed";
    frames.push(Frame::aside(event(completed, &format!("\"interaction\":{whole}"))).named(completed));
    frames.push(Frame::done().named("done"));
    frames
}

/// A step as it begins, and its deltas: whether each is a piece.
fn step_deltas(answer: &Answer<'_>, group: &Group<'_>) -> (String, Vec<(bool, String)>) {
    let signed = |text: &str| {
        let signature = answer.signature(text);
        signature.map(|sign| (false, format!("{{\"type\":\"thought_signature\",\"signature\":\"{sign}\"}}")))
    };
    match group {
        Group::Reasoning(pieces) => {
            let summary = |text: &&str| {
                let content = format!("{{\"type\":\"text\",\"text\":\"{text}\"}}");
                (true, format!("{{\"type\":\"thought_summary\",\"content\":{content}}}"))
            };
            let mut deltas: Vec<_> = pieces.iter().map(summary).collect();
            deltas.extend(signed(&pieces.concat()));
            ("{\"type\":\"thought\"}".to_owned(), deltas)
        }
        Group::Unseen | Group::Redacted(_) => {
            ("{\"type\":\"thought\"}".to_owned(), signed("").into_iter().collect())
        }
        Group::Text(pieces) | Group::Refusal(pieces) => {
            let delta = |text: &&str| (true, format!("{{\"type\":\"text\",\"text\":\"{text}\"}}"));
            ("{\"type\":\"model_output\"}".to_owned(), pieces.iter().map(delta).collect())
        }
        Group::Call(nth, call) => {
            let delta =
                |json: &String| (true, format!("{{\"type\":\"arguments_delta\",\"arguments\":\"{json}\"}}"));
            let begin = call_step(&call_id(answer, *nth), &call.name, "{}");
            (begin, call.arguments.iter().map(delta).collect())
        }
    }
}

/// Everything from `/interactions` on.
pub(super) fn serve(rest: &str, seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    let path = rest.split_once('/').map_or((rest, ""), |(id, below)| (id, below));
    match (seen.method(), path) {
        ("POST", ("", "")) => Ok(Served::spoken(asked)),
        (_, (id, _)) if id.is_empty() || id.contains(UNKNOWN) => Err(errors::no_such_page(seen.path())),
        ("GET", (id, "")) => Ok(match seen.query().split('&').any(|pair| pair == "stream=true") {
            true => replayed(id),
            false => Served::json(kept(id, "completed")),
        }),
        ("DELETE", (_, "")) => Ok(Served::json(json!({}))),
        ("POST", (id, "cancel")) => Ok(Served::json(kept(id, "cancelled"))),
        _ => Err(errors::no_such_page(seen.path())),
    }
}

/// What a kept interaction looks like.
fn kept(id: &str, status: &str) -> Value {
    json!({
        "id": id, "object": "interaction", "model": "gemini-3-flash", "status": status,
        "created": MADE, "updated": MADE,
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": "You said: Hello"}]}],
        "usage": {"total_input_tokens": 8, "total_output_tokens": 3, "total_tokens": 11},
    })
}

/// A kept interaction's stream, as far as it matters to who comes late: its text and its end.
fn replayed(id: &str) -> Served {
    let text =
        json!({"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "You said: Hello"}});
    let completed = json!({"event_type": "interaction.completed", "interaction": kept(id, "completed")});
    let events = format!(
        "event: step.delta\ndata: {text}\n\nevent: interaction.completed\ndata: {completed}\n\n\
         event: done\ndata: [DONE]\n\n"
    );
    Served::body("text/event-stream; charset=utf-8", events)
}

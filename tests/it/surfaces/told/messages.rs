//! Anthropic's messages, as its own SDKs read them.

use serde_json::Value;

use super::{Call, Events, Tokens, Told, count, has, parsed, raw, text};

pub fn whole(body: &[u8]) -> Told {
    let written = String::from_utf8_lossy(body);
    let json = parsed(&written);
    let mut told = begun(&json);
    for (index, block) in json["content"].as_array().unwrap().iter().enumerate() {
        let index = index.to_string();
        open(block, &mut told);
        match block["type"].as_str().unwrap() {
            "tool_use" => {
                told.calls.last_mut().unwrap().arguments = raw(&written, &["content", &index, "input"]);
            }
            "thinking" => told.signatures.extend(block["signature"].as_str().map(str::to_owned)),
            _ => {}
        }
    }
    stop(&json, &mut told);
    told.tokens = Some(tokens(&json["usage"]));
    told.ended = true;
    told
}

/// What a stream is in the middle of.
#[derive(Default)]
struct Reading {
    blocks: u64,
    open: Option<(u64, String)>,
    usage: Value,
    has_stopped: bool,
}

pub fn stream(events: &Events) -> Told {
    let mut told = Told::default();
    let mut reading = Reading::default();
    for (name, data) in &events.messages {
        assert!(!told.ended && told.errors.is_empty(), "`{data}` behind the end");
        let json = parsed(data);
        assert_eq!(json["type"], **name, "an event's name is its type");
        match &**name {
            "ping" => told.signs_of_life += 1,
            "error" => {
                text(&json["error"], "type");
                text(&json["error"], "message");
                told.errors.push(json["error"].clone());
            }
            "message_start" => {
                assert!(told.id.is_empty(), "two beginnings");
                let message = &json["message"];
                assert!(
                    message["stop_reason"].is_null() && message["content"].as_array().unwrap().is_empty()
                );
                let life = told.signs_of_life;
                told = Told { signs_of_life: life, ..begun(message) };
                reading.usage = message["usage"].clone();
                tokens(&reading.usage);
            }
            _ => event(name, &json, &mut told, &mut reading),
        }
    }
    told
}

fn event(name: &str, json: &Value, told: &mut Told, reading: &mut Reading) {
    assert!(!told.id.is_empty(), "`{name}` before the message's start");
    match name {
        "content_block_start" => {
            assert!(reading.open.is_none() && !reading.has_stopped, "{json}");
            assert_eq!(count(json, "index"), reading.blocks, "indices are dense");
            let block = &json["content_block"];
            open(block, told);
            reading.open = Some((reading.blocks, text(block, "type")));
            reading.blocks += 1;
        }
        "content_block_delta" => {
            let (index, sort) = reading.open.as_ref().unwrap_or_else(|| panic!("no block is open: {json}"));
            assert_eq!(count(json, "index"), *index);
            delta(sort, &json["delta"], told);
        }
        "content_block_stop" => {
            let (index, sort) = reading.open.take().unwrap_or_else(|| panic!("no block is open: {json}"));
            assert_eq!(count(json, "index"), index);
            if sort == "tool_use" {
                let call = told.calls.last_mut().unwrap();
                if call.arguments.is_empty() {
                    // As SDKs do it.
                    call.arguments.push_str("{}");
                }
            }
        }
        "message_delta" => {
            assert!(reading.open.is_none() && !reading.has_stopped, "{json}");
            reading.has_stopped = true;
            stop(&json["delta"], told);
            count(&json["usage"], "output_tokens");
            for (member, value) in json["usage"].as_object().unwrap() {
                reading.usage[member] = value.clone();
            }
        }
        "message_stop" => {
            assert!(reading.has_stopped, "no message_delta came");
            told.tokens = Some(tokens(&reading.usage));
            told.ended = true;
        }
        other => panic!("an event `{other}`: {json}"),
    }
}

fn begun(message: &Value) -> Told {
    let members = ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"];
    has(message, &members);
    assert_eq!((&message["type"], &message["role"]), (&"message".into(), &"assistant".into()));
    Told { id: text(message, "id"), model: text(message, "model"), ..Told::default() }
}

fn open(block: &Value, told: &mut Told) {
    match text(block, "type").as_str() {
        "text" => told.text.push_str(&text(block, "text")),
        "thinking" => told.thinking.push_str(&text(block, "thinking")),
        "redacted_thinking" => told.redacted.push(text(block, "data")),
        "tool_use" => {
            assert!(block["input"].is_object(), "{block}");
            let signature = block["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned);
            let (id, name) = (text(block, "id"), text(block, "name"));
            assert!(!id.is_empty() && told.calls.iter().all(|call| call.id != id), "{block}");
            told.calls.push(Call { id, name, arguments: String::new(), signature });
        }
        other => panic!("a block of type `{other}`: {block}"),
    }
}

fn delta(sort: &str, delta: &Value, told: &mut Told) {
    match (sort, text(delta, "type").as_str()) {
        ("text", "text_delta") => told.text.push_str(&text(delta, "text")),
        ("thinking", "thinking_delta") => {
            assert!(delta["signature"].is_null(), "{delta}");
            told.thinking.push_str(&text(delta, "thinking"));
        }
        ("thinking", "signature_delta") => told.signatures.push(text(delta, "signature")),
        ("tool_use", "input_json_delta") => {
            told.calls.last_mut().unwrap().arguments.push_str(&text(delta, "partial_json"));
        }
        (sort, other) => panic!("a `{other}` in a block of type `{sort}`"),
    }
}

fn stop(json: &Value, told: &mut Told) {
    has(json, &["stop_reason", "stop_sequence"]);
    told.finish = json["stop_reason"].as_str().map(str::to_owned);
    told.stop_sequence = json["stop_sequence"].as_str().map(str::to_owned);
}

fn tokens(usage: &Value) -> Tokens {
    let or_zero = |member: &str| usage[member].as_u64().unwrap_or_default();
    let cached = or_zero("cache_read_input_tokens");
    Tokens {
        prompt: count(usage, "input_tokens") + cached + or_zero("cache_creation_input_tokens"),
        completion: count(usage, "output_tokens"),
        cached,
        reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or_default(),
    }
}

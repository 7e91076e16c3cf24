//! OpenAI's responses, as its own SDKs read them.

use serde_json::Value;

use super::{Call, Events, Tokens, Told, count, has, parsed, text};

/// What the SDK's types require of a response.
const MEMBERS: [&str; 12] = [
    "id",
    "object",
    "created_at",
    "model",
    "output",
    "parallel_tool_calls",
    "tool_choice",
    "tools",
    "error",
    "incomplete_details",
    "instructions",
    "metadata",
];

pub fn whole(body: &[u8]) -> Told {
    let json = parsed(&String::from_utf8_lossy(body));
    let mut told = response(&json);
    told.ended = true;
    told
}

fn response(json: &Value) -> Told {
    has(json, &MEMBERS);
    assert_eq!(json["object"], "response");
    let mut told = Told { id: text(json, "id"), model: text(json, "model"), ..Told::default() };
    for item in json["output"].as_array().unwrap() {
        take(item, &mut told);
    }
    let reason = json["incomplete_details"]["reason"].as_str();
    let status = text(json, "status");
    told.finish = Some(reason.map_or(status.clone(), |reason| format!("{status}: {reason}")));
    told.tokens = json["usage"].is_object().then(|| tokens(&json["usage"]));
    told
}

/// An item as it stands in the end.
fn take(item: &Value, told: &mut Told) {
    text(item, "id");
    match text(item, "type").as_str() {
        "message" => {
            assert_eq!(item["role"], "assistant");
            text(item, "status");
            for part in item["content"].as_array().unwrap() {
                match text(part, "type").as_str() {
                    "output_text" => {
                        assert!(part["annotations"].is_array(), "{part}");
                        told.text.push_str(&text(part, "text"));
                    }
                    "refusal" => told.refusal.push_str(&text(part, "refusal")),
                    other => panic!("a part of type `{other}`"),
                }
            }
        }
        "reasoning" => {
            for part in item["summary"].as_array().unwrap() {
                told.thinking.push_str(&text(part, "text"));
            }
            told.redacted.extend(item["encrypted_content"].as_str().map(str::to_owned));
        }
        "function_call" => told.calls.push(Call {
            id: text(item, "call_id"),
            name: text(item, "name"),
            arguments: text(item, "arguments"),
            signature: None,
        }),
        other => panic!("an item of type `{other}`"),
    }
}

/// An item that is open.
#[derive(Default)]
struct Open {
    id: String,
    sort: String,
    said: String,
}

pub fn stream(events: &Events) -> Told {
    let mut told = Told::default();
    let mut items: Vec<Open> = Vec::new();
    let mut closed: Vec<Option<Value>> = Vec::new();
    for (sequence, (name, data)) in events.messages.iter().enumerate() {
        assert!(!told.ended && told.errors.is_empty(), "`{data}` behind the end");
        let json = parsed(data);
        if name == "error" || !json["error"].is_null() {
            told.errors.push(if json["error"].is_object() { json["error"].clone() } else { json });
            continue;
        }
        assert_eq!(json["type"], **name, "an event's name is its type");
        assert_eq!(count(&json, "sequence_number"), sequence as u64);
        assert_eq!(sequence == 0, name == "response.created", "{data}");
        match &**name {
            "response.created" | "response.in_progress" => {
                has(&json["response"], &MEMBERS);
                assert_eq!(json["response"]["status"], "in_progress");
                (told.id, told.model) = (text(&json["response"], "id"), text(&json["response"], "model"));
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let whole = response(&json["response"]);
                assert_eq!(whole.id, told.id);
                let output = json["response"]["output"].as_array().unwrap();
                let closed: Vec<Value> =
                    closed.iter().map(|item| item.clone().expect("every item is closed")).collect();
                assert_eq!(*output, closed, "the response holds the items that came");
                assert!(whole.tokens.is_some(), "{data}");
                told = Told { signs_of_life: told.signs_of_life, ended: true, ..whole };
            }
            _ => event(name, &json, &mut items, &mut closed),
        }
        assert_eq!(items.len(), closed.len());
    }
    if !told.ended {
        items.iter().for_each(|item| match &*item.sort {
            "message" => told.text.push_str(&item.said),
            "reasoning" => told.thinking.push_str(&item.said),
            _ => {}
        });
    }
    told
}

fn event(name: &str, json: &Value, items: &mut Vec<Open>, closed: &mut Vec<Option<Value>>) {
    let index = usize::try_from(count(json, "output_index")).unwrap();
    if name == "response.output_item.added" {
        assert_eq!(index, items.len(), "indices are dense");
        let item = &json["item"];
        items.push(Open { id: text(item, "id"), sort: text(item, "type"), said: String::new() });
        closed.push(None);
        return;
    }
    assert!(closed[index].is_none(), "`{name}` behind the item's end");
    let open = &mut items[index];
    if name == "response.output_item.done" {
        assert_eq!(text(&json["item"], "id"), open.id);
        let mut told = Told::default();
        take(&json["item"], &mut told);
        let calls = told.calls.iter().map(|call| &*call.arguments).collect::<String>();
        let said = [told.text, told.refusal, told.thinking, calls].concat();
        assert_eq!(said, open.said, "the item holds what was said");
        closed[index] = Some(json["item"].clone());
        return;
    }
    assert_eq!(text(json, "item_id"), open.id, "{json}");
    if name.ends_with(".delta") {
        open.said.push_str(&text(json, "delta"));
    }
}

fn tokens(usage: &Value) -> Tokens {
    let tokens = Tokens {
        prompt: count(usage, "input_tokens"),
        completion: count(usage, "output_tokens"),
        cached: count(&usage["input_tokens_details"], "cached_tokens"),
        reasoning: count(&usage["output_tokens_details"], "reasoning_tokens"),
    };
    assert_eq!(count(usage, "total_tokens"), tokens.prompt + tokens.completion, "{usage}");
    tokens
}

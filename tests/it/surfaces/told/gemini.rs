//! Gemini's contents, as Google's own SDK reads them.

use serde_json::Value;

use super::{Call, Events, Tokens, Told, count, parsed, raw, text};

pub fn whole(body: &[u8]) -> Told {
    let mut told = Told::default();
    object(&String::from_utf8_lossy(body), &mut told);
    told.ended = told.finish.is_some() && told.tokens.is_some();
    told
}

pub fn stream(events: &Events) -> Told {
    let mut told = Told::default();
    for (name, data) in &events.messages {
        assert_eq!(name, "message");
        assert!(told.errors.is_empty(), "`{data}` behind an error");
        object(data, &mut told);
    }
    told.ended = told.errors.is_empty() && told.finish.is_some() && told.tokens.is_some();
    told
}

/// The elements of a stream that came as one array.
pub fn array(body: &[u8]) -> Told {
    let elements: Vec<Box<serde_json::value::RawValue>> = serde_json::from_slice(body)
        .unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(body)));
    let mut told = Told::default();
    elements.iter().for_each(|element| object(element.get(), &mut told));
    told.ended = told.errors.is_empty() && told.finish.is_some() && told.tokens.is_some();
    told
}

fn object(written: &str, told: &mut Told) {
    let json = parsed(written);
    if !json["error"].is_null() {
        count(&json["error"], "code");
        text(&json["error"], "message");
        text(&json["error"], "status");
        told.errors.push(json["error"].clone());
        return;
    }
    if json["responseId"].is_null() {
        let nothing = serde_json::json!({"candidates": [
            {"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}]});
        assert_eq!(json, nothing, "what has no id says nothing");
        told.signs_of_life += 1;
        return;
    }
    (told.id, told.model) = (text(&json, "responseId"), text(&json, "modelVersion"));
    if let Some(reason) = json["promptFeedback"]["blockReason"].as_str() {
        told.finish = Some(reason.to_owned());
    }
    for candidate in json["candidates"].as_array().into_iter().flatten() {
        assert_eq!(candidate["index"].as_u64().unwrap_or_default(), 0);
        if let Some(parts) = candidate["content"]["parts"].as_array() {
            assert_eq!(candidate["content"]["role"], "model");
            for (index, one) in parts.iter().enumerate() {
                part(one, written, index, told);
            }
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            assert!(told.finish.is_none(), "two finish reasons: {json}");
            told.finish = Some(reason.to_owned());
        }
        told.native_finish = candidate["finishMessage"].as_str().map(str::to_owned);
    }
    if json["usageMetadata"].is_object() {
        told.tokens = Some(tokens(&json["usageMetadata"]));
    }
}

fn part(part: &Value, written: &str, index: usize, told: &mut Told) {
    let signature = part["thoughtSignature"].as_str().map(str::to_owned);
    if part["functionCall"].is_object() {
        let index = index.to_string();
        let call = &part["functionCall"];
        let path = ["candidates", "0", "content", "parts", &index, "functionCall", "args"];
        let has_arguments = !call["args"].is_null();
        told.calls.push(Call {
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            name: text(call, "name"),
            arguments: if has_arguments { raw(written, &path) } else { "{}".to_owned() },
            signature,
        });
        return;
    }
    told.signatures.extend(signature);
    match part["thought"] == true {
        true => told.thinking.push_str(part["text"].as_str().unwrap_or_default()),
        false => told.text.push_str(&text(part, "text")),
    }
}

fn tokens(usage: &Value) -> Tokens {
    let or_zero = |member: &str| usage[member].as_u64().unwrap_or_default();
    let reasoning = or_zero("thoughtsTokenCount");
    let tokens = Tokens {
        prompt: count(usage, "promptTokenCount"),
        completion: or_zero("candidatesTokenCount") + reasoning,
        cached: or_zero("cachedContentTokenCount"),
        reasoning,
    };
    assert_eq!(count(usage, "totalTokenCount"), tokens.prompt + tokens.completion, "{usage}");
    tokens
}

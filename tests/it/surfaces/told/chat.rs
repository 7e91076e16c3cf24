//! OpenAI's chat completions, as its own SDKs read them.

use serde_json::Value;

use super::{Call, Events, Tokens, Told, count, has, parsed, text};

pub fn whole(body: &[u8]) -> Told {
    let json = parsed(&String::from_utf8_lossy(body));
    has(&json, &["id", "object", "created", "model", "choices", "usage"]);
    assert_eq!(json["object"], "chat.completion", "{json}");
    let choice = &json["choices"][0];
    has(choice, &["index", "message", "finish_reason"]);
    let message = &choice["message"];
    has(message, &["role", "content", "refusal"]);
    assert_eq!(message["role"], "assistant");
    let mut told = head(&json);
    details(message, &mut told);
    told.text = message["content"].as_str().unwrap_or_default().to_owned();
    told.thinking = message["reasoning_content"].as_str().unwrap_or_default().to_owned();
    told.refusal = message["refusal"].as_str().unwrap_or_default().to_owned();
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        assert_eq!(call["type"], "function", "{call}");
        told.calls.push(begun(call));
    }
    finish(choice, &mut told);
    told.tokens = Some(tokens(&json["usage"]));
    told.ended = true;
    told
}

pub fn stream(events: &Events) -> Told {
    let mut told = Told::default();
    for (name, data) in &events.messages {
        assert!(!told.ended && told.errors.is_empty(), "`{data}` behind the end");
        assert_eq!(name, "message");
        if data == "[DONE]" {
            told.ended = true;
            continue;
        }
        let json = parsed(data);
        if !json["error"].is_null() {
            has(&json["error"], &["message", "type", "param", "code"]);
            told.errors.push(json["error"].clone());
            continue;
        }
        chunk(&json, &mut told);
    }
    if told.ended {
        assert!(told.finish.is_some(), "[DONE] without a finish reason");
        assert!(told.tokens.is_some(), "no usage");
    }
    told
}

fn chunk(json: &Value, told: &mut Told) {
    has(json, &["id", "object", "created", "model", "choices"]);
    assert_eq!(json["object"], "chat.completion.chunk");
    let first = head(json);
    if told.id.is_empty() {
        (told.id, told.model) = (first.id, first.model);
    } else {
        assert_eq!((&first.id, &first.model), (&told.id, &told.model), "{json}");
    }
    let choices = json["choices"].as_array().unwrap();
    if !json["usage"].is_null() {
        assert!(choices.is_empty() && told.tokens.is_none(), "usage stands alone, and once: {json}");
        told.tokens = Some(tokens(&json["usage"]));
        return;
    }
    for choice in choices {
        assert!(told.finish.is_none(), "content behind the finish reason: {json}");
        has(choice, &["index", "delta", "finish_reason"]);
        assert_eq!(choice["index"], 0);
        let delta = &choice["delta"];
        told.text.push_str(delta["content"].as_str().unwrap_or_default());
        told.thinking.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        told.refusal.push_str(delta["refusal"].as_str().unwrap_or_default());
        details(delta, told);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(count(call, "index")).unwrap();
            if index == told.calls.len() {
                assert_eq!(call["type"], "function", "{call}");
                told.calls.push(begun(call));
            } else {
                assert!(index < told.calls.len(), "index {index} leaves a gap: {json}");
                told.calls[index].arguments.push_str(&text(&call["function"], "arguments"));
            }
        }
        finish(choice, told);
    }
}

fn head(json: &Value) -> Told {
    count(json, "created");
    Told { id: text(json, "id"), model: text(json, "model"), ..Told::default() }
}

fn details(message: &Value, told: &mut Told) {
    for detail in message["reasoning_details"].as_array().into_iter().flatten() {
        told.signatures.extend(detail["signature"].as_str().map(str::to_owned));
        told.redacted.extend(detail["data"].as_str().map(str::to_owned));
    }
}

fn begun(call: &Value) -> Call {
    let function = &call["function"];
    assert!(!text(call, "id").is_empty() && !text(function, "name").is_empty(), "{call}");
    let signature = &call["extra_content"]["google"]["thought_signature"];
    Call {
        id: text(call, "id"),
        name: text(function, "name"),
        arguments: text(function, "arguments"),
        signature: signature.as_str().map(str::to_owned),
    }
}

fn finish(choice: &Value, told: &mut Told) {
    told.finish = choice["finish_reason"].as_str().map(str::to_owned);
    told.native_finish = choice["native_finish_reason"].as_str().map(str::to_owned);
    told.stop_sequence = choice["stop_reason"].as_str().map(str::to_owned);
}

fn tokens(usage: &Value) -> Tokens {
    let tokens = Tokens {
        prompt: count(usage, "prompt_tokens"),
        completion: count(usage, "completion_tokens"),
        cached: count(&usage["prompt_tokens_details"], "cached_tokens"),
        reasoning: count(&usage["completion_tokens_details"], "reasoning_tokens"),
    };
    assert_eq!(count(usage, "total_tokens"), tokens.prompt + tokens.completion, "{usage}");
    tokens
}

//! What a strict client of each protocol accepts of a stream that has ended well.

use serde_json::Value;

use crate::translate::Protocol;

/// Panics where a strict client would fail.
pub(super) fn assert_legal(to: Protocol, stream: &str) {
    assert!(stream.ends_with("\n\n"), "the last event is whole");
    let events: Vec<(Option<&str>, &str)> = stream.split_terminator("\n\n").filter_map(event).collect();
    match to {
        Protocol::Chat => chat(&events),
        Protocol::Messages => messages(&events),
        Protocol::Gemini => gemini(&events),
        Protocol::Responses => responses(&events),
    }
}

/// Name and data of an event; `None` for a comment.
fn event(frame: &str) -> Option<(Option<&str>, &str)> {
    if frame.starts_with(':') {
        return None;
    }
    match frame.split_once('\n') {
        Some((name, data)) => {
            Some((Some(name.strip_prefix("event: ").unwrap()), data.strip_prefix("data: ").unwrap()))
        }
        None => Some((None, frame.strip_prefix("data: ").unwrap())),
    }
}

fn parsed(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|fault| panic!("{fault}: {data}"))
}

fn has(object: &Value, members: &[&str]) {
    for member in members {
        assert!(object.get(member).is_some(), "`{member}` is missing in {object}");
    }
}

fn chat(events: &[(Option<&str>, &str)]) {
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(*last, (None, "[DONE]"));
    let chunks: Vec<Value> = chunks.iter().map(|(_, data)| parsed(data)).collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let mut reasons = 0;
    let mut with_usage = 0;
    let mut calls = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        has(chunk, &["id", "created", "model", "choices", "system_fingerprint", "usage"]);
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!((&chunk["id"], &chunk["model"]), (&chunks[0]["id"], &chunks[0]["model"]));
        if chunk["choices"].as_array().unwrap().is_empty() {
            with_usage += 1;
            assert_eq!(at, chunks.len() - 1, "usage comes last");
            has(&chunk["usage"], &["prompt_tokens", "completion_tokens", "total_tokens"]);
            continue;
        }
        assert!(chunk["usage"].is_null());
        let choice = &chunk["choices"][0];
        has(choice, &["index", "delta", "finish_reason", "logprobs"]);
        assert_eq!(reasons, 0, "nothing is said behind the reason");
        reasons += usize::from(!choice["finish_reason"].is_null());
        assert!(at == 0 || choice["delta"].get("role").is_none(), "the role is said once");
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap();
            match call.get("id") {
                Some(_) => {
                    assert_eq!((index, &call["type"]), (calls, &Value::from("function")));
                    calls += 1;
                }
                None => assert!(index < calls),
            }
        }
    }
    assert_eq!((reasons, with_usage), (1, 1));
}

fn messages(events: &[(Option<&str>, &str)]) {
    let events: Vec<Value> = events
        .iter()
        .map(|(name, data)| {
            let data = parsed(data);
            assert_eq!(data["type"].as_str(), *name);
            data
        })
        .filter(|data| data["type"] != "ping")
        .collect();
    let message = &events[0]["message"];
    assert_eq!((&events[0]["type"], &message["type"]), (&"message_start".into(), &"message".into()));
    has(message, &["id", "role", "content", "model", "stop_reason", "stop_sequence", "usage"]);
    has(&message["usage"], &["input_tokens", "output_tokens"]);
    let (end, blocks) = events[1..].split_at(events.len() - 3);
    let (blocks, end) = (end, blocks);
    assert_eq!(end[0]["type"], "message_delta");
    assert!(end[0]["delta"]["stop_reason"].is_string());
    has(&end[0]["delta"], &["stop_sequence"]);
    has(&end[0]["usage"], &["output_tokens"]);
    assert_eq!(end[1]["type"], "message_stop");
    let mut open: Option<(u64, String)> = None;
    let mut next = 0;
    for event in blocks {
        let index = event["index"].as_u64().unwrap();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((index, &open), (next, &None), "one block is open at a time");
                open = Some((index, event["content_block"]["type"].as_str().unwrap().to_owned()));
                next += 1;
            }
            "content_block_delta" => {
                let (at, sort) = open.as_ref().unwrap();
                assert_eq!(index, *at);
                let delta = event["delta"]["type"].as_str().unwrap();
                let fits = match sort.as_str() {
                    "text" => delta == "text_delta",
                    "thinking" => matches!(delta, "thinking_delta" | "signature_delta"),
                    "tool_use" => delta == "input_json_delta",
                    _ => false,
                };
                assert!(fits, "{delta} in {sort}");
            }
            "content_block_stop" => assert_eq!(open.take().unwrap().0, index),
            other => panic!("{other}"),
        }
    }
    assert_eq!(open, None);
}

fn gemini(events: &[(Option<&str>, &str)]) {
    let responses: Vec<Value> = events
        .iter()
        .map(|(name, data)| {
            assert_eq!(*name, None);
            parsed(data)
        })
        .collect();
    for (at, response) in responses.iter().enumerate() {
        let is_last = at == responses.len() - 1;
        let candidate = &response["candidates"][0];
        assert_eq!(candidate["content"]["role"], "model");
        assert_eq!(candidate["finishReason"].is_string(), is_last, "the last response has the reason");
        assert_eq!(response["usageMetadata"].is_object(), is_last, "the last response has the usage");
        for part in candidate["content"]["parts"].as_array().unwrap() {
            match part.get("functionCall") {
                Some(call) => assert!(call["args"].is_object() && call["name"].is_string()),
                None => assert!(part["text"].is_string()),
            }
        }
    }
}

fn responses(events: &[(Option<&str>, &str)]) {
    let events: Vec<Value> = events
        .iter()
        .map(|(name, data)| {
            let data = parsed(data);
            assert_eq!(data["type"].as_str(), *name);
            data
        })
        .collect();
    let sort = |at: usize| events[at]["type"].as_str().unwrap();
    assert_eq!(sort(0), "response.created");
    let last = events.len() - 1;
    assert!(matches!(sort(last), "response.completed" | "response.incomplete"), "{}", sort(last));
    // Items and parts that are open, by their numbers.
    let mut open: Vec<u64> = Vec::new();
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let mut next = 0;
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at);
        let item = event["output_index"].as_u64();
        let part = event["content_index"].as_u64().or(event["summary_index"].as_u64());
        match (sort(at), item, part) {
            ("response.output_item.added", Some(item), _) => {
                assert_eq!(item, next);
                has(&event["item"], &["id", "type"]);
                next += 1;
                open.push(item);
            }
            ("response.output_item.done", Some(item), _) => {
                let place = open.iter().position(|open| *open == item).unwrap();
                open.swap_remove(place);
                assert!(!parts.iter().any(|(of, _)| *of == item), "its parts are done");
            }
            (sort, Some(item), Some(part)) => {
                assert!(open.contains(&item));
                let is_open = parts.contains(&(item, part));
                if sort.ends_with("part.added") {
                    assert!(!is_open);
                    parts.push((item, part));
                } else {
                    assert!(is_open, "{sort} of a part that is not open");
                    if sort.ends_with("part.done") {
                        parts.retain(|open| *open != (item, part));
                    }
                }
            }
            (_, Some(item), None) => assert!(open.contains(&item)),
            (_, None, _) => assert!(event["response"].is_object()),
        }
    }
    assert!(open.is_empty() && parts.is_empty());
    let response = &events[last]["response"];
    assert_eq!(response["output"].as_array().unwrap().len() as u64, next);
    has(&response["usage"], &["input_tokens", "output_tokens", "total_tokens"]);
    has(response, &["id", "object", "created_at", "model", "status", "error", "incomplete_details"]);
}

//! What an upstream of each protocol sends for the same answer, whole and as a stream.

use serde_json::{Value, json};

use crate::event::{Event, Finish};
use crate::translate::Protocol;
use crate::usage::Usage;

/// An answer, in no vendor's words.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) thought: Option<(&'static str, Option<&'static str>)>,
    pub(super) text: &'static str,
    /// Id, name and arguments.
    pub(super) calls: Vec<(&'static str, &'static str, &'static str)>,
    pub(super) finish: Finish,
}

/// What every upstream here reports: nine tokens of prompt, three of them cached, and five of answer, one of them
/// thought.
pub(super) const USAGE: Usage = Usage { input: 6, cache_read: 3, cache_write: 0, output: 4, reasoning: 1 };

impl Said {
    pub(super) fn text(text: &'static str) -> Self {
        Self { thought: None, text, calls: Vec::new(), finish: Finish::Stop }
    }

    pub(super) fn calls(calls: &[(&'static str, &'static str, &'static str)]) -> Self {
        Self { calls: calls.to_vec(), finish: Finish::ToolCalls, ..Self::text("") }
    }

    pub(super) fn thinking(self, thought: &'static str, signature: Option<&'static str>) -> Self {
        Self { thought: Some((thought, signature)), ..self }
    }

    pub(super) fn ending(self, finish: Finish) -> Self {
        Self { finish, ..self }
    }

    /// The events that say it.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Start { id: None, model: None }];
        if let Some((thought, signature)) = self.thought {
            events.push(Event::Thinking(thought.to_owned()));
            events.extend(signature.map(|signature| Event::Signature(signature.to_owned())));
        }
        if !self.text.is_empty() {
            events.push(Event::Text(self.text.to_owned()));
        }
        for (call, (id, name, arguments)) in self.calls.iter().enumerate() {
            let (id, name) = ((*id).to_owned(), (*name).to_owned());
            events.push(Event::CallStart { call, id, name, signature: None });
            let json = if arguments.is_empty() { "{}" } else { arguments };
            events.push(Event::CallArguments { call, json: json.to_owned() });
        }
        events.push(Event::Usage(USAGE));
        events.push(Event::Finish { reason: self.finish.clone(), stop_sequence: None });
        events.push(Event::End);
        events
    }

    /// As this upstream sends it whole.
    pub(super) fn whole(&self, from: Protocol) -> String {
        match from {
            Protocol::Chat => chat(self).to_string(),
            Protocol::Messages => message(self),
            Protocol::Gemini => gemini(self),
            Protocol::Responses => response(self).to_string(),
        }
    }

    /// As this upstream streams it.
    pub(super) fn stream(&self, from: Protocol) -> String {
        match from {
            Protocol::Chat => chat_stream(self),
            Protocol::Messages => messages_stream(self),
            Protocol::Gemini => gemini_stream(self),
            Protocol::Responses => responses_stream(self),
        }
    }
}

/// The text in pieces of about three characters.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(3).map(|piece| piece.iter().collect()).collect()
}

fn data(data: &Value) -> String {
    format!("data: {data}\n\n")
}

// OpenAI's chat.

fn chat_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Other(word) => word,
        other => panic!("{other:?} is not a reason of chat"),
    }
}

fn chat_usage() -> Value {
    json!({
        "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    })
}

fn chat_call((id, name, arguments): &(&str, &str, &str)) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn chat(said: &Said) -> Value {
    let mut message = json!({"role": "assistant", "content": said.text, "refusal": null});
    if let Some((thought, signature)) = said.thought {
        message["reasoning_content"] = json!(thought);
        if let Some(signature) = signature {
            message["reasoning_details"] =
                json!([{"type": "reasoning.text", "text": thought, "signature": signature, "index": 0}]);
        }
    }
    if !said.calls.is_empty() {
        message["content"] = Value::Null;
        message["tool_calls"] = said.calls.iter().map(chat_call).collect();
    }
    json!({
        "id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": chat_reason(&said.finish)}],
        "usage": chat_usage(),
    })
}

/// Calls are opened together, and their arguments take turns.
fn chat_stream(said: &Said) -> String {
    let chunk = |delta: Value, reason: Value| {
        data(&json!({
            "id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }))
    };
    let mut stream = chunk(json!({"role": "assistant", "content": ""}), Value::Null);
    if let Some((thought, signature)) = said.thought {
        for piece in pieces(thought) {
            stream += &chunk(json!({"reasoning_content": piece}), Value::Null);
        }
        if let Some(signature) = signature {
            let details = json!([{"type": "reasoning.text", "signature": signature, "index": 0}]);
            stream += &chunk(json!({"reasoning_details": details}), Value::Null);
        }
    }
    for piece in pieces(said.text) {
        stream += &chunk(json!({"content": piece}), Value::Null);
    }
    let with_index = |(index, call): (usize, &(&str, &str, &str))| {
        let mut call = chat_call(&(call.0, call.1, ""));
        call["index"] = json!(index);
        call
    };
    let opened: Vec<Value> = said.calls.iter().enumerate().map(with_index).collect();
    if !opened.is_empty() {
        stream += &chunk(json!({"tool_calls": opened}), Value::Null);
    }
    for (index, piece) in in_turns(said) {
        let piece = json!([{"index": index, "function": {"arguments": piece}}]);
        stream += &chunk(json!({"tool_calls": piece}), Value::Null);
    }
    stream += &chunk(json!({}), json!(chat_reason(&said.finish)));
    stream += &data(&json!({"id": "chatcmpl-up", "choices": [], "usage": chat_usage()}));
    stream + "data: [DONE]\n\n"
}

/// The pieces of all calls' arguments, one of each in turn.
fn in_turns(said: &Said) -> Vec<(usize, String)> {
    let pieces: Vec<Vec<String>> = said.calls.iter().map(|(_, _, arguments)| pieces(arguments)).collect();
    let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
    let turn = |turn: usize| {
        let pieces = &pieces;
        (0..pieces.len()).filter_map(move |call| pieces[call].get(turn).map(|piece| (call, piece.clone())))
    };
    (0..longest).flat_map(turn).collect()
}

// Anthropic's messages.

fn stop_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContextWindow => "model_context_window_exceeded",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal => "refusal",
        Finish::PauseTurn => "pause_turn",
        Finish::Other(word) => word,
        other => panic!("{other:?} is not a reason of messages"),
    }
}

const MESSAGES_USAGE: &str = r#"{"input_tokens":6,"cache_read_input_tokens":3,"cache_creation_input_tokens":0,"output_tokens":5,"output_tokens_details":{"thinking_tokens":1}}"#;

/// Each block as it is when whole: raw, so that the digits of arguments stay.
fn blocks(said: &Said) -> Vec<String> {
    let mut blocks = Vec::new();
    if let Some((thinking, signature)) = said.thought {
        let signature = signature.unwrap_or_default();
        blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": signature}).to_string());
    }
    if !said.text.is_empty() {
        blocks.push(json!({"type": "text", "text": said.text}).to_string());
    }
    for (id, name, arguments) in &said.calls {
        let input = if arguments.is_empty() { "{}" } else { arguments };
        blocks.push(format!(r#"{{"type":"tool_use","id":"{id}","name":"{name}","input":{input}}}"#));
    }
    blocks
}

fn message(said: &Said) -> String {
    format!(
        r#"{{"id":"msg_up","type":"message","role":"assistant","model":"m","content":[{}],"stop_reason":"{}","stop_sequence":null,"usage":{MESSAGES_USAGE}}}"#,
        blocks(said).join(","),
        stop_reason(&said.finish),
    )
}

fn messages_stream(said: &Said) -> String {
    fn event(data: &Value) -> String {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
    }
    let mut stream = event(&json!({"type": "message_start", "message": {
        "id": "msg_up", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 3, "output_tokens": 1},
    }}));
    stream += &event(&json!({"type": "ping"}));
    let mut index = 0;
    let mut block = |block: Value, deltas: Vec<Value>| {
        stream += &event(&json!({"type": "content_block_start", "index": index, "content_block": block}));
        for delta in deltas {
            stream += &event(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        stream += &event(&json!({"type": "content_block_stop", "index": index}));
        index += 1;
    };
    if let Some((thought, signature)) = said.thought {
        let delta = |piece: String| json!({"type": "thinking_delta", "thinking": piece});
        let mut deltas: Vec<Value> = pieces(thought).into_iter().map(delta).collect();
        deltas.extend(signature.map(|signature| json!({"type": "signature_delta", "signature": signature})));
        block(json!({"type": "thinking", "thinking": "", "signature": ""}), deltas);
    }
    if !said.text.is_empty() {
        let delta = |piece: String| json!({"type": "text_delta", "text": piece});
        block(json!({"type": "text", "text": ""}), pieces(said.text).into_iter().map(delta).collect());
    }
    for (id, name, arguments) in &said.calls {
        let delta = |piece: String| json!({"type": "input_json_delta", "partial_json": piece});
        // The API opens with an empty piece, and sends no other for a tool without arguments.
        let pieces = [String::new()].into_iter().chain(pieces(arguments));
        block(json!({"type": "tool_use", "id": id, "name": name, "input": {}}), pieces.map(delta).collect());
    }
    let usage: Value = serde_json::from_str(MESSAGES_USAGE).unwrap();
    stream += &event(&json!({"type": "message_delta",
        "delta": {"stop_reason": stop_reason(&said.finish), "stop_sequence": null}, "usage": usage}));
    stream + &event(&json!({"type": "message_stop"}))
}

// Gemini.

fn finish_reason(finish: &Finish) -> &str {
    match finish {
        // Gemini stops with calls as without.
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Other(word) => word,
        other => panic!("{other:?} is not a reason of Gemini"),
    }
}

const GEMINI_USAGE: &str = r#"{"promptTokenCount":9,"cachedContentTokenCount":3,"candidatesTokenCount":4,"thoughtsTokenCount":1,"totalTokenCount":14}"#;

fn gemini_text(text: &str, is_thought: bool, signature: Option<&str>) -> String {
    let mut part = json!({"text": text});
    if is_thought {
        part["thought"] = json!(true);
    }
    if let Some(signature) = signature {
        part["thoughtSignature"] = json!(signature);
    }
    part.to_string()
}

fn gemini_call((id, name, arguments): &(&str, &str, &str)) -> String {
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    format!(r#"{{"functionCall":{{"id":"{id}","name":"{name}","args":{arguments}}}}}"#)
}

fn gemini(said: &Said) -> String {
    let mut parts = Vec::new();
    if let Some((thought, signature)) = said.thought {
        parts.push(gemini_text(thought, true, signature));
    }
    if !said.text.is_empty() {
        parts.push(gemini_text(said.text, false, None));
    }
    parts.extend(said.calls.iter().map(gemini_call));
    gemini_response(&parts, Some(finish_reason(&said.finish)))
}

fn gemini_response(parts: &[String], reason: Option<&str>) -> String {
    let end = match reason {
        Some(reason) => format!(r#","finishReason":"{reason}""#),
        None => String::new(),
    };
    let usage = if reason.is_some() { format!(r#""usageMetadata":{GEMINI_USAGE},"#) } else { String::new() };
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{}],"role":"model"}}{end},"index":0}}],{usage}"modelVersion":"m","responseId":"up"}}"#,
        parts.join(",")
    )
}

fn gemini_stream(said: &Said) -> String {
    let mut responses = Vec::new();
    if let Some((thought, signature)) = said.thought {
        responses.extend(pieces(thought).iter().map(|piece| gemini_text(piece, true, None)));
        responses.extend(signature.map(|signature| gemini_text("", true, Some(signature))));
    }
    responses.extend(pieces(said.text).iter().map(|piece| gemini_text(piece, false, None)));
    responses.extend(said.calls.iter().map(gemini_call));
    let event = |data: String| format!("data: {data}\r\n\r\n");
    let mut stream: String =
        responses.into_iter().map(|part| event(gemini_response(&[part], None))).collect();
    let last = gemini_text("", false, None);
    stream += &event(gemini_response(&[last], Some(finish_reason(&said.finish))));
    stream
}

// OpenAI's responses.

fn responses_usage() -> Value {
    json!({
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 14,
    })
}

fn items(said: &Said) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some((thought, signature)) = said.thought {
        let mut item = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": thought}]});
        if let Some(signature) = signature {
            item["encrypted_content"] = json!(signature);
        }
        items.push(item);
    }
    if !said.text.is_empty() {
        items.push(json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": said.text, "annotations": []}]}));
    }
    for (id, name, arguments) in &said.calls {
        items.push(json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
            "arguments": arguments, "status": "completed"}));
    }
    items
}

fn response(said: &Said) -> Value {
    let (status, details) = match &said.finish {
        Finish::Stop | Finish::ToolCalls => ("completed", Value::Null),
        Finish::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        Finish::ContentFilter => ("incomplete", json!({"reason": "content_filter"})),
        Finish::Other(word) => ("incomplete", json!({"reason": word})),
        other => panic!("{other:?} is not a reason of responses"),
    };
    json!({
        "id": "resp_up", "object": "response", "created_at": 1, "model": "m", "status": status, "error": null,
        "incomplete_details": details, "output": items(said), "usage": responses_usage(),
    })
}

/// Calls are opened together, and their arguments take turns.
fn responses_stream(said: &Said) -> String {
    let mut stream = String::new();
    let mut number = 0;
    let mut event = |mut data: Value| {
        data["sequence_number"] = json!(number);
        number += 1;
        stream += &format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    };
    let mut opened = response(said);
    opened["status"] = json!("in_progress");
    opened["output"] = json!([]);
    opened["usage"] = Value::Null;
    event(json!({"type": "response.created", "response": opened}));
    event(json!({"type": "response.in_progress", "response": opened}));
    let items = items(said);
    let calls_from = items.len() - said.calls.len();
    for (index, item) in items.iter().enumerate() {
        let mut added = item.clone();
        match item["type"].as_str().unwrap() {
            "reasoning" => {
                added["summary"] = json!([]);
                added.as_object_mut().unwrap().remove("encrypted_content");
            }
            "message" => added["content"] = json!([]),
            _ => added["arguments"] = json!(""),
        }
        event(json!({"type": "response.output_item.added", "output_index": index, "item": added}));
        let id = &item["id"];
        match item["type"].as_str().unwrap() {
            "reasoning" => {
                let part = |text: &str| json!({"type": "summary_text", "text": text});
                let text = item["summary"][0]["text"].as_str().unwrap();
                let of = |sort: &str| json!({"type": sort, "item_id": id, "output_index": index, "summary_index": 0});
                let with = |sort: &str, name: &str, value: Value| {
                    let mut data = of(sort);
                    data[name] = value;
                    data
                };
                event(with("response.reasoning_summary_part.added", "part", part("")));
                for piece in pieces(text) {
                    event(with("response.reasoning_summary_text.delta", "delta", json!(piece)));
                }
                event(with("response.reasoning_summary_text.done", "text", json!(text)));
                event(with("response.reasoning_summary_part.done", "part", part(text)));
            }
            "message" => {
                let text = item["content"][0]["text"].as_str().unwrap();
                let with = |sort: &str, name: &str, value: Value| {
                    let mut data =
                        json!({"type": sort, "item_id": id, "output_index": index, "content_index": 0});
                    data[name] = value;
                    data
                };
                let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
                event(with("response.content_part.added", "part", part("")));
                for piece in pieces(text) {
                    event(with("response.output_text.delta", "delta", json!(piece)));
                }
                event(with("response.output_text.done", "text", json!(text)));
                event(with("response.content_part.done", "part", part(text)));
            }
            _ => continue,
        }
        event(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    for (call, piece) in in_turns(said) {
        let index = calls_from + call;
        event(json!({"type": "response.function_call_arguments.delta", "item_id": items[index]["id"],
            "output_index": index, "delta": piece}));
    }
    for (index, item) in items.iter().enumerate().skip(calls_from) {
        event(json!({"type": "response.function_call_arguments.done", "item_id": item["id"],
            "output_index": index, "arguments": item["arguments"]}));
        event(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    let whole = response(said);
    let sort = if whole["status"] == "completed" { "response.completed" } else { "response.incomplete" };
    event(json!({"type": sort, "response": whole}));
    stream
}

use serde_json::{Value, json};

use super::*;
use crate::event::Order;
use crate::event::{AnswerStream, EventReader};
use crate::responses::{ResponsesEvents, ResponsesStream};

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn start() -> Event {
    Event::Start { id: Some("chatcmpl-1".to_owned()), model: Some("upstream-model".to_owned()) }
}

fn finish(reason: Finish) -> Event {
    Event::Finish { reason, stop_sequence: None }
}

fn call(call: usize, name: &str) -> Event {
    Event::CallStart { call, id: format!("call_{call}"), name: name.to_owned(), signature: None }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

fn used() -> Event {
    Event::Usage(Usage { input: 3, cache_read: 4, cache_write: 1, output: 5, reasoning: 6 })
}

/// Everything an answer can say, in an order that [`Order`] admits.
fn everything() -> Vec<Event> {
    vec![
        start(),
        Event::Thinking("let me".to_owned()),
        Event::Thinking(" see".to_owned()),
        Event::Signature("sealed".to_owned()),
        Event::Redacted("opaque".to_owned()),
        text("Hel"),
        Event::Ping,
        text("lo \u{1f600}"),
        Event::Refusal("No.".to_owned()),
        call(0, "weather"),
        call(1, "time"),
        arguments(0, "{\"ci"),
        arguments(1, "{\"id\":"),
        arguments(0, "ty\":1.0}"),
        call(2, "now"),
        arguments(1, "9007199254740993}"),
        finish(Finish::ToolCalls),
        used(),
        Event::End,
    ]
}

fn stream(events: &[Event]) -> BytesMut {
    let mut order = Order::default();
    let mut out = BytesMut::new();
    let mut writer = ResponsesWriter::new("resp_abc", "m", 1_700_000_000);
    for event in events {
        order.admit(event).unwrap();
        writer.write(event, &mut out);
    }
    out
}

/// The data of each event, after a check that it is named as it says.
fn data(stream: &[u8]) -> Vec<Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    let frames = stream.split_terminator("\n\n").filter(|frame| !frame.starts_with(':'));
    frames
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
            data
        })
        .collect()
}

#[test]
fn a_text_is_a_message_opened_and_closed_once() {
    let written =
        data(&stream(&[start(), text("Hel"), text("lo"), finish(Finish::Stop), used(), Event::End]));
    let kinds: Vec<&str> = written.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds, expected);
    let item = &written[9]["response"]["output"][0];
    assert_eq!(
        *item,
        json!({"id": "msg_abc_0", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]})
    );
    assert_eq!(written[8]["item"], *item);
    let delta = json!({"type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_abc_0",
        "output_index": 0, "content_index": 0, "delta": "Hel", "logprobs": []});
    assert_eq!(written[4], delta);
}

#[test]
fn events_are_numbered_densely_and_every_item_is_opened_and_closed_once() {
    let written = data(&stream(&everything()));
    for (number, event) in written.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let of = |kind: &str| -> Vec<&Value> { written.iter().filter(|event| event["type"] == kind).collect() };
    let added = of("response.output_item.added");
    let mut indices: Vec<u64> = Vec::new();
    for (index, event) in added.iter().enumerate() {
        assert_eq!(event["output_index"], index);
        indices.push(index as u64);
    }
    let mut done: Vec<u64> =
        of("response.output_item.done").iter().map(|event| event["output_index"].as_u64().unwrap()).collect();
    done.sort_unstable();
    assert_eq!(done, indices);
    let output = &written.last().unwrap()["response"]["output"];
    assert_eq!(output.as_array().unwrap().len(), added.len());
    for event in of("response.output_item.done") {
        assert_eq!(output[event["output_index"].as_u64().unwrap() as usize], event["item"]);
    }
    // An item has the same id in every event about it.
    for event in &written {
        if let (Some(id), Some(index)) = (event["item_id"].as_str(), event["output_index"].as_u64()) {
            assert_eq!(output[index as usize]["id"], id);
        }
    }
}

#[test]
fn calls_that_take_turns_keep_their_arguments_apart() {
    let written = data(&stream(&everything()));
    let output = &written.last().unwrap()["response"]["output"];
    let calls: Vec<&Value> =
        output.as_array().unwrap().iter().filter(|i| i["type"] == "function_call").collect();
    assert_eq!(
        *calls[0],
        json!({"id": "fc_abc_3", "type": "function_call", "status": "completed", "arguments": "{\"city\":1.0}",
            "call_id": "call_0", "name": "weather"})
    );
    assert_eq!(calls[1]["arguments"], "{\"id\":9007199254740993}");
    assert_eq!(calls[2]["arguments"], "{}");
}

#[test]
fn thoughts_are_reasoning_items_with_their_signatures() {
    let written = data(&stream(&everything()));
    let output = &written.last().unwrap()["response"]["output"];
    assert_eq!(
        output[0],
        json!({"id": "rs_abc_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "let me see"}],
            "encrypted_content": "sealed"})
    );
    assert_eq!(
        output[1],
        json!({"id": "rs_abc_1", "type": "reasoning", "summary": [], "encrypted_content": "opaque"})
    );
    assert_eq!(output[2]["content"][1], json!({"type": "refusal", "refusal": "No."}));
    let signed_alone = [start(), Event::Signature("s".to_owned()), finish(Finish::Stop), Event::End];
    let written = data(&stream(&signed_alone));
    let item = &written.last().unwrap()["response"]["output"][0];
    assert_eq!(item["summary"], json!([{"type": "summary_text", "text": ""}]));
    assert_eq!(item["encrypted_content"], "s");
}

#[test]
fn usage_has_its_details() {
    let written = data(&stream(&everything()));
    assert_eq!(
        written.last().unwrap()["response"]["usage"],
        json!({"input_tokens": 8, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": 11, "output_tokens_details": {"reasoning_tokens": 6}, "total_tokens": 19})
    );
    assert_eq!(written[0]["response"]["usage"], Value::Null);
}

#[test]
fn an_answer_that_is_not_finished_is_incomplete_and_says_why() {
    for (reason, word) in [
        (Finish::Length, "max_output_tokens"),
        (Finish::ContextWindow, "max_output_tokens"),
        (Finish::ContentFilter, "content_filter"),
        (Finish::Refusal, "content_filter"),
        (Finish::PauseTurn, "pause_turn"),
        (Finish::Other("new_reason".to_owned()), "new_reason"),
    ] {
        let written = data(&stream(&[start(), text("Hel"), finish(reason), Event::End]));
        let last = written.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["status"], "incomplete");
        assert_eq!(last["response"]["incomplete_details"], json!({"reason": word}));
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    }
    for reason in [Finish::Stop, Finish::StopSequence, Finish::ToolCalls] {
        let written = data(&stream(&[start(), finish(reason), Event::End]));
        let last = &written.last().unwrap()["response"];
        assert_eq!((&last["status"], &last["incomplete_details"]), (&json!("completed"), &Value::Null));
        assert_eq!(last["output"], json!([]));
    }
}

/// Members that the response object has in OpenAI's API reference and in the open specification made of it.
const REQUIRED: [&str; 31] = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
];

#[test]
fn a_response_object_has_every_required_member_nullable_ones_included() {
    let whole: Value =
        serde_json::from_str(&ResponsesWriter::new("resp_abc", "m", 7).render(&everything())).unwrap();
    for name in REQUIRED {
        assert!(whole.get(name).is_some(), "{name}");
    }
    assert_eq!((&whole["id"], &whole["created_at"]), (&json!("resp_abc"), &json!(7)));
    assert_eq!((&whole["model"], &whole["store"]), (&json!("upstream-model"), &json!(false)));
}

#[test]
fn a_whole_answer_is_what_the_streams_last_event_says() {
    let events = everything();
    let written = data(&stream(&events));
    let whole: Value =
        serde_json::from_str(&ResponsesWriter::new("resp_abc", "m", 1_700_000_000).render(&events)).unwrap();
    assert_eq!(whole, written.last().unwrap()["response"]);
}

#[test]
fn an_answer_repeats_how_it_was_asked_for() {
    let body = Bytes::from(
        r#"{"model":"m","input":"hi","instructions":"be brief","metadata":{"a":"b"},"temperature":0.20,
        "max_output_tokens":64,"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,
        "reasoning":{"effort":"low","summary":"auto"},"text":{"verbosity":"low"},"store":true,
        "tools":[{"type":"function","name":"f","parameters":{
            "type":"object"}},{"type":"web_search"}]}"#,
    );
    let echoed = Echoed::read(&body).unwrap();
    let writer = ResponsesWriter::new("resp_abc", "m", 7).repeating(echoed);
    let answer = writer.render(&[start(), finish(Finish::Stop), Event::End]);
    assert!(!answer.contains('\n') && answer.contains("\"temperature\":0.20"));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["instructions"], "be brief");
    assert_eq!(answer["metadata"], json!({"a": "b"}));
    assert_eq!(answer["max_output_tokens"], 64);
    assert_eq!(answer["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(answer["parallel_tool_calls"], json!(false));
    assert_eq!(answer["reasoning"], json!({"effort": "low", "summary": "auto"}));
    assert_eq!(answer["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    assert_eq!(
        answer["tools"],
        json!([{"type": "function", "name": "f", "description": null, "parameters": {"type": "object"}, "strict": null}])
    );
    assert_eq!(answer["store"], json!(false));
}

#[test]
fn geminis_signature_stands_on_the_call() {
    let signed = Event::CallStart {
        call: 0,
        id: "call_0".to_owned(),
        name: "f".to_owned(),
        signature: Some("sig".to_owned()),
    };
    let written = data(&stream(&[start(), signed, finish(Finish::ToolCalls), Event::End]));
    let item = &written.last().unwrap()["response"]["output"][0];
    assert_eq!(item["extra_content"], json!({"google": {"thought_signature": "sig"}}));
}

/// What a text, a thought or the arguments of a call amount to, wherever they were cut.
fn joined(events: &[Event]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events.iter().filter(|event| !matches!(event, Event::Ping | Event::Start { .. })) {
        match (joined.last_mut(), event) {
            (Some(Event::Text(before)), Event::Text(more))
            | (Some(Event::Thinking(before)), Event::Thinking(more)) => before.push_str(more),
            _ => joined.push(event.clone()),
        }
    }
    joined
}

#[test]
fn what_is_written_reads_as_what_was_said() {
    let mut events = everything();
    // The reader gives the usage before the finish, where it stands in the last event, and completes arguments.
    let usage = events.remove(events.len() - 2);
    events.insert(events.len() - 2, usage);
    events.insert(events.len() - 3, arguments(2, "{}"));
    let mut read = Vec::new();
    let mut reader = ResponsesEvents::new(1 << 20);
    reader.push(stream(&everything()).freeze(), &mut read).unwrap();
    assert_eq!(joined(&read), joined(&events));
}

#[test]
fn what_is_written_passes_as_a_stream_of_this_dialect() {
    let written = stream(&everything()).freeze();
    let mut passed = ResponsesStream::new(1 << 20);
    let mut out = std::collections::VecDeque::new();
    passed.push(written.clone(), &mut out).unwrap();
    passed.finish(&mut out).unwrap();
    assert!(passed.is_terminal());
    assert_eq!(passed.response_id(), Some("resp_abc"));
    assert_eq!(passed.usage().map(|usage| usage.total()), Some(19));
    assert_eq!(out.into_iter().flatten().collect::<Vec<u8>>(), written);
}

#[test]
fn a_broken_stream_ends_with_this_dialects_error() {
    let mut writer = ResponsesWriter::new("resp_abc", "m", 7);
    let mut out = BytesMut::new();
    writer.write(&start(), &mut out);
    let event = Bytes::from(
        "data: {\"error\":{\"message\":\"cut\",\"type\":\"t\",\"param\":null,\"code\":null}}\n\n",
    );
    let error = data(&writer.closing_error(event)).remove(0);
    assert_eq!((&error["type"], &error["sequence_number"]), (&json!("error"), &json!(2)));
    assert_eq!((&error["message"], &error["error"]["message"]), (&json!("cut"), &json!("cut")));
}

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::anthropic::{MessagesEvents, MessagesStream, events, whole};
use crate::event::{AnswerStream, EventReader, Order};

const IDENTITY: Identity<'static> = Identity { id: "msg_9", model: "asked-for", created: 0 };

fn start() -> Event {
    Event::Start { id: Some("upstream-id".to_owned()), model: Some("claude-x".to_owned()) }
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn thinking(text: &str) -> Event {
    Event::Thinking(text.to_owned())
}

fn call(call: usize) -> Event {
    Event::CallStart { call, id: format!("id-{call}"), name: format!("tool-{call}"), signature: None }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

fn finish(reason: Finish) -> [Event; 2] {
    [Event::Finish { reason, stop_sequence: None }, Event::End]
}

fn streamed(events: &[Event]) -> String {
    let mut writer = MessagesWriter::new(IDENTITY);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    String::from_utf8(out.to_vec()).unwrap()
}

/// The data of each event, whose name must be its type.
fn data(stream: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for frame in stream.split_terminator("\n\n").filter(|frame| !frame.starts_with(':')) {
        let (name, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name.strip_prefix("event: ").unwrap());
        all.push(data);
    }
    all
}

/// What a strict client makes of the stream: the message, or a panic at the first event that is out of place.
fn message_of(stream: &str) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    let mut open: Option<usize> = None;
    let mut has_stopped = false;
    for event in data(stream) {
        assert!(!has_stopped, "nothing comes behind message_stop");
        let index = event["index"].as_u64().map(|index| index as usize);
        match event["type"].as_str().unwrap() {
            "ping" => assert!(!message.is_null()),
            "message_start" => {
                assert!(message.is_null(), "one start");
                message = event["message"].clone();
                assert_eq!(message["content"], json!([]));
                assert!(message["stop_reason"].is_null());
            }
            "content_block_start" => {
                assert_eq!(open, None, "one block is open at a time");
                open = index;
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(open, Some(content.len()), "indices are dense");
                content.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                assert_eq!((index, open.is_some()), (open, true));
                let block = &mut message["content"][open.unwrap()];
                let delta = &event["delta"];
                let (sort, member) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("thinking", "signature"),
                    "input_json_delta" => ("tool_use", "partial_json"),
                    other => panic!("{other}"),
                };
                assert_eq!(block["type"], sort);
                let piece = delta[member].as_str().unwrap();
                assert!(!piece.is_empty(), "no empty delta");
                match member {
                    "partial_json" => inputs.last_mut().unwrap().push_str(piece),
                    "signature" => {
                        assert_eq!(block[member], "", "one signature");
                        block[member] = piece.into();
                    }
                    _ => {
                        assert!(
                            block["signature"].as_str().is_none_or(str::is_empty),
                            "a signature comes last"
                        );
                        block[member] = format!("{}{piece}", block[member].as_str().unwrap()).into();
                    }
                }
            }
            "content_block_stop" => {
                assert_eq!(index, open);
                let block = &mut message["content"][open.take().unwrap()];
                if block["type"] == "tool_use" {
                    block["input"] = serde_json::from_str(inputs.last().unwrap()).unwrap();
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                for (name, value) in event["delta"].as_object().unwrap() {
                    message[name] = value.clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => {
                assert!(message["stop_reason"].is_string());
                has_stopped = true;
            }
            other => panic!("{other}"),
        }
    }
    assert!(has_stopped);
    message
}

/// The message that the events make, streamed and whole, which must be the same.
fn message(events: &[Event]) -> Value {
    let streamed = message_of(&streamed(events));
    let whole: Value = serde_json::from_str(&render_answer(events, IDENTITY)).unwrap();
    assert_eq!(streamed, whole);
    whole
}

#[test]
fn a_text_answer_is_what_the_api_sends() {
    let usage = Usage { input: 5, cache_read: 7, cache_write: 2, output: 3, reasoning: 4 };
    let mut events = vec![start(), text("Hi"), text(" there\n")];
    events.extend([
        Event::Finish { reason: Finish::Stop, stop_sequence: None },
        Event::Usage(usage),
        Event::End,
    ]);
    let expected = json!({
        "id": "msg_9", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [{"type": "text", "text": "Hi there\n", "citations": []}],
        "container": null, "stop_details": null, "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {
            "input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 7, "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 4},
            "cache_creation": null, "inference_geo": null, "server_tool_use": null, "service_tier": null,
        },
    });
    assert_eq!(message(&events), expected);
}

#[test]
fn usage_that_is_known_at_the_start_stands_in_the_first_event() {
    let usage = Usage { input: 5, output: 1, ..Usage::default() };
    let mut events = vec![start(), Event::Usage(usage), text("Hi")];
    events.extend(finish(Finish::Stop));
    assert_eq!(data(&streamed(&events))[0]["message"]["usage"]["input_tokens"], 5);
}

#[test]
fn the_signature_comes_just_before_its_blocks_stop() {
    let mut events = vec![start(), thinking("a"), thinking("b"), Event::Signature("c2ln".to_owned())];
    events.extend([Event::Redacted("xyz".to_owned()), thinking("c"), text("d")]);
    events.extend(finish(Finish::Stop));
    let content = json!([
        {"type": "thinking", "thinking": "ab", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "thinking", "thinking": "c", "signature": ""},
        {"type": "text", "text": "d", "citations": []},
    ]);
    assert_eq!(message(&events)["content"], content);
    let data = data(&streamed(&events));
    let at = data.iter().position(|event| event["delta"]["type"] == "signature_delta").unwrap();
    assert_eq!(data[at + 1]["type"], "content_block_stop");
}

#[test]
fn a_signature_over_no_thought_has_a_block_of_its_own() {
    let mut events = vec![start(), text("a"), Event::Signature("c2ln".to_owned()), text("b")];
    events.extend(finish(Finish::Stop));
    let thought = json!({"type": "thinking", "thinking": "", "signature": "c2ln"});
    assert_eq!(message(&events)["content"][1], thought);
}

#[test]
fn calls_that_take_turns_are_streamed_one_behind_the_other() {
    let mut events = vec![start(), text("Look:"), call(0), call(1), call(2)];
    events.extend([arguments(1, r#"{"b":"#), arguments(0, r#"{"a":"#), arguments(2, r#"{"c":3}"#)]);
    let so_far = streamed(&events);
    assert!(
        so_far.contains(r#"{\"a\":"#) && !so_far.contains("tool-1"),
        "the first call is streamed as it comes"
    );
    events.push(arguments(0, "1}"));
    assert!(streamed(&events).contains(r#"{\"b\":"#), "the second takes its turn when the first is whole");
    events.extend([arguments(1, "2}"), text("Done.")]);
    events.extend(finish(Finish::Stop));
    let expected = json!([
        {"type": "text", "text": "Look:", "citations": []},
        {"type": "tool_use", "id": "id-0", "name": "tool-0", "input": {"a": 1}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "id-1", "name": "tool-1", "input": {"b": 2}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "id-2", "name": "tool-2", "input": {"c": 3}, "caller": {"type": "direct"}},
        {"type": "text", "text": "Done.", "citations": []},
    ]);
    let message = message(&events);
    assert_eq!(message["content"], expected);
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn a_call_without_arguments_ends_with_an_empty_object() {
    let mut events = vec![start(), call(0), call(1), arguments(1, " "), call(2), arguments(2, "{}")];
    events.extend(finish(Finish::ToolCalls));
    let message = message(&events);
    assert!((0..3).all(|index| message["content"][index]["input"] == json!({})));
    assert!(streamed(&events).contains(r#""partial_json":"{}""#));
}

#[test]
fn every_digit_of_the_arguments_stays() {
    let json = r#"{"id":1234567890123456789012345678901234567890,"x":1.0,"y":1e2}"#;
    let mut events = vec![start(), call(0), arguments(0, json)];
    events.extend(finish(Finish::ToolCalls));
    assert!(render_answer(&events, IDENTITY).contains(&format!(r#""input":{json}"#)));
    assert!(streamed(&events).contains(&format!(r#""partial_json":{}"#, quoted(json))));
}

#[test]
fn arguments_that_are_no_object_are_kept_as_text_in_a_whole_answer() {
    let mut events = vec![start(), call(0), arguments(0, r#"{"a":"#)];
    events.extend(finish(Finish::Length));
    let whole: Value = serde_json::from_str(&render_answer(&events, IDENTITY)).unwrap();
    assert_eq!(whole["content"][0]["input"], json!({"INVALID_JSON": "{\"a\":"}));
    assert_eq!(whole["stop_reason"], "max_tokens");
}

#[test]
fn every_reason_is_told_in_the_apis_words_and_none_becomes_a_normal_end() {
    let table = [
        (Finish::Stop, "end_turn"),
        (Finish::Length, "max_tokens"),
        (Finish::ContextWindow, "model_context_window_exceeded"),
        (Finish::ContentFilter, "refusal"),
        (Finish::Refusal, "refusal"),
        (Finish::PauseTurn, "pause_turn"),
        (Finish::Other("odd".to_owned()), "odd"),
    ];
    for (reason, word) in table {
        for (events, normal) in
            [(vec![start()], "end_turn"), (vec![start(), call(0), arguments(0, "{}")], "tool_use")]
        {
            let events: Vec<Event> = events.into_iter().chain(finish(reason.clone())).collect();
            let expected = if word == "end_turn" { normal } else { word };
            assert_eq!(message(&events)["stop_reason"], expected);
        }
    }
    let met = Event::Finish { reason: Finish::StopSequence, stop_sequence: Some("END".to_owned()) };
    let message = message(&[start(), text("a"), met, Event::End]);
    assert_eq!(
        (&message["stop_reason"], &message["stop_sequence"]),
        (&json!("stop_sequence"), &json!("END"))
    );
}

#[test]
fn the_words_of_a_refusal_are_text_and_its_reason_is_refusal() {
    let mut events = vec![start(), Event::Refusal("I can't ".to_owned()), Event::Refusal("help.".to_owned())];
    events.extend(finish(Finish::Stop));
    let message = message(&events);
    assert_eq!(message["content"], json!([{"type": "text", "text": "I can't help.", "citations": []}]));
    assert_eq!(message["stop_reason"], "refusal");
}

#[test]
fn pings_reach_the_client_and_none_comes_before_the_start() {
    let mut events = vec![Event::Ping, start(), Event::Ping, thinking("a"), Event::Ping, text("b")];
    events.extend(finish(Finish::Stop));
    let stream = streamed(&events);
    assert!(stream.starts_with(": keep-alive\n\nevent: message_start\n"));
    assert_eq!(stream.matches("event: ping\ndata: {\"type\":\"ping\"}\n\n").count(), 2);
    message_of(&stream);
}

#[test]
fn without_a_model_of_its_own_the_answer_has_the_one_that_was_asked_for() {
    let mut events = vec![Event::Start { id: None, model: None }];
    events.extend(finish(Finish::Stop));
    let message = message(&events);
    assert_eq!((&message["model"], &message["content"]), (&json!("asked-for"), &json!([])));
}

/// Pieces of content, with arguments for calls that may not have begun.
fn pieces() -> impl Strategy<Value = Vec<Event>> {
    let piece = prop_oneof![
        "[a-c\"\\\\é😀]{0,3}".prop_map(Event::Text),
        "[a-c]{0,3}".prop_map(Event::Thinking),
        "[a-c]{1,3}".prop_map(Event::Signature),
        "[a-c]{1,3}".prop_map(Event::Redacted),
        Just(Event::Ping),
        Just(Event::Usage(Usage { input: 1, output: 2, ..Usage::default() })),
        Just(call(0)),
        (0..4_usize, "[a-c]{1,3}").prop_map(|(call, json)| Event::CallArguments { call, json }),
    ];
    prop::collection::vec(piece, 0..24)
}

/// The pieces as an answer in order: calls counted, each call's arguments the elements of one object.
fn answer(pieces: Vec<Event>) -> Vec<Event> {
    let mut events = vec![start()];
    let mut begun: Vec<bool> = Vec::new();
    for piece in pieces {
        events.push(match piece {
            Event::CallStart { .. } => {
                begun.push(false);
                call(begun.len() - 1)
            }
            Event::CallArguments { call, json } => {
                let Some(has_begun) = begun.get_mut(call) else { continue };
                let comma = if std::mem::replace(has_begun, true) { "," } else { "{" };
                let key = events.len();
                arguments(call, &format!("{comma}\"{key}\":\"{json}\""))
            }
            other => other,
        });
    }
    for (call, _) in begun.iter().enumerate().filter(|(_, has_begun)| **has_begun) {
        events.push(arguments(call, "}"));
    }
    events.extend(finish(Finish::Stop));
    events
}

/// Events with neighbouring texts and arguments joined, and without what the writer puts elsewhere.
fn joined(events: &[Event]) -> Value {
    serde_json::from_str::<Value>(&render_answer(events, IDENTITY)).unwrap()["content"].clone()
}

proptest! {
    #[test]
    fn whatever_the_order_a_strict_client_reads_the_same_streamed_and_whole(pieces in pieces()) {
        let events = answer(pieces);
        let mut order = Order::default();
        for event in &events {
            order.admit(event).unwrap();
        }
        message(&events);
    }

    #[test]
    fn what_is_written_is_read_back(pieces in pieces(), step in 1..64_usize) {
        let written = answer(pieces);
        let stream = streamed(&written);
        let mut reader = MessagesEvents::new(1 << 20);
        let mut relay = MessagesStream::new(1 << 20);
        let mut read = Vec::new();
        let mut out = std::collections::VecDeque::new();
        for chunk in stream.as_bytes().chunks(step) {
            reader.push(Bytes::copy_from_slice(chunk), &mut read).unwrap();
            relay.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        reader.finish(&mut read).unwrap();
        prop_assert!(relay.is_terminal());
        let body = render_answer(&written, IDENTITY);
        prop_assert_eq!(joined(&read), joined(&written));
        prop_assert_eq!(joined(&events(body.as_bytes()).unwrap()), joined(&written));
        prop_assert!(whole(body.as_bytes()).is_ok());
    }
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn written(events: &[Event]) -> String {
    let mut writer = GenerateWriter::new("id", "m");
    let mut out = BytesMut::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out.to_vec()).unwrap()
}

/// The responses of a stream, each a frame of one line.
fn responses(events: &[Event]) -> Vec<Value> {
    let stream = written(events);
    let frames = stream.strip_suffix("\n\n").unwrap().split("\n\n");
    frames.map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

fn start() -> Event {
    Event::Start { id: Some("r1".to_owned()), model: Some("claude".to_owned()) }
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn call(call: usize, id: &str, name: &str) -> Event {
    Event::CallStart { call, id: id.to_owned(), name: name.to_owned(), signature: None }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

fn finish(reason: Finish) -> Event {
    Event::Finish { reason, stop_sequence: None }
}

fn parts(responses: &[Value]) -> Vec<Value> {
    responses
        .iter()
        .flat_map(|response| response["candidates"][0]["content"]["parts"].as_array().unwrap().clone())
        .collect()
}

const USAGE: Usage = Usage { input: 5, cache_read: 4, cache_write: 1, output: 3, reasoning: 2 };

#[test]
fn text_goes_at_once_and_the_last_response_has_reason_and_usage() {
    let events = [start(), text("a"), Event::Usage(USAGE), text("\n"), finish(Finish::Stop), Event::End];
    let responses = responses(&events);
    let content = |text: &str| json!({"parts": [{"text": text}], "role": "model"});
    let expected = [
        json!({"candidates": [{"content": content("a"), "index": 0}], "modelVersion": "claude", "responseId": "r1"}),
        json!({"candidates": [{"content": content("\n"), "index": 0}], "modelVersion": "claude", "responseId": "r1"}),
        json!({"candidates": [{"content": content(""), "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 3,
                "thoughtsTokenCount": 2, "totalTokenCount": 15},
            "modelVersion": "claude", "responseId": "r1"}),
    ];
    assert_eq!(responses, expected);
}

#[test]
fn usage_behind_the_finish_is_in_the_last_response_too() {
    let events = [start(), finish(Finish::Stop), Event::Usage(USAGE), Event::End];
    let responses = responses(&events);
    assert_eq!(responses.len(), 1);
    assert_eq!(responses[0]["usageMetadata"]["totalTokenCount"], 15);
}

/// C01, C31
#[test]
fn parallel_calls_are_said_whole_with_their_own_arguments_and_digits() {
    let events = [
        start(),
        call(0, "a", "f"),
        call(1, "b", "g"),
        arguments(0, "{\"id\":"),
        arguments(1, "{\"n\":\n1e2,\"s\":\"}\"}"),
        arguments(0, "12345678901234567890}"),
        finish(Finish::ToolCalls),
        Event::End,
    ];
    let stream = written(&events);
    assert!(stream.contains(r#"{"functionCall":{"id":"a","name":"f","args":{"id":12345678901234567890}}}"#));
    assert!(stream.contains(r#"{"functionCall":{"id":"b","name":"g","args":{"n": 1e2,"s":"}"}}}"#));
    let responses = responses(&events);
    let last = &responses.last().unwrap()["candidates"][0];
    assert_eq!(last["finishReason"], "STOP");
    assert_eq!(parts(&responses).iter().filter(|part| part["functionCall"].is_object()).count(), 2);
}

/// C05
#[test]
fn a_call_without_arguments_is_said_at_the_end_with_none() {
    let events = [start(), call(0, "a", "f"), arguments(0, ""), finish(Finish::ToolCalls), Event::End];
    let expected = json!({"functionCall": {"id": "a", "name": "f", "args": {}}});
    assert_eq!(parts(&responses(&events)), [expected]);
}

#[test]
fn arguments_that_are_no_object_end_as_a_malformed_call() {
    let events = [start(), call(0, "a", "f"), arguments(0, "{\"a\""), finish(Finish::ToolCalls), Event::End];
    let responses = responses(&events);
    assert_eq!(responses[0]["candidates"][0]["finishReason"], "MALFORMED_FUNCTION_CALL");
    assert_eq!(parts(&responses), [json!({"text": ""})]);
}

/// C17
#[test]
fn every_reason_has_a_word_and_unknown_ones_keep_their_own() {
    let last = |reason| responses(&[start(), finish(reason), Event::End])[0]["candidates"][0].clone();
    for (reason, word) in [
        (Finish::Stop, "STOP"),
        (Finish::StopSequence, "STOP"),
        (Finish::ToolCalls, "STOP"),
        (Finish::Length, "MAX_TOKENS"),
        (Finish::ContextWindow, "MAX_TOKENS"),
        (Finish::ContentFilter, "SAFETY"),
        (Finish::Refusal, "SAFETY"),
    ] {
        let last = last(reason);
        assert_eq!((&last["finishReason"], &last["finishMessage"]), (&json!(word), &Value::Null));
    }
    for (reason, own) in [(Finish::PauseTurn, "pause_turn"), (Finish::Other("new".to_owned()), "new")] {
        let last = last(reason);
        assert_eq!((&last["finishReason"], &last["finishMessage"]), (&json!("OTHER"), &json!(own)));
    }
}

/// C11, C13
#[test]
fn signatures_go_in_a_form_that_comes_back() {
    let signed = Event::CallStart {
        call: 0,
        id: "a".to_owned(),
        name: "f".to_owned(),
        signature: Some("Z29vZ2xl".to_owned()),
    };
    let events = [
        start(),
        Event::Thinking("Hm".to_owned()),
        Event::Signature("+/sig".to_owned()),
        signed,
        finish(Finish::ToolCalls),
        Event::End,
    ];
    let parts = parts(&responses(&events));
    assert_eq!(parts[0], json!({"text": "Hm", "thought": true}));
    let wrapped = parts[1]["thoughtSignature"].as_str().unwrap();
    assert_eq!(signature::unwrapped(wrapped).as_deref(), Some("+/sig"));
    // Google's own signature on a call is what Google reads.
    assert_eq!(parts[2]["thoughtSignature"], "Z29vZ2xl");
}

#[test]
fn a_ping_is_a_response_that_says_nothing() {
    let responses = responses(&[Event::Ping, start(), text("a"), finish(Finish::Stop), Event::End]);
    assert_eq!(responses[0]["candidates"][0]["content"]["parts"], json!([{"text": ""}]));
}

#[test]
fn a_whole_answer_says_what_its_stream_says() {
    let events = [
        start(),
        Event::Thinking("I ".to_owned()),
        Event::Thinking("think".to_owned()),
        Event::Signature("sig".to_owned()),
        text("a"),
        text("b"),
        call(0, "a", "f"),
        arguments(0, "{}"),
        Event::Usage(USAGE),
        finish(Finish::ToolCalls),
        Event::End,
    ];
    let whole: Value = serde_json::from_str(&render_answer(&events, "id", "m")).unwrap();
    let expected = json!({
        "candidates": [{"content": {"parts": [
            {"text": "I think", "thought": true, "thoughtSignature": signature::wrapped("sig")},
            {"text": "ab"},
            {"functionCall": {"id": "a", "name": "f", "args": {}}},
        ], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 3,
            "thoughtsTokenCount": 2, "totalTokenCount": 15},
        "modelVersion": "claude", "responseId": "r1"
    });
    assert_eq!(whole, expected);
    let empty = render_answer(
        &[Event::Start { id: None, model: None }, finish(Finish::Length), Event::End],
        "id",
        "m",
    );
    let expected = r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}],"modelVersion":"m","responseId":"id"}"#;
    assert_eq!(empty, expected);
}

proptest! {
    /// Text and arguments of any kind are read again as they were said.
    #[test]
    fn what_is_written_is_read_again(said in ".+", argument in ".*", thought in ".+") {
        let arguments_json = json!({ "a": argument }).to_string();
        let events = [
            start(),
            Event::Thinking(thought),
            text(&said),
            call(0, "a", "f"),
            arguments(0, &arguments_json),
            Event::Usage(USAGE),
            finish(Finish::ToolCalls),
            Event::End,
        ];
        let again = crate::gemini::events(render_answer(&events, "id", "m").as_bytes()).unwrap();
        // What was written to a cache is plain input to Gemini.
        let usage = Usage { input: 6, cache_write: 0, ..USAGE };
        let expected: Vec<_> = events.into_iter().map(|event| match event {
            Event::Usage(_) => Event::Usage(usage),
            other => other,
        }).collect();
        prop_assert_eq!(again, expected);
    }
}

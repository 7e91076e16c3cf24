use proptest::prelude::*;

use super::*;
use crate::event::Order;
use crate::sse::DEFAULT_MAX_FRAME_BYTES;

fn read(chunks: &[&[u8]]) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = GenerateEvents::new(DEFAULT_MAX_FRAME_BYTES);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    (events, end)
}

/// Reads the stream cut at every byte and byte by byte: each time the events must be those of the whole.
fn read_every_way(data: &[&str]) -> (Vec<Event>, Result<(), StreamFault>) {
    let stream: String = data.iter().map(|data| format!("data: {data}\r\n\r\n")).collect();
    let bytes = stream.as_bytes();
    let whole = read(&[bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(read(&single), whole, "byte by byte");
    let mut order = Order::default();
    for event in &whole.0 {
        order.admit(event).unwrap();
    }
    assert_eq!(order.has_ended(), whole.1.is_ok());
    whole
}

fn good(data: &[&str]) -> Vec<Event> {
    let (events, end) = read_every_way(data);
    end.unwrap();
    events
}

/// A response with these parts and these members beside the content.
fn response(parts: &str, beside: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}},"index":0{beside}}}],"responseId":"r1","modelVersion":"gemini-3-pro"}}"#
    )
}

fn finish_of(events: &[Event]) -> &Finish {
    let finish = events.iter().find_map(|event| match event {
        Event::Finish { reason, .. } => Some(reason),
        _ => None,
    });
    finish.unwrap()
}

fn texts(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|event| if let Event::Text(text) = event { Some(text.as_str()) } else { None })
        .collect()
}

const STOP: &str = r#","finishReason":"STOP""#;

#[test]
fn thoughts_text_calls_and_usage_are_told_in_their_order() {
    let usage = r#"{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"thoughtsTokenCount":5,"totalTokenCount":17}}"#;
    let events = good(&[
        &response(r#"{"text":"Hm","thought":true}"#, ""),
        &response(r#"{"text":"","thought":true,"thoughtSignature":"c2ln"}"#, ""),
        &response(r#"{"text":"Let me "},{"text":"see."}"#, ""),
        &response(
            r#"{"functionCall":{"id":"c1","name":"f","args":{"id":12345678901234567890}},"thoughtSignature":"c2Vu"}"#,
            STOP,
        ),
        usage,
        usage,
    ]);
    let expected = [
        Event::Start { id: Some("r1".to_owned()), model: Some("gemini-3-pro".to_owned()) },
        Event::Thinking("Hm".to_owned()),
        Event::Signature("c2ln".to_owned()),
        Event::Text("Let me ".to_owned()),
        Event::Text("see.".to_owned()),
        Event::CallStart {
            call: 0,
            id: "c1".to_owned(),
            name: "f".to_owned(),
            signature: Some("c2Vu".to_owned()),
        },
        Event::CallArguments { call: 0, json: r#"{"id":12345678901234567890}"#.to_owned() },
        Event::Usage(Usage { input: 9, output: 3, reasoning: 5, ..Usage::default() }),
        Event::Finish { reason: Finish::ToolCalls, stop_sequence: None },
        Event::End,
    ];
    assert_eq!(events, expected);
}

/// C07
#[test]
fn a_stop_behind_a_call_does_not_undo_the_call() {
    let call = r#"{"functionCall":{"name":"f","args":{}}}"#;
    for data in [
        vec![response(call, ""), response(r#"{"text":""}"#, STOP)],
        vec![response(call, STOP), response(r#"{"text":""}"#, STOP)],
        vec![response(r#"{"text":"a"}"#, STOP), response(call, STOP)],
    ] {
        let data: Vec<_> = data.iter().map(String::as_str).collect();
        let events = good(&data);
        assert_eq!(finish_of(&events), &Finish::ToolCalls);
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Finish { .. })).count(), 1);
    }
}

/// C17
#[test]
fn every_finish_reason_has_its_meaning_and_none_becomes_a_stop() {
    let reason = |word: &str| {
        let reason = format!(r#","finishReason":"{word}""#);
        finish_of(&good(&[&response(r#"{"text":"a"}"#, &reason)])).clone()
    };
    assert_eq!(reason("STOP"), Finish::Stop);
    assert_eq!(reason("MAX_TOKENS"), Finish::Length);
    for filtered in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"] {
        assert_eq!(reason(filtered), Finish::ContentFilter);
    }
    for other in ["MALFORMED_FUNCTION_CALL", "LANGUAGE", "OTHER", "SOMETHING_NEW"] {
        assert_eq!(reason(other), Finish::Other(other.to_owned()));
    }
}

#[test]
fn a_reason_that_is_no_normal_stop_stays_whatever_follows() {
    let safety = response(r#"{"text":"a"}"#, r#","finishReason":"SAFETY""#);
    assert_eq!(finish_of(&good(&[&safety, &response("", STOP)])), &Finish::ContentFilter);
    assert_eq!(finish_of(&good(&[&response("", STOP), &safety])), &Finish::ContentFilter);
}

#[test]
fn a_refused_prompt_ends_as_filtered_content() {
    let refused = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":9}}"#;
    assert_eq!(finish_of(&good(&[refused])), &Finish::ContentFilter);
    assert_eq!(finish_of(&events(refused.as_bytes()).unwrap()), &Finish::ContentFilter);
}

/// C29
#[test]
fn the_halves_of_a_character_are_joined_across_responses() {
    let events = good(&[
        &response(r#"{"text":"a\ud83d"}"#, ""),
        &response(r#"{"text":"\ude00b"}"#, ""),
        &response(r#"{"text":"\ud83d"}"#, STOP),
    ]);
    assert_eq!(texts(&events), "a\u{1f600}b\u{fffd}");
}

#[test]
fn calls_without_an_id_get_one_of_their_own() {
    let call = r#"{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f"}}"#;
    let ids = |events: &[Event]| -> Vec<String> {
        let ids = events.iter().filter_map(|event| match event {
            Event::CallStart { id, .. } => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    };
    let first = ids(&good(&[&response(call, STOP)]));
    assert_eq!(first.len(), 2);
    assert!(first[0] != first[1] && first.iter().all(|id| id.len() == 21 && id.starts_with("call_")));
    assert_eq!(ids(&events(response(call, STOP).as_bytes()).unwrap()), first);
    let other = response(call, STOP).replace("\"r1\"", "\"r2\"");
    assert!(ids(&good(&[&other])).iter().all(|id| !first.contains(id)));
}

/// C05
#[test]
fn a_call_without_arguments_has_an_empty_object() {
    for args in ["", r#","args":null"#, r#","args":{}"#] {
        let call = format!(r#"{{"functionCall":{{"name":"f"{args}}}}}"#);
        let events = good(&[&response(&call, STOP)]);
        assert!(events.contains(&Event::CallArguments { call: 0, json: "{}".to_owned() }), "{args}");
    }
}

#[test]
fn a_comment_is_a_sign_of_life() {
    let stream = format!(": hello\n\ndata: {}\n\n", response(r#"{"text":"a"}"#, STOP));
    assert_eq!(read(&[stream.as_bytes()]).0.first(), Some(&Event::Ping));
}

#[test]
fn only_the_first_candidate_is_told() {
    let two = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"},{"content":{"parts":[{"text":"b"}]},"finishReason":"SAFETY"}]}"#;
    let events = good(&[two]);
    assert_eq!((texts(&events).as_str(), finish_of(&events)), ("a", &Finish::Stop));
}

#[test]
fn what_ends_too_early_or_in_an_error_is_a_fault() {
    assert_eq!(read(&[]).1, Err(StreamFault::Empty));
    assert_eq!(read_every_way(&[&response(r#"{"text":"a"}"#, "")]).1, Err(StreamFault::Truncated));
    let error = r#"[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]"#;
    let (events, end) = read_every_way(&[&response(r#"{"text":"a"}"#, ""), error]);
    assert_eq!(texts(&events), "a");
    assert!(matches!(end, Err(StreamFault::Upstream(error)) if error.status == Some(429)));
}

#[test]
fn a_whole_answer_is_the_same_events_as_a_stream_of_one() {
    let whole = response(
        r#"{"text":"I","thought":true},{"text":"a"},{"functionCall":{"name":"f","args":{"a":1.0}}}"#,
        STOP,
    );
    assert_eq!(events(whole.as_bytes()).unwrap(), good(&[&whole]));
    assert!(matches!(events(b"{}"), Err(AnswerFault::NoChoices)));
    let unfinished = events(response(r#"{"text":"a"}"#, "").as_bytes()).unwrap();
    assert!(matches!(finish_of(&unfinished), Finish::Other(_)));
}

proptest! {
    /// Whatever comes, nothing panics, and what is told is in order.
    #[test]
    fn any_bytes_are_events_in_order_or_a_fault(data in proptest::collection::vec(".{0,40}|\\{\"candidates\":\\[\\{\"finishReason\":\"[A-Z]{0,4}\"\\}\\]\\}", 0..4)) {
        let stream: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
        let (events, _) = read(&[stream.as_bytes()]);
        let mut order = Order::default();
        for event in &events {
            prop_assert!(order.admit(event).is_ok());
        }
    }
}

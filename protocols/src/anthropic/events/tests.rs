use super::*;

fn read(chunks: &[&[u8]]) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = MessagesEvents::new(1 << 20);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    let mut order = crate::event::Order::default();
    for event in &events {
        order.admit(event).unwrap();
    }
    assert_eq!(end.is_ok(), order.has_ended(), "{events:?}");
    (events, end)
}

/// Reads the stream cut at every byte: each time the events must be those of the whole.
fn read_every_way(stream: &str) -> (Vec<Event>, Result<(), StreamFault>) {
    let bytes = stream.as_bytes();
    let whole = read(&[bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    whole
}

/// A stream of these data, which are JSON without its outer braces.
fn stream(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {{{data}}}\n\n")).collect()
}

const START: &str = r#""type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":3,"output_tokens":1}}"#;
const STOP: &str = r#""type":"message_stop""#;

/// What an answer with these blocks says.
fn content(blocks: &[&str]) -> Vec<Event> {
    let end = r#""type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}"#;
    let data: Vec<&str> = [START].into_iter().chain(blocks.iter().copied()).chain([end, STOP]).collect();
    let (mut events, result) = read_every_way(&stream(&data));
    assert_eq!(result, Ok(()));
    events.retain(|event| {
        !matches!(event, Event::Start { .. } | Event::Usage(_) | Event::Finish { .. } | Event::End)
    });
    events
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn call(call: usize, id: &str) -> Event {
    Event::CallStart { call, id: id.to_owned(), name: "f".to_owned(), signature: None }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

#[test]
fn a_text_answer_begins_says_its_usage_and_ends() {
    let data = [
        START,
        r#""type":"content_block_start","index":0,"content_block":{"type":"text","text":""}"#,
        r#""type":"ping""#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi\n"}"#,
        r#""type":"content_block_stop","index":0"#,
        r#""type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"X"},"usage":{"output_tokens":9}"#,
        STOP,
    ];
    let (events, end) = read_every_way(&stream(&data));
    assert_eq!(end, Ok(()));
    let usage = |output| Event::Usage(crate::usage::Usage { input: 3, output, ..Default::default() });
    let expected = [
        Event::Start { id: Some("msg_1".to_owned()), model: Some("m".to_owned()) },
        usage(1),
        Event::Ping,
        text("Hi\n"),
        usage(9),
        Event::Finish { reason: Finish::StopSequence, stop_sequence: Some("X".to_owned()) },
        Event::End,
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let open = r#""type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}"#;
    let empty =
        r#""type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}"#;
    let stop = r#""type":"content_block_stop","index":0"#;
    for blocks in [&[open, empty, stop][..], &[open, stop], &[open]] {
        assert_eq!(content(blocks), [call(0, "a"), arguments(0, "{}")]);
    }
}

#[test]
fn arguments_that_come_with_the_start_of_a_block_count_when_no_others_come() {
    let open = r#""type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"n":12345678901234567890}}"#;
    assert_eq!(content(&[open]), [call(0, "a"), arguments(0, r#"{"n":12345678901234567890}"#)]);
    let more = r#""type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"n\":1}"}"#;
    assert_eq!(content(&[open, more]), [call(0, "a"), arguments(0, r#"{"n":1}"#)]);
}

#[test]
fn parallel_calls_are_numbered_without_gaps_and_keep_every_digit() {
    let blocks = [
        r#""type":"content_block_start","index":1,"content_block":{"type":"text","text":"Look:"}"#,
        r#""type":"content_block_stop","index":1"#,
        r#""type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}"#,
        r#""type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"n\": 10000000000000000"}"#,
        r#""type":"content_block_start","index":7,"content_block":{"type":"tool_use","id":"b","name":"f","input":{}}"#,
        r#""type":"content_block_delta","index":7,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1.0,\"y\":1e2}"}"#,
        r#""type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"01}"}"#,
        r#""type":"content_block_stop","index":7"#,
        r#""type":"content_block_stop","index":4"#,
    ];
    let expected = [
        text("Look:"),
        call(0, "a"),
        arguments(0, r#"{"n": 10000000000000000"#),
        call(1, "b"),
        arguments(1, r#"{"x":1.0,"y":1e2}"#),
        arguments(0, "01}"),
    ];
    assert_eq!(content(&blocks), expected);
}

#[test]
fn a_signature_comes_once_behind_its_thought() {
    let blocks = [
        r#""type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}"#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}"#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"b"}"#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}"#,
        r#""type":"content_block_stop","index":0"#,
        r#""type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"ZGF0YQ"}"#,
        r#""type":"content_block_stop","index":1"#,
        r#""type":"content_block_start","index":2,"content_block":{"type":"text","text":""}"#,
        r#""type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"c"}"#,
    ];
    let thinking = |text: &str| Event::Thinking(text.to_owned());
    let expected = [
        thinking("a"),
        thinking("b"),
        Event::Signature("c2ln".to_owned()),
        Event::Redacted("ZGF0YQ".to_owned()),
        text("c"),
    ];
    assert_eq!(content(&blocks), expected);
}

#[test]
fn halves_of_a_character_in_two_deltas_are_joined_and_a_lone_one_is_replaced() {
    let delta = |text: &str| {
        format!(r#""type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#)
    };
    let open = r#""type":"content_block_start","index":0,"content_block":{"type":"text","text":""}"#;
    let joined = content(&[open, &delta(r"so \ud83d"), &delta(r"\ude00!")]);
    assert_eq!(joined, [text("so "), text("\u{1f600}!")]);
    let alone = content(&[open, &delta(r"\ud83d"), r#""type":"content_block_stop","index":0"#]);
    assert_eq!(alone, [text("\u{fffd}")]);
    let without_start = content(&[&delta("a"), &delta(r"b\ud83d")]);
    assert_eq!(without_start, [text("a"), text("b"), text("\u{fffd}")]);
}

#[test]
fn halves_within_arguments_are_joined_as_well() {
    let blocks = [
        r#""type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}"#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":\"\ud83d"}"#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\ude00\"}"}"#,
    ];
    assert_eq!(content(&blocks), [call(0, "a"), arguments(0, r#"{"a":""#), arguments(0, "\u{1f600}\"}")]);
}

#[test]
fn every_stop_reason_has_its_meaning_with_and_without_a_call() {
    let tool = r#""type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}"#;
    let table = [
        (r#""end_turn""#, Finish::Stop, Finish::ToolCalls),
        (r#""max_tokens""#, Finish::Length, Finish::Length),
        (r#""tool_use""#, Finish::ToolCalls, Finish::ToolCalls),
        (r#""refusal""#, Finish::Refusal, Finish::Refusal),
        (r#""pause_turn""#, Finish::PauseTurn, Finish::PauseTurn),
        (r#""model_context_window_exceeded""#, Finish::ContextWindow, Finish::ContextWindow),
        (r#""new_reason""#, Finish::Other("new_reason".to_owned()), Finish::Other("new_reason".to_owned())),
        ("null", Finish::Stop, Finish::ToolCalls),
        (r#""""#, Finish::Stop, Finish::ToolCalls),
    ];
    for (word, alone, with_call) in table {
        let delta = format!(
            r#""type":"message_delta","delta":{{"stop_reason":{word}}},"usage":{{"output_tokens":1}}"#
        );
        for (data, expected) in
            [(vec![START, &delta, STOP], alone), (vec![START, tool, &delta, STOP], with_call)]
        {
            let (events, end) = read(&[stream(&data).as_bytes()]);
            assert_eq!(end, Ok(()));
            let finish = Event::Finish { reason: expected, stop_sequence: None };
            assert_eq!(events[events.len() - 2..], [finish, Event::End], "{word}");
        }
    }
}

#[test]
fn the_words_of_a_refusal_are_told() {
    let delta = r#""type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"Not that."}},"usage":{"output_tokens":1}"#;
    let (events, _) = read_every_way(&stream(&[START, delta, STOP]));
    assert!(events.contains(&Event::Refusal("Not that.".to_owned())));
}

#[test]
fn usage_may_come_in_a_delta_of_its_own() {
    let reason = r#""type":"message_delta","delta":{"stop_reason":"max_tokens"}"#;
    let usage = r#""type":"message_delta","delta":{"stop_reason":null},"usage":{"input_tokens":0,"output_tokens":70}"#;
    let (events, end) = read_every_way(&stream(&[START, reason, usage, STOP]));
    assert_eq!(end, Ok(()));
    let reported = crate::usage::Usage { input: 3, output: 70, ..Default::default() };
    assert_eq!(events[2], Event::Usage(reported));
    assert_eq!(events[3], Event::Finish { reason: Finish::Length, stop_sequence: None });
}

#[test]
fn a_stream_without_its_last_event_ends_where_its_reason_is_known() {
    let delta = r#""type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}"#;
    let (events, end) = read_every_way(&stream(&[START, delta]));
    assert_eq!((end, events.last()), (Ok(()), Some(&Event::End)));
    assert_eq!(read_every_way(&stream(&[START])).1, Err(StreamFault::Truncated));
    assert_eq!(read_every_way("data: {\"type\":\"message_st").1, Err(StreamFault::Truncated));
    assert_eq!(read_every_way(": comment\n\n").1, Err(StreamFault::Empty));
}

#[test]
fn errors_and_what_makes_no_sense_end_the_stream() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let (events, end) = read_every_way(&format!("{}{error}", stream(&[START])));
    assert_eq!(events.len(), 2);
    assert!(matches!(end, Err(StreamFault::Upstream(error)) if error.message.as_deref() == Some("busy")));
    let lost =
        r#""type":"content_block_delta","index":5,"delta":{"type":"input_json_delta","partial_json":"{}"}"#;
    let (_, end) = read_every_way(&stream(&[START, lost]));
    assert_eq!(end, Err(StreamFault::OutOfOrder(OutOfOrder::Arguments)));
    assert!(matches!(read(&[b"data: {\n\n"]).1, Err(StreamFault::Unreadable(_))));
}

#[test]
fn server_tools_citations_and_unknown_events_say_nothing() {
    let blocks = [
        r#""type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#,
        r#""type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}"#,
        r#""type":"content_block_stop","index":0"#,
        r#""type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}"#,
        r#""type":"content_block_start","index":9"#,
        r#""type":"brand_new""#,
    ];
    assert_eq!(content(&blocks), []);
}

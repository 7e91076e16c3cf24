use super::*;
use crate::usage::Usage;

/// What a stream, cut at these places, says.
fn read(stream: &[u8], cuts: &[usize]) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = ResponsesEvents::new(1 << 20);
    let mut events = Vec::new();
    let mut start = 0;
    let mut result = Ok(());
    for end in cuts.iter().copied().chain([stream.len()]) {
        result = result.and(reader.push(Bytes::copy_from_slice(&stream[start..end]), &mut events));
        start = end;
    }
    result = result.and(reader.finish(&mut events));
    (events, result)
}

/// The frames of these events' data.
fn stream(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

fn read_whole_stream(data: &[&str]) -> Vec<Event> {
    let (events, result) = read(stream(data).as_bytes(), &[]);
    assert_eq!(result, Ok(()));
    events
}

fn start() -> Event {
    Event::Start { id: Some("resp_1".to_owned()), model: Some("gpt-5.4".to_owned()) }
}

fn end(reason: Finish) -> [Event; 2] {
    [Event::Finish { reason, stop_sequence: None }, Event::End]
}

fn call(call: usize, id: &str, name: &str) -> Event {
    Event::CallStart { call, id: id.to_owned(), name: name.to_owned(), signature: None }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

const CREATED: &str = r#"{"type":"response.created","response":{"id":"resp_1","model":"gpt-5.4","status":"in_progress","output":[]}}"#;
const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed",
    "usage":{"input_tokens":3,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":8}}}"#;

/// On one line, as a frame has it.
fn completed() -> String {
    COMPLETED.replace('\n', "")
}

fn usage() -> Event {
    Event::Usage(Usage { input: 3, output: 3, reasoning: 2, ..Usage::default() })
}

/// Three calls between a thought and a message, their arguments taking turns.
fn three_calls() -> Vec<String> {
    let added = |index: u32, name: &str| {
        format!(
            r#"{{"type":"response.output_item.added","output_index":{index},"item":{{"type":"function_call","id":"fc_{index}","call_id":"call_{index}","name":"{name}","arguments":""}}}}"#
        )
    };
    let delta = |index: u32, delta: &str| {
        // Ids of items that change from event to event, as some proxies write them.
        format!(
            r#"{{"type":"response.function_call_arguments.delta","item_id":"fc_{index}_{}","output_index":{index},"delta":{}}}"#,
            delta.len(),
            crate::json::quoted(delta)
        )
    };
    let done = |index: u32, arguments: &str| {
        format!(
            r#"{{"type":"response.output_item.done","output_index":{index},"item":{{"type":"function_call","id":"fc_{index}","call_id":"call_{index}","name":"f","arguments":{}}}}}"#,
            crate::json::quoted(arguments)
        )
    };
    vec![
        CREATED.to_owned(),
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_0","summary":[]}}"#.to_owned(),
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_0","summary":[]}}"#.to_owned(),
        added(1, "weather"),
        added(2, "time"),
        delta(1, "{\"ci"),
        delta(2, "{\"zone\":"),
        added(3, "now"),
        delta(1, "ty\":\"Oslo\"}"),
        delta(3, ""),
        delta(2, "9007199254740993}"),
        done(1, "{\"city\":\"Oslo\"}"),
        done(3, ""),
        done(2, "{\"zone\":9007199254740993}"),
        completed(),
    ]
}

#[test]
fn calls_are_numbered_without_gaps_and_end_the_answer_as_tool_calls() {
    let data = three_calls();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let mut expected = vec![
        start(),
        call(0, "call_1", "weather"),
        call(1, "call_2", "time"),
        arguments(0, "{\"ci"),
        arguments(1, "{\"zone\":"),
        call(2, "call_3", "now"),
        arguments(0, "ty\":\"Oslo\"}"),
        arguments(1, "9007199254740993}"),
        arguments(2, "{}"),
        usage(),
    ];
    expected.extend(end(Finish::ToolCalls));
    assert_eq!(read_whole_stream(&data), expected);
}

#[test]
fn wherever_the_network_cuts_the_events_are_the_same() {
    let data = three_calls();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let stream = stream(&data).replace('\n', "\r\n");
    let whole = read(stream.as_bytes(), &[]);
    for cut in 0..stream.len() {
        assert_eq!(read(stream.as_bytes(), &[cut]), whole, "cut at {cut}");
    }
}

#[test]
fn text_thoughts_and_refusals_come_as_they_are_said() {
    let events = read_whole_stream(&[
        CREATED,
        r#"{"type":"response.in_progress","response":{"id":"resp_1"}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_0"}}"#,
        r#"{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0,"part":{}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"First."}"#,
        r#"{"type":"response.reasoning_text.delta","output_index":0,"content_index":0,"delta":"raw"}"#,
        r#"{"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":0,"text":"First."}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"Second."}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_0","summary":[{"type":"summary_text","text":"First."}],"encrypted_content":"sealed"}}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"message","id":"msg_1","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"Hi"}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":""}"#,
        r#"{"type":"response.output_text.done","output_index":1,"content_index":0,"text":"Hi"}"#,
        r#"{"type":"keepalive","sequence_number":9}"#,
        r#"{"type":"response.refusal.delta","output_index":1,"content_index":1,"delta":"No."}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"Hi"}]}}"#,
        &completed(),
    ]);
    let mut expected = vec![
        start(),
        Event::Thinking("First.".to_owned()),
        Event::Thinking("\n\nSecond.".to_owned()),
        Event::Signature("sealed".to_owned()),
        Event::Text("Hi".to_owned()),
        Event::Ping,
        Event::Refusal("No.".to_owned()),
        usage(),
    ];
    expected.extend(end(Finish::Stop));
    assert_eq!(events, expected);
}

#[test]
fn a_thought_without_words_is_kept_for_its_upstream() {
    let events = read_whole_stream(&[
        CREATED,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","summary":[],"encrypted_content":"sealed"}}"#,
        &completed(),
    ]);
    assert_eq!(events[1], Event::Redacted("sealed".to_owned()));
}

#[test]
fn what_did_not_come_in_pieces_comes_with_its_item_or_at_the_end() {
    let by_item = read_whole_stream(&[
        CREATED,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","id":"msg_0","content":[{"type":"output_text","text":"Hi"},{"type":"refusal","refusal":"No."}]}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}"}}"#,
        &completed(),
    ]);
    let mut expected = vec![
        start(),
        Event::Text("Hi".to_owned()),
        Event::Refusal("No.".to_owned()),
        call(0, "call_1", "f"),
        arguments(0, "{\"a\":1}"),
        usage(),
    ];
    expected.extend(end(Finish::ToolCalls));
    assert_eq!(by_item, expected);

    let at_end = read_whole_stream(&[
        r#"{"type":"response.completed","response":{"id":"resp_1","model":"gpt-5.4","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}}"#,
    ]);
    let mut expected = vec![start(), Event::Text("Hi".to_owned())];
    expected.extend(end(Finish::Stop));
    assert_eq!(at_end, expected);
}

#[test]
fn nothing_is_said_twice_when_the_end_repeats_it() {
    let events = read_whole_stream(&[
        CREATED,
        r#"{"type":"response.output_text.delta","item_id":"msg_0","delta":"Hi"}"#,
        r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","id":"msg_9","content":[{"type":"output_text","text":"Hi"}]}]}}"#,
    ]);
    let mut expected = vec![start(), Event::Text("Hi".to_owned())];
    expected.extend(end(Finish::Stop));
    assert_eq!(events, expected);
}

#[test]
fn halves_of_a_character_are_joined_and_a_lonely_one_is_replaced() {
    let events = read_whole_stream(&[
        CREATED,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"so \ud83d"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"\ude00!"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"\ud83d"}"#,
        &completed(),
    ]);
    let texts: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Text(_))).collect();
    let expected = [
        Event::Text("so ".to_owned()),
        Event::Text("\u{1f600}!".to_owned()),
        Event::Text("\u{fffd}".to_owned()),
    ];
    assert_eq!(texts, expected.iter().collect::<Vec<_>>());
}

#[test]
fn the_reason_of_an_answer_cut_short_is_told() {
    for (response, reason) in [
        (r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#, Finish::Length),
        (
            r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#,
            Finish::ContentFilter,
        ),
        (r#"{"status":"incomplete","incomplete_details":{"reason":"new"}}"#, Finish::Other("new".to_owned())),
        (r#"{"status":"cancelled","incomplete_details":null}"#, Finish::Other("cancelled".to_owned())),
        (r#"{"status":"completed","incomplete_details":null}"#, Finish::Stop),
    ] {
        let data = format!(r#"{{"type":"response.incomplete","response":{response}}}"#);
        let events = read_whole_stream(&[CREATED, &data]);
        assert_eq!(events[1..], end(reason));
    }
}

#[test]
fn events_before_a_fault_are_given_and_a_cut_is_a_fault() {
    let text = r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hi"}"#;
    let said = vec![start(), Event::Text("Hi".to_owned())];
    let failed = r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"oh"}}}"#;
    let (events, result) = read(stream(&[CREATED, text, failed]).as_bytes(), &[]);
    assert_eq!(events, said);
    assert!(
        matches!(result, Err(StreamFault::Upstream(error)) if error.code.as_deref() == Some("server_error"))
    );
    assert_eq!(read(stream(&[CREATED, text]).as_bytes(), &[]), (said, Err(StreamFault::Truncated)));
    assert_eq!(read(b"", &[]), (Vec::new(), Err(StreamFault::Empty)));
    let orphan = r#"{"type":"response.function_call_arguments.delta","output_index":4,"delta":"{}"}"#;
    let (_, result) = read(stream(&[CREATED, orphan]).as_bytes(), &[]);
    assert_eq!(result, Err(StreamFault::OutOfOrder(OutOfOrder::Arguments)));
}

#[test]
fn a_whole_answer_is_the_same_events() {
    let body = r#"{"id":"resp_1","model":"gpt-5.4","status":"completed","output":[
        {"type":"reasoning","id":"rs_0","summary":[{"type":"summary_text","text":"One."},{"type":"summary_text","text":"Two."}],"encrypted_content":"sealed"},
        {"type":"web_search_call","id":"ws_1","status":"completed"},
        {"type":"message","id":"msg_2","content":[{"type":"output_text","text":"Hi"}]},
        {"type":"function_call","id":"fc_3","call_id":"call_3","name":"f","arguments":""}],
        "usage":{"input_tokens":3,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":8}}"#;
    let mut expected = vec![
        start(),
        Event::Thinking("One.".to_owned()),
        Event::Thinking("\n\nTwo.".to_owned()),
        Event::Signature("sealed".to_owned()),
        Event::Text("Hi".to_owned()),
        call(0, "call_3", "f"),
        arguments(0, "{}"),
        usage(),
    ];
    expected.extend(end(Finish::ToolCalls));
    assert_eq!(events(body.as_bytes()), Ok(expected));
}

use serde_json::{Value, json};

use super::*;
use crate::sse::DEFAULT_MAX_FRAME_BYTES;
use crate::usage::Usage;

type Read = (Vec<Event>, Result<(), StreamFault>);

/// The events of a stream that comes in these chunks; texts of one sort side by side are one.
fn read(chunks: &[&[u8]]) -> Read {
    let mut reader = ChatEvents::new(DEFAULT_MAX_FRAME_BYTES);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    (events, end)
}

/// The events, which are the same wherever the stream is cut and however its lines end.
fn read_every_way(stream: &str) -> Read {
    let whole = read(&[stream.as_bytes()]);
    for end in ["\n", "\r\n"] {
        let stream = stream.replace('\n', end);
        for cut in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            assert_eq!(read(&[first, second]), whole, "cut at {cut} with {end:?}");
        }
        let single: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read(&single), whole, "byte by byte with {end:?}");
    }
    whole
}

fn frames(data: &[Value]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

fn stream(data: &[Value]) -> String {
    format!("{}data: [DONE]\n\n", frames(data))
}

fn delta(delta: Value) -> Value {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn stop(reason: &str) -> Value {
    json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn usage_chunk() -> Value {
    json!({"id": "c1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})
}

const REPORTED: Usage = Usage { input: 9, cache_read: 0, cache_write: 0, output: 3, reasoning: 0 };

fn start() -> Event {
    Event::Start { id: Some("c1".to_owned()), model: Some("m".to_owned()) }
}

fn finish(reason: Finish) -> Event {
    Event::Finish { reason, stop_sequence: None }
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

#[test]
fn a_stream_is_read_the_same_wherever_it_is_cut() {
    let opened = delta(json!({"role": "assistant", "content": "", "refusal": null}));
    let said = [
        opened,
        delta(json!({"reasoning_content": "hm"})),
        delta(json!({"content": "Hi\n\u{e9}"})),
        delta(
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        ),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\":"}}]})),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})),
        stop("tool_calls"),
        usage_chunk(),
    ];
    let (events, end) = read_every_way(&format!(": hello\n\n{}", stream(&said)));
    let expected = [
        Event::Ping,
        start(),
        Event::Thinking("hm".to_owned()),
        text("Hi\n\u{e9}"),
        call(0, "a", "f"),
        arguments(0, "{\"x\":"),
        arguments(0, "1}"),
        Event::Usage(REPORTED),
        finish(Finish::ToolCalls),
        Event::End,
    ];
    assert_eq!((events.as_slice(), end), (expected.as_slice(), Ok(())));
}

/// Name and glued arguments of each call.
fn assembled(events: &[Event]) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for event in events {
        match event {
            Event::CallStart { call, name, .. } => {
                assert_eq!(*call, calls.len());
                calls.push((name.clone(), String::new()));
            }
            Event::CallArguments { call, json } => calls[*call].1.push_str(json),
            _ => {}
        }
    }
    calls
}

#[test]
fn parallel_calls_without_index_are_kept_apart() {
    let opened = json!({"tool_calls": [
        {"id": "a", "function": {"name": "f", "arguments": ""}},
        {"id": "b", "function": {"name": "g", "arguments": ""}},
        {"id": "c", "function": {"name": "h", "arguments": ""}},
    ]});
    let piece =
        |id: &str, json: &str| delta(json!({"tool_calls": [{"id": id, "function": {"arguments": json}}]}));
    let said = [
        delta(opened),
        piece("b", "{\"b\""),
        piece("a", "{\"a\""),
        piece("c", "{}"),
        piece("b", ":2}"),
        piece("a", ":1}"),
        stop("tool_calls"),
    ];
    let (events, _) = read_every_way(&stream(&said));
    let expected = [("f", "{\"a\":1}"), ("g", "{\"b\":2}"), ("h", "{}")];
    assert_eq!(assembled(&events), expected.map(|(name, json)| (name.to_owned(), json.to_owned())));
}

#[test]
fn calls_are_numbered_from_zero_whatever_their_index() {
    let said = [
        delta(json!({"tool_calls": [{"index": 3, "id": "a", "function": {"name": "f", "arguments": "{"}}]})),
        delta(json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "["}}]})),
        delta(json!({"tool_calls": [{"index": 3, "function": {"arguments": "}"}}]})),
        stop("stop"),
    ];
    let (events, _) = read_every_way(&stream(&said));
    assert_eq!(assembled(&events), [("f", "{}"), ("g", "[")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert!(events.contains(&finish(Finish::ToolCalls)));
}

#[test]
fn an_empty_finish_reason_is_none() {
    let mut said: Vec<Value> = ["a", "b"].map(|text| delta(json!({"content": text}))).into();
    for chunk in &mut said {
        chunk["choices"][0]["finish_reason"] = json!("");
    }
    said.push(delta(
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}),
    ));
    said.push(stop("tool_calls"));
    let (events, end) = read_every_way(&stream(&said));
    let finishes: Vec<_> = events.iter().filter(|event| matches!(event, Event::Finish { .. })).collect();
    assert_eq!((finishes, end), (vec![&finish(Finish::ToolCalls)], Ok(())));
}

#[test]
fn halves_of_a_character_in_two_chunks_are_joined() {
    let content = |escape: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{escape}\"}}}}]}}\n\n")
    };
    let piece = |json: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"a\",\"function\":{{\"name\":\"f\",\"arguments\":\"{json}\"}}}}]}}}}]}}\n\n"
        )
    };
    let pieces = [
        content("a\\ud83d"),
        content("\\ude00"),
        piece("{\\\"x\\\":\\\"\\ud83d"),
        piece("\\ude00\\\"}"),
        content("\\ud83d"),
    ];
    let (events, end) = read_every_way(&format!("{}data: [DONE]\n\n", pieces.concat()));
    let said: String = events
        .iter()
        .filter_map(|event| match event {
            Event::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!((said.as_str(), end), ("a\u{1f600}\u{fffd}", Ok(())));
    assert_eq!(assembled(&events)[0].1, "{\"x\":\"\u{1f600}\"}");
}

#[test]
fn thoughts_under_two_names_are_read_once() {
    let both = delta(json!({"reasoning": "hm", "reasoning_content": "hm", "content": ""}));
    let (events, _) = read_every_way(&stream(&[both, stop("stop")]));
    assert_eq!(events[1..3], [Event::Thinking("hm".to_owned()), finish(Finish::Stop)]);
}

#[test]
fn signatures_and_redacted_thoughts_are_read_from_reasoning_details() {
    let detail = |detail: Value| json!({"reasoning_details": [detail]});
    let mut first = detail(json!({"type": "reasoning.text", "text": "hm", "index": 0}));
    first["reasoning"] = json!("hm");
    let said = [
        delta(first),
        delta(detail(json!({"type": "reasoning.text", "signature": "s", "index": 0}))),
        delta(detail(json!({"type": "reasoning.encrypted", "data": "x", "index": 1}))),
        delta(detail(json!({"type": "reasoning.summary", "summary": "sum", "index": 2}))),
        delta(json!({"content": "So."})),
        stop("stop"),
    ];
    let (events, _) = read_every_way(&stream(&said));
    let expected = [
        start(),
        Event::Thinking("hm".to_owned()),
        Event::Signature("s".to_owned()),
        Event::Redacted("x".to_owned()),
        Event::Thinking("sum".to_owned()),
        text("So."),
        finish(Finish::Stop),
        Event::End,
    ];
    assert_eq!(events, expected);
}

#[test]
fn content_in_parts_is_read_with_its_thoughts() {
    let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]);
    let said = [
        delta(json!({"content": thinking})),
        delta(json!({"content": [{"type": "text", "text": "So."}]})),
        stop("stop"),
    ];
    let (events, _) = read_every_way(&stream(&said));
    assert_eq!(events[1..3], [Event::Thinking("hm".to_owned()), text("So.")]);
}

#[test]
fn a_signature_on_a_call_comes_with_the_call() {
    let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "sig=="}}}]});
    let (events, _) = read_every_way(&stream(&[delta(call), stop("stop")]));
    let signed = Event::CallStart {
        call: 0,
        id: "a".to_owned(),
        name: "f".to_owned(),
        signature: Some("sig==".to_owned()),
    };
    assert_eq!(events[1..4], [signed, arguments(0, "{}"), finish(Finish::ToolCalls)]);
}

#[test]
fn usage_is_read_wherever_it_stands() {
    let mut beside = stop("stop");
    beside["usage"] = usage_chunk()["usage"].clone();
    let mut groq = stop("stop");
    groq["x_groq"] = json!({"id": "r", "usage": usage_chunk()["usage"]});
    for said in [vec![stop("stop"), usage_chunk()], vec![beside], vec![groq]] {
        let (events, _) = read_every_way(&stream(&said));
        assert!(events.contains(&Event::Usage(REPORTED)), "{said:?}");
        assert_eq!(events.last(), Some(&Event::End));
    }
}

#[test]
fn every_reason_has_its_meaning() {
    let reason = |chunk: Value| {
        let (events, end) = read_every_way(&stream(&[delta(json!({"content": "a"})), chunk]));
        assert_eq!(end, Ok(()));
        match &events[events.len() - 2] {
            Event::Finish { reason, .. } => reason.clone(),
            other => panic!("{other:?}"),
        }
    };
    let native = |word: &str, native: &str| {
        let mut chunk = stop(word);
        chunk["choices"][0]["native_finish_reason"] = json!(native);
        chunk
    };
    assert_eq!(reason(stop("stop")), Finish::Stop);
    assert_eq!(reason(stop("length")), Finish::Length);
    assert_eq!(reason(stop("model_length")), Finish::ContextWindow);
    assert_eq!(reason(stop("tool_calls")), Finish::ToolCalls);
    assert_eq!(reason(stop("function_call")), Finish::ToolCalls);
    assert_eq!(reason(stop("content_filter")), Finish::ContentFilter);
    assert_eq!(reason(stop("error")), Finish::Other("error".to_owned()));
    assert_eq!(reason(native("stop", "end_turn")), Finish::Stop);
    assert_eq!(reason(native("length", "max_tokens")), Finish::Length);
    assert_eq!(reason(native("length", "model_context_window_exceeded")), Finish::ContextWindow);
    assert_eq!(reason(native("content_filter", "refusal")), Finish::Refusal);
    assert_eq!(reason(native("length", "pause_turn")), Finish::PauseTurn);
    // A stream that is done without a word ends all the same.
    assert_eq!(reason(delta(json!({"content": "b"}))), Finish::Stop);
}

#[test]
fn a_refusal_in_words_is_the_reason_of_its_end() {
    let (events, _) = read_every_way(&stream(&[delta(json!({"refusal": "No."})), stop("stop")]));
    assert_eq!(events[1..3], [Event::Refusal("No.".to_owned()), finish(Finish::Refusal)]);
}

#[test]
fn the_stop_text_that_was_met_is_read() {
    let mut met = stop("stop");
    met["choices"][0]["stop_reason"] = json!("END");
    let (events, _) = read_every_way(&stream(&[met]));
    let met = Event::Finish { reason: Finish::StopSequence, stop_sequence: Some("END".to_owned()) };
    assert_eq!(events[1], met);
    let mut token = stop("stop");
    token["choices"][0]["stop_reason"] = json!(128_009);
    assert_eq!(read_every_way(&stream(&[token])).0[1], finish(Finish::Stop));
}

#[test]
fn of_several_choices_the_first_is_read() {
    let two = json!({"id": "c1", "model": "m", "choices": [
        {"index": 1, "delta": {"content": "b"}, "finish_reason": "length"},
        {"index": 0, "delta": {"content": "a"}, "finish_reason": null},
    ]});
    let (events, _) = read_every_way(&stream(&[two, stop("stop")]));
    assert_eq!(events, [start(), text("a"), finish(Finish::Stop), Event::End]);
}

#[test]
fn an_error_in_the_stream_is_its_fault() {
    let error = json!({"error": {"message": "overloaded", "code": 503}});
    let said = frames(&[delta(json!({"content": "a"})), error.clone()]);
    let (events, end) = read_every_way(&said);
    assert_eq!(events, [start(), text("a")]);
    let Err(StreamFault::Upstream(body)) = end else { panic!("{end:?}") };
    assert_eq!(body.status, Some(503));
    let named = format!("event: error\ndata: {error}\n\n");
    assert!(matches!(read_every_way(&named), (events, Err(StreamFault::Upstream(_))) if events.is_empty()));
    let vllm = frames(&[json!({"object": "error", "message": "no"})]);
    assert!(matches!(read_every_way(&vllm).1, Err(StreamFault::Upstream(_))));
}

#[test]
fn an_end_that_is_none_is_a_fault() {
    assert_eq!(read_every_way(": only a comment\n\n").1, Err(StreamFault::Empty));
    assert_eq!(read(&[]).1, Err(StreamFault::Empty));
    let cut = frames(&[delta(json!({"content": "a"}))]);
    assert_eq!(read_every_way(&cut).1, Err(StreamFault::Truncated));
    let half = format!("{cut}data: {{\"choi");
    assert_eq!(read(&[half.as_bytes()]).1, Err(StreamFault::Truncated));
}

#[test]
fn a_stream_that_lacks_only_its_done_is_whole() {
    let said = frames(&[delta(json!({"content": "a"})), stop("stop")]);
    assert_eq!(read_every_way(&said), read_every_way(&format!("{said}data: [DONE]\n\n")));
    let half = format!("{said}data: {{\"choi");
    assert_eq!(read(&[half.as_bytes()]), read(&[said.as_bytes()]));
}

#[test]
fn what_comes_behind_done_is_not_read() {
    let said = [delta(json!({"content": "a"})), stop("stop")];
    let late = format!("{}{}", stream(&said), frames(&[delta(json!({"content": "b"}))]));
    assert_eq!(read_every_way(&late), read_every_way(&stream(&said)));
}

#[test]
fn a_frame_above_the_limit_or_without_json_is_a_fault() {
    let mut reader = ChatEvents::new(16);
    let long = Bytes::from(frames(&[delta(json!({"content": "a"}))]));
    assert_eq!(reader.push(long, &mut Vec::new()), Err(StreamFault::FrameTooLarge { limit: 16 }));
    assert!(matches!(read_every_way("data: <html>\n\n").1, Err(StreamFault::Malformed(_))));
    assert!(matches!(read_every_way("data: []\n\n").1, Err(StreamFault::Malformed(_))));
}

#[test]
fn a_chunk_like_the_one_before_is_read_as_well_as_any() {
    let piece = |name: &str, text: &str| delta(json!({name: text}));
    let odd = "\u{e9}\"\\\n\u{1f600}";
    let mut with_usage = piece("content", "f");
    with_usage["usage"] = usage_chunk()["usage"].clone();
    let said = [
        piece("content", "a"),
        piece("content", "b"),
        piece("content", odd),
        piece("content", ""),
        piece("reasoning", "c"),
        piece("reasoning", "d"),
        piece("content", "e"),
        with_usage,
        piece("content", "g"),
        stop("stop"),
    ];
    let (events, end) = read_every_way(&stream(&said));
    let thinking = |text: &str| Event::Thinking(text.to_owned());
    let expected = [
        start(),
        text("a"),
        text("b"),
        text(odd),
        thinking("c"),
        thinking("d"),
        text("e"),
        text("f"),
        Event::Usage(REPORTED),
        text("g"),
        finish(Finish::Stop),
        Event::End,
    ];
    assert_eq!((events.as_slice(), end), (expected.as_slice(), Ok(())));
}

#[test]
fn a_preamble_about_the_prompt_does_not_name_the_answer() {
    let preamble =
        json!({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]});
    let said = [delta(json!({"content": "a"})), stop("stop")];
    let with_preamble = [&[preamble], &said[..]].concat();
    assert_eq!(read_every_way(&stream(&with_preamble)), read_every_way(&stream(&said)));
}

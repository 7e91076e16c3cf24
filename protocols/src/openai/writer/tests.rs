use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::event::EventReader;
use crate::openai::ChatEvents;

const IDENTITY: Identity<'static> = Identity { id: "chatcmpl-1", model: "named", created: 7 };

fn written(show_usage: bool, events: &[Event]) -> String {
    let mut writer = ChatWriter::new(IDENTITY, show_usage);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    String::from_utf8(out.to_vec()).unwrap()
}

/// The data of each frame, which are all that was written.
fn data(stream: &str) -> Vec<&str> {
    assert!(stream.is_empty() || stream.ends_with("\n\n"));
    let frames = stream.split_terminator("\n\n");
    frames.map(|frame| frame.strip_prefix("data: ").unwrap_or(frame)).collect()
}

/// The chunks of an answer with these events between its start and its end.
fn chunks(events: &[Event]) -> Vec<Value> {
    let data = data(&written(true, events)).into_iter().map(String::from).collect::<Vec<_>>();
    data.iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn start() -> Event {
    Event::Start { id: Some("msg_1".to_owned()), model: Some("m".to_owned()) }
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn call(call: usize, signature: Option<&str>) -> Event {
    let signature = signature.map(String::from);
    Event::CallStart { call, id: format!("c{call}"), name: "f".to_owned(), signature }
}

fn arguments(call: usize, json: &str) -> Event {
    Event::CallArguments { call, json: json.to_owned() }
}

fn finish(reason: Finish) -> Event {
    Event::Finish { reason, stop_sequence: None }
}

const USAGE: Usage = Usage { input: 4, cache_read: 3, cache_write: 2, output: 5, reasoning: 1 };

#[test]
fn a_stream_is_written_as_openai_writes_it() {
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":null"#;
    let choice = |delta: &str, reason: &str| {
        format!(
            r#"{head},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}]}}"#
        )
    };
    let stream =
        written(false, &[start(), text("Hi\n"), finish(Finish::Stop), Event::Usage(USAGE), Event::End]);
    let expected = [
        choice(r#"{"role":"assistant","content":"","refusal":null}"#, "null"),
        choice(r#"{"content":"Hi\n"}"#, "null"),
        choice("{}", r#""stop""#),
        "[DONE]".to_owned(),
    ];
    assert_eq!(data(&stream), expected);
}

#[test]
fn usage_is_shown_once_to_who_asked() {
    let early = Usage { output: 1, ..USAGE };
    let events =
        [start(), Event::Usage(early), text("a"), finish(Finish::Stop), Event::Usage(USAGE), Event::End];
    let shown = chunks(&events);
    let (last, others) = shown.split_last().unwrap();
    assert!(others.iter().all(|chunk| chunk["usage"] == Value::Null && chunk.get("usage").is_some()));
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"],
        json!({
            "prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        })
    );
    assert_eq!(data(&written(true, &events)).last(), Some(&"[DONE]"));
    assert!(!written(false, &events).contains("usage"));
}

#[test]
fn calls_are_opened_once_and_their_arguments_follow_by_index() {
    let events = [
        call(0, None),
        call(1, Some("sig==")),
        arguments(1, "{\"a\":"),
        arguments(0, "{}"),
        arguments(1, "1}"),
    ];
    let pieces: Vec<Value> = chunks(&events)
        .into_iter()
        .map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].clone())
        .collect();
    assert_eq!(
        pieces,
        [
            json!({"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 1, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""},
                "extra_content": {"google": {"thought_signature": "sig=="}}}),
            json!({"index": 1, "function": {"arguments": "{\"a\":"}}),
            json!({"index": 0, "function": {"arguments": "{}"}}),
            json!({"index": 1, "function": {"arguments": "1}"}}),
        ]
    );
}

#[test]
fn every_reason_has_a_word_that_clients_know_and_unknown_ones_are_never_a_stop() {
    let words = |reason: Finish| {
        let chunk = chunks(&[finish(reason)]).remove(0);
        let choice = &chunk["choices"][0];
        let word = |name: &str| choice[name].as_str().map(String::from);
        (word("finish_reason").unwrap(), word("native_finish_reason"))
    };
    let plain = |word: &str| (word.to_owned(), None);
    let with = |word: &str, native: &str| (word.to_owned(), Some(native.to_owned()));
    assert_eq!(words(Finish::Stop), plain("stop"));
    assert_eq!(words(Finish::StopSequence), plain("stop"));
    assert_eq!(words(Finish::Length), plain("length"));
    assert_eq!(words(Finish::ContextWindow), with("length", "model_context_window_exceeded"));
    assert_eq!(words(Finish::ToolCalls), plain("tool_calls"));
    assert_eq!(words(Finish::ContentFilter), plain("content_filter"));
    assert_eq!(words(Finish::Refusal), with("content_filter", "refusal"));
    assert_eq!(words(Finish::PauseTurn), with("length", "pause_turn"));
    assert_eq!(words(Finish::Other("new".to_owned())), with("length", "new"));
}

#[test]
fn a_refusal_in_words_ends_as_openais_do() {
    let shown = chunks(&[Event::Refusal("No.".to_owned()), finish(Finish::Refusal)]);
    assert_eq!(shown[0]["choices"][0]["delta"], json!({"refusal": "No."}));
    assert_eq!(shown[1]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn the_stop_text_is_named() {
    let met = Event::Finish { reason: Finish::StopSequence, stop_sequence: Some("END".to_owned()) };
    assert_eq!(chunks(&[met])[0]["choices"][0]["stop_reason"], "END");
}

#[test]
fn a_ping_is_a_comment() {
    assert_eq!(written(true, &[Event::Ping]), ": keep-alive\n\n");
}

#[test]
fn without_a_model_of_the_upstream_the_named_one_is_shown() {
    assert_eq!(chunks(&[Event::Start { id: None, model: None }])[0]["model"], "named");
}

#[test]
fn thoughts_are_told_apart_so_that_each_keeps_its_signature() {
    let thinking = |text: &str| Event::Thinking(text.to_owned());
    let said = [
        start(),
        thinking("a"),
        thinking("b"),
        Event::Signature("s0".to_owned()),
        Event::Redacted("x".to_owned()),
        thinking("c"),
        text("So."),
        thinking("d"),
        call(0, None),
        finish(Finish::ToolCalls),
        Event::End,
    ];
    let indices: Vec<_> = chunks(&said)
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["reasoning_details"][0]["index"].as_u64())
        .collect();
    assert_eq!(indices, [0, 0, 0, 1, 2, 3]);
    // And they are read as they were written.
    let mut read = Vec::new();
    let stream = Bytes::from(written(false, &said));
    ChatEvents::new(1 << 20).push(stream, &mut read).unwrap();
    assert_eq!(read[1..], said[1..]);
}

#[test]
fn any_character_of_a_text_arrives() {
    let odd = "\u{0}\u{1f}\"\\\u{7f}\u{2028}\u{1f600}";
    let shown = chunks(&[text(odd)]);
    assert_eq!(shown[0]["choices"][0]["delta"]["content"], odd);
}

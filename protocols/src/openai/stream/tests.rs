use serde_json::{Value, json};

use super::*;
use crate::sse::DEFAULT_MAX_FRAME_BYTES;

/// All that a relay learns from one stream.
#[derive(Debug, PartialEq)]
struct Seen {
    bytes: String,
    end: Result<(), StreamFault>,
    has_content: bool,
    is_terminal: bool,
    usage: Option<Usage>,
    counted: Usage,
}

fn relay(show_usage: bool, chunks: &[&[u8]]) -> Seen {
    let max_frame_bytes = DEFAULT_MAX_FRAME_BYTES;
    let mut stream = ChatStream::new(StreamOptions { show_usage, max_frame_bytes });
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    Seen {
        bytes: String::from_utf8(out.iter().flatten().copied().collect()).unwrap(),
        end,
        has_content: stream.has_content(),
        is_terminal: stream.is_terminal(),
        usage: stream.usage().copied(),
        counted: stream.counted(),
    }
}

/// Relays the stream with every line end, cut at every byte: each time the result must be that of
/// the whole.
fn relay_every_way(show_usage: bool, stream: &str) -> Seen {
    for end in ["\r\n", "\r"] {
        let stream = stream.replace('\n', end);
        let bytes = stream.as_bytes();
        let whole = relay(show_usage, &[bytes]);
        for cut in 0..=bytes.len() {
            let seen = relay(show_usage, &[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(seen, whole, "cut at {cut} with {end:?}");
        }
    }
    let bytes = stream.as_bytes();
    let whole = relay(show_usage, &[bytes]);
    for cut in 0..=bytes.len() {
        let seen = relay(show_usage, &[&bytes[..cut], &bytes[cut..]]);
        assert_eq!(seen, whole, "cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(relay(show_usage, &single), whole, "byte by byte");
    whole
}

fn frames(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

/// The JSON of each data frame but `[DONE]`.
fn chunks(bytes: &str) -> Vec<Value> {
    let data = bytes.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

const ROLE: &str =
    r#"{"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const TEXT: &str = r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"Hi\n\u00e9"},"logprobs":null,"finish_reason":null}]}"#;
const STOP: &str = r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str =
    r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;
const REPORTED: Usage = Usage { input: 9, cache_read: 0, cache_write: 0, output: 3, reasoning: 0 };

#[test]
fn a_stream_in_good_order_passes_byte_for_byte() {
    let stream = format!(": hello\n\n{}", frames(&[ROLE, TEXT, STOP, USAGE, "[DONE]"]));
    let seen = relay_every_way(true, &stream);
    assert_eq!(seen.bytes, stream);
    assert_eq!(seen.end, Ok(()));
    assert!(seen.has_content && seen.is_terminal);
    assert_eq!(seen.usage, Some(REPORTED));
    assert!(seen.counted.output > 0);
}

#[test]
fn what_passes_leaves_as_one_slice_of_the_chunk() {
    let chunk = Bytes::from(frames(&[ROLE, TEXT, STOP, USAGE, "[DONE]"]));
    let options = StreamOptions { show_usage: true, max_frame_bytes: DEFAULT_MAX_FRAME_BYTES };
    let mut stream = ChatStream::new(options);
    let mut out = VecDeque::new();
    stream.push(chunk.clone(), &mut out).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
}

#[test]
fn a_usage_chunk_nobody_asked_for_is_dropped_and_still_read() {
    let seen = relay_every_way(false, &frames(&[TEXT, STOP, USAGE, "[DONE]"]));
    assert_eq!(seen.bytes, frames(&[TEXT, STOP, "[DONE]"]));
    assert_eq!(seen.usage, Some(REPORTED));
}

const STOP_WITH_USAGE: &str = r#"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12},"x":1.0}"#;

#[test]
fn usage_beside_choices_moves_into_a_chunk_of_its_own() {
    let seen = relay_every_way(true, &frames(&[TEXT, STOP_WITH_USAGE, "[DONE]"]));
    let usage = r#"{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}"#;
    let moved = STOP_WITH_USAGE.replace(usage, "null");
    let own = format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{usage}}}"#
    );
    assert_eq!(seen.bytes, frames(&[TEXT, &moved, &own, "[DONE]"]));
    assert_eq!(seen.usage, Some(REPORTED));
}

#[test]
fn usage_beside_choices_vanishes_when_nobody_asked() {
    let seen = relay_every_way(false, &frames(&[TEXT, STOP_WITH_USAGE, "[DONE]"]));
    let usage = r#","usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}"#;
    let bare = STOP_WITH_USAGE.replace(usage, "");
    assert_eq!(seen.bytes, frames(&[TEXT, &bare, "[DONE]"]));
    assert_eq!(seen.usage, Some(REPORTED));
}

#[test]
fn running_usage_on_every_chunk_ends_as_one_chunk_with_the_last_count() {
    let running = |text: &str, tokens: u64| {
        json!({"id": "c1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
            "usage": {"prompt_tokens": 9, "completion_tokens": tokens}})
        .to_string()
    };
    let chunk = [running("a", 1), running("b", 2)];
    let stream = frames(&[&chunk[0], &chunk[1], STOP_WITH_USAGE, USAGE, "[DONE]"]);
    let shown = chunks(&relay_every_way(true, &stream).bytes);
    let with_usage: Vec<_> = shown.iter().filter(|chunk| !chunk["usage"].is_null()).collect();
    assert_eq!(with_usage, [shown.last().unwrap()]);
    assert_eq!(shown.len(), 4);
    assert_eq!(shown[3]["choices"], json!([]));
    assert_eq!(shown[3]["usage"]["completion_tokens"], 3);
    let hidden = relay_every_way(false, &stream);
    assert!(!hidden.bytes.contains("usage"));
    assert_eq!(hidden.usage, Some(REPORTED));
}

#[test]
fn a_usage_chunk_without_choices_gets_the_empty_list() {
    for choices in ["", r#""choices":null,"#] {
        let bare = format!(r#"{{"id":"c1",{choices}"usage":{{"prompt_tokens":9,"completion_tokens":3}}}}"#);
        let stream = frames(&[TEXT, STOP, &bare, "[DONE]"]);
        let shown = chunks(&relay_every_way(true, &stream).bytes);
        assert_eq!((shown.len(), &shown[2]["choices"]), (3, &json!([])));
        assert_eq!(shown[2]["usage"]["prompt_tokens"], 9);
        let hidden = relay_every_way(false, &stream);
        assert_eq!(hidden.bytes, frames(&[TEXT, STOP, "[DONE]"]));
        assert_eq!(hidden.usage, Some(REPORTED));
    }
}

#[test]
fn of_two_usage_chunks_the_later_is_shown_right_before_the_end() {
    let early = USAGE.replace("12", "9").replace(":3", ":0");
    let seen = relay_every_way(true, &frames(&[&early, TEXT, STOP, USAGE, "[DONE]"]));
    assert_eq!(seen.bytes, frames(&[TEXT, STOP, USAGE, "[DONE]"]));
}

#[test]
fn groqs_own_usage_member_is_read_and_left_alone() {
    let groq = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}}"#;
    for show_usage in [true, false] {
        let stream = frames(&[TEXT, groq, "[DONE]"]);
        let seen = relay_every_way(show_usage, &stream);
        assert_eq!((seen.bytes, seen.usage), (stream, Some(REPORTED)));
    }
}

fn with_calls(calls: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":{calls}}},"finish_reason":null}}]}}"#)
}

/// Name and glued arguments of each call, by index, as a client puts them together.
fn assembled(bytes: &str) -> Vec<(String, String)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in chunks(bytes) {
        for piece in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = piece["index"].as_u64().unwrap() as usize;
            calls.resize(calls.len().max(index + 1), Default::default());
            calls[index].0 += piece["function"]["name"].as_str().unwrap_or_default();
            calls[index].1 += piece["function"]["arguments"].as_str().unwrap_or_default();
        }
    }
    calls
}

fn calls(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, args)| ((*name).to_owned(), (*args).to_owned())).collect()
}

#[test]
fn parallel_tool_calls_without_index_are_kept_apart_by_id() {
    let open = r#"[{"id":"a","function":{"name":"f","arguments":""}},{"id":"b","function":{"name":"g","arguments":""}},{"id":"c","function":{"name":"h","arguments":""}}]"#;
    let piece = |id: &str, text: &str| {
        with_calls(&format!(r#"[{{"id":"{id}","function":{{"arguments":"{text}"}}}}]"#))
    };
    let pieces = [piece("c", "{}"), piece("a", "{\\\"x\\\":"), piece("b", "[]"), piece("a", "1}")];
    let mut data = vec![with_calls(open)];
    data.extend(pieces);
    data.extend([STOP.to_owned(), "[DONE]".to_owned()]);
    let data: Vec<_> = data.iter().map(String::as_str).collect();
    let seen = relay_every_way(false, &frames(&data));
    assert_eq!(assembled(&seen.bytes), calls(&[("f", "{\"x\":1}"), ("g", "[]"), ("h", "{}")]));
    assert!(seen.has_content);
}

#[test]
fn calls_opened_one_delta_at_a_time_get_indices_of_their_own() {
    let pieces = [
        r#"[{"id":"a","function":{"name":"f","arguments":""}}]"#,
        r#"[{"function":{"arguments":"1"}}]"#,
        r#"[{"index":null,"id":"b","function":{"name":"g","arguments":""}}]"#,
        r#"[{"function":{"arguments":"2"}}]"#,
        r#"[{"id":"","function":{"name":"h","arguments":"3"}}]"#,
        r#"[{}]"#,
    ];
    let data: Vec<_> = pieces.into_iter().map(with_calls).collect();
    let mut data: Vec<_> = data.iter().map(String::as_str).collect();
    data.push("[DONE]");
    let seen = relay_every_way(false, &frames(&data));
    assert_eq!(assembled(&seen.bytes), calls(&[("f", "1"), ("g", "2"), ("h", "3")]));
}

#[test]
fn pieces_without_id_in_one_array_go_by_their_position() {
    let pieces = [
        r#"[{"id":"a","function":{"name":"f"}},{"id":"b","function":{"name":"g"}}]"#,
        r#"[{"function":{"arguments":"1"}},{"function":{"arguments":"2"}}]"#,
    ];
    let data: Vec<_> = pieces.into_iter().map(with_calls).collect();
    let seen = relay(false, &[frames(&[&data[0], &data[1], "[DONE]"]).as_bytes()]);
    assert_eq!(assembled(&seen.bytes), calls(&[("f", "1"), ("g", "2")]));
}

#[test]
fn a_given_index_is_kept_and_the_frame_untouched() {
    let data = [
        with_calls(r#"[{"index":1,"id":"a","function":{"name":"f","arguments":""}}]"#),
        with_calls(r#"[{"index":1,"function":{"arguments":"{\"id\":9007199254740993}"}}]"#),
    ];
    let stream = frames(&[&data[0], &data[1], "[DONE]"]);
    assert_eq!(relay_every_way(false, &stream).bytes, stream);
}

#[test]
fn choices_have_calls_of_their_own_also_when_the_index_comes_last() {
    let open = |choice: u64, id: &str| {
        format!(
            r#"{{"choices":[{{"delta":{{"tool_calls":[{{"id":"{id}","function":{{"name":"f"}}}}]}},"index":{choice}}}]}}"#
        )
    };
    let (first, second) = (open(0, "a"), open(1, "b"));
    let seen = relay_every_way(false, &frames(&[&first, &second, "[DONE]"]));
    for chunk in chunks(&seen.bytes) {
        assert_eq!(chunk["choices"][0]["delta"]["tool_calls"][0]["index"], 0);
    }
}

#[test]
fn an_empty_finish_reason_becomes_null_and_ends_nothing() {
    let empty = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}"#;
    let seen = relay_every_way(false, &frames(&[empty, STOP, "[DONE]"]));
    assert_eq!(seen.bytes, frames(&[&empty.replace("\"\"", "null"), STOP, "[DONE]"]));
    let cut = relay_every_way(false, &frames(&[empty]));
    assert_eq!(cut.end, Err(StreamFault::Truncated));
}

#[test]
fn a_stream_whose_done_alone_is_missing_gets_one() {
    let seen = relay_every_way(true, &frames(&[TEXT, STOP, USAGE]));
    assert_eq!(seen.bytes, frames(&[TEXT, STOP, USAGE, "[DONE]"]));
    assert_eq!((seen.end, seen.is_terminal), (Ok(()), true));
}

#[test]
fn a_last_event_without_its_blank_line_is_completed() {
    let whole = frames(&[TEXT, STOP, "[DONE]"]);
    for cut in 1..=2 {
        let seen = relay(false, &[&whole.as_bytes()[..whole.len() - cut]]);
        assert_eq!((seen.bytes.as_str(), seen.end), (whole.as_str(), Ok(())));
    }
    let seen = relay(false, &[frames(&[TEXT, STOP]).as_bytes(), b"data: [DO"]);
    assert_eq!((seen.bytes.as_str(), seen.end), (whole.as_str(), Ok(())));
}

#[test]
fn a_stream_that_stops_in_mid_answer_is_truncated() {
    let second = STOP.replace("\"index\":0", "\"index\":1");
    let cases = [
        frames(&[ROLE, TEXT]),
        frames(&[TEXT, &second]),
        format!("{}data: {{\"choices\":[{{", frames(&[TEXT])),
    ];
    for stream in cases {
        let seen = relay_every_way(false, &stream);
        assert_eq!((seen.end, seen.is_terminal), (Err(StreamFault::Truncated), false));
        assert!(stream.starts_with(&seen.bytes));
    }
}

#[test]
fn a_stream_of_nothing_but_comments_is_empty() {
    for stream in ["", "\n", ": keep-alive\n\n: keep-alive\n\n", "retry: 1\n\n", "data:\n\n"] {
        let seen = relay_every_way(false, stream);
        assert_eq!((seen.bytes.as_str(), seen.end), (stream, Err(StreamFault::Empty)));
    }
}

#[test]
fn an_answer_without_content_is_complete_with_its_end() {
    let seen = relay_every_way(false, &frames(&[ROLE, STOP, "[DONE]"]));
    assert_eq!((seen.end, seen.has_content, seen.is_terminal), (Ok(()), false, true));
}

#[test]
fn reasoning_refusals_audio_and_unknown_kinds_are_content() {
    for member in [
        r#""reasoning_content":"hm""#,
        r#""reasoning":"hm""#,
        r#""refusal":"no""#,
        r#""audio":{"data":"AAAA"}"#,
        r#""images":[{}]"#,
        r#""tool_calls":[{"index":0}]"#,
        r#""function_call":{"name":"f"}"#,
        r#""something_new":"x""#,
    ] {
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{{"role":"assistant",{member}}}}}]}}"#);
        assert!(relay(false, &[frames(&[&chunk]).as_bytes()]).has_content, "{member}");
    }
    for member in [r#""content":"""#, r#""content":null"#, r#""tool_calls":[]"#, r#""n":1"#] {
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{{"role":"assistant",{member}}}}}]}}"#);
        assert!(!relay(false, &[frames(&[&chunk]).as_bytes()]).has_content, "{member}");
    }
}

#[test]
fn reasoning_is_counted_once_and_apart_from_the_answer() {
    let both =
        r#"{"choices":[{"index":0,"delta":{"reasoning":"word word","reasoning_content":"word word"}}]}"#;
    let one = r#"{"choices":[{"index":0,"delta":{"reasoning":"word word"}}]}"#;
    let counted = |chunk| relay(false, &[frames(&[chunk]).as_bytes()]).counted;
    assert!(counted(one).reasoning > 0);
    assert_eq!(counted(one).output, 0);
    assert_eq!(counted(both), counted(one));
}

/// A chunk like the one before it is not scanned again; that must not show.
#[test]
fn a_chunk_that_repeats_counts_like_a_new_one() {
    let deltas = [
        r#"{"role":"assistant","content":""}"#,
        r#"{"role":"assistant","content":"one"}"#,
        r#"{"role":"assistant","content":"two \u00e9\n"}"#,
        r#"{"role":"assistant","content":""}"#,
        r#"{"role":"assistant","content":12345}"#,
        r#"{"role":"assistant","content":"\"three\""}"#,
        r#"{"role":"assistant","content":"a","reasoning":"b"}"#,
        r#"{"role":"assistant","content":"a","reasoning":"bbbb"}"#,
        r#"{"role":"assistant","content":"","reasoning":"bb"}"#,
        r#"{"role":"assistant","content":"","reasoning":"bbb"}"#,
        r#"{"role":"assistant","content":"four","x":{"content":"}"}}"#,
        r#"{"role":"assistant","content":"four","x":{"content":"}}"}}"#,
        r#"{"content":"five","tool_calls":[{"id":"a","function":{"name":"f"}}]}"#,
        r#"{"content":"six","tool_calls":[{"id":"a","function":{"name":"f"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"x\":1}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"f"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g"}}]}"#,
        r#"{"tool_calls":[{"index":2,"function":{"name":"f"}}]}"#,
        r#"{"tool_calls":[{"index":3,"function":{"name":"g","arguments":"1"}}]}"#,
        r#"{"tool_calls":[{"index":2,"function":{"name":"f"}}]}"#,
        r#"{"tool_calls":[{"function":{"arguments":"2"}}]}"#,
    ];
    let mut alike = String::new();
    let mut unlike = String::new();
    for (i, delta) in deltas.iter().enumerate() {
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]"#);
        alike += &frames(&[&format!("{chunk}}}")]);
        unlike += &frames(&[&format!("{chunk},\"x\":{i}}}")]);
        let (alike, unlike) = (relay(false, &[alike.as_bytes()]), relay(false, &[unlike.as_bytes()]));
        assert_eq!(alike.counted, unlike.counted, "{delta}");
        assert_eq!(alike.has_content, unlike.has_content, "{delta}");
        let choices = |bytes: &str| -> Vec<Value> {
            chunks(bytes).iter().map(|chunk| chunk["choices"].clone()).collect()
        };
        assert_eq!(choices(&alike.bytes), choices(&unlike.bytes), "{delta}");
        assert_eq!(choices(&alike.bytes).len(), i + 1);
    }
}

#[test]
fn the_latest_report_counts_also_when_its_chunk_repeats() {
    let groq = |tokens: u64| {
        format!(
            r#"{{"x_groq":{{"usage":{{"prompt_tokens":{tokens}}}}},"choices":[{{"index":0,"delta":{{"content":"a"}}}}]}}"#
        )
    };
    let silent = groq(7).replace("\"a\"", "\"\"");
    let stream = frames(&[&groq(5), &silent, &groq(5)]);
    assert_eq!(relay(false, &[stream.as_bytes()]).usage.unwrap().input, 5);
}

#[test]
fn a_chunk_that_only_looks_like_the_one_before_is_judged() {
    let chunk = |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{text}}}}}]}}"#);
    for text in [r#""a" "b""#, r#""a"#, "\"\u{1}\"", r#""a\x""#, r#""a","content":1,"#] {
        let seen = relay(false, &[frames(&[&chunk("\"a\""), &chunk(text)]).as_bytes()]);
        assert!(matches!(seen.end, Err(StreamFault::Malformed(_))), "{text}");
    }
    let error = r#""a"}}],"error":{"message":"busy"},"x":[{"y":{"z":"""#;
    let seen = relay(false, &[frames(&[&chunk("\"a\""), &chunk(error)]).as_bytes()]);
    assert!(matches!(seen.end, Err(StreamFault::Upstream(_))));
}

#[test]
fn an_error_in_the_stream_is_a_fault_behind_what_was_good() {
    let error = r#"{"error":{"message":"busy","type":"server_error","code":503}}"#;
    let with_choices = error.replace("{\"error\"", "{\"choices\":[{\"finish_reason\":\"error\"}],\"error\"");
    let streams = [
        frames(&[TEXT, error]),
        frames(&[TEXT, &with_choices, "[DONE]"]),
        format!("{}event: error\ndata: {error}\n\n", frames(&[TEXT])),
    ];
    for stream in streams {
        let seen = relay_every_way(false, &stream);
        assert_eq!(seen.bytes, frames(&[TEXT]));
        let Err(StreamFault::Upstream(error)) = seen.end else { panic!("{stream}") };
        assert_eq!((error.message.as_deref(), error.status), (Some("busy"), Some(503)));
        assert!(!seen.is_terminal);
    }
    let named = relay_every_way(false, "event: error\ndata: busy\n\n");
    assert!(matches!(named.end, Err(StreamFault::Upstream(_))));
    let fine = frames(&[&TEXT.replace("{\"id\"", "{\"error\":null,\"id\""), STOP, "[DONE]"]);
    assert_eq!(relay(false, &[fine.as_bytes()]).bytes, fine);
}

#[test]
fn data_that_is_no_chunk_is_a_fault() {
    for data in ["<html>", "{\"a\":NaN}", "null", "[]", "{\"choices\":[}", "{} {}"] {
        let seen = relay_every_way(false, &frames(&[TEXT, data, "[DONE]"]));
        assert_eq!(seen.bytes, frames(&[TEXT]), "{data}");
        assert!(matches!(seen.end, Err(StreamFault::Malformed(_))), "{data}");
    }
    let not_utf8 = relay(false, &[b"data: {\"a\":\"\xff\"}\n\n"]);
    assert!(matches!(not_utf8.end, Err(StreamFault::Malformed(ChunkFault::Json(_)))));
    let deep = format!("data: {{\"x\":{}\n\n", "[".repeat(100_000));
    assert!(matches!(relay(false, &[deep.as_bytes()]).end, Err(StreamFault::Malformed(_))));
    let many: Vec<_> = (0..300).map(|i| format!("{{\"index\":{i}}}")).collect();
    let many = format!("{{\"choices\":[{}]}}", many.join(","));
    let seen = relay(false, &[frames(&[&many]).as_bytes()]);
    assert_eq!(seen.end, Err(StreamFault::Malformed(ChunkFault::TooManyChoices { limit: 256 })));
}

#[test]
fn nothing_behind_done_is_relayed_or_judged() {
    let end = frames(&[TEXT, STOP, "[DONE]"]);
    let stream = format!("{end}{}: late\n\n", frames(&[TEXT, "garbage", "[DONE]"]));
    let seen = relay_every_way(false, &stream);
    assert_eq!((seen.bytes, seen.end), (end, Ok(())));
}

#[test]
fn too_much_behind_done_is_no_fault() {
    let options = StreamOptions { show_usage: false, max_frame_bytes: 100 };
    let mut stream = ChatStream::new(options);
    let mut out = VecDeque::new();
    let late = format!("data: [DONE]\n\n{}", "x".repeat(200));
    assert_eq!(stream.push(Bytes::from(late), &mut out), Ok(()));
    assert_eq!(stream.finish(&mut out), Ok(()));
    assert_eq!((out.len(), stream.is_terminal()), (1, true));
}

#[test]
fn zeros_behind_a_real_count_say_nothing() {
    let zeros = USAGE.replace("\":9", "\":0").replace("\":3", "\":0").replace("12", "0");
    let seen = relay_every_way(false, &frames(&[TEXT, USAGE, &zeros, STOP, "[DONE]"]));
    assert_eq!(seen.usage, Some(REPORTED));
    let seen = relay_every_way(false, &frames(&[TEXT, &zeros, STOP, "[DONE]"]));
    assert_eq!(seen.usage, Some(Usage::default()));
}

#[test]
fn after_a_fault_nothing_more_comes() {
    let options = StreamOptions { show_usage: false, max_frame_bytes: DEFAULT_MAX_FRAME_BYTES };
    let mut stream = ChatStream::new(options);
    let mut out = VecDeque::new();
    assert!(stream.push(Bytes::from_static(b"data: no\n\n"), &mut out).is_err());
    assert_eq!(stream.push(Bytes::from(frames(&[TEXT])), &mut out), Ok(()));
    assert_eq!(stream.finish(&mut out), Ok(()));
    assert!(out.is_empty() && !stream.is_terminal());
}

#[test]
fn one_huge_line_passes_up_to_the_limit() {
    let huge = |bytes: usize| {
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(bytes)}}]});
        frames(&[&chunk.to_string()])
    };
    let relay = |stream: &str| {
        let options = StreamOptions { show_usage: false, max_frame_bytes: 8 * 1024 * 1024 };
        let mut relay = ChatStream::new(options);
        let mut out = VecDeque::new();
        let mut pieces = stream.as_bytes().chunks(16 * 1024);
        let end = pieces.try_for_each(|piece| relay.push(Bytes::copy_from_slice(piece), &mut out));
        (end, out.iter().map(Bytes::len).sum::<usize>())
    };
    let fits = huge(8 * 1024 * 1024 - 100);
    assert_eq!(relay(&fits), (Ok(()), fits.len()));
    let limit = 8 * 1024 * 1024;
    assert_eq!(relay(&huge(limit)), (Err(StreamFault::FrameTooLarge { limit }), 0));
}

#[test]
fn half_surrogates_and_long_numbers_pass_as_bytes() {
    let delta =
        |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],"t":1.0e2}}"#);
    let halves = [delta("\\ud83d"), delta("\\ude00"), delta("\\ud83d")];
    let call =
        with_calls(r#"[{"index":0,"function":{"arguments":"{\"id\":1234567890123456789,\"x\":\"\ud83d"}}]"#);
    let stream = frames(&[&halves[0], &halves[1], &halves[2], &call, STOP, "[DONE]"]);
    assert_eq!(relay_every_way(false, &stream).bytes, stream);
}

#[test]
fn data_in_several_lines_is_one_chunk_and_repaired_line_by_line() {
    let stream = "event: message\ndata: {\"id\":\ndata:  \"c1\", \"choices\": [{\"index\":0,\ndata: \"delta\":{},\"finish_reason\":\"\"}],\ndata: \"usage\": {\"prompt_tokens\":9,\ndata: \"completion_tokens\":3}}\n: note\n\ndata: [DONE]\n\n";
    let seen = relay_every_way(true, stream);
    let expected = "event: message\ndata: {\"id\":\ndata:  \"c1\", \"choices\": [{\"index\":0,\ndata: \"delta\":{},\"finish_reason\":null}],\ndata: \"usage\": null}\n: note\n\ndata: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9, \"completion_tokens\":3}}\n\ndata: [DONE]\n\n";
    assert_eq!(seen.bytes, expected);
    assert_eq!(seen.usage, Some(REPORTED));
}

#[test]
fn a_chunk_cut_off_behind_its_finish_reason_does_not_end_the_stream() {
    let stream = frames(&[TEXT, STOP]);
    let from = stream.find(STOP).unwrap() - "data: ".len();
    // All but the whole chunk, whose blank line alone may be missing.
    for cut in from + 1..from + "data: ".len() + STOP.len() {
        let seen = relay(true, &[&stream.as_bytes()[..cut]]);
        assert_eq!((seen.end, seen.bytes), (Err(StreamFault::Truncated), frames(&[TEXT])), "cut at {cut}");
    }
}

#[test]
fn every_piece_of_content_counts_however_little_of_a_token_it_holds() {
    let options = StreamOptions { show_usage: true, max_frame_bytes: DEFAULT_MAX_FRAME_BYTES };
    for delta in [
        r#""content":"a""#,
        r#""refusal":"a""#,
        r#""reasoning":"a""#,
        r#""audio":{"data":"UklGRg=="}"#,
        r#""tool_calls":[{"index":0,"function":{"arguments":"1"}}]"#,
    ] {
        let mut stream = ChatStream::new(options);
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{{{delta}}}}}]}}"#);
        for pieces in 1..=4 {
            stream.push(Bytes::from(frames(&[&chunk])), &mut VecDeque::new()).unwrap();
            assert_eq!(stream.contents(), pieces, "{delta}");
        }
        stream.push(Bytes::from(frames(&[ROLE, STOP, USAGE])), &mut VecDeque::new()).unwrap();
        assert_eq!(stream.contents(), 4, "{delta}");
    }
}

use super::*;
use crate::openai::UpstreamErrorBody;

/// All that a relay learns from one stream.
#[derive(Debug, PartialEq)]
struct Seen {
    bytes: String,
    end: Result<(), StreamFault>,
    contents: u64,
    is_terminal: bool,
    usage: Option<Usage>,
    counted: Usage,
}

fn relay(chunks: &[&[u8]]) -> Seen {
    let mut stream = MessagesStream::new(1 << 16);
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    Seen {
        bytes: String::from_utf8(out.iter().flatten().copied().collect()).unwrap(),
        end,
        contents: stream.contents(),
        is_terminal: stream.is_terminal(),
        usage: stream.usage(),
        counted: stream.counted(),
    }
}

/// Relays the stream with every line end, cut at every byte: each time the result must be that of the whole.
fn relay_every_way(stream: &str) -> Seen {
    for end in ["\r\n", "\r", "\n"] {
        let stream = stream.replace('\n', end);
        let bytes = stream.as_bytes();
        let whole = relay(&[bytes]);
        for cut in 0..=bytes.len() {
            assert_eq!(relay(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut} with {end:?}");
        }
    }
    relay(&[stream.as_bytes()])
}

fn frames(data: &[&str]) -> String {
    let name = |data: &str| data.split('"').nth(3).unwrap_or_default().to_owned();
    data.iter().map(|data| format!("event: {}\ndata: {data}\n\n", name(data))).collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":7,"cache_read_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":2},"output_tokens":1,"service_tier":"standard"},"new_member":[1.0e2]}}"#;
const PING: &str = r#"{"type": "ping"}"#;
const THINKING: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#;
const THOUGHT: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm, well"}}"#;
const SIGNATURE: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAh=="}}"#;
const STOP_0: &str = r#"{"type":"content_block_stop","index":0}"#;
const REDACTED: &str =
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"xyz"}}"#;
const SERVER_TOOL: &str = r#"{"type":"content_block_start","index":2,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[{"url":"u"}]}}"#;
const TOOL: &str = r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t","name":"look","input":{}}}"#;
const INPUT: &str = r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"id\":9007199254740993001}"}}"#;
const TEXT: &str =
    r#"{"type":"content_block_delta","index":4,"delta":{"type":"text_delta","text":"Caf\u00e9 \ud83d"}}"#;
const UNKNOWN: &str = r#"{"type":"something_new","deep":{"a":[{}]}}"#;
const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":50}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

const REPORTED: Usage = Usage { input: 10, cache_read: 300, cache_write: 7, output: 50, reasoning: 0 };

#[test]
fn a_stream_passes_byte_for_byte_with_thoughts_signatures_and_unknown_events() {
    let data = [
        START,
        PING,
        THINKING,
        THOUGHT,
        SIGNATURE,
        STOP_0,
        REDACTED,
        SERVER_TOOL,
        TOOL,
        INPUT,
        TEXT,
        UNKNOWN,
        DELTA,
        STOP,
    ];
    let stream = format!(": welcome\n\n{}", frames(&data));
    let seen = relay_every_way(&stream);
    assert_eq!(seen.bytes, stream);
    assert_eq!(seen.end, Ok(()));
    assert!(seen.is_terminal);
    assert_eq!(seen.usage, Some(REPORTED));
    assert_eq!(seen.contents, 7);
    assert!(seen.counted.output > 0 && seen.counted.reasoning > 0);
}

#[test]
fn frames_that_pass_side_by_side_leave_as_one_slice_of_the_upstreams_buffer() {
    let chunk = Bytes::from(frames(&[START, PING, TEXT]));
    let mut stream = MessagesStream::new(1 << 16);
    let mut out = VecDeque::new();
    stream.push(chunk.clone(), &mut out).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].as_ptr(), chunk.as_ptr());
}

#[test]
fn what_comes_behind_the_end_is_dropped() {
    let good = frames(&[START, DELTA, STOP]);
    let seen = relay_every_way(&format!("{good}{}data: not json\n\n", frames(&[TEXT])));
    assert_eq!((seen.bytes, seen.end, seen.contents), (good, Ok(()), 0));
}

#[test]
fn a_missing_last_event_is_written_when_the_reason_is_known() {
    let cut = frames(&[START, TEXT, DELTA]);
    let seen = relay_every_way(&cut);
    assert_eq!((seen.end, seen.is_terminal), (Ok(()), true));
    assert_eq!(seen.bytes, format!("{cut}{}", frames(&[STOP])));
}

#[test]
fn a_cut_stream_is_truncated_wherever_it_was_cut() {
    let whole = frames(&[START, TEXT]);
    // A last event whose blank line never came is one.
    let after_start = frames(&[START]).len();
    for cut in "event: message_start\ndata: {".len()..whole.len() {
        let seen = relay(&[&whole.as_bytes()[..cut]]);
        assert_eq!(seen.end, Err(StreamFault::Truncated), "cut at {cut}");
        assert!(!seen.is_terminal);
        assert_eq!(seen.usage.is_some(), cut + 2 >= after_start, "cut at {cut}");
    }
    assert_eq!(relay(&[b""]).end, Err(StreamFault::Empty));
    assert_eq!(relay(&[b": hello\n\n"]).end, Err(StreamFault::Empty));
}

#[test]
fn an_error_event_ends_the_stream_and_is_not_shown() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    for frame in [format!("event: error\ndata: {error}\n\n"), format!("data: {error}\n\n")] {
        let before = frames(&[START, PING]);
        let seen = relay_every_way(&format!("{before}{frame}"));
        assert_eq!(seen.bytes, before);
        let expected = UpstreamErrorBody {
            message: Some("Overloaded".to_owned()),
            kind: Some("overloaded_error".to_owned()),
            ..UpstreamErrorBody::default()
        };
        assert_eq!(seen.end, Err(StreamFault::Upstream(Box::new(expected))));
    }
}

#[test]
fn what_is_no_json_is_a_fault_once() {
    let mut stream = MessagesStream::new(1 << 16);
    let mut out = VecDeque::new();
    assert!(matches!(stream.push("data: <html>\n\n".into(), &mut out), Err(StreamFault::Unreadable(_))));
    assert_eq!(stream.push(frames(&[START]).into(), &mut out), Ok(()));
    assert_eq!(stream.finish(&mut out), Ok(()));
    assert!(out.is_empty());
    assert!(matches!(relay(&[b"data: [1]\n\n"]).end, Err(StreamFault::Unreadable(_))));
    assert!(matches!(relay(&[b"data: \xff\n\n"]).end, Err(StreamFault::Unreadable(_))));
}

#[test]
fn an_event_above_the_limit_is_a_fault() {
    let mut stream = MessagesStream::new(64);
    let fault = stream.push(frames(&[START]).into(), &mut VecDeque::new());
    assert_eq!(fault, Err(StreamFault::FrameTooLarge { limit: 64 }));
}

#[test]
fn an_event_above_the_limit_behind_the_end_is_dropped_too() {
    let mut stream = MessagesStream::new(128);
    let mut out = VecDeque::new();
    let chunk = format!("{}data: {}\n\n: x\n\n", frames(&[STOP]), "x".repeat(200));
    stream.push(chunk.clone().into(), &mut out).unwrap();
    stream.push(chunk.into(), &mut out).unwrap();
    assert_eq!(out.len(), 1);
    assert!(stream.is_terminal());
}

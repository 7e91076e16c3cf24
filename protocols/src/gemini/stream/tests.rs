use super::*;
use crate::sse::DEFAULT_MAX_FRAME_BYTES;

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
    let mut stream = GenerateStream::new(DEFAULT_MAX_FRAME_BYTES);
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

/// Relays the stream cut at every byte and byte by byte: each time the result must be that of the whole.
fn relay_every_way(stream: &str) -> Seen {
    let bytes = stream.as_bytes();
    let whole = relay(&[bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(relay(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(relay(&single), whole, "byte by byte");
    whole
}

/// Framed as Google does.
fn frames(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\r\n\r\n")).collect()
}

const THOUGHT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Well","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}"#;
const TEXT: &str =
    r#"{"candidates":[{"content":{"parts":[{"text":"Hi \u00e9"}],"role":"model"},"index":0}]}"#;
const CALL: &str = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"id":12345678901234567890}},"thoughtSignature":"c2ln"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;
const STOP: &str = r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"thoughtsTokenCount":5,"totalTokenCount":17},"x":1.0}"#;
const REPORTED: Usage = Usage { input: 9, cache_read: 0, cache_write: 0, output: 3, reasoning: 5 };

#[test]
fn a_stream_passes_byte_for_byte_and_ends_by_its_close() {
    let stream = frames(&[THOUGHT, TEXT, CALL, STOP]);
    let seen = relay_every_way(&stream);
    assert_eq!(seen.bytes, stream);
    assert_eq!((seen.end, seen.contents, seen.is_terminal), (Ok(()), 3, true));
    assert_eq!(seen.usage, Some(REPORTED));
    assert!(seen.counted.output > 0 && seen.counted.reasoning > 0);
}

#[test]
fn what_passes_leaves_as_one_slice_of_the_chunk() {
    let chunk = Bytes::from(frames(&[TEXT, STOP]));
    let mut stream = GenerateStream::new(DEFAULT_MAX_FRAME_BYTES);
    let mut out = VecDeque::new();
    stream.push(chunk.clone(), &mut out).unwrap();
    assert_eq!((out.len(), out[0].as_ptr(), out[0].len()), (1, chunk.as_ptr(), chunk.len()));
}

#[test]
fn a_stream_without_a_finish_reason_is_truncated() {
    let seen = relay_every_way(&frames(&[THOUGHT, TEXT]));
    assert_eq!((seen.end, seen.is_terminal), (Err(StreamFault::Truncated), false));
    let reason = TEXT.replace(r#""index":0"#, r#""index":0,"finishReason":"FINISH_REASON_UNSPECIFIED""#);
    assert_eq!(relay_every_way(&frames(&[&reason])).end, Err(StreamFault::Truncated));
}

#[test]
fn every_candidate_that_began_must_finish() {
    let second = TEXT.replace(r#""index":0"#, r#""index":1"#);
    assert_eq!(relay_every_way(&frames(&[TEXT, &second, STOP])).end, Err(StreamFault::Truncated));
    let both = STOP.replace(r#""index":0"#, r#""index":1"#);
    assert_eq!(relay_every_way(&frames(&[TEXT, &second, STOP, &both])).end, Ok(()));
}

#[test]
fn a_frame_that_was_cut_off_is_missed_only_before_the_end() {
    let cut = format!("{}data: {{\"usageMeta", frames(&[TEXT, STOP]));
    assert_eq!(relay_every_way(&cut).end, Ok(()));
    let cut = format!("{}data: {{\"candidates", frames(&[TEXT]));
    assert_eq!(relay_every_way(&cut).end, Err(StreamFault::Truncated));
    // Only the blank line is missing.
    let seen = relay_every_way(&format!("data: {STOP}"));
    assert_eq!((seen.end, seen.bytes), (Ok(()), format!("data: {STOP}\n\n")));
}

#[test]
fn a_refused_prompt_is_a_whole_answer() {
    let refused =
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}"#;
    let seen = relay_every_way(&frames(&[refused]));
    assert_eq!((seen.end, seen.contents, seen.is_terminal), (Ok(()), 0, true));
}

#[test]
fn an_error_is_a_fault_and_does_not_pass() {
    let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
    for error in [error.to_owned(), format!("[{error}]")] {
        let seen = relay_every_way(&frames(&[TEXT, &error]));
        let Err(StreamFault::Upstream(body)) = seen.end else { panic!("{error} is no fault") };
        assert_eq!((body.status, body.message.as_deref()), (Some(503), Some("overloaded")));
        assert_eq!(seen.bytes, frames(&[TEXT]));
    }
}

#[test]
fn nothing_is_empty_and_what_is_no_response_is_told() {
    assert_eq!(relay(&[]).end, Err(StreamFault::Empty));
    assert_eq!(relay_every_way(": comment\n\n").end, Err(StreamFault::Empty));
    assert!(matches!(relay_every_way(&frames(&["3"])).end, Err(StreamFault::Malformed(_))));
    assert!(matches!(relay_every_way(&frames(&["{\"candidates\":"])).end, Err(StreamFault::Unreadable(_))));
}

#[test]
fn more_candidates_than_anybody_can_ask_for_are_a_fault() {
    let many: Vec<_> =
        (0..100).map(|index| format!(r#"{{"index":{index},"finishReason":"STOP"}}"#)).collect();
    let seen = relay_every_way(&frames(&[&format!(r#"{{"candidates":[{}]}}"#, many.join(","))]));
    assert_eq!(seen.end, Err(ChunkFault::TooManyChoices { limit: CANDIDATES_MAX }.into()));
}

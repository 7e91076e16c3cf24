use serde_json::json;

use super::*;
use crate::translate::{AnswerOptions, Protocol, mendable, resume};

fn options(request: &Bytes) -> AnswerOptions<'_> {
    AnswerOptions {
        id: "id-1",
        model: "model-1",
        created: 1,
        show_usage: true,
        as_array: false,
        max_frame_bytes: 1 << 20,
        request,
    }
}

/// Chat chunks of these pieces, without an end.
fn begun(pieces: &[&str]) -> String {
    let chunk = |delta| {
        json!({"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "m",
               "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    };
    let role = format!("data: {}\n\n", chunk(json!({"role": "assistant", "content": ""})));
    let text = |piece: &&str| format!("data: {}\n\n", chunk(json!({"content": piece})));
    role + &pieces.iter().map(text).collect::<String>()
}

fn ended(pieces: &[&str]) -> String {
    let finish = json!({"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "m",
                        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}});
    format!("{}data: {finish}\n\ndata: [DONE]\n\n", begun(pieces))
}

/// A client's stream after the first upstream's bytes, cut into pieces of this size.
fn first(to: Protocol, bytes: &str, size: usize) -> (Box<dyn AnswerStream>, String) {
    let request = Bytes::from_static(b"{\"model\":\"m\",\"input\":\"hi\"}");
    let mut stream = mendable(Protocol::Chat, to, &options(&request));
    let mut out = VecDeque::new();
    for piece in bytes.as_bytes().chunks(size) {
        stream.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
    }
    (stream, text_of(&out))
}

fn text_of(out: &VecDeque<Bytes>) -> String {
    String::from_utf8(out.iter().flatten().copied().collect()).unwrap()
}

/// Everything that a client of the chat API reads.
fn said(stream: &str) -> String {
    let data =
        stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| data.starts_with('{'));
    let chunk = |data| serde_json::from_str::<serde_json::Value>(data).unwrap();
    data.map(chunk)
        .map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or("").to_owned())
        .collect()
}

fn again(
    stream: &mut dyn AnswerStream,
    how: Resume,
    bytes: &str,
    size: usize,
) -> (Result<(), StreamFault>, String) {
    let request = Bytes::new();
    let mendable = stream.mendable().unwrap();
    assert!(mendable.can_resume());
    resume(mendable, Protocol::Chat, how, &options(&request));
    let mut out = VecDeque::new();
    let mut result = Ok(());
    for piece in bytes.as_bytes().chunks(size) {
        result = result.and_then(|()| stream.push(Bytes::copy_from_slice(piece), &mut out));
    }
    (result, text_of(&out))
}

#[test]
fn an_answer_that_comes_again_is_given_once_wherever_it_broke_off_and_however_it_is_cut() {
    let whole = ["Grü", "ße ", "an ", "alle", " 👋🏽 dort"];
    for broke_at in 0..=whole.len() {
        for size in [1, 7, 64, 4096] {
            let (mut stream, before) = first(Protocol::Chat, &begun(&whole[..broke_at]), size);
            let other = ended(&["Grüße a", "n alle 👋🏽", " dort"]);
            let (result, after) = again(&mut *stream, Resume::Anew, &other, size);
            assert_eq!(result, Ok(()));
            assert_eq!(said(&before) + &said(&after), "Grüße an alle 👋🏽 dort", "broke at {broke_at}");
            assert!(stream.is_terminal() && after.ends_with("data: [DONE]\n\n"), "{after}");
        }
    }
}

#[test]
fn the_bytes_of_the_first_upstream_pass_as_they_are() {
    let bytes = begun(&["a", "b"]);
    assert_eq!(first(Protocol::Chat, &bytes, 5).1, bytes);
}

#[test]
fn the_first_difference_ends_it() {
    for other in [&["Hello", " world"][..], &["Hel", "p"], &["H"]] {
        let (mut stream, _) = first(Protocol::Chat, &begun(&["Hello ", "there"]), 64);
        let (result, after) = again(&mut *stream, Resume::Anew, &ended(other), 64);
        assert_eq!(result, Err(StreamFault::Differs), "{other:?}");
        assert_eq!(said(&after), "");
    }
}

#[test]
fn a_continued_text_goes_on_and_repeats_no_white_space() {
    for other in [&["there"][..], &[" ", "there"], &[" there"]] {
        let (mut stream, before) = first(Protocol::Chat, &begun(&["Hello", " "]), 64);
        assert_eq!(stream.mendable().unwrap().text_alone(), Some("Hello "));
        let (result, after) = again(&mut *stream, Resume::After, &ended(other), 64);
        assert_eq!(result, Ok(()));
        assert_eq!(said(&before) + &said(&after), "Hello there", "{other:?}");
    }
}

#[test]
fn a_client_of_any_protocol_gets_one_legal_stream() {
    for to in [Protocol::Messages, Protocol::Responses, Protocol::Gemini] {
        let (mut stream, before) = first(to, &begun(&["Hello ", "th"]), 9);
        let (result, after) = again(&mut *stream, Resume::Anew, &ended(&["Hello there"]), 9);
        assert_eq!(result, Ok(()));
        let all = before + &after;
        let starts = ["message_start", "response.created"]
            .map(|start| all.matches(&format!("event: {start}")).count());
        assert!(starts.iter().all(|starts| *starts <= 1), "{all}");
        assert!(all.contains("ere"), "{all}");
        assert!(stream.is_terminal());
    }
}

#[test]
fn a_stream_that_was_answered_by_tools_is_not_continued_and_can_be_asked_anew() {
    let call = json!({"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c1", "type": "function",
         "function": {"name": "f", "arguments": "{\"a\":"}}]}, "finish_reason": null}]});
    let (mut stream, _) = first(Protocol::Chat, &format!("{}data: {call}\n\n", begun(&[])), 64);
    let mendable = stream.mendable().unwrap();
    assert!(mendable.can_resume(), "{mendable:?}");
    assert_eq!(mendable.text_alone(), None);
}

#[test]
fn what_the_first_upstream_reported_is_not_the_usage_of_an_answer_that_another_ends() {
    let reported = r#"{"id":"up","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":1,"total_tokens":901}}"#;
    let (mut stream, _) = first(Protocol::Chat, &format!("{}data: {reported}\n\n", begun(&["One "])), 4096);
    assert_eq!(stream.usage().map(|usage| usage.total()), Some(901));
    let other = ended(&["One ", "two"]).replace(r#""usage":{"#, r#""other":{"#);
    let (result, _) = again(&mut *stream, Resume::Anew, &other, 4096);
    assert_eq!((result, stream.is_terminal(), stream.usage()), (Ok(()), true, None));
    assert_eq!(stream.counted(), stream.made());
}

#[test]
fn what_came_again_is_counted_as_made_although_it_was_given_before() {
    let (mut stream, _) = first(Protocol::Chat, &begun(&["One two ", "three "]), 4096);
    let given = stream.counted();
    assert_eq!(stream.made(), given);
    let (result, _) = again(&mut *stream, Resume::Anew, &begun(&["One two "]), 4096);
    assert_eq!(result, Ok(()));
    assert!(stream.made().output > 0 && stream.made().output < given.output, "{:?}", stream.made());
    assert_eq!(stream.counted(), given);
}

use super::*;

const TEXT: &str = "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"choices\":[{\"text\":\"Hello\",\"index\":0,\
    \"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const OTHER_TEXT: &str = "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"choices\":[{\"text\":\" there\",\"index\":0,\
    \"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const FINISH: &str = "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"choices\":[{\"text\":\"\",\"index\":0,\
    \"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\
    \"completion_tokens\":2,\"total_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn relay(show_usage: bool, stream: &str) -> (CompletionsStream, String, Result<(), StreamFault>) {
    let mut relayed = CompletionsStream::new(show_usage, 1 << 20);
    let mut out = VecDeque::new();
    let mut result = Ok(());
    for byte in stream.bytes() {
        result = result.and(relayed.push(Bytes::copy_from_slice(&[byte]), &mut out));
    }
    result = result.and(relayed.finish(&mut out));
    (relayed, String::from_utf8(out.into_iter().flatten().collect()).unwrap(), result)
}

#[test]
fn texts_are_counted_and_the_usage_chunk_is_shown_to_whom_asked() {
    let stream = [TEXT, OTHER_TEXT, FINISH, USAGE, DONE].concat();
    let (relayed, bytes, result) = relay(true, &stream);
    assert_eq!((result, bytes), (Ok(()), stream.clone()));
    assert_eq!(relayed.contents(), 2);
    assert_eq!(relayed.usage(), Some(Usage { input: 3, output: 2, ..Usage::default() }));
    assert!(relayed.counted().output >= 2 && relayed.is_terminal());
    let (relayed, bytes, result) = relay(false, &stream);
    assert_eq!((result, bytes), (Ok(()), [TEXT, OTHER_TEXT, FINISH, DONE].concat()));
    assert_eq!(relayed.usage().map(|usage| usage.total()), Some(5));
}

#[test]
fn a_missing_done_is_written_and_an_untimely_end_is_a_fault() {
    let (_, bytes, result) = relay(false, &[TEXT, FINISH].concat());
    assert_eq!((result, bytes), (Ok(()), [TEXT, FINISH, DONE].concat()));
    assert_eq!(relay(false, TEXT).2, Err(StreamFault::Truncated));
    assert_eq!(relay(false, "").2, Err(StreamFault::Empty));
    let (_, bytes, result) = relay(false, &[TEXT, "data: {\"error\":{\"message\":\"oh\"}}\n\n"].concat());
    assert!(matches!(result, Err(StreamFault::Upstream(_))));
    assert_eq!(bytes, TEXT);
}

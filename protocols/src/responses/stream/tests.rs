use std::collections::VecDeque;

use super::*;
use crate::event::AnswerStream;

/// Two messages' worth of events as OpenAI sends them, with a thought and a call.
const STREAM: &str = concat!(
    "event: response.created\n",
    "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"usage\":null}}\n\n",
    ": keep-alive\n\n",
    "event: response.output_item.added\n",
    "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\"}}\n\n",
    "event: response.reasoning_summary_text.delta\n",
    "data: {\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"let me see\"}\n\n",
    "event: response.output_text.delta\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello\",\"obfuscation\":\"xyz\"}\n\n",
    "event: response.output_item.added\n",
    "data: {\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{\"type\":\"function_call\"}}\n\n",
    "event: response.function_call_arguments.delta\n",
    "data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"\"}\n\n",
    "event: response.new_thing\ndata: {\"type\":\"response.new_thing\",\"number\":12345678901234567890}\n\n",
    "event: response.completed\n",
    "data: {\"type\":\"response.completed\",\"sequence_number\":7,\"response\":{\"id\":\"resp_1\",\"usage\":",
    "{\"input_tokens\":3,\"output_tokens\":5,\"total_tokens\":8}}}\n\n",
);

/// Feeds a stream cut at these places; what leaves, and how it ended.
fn relay(stream: &[u8], cuts: &[usize]) -> (ResponsesStream, Vec<u8>, Result<(), StreamFault>) {
    let mut relayed = ResponsesStream::new(1 << 20);
    let mut out = VecDeque::new();
    let mut start = 0;
    let mut result = Ok(());
    for end in cuts.iter().copied().chain([stream.len()]) {
        result = result.and(relayed.push(Bytes::copy_from_slice(&stream[start..end]), &mut out));
        start = end;
    }
    result = result.and(relayed.finish(&mut out));
    (relayed, out.into_iter().flatten().collect(), result)
}

#[test]
fn every_byte_passes_wherever_the_network_cuts() {
    for ends in ["\n", "\r\n", "\r"] {
        let stream = STREAM.replace('\n', ends);
        for cut in 0..stream.len() {
            let (relayed, bytes, result) = relay(stream.as_bytes(), &[cut]);
            assert_eq!((result, bytes.len()), (Ok(()), stream.len()), "cut at {cut}");
            assert_eq!(bytes, stream.as_bytes());
            assert!(relayed.is_terminal());
            assert_eq!(relayed.contents(), 3);
        }
    }
}

#[test]
fn id_usage_and_counts_are_read_on_the_way() {
    let (relayed, ..) = relay(STREAM.as_bytes(), &[]);
    assert_eq!(relayed.response_id(), Some("resp_1"));
    assert_eq!(relayed.usage(), Some(Usage { input: 3, output: 5, ..Usage::default() }));
    assert!(relayed.counted().output > 0 && relayed.counted().reasoning > 0);
}

#[test]
fn an_answer_cut_short_by_its_cap_has_ended_well() {
    let stream = "data: {\"type\":\"response.incomplete\",\"response\":{\"id\":\"resp_1\",\
        \"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"usage\":{\"output_tokens\":5}}}\n\n";
    let (relayed, bytes, result) = relay(stream.as_bytes(), &[]);
    assert_eq!((result, bytes.as_slice()), (Ok(()), stream.as_bytes()));
    assert_eq!(relayed.usage().map(|usage| usage.output), Some(5));
}

#[test]
fn an_error_is_a_fault_in_each_of_its_forms_and_does_not_pass() {
    for event in [
        "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"oh\",\"param\":null}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"code\":\"server_error\",\"message\":\"oh\"}}\n\n",
        "data: {\"error\":{\"code\":\"server_error\",\"message\":\"oh\"}}\n\n",
        "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"oh\"}}}\n\n",
    ] {
        let good = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n";
        let (relayed, bytes, result) = relay(format!("{good}{event}").as_bytes(), &[]);
        let Err(StreamFault::Upstream(error)) = result else { panic!("{event}") };
        assert_eq!((error.message.as_deref(), error.code.as_deref()), (Some("oh"), Some("server_error")));
        assert_eq!(bytes, good.as_bytes());
        assert!(!relayed.is_terminal());
    }
}

#[test]
fn an_untimely_end_is_no_end() {
    let before_end = STREAM.find("event: response.completed").unwrap();
    for end in 1..STREAM.len() - 2 {
        let (relayed, _, result) = relay(&STREAM.as_bytes()[..end], &[]);
        assert!(!relayed.is_terminal() && result.is_err(), "{end}");
        if end >= before_end {
            assert_eq!(result, Err(StreamFault::Truncated));
        }
    }
    assert_eq!(relay(b"", &[]).2, Err(StreamFault::Empty));
    assert_eq!(relay(b": only comments\n\n", &[]).2, Err(StreamFault::Empty));
}

#[test]
fn a_last_event_without_its_blank_line_is_completed() {
    let (relayed, bytes, result) = relay(STREAM.trim_end().as_bytes(), &[]);
    assert_eq!((result, bytes.as_slice()), (Ok(()), STREAM.as_bytes()));
    assert!(relayed.is_terminal());
}

#[test]
fn behind_the_end_only_done_passes() {
    let done = "data: [DONE]\n\n";
    let (_, bytes, result) = relay(format!("{STREAM}{done}").as_bytes(), &[STREAM.len() + 3]);
    assert_eq!((result, bytes), (Ok(()), format!("{STREAM}{done}").into_bytes()));
    for late in
        ["data: {\"type\":\"response.output_text.delta\",\"delta\":\"more\"}\n\n", "data: {broken\n\n"]
    {
        let (_, bytes, result) = relay(format!("{STREAM}{late}{done}").as_bytes(), &[STREAM.len()]);
        assert_eq!((result, bytes.as_slice()), (Ok(()), STREAM.as_bytes()));
    }
}

#[test]
fn data_that_is_no_event_is_a_fault() {
    for data in ["not json", "[1]", "{\"type\":}"] {
        let (.., result) = relay(format!("data: {data}\n\n").as_bytes(), &[]);
        assert!(matches!(result, Err(StreamFault::Unreadable(_))), "{data}");
    }
    let mut stream = ResponsesStream::new(16);
    let result = stream.push(Bytes::from(STREAM), &mut VecDeque::new());
    assert_eq!(result, Err(StreamFault::FrameTooLarge { limit: 16 }));
}

#[test]
fn the_error_that_ends_a_stream_is_this_dialects_own() {
    let event = Bytes::from(
        "data: {\"error\":{\"message\":\"cut\",\"type\":\"server_error\",\"param\":null,\"code\":\"x\"}}\n\n",
    );
    let (mut relayed, ..) = relay(&STREAM.as_bytes()[..STREAM.find(": keep").unwrap()], &[]);
    assert_eq!(
        relayed.closing_error(event),
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":1,\"code\":\"x\",\"message\":\"cut\",\"param\":null,\
         \"error\":{\"message\":\"cut\",\"type\":\"server_error\",\"param\":null,\"code\":\"x\"}}\n\n"
    );
}

use std::collections::VecDeque;

use bytes::Bytes;

use super::*;
use crate::event::AnswerStream;

/// A thought, a call and a text, with a sign of life between them.
const STREAM: &str = concat!(
    "event: interaction.created\n",
    "data: {\"event_type\":\"interaction.created\",\"interaction\":{\"id\":\"v1_a\",\"status\":\"in_progress\"}}\n\n",
    ": keep-alive\n\n",
    "event: step.start\n",
    "data: {\"event_type\":\"step.start\",\"index\":0,\"step\":{\"type\":\"thought\"}}\n\n",
    "data: {\"event_type\":\"step.delta\",\"index\":0,\"delta\":{\"type\":\"thought_summary\",",
    "\"content\":{\"type\":\"text\",\"text\":\"let me see\"}}}\n\n",
    "data: {\"event_type\":\"step.delta\",\"index\":0,\"delta\":{\"type\":\"thought_signature\",\"signature\":\"c2ln\"}}\n\n",
    "data: {\"event_type\":\"step.start\",\"index\":1,\"step\":{\"type\":\"function_call\",\"id\":\"c\",",
    "\"name\":\"f\",\"arguments\":{}}}\n\n",
    "data: {\"event_type\":\"step.delta\",\"index\":1,\"delta\":{\"type\":\"arguments_delta\",\"arguments\":\"{}\"}}\n\n",
    "data: {\"event_type\":\"step.start\",\"index\":2,\"step\":{\"type\":\"model_output\"}}\n\n",
    "data: {\"event_type\":\"step.delta\",\"index\":2,\"delta\":{\"type\":\"text\",\"text\":\"Hello\"},\"event_id\":\"e\"}\n\n",
    "event: novel\ndata: {\"event_type\":\"novel\",\"n\":12345678901234567890}\n\n",
    "event: interaction.completed\n",
    "data: {\"event_type\":\"interaction.completed\",\"interaction\":{\"id\":\"v1_a\",\"status\":\"completed\",",
    "\"usage\":{\"total_input_tokens\":3,\"total_output_tokens\":5,\"total_tokens\":8}}}\n\n",
);

const DONE: &str = "event: done\ndata: [DONE]\n\n";

/// Feeds a stream cut at these places; what leaves, and how it ended.
fn relay(stream: &[u8], cuts: &[usize]) -> (InteractionStream, Vec<u8>, Result<(), StreamFault>) {
    let mut relayed = InteractionStream::new(1 << 20);
    let mut out = VecDeque::new();
    let (mut start, mut result) = (0, Ok(()));
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
        let stream = format!("{STREAM}{DONE}").replace('\n', ends);
        for cut in 0..stream.len() {
            let (relayed, bytes, result) = relay(stream.as_bytes(), &[cut]);
            assert_eq!((result, bytes.as_slice()), (Ok(()), stream.as_bytes()), "cut at {cut}");
            assert!(relayed.is_terminal());
            assert_eq!(relayed.contents(), 4, "a thought, a call, its arguments, a text");
        }
    }
}

#[test]
fn id_usage_and_counts_are_read_on_the_way() {
    let (relayed, ..) = relay(STREAM.as_bytes(), &[]);
    assert_eq!(relayed.response_id(), Some("v1_a"));
    assert_eq!(relayed.usage(), Some(Usage { input: 3, output: 5, ..Usage::default() }));
    assert!(relayed.counted().output > 0 && relayed.counted().reasoning > 0);
}

#[test]
fn events_of_before_there_were_steps_are_read_too() {
    let stream = concat!(
        "data: {\"event_type\":\"interaction.start\",\"interaction\":{\"id\":\"v1_a\"}}\n\n",
        "data: {\"event_type\":\"content.start\",\"content\":{\"type\":\"text\"}}\n\n",
        "data: {\"event_type\":\"content.delta\",\"delta\":{\"type\":\"text\",\"text\":\"Hi\"}}\n\n",
        "data: {\"event_type\":\"interaction.complete\",\"metadata\":{\"total_usage\":{\"total_output_tokens\":5}},",
        "\"interaction\":{\"id\":\"v1_a\"}}\n\n",
    );
    let (relayed, bytes, result) = relay(stream.as_bytes(), &[]);
    assert_eq!((result, bytes.as_slice()), (Ok(()), stream.as_bytes()));
    assert_eq!((relayed.contents(), relayed.response_id()), (1, Some("v1_a")));
    assert_eq!(relayed.usage().map(|usage| usage.output), Some(5), "beside the interaction");
}

#[test]
fn an_error_is_a_fault_with_its_status_and_does_not_pass() {
    for (event, status) in [
        (
            "event: error\ndata: {\"event_type\":\"error\",\"error\":{\"code\":\"unavailable\",\"message\":\"oh\"}}\n\n",
            Some(503),
        ),
        (
            "data: {\"error\":{\"code\":429,\"message\":\"oh\",\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n",
            Some(429),
        ),
        ("data: {\"event_type\":\"error\",\"error\":{\"code\":\"novel\",\"message\":\"oh\"}}\n\n", None),
    ] {
        let good = "data: {\"event_type\":\"step.delta\",\"delta\":{\"type\":\"text\",\"text\":\"Hi\"}}\n\n";
        let (relayed, bytes, result) = relay(format!("{good}{event}").as_bytes(), &[]);
        let Err(StreamFault::Upstream(error)) = result else { panic!("{event}") };
        assert_eq!((error.message.as_deref(), error.status), (Some("oh"), status));
        assert_eq!(bytes, good.as_bytes());
        assert!(!relayed.is_terminal());
    }
}

#[test]
fn an_untimely_end_is_no_end() {
    for end in 1..STREAM.len() - 2 {
        let (relayed, _, result) = relay(&STREAM.as_bytes()[..end], &[]);
        assert!(!relayed.is_terminal() && result.is_err(), "{end}");
    }
    assert_eq!(relay(b"", &[]).2, Err(StreamFault::Empty));
    assert_eq!(relay(b": only comments\n\n", &[]).2, Err(StreamFault::Empty));
    assert_eq!(relay(DONE.as_bytes(), &[]).2, Err(StreamFault::Truncated), "done without an end");
}

#[test]
fn behind_the_end_only_done_passes() {
    let late = "data: {\"event_type\":\"step.delta\",\"delta\":{\"type\":\"text\",\"text\":\"more\"}}\n\n";
    let (relayed, bytes, result) = relay(format!("{STREAM}{late}{DONE}").as_bytes(), &[STREAM.len()]);
    assert_eq!((result, bytes.as_slice()), (Ok(()), STREAM.as_bytes()));
    assert_eq!(relayed.contents(), 4);
}

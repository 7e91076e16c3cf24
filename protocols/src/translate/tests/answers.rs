//! Answers, whole and streamed, from every upstream to every client.

use std::collections::VecDeque;

use bytes::Bytes;

use super::legal::assert_legal;
use super::pairs;
use super::upstream::{Said, USAGE};
use crate::event::{AnswerFault, CALLS_MAX, Event, EventReader, Finish, OutOfOrder, StreamFault};
use crate::sse::DEFAULT_MAX_FRAME_BYTES;
use crate::translate::{AnswerOptions, Protocol, answer, stream};
use crate::usage::Usage;
use crate::{anthropic, gemini, openai, responses};

pub(super) fn options(request: &Bytes) -> AnswerOptions<'_> {
    AnswerOptions {
        id: "ours",
        model: "named",
        created: 7,
        show_usage: true,
        as_array: false,
        max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
        request,
    }
}

/// What a client got of a stream.
#[derive(Debug, PartialEq)]
struct Got {
    bytes: String,
    end: Result<(), StreamFault>,
    contents: u64,
    is_terminal: bool,
    usage: Option<Usage>,
    counted: Usage,
}

fn relay(from: Protocol, to: Protocol, chunks: &[&[u8]]) -> Got {
    let mut stream = stream(from, to, &options(&Bytes::new()));
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    Got {
        bytes: String::from_utf8(out.iter().flatten().copied().collect()).unwrap(),
        end,
        contents: stream.contents(),
        is_terminal: stream.is_terminal(),
        usage: stream.usage(),
        counted: stream.counted(),
    }
}

/// What the client got, which is the same in chunks of any size.
fn relay_every_way(from: Protocol, to: Protocol, stream: &str) -> Got {
    let bytes = stream.as_bytes();
    let whole = relay(from, to, &[bytes]);
    for size in [1, 7, 61] {
        let chunks: Vec<_> = bytes.chunks(size).collect();
        assert_eq!(relay(from, to, &chunks), whole, "{from:?} to {to:?}, {size} bytes at a time");
    }
    whole
}

/// The events in a client's stream, as an SDK of its protocol would read it.
fn read_stream(protocol: Protocol, stream: &str) -> Vec<Event> {
    let mut reader: Box<dyn EventReader> = match protocol {
        Protocol::Chat => Box::new(openai::ChatEvents::new(DEFAULT_MAX_FRAME_BYTES)),
        Protocol::Messages => Box::new(anthropic::MessagesEvents::new(DEFAULT_MAX_FRAME_BYTES)),
        Protocol::Gemini => Box::new(gemini::GenerateEvents::new(DEFAULT_MAX_FRAME_BYTES)),
        Protocol::Responses => Box::new(responses::ResponsesEvents::new(DEFAULT_MAX_FRAME_BYTES)),
    };
    let mut events = Vec::new();
    reader.push(Bytes::copy_from_slice(stream.as_bytes()), &mut events).unwrap();
    reader.finish(&mut events).unwrap();
    joined(events)
}

fn read_whole(protocol: Protocol, answer: &[u8]) -> Vec<Event> {
    joined(match protocol {
        Protocol::Chat => openai::events(answer).unwrap(),
        Protocol::Messages => anthropic::events(answer).unwrap(),
        Protocol::Gemini => gemini::events(answer).unwrap(),
        Protocol::Responses => responses::events(answer).unwrap(),
    })
}

/// The events in a form that does not depend on how they were cut: pieces side by side are one, the arguments of a
/// call stand behind its start, of the usage the last counts, and there is neither a name of the answer nor a ping.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    let mut arguments: Vec<String> = Vec::new();
    let mut reported = None;
    for event in events {
        match (event, joined.last_mut()) {
            (Event::Start { .. }, _) => joined.push(Event::Start { id: None, model: None }),
            (Event::Text(more), Some(Event::Text(text)))
            | (Event::Thinking(more), Some(Event::Thinking(text)))
            | (Event::Refusal(more), Some(Event::Refusal(text))) => text.push_str(&more),
            (Event::CallArguments { call, json }, _) => arguments[call].push_str(&json),
            (Event::Usage(usage), _) => reported = Some(usage),
            (Event::Ping, _) => {}
            (event @ Event::CallStart { .. }, _) => {
                joined.push(event);
                arguments.push(String::new());
            }
            (event @ Event::Finish { .. }, _) => {
                joined.extend(reported.take().map(Event::Usage));
                joined.push(event);
            }
            (Event::End, _) => {
                if let Some(usage) = reported.take() {
                    let finish = joined.pop();
                    joined.retain(|event| !matches!(event, Event::Usage(_)));
                    joined.push(Event::Usage(usage));
                    joined.extend(finish);
                }
                joined.push(Event::End);
            }
            (event, _) => joined.push(event),
        }
    }
    let with_arguments = joined.into_iter().flat_map(|event| {
        let arguments = match &event {
            Event::CallStart { call, .. } => {
                Some(Event::CallArguments { call: *call, json: arguments[*call].clone() })
            }
            _ => None,
        };
        [Some(event), arguments].into_iter().flatten()
    });
    with_arguments.collect()
}

/// That every client gets this of every upstream, streamed and whole.
fn assert_carried(said: &Said) {
    assert_carried_between(pairs(), said, said);
}

/// That the clients of these pairs get `expected` where the upstream says `said`.
fn assert_carried_between(
    pairs: impl IntoIterator<Item = (Protocol, Protocol)>,
    said: &Said,
    expected: &Said,
) {
    for (from, to) in pairs {
        let expected = expected.events();
        let got = relay_every_way(from, to, &said.stream(from));
        assert_eq!(got.end, Ok(()), "{from:?} to {to:?}");
        assert_legal(to, &got.bytes);
        assert_eq!(read_stream(to, &got.bytes), expected, "{from:?} to {to:?}: {}", got.bytes);
        assert!(got.is_terminal && got.contents > 0, "{from:?} to {to:?}");
        assert_eq!(got.usage, Some(USAGE), "{from:?} to {to:?}");
        let (whole, says) = answer(from, to, said.whole(from).as_bytes(), &options(&Bytes::new())).unwrap();
        let text = String::from_utf8_lossy(&whole);
        assert_eq!(read_whole(to, &whole), expected, "{from:?} to {to:?}: {text}");
        assert_eq!((says.usage, says.model.as_deref()), (Some(USAGE), Some("m")), "{from:?} to {to:?}");
        // Where pieces of calls take turns, each change of the call may cost a token more.
        let (streamed, whole) = (got.counted, says.counted);
        assert_eq!(streamed.reasoning, whole.reasoning, "{from:?} to {to:?}");
        assert!(streamed.output.abs_diff(whole.output) <= 2 * said.calls.len() as u64, "{from:?} to {to:?}");
    }
}

#[test]
fn a_stream_is_the_same_wherever_it_is_cut() {
    // The cut is between upstream and reader, and no writer knows of it: one client for each upstream is enough.
    let protocols = Protocol::ALL.into_iter();
    for (from, to) in protocols.clone().zip(protocols.cycle().skip(1)) {
        let calls = Said::calls(&[("call_a", "f", r#"{"a":"\u{e9}"}"#), ("call_b", "g", "")]);
        let said = Said { text: "S\u{f6}.", ..calls.thinking("Hm\u{1f600}", None) };
        let stream = said.stream(from);
        let whole = relay(from, to, &[stream.as_bytes()]);
        for cut in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            assert_eq!(relay(from, to, &[first, second]), whole, "{from:?} to {to:?}, cut at {cut}");
        }
    }
}

#[test]
fn text_is_carried_over() {
    assert_carried(&Said::text("Hello, world.\n\"\u{e9}\u{1f600}\u{2028}"));
}

#[test]
fn thoughts_are_carried_over_before_the_text() {
    assert_carried(&Said::text("So.").thinking("Let me think.", None));
}

#[test]
fn signatures_of_thoughts_are_carried_over() {
    // Gemini's clients keep a signature in Gemini's form, which says whose it is.
    let pairs = pairs().filter(|(from, to)| ![*from, *to].contains(&Protocol::Gemini));
    let said = Said::text("So.").thinking("Let me think.", Some("c2ln"));
    assert_carried_between(pairs, &said, &said);
}

#[test]
fn parallel_calls_keep_their_ids_and_arguments_apart() {
    assert_carried(&Said::calls(&[
        ("call_a", "f", r#"{"city":"Rome"}"#),
        ("call_b", "g", r#"{"n":[1,2,{"deep":"}"}]}"#),
        ("call_c", "h", r#"{"x":""}"#),
    ]));
}

#[test]
fn digits_of_arguments_stay_as_they_are() {
    let digits = r#"{"id":1234567890123456789,"a":1.0,"b":1e2,"c":1234567890123456789012345678901234567890}"#;
    for (from, to) in pairs() {
        let said = Said::calls(&[("call_a", "f", digits)]);
        // What a JSON library made of the fixture would round.
        let whole = said.whole(from);
        let (written, _) = answer(from, to, whole.as_bytes(), &options(&Bytes::new())).unwrap();
        let arguments = |events: Vec<Event>| {
            events.into_iter().find_map(|event| match event {
                Event::CallArguments { json, .. } => Some(json),
                _ => None,
            })
        };
        assert_eq!(arguments(read_whole(to, &written)).as_deref(), Some(digits), "{from:?} to {to:?}");
        let got = relay_every_way(from, to, &said.stream(from));
        assert_eq!(arguments(read_stream(to, &got.bytes)).as_deref(), Some(digits), "{from:?} to {to:?}");
    }
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    assert_carried(&Said::calls(&[("call_a", "f", "")]));
    assert_carried(&Said::calls(&[("call_a", "f", ""), ("call_b", "g", r#"{"a":1}"#), ("call_c", "h", "")]));
}

#[test]
fn an_answer_cut_by_its_cap_says_so() {
    assert_carried(&Said::text("And then").ending(Finish::Length));
}

#[test]
fn text_before_calls_stays_before_them() {
    let said = Said { text: "Let me see.", ..Said::calls(&[("call_a", "f", r#"{"a":1}"#)]) };
    let pairs = pairs().filter(|(from, _)| *from != Protocol::Chat);
    assert_carried_between(pairs, &said, &said);
}

/// The finish reason that a client reads.
fn finish_of(from: Protocol, to: Protocol, said: &Said) -> Finish {
    let reason = |events: Vec<Event>| {
        events.into_iter().find_map(|event| match event {
            Event::Finish { reason, .. } => Some(reason),
            _ => None,
        })
    };
    let got = relay_every_way(from, to, &said.stream(from));
    assert_legal(to, &got.bytes);
    let (whole, _) = answer(from, to, said.whole(from).as_bytes(), &options(&Bytes::new())).unwrap();
    let (streamed, whole) = (reason(read_stream(to, &got.bytes)), reason(read_whole(to, &whole)));
    assert_eq!(streamed, whole, "{from:?} to {to:?}");
    streamed.unwrap()
}

#[test]
fn no_reason_that_a_client_does_not_know_becomes_a_normal_end() {
    let said = Said::text("a");
    let with_call = Said::calls(&[("call_a", "f", "{}")]);
    for (from, to) in pairs() {
        let odd = || Finish::Other("SOMETHING_NEW".to_owned());
        for said in [said.clone().ending(odd()), with_call.clone().ending(odd())] {
            let finish = finish_of(from, to, &said);
            let is_normal = matches!(finish, Finish::Stop | Finish::StopSequence | Finish::ToolCalls);
            assert!(!is_normal, "{from:?} to {to:?}: {finish:?}");
        }
    }
}

#[test]
fn a_filter_and_a_refusal_are_told_in_the_clients_word() {
    for from in [Protocol::Chat, Protocol::Gemini, Protocol::Responses] {
        let said = Said::text("a").ending(Finish::ContentFilter);
        assert_eq!(finish_of(from, Protocol::Messages, &said), Finish::Refusal);
    }
    let refused = Said::text("a").ending(Finish::Refusal);
    assert_eq!(finish_of(Protocol::Messages, Protocol::Chat, &refused), Finish::Refusal);
    for to in [Protocol::Gemini, Protocol::Responses] {
        assert_eq!(finish_of(Protocol::Messages, to, &refused), Finish::ContentFilter);
    }
}

#[test]
fn a_full_context_and_a_pause_are_no_normal_end() {
    let full = Said::text("a").ending(Finish::ContextWindow);
    assert_eq!(finish_of(Protocol::Messages, Protocol::Chat, &full), Finish::ContextWindow);
    for to in [Protocol::Gemini, Protocol::Responses] {
        assert_eq!(finish_of(Protocol::Messages, to, &full), Finish::Length);
    }
    let paused = Said::text("a").ending(Finish::PauseTurn);
    assert_eq!(finish_of(Protocol::Messages, Protocol::Chat, &paused), Finish::PauseTurn);
}

#[test]
fn a_normal_end_with_calls_is_a_call_of_tools() {
    for (from, to) in pairs() {
        let said = Said::calls(&[("call_a", "f", "{}")]).ending(Finish::Stop);
        assert_eq!(finish_of(from, to, &said), Finish::ToolCalls, "{from:?} to {to:?}");
    }
}

#[test]
fn a_stream_that_ends_too_early_is_a_fault_and_has_no_terminal_event() {
    for (from, to) in pairs() {
        let whole = Said::text("Hello, world.").stream(from);
        // Behind the middle of the text.
        let cut = whole.find("wor").or(whole.find("rld")).unwrap();
        let got = relay(from, to, &[&whole.as_bytes()[..cut]]);
        assert_eq!(got.end, Err(StreamFault::Truncated), "{from:?} to {to:?}");
        assert!(!got.is_terminal);
        for terminal in ["[DONE]", "message_stop", "finishReason", "response.completed"] {
            assert!(!got.bytes.contains(terminal), "{from:?} to {to:?}");
        }
        assert_eq!(relay(from, to, &[]).end, Err(StreamFault::Empty), "{from:?} to {to:?}");
    }
}

/// An error as the upstream puts it into its stream.
fn error_event(from: Protocol) -> &'static str {
    match from {
        Protocol::Chat => "data: {\"error\":{\"message\":\"busy\",\"code\":503}}\n\n",
        Protocol::Messages => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n"
        }
        Protocol::Gemini => {
            "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n"
        }
        Protocol::Responses => {
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"busy\",\"param\":null,\"sequence_number\":9}\n\n"
        }
    }
}

#[test]
fn an_error_in_the_stream_is_told_with_the_upstreams_words() {
    for (from, to) in pairs() {
        let Got { end, is_terminal, .. } = relay(from, to, &[error_event(from).as_bytes()]);
        let Err(StreamFault::Upstream(error)) = end else { panic!("{from:?} to {to:?}: {end:?}") };
        assert_eq!((error.message.as_deref(), is_terminal), (Some("busy"), false), "{from:?} to {to:?}");
    }
}

#[test]
fn behind_a_fault_or_the_end_nothing_is_written() {
    for (from, to) in pairs() {
        let said = Said::text("a").stream(from);
        let whole = relay(from, to, &[said.as_bytes()]);
        let twice = relay(from, to, &[said.as_bytes(), said.as_bytes()]);
        // Gemini's stream has no terminal event; a second answer is more of the first.
        if from != Protocol::Gemini {
            assert_eq!(twice, whole, "{from:?} to {to:?}");
        }
        let mut failed = stream(from, to, &options(&Bytes::new()));
        let mut out = VecDeque::new();
        failed.push(Bytes::from_static(error_event(from).as_bytes()), &mut out).unwrap_err();
        out.clear();
        failed.push(Bytes::from(said), &mut out).unwrap();
        failed.finish(&mut out).unwrap();
        assert!(out.is_empty() && !failed.is_terminal(), "{from:?} to {to:?}");
    }
}

#[test]
fn an_upstreams_pings_reach_the_client_as_its_own() {
    for (from, to) in pairs() {
        let ping = match from {
            Protocol::Messages => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            _ => ": keep-alive\n\n",
        };
        let mut stream = stream(from, to, &options(&Bytes::new()));
        let mut out = VecDeque::new();
        stream.push(Bytes::from_static(ping.as_bytes()), &mut out).unwrap();
        assert!(!out.is_empty(), "{from:?} to {to:?}");
        assert_eq!(stream.contents(), 0);
        // And the answer behind it is as good.
        let said = format!("{ping}{}", Said::text("Hi").stream(from));
        let got = relay_every_way(from, to, &said);
        assert_eq!(read_stream(to, &got.bytes), Said::text("Hi").events(), "{from:?} to {to:?}");
    }
}

#[test]
fn halves_of_a_character_are_joined_and_a_lone_one_is_replaced() {
    for (from, to) in pairs() {
        let said = Said::text("XYZ").stream(from);
        // The fixture's one piece of text becomes two with a character between them.
        let piece = said.split_inclusive("\n\n").flat_map(|frame| frame.split_inclusive("\r\n\r\n"));
        let halves: String = piece
            .map(|frame| match from != Protocol::Responses || frame.contains(".delta") {
                true if frame.contains("XYZ") => {
                    let piece = |text: &str| frame.replace("XYZ", text);
                    [piece("a\\ud83d"), piece("\\ude00b"), piece("\\ud83d")].concat()
                }
                _ => frame.to_owned(),
            })
            .collect();
        let got = relay_every_way(from, to, &halves);
        assert_eq!(got.end, Ok(()), "{from:?} to {to:?}: {halves}");
        let text = read_stream(to, &got.bytes).into_iter().find_map(|event| match event {
            Event::Text(text) => Some(text),
            _ => None,
        });
        assert_eq!(text.as_deref(), Some("a\u{1f600}b\u{fffd}"), "{from:?} to {to:?}");
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    for (from, to) in pairs() {
        let fault = |body: &str| answer(from, to, body.as_bytes(), &options(&Bytes::new())).unwrap_err();
        assert_eq!(fault(""), AnswerFault::Empty, "{from:?} to {to:?}");
        assert!(matches!(fault("<html>"), AnswerFault::NotJson(_)), "{from:?} to {to:?}");
        assert!(matches!(fault("[1]"), AnswerFault::NotAnObject { .. }), "{from:?} to {to:?}");
        let error = r#"{"error":{"message":"busy","code":503}}"#;
        assert!(matches!(fault(error), AnswerFault::ErrorObject(_)), "{from:?} to {to:?}");
    }
}

#[test]
fn the_same_protocol_passes_bytes() {
    for protocol in Protocol::ALL {
        let said = Said::text("Hello").stream(protocol);
        assert_eq!(relay(protocol, protocol, &[said.as_bytes()]).bytes, said);
    }
}

#[test]
fn gemini_is_given_as_one_array_where_that_is_asked() {
    for from in Protocol::ALL {
        let request = Bytes::new();
        let as_array = AnswerOptions { as_array: true, ..options(&request) };
        let mut stream = stream(from, Protocol::Gemini, &as_array);
        let mut out = VecDeque::new();
        stream.push(Bytes::from(Said::text("Hello").stream(from)), &mut out).unwrap();
        stream.finish(&mut out).unwrap();
        let bytes: Vec<u8> = out.iter().flatten().copied().collect();
        let array: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(array.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    }
}

/// What a client reads of a stream and of a whole answer, which are the same.
fn read_both_ways(from: Protocol, to: Protocol, stream: &str, whole: &str) -> Vec<Event> {
    let got = relay_every_way(from, to, stream);
    assert_eq!(got.end, Ok(()), "{from:?} to {to:?}");
    assert_legal(to, &got.bytes);
    let streamed = read_stream(to, &got.bytes);
    let (whole, _) = answer(from, to, whole.as_bytes(), &options(&Bytes::new())).unwrap();
    let text = String::from_utf8_lossy(&whole).into_owned();
    assert_eq!(streamed, read_whole(to, &whole), "{from:?} to {to:?}: {text}");
    streamed
}

#[test]
fn words_of_refusal_reach_every_client() {
    let chunk = |delta: &str, reason: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n")
    };
    let stream = [
        chunk("{\"role\":\"assistant\",\"content\":null}", "null"),
        chunk("{\"refusal\":\"I will\"}", "null"),
        chunk("{\"refusal\":\" not.\"}", "null"),
        chunk("{}", "\"stop\""),
        "data: [DONE]\n\n".to_owned(),
    ];
    let whole =
        r#"{"choices":[{"message":{"content":null,"refusal":"I will not."},"finish_reason":"stop"}]}"#;
    for to in [Protocol::Messages, Protocol::Gemini, Protocol::Responses] {
        let events = read_both_ways(Protocol::Chat, to, &stream.concat(), whole);
        let words = "I will not.".to_owned();
        let says = events.contains(&Event::Text(words.clone())) || events.contains(&Event::Refusal(words));
        assert!(says, "{to:?}: {events:?}");
        let refuses = |event: &Event| {
            let reason = Finish::Refusal;
            matches!(event, Event::Finish { reason: found, .. } if *found == reason || *found == Finish::ContentFilter)
        };
        assert!(events.iter().any(refuses), "{to:?}: {events:?}");
    }
}

#[test]
fn parallel_calls_without_index_arrive_apart() {
    let chunk = |calls: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{calls}]}}}}]}}\n\n")
    };
    let piece = |id: &str, json: &str| {
        chunk(&format!(r#"{{"id":"{id}","function":{{"name":"f","arguments":"{json}"}}}}"#))
    };
    let opened =
        ["a", "b", "c"].map(|id| format!(r#"{{"id":"{id}","function":{{"name":"f","arguments":""}}}}"#));
    let stream = [
        chunk(&opened.join(",")),
        piece("b", r#"{\"n\":"#),
        piece("a", r#"{\"n\":1}"#),
        piece("c", "{}"),
        piece("b", "2}"),
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ];
    for to in [Protocol::Messages, Protocol::Gemini, Protocol::Responses] {
        let got = relay_every_way(Protocol::Chat, to, &stream.concat());
        assert_legal(to, &got.bytes);
        let arguments: Vec<_> = read_stream(to, &got.bytes)
            .into_iter()
            .filter_map(|event| match event {
                Event::CallArguments { call, json } => Some((call, json)),
                _ => None,
            })
            .collect();
        let expected = [(0, r#"{"n":1}"#), (1, r#"{"n":2}"#), (2, "{}")];
        assert_eq!(arguments, expected.map(|(call, json)| (call, json.to_owned())), "{to:?}");
    }
}

#[test]
fn an_empty_finish_reason_on_every_chunk_does_not_end_the_turn() {
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":\"{reason}\"}}]}}\n\n"
        )
    };
    let call = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#;
    let stream = [chunk(r#"{"content":"a"}"#, ""), chunk(call, ""), chunk("{}", "tool_calls")].concat();
    let stream = format!("{stream}data: [DONE]\n\n");
    for to in [Protocol::Messages, Protocol::Gemini, Protocol::Responses] {
        let got = relay_every_way(Protocol::Chat, to, &stream);
        assert_legal(to, &got.bytes);
        let called = Event::Finish { reason: Finish::ToolCalls, stop_sequence: None };
        assert!(read_stream(to, &got.bytes).contains(&called), "{to:?}: {}", got.bytes);
    }
}

#[test]
fn arguments_that_are_no_object_leave_the_answer_readable() {
    for broken in [r#"{\"a\":"#, "[1]", "not json"] {
        let call =
            format!(r#"{{"id":"a","type":"function","function":{{"name":"f","arguments":"{broken}"}}}}"#);
        let whole = format!(
            r#"{{"choices":[{{"message":{{"content":null,"tool_calls":[{call}]}},"finish_reason":"length"}}]}}"#
        );
        for to in [Protocol::Messages, Protocol::Gemini, Protocol::Responses] {
            let (written, _) = answer(Protocol::Chat, to, whole.as_bytes(), &options(&Bytes::new())).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&written).unwrap();
            assert!(json.is_object(), "{to:?}");
            assert!(!read_whole(to, &written).is_empty(), "{to:?}");
        }
    }
}

#[test]
fn an_upstream_that_reports_nothing_leaves_the_counted_tokens_for_the_client() {
    for (from, to) in pairs() {
        let said = Said::text("Hello, world.");
        let member = match from {
            Protocol::Chat | Protocol::Messages | Protocol::Responses => "\"usage\":",
            Protocol::Gemini => "\"usageMetadata\":",
        };
        let silent = said.stream(from).replace(member, "\"unknown\":");
        let got = relay_every_way(from, to, &silent);
        assert_eq!((got.end, got.usage), (Ok(()), None), "{from:?} to {to:?}");
        assert_legal(to, &got.bytes);
        assert!(got.counted.output > 0);
        let shown = read_stream(to, &got.bytes).into_iter().find_map(|event| match event {
            Event::Usage(usage) => Some(usage),
            _ => None,
        });
        assert_eq!(shown, Some(got.counted), "{from:?} to {to:?}");
    }
}

#[test]
fn a_chat_client_sees_usage_only_where_it_asked() {
    let said = Said::text("Hello").stream(Protocol::Messages);
    for show_usage in [true, false] {
        let request = Bytes::new();
        let options = AnswerOptions { show_usage, ..options(&request) };
        let mut stream = stream(Protocol::Messages, Protocol::Chat, &options);
        let mut out = VecDeque::new();
        stream.push(Bytes::from(said.clone()), &mut out).unwrap();
        let bytes = String::from_utf8(out.iter().flatten().copied().collect()).unwrap();
        assert_eq!(bytes.matches("\"prompt_tokens\"").count(), usize::from(show_usage));
        assert_eq!(bytes.contains("usage"), show_usage);
        assert_eq!(stream.usage(), Some(USAGE));
    }
}

#[test]
fn more_calls_than_any_client_can_hold_are_a_fault() {
    let call = |index: usize| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{index},\"id\":\"c{index}\",\"function\":{{\"name\":\"f\",\"arguments\":\"\"}}}}]}}}}]}}\n\n"
        )
    };
    let stream: String = (0..=CALLS_MAX).map(call).collect();
    let got = relay(Protocol::Chat, Protocol::Messages, &[stream.as_bytes()]);
    assert_eq!(got.end, Err(StreamFault::OutOfOrder(OutOfOrder::Call)));
}

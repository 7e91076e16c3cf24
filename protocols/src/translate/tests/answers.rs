//! Answers, whole and streamed, from every upstream to every client.

use std::collections::VecDeque;

use bytes::Bytes;

use super::legal::assert_legal;
use super::upstream::{Said, USAGE};
use crate::event::{AnswerFault, Event, EventReader, Finish, StreamFault};
use crate::sse::DEFAULT_MAX_FRAME_BYTES;
use crate::translate::{AnswerOptions, Protocol, answer, stream};
use crate::usage::Usage;
use crate::{anthropic, gemini, openai, responses};

fn options(request: &Bytes) -> AnswerOptions<'_> {
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

/// Each pair of two different protocols.
fn pairs() -> impl Iterator<Item = (Protocol, Protocol)> {
    let all = Protocol::ALL.into_iter();
    all.flat_map(|from| Protocol::ALL.into_iter().map(move |to| (from, to))).filter(|(from, to)| from != to)
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

/// What the client got, which is the same wherever the stream is cut.
fn relay_every_way(from: Protocol, to: Protocol, stream: &str) -> Got {
    let bytes = stream.as_bytes();
    let whole = relay(from, to, &[bytes]);
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(relay(from, to, &[first, second]), whole, "{from:?} to {to:?}, cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(relay(from, to, &single), whole, "{from:?} to {to:?}, byte by byte");
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
/// call stand behind its start, of the usage the last counts, and there are no ids of the answer and no pings.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    let mut arguments: Vec<String> = Vec::new();
    let mut reported = None;
    for event in events {
        match (event, joined.last_mut()) {
            (Event::Start { model, .. }, _) => joined.push(Event::Start { id: None, model }),
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
            Event::CallStart { call, .. } => Some(Event::CallArguments { call: *call, json: arguments[*call].clone() }),
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
        assert_eq!(says.counted, got.counted, "{from:?} to {to:?}");
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

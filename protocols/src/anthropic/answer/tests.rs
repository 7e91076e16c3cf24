use super::*;
use crate::event::Finish;
use crate::usage::Usage;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[
    {"type":"thinking","thinking":"Hm","signature":"c2ln"},{"type":"redacted_thinking","data":"xyz"},
    {"type":"text","text":"Caf\u00e9 \ud83d"},{"type":"server_tool_use","id":"s","name":"n","input":{}},
    {"type":"tool_use","id":"t1","name":"look","input":{"id": 9007199254740993001, "x":1.0}},
    {"type":"tool_use","id":"t2","name":"now","input":{}}],
    "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":10,"cache_read_input_tokens":4,"output_tokens":50}}"#;

#[test]
fn a_whole_answer_says_its_usage_its_model_and_its_text() {
    let answer = whole(MESSAGE.as_bytes()).unwrap();
    assert_eq!(answer.model.as_deref(), Some("m"));
    assert_eq!(answer.usage, Some(Usage { input: 10, cache_read: 4, output: 50, ..Usage::default() }));
    assert!(answer.counted.output > 0 && answer.counted.reasoning > 0);
}

#[test]
fn a_whole_answer_has_the_events_of_a_stream() {
    let call = |call, id: &str, name: &str| Event::CallStart {
        call,
        id: id.to_owned(),
        name: name.to_owned(),
        signature: None,
    };
    let arguments = |call, json: &str| Event::CallArguments { call, json: json.to_owned() };
    let expected = [
        Event::Start { id: Some("msg_1".to_owned()), model: Some("m".to_owned()) },
        Event::Usage(Usage { input: 10, cache_read: 4, output: 50, ..Usage::default() }),
        Event::Thinking("Hm".to_owned()),
        Event::Signature("c2ln".to_owned()),
        Event::Redacted("xyz".to_owned()),
        Event::Text("Caf\u{e9} ".to_owned()),
        Event::Text("\u{fffd}".to_owned()),
        call(0, "t1", "look"),
        arguments(0, r#"{"id": 9007199254740993001, "x":1.0}"#),
        call(1, "t2", "now"),
        arguments(1, "{}"),
        Event::Finish { reason: Finish::ToolCalls, stop_sequence: None },
        Event::End,
    ];
    assert_eq!(events(MESSAGE.as_bytes()).unwrap(), expected);
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let faults: [fn(&str) -> AnswerFault; 2] =
        [|body| whole(body.as_bytes()).unwrap_err(), |body| events(body.as_bytes()).unwrap_err()];
    for read in faults {
        assert_eq!(read(" \n"), AnswerFault::Empty);
        assert!(matches!(read("<html>"), AnswerFault::NotJson(_)));
        assert!(matches!(read(r#"{"content":["#), AnswerFault::NotJson(_)));
        assert_eq!(read("[]"), AnswerFault::NotAnObject { found: Kind::Array });
        assert_eq!(read("{}"), AnswerFault::NoChoices);
        assert_eq!(read(r#"{"content":null}"#), AnswerFault::NoChoices);
        let error =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"r"}"#;
        assert!(
            matches!(read(error), AnswerFault::ErrorObject(error) if error.message.as_deref() == Some("busy"))
        );
    }
    assert!(whole(br#"{"content":[]}"#).is_ok(), "an empty answer is one");
}

#[test]
fn counted_tokens_are_read_and_written() {
    assert_eq!(input_tokens(br#"{"input_tokens": 2095}"#), Ok(2095));
    assert_eq!(render_input_tokens(2095), r#"{"input_tokens":2095}"#);
    assert_eq!(input_tokens(b"{}"), Err(AnswerFault::NoChoices));
    assert!(matches!(input_tokens(br#"{"type":"error","error":{}}"#), Err(AnswerFault::ErrorObject(_))));
}

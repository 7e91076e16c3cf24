use serde_json::{Value, json};

use super::*;
use crate::openai::ChatAnswer;

const IDENTITY: Identity<'static> = Identity { id: "chatcmpl-1", model: "named", created: 7 };

fn answer(message: Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    })
}

fn read(answer: &Value) -> Vec<Event> {
    events(answer.to_string().as_bytes()).unwrap()
}

/// That an answer comes out as it went in.
fn assert_keeps(message: Value, finish: &str) {
    let answer = answer(message, finish);
    let written = render_answer(&read(&answer), IDENTITY);
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), answer);
}

#[test]
fn an_answer_comes_out_as_it_went_in() {
    assert_keeps(json!({"role": "assistant", "content": "Hi\n", "refusal": null, "annotations": []}), "stop");
    assert_keeps(json!({"role": "assistant", "content": "", "refusal": null, "annotations": []}), "length");
    assert_keeps(json!({"role": "assistant", "content": null, "refusal": "No.", "annotations": []}), "stop");
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let mut signed = call("b", "{\"n\": 1234567890123456789, \"x\": 1.0}");
    signed["extra_content"] = json!({"google": {"thought_signature": "sig=="}});
    assert_keeps(
        json!({"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [call("a", "{}"), signed]}),
        "tool_calls",
    );
}

#[test]
fn thoughts_come_out_each_with_its_signature() {
    assert_keeps(
        json!({
            "role": "assistant", "content": "So.", "refusal": null, "annotations": [],
            "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "s0", "index": 0},
                {"type": "reasoning.encrypted", "data": "x", "index": 1},
            ],
        }),
        "stop",
    );
}

#[test]
fn a_call_without_arguments_gets_an_empty_object() {
    for blank in ["", " \n"] {
        let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": blank}});
        let answer =
            answer(json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls");
        let written: Value = serde_json::from_str(&render_answer(&read(&answer), IDENTITY)).unwrap();
        assert_eq!(written["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    }
}

#[test]
fn a_whole_answer_and_its_stream_end_for_the_same_reason() {
    for (reason, finish) in [
        ("stop", Finish::Stop),
        ("length", Finish::Length),
        ("content_filter", Finish::ContentFilter),
        ("", Finish::Stop),
        ("odd", Finish::Other("odd".to_owned())),
    ] {
        let events = read(&answer(json!({"role": "assistant", "content": "a"}), reason));
        assert!(events.contains(&Event::Finish { reason: finish, stop_sequence: None }), "{reason}");
    }
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let events = read(&answer(json!({"role": "assistant", "tool_calls": [call]}), "stop"));
    assert!(events.contains(&Event::Finish { reason: Finish::ToolCalls, stop_sequence: None }));
}

#[test]
fn an_answer_is_counted_with_its_thoughts_and_calls() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "look_up", "arguments": "{\"city\":\"Rome\"}"}});
    let counted = |message: Value| whole(answer(message, "stop").to_string().as_bytes()).unwrap().counted;
    let text = counted(json!({"content": "The answer is forty-two."}));
    assert!(text.output > 0 && text.reasoning == 0);
    assert!(
        counted(json!({"content": "The answer is forty-two.", "tool_calls": [call]})).output > text.output
    );
    assert!(counted(json!({"content": null, "reasoning": "Let me think."})).reasoning > 0);
    assert_eq!(counted(json!({"content": null})), Usage::default());
}

#[test]
fn all_choices_are_counted() {
    let one = json!({"choices": [{"message": {"content": "The answer is forty-two."}}]});
    let mut two = one.clone();
    let choice = one["choices"][0].clone();
    two["choices"].as_array_mut().unwrap().push(choice);
    let counted = |answer: &Value| whole(answer.to_string().as_bytes()).unwrap().counted.output;
    assert!(counted(&two) > counted(&one));
}

#[test]
fn it_agrees_with_the_reader_of_answers_that_pass() {
    let bodies = [
        "",
        " ",
        "<html>",
        "null",
        "[]",
        "{}",
        r#"{"choices":null}"#,
        r#"{"choices":[]}"#,
        r#"{"error":{"message":"no"},"choices":[{}]}"#,
        r#"{"object":"error","message":"no"}"#,
        r#"{"error":null,"choices":[{"index":0}],"model":"m"}"#,
        r#"{"choices":[5],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"{"choices":[{"message":{"content":"a"}}]} x"#,
    ];
    for body in bodies {
        let passed = ChatAnswer::read(body.as_bytes());
        let read = whole(body.as_bytes());
        let agree = match (&passed, &read) {
            (Ok(passed), Ok(read)) => (&passed.usage, &passed.model) == (&read.usage, &read.model),
            (Err(passed), Err(read)) => passed == read,
            _ => false,
        };
        assert!(agree, "{body}: {passed:?}, {read:?}");
    }
}

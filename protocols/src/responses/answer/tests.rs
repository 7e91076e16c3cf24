use super::*;

const ANSWER: &str = r#"{"id":"resp_1","object":"response","status":"completed","error":null,"model":"gpt-5.4",
    "output":[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"thinking it over"}]},
        {"type":"message","id":"msg_1","content":[{"type":"output_text","text":"Hello there","annotations":[]}]}],
    "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":9,
        "output_tokens_details":{"reasoning_tokens":5},"total_tokens":19}}"#;

#[test]
fn a_whole_answer_says_its_usage_its_model_and_its_id() {
    let answer = whole(ANSWER.as_bytes()).unwrap();
    let usage = Usage { input: 6, cache_read: 4, output: 4, reasoning: 5, ..Usage::default() };
    assert_eq!(answer.usage, Some(usage));
    assert_eq!(answer.model.as_deref(), Some("gpt-5.4"));
    assert!(answer.counted.output > 0 && answer.counted.reasoning > 0);
    assert_eq!(response_id(ANSWER.as_bytes()).as_deref(), Some("resp_1"));
}

#[test]
fn an_answer_that_is_only_queued_is_an_answer() {
    let queued = r#"{"id":"resp_2","status":"queued","output":[],"usage":null,"error":null}"#;
    let answer = whole(queued.as_bytes()).unwrap();
    assert_eq!((answer.usage, answer.counted, answer.goes_on), (None, Usage::default(), true));
    assert_eq!(later(queued.as_bytes()), Later::GoesOn);
    assert_eq!(response_id(queued.as_bytes()).as_deref(), Some("resp_2"));
}

#[test]
fn what_became_of_an_answer_is_told_later() {
    let Later::Ended(answer) = later(ANSWER.as_bytes()) else { panic!("it is complete") };
    assert_eq!(answer.usage.map(|usage| usage.total()), Some(19));
    let failed = r#"{"id":"r","status":"failed","output":[],"error":{"code":"server_error"},"usage":null}"#;
    assert_eq!(later(failed.as_bytes()), Later::Failed);
    let paid = failed.replace("null", r#"{"input_tokens":3,"output_tokens":1,"total_tokens":4}"#);
    assert!(matches!(later(paid.as_bytes()), Later::Ended(answer) if answer.usage.is_some()));
    let cancelled = r#"{"id":"r","status":"cancelled","output":[],"usage":null}"#;
    assert!(matches!(later(cancelled.as_bytes()), Later::Ended(answer) if answer.usage.is_none()));
    for nothing in ["", "<html>", "[]", r#"{"id":"r","object":"response.deleted","deleted":true}"#] {
        assert_eq!(later(nothing.as_bytes()), Later::GoesOn, "{nothing}");
    }
}

#[test]
fn where_its_tools_ran_is_kept_with_an_answer() {
    let ran = r#"{"id":"r","status":"completed","output":[
        {"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"},
        {"type":"code_interpreter_call","id":"ci_2","container_id":"cntr_1"},
        {"type":"shell_call","id":"sh_1","environment":{"type":"container_reference","container_id":"cntr_2"}}]}"#;
    assert_eq!(item_ids(ran.as_bytes()), ["ci_1", "cntr_1", "ci_2", "sh_1", "cntr_2"]);
}

#[test]
fn what_is_no_answer_is_a_fault() {
    assert_eq!(whole(b" \n").unwrap_err(), AnswerFault::Empty);
    assert!(matches!(whole(b"<html>").unwrap_err(), AnswerFault::NotJson(_)));
    assert_eq!(whole(b"[]").unwrap_err(), AnswerFault::NotAnObject { found: Kind::Array });
    assert_eq!(whole(br#"{"id":"resp_1"}"#).unwrap_err(), AnswerFault::NoChoices);
    for body in [
        r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
        r#"{"status":"failed","output":[],"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
    ] {
        let AnswerFault::ErrorObject(error) = whole(body.as_bytes()).unwrap_err() else { panic!("{body}") };
        assert_eq!(error.code.as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(response_id(body.as_bytes()), None);
    }
}

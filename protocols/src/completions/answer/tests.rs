use super::*;

#[test]
fn an_answer_says_its_usage_and_all_its_texts_are_counted() {
    let body = r#"{"id":"cmpl-1","object":"text_completion","model":"m","choices":[
        {"text":"Hello there","index":0,"finish_reason":"stop"},{"text":"General Kenobi","index":1,"finish_reason":"length"}],
        "usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#;
    let answer = whole(body.as_bytes()).unwrap();
    assert_eq!(answer.usage, Some(Usage { input: 3, output: 5, ..Usage::default() }));
    assert_eq!(answer.model.as_deref(), Some("m"));
    assert!(answer.counted.output >= 4);
}

#[test]
fn what_is_no_answer_is_a_fault() {
    assert_eq!(whole(b" ").unwrap_err(), AnswerFault::Empty);
    assert_eq!(whole(br#"{"choices":[]}"#).unwrap_err(), AnswerFault::NoChoices);
    assert_eq!(whole(br#"{"choices":null}"#).unwrap_err(), AnswerFault::NoChoices);
    assert_eq!(whole(b"\"hi\"").unwrap_err(), AnswerFault::NotAnObject { found: Kind::String });
    assert!(matches!(
        whole(br#"{"object":"error","message":"oh"}"#).unwrap_err(),
        AnswerFault::ErrorObject(_)
    ));
}

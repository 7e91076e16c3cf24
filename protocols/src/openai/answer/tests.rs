use super::*;

fn read(body: &str) -> Result<ChatAnswer, AnswerFault> {
    ChatAnswer::read(body.as_bytes())
}

#[test]
fn text_model_and_usage_are_read() {
    let answer = read(
        r#"{"id":"x","object":"chat.completion","model":"m","error":null,
        "choices":[{"index":0,"message":{"role":"assistant","content":"a\nb"}},
                   {"index":1,"message":{"content":"other"}}],
        "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    );
    let answer = answer.unwrap();
    assert_eq!((answer.text.as_str(), answer.model.as_deref()), ("a\nb", Some("m")));
    assert_eq!(answer.usage.map(|usage| usage.total()), Some(5));
}

#[test]
fn content_may_be_null_or_a_list_of_parts() {
    let text = |content: &str| {
        let body = format!(r#"{{"choices":[{{"message":{{"content":{content}}}}}]}}"#);
        read(&body).unwrap().text
    };
    assert_eq!(text("null"), "");
    assert_eq!(text(r#"[{"type":"text","text":"a"},{"type":"x"},{"text":"b"},"c"]"#), "ab");
    assert_eq!(text(r#""\ud83d""#), "\u{fffd}");
}

#[test]
fn a_choice_without_message_is_an_answer_without_text() {
    assert_eq!(read(r#"{"choices":[{"index":0}]}"#), Ok(ChatAnswer::default()));
}

#[test]
fn what_is_no_answer_is_told_apart() {
    assert_eq!(read(""), Err(AnswerFault::Empty));
    assert_eq!(read(" \r\n"), Err(AnswerFault::Empty));
    assert!(matches!(read("<html></html>"), Err(AnswerFault::NotJson(_))));
    assert!(matches!(read(r#"{"choices":[{"message""#), Err(AnswerFault::NotJson(_))));
    assert_eq!(read("null"), Err(AnswerFault::NotAnObject { found: Kind::Null }));
    assert_eq!(read("[{}]"), Err(AnswerFault::NotAnObject { found: Kind::Array }));
    for body in ["{}", r#"{"choices":null}"#, r#"{"choices":[ ]}"#, r#"{"message":"busy"}"#] {
        assert_eq!(read(body), Err(AnswerFault::NoChoices), "{body}");
    }
    assert!(matches!(ChatAnswer::read(b"{\"choices\":\"\xff\"}"), Err(AnswerFault::NotJson(_))));
}

#[test]
fn an_error_in_a_200_is_an_error() {
    for body in [
        r#"{"error":{"message":"busy","code":429}}"#,
        r#"{"choices":[{"message":{}}],"error":{"message":"busy","code":429}}"#,
        r#"{"object":"error","message":"busy","code":429}"#,
    ] {
        let Err(AnswerFault::ErrorObject(error)) = read(body) else {
            panic!("not an error: {body}");
        };
        assert_eq!((error.message.as_deref(), error.status), (Some("busy"), Some(429)));
    }
}

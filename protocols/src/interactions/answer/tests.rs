use super::*;

#[test]
fn an_answer_says_its_id_its_usage_its_model_and_its_text() {
    let body = br#"{"id":"v1_a","model":"gemini-3","status":"completed","steps":[
        {"type":"thought","signature":"s","summary":[{"type":"text","text":"let me see"}]},
        {"type":"model_output","content":[{"type":"text","text":"Hello there"}]},
        {"type":"function_call","id":"c","name":"weather","arguments":{"city":"Oslo"}}],
        "usage":{"total_input_tokens":4,"total_output_tokens":2,"total_thought_tokens":3,"total_tokens":9}}"#;
    let WholeInteraction { answer, id, goes_on } = whole(body).unwrap();
    assert_eq!((id.as_deref(), goes_on, answer.model.as_deref()), (Some("v1_a"), false, Some("gemini-3")));
    assert_eq!(answer.usage, Some(Usage { input: 4, output: 2, reasoning: 3, ..Usage::default() }));
    assert!(answer.counted.output > 4 && answer.counted.reasoning > 0, "{:?}", answer.counted);
}

#[test]
fn an_answer_of_before_there_were_steps_is_counted_the_same() {
    let new = br#"{"status":"completed","steps":[{"type":"model_output","content":[{"type":"text","text":"Hello"}]}]}"#;
    let old = br#"{"status":"completed","outputs":[{"type":"text","text":"Hello"}]}"#;
    assert_eq!(whole(new).unwrap().answer, whole(old).unwrap().answer);
}

#[test]
fn what_has_only_begun_says_so() {
    let begun = whole(br#"{"id":"v1_a","status":"in_progress"}"#).unwrap();
    assert!(begun.goes_on && begun.answer.usage.is_none());
}

#[test]
fn what_is_no_answer_is_a_fault() {
    assert_eq!(whole(b" ").unwrap_err(), AnswerFault::Empty);
    assert!(matches!(whole(b"<html>").unwrap_err(), AnswerFault::NotJson(_)));
    assert_eq!(whole(b"{}").unwrap_err(), AnswerFault::NoChoices);
    assert_eq!(whole(b"[1]").unwrap_err(), AnswerFault::NotAnObject { found: Kind::Array });
    let error = br#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#;
    let fault = whole(error).unwrap_err();
    assert!(matches!(fault, AnswerFault::ErrorObject(error) if error.status == Some(503)));
}

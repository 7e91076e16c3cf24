use super::*;
use crate::usage::Usage;

fn read(body: &str) -> Result<EmbeddingsRequest, RequestFault> {
    EmbeddingsRequest::read(&Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn inputs_and_their_tokens_are_counted_in_every_form() {
    let request =
        read(r#"{"model":"m","input":[[1,2,3],[4]],"encoding_format":"base64","dimensions":256}"#).unwrap();
    assert_eq!((request.model(), request.inputs(), request.prompt_tokens()), (Some("m"), 2, 4));
    assert_eq!(read(r#"{"input":[15496,995]}"#).unwrap().prompt_tokens(), 2);
    assert_eq!(read(r#"{"input":["a","b","c"]}"#).unwrap().inputs(), 3);
    assert!(read(r#"{"input":"some text"}"#).unwrap().prompt_tokens() >= 2);
}

#[test]
fn only_the_models_name_is_changed() {
    let body = Bytes::from(r#"{"input":[1, 2.0], "model" : "a", "dimensions":1e2}"#);
    let request = EmbeddingsRequest::read(&body).unwrap();
    assert_eq!(request.rewrite(Some("b")), r#"{"input":[1, 2.0], "model" : "b", "dimensions":1e2}"#);
    assert_eq!(request.rewrite(Some("a")).as_ptr(), body.as_ptr());
    assert_eq!(request.rewrite(None).as_ptr(), body.as_ptr());
}

#[test]
fn a_request_without_input_or_with_two_is_refused() {
    assert_eq!(read(r#"{"model":"m"}"#).unwrap_err(), RequestFault::Missing { param: "input" });
    assert_eq!(read(r#"{"input":"a","input":"b"}"#).unwrap_err(), RequestFault::Duplicate { param: "input" });
    assert_eq!(read(r#"{"input":null}"#).unwrap_err().param(), Some("input"));
}

#[test]
fn an_answer_says_what_its_input_took_in_floats_and_in_base64() {
    for embedding in ["[0.1,-2e-3]", r#""zczMPQ==""#] {
        let body = format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":{embedding}}}],
            "model":"text-embedding-3-small","usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#
        );
        let answer = whole(body.as_bytes()).unwrap();
        assert_eq!(answer.usage, Some(Usage { input: 8, ..Usage::default() }));
        assert_eq!(answer.model.as_deref(), Some("text-embedding-3-small"));
        assert_eq!(answer.counted, Usage::default());
    }
}

#[test]
fn what_is_no_answer_is_a_fault() {
    assert_eq!(whole(b"").unwrap_err(), AnswerFault::Empty);
    assert_eq!(whole(br#"{"data":[]}"#).unwrap_err(), AnswerFault::NoChoices);
    assert_eq!(whole(b"7").unwrap_err(), AnswerFault::NotAnObject { found: Kind::Number });
    assert!(matches!(whole(b"{\"data\":[").unwrap_err(), AnswerFault::NotJson(_)));
    let error = whole(br#"{"error":{"message":"oh"}}"#).unwrap_err();
    assert!(matches!(error, AnswerFault::ErrorObject(error) if error.message.as_deref() == Some("oh")));
}

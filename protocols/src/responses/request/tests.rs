use super::*;

fn read(body: &str) -> Result<ResponsesRequest, RequestFault> {
    ResponsesRequest::read(&Bytes::copy_from_slice(body.as_bytes()))
}

fn prompt(request: &ResponsesRequest) -> Vec<&str> {
    request.prompt_parts().map(|part| std::str::from_utf8(part).unwrap()).collect()
}

#[test]
fn what_decides_about_a_request_is_read_and_the_rest_is_not_judged() {
    let body = r#"{"model":"gpt-5.4","input":"hi","stream":true,"background":true,"store":false,
        "previous_response_id":"resp_1","max_output_tokens":64,"unknown":[1,{"a":2}],"temperature":null}"#;
    let request = read(body).unwrap();
    assert_eq!(request.model(), Some("gpt-5.4"));
    assert!(request.stream() && request.background() && !request.store());
    assert_eq!(request.previous_response_id(), Some("resp_1"));
    assert_eq!((request.output_cap(), request.n()), (Some(64), 1));
}

#[test]
fn an_answer_is_stored_unless_the_caller_says_otherwise() {
    assert!(read(r#"{"input":"hi"}"#).unwrap().store());
    assert!(read(r#"{"store":null}"#).unwrap().store());
    assert!(!read(r#"{"store":false}"#).unwrap().store());
}

#[test]
fn what_may_end_up_in_the_prompt_is_counted_and_nothing_else() {
    let body = r#"{"model":"m","instructions":"be brief","input":[{"role":"user","content":"hi"}],
        "tools":[{"type":"function","name":"f"}],"text":{"format":{"type":"json_object"}},"documents":["d"],
        "metadata":{"a":"b"},"include":["x"],"reasoning":{"effort":"low"},"user":"u","prompt_cache_key":"k"}"#;
    let request = read(body).unwrap();
    let expected = [
        r#""be brief""#,
        r#"[{"role":"user","content":"hi"}]"#,
        r#"[{"type":"function","name":"f"}]"#,
        r#"{"format":{"type":"json_object"}}"#,
        r#"["d"]"#,
    ];
    assert_eq!(prompt(&request), expected);
}

#[test]
fn a_rewrite_changes_the_named_values_and_nothing_else() {
    let body = "{ \"input\": [1e2, 12345678901234567890],\t\"model\" : \"a\", \"max_output_tokens\": null }";
    let request = read(body).unwrap();
    assert_eq!(
        request.rewrite(Some("b"), Some(7)),
        "{ \"input\": [1e2, 12345678901234567890],\t\"model\" : \"b\", \"max_output_tokens\": 7 }"
    );
    assert_eq!(
        read(r#"{"model":"a"}"#).unwrap().rewrite(None, Some(7)),
        r#"{"model":"a","max_output_tokens":7}"#
    );
    let same = request.rewrite(Some("a"), None);
    assert_eq!(same.as_ptr(), request.body().as_ptr());
}

#[test]
fn a_member_that_decides_may_stand_once_and_is_of_its_type() {
    for (body, param) in [
        (r#"{"model":"a","mod\u0065l":"b"}"#, "model"),
        (r#"{"stream":"yes"}"#, "stream"),
        (r#"{"max_output_tokens":0}"#, "max_output_tokens"),
        (r#"{"max_output_tokens":1.5}"#, "max_output_tokens"),
        (r#"{"previous_response_id":7}"#, "previous_response_id"),
    ] {
        assert_eq!(read(body).unwrap_err().param(), Some(param), "{body}");
    }
    assert_eq!(read(" ").unwrap_err(), RequestFault::Empty);
    assert_eq!(read("[]").unwrap_err(), RequestFault::NotAnObject { found: Kind::Array });
    assert!(matches!(read("{").unwrap_err(), RequestFault::Json(_)));
}

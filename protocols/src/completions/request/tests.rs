use super::*;

fn read(body: &str) -> Result<CompletionsRequest, RequestFault> {
    CompletionsRequest::read(&Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn what_is_generated_is_counted_for_each_prompt() {
    for (body, n) in [
        (r#"{"prompt":"a"}"#, 1),
        (r#"{"prompt":"a","n":2,"best_of":5}"#, 5),
        (r#"{"prompt":["a","b","c"],"n":2}"#, 6),
        (r#"{"prompt":[1,2,3],"best_of":2}"#, 2),
        (r#"{"prompt":[[1,2],[3]],"n":3,"best_of":0}"#, 6),
        (r#"{"prompt":null,"n":4}"#, 4),
        ("{}", 1),
    ] {
        assert_eq!(read(body).unwrap().n(), n, "{body}");
    }
    let most = format!(r#"{{"prompt":["a","b"],"n":{}}}"#, u64::MAX);
    assert_eq!(read(&most).unwrap().n(), u64::MAX);
}

#[test]
fn prompts_given_as_tokens_are_counted_exactly_and_a_suffix_counts_too() {
    assert_eq!(
        read(r#"{"prompt":[[1,2],[3]],"user":"u","stop":["\n"],"echo":true}"#).unwrap().prompt_tokens(),
        3
    );
    let alone = read(r#"{"prompt":"def f():"}"#).unwrap().prompt_tokens();
    let with_suffix = read(r#"{"prompt":"def f():","suffix":"return x"}"#).unwrap().prompt_tokens();
    assert!(alone > 0 && with_suffix > alone);
}

#[test]
fn a_rewrite_changes_the_named_values_and_nothing_else() {
    let body = Bytes::from(r#"{"prompt": "a",  "model":"x", "seed":12345678901234567890, "stream":true}"#);
    let request = CompletionsRequest::read(&body).unwrap();
    assert_eq!(
        request.rewrite(Some("y"), Some(16), true),
        r#"{"prompt": "a",  "model":"y", "seed":12345678901234567890, "stream":true,"max_tokens":16,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(request.rewrite(Some("x"), None, false).as_ptr(), body.as_ptr());
    let not_streamed = read(r#"{"prompt":"a"}"#).unwrap();
    assert_eq!(not_streamed.rewrite(None, None, true), r#"{"prompt":"a"}"#);
}

#[test]
fn usage_is_asked_for_beside_what_the_caller_asks() {
    for (options, asked) in [
        (r#"{"include_usage":false, "x":1.0}"#, r#"{"include_usage":true, "x":1.0}"#),
        (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
        (r#"{ "x":1 }"#, r#"{ "x":1,"include_usage":true }"#),
        ("{}", r#"{"include_usage":true}"#),
        ("null", r#"{"include_usage":true}"#),
        (r#"{"include_usage" : true}"#, r#"{"include_usage" : true}"#),
    ] {
        let request = read(&format!(r#"{{"stream":true,"stream_options":{options}}}"#)).unwrap();
        assert_eq!(request.include_usage(), options.contains(": true"));
        assert_eq!(
            request.rewrite(None, None, true),
            format!(r#"{{"stream":true,"stream_options":{asked}}}"#)
        );
    }
}

#[test]
fn a_member_that_decides_may_stand_once_and_is_of_its_type() {
    for (body, param) in [
        (r#"{"prompt":"a","prompt":"b"}"#, "prompt"),
        (r#"{"prompt":7}"#, "prompt"),
        (r#"{"n":0}"#, "n"),
        (r#"{"max_tokens":-1}"#, "max_tokens"),
        (r#"{"stream_options":[]}"#, "stream_options"),
        (r#"{"stream_options":{"include_usage":1}}"#, "stream_options.include_usage"),
        (
            r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "stream_options.include_usage",
        ),
    ] {
        assert_eq!(read(body).unwrap_err().param(), Some(param), "{body}");
    }
    assert_eq!(read(r#"{"max_tokens":0}"#).unwrap().output_cap(), Some(0));
}

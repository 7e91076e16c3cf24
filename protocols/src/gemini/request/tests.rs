use proptest::prelude::*;

use super::*;

const CONTENTS_MEMBER: &str = r#""contents":[{"role":"user","parts":[{"text":"hi"}]}]"#;

fn read(text: &str) -> Result<GenerateRequest, RequestFault> {
    GenerateRequest::read(&Bytes::copy_from_slice(text.as_bytes()))
}

fn rewritten(text: &str, cap: u64) -> String {
    String::from_utf8(read(text).unwrap().rewrite(Some(cap)).to_vec()).unwrap()
}

#[test]
fn caps_are_read_in_either_spelling_as_numbers_and_as_text() {
    for config in [
        r#""generationConfig":{"maxOutputTokens":64,"candidateCount":2}"#,
        r#""generation_config":{"max_output_tokens":"64","candidate_count":2.0}"#,
        r#""generationC\u006fnfig":{"max_outputTokens":64,"candidateCount":"2"}"#,
    ] {
        let request = read(&format!("{{{CONTENTS_MEMBER},{config}}}")).unwrap();
        assert_eq!((request.output_cap(), request.n()), (Some(64), 2), "{config}");
    }
}

#[test]
fn null_is_as_good_as_missing() {
    for config in [
        "\"x\":1",
        "\"generationConfig\":null",
        r#""generationConfig":{"maxOutputTokens":null,"candidateCount":null}"#,
    ] {
        let request = read(&format!("{{{CONTENTS_MEMBER},{config}}}")).unwrap();
        assert_eq!((request.output_cap(), request.n()), (None, 1), "{config}");
    }
}

#[test]
fn a_cap_is_written_where_it_stands_or_where_it_belongs() {
    let c = CONTENTS_MEMBER;
    for (config, expected) in [
        (
            r#""generationConfig":{"temperature":1.0,"maxOutputTokens": 9 }"#,
            r#""generationConfig":{"temperature":1.0,"maxOutputTokens": 7 }"#,
        ),
        (
            r#""generation_config":{"max_output_tokens":"9"}"#,
            r#""generation_config":{"max_output_tokens":7}"#,
        ),
        (
            r#""generation_config":{"max_output_tokens":null}"#,
            r#""generation_config":{"max_output_tokens":7}"#,
        ),
        (r#""generation_config":{"topK":1}"#, r#""generation_config":{"topK":1,"maxOutputTokens":7}"#),
        (r#""generationConfig":{}"#, r#""generationConfig":{"maxOutputTokens":7}"#),
        (r#""generationConfig":null"#, r#""generationConfig":{"maxOutputTokens":7}"#),
    ] {
        assert_eq!(rewritten(&format!("{{{config},{c}}}"), 7), format!("{{{expected},{c}}}"));
    }
    let added = rewritten(&format!("{{{c}}}"), 7);
    assert_eq!(added, format!(r#"{{{c},"generationConfig":{{"maxOutputTokens":7}}}}"#));
}

#[test]
fn without_a_change_the_body_is_the_same_handle() {
    let body =
        Bytes::from(format!(r#"{{{CONTENTS_MEMBER},"generationConfig":{{"maxOutputTokens":"7"}},"x":1e2}}"#));
    let request = GenerateRequest::read(&body).unwrap();
    for cap in [None, Some(7)] {
        assert_eq!(request.rewrite(cap).as_ptr(), body.as_ptr());
    }
}

#[test]
fn a_model_in_the_body_goes_since_the_path_names_it() {
    let body = format!(r#"{{"model":"models/alias",{CONTENTS_MEMBER}}}"#);
    let rewritten = read(&body).unwrap().rewrite(None);
    assert_eq!(rewritten, format!("{{{CONTENTS_MEMBER}}}"));
}

#[test]
fn a_member_given_twice_is_refused_in_whatever_spelling() {
    for (members, param) in [
        (r#""systemInstruction":{},"system_instruction":{}"#, "systemInstruction"),
        (r#""generationConfig":{},"generation_config":{}"#, "generationConfig"),
        (r#""contents":[1]"#, "contents"),
        (
            r#""generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}"#,
            "generationConfig.maxOutputTokens",
        ),
        (r#""generationConfig":{"candidateCount":1,"candidateCount":2}"#, "generationConfig.candidateCount"),
    ] {
        let fault = read(&format!("{{{CONTENTS_MEMBER},{members}}}")).unwrap_err();
        assert_eq!(fault, RequestFault::Duplicate { param }, "{members}");
    }
}

#[test]
fn a_body_that_is_no_request_says_why() {
    let faults = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(faults(" "), "the body is empty; send a JSON object");
    assert_eq!(faults("[]"), "the body is an array; send a JSON object");
    assert_eq!(faults("{}"), "`contents` is missing");
    assert_eq!(faults(r#"{"contents":[]}"#), "`contents` is not usable; expected at least one content");
    assert_eq!(faults(r#"{"contents":"hi"}"#), "`contents` is a string; expected an array");
    assert_eq!(
        faults(&format!(r#"{{{CONTENTS_MEMBER},"generationConfig":{{"maxOutputTokens":0}}}}"#)),
        "`generationConfig.maxOutputTokens` must be a whole number of at least 1"
    );
}

#[test]
fn the_prompt_is_what_a_model_may_read() {
    let body = r#"{"contents":[1],"system_instruction":{"parts":[2]},"tools":[3],"safetySettings":[4],"labels":{"a":"b"},
        "cachedContent":"cachedContents/5","generationConfig":{"stopSequences":["6"],"responseJsonSchema":{"a":7}}}"#;
    let request = read(body).unwrap();
    let parts: Vec<_> = request.prompt_parts().map(|part| std::str::from_utf8(part).unwrap()).collect();
    assert_eq!(parts, ["[1]", r#"{"parts":[2]}"#, "[3]", "\"cachedContents/5\"", r#"{"a":7}"#]);
}

proptest! {
    /// Whatever the rest of the body is, a rewrite asks for the cap and for nothing else.
    #[test]
    fn a_rewrite_says_what_was_asked(cap in 1u64..1 << 40, had in proptest::option::of(1u64..1 << 40), other in "[a-z]{1,8}") {
        let config = had.map_or_else(String::new, |cap| format!("\"maxOutputTokens\":{cap}"));
        let text = format!(r#"{{"x_{other}":[1.0],{CONTENTS_MEMBER},"generationConfig":{{{config}}}}}"#);
        let rewritten = read(&text).unwrap().rewrite(Some(cap));
        let again = GenerateRequest::read(&rewritten).unwrap();
        prop_assert_eq!(again.output_cap(), Some(cap));
        prop_assert_eq!(again.rewrite(Some(cap)), rewritten);
    }
}

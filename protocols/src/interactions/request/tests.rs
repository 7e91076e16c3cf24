use super::*;

fn read(json: &str) -> Result<InteractionRequest, RequestFault> {
    InteractionRequest::read(&Bytes::copy_from_slice(json.as_bytes()))
}

#[test]
fn what_the_gateway_decides_by_is_read_in_either_spelling() {
    for json in [
        r#"{"model":"m","input":"hi","stream":true,"background":true,"store":false,
            "previous_interaction_id":"v1_a","generation_config":{"max_output_tokens":7}}"#,
        r#"{"model":"m","input":"hi","stream":true,"background":true,"store":false,
            "previousInteractionId":"v1_a","generationConfig":{"maxOutputTokens":"7"}}"#,
    ] {
        let request = read(json).unwrap();
        assert_eq!((request.model(), request.previous_interaction_id()), (Some("m"), Some("v1_a")));
        assert!(request.stream() && request.background() && !request.store());
        assert_eq!(request.output_cap(), Some(7));
    }
    let plain = read(r#"{"input":"hi"}"#).unwrap();
    assert!(plain.store() && !plain.stream() && !plain.background());
    assert_eq!((plain.model(), plain.output_cap(), plain.previous_interaction_id()), (None, None, None));
}

#[test]
fn a_member_that_is_read_stands_once_in_whichever_spelling() {
    for (json, param) in [
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"previous_interaction_id":"a","previousInteractionId":"b"}"#, "previous_interaction_id"),
        (r#"{"generation_config":null,"generationConfig":{}}"#, "generation_config"),
        (
            r#"{"generation_config":{"max_output_tokens":1,"maxOutputTokens":2}}"#,
            "generation_config.max_output_tokens",
        ),
    ] {
        assert_eq!(read(json).unwrap_err(), RequestFault::Duplicate { param }, "{json}");
    }
}

#[test]
fn an_agent_is_refused_by_name() {
    let fault = read(r#"{"agent":"deep-research","input":"hi"}"#).unwrap_err();
    assert!(fault.to_string().starts_with("`agent` is not usable; expected a `model`"), "{fault}");
    assert!(read(r#"{"agent":null,"model":"m","input":"hi"}"#).is_ok());
}

#[test]
fn whatever_may_be_prompt_counts() {
    let request = read(
        r#"{"model":"m","input":"i","system_instruction":"s","tools":[1],"labels":{"a":"b"},"response_format":{"f":1},
            "novel":["n"],"store":true,"generation_config":{"stop_sequences":["x"],"schema":{"y":1}}}"#,
    )
    .unwrap();
    let parts: Vec<&[u8]> = request.prompt_parts().collect();
    let expected: [&[u8]; 6] = [b"\"i\"", b"\"s\"", b"[1]", b"{\"f\":1}", b"[\"n\"]", b"{\"y\":1}"];
    assert_eq!(parts, expected);
}

#[test]
fn a_rewrite_changes_the_name_and_the_cap_and_no_other_byte() {
    let rewritten =
        |json: &str, model, cap| String::from_utf8(read(json).unwrap().rewrite(model, cap).to_vec()).unwrap();
    let odd = r#"{ "input":9007199254740993, "model" : "gem\u0069ni" ,"x":null }"#;
    assert_eq!(rewritten(odd, "gemini", None), odd);
    assert_eq!(
        rewritten(odd, "other", Some(5)),
        r#"{ "input":9007199254740993, "model" : "other" ,"x":null,"generation_config":{"max_output_tokens":5} }"#
    );
    for (before, after) in [
        (r#"{"generation_config":null}"#, r#"{"generation_config":{"max_output_tokens":5}}"#),
        (r#"{"generationConfig":{ }}"#, r#"{"generationConfig":{"max_output_tokens":5 }}"#),
        (r#"{"generation_config":{"a":1}}"#, r#"{"generation_config":{"a":1,"max_output_tokens":5}}"#),
        (
            r#"{"generation_config":{"maxOutputTokens": 9}}"#,
            r#"{"generation_config":{"maxOutputTokens": 5}}"#,
        ),
    ] {
        assert_eq!(rewritten(before, "m", Some(5)), after);
    }
}

#[test]
fn what_is_no_request_is_a_fault() {
    assert_eq!(read(" ").unwrap_err(), RequestFault::Empty);
    assert!(matches!(read("[1]").unwrap_err(), RequestFault::NotAnObject { .. }));
    for json in [r#"{"model":7}"#, r#"{"stream":"yes"}"#, r#"{"previous_interaction_id":["a"]}"#] {
        assert!(matches!(read(json).unwrap_err(), RequestFault::WrongType { .. }), "{json}");
    }
    assert!(matches!(
        read(r#"{"generation_config":{"max_output_tokens":0}}"#).unwrap_err(),
        RequestFault::NotACount { param: "generation_config.max_output_tokens" }
    ));
}

use proptest::prelude::*;

use super::*;

fn read(body: &str) -> Result<GenerateRequest, Vec<ValidationFault>> {
    GenerateRequest::read(body.as_bytes())
}

fn detail(body: &[u8]) -> String {
    let faults = GenerateRequest::read(body).unwrap_err();
    String::from_utf8(render_faults(&faults).to_vec()).unwrap()
}

/// The faults as `type` and `loc`, for cases where the whole body would hide the point.
fn kinds(body: &str) -> Vec<(&'static str, Option<&'static str>)> {
    let faults = read(body).unwrap_err();
    faults.iter().map(|fault| (fault.kind.error_type(), fault.member)).collect()
}

fn with(member: &str, value: &str) -> String {
    format!(r#"{{"prompt":"hi","{member}":{value}}}"#)
}

#[test]
fn the_readme_request_is_read_whole() {
    let body = r#"{"prompt": "Hello, world!", "temperature": 0.5, "max_tokens": 150,
        "provider": "groq", "model": "openai/gpt-oss-20b"}"#;
    assert_eq!(
        read(body),
        Ok(GenerateRequest {
            prompt: "Hello, world!".to_owned(),
            temperature: 0.5,
            max_tokens: Some(150),
            provider: Some("groq".to_owned()),
            model: Some("openai/gpt-oss-20b".to_owned()),
        })
    );
}

#[test]
fn what_is_left_out_or_null_has_its_default() {
    let bare = GenerateRequest {
        prompt: "hi".to_owned(),
        temperature: 0.7,
        max_tokens: None,
        provider: None,
        model: None,
    };
    assert_eq!(read(r#"{"prompt":"hi"}"#), Ok(bare.clone()));
    let nulls = r#"{"prompt":"hi","temperature":null,"max_tokens":null,"provider":null,"model":null}"#;
    assert_eq!(read(nulls), Ok(bare.clone()));
    assert_eq!(read("\u{feff}{\"prompt\":\"hi\"}"), Ok(bare.clone()), "a byte order mark is read past");
    assert_eq!(read(r#"{"stream":true,"x":[{}],"x":1,"prompt":"hi"}"#), Ok(bare), "unknown is ignored");
}

#[test]
fn escapes_are_resolved_in_texts_and_keys() {
    let request = read(r#"{"pr\u006fmpt":"a\n\ud83d\ude00 \ud83d"}"#).unwrap();
    assert_eq!(request.prompt, "a\n😀 \u{fffd}");
}

#[test]
fn each_fault_is_worded_as_fastapi_words_it() {
    let cases: [(&[u8], &str); 13] = [
        (b"", r#"{"type":"missing","loc":["body"],"msg":"Field required","input":null}"#),
        (b"{}", r#"{"type":"missing","loc":["body","prompt"],"msg":"Field required","input":{}}"#),
        (
            b"[1]",
            concat!(
                r#"{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary "#,
                r#"or object to extract fields from","input":[1]}"#
            ),
        ),
        (
            br#"{"prompt":5}"#,
            r#"{"type":"string_type","loc":["body","prompt"],"msg":"Input should be a valid string","input":5}"#,
        ),
        (
            br#"{"prompt":""}"#,
            concat!(
                r#"{"type":"string_too_short","loc":["body","prompt"],"#,
                r#""msg":"String should have at least 1 character","input":""}"#
            ),
        ),
        (
            br#"{"prompt":"a","temperature":2.5}"#,
            concat!(
                r#"{"type":"less_than_equal","loc":["body","temperature"],"#,
                r#""msg":"Input should be less than or equal to 2","input":2.5}"#
            ),
        ),
        (
            br#"{"prompt":"a","temperature":-1}"#,
            concat!(
                r#"{"type":"greater_than_equal","loc":["body","temperature"],"#,
                r#""msg":"Input should be greater than or equal to 0","input":-1}"#
            ),
        ),
        (
            br#"{"prompt":"a","temperature":"hot"}"#,
            concat!(
                r#"{"type":"float_parsing","loc":["body","temperature"],"msg":"Input should be a valid "#,
                r#"number, unable to parse string as a number","input":"hot"}"#
            ),
        ),
        (
            br#"{"prompt":"a","max_tokens":0}"#,
            concat!(
                r#"{"type":"greater_than","loc":["body","max_tokens"],"#,
                r#""msg":"Input should be greater than 0","input":0}"#
            ),
        ),
        (
            br#"{"prompt":"a","max_tokens":2.5}"#,
            concat!(
                r#"{"type":"int_from_float","loc":["body","max_tokens"],"msg":"Input should be a valid "#,
                r#"integer, got a number with a fractional part","input":2.5}"#
            ),
        ),
        (
            br#"{"prompt":"a","max_tokens":"many"}"#,
            concat!(
                r#"{"type":"int_parsing","loc":["body","max_tokens"],"msg":"Input should be a valid "#,
                r#"integer, unable to parse string as an integer","input":"many"}"#
            ),
        ),
        (
            br#"{"prompt":}"#,
            r#"{"type":"json_invalid","loc":["body",10],"msg":"JSON decode error","input":{}}"#,
        ),
        (
            b"{\"prompt\":\"\xff\"}",
            r#"{"type":"json_invalid","loc":["body",11],"msg":"JSON decode error","input":{}}"#,
        ),
    ];
    for (body, fault) in cases {
        assert_eq!(detail(body), format!(r#"{{"detail":[{fault}]}}"#), "{}", body.escape_ascii());
    }
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_members() {
    let body = r#"{"model":[],"provider":4,"max_tokens":"0","temperature":3,"seed":1}"#;
    assert_eq!(
        kinds(body),
        [
            ("missing", Some("prompt")),
            ("less_than_equal", Some("temperature")),
            ("greater_than", Some("max_tokens")),
            ("string_type", Some("provider")),
            ("string_type", Some("model")),
        ]
    );
    assert!(detail(body.as_bytes()).starts_with(&format!(
        r#"{{"detail":[{{"type":"missing","loc":["body","prompt"],"msg":"Field required","input":{body}}},"#
    )));
}

#[test]
fn temperatures_are_read_as_pydantic_reads_them() {
    let accepted = [
        ("0", 0.0),
        ("2", 2.0),
        ("-0.0", 0.0),
        ("1e0", 1.0),
        (r#""0.7""#, 0.7),
        (r#"" 0.7 ""#, 0.7),
        (r#""1.""#, 1.0),
        (r#"".5""#, 0.5),
        (r#""+1""#, 1.0),
    ];
    for (written, temperature) in accepted {
        assert_eq!(read(&with("temperature", written)).unwrap().temperature, temperature, "{written}");
    }
    let refused = [
        ("2.0000001", "less_than_equal"),
        ("1e999", "less_than_equal"),
        (r#""nan""#, "less_than_equal"),
        (r#""inf""#, "less_than_equal"),
        (r#""-inf""#, "greater_than_equal"),
        ("-1e-9", "greater_than_equal"),
        (r#""""#, "float_parsing"),
        (r#""1_0""#, "float_parsing"),
        ("true", "float_type"),
        ("[0.7]", "float_type"),
        ("{}", "float_type"),
    ];
    for (written, kind) in refused {
        assert_eq!(kinds(&with("temperature", written)), [(kind, Some("temperature"))], "{written}");
    }
}

#[test]
fn token_counts_are_read_as_pydantic_reads_them() {
    let accepted = [
        ("1", 1),
        ("2.0", 2),
        ("1e2", 100),
        (r#""5""#, 5),
        (r#""5.0""#, 5),
        (r#"" 5 ""#, 5),
        (r#""+5""#, 5),
        (r#""007""#, 7),
        ("9007199254740993", 9_007_199_254_740_993),
        ("99999999999999999999999999", u64::MAX),
    ];
    for (written, count) in accepted {
        assert_eq!(read(&with("max_tokens", written)).unwrap().max_tokens, Some(count), "{written}");
    }
    let refused = [
        ("-1", "greater_than"),
        ("-0", "greater_than"),
        ("-2.0", "greater_than"),
        (r#""-5""#, "greater_than"),
        ("-99999999999999999999999999", "greater_than"),
        ("0.5", "int_from_float"),
        ("1e30", "int_parsing_size"),
        ("1e999", "finite_number"),
        (r#""5.5""#, "int_parsing"),
        (r#""5.""#, "int_parsing"),
        (r#"".0""#, "int_parsing"),
        (r#""1e2""#, "int_parsing"),
        (r#""5_0""#, "int_parsing"),
        (r#""+-5""#, "int_parsing"),
        (r#""-""#, "int_parsing"),
        (r#""""#, "int_parsing"),
        ("true", "int_type"),
        ("{}", "int_type"),
        ("[5]", "int_type"),
    ];
    for (written, kind) in refused {
        assert_eq!(kinds(&with("max_tokens", written)), [(kind, Some("max_tokens"))], "{written}");
    }
}

#[test]
fn a_member_given_twice_is_a_fault_even_when_both_agree() {
    assert_eq!(kinds(r#"{"prompt":"a","prompt":"a"}"#), [("value_error", Some("prompt"))]);
    assert_eq!(kinds(r#"{"prompt":"a","model":"a","m\u006fdel":null}"#), [("value_error", Some("model"))]);
}

#[test]
fn what_is_no_json_is_one_fault_with_its_place() {
    let texts = [
        ("   ", 3),
        ("not", 0),
        ("{", 1),
        (r#"{"prompt":"a",}"#, 14),
        (r#"{"prompt":"a"} x"#, 15),
        (r#"{"prompt":NaN}"#, 10),
        (r#"{"prompt":"a","temperature":Infinity}"#, 28),
        (r#"{"prompt":"a","temperature":-Infinity}"#, 29),
        ("{'prompt':1}", 1),
        ("{\"prompt\":\"\u{1}\"}", 11),
        (r#"{"a" 1}"#, 5),
    ];
    for (text, at) in texts {
        let faults = read(text).unwrap_err();
        assert_eq!(faults.len(), 1, "{text}");
        assert_eq!(faults[0].kind, FaultKind::NotJson { at }, "{text}");
    }
}

#[test]
fn nesting_is_bounded_wherever_it_stands() {
    for deep in
        ["[".repeat(100_000), format!(r#"{{"prompt":{}"#, "[".repeat(100_000)), r#"{"x":"#.repeat(100_000)]
    {
        let faults = read(&deep).unwrap_err();
        assert!(matches!(faults[..], [ValidationFault { kind: FaultKind::NotJson { .. }, .. }]));
    }
}

#[test]
fn a_long_value_is_repeated_in_part() {
    for long in [
        format!("[{}1]", "1,".repeat(100_000)),
        format!("1{}", "0".repeat(100_000)),
        format!("{{\"a\":\"{}\"}}", "ü".repeat(100_000)),
    ] {
        let faults = read(&format!(r#"{{"prompt":"a","model":{long}}}"#)).unwrap_err();
        assert_eq!(faults[0].kind, FaultKind::NotAString);
        assert!(faults[0].input.len() <= SHOWN_MAX + 10, "{}", faults[0].input);
    }
    let escaped = format!(r#"{{"prompt":"a","temperature":"{}"}}"#, r"\u0041".repeat(100_000));
    assert_eq!(read(&escaped).unwrap_err()[0].input, format!("\"{}…\"", "A".repeat(SHOWN_MAX)));
    let emoji = format!(r#"{{"prompt":"a","temperature":"x{}"}}"#, "😀".repeat(100_000));
    assert_eq!(read(&emoji).unwrap_err()[0].input, format!("\"x{}…\"", "😀".repeat(63)));
}

#[test]
fn the_chat_body_asks_the_same_with_what_the_model_takes() {
    let request = GenerateRequest {
        prompt: "say \"hi\"\n".to_owned(),
        temperature: 0.7,
        max_tokens: None,
        provider: None,
        model: None,
    };
    assert_eq!(
        request.to_chat("m", "max_tokens", 150, true),
        concat!(
            r#"{"model":"m","messages":[{"role":"user","content":"say \"hi\"\n"}],"#,
            r#""temperature":0.7,"max_tokens":150}"#
        )
    );
    let smallest = GenerateRequest { temperature: f64::MIN_POSITIVE, ..request.clone() };
    let body = smallest.to_chat("m", "max_tokens", 1, true);
    assert!(body.ends_with(br#","temperature":2.2250738585072014e-308,"max_tokens":1}"#));
    assert_eq!(
        request.to_chat("a/b", "max_completion_tokens", 1, false),
        concat!(
            r#"{"model":"a/b","messages":[{"role":"user","content":"say \"hi\"\n"}],"#,
            r#""max_completion_tokens":1}"#
        )
    );
}

#[test]
fn the_answer_has_the_seeds_members_and_no_other() {
    assert_eq!(
        answer("Hello \"there\"!", "m", 3, 9, 12),
        concat!(
            r#"{"text":"Hello \"there\"!","model":"m","usage":{"prompt_tokens":3,"#,
            r#""completion_tokens":9,"total_tokens":12}}"#
        )
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(faults) = GenerateRequest::read(&body) {
            prop_assert!(!faults.is_empty());
            serde_json::from_slice::<serde_json::Value>(&render_faults(&faults)).unwrap();
        }
    }

    #[test]
    fn any_request_reaches_the_upstream_as_it_was_meant(
        prompt in ".{1,80}",
        hundredths in 0..=200_u8,
        max_tokens in 1_u64..,
        model in "[a-z/.-]{1,20}",
    ) {
        let temperature = f64::from(hundredths) / 100.0;
        let body = serde_json::json!({
            "prompt": prompt, "temperature": temperature, "max_tokens": max_tokens, "model": model,
        });
        let request = GenerateRequest::read(body.to_string().as_bytes()).unwrap();
        prop_assert_eq!(request.max_tokens, Some(max_tokens));
        let chat = request.to_chat(request.model.as_deref().unwrap(), "max_tokens", max_tokens, true);
        let chat: serde_json::Value = serde_json::from_slice(&chat).unwrap();
        prop_assert_eq!(chat, serde_json::json!({
            "model": model, "messages": [{"role": "user", "content": prompt}],
            "temperature": temperature, "max_tokens": max_tokens,
        }));
    }
}

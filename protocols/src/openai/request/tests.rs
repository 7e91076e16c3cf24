use proptest::prelude::*;

use super::*;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn read(text: &str) -> Result<ChatRequest, RequestFault> {
    ChatRequest::read(&Bytes::copy_from_slice(text.as_bytes()))
}

fn rewritten(text: &str, rewrite: &Rewrite<'_>) -> String {
    let body = read(text).unwrap().rewrite(rewrite);
    String::from_utf8(body.to_vec()).unwrap()
}

fn cap(member: CapMember, value: u64) -> Rewrite<'static> {
    Rewrite { cap: Some((member, value)), ..Rewrite::default() }
}

#[test]
fn the_members_the_gateway_decides_by_are_read() {
    let request = read(
        r#"{"model":"gpt\u002d4","stream":true,"max_tokens":7,"max_completion_tokens":9,"n":2,
        "stream_options":{"x":1,"include_usage":true},"messages":[{}],"seed":18446744073709551616}"#,
    );
    let request = request.unwrap();
    assert_eq!(request.model(), Some("gpt-4"));
    assert!(request.stream() && request.include_usage());
    assert_eq!((request.max_tokens(), request.max_completion_tokens()), (Some(7), Some(9)));
    assert_eq!((request.output_cap(), request.n()), (Some(9), 2));
    assert_eq!(request.messages(), b"[{}]");
}

#[test]
fn null_is_as_good_as_missing() {
    let nulls = r#""model":null,"stream":null,"max_tokens":null,"n":null,"stream_options":null"#;
    for text in [format!("{{{MESSAGES}}}"), format!("{{{nulls},{MESSAGES}}}")] {
        let request = read(&text).unwrap();
        assert_eq!((request.model(), request.output_cap(), request.n()), (None, None, 1));
        assert!(!request.stream() && !request.include_usage());
    }
}

#[test]
fn a_member_given_twice_is_refused_in_whatever_spelling() {
    for field in Field::ALL {
        let name = field.name();
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        let value = match field {
            Field::Messages => "[1]",
            Field::Model => "\"m\"",
            Field::Stream => "true",
            _ => "null",
        };
        for second in [name, &escaped] {
            let text = format!("{{\"{name}\":{value},\"x\":1,\"{second}\":{value}}}");
            let fault = read(&text).unwrap_err();
            assert_eq!(fault, RequestFault::Duplicate { param: name }, "{text}");
            assert_eq!(fault.param(), Some(name));
        }
    }
    let options = r#""stream_options":{"include_usage":true,"include\u005fusage":false}"#;
    let fault = read(&format!("{{{options},{MESSAGES}}}")).unwrap_err();
    assert_eq!(fault, RequestFault::Duplicate { param: "stream_options.include_usage" });
}

#[test]
fn unknown_members_may_be_doubled_and_strange() {
    let text = format!(r#"{{"x":1,"x":2,"":[],"é":{{"model":3,"model":4}},{MESSAGES}}}"#);
    assert_eq!(read(&text).unwrap().model(), None);
}

#[test]
fn a_wrong_type_names_its_member() {
    let cases = [
        (r#""model":1"#, "model", "`model` is a number; expected a string"),
        (r#""stream":"true""#, "stream", "`stream` is a string; expected a boolean"),
        (r#""max_tokens":"5""#, "max_tokens", "`max_tokens` is a string; expected a whole number"),
        (r#""max_tokens":0"#, "max_tokens", "`max_tokens` must be a whole number of at least 1"),
        (r#""max_tokens":-1"#, "max_tokens", "`max_tokens` must be a whole number of at least 1"),
        (r#""n":1.5"#, "n", "`n` must be a whole number of at least 1"),
        (r#""stream_options":[]"#, "stream_options", "`stream_options` is an array; expected an object"),
        (
            r#""stream_options":{"include_usage":1}"#,
            "stream_options.include_usage",
            "`stream_options.include_usage` is a number; expected a boolean",
        ),
    ];
    for (member, param, message) in cases {
        let fault = read(&format!("{{{member},{MESSAGES}}}")).unwrap_err();
        assert_eq!((fault.param(), fault.to_string().as_str()), (Some(param), message));
    }
}

#[test]
fn messages_must_be_there_and_hold_one() {
    let messages = |text: &str| {
        let fault = read(text).unwrap_err();
        assert_eq!(fault.param(), Some("messages"));
        fault.to_string()
    };
    assert_eq!(messages("{}"), "`messages` is missing");
    assert_eq!(messages(r#"{"messages":null}"#), "`messages` is null; expected an array");
    assert_eq!(messages(r#"{"messages":[ ]}"#), "`messages` is empty; send at least one message");
}

#[test]
fn what_is_no_json_object_is_refused_with_the_place() {
    let message = |body: &[u8]| {
        let fault = ChatRequest::read(&Bytes::copy_from_slice(body)).unwrap_err();
        assert_eq!(fault.param(), None);
        fault.to_string()
    };
    assert_eq!(message(b" \n"), "the body is empty; send a JSON object");
    assert_eq!(message(b"[1]"), "the body is an array; send a JSON object");
    assert_eq!(
        message(b"{\"model\":NaN}"),
        "the body is not usable JSON: unexpected byte at 9; expected a value"
    );
    assert_eq!(
        message(b"{\"model\":\"\xff\"}"),
        "the body is not usable JSON: the text is not UTF-8 at byte 10"
    );
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(matches!(read(&deep), Err(RequestFault::Json(JsonFault::TooDeep { .. }))));
}

#[test]
fn a_rewrite_that_changes_nothing_is_the_same_handle() {
    let text = format!(
        r#"{{"model":"m\u0031","max_tokens":5,"stream":true,"stream_options":{{"include_usage":true}},{MESSAGES}}}"#
    );
    let request = read(&text).unwrap();
    let same = Rewrite { model: Some("m1"), cap: Some((CapMember::MaxTokens, 5)), include_usage: true };
    for rewrite in [Rewrite::default(), same] {
        assert_eq!(request.rewrite(&rewrite).as_ptr(), request.body().as_ptr());
    }
}

#[test]
fn only_the_named_values_change() {
    let text = format!(
        "{{ \"id\":9007199254740993, \"model\" : \"fast\",\n\"seed\":null,{MESSAGES} ,\"t\":1.0e2 }}"
    );
    let rewrite = Rewrite { model: Some("a/\"b\""), ..Rewrite::default() };
    assert_eq!(rewritten(&text, &rewrite), text.replace("\"fast\"", r#""a/\"b\"""#));
}

#[test]
fn a_cap_is_written_under_the_name_the_model_takes() {
    use CapMember::{MaxCompletionTokens, MaxTokens};
    let cases = [
        (r#""max_tokens":9"#, MaxTokens, r#""max_tokens":5"#),
        (r#""max_tokens": null"#, MaxTokens, r#""max_tokens": 5"#),
        (r#""max_tokens" : 9"#, MaxCompletionTokens, r#""max_completion_tokens" : 5"#),
        (r#""max_completion_tokens":9"#, MaxTokens, r#""max_tokens":5"#),
        (r#""max_tokens":9, "max_completion_tokens":9"#, MaxCompletionTokens, r#""max_completion_tokens":5"#),
        (
            r#""max_tokens":null,"max_completion_tokens":9"#,
            MaxCompletionTokens,
            r#""max_tokens":null,"max_completion_tokens":5"#,
        ),
    ];
    for (before, member, after) in cases {
        let text = format!("{{{before},{MESSAGES}}}");
        assert_eq!(rewritten(&text, &cap(member, 5)), format!("{{{after},{MESSAGES}}}"));
    }
    let text = format!("{{{MESSAGES}\n}}");
    assert_eq!(rewritten(&text, &cap(MaxTokens, 5)), format!("{{{MESSAGES},\"max_tokens\":5\n}}"));
}

#[test]
fn a_stream_is_made_to_report_its_usage_and_keeps_its_other_options() {
    let rewrite = Rewrite { include_usage: true, ..Rewrite::default() };
    let cases = [
        ("", r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{}"#, r#","stream_options":{"include_usage":true}"#),
        (
            r#","stream_options":{"include_obfuscation":false}"#,
            r#","stream_options":{"include_obfuscation":false,"include_usage":true}"#,
        ),
        (r#","stream_options":{"include_usage":false}"#, r#","stream_options":{"include_usage":true}"#),
        (
            r#","stream_options":{"include_usage": null, "x":[1]}"#,
            r#","stream_options":{"include_usage": true, "x":[1]}"#,
        ),
    ];
    for (before, after) in cases {
        let text = format!("{{\"stream\":true,{MESSAGES}{before}}}");
        assert_eq!(rewritten(&text, &rewrite), format!("{{\"stream\":true,{MESSAGES}{after}}}"));
        let plain = text.replace("true,\"m", "false,\"m");
        assert_eq!(rewritten(&plain, &rewrite), plain, "only a stream has a usage chunk");
    }
}

#[test]
fn everything_that_may_reach_the_model_is_a_prompt_part() {
    let text = format!(
        r#"{{"model":"m","tools":[{{"t":1}}],"temperature":0.5,"documents":[{{"text":"long"}}],{MESSAGES},
        "stop":["x"],"response_format":{{"type":"json_schema"}},"metadata":{{"a":"b"}},"user":"u"}}"#
    );
    let request = read(&text).unwrap();
    let parts: Vec<_> = request.prompt_parts().map(|part| std::str::from_utf8(part).unwrap()).collect();
    let messages = MESSAGES.strip_prefix("\"messages\":").unwrap();
    let expected = [r#"[{"t":1}]"#, r#"[{"text":"long"}]"#, messages, r#"{"type":"json_schema"}"#];
    assert_eq!(parts, expected);
}

/// A member of the request in some spelling; at most one of each known name is taken.
fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    let known = prop_oneof![
        Just(("model", "\"fast\"")),
        Just(("model", "null")),
        Just(("max_tokens", "100")),
        Just(("max_completion_tokens", "200")),
        Just(("stream", "true")),
        Just(("stream_options", "{\"x\" : 1.50}")),
        Just(("stream_options", "{\"include_usage\":false ,\"x\":12345678901234567890}")),
        Just(("n", "3")),
    ];
    let values = vec!["1e2", "12345678901234567890123", "null", "\"\\ud83d\"", "[ {} , 1.0 ]"];
    let unknown = ("x[a-z]{0,3}", prop::sample::select(values));
    let member = prop_oneof![
        known.prop_map(|(name, value)| (name.to_owned(), value.to_owned())),
        unknown.prop_map(|(name, value)| (name, value.to_owned())),
    ];
    prop::collection::vec(member, 0..8).prop_map(|mut members| {
        members.push(("messages".to_owned(), "[ {\"content\":\"}\"} ]".to_owned()));
        let mut seen = std::collections::HashSet::new();
        members.retain(|(name, _)| name.starts_with('x') || seen.insert(name.clone()));
        members
    })
}

fn listed(text: &str) -> Vec<(String, String)> {
    let mut members = Vec::new();
    let visit = |_, key: &Key<'_>, value: &Value<'_>| {
        members.push((key.name.to_string(), value.raw.to_owned()));
        Ok::<(), JsonFault>(())
    };
    Object::read(&mut Cursor::new(text), visit).unwrap();
    members
}

proptest! {
    #[test]
    fn any_rewrite_is_valid_json_that_says_what_was_asked_and_keeps_the_rest(
        members in members(),
        model in prop::option::of("[a-z/\"é]{1,6}"),
        cap in prop::option::of((any::<bool>(), 1u64..1000)),
        include_usage: bool,
        space in prop::sample::select(vec!["", " ", "\n  "]),
    ) {
        let written: Vec<_> =
            members.iter().map(|(name, value)| format!("{space}\"{name}\"{space}:{value}")).collect();
        let text = format!("{space}{{{}{space}}}", written.join(","));
        let names = [CapMember::MaxTokens, CapMember::MaxCompletionTokens];
        let cap = cap.map(|(which, value)| (names[usize::from(which)], value));
        let request = read(&text).unwrap();
        let result = rewritten(&text, &Rewrite { model: model.as_deref(), cap, include_usage });
        let said: serde_json::Value =
            serde_json::from_str(&result.replace("\\ud83d", "")).unwrap();

        if let Some(model) = &model {
            prop_assert_eq!(said["model"].as_str(), Some(model.as_str()));
        }
        if let Some((name, value)) = cap {
            prop_assert_eq!(said[name.field().name()].as_u64(), Some(value));
            prop_assert!(said.get(name.other().field().name()).is_none());
        }
        if include_usage && request.stream() {
            prop_assert_eq!(said["stream_options"]["include_usage"].as_bool(), Some(true));
        }
        let edited = ["model", "max_tokens", "max_completion_tokens", "stream_options"];
        let untouched = |members: Vec<(String, String)>| -> Vec<_> {
            members.into_iter().filter(|(name, _)| !edited.contains(&name.as_str())).collect()
        };
        prop_assert_eq!(untouched(listed(&text)), untouched(listed(&result)));
        prop_assert!(read(&result).is_ok());
    }
}

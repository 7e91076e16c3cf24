use serde_json::{Value, json};

use super::*;
use crate::conversation::{Call, Content, Losses, Part, Role, Source, Target, Turn, Untranslatable};
use crate::openai::{CapMember, render_request};

fn target() -> Target<'static> {
    Target {
        model: "upstream",
        cap: None,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: true,
        asks_for_usage: true,
        missing_signature: None,
    }
}

fn bytes(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

/// The request read and written again, with what was left out.
fn through(body: &Bytes, is_lenient: bool) -> Result<(Value, Vec<String>), Untranslatable> {
    let mut losses = Losses::new("chat", is_lenient);
    let written = render_request(&conversation(body).unwrap(), &target(), &mut losses)?;
    Ok((serde_json::from_slice(&written).unwrap(), losses.into_dropped()))
}

/// That a request comes out as it went in.
fn assert_keeps(body: Value) {
    assert_eq!(through(&bytes(&body), false).unwrap(), (body, Vec::new()));
}

/// That a request comes out as another.
fn assert_becomes(body: Value, expected: Value) {
    assert_eq!(through(&bytes(&body), false).unwrap(), (expected, Vec::new()));
}

/// The fault of these messages.
fn fault(messages: Value) -> String {
    conversation(&bytes(&json!({"messages": messages}))).unwrap_err().to_string()
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

fn user(content: Value) -> Value {
    json!({"model": "upstream", "messages": [{"role": "user", "content": content}]})
}

#[test]
fn a_request_with_every_setting_comes_out_as_it_went_in() {
    assert_keeps(json!({
        "model": "upstream",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "How are you?"},
        ],
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": 99,
        "temperature": 0.7,
        "top_p": 0.9,
        "frequency_penalty": -1,
        "presence_penalty": 1.5,
        "seed": 7,
        "stop": ["a", "b"],
        "tools": [
            {"type": "function", "function": {
                "name": "f", "description": "does f", "strict": true,
                "parameters": {"type": "object", "properties": {"x": {"type": "integer", "maximum": 1e99}}},
            }},
            {"type": "function", "function": {"name": "g"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "schema": {"type": "object"}, "strict": true}},
        "reasoning_effort": "high",
        "user": "u",
    }));
}

#[test]
fn tool_calls_and_their_results_come_out_as_they_went_in() {
    assert_keeps(json!({
        "model": "upstream",
        "messages": [
            {"role": "user", "content": "Both, please."},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.0}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "sig=="}}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "assistant", "content": "Done."},
        ],
    }));
}

#[test]
fn pictures_sounds_and_files_come_out_as_they_went_in() {
    assert_keeps(user(json!([
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,DDDD"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ])));
}

#[test]
fn a_refusal_is_kept_apart_from_text() {
    assert_keeps(json!({
        "model": "upstream",
        "messages": [{"role": "assistant", "content": null, "refusal": "I will not."}],
    }));
    assert_becomes(
        json!({"messages": [
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ]}),
        json!({"model": "upstream", "messages": [
            {"role": "assistant", "content": null, "refusal": "No."},
        ]}),
    );
}

#[test]
fn numbers_keep_their_digits() {
    let arguments =
        r#"{\"id\":1234567890123456789,\"a\":1.0,\"b\":1e2,\"c\":9999999999999999999999999999999999999999}"#;
    let call =
        format!(r#"{{"id":"c","type":"function","function":{{"name":"f","arguments":"{arguments}"}}}}"#);
    let settings = r#""seed":12345678901234567890123,"temperature":1.0,"top_p":1e-1"#;
    let schema = r#"{"type":"object","maximum":123456789012345678901}"#;
    let body = Bytes::from(format!(
        r#"{{"messages":[{{"role":"assistant","tool_calls":[{call}]}}],{settings},"tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]}}"#
    ));
    let mut losses = Losses::new("chat", false);
    let written = render_request(&conversation(&body).unwrap(), &target(), &mut losses).unwrap();
    let written = std::str::from_utf8(&written).unwrap();
    for kept in [&call, arguments, r#""seed":12345678901234567890123"#, r#""top_p":1e-1"#, schema] {
        assert!(written.contains(kept), "{kept} in {written}");
    }
    assert!(written.contains(r#""temperature":1.0"#));
}

#[test]
fn instructions_come_before_the_talk_in_their_order() {
    assert_becomes(
        json!({"messages": [
            {"role": "system", "content": "One."},
            {"role": "user", "content": "Hi"},
            {"role": "developer", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": " "}]},
            {"role": "system", "content": ""},
        ]}),
        json!({"model": "upstream", "messages": [
            {"role": "system", "content": "One.\n\nTwo."},
            {"role": "user", "content": "Hi"},
        ]}),
    );
}

#[test]
fn an_empty_or_blank_content_beside_calls_is_no_text() {
    for content in [json!(""), json!(null), json!([]), json!([{"type": "text", "text": ""}]), json!(" \n")] {
        let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let body = bytes(&json!({"messages": [
            {"role": "assistant", "content": content, "tool_calls": [call]},
        ]}));
        let turns = conversation(&body).unwrap().turns;
        assert!(matches!(turns[0].parts[..], [Part { content: Content::Call(_), .. }]), "{content}");
    }
}

#[test]
fn a_message_with_nothing_in_it_is_refused_by_its_path() {
    let expected = "`messages[1].content` is not usable; expected text that is not blank, or another part";
    for content in [json!(""), json!(null), json!([]), json!([{"type": "text", "text": ""}]), json!("\n")] {
        for role in ["user", "assistant"] {
            let messages = json!([{"role": "user", "content": "a"}, {"role": role, "content": content}]);
            assert_eq!(fault(messages), expected);
        }
    }
}

#[test]
fn arguments_are_always_an_object() {
    let arguments = |arguments: Value| {
        let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let body = bytes(&json!({"messages": [{"role": "assistant", "tool_calls": [call]}]}));
        let conversation = conversation(&body).unwrap();
        match &conversation.turns[0].parts[0].content {
            Content::Call(Call { arguments, .. }) => arguments.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for blank in [json!(""), json!(" \n"), json!(null), json!("{}")] {
        assert_eq!(arguments(blank), "{}");
    }
    assert_eq!(arguments(json!("{\"a\": \"\u{1f600}\"}")), "{\"a\": \"\u{1f600}\"}");
    assert_eq!(arguments(json!({"a": 1})), r#"{"a":1}"#);
    for broken in ["{\"a\":", "[1]", "3", "{} {}", "\u{0}"] {
        assert_eq!(
            serde_json::from_str::<Value>(&arguments(json!(broken))).unwrap(),
            json!({"INVALID_JSON": broken})
        );
    }
}

#[test]
fn a_result_has_the_name_of_its_call() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = bytes(&json!({"messages": [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}]},
        {"role": "tool", "tool_call_id": "?", "name": "g", "content": "y"},
    ]}));
    let names: Vec<_> = conversation(&body).unwrap().turns[1..]
        .iter()
        .map(|turn| match &turn.parts[0].content {
            Content::Result { name, .. } => name.as_deref().map(String::from),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [Some("f".to_owned()), Some("g".to_owned())]);
}

#[test]
fn thoughts_come_back_with_their_signatures() {
    let body = bytes(&json!({"messages": [{
        "role": "assistant",
        "content": "So.",
        "reasoning_content": "abcd",
        "reasoning_details": [
            {"type": "reasoning.text", "index": 0, "text": "a"},
            {"type": "reasoning.text", "index": 0, "text": "b"},
            {"type": "reasoning.text", "index": 0, "signature": "s0"},
            {"type": "reasoning.encrypted", "index": 1, "data": "x"},
            {"type": "reasoning.text", "index": 2, "text": "cd", "signature": "s2"},
            {"type": "reasoning.summary", "index": 3, "summary": "sum"},
            {"type": "unknown"},
        ],
    }]}));
    let thought = |text: &'static str, signature: Option<&'static str>| Content::Thinking {
        text: text.into(),
        signature: signature.map(Into::into),
    };
    let parts = [
        thought("ab", Some("s0")),
        Content::RedactedThinking { data: "x".into() },
        thought("cd", Some("s2")),
        thought("sum", None),
        Content::Text("So.".into()),
    ];
    let expected = Turn { role: Role::Assistant, parts: parts.map(Part::from).into() };
    assert_eq!(conversation(&body).unwrap().turns, [expected]);
}

#[test]
fn thoughts_without_details_are_read_under_either_name() {
    for name in ["reasoning", "reasoning_content"] {
        let body = bytes(&json!({"messages": [{"role": "assistant", "content": "So.", name: "hm"}]}));
        let turns = conversation(&body).unwrap().turns;
        assert_eq!(turns[0].parts[0].content, Content::Thinking { text: "hm".into(), signature: None });
    }
}

#[test]
fn data_urls_are_taken_apart() {
    let source = |url: &str| {
        let body = bytes(&user(json!([{"type": "image_url", "image_url": {"url": url}}])));
        let turns = conversation(&body)?.turns;
        match &turns[0].parts[0].content {
            Content::Image { source: Source::Base64 { media_type, data }, .. } => {
                Ok(format!("{media_type} {data}"))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(source("data:image/png;base64,AA+/"), Ok("image/png AA+/".to_owned()));
    assert_eq!(source("data:image/png;charset=x;base64,AA"), Ok("image/png AA".to_owned()));
    for bad in ["data:image/png,AA", "data:", "data:;base64"] {
        let fault: Result<String, RequestFault> = source(bad);
        assert_eq!(fault.unwrap_err().param(), Some("messages[0].content[0].image_url.url"), "{bad}");
    }
}

#[test]
fn an_escaped_data_url_is_taken_apart_too() {
    let body = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image\/png;base64,A\/A="}]}]}"#;
    let body = Bytes::from_static(body);
    let turns = conversation(&body).unwrap().turns;
    let source = Source::Base64 { media_type: "image/png".into(), data: "A/A=".into() };
    assert_eq!(turns[0].parts[0].content, Content::Image { source, detail: None });
}

#[test]
fn cache_markers_stay_on_their_parts() {
    let marker = json!({"type": "ephemeral"});
    let body = bytes(&json!({
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": marker}]},
            {"role": "user", "content": "b", "cache_control": marker},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": marker}],
    }));
    let conversation = conversation(&body).unwrap();
    let marker = Some(r#"{"type":"ephemeral"}"#);
    assert_eq!(conversation.system[0].cache_control.as_deref(), marker);
    assert_eq!(conversation.turns[0].parts[0].cache_control.as_deref(), marker);
    assert_eq!(conversation.tools[0].cache_control.as_deref(), marker);
}

#[test]
fn members_that_change_nothing_are_left_out_unnamed() {
    assert_becomes(
        json!({
            "model": "m", "messages": [{"role": "user", "content": "a"}], "n": 1, "store": false,
            "metadata": {"a": "b"}, "prompt_cache_key": "k", "logprobs": false, "top_logprobs": 0,
            "logit_bias": {}, "modalities": [ "text" ], "service_tier": "auto", "verbosity": "medium",
            "temperature": null, "tools": null, "unknown": null, "stream": false,
            "stream_options": {"include_usage": false}, "response_format": {"type": "text"},
        }),
        json!({"model": "upstream", "messages": [{"role": "user", "content": "a"}]}),
    );
}

#[test]
fn what_has_no_equal_is_refused_by_its_path_or_dropped_and_named() {
    let body = bytes(&json!({
        "messages": [
            {"role": "user", "name": "ada", "content": [{"type": "text", "text": "a"}, {"type": "video_url"}]},
            {"role": "assistant", "content": "b", "audio": {"id": "x"}, "annotations": [{"type": "url_citation"}]},
            {"role": "function", "name": "f", "content": "c"},
            {"role": "assistant", "tool_calls": [{"id": "d", "type": "custom", "custom": {}}]},
        ],
        "n": 2,
        "logit_bias": {"5": 1},
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {}},
        "response_format": {"type": "grammar", "grammar": "x"},
        "some_extension": false,
    }));
    let (written, dropped) = through(&body, true).unwrap();
    let expected = [
        "n",
        "logit_bias",
        "tools[1]",
        "tool_choice",
        "response_format",
        "some_extension",
        "messages[0].content[1]",
        "messages[0].name",
        "messages[1].audio",
        "messages[2]",
        "messages[3].tool_calls[0]",
    ];
    assert_eq!(sorted(&dropped), sorted(&expected.map(String::from)));
    assert_eq!(written["messages"].as_array().unwrap().len(), 2);
    let refused = through(&body, false).unwrap_err();
    assert!(dropped.contains(&refused.member));
}

#[test]
fn faults_name_the_member() {
    assert_eq!(fault(json!([])), "`messages` is empty; send at least one message");
    assert_eq!(fault(json!({})), "`messages` is not usable; expected an array");
    assert_eq!(fault(json!([1])), "`messages[0]` is not usable; expected an object");
    let roles =
        "`messages[0].role` is not usable; expected `system`, `developer`, `user`, `assistant` or `tool`";
    assert_eq!(fault(json!([{"content": "a"}])), roles);
    assert_eq!(fault(json!([{"role": "robot", "content": "a"}])), roles);
    let tool = "`messages[0].tool_call_id` is not usable; expected a string";
    assert_eq!(fault(json!([{"role": "tool", "content": "a"}])), tool);
    let part = "`messages[0].content[0].text` is not usable; expected what `type` names";
    assert_eq!(fault(json!([{"role": "user", "content": [{"type": "text"}]}])), part);
    let call = "`messages[0].tool_calls[0].function` is not usable; expected an object";
    assert_eq!(fault(json!([{"role": "assistant", "tool_calls": [{"id": "a"}]}])), call);
}

#[test]
fn settings_of_the_wrong_type_are_named() {
    let settings = [
        ("temperature", json!("hot")),
        ("max_tokens", json!(0)),
        ("max_completion_tokens", json!(1.5)),
        ("stop", json!(5)),
        ("tools", json!({})),
        ("tool_choice", json!("maybe")),
        ("parallel_tool_calls", json!("yes")),
        ("response_format", json!("json")),
        ("reasoning_effort", json!("enormous")),
        ("stream", json!(1)),
        ("user", json!(1)),
    ];
    for (name, value) in settings {
        let body = bytes(&json!({"messages": [{"role": "user", "content": "a"}], name: value}));
        assert_eq!(conversation(&body).unwrap_err().param(), Some(name));
    }
}

#[test]
fn bodies_that_are_no_request_are_told_apart() {
    let fault = |body: &'static str| conversation(&Bytes::from_static(body.as_bytes())).unwrap_err();
    assert_eq!(fault(" "), RequestFault::Empty);
    assert_eq!(fault("[]"), RequestFault::NotAnObject { found: Kind::Array });
    assert_eq!(fault("{}"), RequestFault::Missing { param: "messages" });
    assert!(matches!(fault("{\"messages\":[}"), RequestFault::Json(_)));
}

#[test]
fn of_two_caps_the_larger_holds_and_the_target_names_it() {
    let body = bytes(&json!({
        "messages": [{"role": "user", "content": "a"}], "max_tokens": 5, "max_completion_tokens": 7,
    }));
    let conversation = conversation(&body).unwrap();
    assert_eq!(conversation.max_output, Some(7));
    let written = |target: Target<'_>| {
        let mut losses = Losses::new("chat", false);
        let written = render_request(&conversation, &target, &mut losses).unwrap();
        serde_json::from_slice::<Value>(&written).unwrap()
    };
    assert_eq!(written(target())["max_tokens"], 7);
    let newer = Target { cap: Some(3), cap_member: CapMember::MaxCompletionTokens, ..target() };
    assert_eq!(written(newer)["max_completion_tokens"], 3);
    assert_eq!(written(newer).get("max_tokens"), None);
}

#[test]
fn reasoning_in_one_object_is_the_effort_and_whether_it_is_shown() {
    let body = |reasoning: Value| {
        bytes(&json!({"messages": [{"role": "user", "content": "Hi"}], "reasoning": reasoning}))
    };
    let asked = body(json!({"effort": "low", "summary": "auto", "exclude": null}));
    let expected = Reasoning { effort: Some(Effort::Low), budget_tokens: None, shown: Some(true) };
    assert_eq!(conversation(&asked).unwrap().reasoning, Some(expected));
    let odd = body(json!({"made_up": 1}));
    assert_eq!(conversation(&odd).unwrap().extras[0].member, "reasoning.made_up");
}

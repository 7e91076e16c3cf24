use serde_json::{Value, json};

use super::*;
use crate::conversation::{Call, Content, Effort, Reasoning, Role, Source, Turn};
use crate::openai::CapMember;

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        cap: None,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: true,
        asks_for_usage: true,
        missing_signature: None,
    }
}

fn user(parts: Vec<Content<'_>>) -> Turn<'_> {
    Turn { role: Role::User, parts: parts.into_iter().map(Part::from).collect() }
}

fn assistant(parts: Vec<Content<'_>>) -> Turn<'_> {
    Turn { role: Role::Assistant, parts: parts.into_iter().map(Part::from).collect() }
}

fn text(text: &str) -> Content<'_> {
    Content::Text(text.into())
}

fn call<'a>(id: &'a str, arguments: &'a str) -> Content<'a> {
    Content::Call(Call {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
        signature: Some("g".into()),
    })
}

fn result<'a>(id: &'a str, parts: Vec<Content<'a>>) -> Content<'a> {
    let parts = parts.into_iter().map(Part::from).collect();
    Content::Result { id: id.into(), name: None, parts, is_error: false }
}

fn hello() -> Conversation<'static> {
    Conversation { turns: vec![user(vec![text("hi")])], ..Conversation::default() }
}

fn render(conversation: &Conversation<'_>) -> Result<Value, Untranslatable> {
    let mut losses = Losses::new(DIALECT, false);
    let body = render_request(conversation, &target("claude-sonnet-4-5"), &mut losses)?;
    Ok(serde_json::from_slice(&body).unwrap())
}

/// What a strict translation refuses, and a lenient one writes without.
fn lost(conversation: &Conversation<'_>) -> (String, Value) {
    let member = render(conversation).unwrap_err().member;
    let mut losses = Losses::new(DIALECT, true);
    let body = render_request(conversation, &target("claude-sonnet-4-5"), &mut losses).unwrap();
    assert_eq!(losses.into_dropped(), [member.as_str()]);
    (member, serde_json::from_slice(&body).unwrap())
}

fn messages(turns: Vec<Turn<'_>>) -> Value {
    render(&Conversation { turns, ..Conversation::default() }).unwrap()["messages"].clone()
}

#[test]
fn a_cap_is_always_there() {
    let cap = |cap, max_output| {
        let conversation = Conversation { max_output, ..hello() };
        let target = Target { cap, ..target("m") };
        let body = render_request(&conversation, &target, &mut Losses::new(DIALECT, false)).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["max_tokens"].clone()
    };
    assert_eq!(cap(None, None), 4096);
    assert_eq!(cap(None, Some(77)), 77);
    assert_eq!(cap(Some(50), Some(77)), 50);
}

#[test]
fn the_plainest_request_is_plain() {
    let conversation = Conversation { system: vec![text("be brief").into()], ..hello() };
    let expected = json!({"model": "claude-sonnet-4-5", "max_tokens": 4096, "system": "be brief",
        "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(render(&conversation).unwrap(), expected);
}

#[test]
fn several_instructions_are_blocks_with_their_markers() {
    let marked = Part { content: text("b"), cache_control: Some(r#"{"type":"ephemeral"}"#.into()) };
    let conversation = Conversation { system: vec![text("a").into(), marked, text(" ").into()], ..hello() };
    let expected = json!([{"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]);
    assert_eq!(render(&conversation).unwrap()["system"], expected);
}

#[test]
fn neighbours_of_one_side_are_one_message_with_results_first() {
    let turns = vec![
        user(vec![text("a")]),
        assistant(vec![text("b"), call("t1", "{}")]),
        assistant(vec![call("t2", r#"{"n":12345678901234567890}"#)]),
        user(vec![text("by the way")]),
        user(vec![result("t1", vec![text("one")])]),
        user(vec![result("t2", vec![])]),
    ];
    let expected = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            {"type": "tool_use", "id": "t2", "name": "f", "input": {"n": 12345678901234567890_u64}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
            {"type": "tool_result", "tool_use_id": "t2"},
            {"type": "text", "text": "by the way"},
        ]},
    ]);
    assert_eq!(messages(turns), expected);
}

#[test]
fn blank_text_is_dropped_wherever_it_stands() {
    for blank in ["", " \n"] {
        let turns = vec![
            user(vec![text(blank), text("a")]),
            assistant(vec![text(blank), call("t", "")]),
            user(vec![result("t", vec![text(blank)]), text(blank)]),
        ];
        let expected = json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        ]);
        assert_eq!(messages(turns), expected);
    }
}

#[test]
fn a_message_of_which_nothing_stays_brings_its_neighbours_together() {
    let unsigned = Content::Thinking { text: "hm".into(), signature: None };
    let turns = vec![user(vec![text("a")]), assistant(vec![unsigned, text(" ")]), user(vec![text("b")])];
    let expected =
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
    assert_eq!(messages(turns), expected);
    let empty = Conversation { turns: vec![user(vec![text("")])], ..Conversation::default() };
    for is_lenient in [false, true] {
        let mut losses = Losses::new(DIALECT, is_lenient);
        assert!(render_request(&empty, &target("m"), &mut losses).is_err());
    }
}

#[test]
fn instructions_alone_are_what_the_user_says() {
    let conversation = Conversation { system: vec![text("Count to ten.").into()], ..Conversation::default() };
    let body = render(&conversation).unwrap();
    assert_eq!(body["messages"], json!([{"role": "user", "content": "Count to ten."}]));
    assert_eq!(body["system"], Value::Null);
}

#[test]
fn thoughts_go_back_as_they_were_signed() {
    let turns = vec![
        user(vec![text("a")]),
        assistant(vec![
            Content::Thinking { text: "hm".into(), signature: Some("c2ln".into()) },
            Content::RedactedThinking { data: "xyz".into() },
            Content::Refusal("no".into()),
        ]),
    ];
    let expected = json!([
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "no"},
    ]);
    assert_eq!(messages(turns)[1]["content"], expected);
}

#[test]
fn pictures_and_documents_stand_where_they_are() {
    let image = |source| Content::Image { source, detail: Some("high".into()) };
    let png = Source::Base64 { media_type: "image/png".into(), data: "iVBOR".into() };
    let pdf = Source::Base64 { media_type: "application/pdf".into(), data: "JVBERi".into() };
    let turns = vec![user(vec![
        image(png.clone()),
        image(Source::Url("https://x/y.png".into())),
        Content::Document { source: pdf, name: Some("a.pdf".into()) },
        Content::Document { source: Source::FileId("file_1".into()), name: None },
        result("t", vec![image(png), text("seen")]),
    ])];
    let png =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}});
    let expected = json!([
        {"type": "tool_result", "tool_use_id": "t", "content": [png, {"type": "text", "text": "seen"}]},
        png,
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "document", "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ]);
    assert_eq!(messages(turns)[0]["content"], expected);
}

#[test]
fn markers_stay_where_they_were() {
    let marker = r#"{"type":"ephemeral","ttl":"1h"}"#;
    let marked = Part { content: text("a"), cache_control: Some(marker.into()) };
    let tool = Tool {
        name: "f".into(),
        description: None,
        schema: None,
        strict: Some(false),
        cache_control: Some(marker.into()),
    };
    let turns = vec![Turn { role: Role::User, parts: vec![marked] }];
    let body = render(&Conversation { turns, tools: vec![tool], ..Conversation::default() }).unwrap();
    let marker: Value = serde_json::from_str(marker).unwrap();
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "text", "text": "a", "cache_control": marker}])
    );
    let tool =
        json!({"name": "f", "input_schema": {"type": "object", "properties": {}}, "cache_control": marker});
    assert_eq!(body["tools"], json!([tool]));
}

#[test]
fn an_id_that_the_api_does_not_take_is_the_same_in_call_and_result() {
    let turns = vec![
        assistant(vec![call("functions.get:0", "{}")]),
        user(vec![result("functions.get:0", vec![text("x")])]),
    ];
    let messages = messages(turns);
    assert_eq!(messages[0]["content"][0]["id"], "functions_get_0");
    assert_eq!(messages[1]["content"][0]["tool_use_id"], "functions_get_0");
}

#[test]
fn arguments_that_are_no_object_are_shown_to_the_model_as_it_wrote_them() {
    let messages = messages(vec![assistant(vec![call("t", r#"{"a": tru"#)])]);
    assert_eq!(messages[0]["content"][0]["input"], json!({"INVALID_JSON": "{\"a\": tru"}));
}

#[test]
fn digits_of_schemas_arguments_and_settings_stay() {
    let tool = Tool {
        name: "f".into(),
        description: Some("d".into()),
        schema: Some(r#"{"maximum":1234567890123456789012345678901234567890,"x":1.0}"#.into()),
        strict: Some(true),
        cache_control: None,
    };
    let conversation = Conversation {
        turns: vec![assistant(vec![call("t", r#"{"id":1234567890123456789,"x":1e2}"#)])],
        tools: vec![tool],
        sampling: Sampling {
            temperature: Some("0.70".into()),
            top_k: Some("40".into()),
            ..Sampling::default()
        },
        ..Conversation::default()
    };
    let body = render_request(&conversation, &target("m"), &mut Losses::new(DIALECT, false)).unwrap();
    let body = std::str::from_utf8(&body).unwrap();
    for written in [
        r#""input_schema":{"maximum":1234567890123456789012345678901234567890,"x":1.0},"strict":true"#,
        r#""input":{"id":1234567890123456789,"x":1e2}"#,
        r#""temperature":0.70,"top_k":40"#,
    ] {
        assert!(body.contains(written), "{body}");
    }
}

#[test]
fn the_choice_of_tools_is_written_only_beside_tools() {
    let tool = Tool { name: "f".into(), description: None, schema: None, strict: None, cache_control: None };
    let choice = |has_tools: bool, tool_choice, parallel_tool_calls| {
        let tools = if has_tools { vec![tool.clone()] } else { vec![] };
        let conversation = Conversation { tools, tool_choice, parallel_tool_calls, ..hello() };
        render(&conversation).unwrap()["tool_choice"].clone()
    };
    assert_eq!(choice(false, Some(ToolChoice::Auto), Some(false)), Value::Null);
    assert_eq!(choice(true, None, Some(true)), Value::Null);
    assert_eq!(choice(true, None, Some(false)), json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert_eq!(choice(true, Some(ToolChoice::Any), None), json!({"type": "any"}));
    assert_eq!(choice(true, Some(ToolChoice::None), Some(false)), json!({"type": "none"}));
    let named = json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true});
    assert_eq!(choice(true, Some(ToolChoice::Named("f".into())), Some(false)), named);
}

#[test]
fn thinking_excludes_what_the_api_does_not_take_beside_it() {
    let conversation = |temperature: &'static str, top_p: Option<&'static str>| Conversation {
        reasoning: Some(Reasoning { effort: Some(Effort::Low), ..Reasoning::default() }),
        sampling: Sampling {
            temperature: Some(temperature.into()),
            top_p: top_p.map(Into::into),
            ..Sampling::default()
        },
        ..hello()
    };
    let body = render(&conversation("1", Some("0.95"))).unwrap();
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 1024}));
    assert_eq!((&body["temperature"], &body["top_p"]), (&Value::Null, &json!(0.95)));
    let (member, body) = lost(&conversation("0.5", None));
    assert_eq!((member.as_str(), &body["temperature"]), ("temperature", &Value::Null));
    assert_eq!(lost(&conversation("1.0", Some("0.5"))).0, "top_p");
}

#[test]
fn what_holds_anyway_is_left_out_and_what_has_no_equal_is_refused_by_name() {
    let sampled = |sampling| Conversation { sampling, ..hello() };
    let harmless = Sampling {
        top_p: Some("1.0".into()),
        frequency_penalty: Some("0".into()),
        presence_penalty: Some("0.0".into()),
        ..Sampling::default()
    };
    assert_eq!(render(&sampled(harmless)).unwrap(), render(&hello()).unwrap());
    let one = |set: fn(&mut Sampling<'static>)| {
        let mut sampling = Sampling::default();
        set(&mut sampling);
        lost(&sampled(sampling)).0
    };
    assert_eq!(one(|sampling| sampling.seed = Some("1".into())), "seed");
    assert_eq!(one(|sampling| sampling.frequency_penalty = Some("0.1".into())), "frequency_penalty");
    assert_eq!(one(|sampling| sampling.presence_penalty = Some("-1".into())), "presence_penalty");
    assert_eq!(one(|sampling| sampling.temperature = Some("1.5".into())), "a temperature above 1");
    let stops = Conversation { stop: vec!["\n".into(), "END".into()], ..hello() };
    let (member, body) = lost(&stops);
    assert_eq!(
        (member.as_str(), &body["stop_sequences"]),
        ("a stop sequence of white space", &json!(["END"]))
    );
    let json = Conversation { format: Some(Format::Json), ..hello() };
    assert_eq!(lost(&json).0, "a JSON answer without a schema");
    let extra = crate::conversation::Extra { member: "logit_bias".into(), value: "{}".into() };
    assert_eq!(lost(&Conversation { extras: vec![extra], ..hello() }).0, "logit_bias");
    let sound = Content::Audio { source: Source::Url("u".into()) };
    let turns = vec![user(vec![text("a"), sound.clone(), result("t", vec![sound])])];
    assert_eq!(lost(&Conversation { turns, ..Conversation::default() }).0, "a sound");
    let word = Source::Base64 { media_type: "application/msword".into(), data: "x".into() };
    let turns = vec![user(vec![text("a"), Content::Document { source: word, name: None }])];
    let member = lost(&Conversation { turns, ..Conversation::default() }).0;
    assert_eq!(member, "a document of type application/msword");
}

#[test]
fn a_schema_of_the_answer_and_an_effort_share_their_member() {
    let conversation = Conversation {
        format: Some(Format::Schema {
            name: "n".into(),
            schema: r#"{"type":"object"}"#.into(),
            strict: Some(true),
        }),
        reasoning: Some(Reasoning { effort: Some(Effort::Highest), ..Reasoning::default() }),
        stream: true,
        user: Some("u".into()),
        ..hello()
    };
    let body =
        render_request(&conversation, &target("claude-opus-4-8"), &mut Losses::new(DIALECT, false)).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    assert_eq!(body["output_config"], json!({"effort": "max", "format": format}));
    assert_eq!(body["thinking"], json!({"type": "adaptive"}));
    assert_eq!((&body["stream"], &body["metadata"]), (&json!(true), &json!({"user_id": "u"})));
}

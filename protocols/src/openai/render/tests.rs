use serde_json::{Value, json};

use super::*;
use crate::conversation::{Call, Content, Part, Role, Source, Turn};
use crate::openai::CapMember;

fn target() -> Target<'static> {
    Target {
        model: "m",
        cap: None,
        max_output: 9,
        cap_member: CapMember::MaxTokens,
        takes_temperature: true,
        asks_for_usage: true,
        missing_signature: None,
    }
}

fn written(conversation: &Conversation<'_>) -> Value {
    lenient(conversation, &target(), false).unwrap().0
}

fn lenient(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    is_lenient: bool,
) -> Result<(Value, Vec<String>), Untranslatable> {
    let mut losses = Losses::new("chat", is_lenient);
    let body = render_request(conversation, target, &mut losses)?;
    Ok((serde_json::from_slice(&body).unwrap(), losses.into_dropped()))
}

fn text(text: &str) -> Content<'_> {
    Content::Text(text.into())
}

fn picture() -> Content<'static> {
    let source = Source::Base64 { media_type: "image/png".into(), data: "AA".into() };
    Content::Image { source, detail: None }
}

fn result<'a>(id: &'a str, parts: Vec<Content<'a>>, is_error: bool) -> Content<'a> {
    let parts = parts.into_iter().map(Part::from).collect();
    Content::Result { id: id.into(), name: None, parts, is_error }
}

fn turns<'a>(turns: impl IntoIterator<Item = (Role, Vec<Content<'a>>)>) -> Conversation<'a> {
    let turn = |(role, parts): (Role, Vec<Content<'a>>)| Turn {
        role,
        parts: parts.into_iter().map(Part::from).collect(),
    };
    Conversation { turns: turns.into_iter().map(turn).collect(), ..Conversation::default() }
}

#[test]
fn results_are_messages_of_their_own_before_what_the_user_says() {
    let results =
        vec![text("And now?"), result("a", vec![text("1"), text("2")], false), result("b", vec![], false)];
    assert_eq!(
        written(&turns([(Role::User, results)]))["messages"],
        json!([
            {"role": "tool", "tool_call_id": "a", "content": "1\n\n2"},
            {"role": "tool", "tool_call_id": "b", "content": ""},
            {"role": "user", "content": "And now?"},
        ])
    );
}

#[test]
fn pictures_of_a_result_follow_in_a_message_of_the_user() {
    let results = vec![
        result("a", vec![picture()], false),
        result("b", vec![text("see"), picture(), picture()], false),
        text("Which is better?"),
    ];
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}});
    assert_eq!(
        written(&turns([(Role::User, results)]))["messages"],
        json!([
            {"role": "tool", "tool_call_id": "a", "content": "The result follows in the next message."},
            {"role": "tool", "tool_call_id": "b", "content": "see"},
            {"role": "user", "content": [
                {"type": "text", "text": "Result of the tool call a:"},
                image,
                {"type": "text", "text": "Result of the tool call b:"},
                image,
                image,
                {"type": "text", "text": "Which is better?"},
            ]},
        ])
    );
}

#[test]
fn a_failed_result_says_that_it_failed() {
    let failed = vec![result("a", vec![text("no such file")], true)];
    let message = &written(&turns([(Role::User, failed)]))["messages"][0];
    assert_eq!(message["content"], "Error: no such file");
}

#[test]
fn thoughts_of_earlier_turns_are_not_sent() {
    let thought = Content::Thinking { text: "hm".into(), signature: Some("s".into()) };
    let redacted = Content::RedactedThinking { data: "x".into() };
    let said = turns([
        (Role::Assistant, vec![thought.clone(), redacted.clone(), text("So"), text(".")]),
        (Role::Assistant, vec![thought, redacted]),
    ]);
    assert_eq!(written(&said)["messages"], json!([{"role": "assistant", "content": "So."}]));
}

#[test]
fn a_budget_becomes_the_effort_that_has_room_for_it() {
    let effort = |reasoning: Reasoning| {
        let conversation = Conversation { reasoning: Some(reasoning), ..Conversation::default() };
        written(&conversation)["reasoning_effort"].as_str().map(String::from)
    };
    let budget =
        |tokens: u64| effort(Reasoning { budget_tokens: Some(tokens), ..Reasoning::default() }).unwrap();
    let words = [0, 1, 1_024, 1_025, 8_192, 16_000, 31_999, 100_000].map(budget);
    assert_eq!(words, ["none", "low", "low", "medium", "medium", "high", "high", "high"]);
    let said = Reasoning { effort: Some(Effort::Highest), budget_tokens: Some(5), shown: Some(true) };
    assert_eq!(effort(said).as_deref(), Some("xhigh"));
    assert_eq!(effort(Reasoning::default()), None);
}

#[test]
fn an_effort_and_its_budget_mean_the_same() {
    for effort in [Effort::None, Effort::Low, Effort::Medium, Effort::High] {
        assert_eq!(Effort::of_budget(effort.budget_tokens()), effort);
    }
}

#[test]
fn without_tools_nothing_is_said_of_them() {
    let conversation = Conversation {
        tool_choice: Some(ToolChoice::Auto),
        parallel_tool_calls: Some(true),
        ..Conversation::default()
    };
    assert_eq!(written(&conversation), json!({"model": "m", "messages": []}));
}

#[test]
fn every_choice_of_tools_has_its_word() {
    let tool = Tool { name: "f".into(), description: None, schema: None, strict: None, cache_control: None };
    let word = |choice: ToolChoice<'static>| {
        let conversation =
            Conversation { tools: vec![tool.clone()], tool_choice: Some(choice), ..Conversation::default() };
        written(&conversation)["tool_choice"].clone()
    };
    assert_eq!(word(ToolChoice::Auto), "auto");
    assert_eq!(word(ToolChoice::None), "none");
    assert_eq!(word(ToolChoice::Any), "required");
    assert_eq!(word(ToolChoice::Named("f".into())), json!({"type": "function", "function": {"name": "f"}}));
}

#[test]
fn a_schema_without_a_name_gets_one() {
    let format = Format::Schema { name: "".into(), schema: "{}".into(), strict: None };
    let conversation = Conversation { format: Some(format), ..Conversation::default() };
    let expected = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}});
    assert_eq!(written(&conversation)["response_format"], expected);
    let conversation = Conversation { format: Some(Format::Json), ..Conversation::default() };
    assert_eq!(written(&conversation)["response_format"], json!({"type": "json_object"}));
}

#[test]
fn what_chat_has_no_member_for_is_refused_or_dropped_and_named() {
    let lost = |conversation: Conversation<'_>, target: Target<'_>| {
        let refused = lenient(&conversation, &target, false).unwrap_err().member;
        let (_, dropped) = lenient(&conversation, &target, true).unwrap();
        assert_eq!(dropped, std::slice::from_ref(&refused));
        refused
    };
    let saying = |content: Content<'static>| turns([(Role::User, vec![text("a"), content])]);
    let address = || Source::Url("https://example.org/a".into());
    let document = Content::Document { source: address(), name: None };
    assert_eq!(lost(saying(document), target()), "a document at an address");
    let audio = Content::Audio { source: address() };
    assert_eq!(lost(saying(audio), target()), "a sound that is not in the request itself");
    let ogg = Source::Base64 { media_type: "audio/ogg".into(), data: "AA".into() };
    assert_eq!(lost(saying(Content::Audio { source: ogg }), target()), "a sound of type audio/ogg");
    let image = Content::Image { source: Source::FileId("f".into()), detail: None };
    assert_eq!(lost(saying(image), target()), "an image by its file id");
    let drawn = turns([(Role::Assistant, vec![text("a"), picture()])]);
    assert_eq!(lost(drawn, target()), "an image that the assistant made");
    let stop = ["a", "b", "c", "d", "e"].map(Into::into).into();
    let stops = Conversation { stop, ..Conversation::default() };
    assert_eq!(lost(stops, target()), "stop sequences beyond the first 4");
    let top_k = Sampling { top_k: Some("5".into()), ..Sampling::default() };
    assert_eq!(lost(Conversation { sampling: top_k, ..Conversation::default() }, target()), "top_k");
    let warm = Sampling { temperature: Some("0.5".into()), ..Sampling::default() };
    let set = Target { takes_temperature: false, ..target() };
    assert_eq!(lost(Conversation { sampling: warm, ..Conversation::default() }, set), "temperature");
    let extra = Extra { member: "thinking.display".into(), value: "1".into() };
    assert_eq!(
        lost(Conversation { extras: vec![extra], ..Conversation::default() }, target()),
        "thinking.display"
    );
}

#[test]
fn a_models_own_temperature_need_not_be_written() {
    let sampling = Sampling { temperature: Some("1".into()), ..Sampling::default() };
    let conversation = Conversation { sampling, ..Conversation::default() };
    let set = Target { takes_temperature: false, ..target() };
    let (body, dropped) = lenient(&conversation, &set, false).unwrap();
    assert_eq!((body.get("temperature"), dropped.len()), (None, 0));
}

#[test]
fn what_openais_other_api_calls_otherwise_is_carried_over() {
    let extra =
        |member: &'static str, value: &'static str| Extra { member: member.into(), value: value.into() };
    let extras = vec![extra("text.verbosity", "\"low\""), extra("service_tier", "\"flex\"")];
    let body = written(&Conversation { extras, ..Conversation::default() });
    assert_eq!((&body["verbosity"], &body["service_tier"]), (&json!("low"), &json!("flex")));
    let extras = vec![extra("service_tier", "\"standard_only\"")];
    let conversation = Conversation { extras, ..Conversation::default() };
    assert_eq!(lenient(&conversation, &target(), false).unwrap_err().member, "service_tier");
}

#[test]
fn a_call_beside_text_keeps_both() {
    let call = Call { id: "a".into(), name: "f".into(), arguments: "{}".into(), signature: None };
    let said = turns([(Role::Assistant, vec![text("Let me see."), Content::Call(call)])]);
    let message = &written(&said)["messages"][0];
    assert_eq!(message["content"], "Let me see.");
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{}"}));
}

#[test]
fn a_server_that_refuses_stream_options_is_not_asked_for_usage() {
    let conversation = Conversation { stream: true, ..Conversation::default() };
    let rendered = |asks_for_usage| {
        let set = Target { asks_for_usage, ..target() };
        let mut losses = Losses::new("chat", false);
        let body = render_request(&conversation, &set, &mut losses).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    assert!(rendered(true).contains(r#""stream_options":{"include_usage":true}"#));
    assert!(!rendered(false).contains("stream_options"));
}

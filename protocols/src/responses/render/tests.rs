use serde_json::{Value, json};

use super::*;
use crate::conversation::{Call, Content, Part, Role, Source, Turn};
use crate::openai::CapMember;

const TARGET: Target<'_> = Target {
    model: "gpt-5.4",
    cap: None,
    max_output: 4096,
    cap_member: CapMember::MaxTokens,
    takes_temperature: true,
    asks_for_usage: true,
    missing_signature: None,
};

/// The body, and what was lost of a lenient translation.
fn render(conversation: &Conversation<'_>, target: &Target<'_>) -> (Value, Vec<String>) {
    let mut losses = Losses::new("OpenAI's Responses API", true);
    let body = render_request(conversation, target, &mut losses).unwrap();
    (serde_json::from_slice(&body).unwrap(), losses.into_dropped())
}

fn said(role: Role, parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn { role, parts: parts.into_iter().map(Part::from).collect() }
}

fn text(text: &'static str) -> Content<'static> {
    Content::Text(text.into())
}

#[test]
fn settings_are_written_where_the_api_has_them() {
    let conversation = Conversation {
        system: vec![text("be brief").into(), text("be kind").into()],
        turns: vec![said(Role::User, vec![text("hi")])],
        tools: vec![
            Tool {
                name: "f".into(),
                description: Some("d".into()),
                schema: Some(r#"{"n":1.0}"#.into()),
                strict: Some(true),
                cache_control: None,
            },
            Tool { name: "g".into(), description: None, schema: None, strict: None, cache_control: None },
        ],
        tool_choice: Some(ToolChoice::Named("f".into())),
        parallel_tool_calls: Some(false),
        sampling: Sampling {
            temperature: Some("0.70".into()),
            top_p: Some("0.9".into()),
            presence_penalty: Some("0".into()),
            ..Sampling::default()
        },
        max_output: Some(64),
        format: Some(Format::Schema { name: "".into(), schema: "{}".into(), strict: None }),
        reasoning: Some(Reasoning { effort: None, budget_tokens: Some(8192), shown: Some(true) }),
        stream: true,
        user: Some("u".into()),
        ..Conversation::default()
    };
    let (body, lost) = render(&conversation, &TARGET);
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(
        body,
        json!({"model": "gpt-5.4", "instructions": "be brief\n\nbe kind",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
            "stream": true, "store": false, "max_output_tokens": 64, "temperature": 0.7, "top_p": 0.9,
            "tools": [
                {"type": "function", "name": "f", "description": "d", "parameters": {"n": 1.0}, "strict": true},
                {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": false}],
            "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false,
            "text": {"format": {"type": "json_schema", "name": "answer", "schema": {}}},
            "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
            "user": "u"})
    );
}

#[test]
fn the_targets_cap_is_the_one_that_holds() {
    let conversation = Conversation { max_output: Some(64), ..Conversation::default() };
    let (body, _) = render(&conversation, &Target { cap: Some(32), ..TARGET });
    assert_eq!(body["max_output_tokens"], 32);
}

#[test]
fn thinking_that_is_switched_off_asks_for_no_encrypted_thoughts() {
    let reasoning = Some(Reasoning { effort: Some(Effort::None), ..Reasoning::default() });
    let (body, _) = render(&Conversation { reasoning, ..Conversation::default() }, &TARGET);
    assert_eq!((&body["reasoning"], body.get("include")), (&json!({"effort": "none"}), None));
    let (body, _) = render(&Conversation::default(), &TARGET);
    assert_eq!((body.get("reasoning"), body.get("include")), (None, None));
}

#[test]
fn turns_become_items_in_their_order() {
    let call = |id: &'static str, arguments: &'static str| {
        Content::Call(Call {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: Some("gemini's".into()),
        })
    };
    let result = |id: &'static str, parts: Vec<Content<'static>>, is_error| Content::Result {
        id: id.into(),
        name: None,
        parts: parts.into_iter().map(Part::from).collect(),
        is_error,
    };
    let image = |source| Content::Image { source, detail: None };
    let conversation = Conversation {
        turns: vec![
            said(
                Role::Assistant,
                vec![
                    Content::Thinking { text: "hm".into(), signature: Some("sealed".into()) },
                    Content::Thinking { text: "unsigned".into(), signature: None },
                    Content::RedactedThinking { data: "opaque".into() },
                    text("One moment"),
                    Content::Refusal("No.".into()),
                    call("c1", "{\"n\":9007199254740993}"),
                    call("c2", "{}"),
                ],
            ),
            said(
                Role::User,
                vec![
                    result("c1", vec![text("rain")], false),
                    result("c2", vec![text("broken"), image(Source::Url("https://x/y.png".into()))], true),
                    result("c3", vec![], false),
                    text("and?"),
                ],
            ),
        ],
        ..Conversation::default()
    };
    let (body, lost) = render(&conversation, &TARGET);
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(
        body["input"],
        json!([
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"},
            {"type": "reasoning", "summary": [], "encrypted_content": "opaque"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "One moment", "annotations": []}, {"type": "refusal", "refusal": "No."}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"n\":9007199254740993}"},
            {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Error:"},
                {"type": "input_text", "text": "broken"},
                {"type": "input_image", "detail": "auto", "image_url": "https://x/y.png"}]},
            {"type": "function_call_output", "call_id": "c3", "output": ""},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and?"}]}
        ])
    );
}

#[test]
fn pictures_files_and_sounds_go_where_the_api_takes_them() {
    let base64 = |media_type: &'static str, data: &'static str| Source::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    };
    let document =
        |source, name: Option<&'static str>| Content::Document { source, name: name.map(Into::into) };
    let conversation = Conversation {
        turns: vec![said(
            Role::User,
            vec![
                Content::Image { source: base64("image/png", "AAAA"), detail: Some("high".into()) },
                Content::Image { source: Source::FileId("file-1".into()), detail: None },
                document(base64("application/pdf", "JVBE"), None),
                document(base64("text/plain", "aGk="), Some("a.txt")),
                document(Source::Url("https://x/a.pdf".into()), None),
                document(Source::FileId("file-2".into()), None),
                Content::Audio { source: base64("audio/mpeg", "SUQz") },
                Content::Audio { source: base64("audio/ogg", "T2dn") },
                Content::Audio { source: Source::Url("https://x/a.wav".into()) },
            ],
        )],
        ..Conversation::default()
    };
    let (body, lost) = render(&conversation, &TARGET);
    assert_eq!(
        body["input"][0]["content"],
        json!([
            {"type": "input_image", "detail": "high", "image_url": "data:image/png;base64,AAAA"},
            {"type": "input_image", "detail": "auto", "file_id": "file-1"},
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="},
            {"type": "input_file", "file_url": "https://x/a.pdf"},
            {"type": "input_file", "file_id": "file-2"},
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}
        ])
    );
    assert_eq!(lost, ["a sound of type audio/ogg", "a sound that is not in the request itself"]);
}

#[test]
fn what_the_api_has_no_member_for_is_refused_or_named() {
    let extra =
        |member: &'static str, value: &'static str| Extra { member: member.into(), value: value.into() };
    let conversation = Conversation {
        sampling: Sampling {
            temperature: Some("0.5".into()),
            top_k: Some("4".into()),
            frequency_penalty: Some("0.5".into()),
            seed: Some("0".into()),
            ..Sampling::default()
        },
        stop: vec!["\n".into()],
        extras: vec![
            extra("logit_bias", "{\"1\":2}"),
            extra("verbosity", "\"low\""),
            extra("service_tier", "\"flex\""),
        ],
        ..Conversation::default()
    };
    let target = Target { takes_temperature: false, ..TARGET };
    let (body, lost) = render(&conversation, &target);
    assert_eq!(lost, ["temperature", "top_k", "frequency_penalty", "seed", "stop", "logit_bias"]);
    assert_eq!((&body["text"], &body["service_tier"]), (&json!({"verbosity": "low"}), &json!("flex")));
    let mut strict = Losses::new("OpenAI's Responses API", false);
    let refused = render_request(&conversation, &target, &mut strict).unwrap_err();
    assert_eq!(refused.member, "temperature");
}

#[test]
fn what_was_read_of_this_dialect_is_written_as_it_was() {
    let body = json!({"model": "gpt-5.4", "instructions": "be brief", "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1.0}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"}],
        "stream": true, "store": false, "max_output_tokens": 64, "temperature": 1.5,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true}],
        "tool_choice": "required", "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"], "user": "u"});
    let given = Bytes::from(body.to_string());
    let read = super::super::conversation(&given).unwrap();
    let (written, lost) = render(&read, &TARGET);
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(written, body);
}

use std::borrow::Cow;

use serde_json::{Value, json};

use super::*;
use crate::conversation::{Call, Extra, Part, Reasoning, Role, Source, Turn};
use crate::gemini::conversation;
use crate::openai::CapMember;

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        cap: None,
        max_output: 8_192,
        cap_member: CapMember::MaxTokens,
        takes_temperature: true,
        asks_for_usage: true,
        missing_signature: None,
    }
}

fn rendered_for(model: &str, conversation: &Conversation<'_>) -> Value {
    let bytes = render_request(conversation, &target(model), &mut Losses::new("Gemini", false)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn rendered(conversation: &Conversation<'_>) -> Value {
    rendered_for("gemini-3-flash-preview", conversation)
}

/// What a strict translation refuses, and a lenient one leaves out.
fn refused(conversation: &Conversation<'_>) -> String {
    let target = target("gemini-3-flash-preview");
    let fault = render_request(conversation, &target, &mut Losses::new("Gemini", false)).unwrap_err();
    let mut losses = Losses::new("Gemini", true);
    let bytes = render_request(conversation, &target, &mut losses).unwrap();
    assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
    assert_eq!(losses.into_dropped(), std::slice::from_ref(&fault.member));
    fault.member
}

fn says(role: Role, parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn { role, parts: parts.into_iter().map(Part::from).collect() }
}

fn talk(turns: Vec<Turn<'static>>) -> Conversation<'static> {
    Conversation { turns, ..Conversation::default() }
}

fn text(text: &'static str) -> Content<'static> {
    Content::Text(text.into())
}

fn call(id: &'static str, name: &'static str, signature: Option<&'static str>) -> Content<'static> {
    Content::Call(Call {
        id: id.into(),
        name: name.into(),
        arguments: r#"{"id":12345678901234567890}"#.into(),
        signature: signature.map(Cow::Borrowed),
    })
}

fn result(id: &'static str, parts: Vec<Content<'static>>, is_error: bool) -> Content<'static> {
    Content::Result {
        id: id.into(),
        name: None,
        parts: parts.into_iter().map(Part::from).collect(),
        is_error,
    }
}

fn image(source: Source<'static>) -> Content<'static> {
    Content::Image { source, detail: None }
}

fn png() -> Source<'static> {
    Source::Base64 { media_type: "image/png".into(), data: "AAAA".into() }
}

/// A body that says all that both forms have a place for is written as it was read, but for the order of members.
#[test]
fn a_request_read_and_written_is_the_same() {
    let body = json!({
        "systemInstruction": {"parts": [{"text": "Be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "q"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
                {"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/a.png?x=1"}}]},
            {"role": "model", "parts": [{"text": "Hm", "thought": true}, {"text": "a"},
                {"functionCall": {"id": "c1", "name": "f", "args": {"a": [1, {"b": null}]}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "c2", "name": "f", "args": {}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"a": 1.0},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}},
                {"functionResponse": {"id": "c2", "name": "f", "response": {"error": "no"}}}]}
        ],
        "tools": [{"functionDeclarations": [
            {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
            {"name": "g", "parametersJsonSchema": {"type": "object", "additionalProperties": {"type": "string"}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"temperature": 0.5, "topP": 0.9, "topK": 40, "frequencyPenalty": 0.1, "presencePenalty": 0.2,
            "seed": 7, "maxOutputTokens": 64, "stopSequences": ["x"], "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
            "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": true}}
    });
    let bytes = Bytes::from(body.to_string());
    assert_eq!(rendered(&conversation(&bytes, false).unwrap()), body);
}

/// C31
#[test]
fn numbers_and_arguments_keep_their_digits() {
    let conversation = Conversation {
        sampling: crate::conversation::Sampling {
            temperature: Some("1.0".into()),
            seed: Some("1e2".into()),
            ..Default::default()
        },
        ..talk(vec![says(Role::Assistant, vec![call("c", "f", Some("s"))])])
    };
    let bytes =
        render_request(&conversation, &target("gemini-3-pro"), &mut Losses::new("Gemini", false)).unwrap();
    let body = std::str::from_utf8(&bytes).unwrap();
    assert!(
        body.contains(r#""args":{"id":12345678901234567890}"#)
            && body.contains(r#""temperature":1.0,"seed":1e2"#),
        "{body}"
    );
}

#[test]
fn a_result_gets_the_name_of_its_call_and_one_content_with_those_beside_it() {
    let conversation = talk(vec![
        says(Role::Assistant, vec![call("a", "f", Some("s")), call("b", "g", None)]),
        says(Role::User, vec![result("b", vec![text("two"), text("lines")], false)]),
        says(Role::User, vec![result("a", vec![], false), text("go on")]),
    ]);
    let contents = &rendered(&conversation)["contents"];
    let expected = json!({"role": "user", "parts": [
        {"functionResponse": {"id": "b", "name": "g", "response": {"output": "two\nlines"}}},
        {"functionResponse": {"id": "a", "name": "f", "response": {"output": ""}}},
        {"text": "go on"}]});
    assert_eq!((contents.as_array().unwrap().len(), &contents[1]), (2, &expected));
}

#[test]
fn files_in_a_result_stand_beside_it_for_models_that_take_none_inside() {
    let conversation = talk(vec![
        says(Role::Assistant, vec![call("a", "f", None)]),
        says(Role::User, vec![result("a", vec![text("[1]"), image(png())], true)]),
    ]);
    let file = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let response = json!({"id": "a", "name": "f", "response": {"error": "[1]"}});
    let older = rendered_for("gemini-2.5-flash", &conversation);
    assert_eq!(older["contents"][1]["parts"], json!([{"functionResponse": response}, file]));
    let mut inside = response;
    inside["parts"] = json!([file]);
    assert_eq!(rendered(&conversation)["contents"][1]["parts"], json!([{"functionResponse": inside}]));
}

/// C13
#[test]
fn a_signature_goes_back_on_its_call_and_a_lost_one_is_stood_in_for() {
    let signatures =
        |model: &str, missing_signature: Option<&str>, conversation: &Conversation<'_>| -> Vec<Value> {
            let target = Target { missing_signature, ..target(model) };
            let bytes = render_request(conversation, &target, &mut Losses::new("Gemini", false)).unwrap();
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            let parts = body["contents"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|content| content["parts"].as_array().unwrap());
            parts
                .filter(|part| part["functionCall"].is_object())
                .map(|part| part["thoughtSignature"].clone())
                .collect()
        };
    let step = |one, two| {
        [says(Role::Assistant, vec![one, two]), says(Role::User, vec![result("x", vec![], false)])]
    };
    let kept = step(call("a", "f", Some("c2ln")), call("b", "f", None));
    let lost = step(call("c", "f", None), call("d", "f", None));
    let conversation = talk(kept.into_iter().chain(lost).collect());
    let usual = Some("stands_in");
    let stands_in = json!("stands_in");
    assert_eq!(
        signatures("gemini-3-pro", usual, &conversation),
        [json!("c2ln"), Value::Null, stands_in, Value::Null]
    );
    assert_eq!(
        signatures("gemini-2.5-pro", usual, &conversation),
        [json!("c2ln"), Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(
        signatures("gemini-3-pro", None, &conversation),
        [json!("c2ln"), Value::Null, Value::Null, Value::Null]
    );
}

/// C15
#[test]
fn turns_with_nothing_to_say_are_left_out() {
    let conversation = talk(vec![says(Role::User, vec![text("q")]), says(Role::Assistant, vec![])]);
    assert_eq!(rendered(&conversation), json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}));
}

#[test]
fn a_function_that_takes_nothing_has_no_parameters_and_a_strict_one_is_validated() {
    let tool = |schema: &'static str, strict| Tool {
        name: "f".into(),
        description: None,
        schema: Some(schema.into()),
        strict,
        cache_control: None,
    };
    let asked = |tool, choice: Option<ToolChoice<'static>>| {
        rendered(&Conversation { tools: vec![tool], tool_choice: choice, ..talk(vec![]) })
    };
    let nothing = asked(tool(r#"{"type":"object","properties":{}}"#, None), None);
    assert_eq!(nothing, json!({"contents": [], "tools": [{"functionDeclarations": [{"name": "f"}]}]}));
    let mode = |body: &Value| body["toolConfig"]["functionCallingConfig"]["mode"].clone();
    assert_eq!(mode(&asked(tool("true", Some(true)), None)), "VALIDATED");
    assert_eq!(mode(&asked(tool("true", Some(true)), Some(ToolChoice::Any))), "ANY");
    assert_eq!(mode(&asked(tool("true", None), Some(ToolChoice::None))), "NONE");
}

#[test]
fn the_targets_cap_goes_before_the_callers() {
    let conversation = Conversation { max_output: Some(9), ..talk(vec![]) };
    assert_eq!(rendered(&conversation)["generationConfig"], json!({"maxOutputTokens": 9}));
    let target = Target { cap: Some(7), ..target("m") };
    let bytes = render_request(&conversation, &target, &mut Losses::new("Gemini", false)).unwrap();
    assert_eq!(bytes, r#"{"contents":[],"generationConfig":{"maxOutputTokens":7}}"#);
}

#[test]
fn what_has_no_equal_is_refused_by_name_or_left_out_and_named() {
    let user = |content| talk(vec![says(Role::User, vec![content])]);
    assert_eq!(refused(&user(image(Source::FileId("file-1".into())))), "file_id");
    assert_eq!(refused(&user(result("a", vec![image(Source::FileId("file-1".into()))], false))), "file_id");
    assert_eq!(
        refused(&user(Content::Image { source: png(), detail: Some("low".into()) })),
        "image_url.detail"
    );
    let redacted = Content::RedactedThinking { data: "x".into() };
    assert_eq!(refused(&talk(vec![says(Role::Assistant, vec![redacted])])), "redacted_thinking");
    let stop = ["a", "b", "c", "d", "e", "f"].map(Cow::Borrowed).to_vec();
    assert_eq!(refused(&Conversation { stop, ..talk(vec![]) }), "stop[5]");
    let extras = vec![Extra { member: "logit_bias".into(), value: "{}".into() }];
    assert_eq!(refused(&Conversation { extras, ..talk(vec![]) }), "logit_bias");
    let tools =
        vec![Tool { name: "f".into(), description: None, schema: None, strict: None, cache_control: None }];
    let one_by_one = Conversation { tools, parallel_tool_calls: Some(false), ..talk(vec![]) };
    assert_eq!(refused(&one_by_one), "parallel_tool_calls");
    let reasoning = Some(Reasoning { budget_tokens: Some(0), ..Reasoning::default() });
    let conversation = Conversation { reasoning, ..talk(vec![]) };
    let fault = render_request(&conversation, &target("gemini-3-pro"), &mut Losses::new("Gemini", false))
        .unwrap_err();
    assert_eq!(fault.member, "reasoning_effort");
}

#[test]
fn what_changes_no_answer_goes_without_a_word() {
    let mut question = Part::from(text("q"));
    question.cache_control = Some(r#"{"type":"ephemeral"}"#.into());
    let document = Content::Document { source: png(), name: Some("a.pdf".into()) };
    let turns = vec![Turn { role: Role::User, parts: vec![question, document.into()] }];
    let conversation = Conversation { user: Some("u".into()), ..talk(turns) };
    let file = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    assert_eq!(
        rendered(&conversation),
        json!({"contents": [{"role": "user", "parts": [{"text": "q"}, file]}]})
    );
}

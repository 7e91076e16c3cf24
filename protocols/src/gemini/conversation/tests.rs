use proptest::prelude::*;

use super::*;
use crate::conversation::{Call, Content, Part, Role, Source, Turn};
use crate::gemini::signature;

fn read(body: &str) -> Result<Conversation<'static>, RequestFault> {
    // Leaked, so that what borrows from it may be returned; a test ends soon.
    let body: &'static Bytes = Box::leak(Box::new(Bytes::copy_from_slice(body.as_bytes())));
    conversation(body, false)
}

/// The turns of these contents.
fn turns(contents: &str) -> Vec<Turn<'static>> {
    read(&format!(r#"{{"contents":{contents}}}"#)).unwrap().turns
}

/// A conversation with one question and these members.
fn with(members: &str) -> Conversation<'static> {
    read(&format!(r#"{{"contents":[{{"parts":[{{"text":"q"}}]}}],{members}}}"#)).unwrap()
}

fn extras(conversation: &Conversation<'_>) -> Vec<String> {
    conversation.extras.iter().map(|extra| extra.member.to_string()).collect()
}

fn user(parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn { role: Role::User, parts: parts.into_iter().map(Part::from).collect() }
}

fn model(parts: Vec<Content<'static>>) -> Turn<'static> {
    Turn { role: Role::Assistant, ..user(parts) }
}

fn text(text: &'static str) -> Content<'static> {
    Content::Text(text.into())
}

fn base64(media_type: &'static str) -> Source<'static> {
    Source::Base64 { media_type: media_type.into(), data: "AAAA".into() }
}

#[test]
fn contents_are_turns_in_either_spelling_and_form() {
    let expected = [user(vec![text("q")]), model(vec![text("a"), text("b")]), user(vec![text("r")])];
    let listed = r#"[{"role":"user","parts":[{"text":"q"},{"text":""}]},{"role":"model","parts":[{"text":"a"}]},
        {"role":"model","parts":[{"text":"b"}]},{"role":"model","parts":[]},{"parts":{"text":"r"}}]"#;
    assert_eq!(turns(listed), expected);
    assert_eq!(turns(r#"{"parts":{"text":"q"}}"#), [user(vec![text("q")])]);
}

#[test]
fn the_system_speaks_in_texts() {
    for system in [
        r#""systemInstruction":{"role":"user","parts":[{"text":"Be "},{"text":"kind"}]}"#,
        r#""system_instruction":{"parts":[{"text":"Be "},{"text":"kind"}]}"#,
    ] {
        let parts: Vec<_> = with(system).system.into_iter().map(|part| part.content).collect();
        assert_eq!(parts, [text("Be "), text("kind")]);
    }
    assert_eq!(with(r#""systemInstruction":"Be kind""#).system[0].content, text("Be kind"));
    let image = r#""systemInstruction":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}"#;
    assert_eq!(extras(&with(image)), ["systemInstruction.parts[0]"]);
}

#[test]
fn files_are_what_their_media_type_says() {
    let parts = r#"[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}},
        {"inline_data":{"mime_type":"application/pdf","data":"AAAA"}},{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}},
        {"fileData":{"mimeType":"image/png","fileUri":"https://example.org/a.png"}},
        {"file_data":{"file_uri":"https://example.org/a.pdf","mime_type":"application/pdf"}}]}]"#;
    let url = |address: &'static str| Source::Url(address.into());
    let expected = user(vec![
        Content::Image { source: base64("image/png"), detail: None },
        Content::Document { source: base64("application/pdf"), name: None },
        Content::Audio { source: base64("audio/wav") },
        Content::Image { source: url("https://example.org/a.png"), detail: None },
        Content::Document { source: url("https://example.org/a.pdf"), name: None },
    ]);
    assert_eq!(turns(parts), [expected]);
}

#[test]
fn a_file_that_only_google_can_open_is_an_extra() {
    for uri in ["https://generativelanguage.googleapis.com/v1beta/files/x", "gs://bucket/x"] {
        let body =
            format!(r#"{{"contents":[{{"parts":[{{"text":"q"}},{{"fileData":{{"fileUri":"{uri}"}}}}]}}]}}"#);
        assert_eq!(extras(&read(&body).unwrap()), ["contents[0].parts[1]"]);
    }
}

#[test]
fn calls_and_results_find_each_other_without_ids() {
    let contents = r#"[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"id":12345678901234567890}}},
        {"functionCall":{"name":"g"}},{"functionCall":{"name":"f","args":{}}}]},
        {"role":"function","parts":[{"functionResponse":{"name":"f","response":{"a":1.0}}},
        {"functionResponse":{"name":"f","response":{"output":"two"}}},{"functionResponse":{"name":"g","response":{"error":"no"}}}]}]"#;
    let call = |id: &'static str, name: &'static str, arguments: &'static str| {
        Content::Call(Call { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None })
    };
    let result = |id: &'static str, name: &'static str, said: &'static str, is_error| Content::Result {
        id: id.into(),
        name: Some(name.into()),
        parts: vec![text(said).into()],
        is_error,
    };
    let expected = [
        model(vec![
            call("call_0", "f", r#"{"id":12345678901234567890}"#),
            call("call_1", "g", "{}"),
            call("call_2", "f", "{}"),
        ]),
        user(vec![
            result("call_0", "f", r#"{"a":1.0}"#, false),
            result("call_2", "f", "two", false),
            result("call_1", "g", "no", true),
        ]),
    ];
    assert_eq!(turns(contents), expected);
}

#[test]
fn ids_signatures_and_pictures_in_results_are_kept() {
    let contents = r#"[{"role":"model","parts":[{"functionCall":{"id":"c9","name":"f","args":{}},"thought_signature":"c2ln"}]},
        {"role":"user","parts":[{"functionResponse":{"id":"c9","name":"f","response":{"output":""},
        "parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}]"#;
    let call =
        Call { id: "c9".into(), name: "f".into(), arguments: "{}".into(), signature: Some("c2ln".into()) };
    let picture = Content::Image { source: base64("image/png"), detail: None };
    let result = Content::Result {
        id: "c9".into(),
        name: Some("f".into()),
        parts: vec![picture.into()],
        is_error: false,
    };
    assert_eq!(turns(contents), [model(vec![Content::Call(call)]), user(vec![result])]);
}

#[test]
fn the_pieces_of_a_thought_are_one_with_the_signature_that_was_carried() {
    let signed = signature::wrapped("s+/");
    let contents = format!(
        r#"[{{"role":"model","parts":[{{"text":"I ","thought":true}}]}},{{"role":"model","parts":[{{"text":"think","thought":true}}]}},
        {{"role":"model","parts":[{{"text":"","thought":true,"thoughtSignature":"{signed}"}},{{"text":"a","thoughtSignature":"R29vZ2xl"}}]}}]"#
    );
    let thought = Content::Thinking { text: "I think".into(), signature: Some("s+/".into()) };
    assert_eq!(turns(&contents), [model(vec![thought, text("a")])]);
    // Google's own is for Google alone.
    let googles = r#"[{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"R29vZ2xl"}]}]"#;
    assert_eq!(turns(googles), [model(vec![Content::Thinking { text: "t".into(), signature: None }])]);
}

#[test]
fn functions_are_tools_with_json_schemas() {
    let conversation = with(
        r#""tools":[{"function_declarations":[{"name":"f","description":"d","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING"}}}},
        {"name":"g","parametersJsonSchema":{"type":"object","x":1e2}},{"name":"h"}]},{"googleSearch":{}}]"#,
    );
    let schemas: Vec<_> =
        conversation.tools.iter().map(|tool| (&*tool.name, tool.schema.as_deref())).collect();
    let expected = [
        ("f", Some(r#"{"properties":{"a":{"type":"string"}},"type":"object"}"#)),
        ("g", Some(r#"{"type":"object","x":1e2}"#)),
        ("h", None),
    ];
    assert_eq!(schemas, expected);
    assert_eq!(extras(&conversation), ["tools[1].googleSearch"]);
}

#[test]
fn what_a_function_returns_is_said_in_its_description() {
    let conversation = with(
        r#""tools":[{"functionDeclarations":[{"name":"f","description":"d","response":{"type":"STRING"}},
        {"name":"g","response_json_schema":{"const":1.0}}]}]"#,
    );
    let said: Vec<_> = conversation.tools.iter().map(|tool| tool.description.as_deref()).collect();
    let expected = [
        Some("d\n\nReturns JSON with this schema: {\"type\":\"string\"}"),
        Some("Returns JSON with this schema: {\"const\":1.0}"),
    ];
    assert_eq!(said, expected);
    assert_eq!(extras(&conversation), Vec::<String>::new());
}

#[test]
fn modes_of_calling_are_choices() {
    let choice = |config: &str| {
        let conversation = with(&format!(r#""toolConfig":{{"functionCallingConfig":{config}}}"#));
        (conversation.tool_choice.clone(), extras(&conversation))
    };
    assert_eq!(choice(r#"{"mode":"AUTO"}"#), (Some(ToolChoice::Auto), vec![]));
    assert_eq!(choice(r#"{"mode":"none"}"#), (Some(ToolChoice::None), vec![]));
    assert_eq!(choice(r#"{"mode":"ANY"}"#), (Some(ToolChoice::Any), vec![]));
    let named = Some(ToolChoice::Named("f".into()));
    assert_eq!(choice(r#"{"allowed_function_names":["f"],"mode":"ANY"}"#), (named, vec![]));
    let several = vec!["toolConfig.functionCallingConfig.allowedFunctionNames".to_owned()];
    assert_eq!(
        choice(r#"{"mode":"ANY","allowedFunctionNames":["f","g"]}"#),
        (Some(ToolChoice::Any), several)
    );
    let mode = vec!["toolConfig.functionCallingConfig.mode".to_owned()];
    assert_eq!(choice(r#"{"mode":"VALIDATED"}"#), (None, mode));
}

#[test]
fn the_generation_config_is_read_with_its_digits() {
    let conversation = with(
        r#""generation_config":{"temperature":0.10,"top_p":"0.9","topK":40,"frequencyPenalty":-1,"presence_penalty":1e-1,
        "seed":1234567890123456789,"max_output_tokens":"64","stop_sequences":["x",""],"candidateCount":1,
        "responseModalities":["TEXT"],"responseMimeType":"text/plain","responseLogprobs":false}"#,
    );
    let sampling = &conversation.sampling;
    let read = [
        &sampling.temperature,
        &sampling.top_p,
        &sampling.top_k,
        &sampling.frequency_penalty,
        &sampling.presence_penalty,
        &sampling.seed,
    ];
    let digits = ["0.10", "0.9", "40", "-1", "1e-1", "1234567890123456789"];
    assert_eq!(read.map(|number| number.as_deref().unwrap()), digits);
    assert_eq!((conversation.max_output, conversation.stop.len()), (Some(64), 1));
    assert_eq!((&conversation.format, extras(&conversation).is_empty()), (&None, true));
}

#[test]
fn forms_of_answers_are_formats() {
    let format = |config: &str| with(&format!(r#""generationConfig":{{{config}}}"#)).format;
    assert_eq!(format(r#""responseMimeType":"application/json""#), Some(Format::Json));
    let schema =
        |schema: &'static str| Some(Format::Schema { name: "".into(), schema: schema.into(), strict: None });
    assert_eq!(
        format(r#""responseMimeType":"application/json","responseSchema":{"type":"STRING"}"#),
        schema(r#"{"type":"string"}"#)
    );
    let json_schema = r#""response_mime_type":"application/json","responseJsonSchema":{"const":1.0}"#;
    assert_eq!(format(json_schema), schema(r#"{"const":1.0}"#));
}

#[test]
fn thinking_is_a_budget_or_a_level() {
    let reasoning =
        |config: &str| with(&format!(r#""generationConfig":{{"thinkingConfig":{config}}}"#)).reasoning;
    let budget = Reasoning { budget_tokens: Some(0), shown: Some(true), ..Reasoning::default() };
    assert_eq!(reasoning(r#"{"thinkingBudget":0,"includeThoughts":true}"#), Some(budget));
    assert_eq!(reasoning(r#"{"thinking_budget":-1}"#), None);
    let level = Reasoning { effort: Some(Effort::High), ..Reasoning::default() };
    assert_eq!(reasoning(r#"{"thinkingLevel":"HIGH"}"#), Some(level));
}

#[test]
fn what_only_gemini_has_is_an_extra_by_its_path() {
    let conversation = with(
        r#""safetySettings":[{"category":"X"}],"cachedContent":"cachedContents/1","model":"models/m","labels":{},
        "generationConfig":{"candidateCount":2,"speechConfig":{"a":1},"responseMimeType":"text/x.enum"},"toolConfig":{"retrievalConfig":{"a":1}}"#,
    );
    let expected = [
        "safetySettings",
        "cachedContent",
        "generationConfig.candidateCount",
        "generationConfig.speechConfig",
        "generationConfig.responseMimeType",
        "toolConfig.retrievalConfig",
    ];
    assert_eq!(extras(&conversation), expected);
    let code = r#"{"contents":[{"role":"model","parts":[{"executableCode":{"code":"1"}}]}]}"#;
    assert_eq!(extras(&read(code).unwrap()), ["contents[0].parts[0].executableCode"]);
}

#[test]
fn a_fault_names_the_member_by_its_path() {
    for (body, member) in [
        (r#"{"contents":[{"role":"assistant","parts":[]}]}"#, "contents[0].role"),
        (r#"{"contents":[{"parts":[{"text":1}]}]}"#, "contents[0].parts[0].text"),
        (r#"{"contents":[{"parts":[1]}]}"#, "contents[0].parts[0]"),
        (
            r#"{"contents":[{"parts":[{"functionCall":{"args":{}}}]}]}"#,
            "contents[0].parts[0].functionCall.name",
        ),
        (
            r#"{"contents":[{"parts":[{"functionCall":{"name":"f","args":[]}}]}]}"#,
            "contents[0].parts[0].functionCall.args",
        ),
        (
            r#"{"contents":{"parts":{}},"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
        (r#"{"contents":{"parts":{}},"generation_config":{"top_p":"x"}}"#, "generation_config.top_p"),
    ] {
        let fault = read(body).unwrap_err();
        assert_eq!(fault.param(), Some(member), "{body}: {fault}");
    }
    assert_eq!(read("{}").unwrap_err(), RequestFault::Missing { param: "contents" });
}

proptest! {
    /// Whatever JSON stands where, nothing panics.
    #[test]
    fn any_members_are_read_or_named(name in "contents|tools|toolConfig|tool_config|generationConfig|systemInstruction", value in "[\\[\\]{}\":,a-z0-9 ]{0,40}") {
        let body = Bytes::from(format!(r#"{{"contents":[{{"parts":[{{"text":"q"}}]}}],"{name}":{value}}}"#));
        let _ = conversation(&body, true);
    }
}

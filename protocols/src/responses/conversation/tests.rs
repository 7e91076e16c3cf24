use super::*;
use crate::conversation::{Call, Part, Role, Source, Turn};

fn bytes(body: &str) -> Bytes {
    Bytes::copy_from_slice(body.as_bytes())
}

fn fault(body: &str) -> RequestFault {
    conversation(&bytes(body)).unwrap_err()
}

fn text(text: &str) -> Part<'_> {
    Content::Text(text.into()).into()
}

fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Part<'a> {
    Content::Call(Call { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None })
        .into()
}

fn user(parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::User, parts }
}

fn assistant(parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::Assistant, parts }
}

/// The members that have no place in the neutral form.
fn extras(body: &str) -> Vec<String> {
    let body = bytes(body);
    conversation(&body).unwrap().extras.into_iter().map(|extra| extra.member.into_owned()).collect()
}

#[test]
fn a_text_is_said_by_the_user_behind_the_instructions() {
    let body =
        bytes(r#"{"model":"m","instructions":"be brief","input":"h\u0069","stream":true,"store":true}"#);
    let read = conversation(&body).unwrap();
    assert_eq!(read.system, [text("be brief")]);
    assert_eq!(read.turns, [user(vec![text("hi")])]);
    assert!(read.stream && read.extras.is_empty());
}

#[test]
fn settings_keep_their_digits_and_find_their_place() {
    let body = bytes(
        r#"{"input":"hi","temperature":0.70,"top_p":1e-1,"presence_penalty":0.0,"frequency_penalty":-1,
        "max_output_tokens":64,"parallel_tool_calls":false,"safety_identifier":"u-1",
        "reasoning":{"effort":"xhigh","summary":"auto","generate_summary":"auto"},
        "text":{"format":{"type":"json_schema","name":"n","schema":{"a":1.0},"strict":true},"verbosity":"medium"},
        "tools":[{"type":"function","name":"f","description":"d","parameters":{"x":12345678901234567890},"strict":false},
            {"type":"function","name":"g","parameters":null,"strict":null}],
        "tool_choice":{"type":"function","name":"f"}}"#,
    );
    let read = conversation(&body).unwrap();
    assert_eq!(read.sampling.temperature.as_deref(), Some("0.70"));
    assert_eq!(read.sampling.top_p.as_deref(), Some("1e-1"));
    assert_eq!(read.sampling.presence_penalty.as_deref(), Some("0.0"));
    assert_eq!(read.sampling.frequency_penalty.as_deref(), Some("-1"));
    assert_eq!((read.max_output, read.parallel_tool_calls), (Some(64), Some(false)));
    assert_eq!(read.user.as_deref(), Some("u-1"));
    let reasoning = Reasoning { effort: Some(Effort::Highest), budget_tokens: None, shown: Some(true) };
    assert_eq!(read.reasoning, Some(reasoning));
    let format = Format::Schema { name: "n".into(), schema: r#"{"a":1.0}"#.into(), strict: Some(true) };
    assert_eq!(read.format, Some(format));
    assert_eq!(read.tools[0].schema.as_deref(), Some(r#"{"x":12345678901234567890}"#));
    assert_eq!((read.tools[0].strict, read.tools[1].strict), (Some(false), None));
    assert_eq!(read.tool_choice, Some(ToolChoice::Named("f".into())));
    assert!(read.extras.is_empty(), "{:?}", read.extras);
}

#[test]
fn what_the_assistant_did_in_one_go_is_one_turn() {
    let body = bytes(
        r#"{"input":[
        {"role":"user","content":"weather and time?"},
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"two calls"}],"encrypted_content":"sealed"},
        {"type":"message","role":"assistant","id":"msg_1","status":"completed","phase":"commentary",
            "content":[{"type":"output_text","text":"One moment","annotations":[],"logprobs":[]}]},
        {"type":"function_call","id":"fc_1","call_id":"c1","name":"weather","arguments":"{\"n\":9007199254740993}","status":"completed"},
        {"type":"function_call","call_id":"c2","name":"time","arguments":""},
        {"type":"function_call_output","call_id":"c1","output":"rain"},
        {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"noon"},
            {"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"low"}]},
        {"role":"user","content":[{"type":"input_text","text":"thanks"}]}]}"#,
    );
    let read = conversation(&body).unwrap();
    let result = |id: &'static str, name: &'static str, parts| {
        Part::from(Content::Result { id: id.into(), name: Some(name.into()), parts, is_error: false })
    };
    let source = Source::Base64 { media_type: "image/png".into(), data: "AAAA".into() };
    let image = Content::Image { source, detail: Some("low".into()) };
    let thought = Content::Thinking { text: "two calls".into(), signature: Some("sealed".into()) };
    let expected = [
        user(vec![text("weather and time?")]),
        assistant(vec![
            thought.into(),
            text("One moment"),
            call("c1", "weather", "{\"n\":9007199254740993}"),
            call("c2", "time", "{}"),
        ]),
        user(vec![
            result("c1", "weather", vec![text("rain")]),
            result("c2", "time", vec![text("noon"), image.into()]),
        ]),
        user(vec![text("thanks")]),
    ];
    assert_eq!(read.turns, expected);
    assert!(read.extras.is_empty(), "{:?}", read.extras);
}

#[test]
fn messages_of_the_assistant_that_follow_each_other_stay_apart() {
    let body = bytes(
        r#"{"input":[{"role":"assistant","content":"first","phase":"commentary"},
        {"type":"reasoning","summary":[],"encrypted_content":"sealed"},{"role":"assistant","content":"second"},
        {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"role":"assistant","content":"third"}]}"#,
    );
    let read = conversation(&body).unwrap();
    let redacted = Content::RedactedThinking { data: "sealed".into() };
    let expected = [
        assistant(vec![text("first")]),
        assistant(vec![redacted.into(), text("second"), call("c", "f", "{}"), text("third")]),
    ];
    assert_eq!(read.turns, expected);
}

#[test]
fn instructions_among_the_input_come_before_the_talk() {
    let body = bytes(
        r#"{"instructions":"a","input":[{"role":"developer","content":"b"},{"role":"user","content":"hi"},
        {"type":"message","role":"system","content":[{"type":"input_text","text":"c"}]}]}"#,
    );
    let read = conversation(&body).unwrap();
    assert_eq!(read.system, [text("a"), text("b"), text("c")]);
    assert_eq!(read.turns, [user(vec![text("hi")])]);
}

#[test]
fn pictures_files_and_sounds_say_where_they_are() {
    let body = bytes(
        r#"{"input":[{"role":"user","content":[
        {"type":"input_image","image_url":"https://x/y.png"},
        {"type":"input_image","file_id":"file-1","detail":"auto"},
        {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;name=a.pdf;base64,JVBE","detail":"low"},
        {"type":"input_file","file_url":"https://x/a.pdf"},
        {"type":"input_file","file_data":"JVBE"},
        {"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}},
        {"type":"output_text","text":"quoted"},{"type":"refusal","refusal":"No."}]}]}"#,
    );
    let read = conversation(&body).unwrap();
    let base64 = |media_type: &'static str, data: &'static str| Source::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    };
    let expected = [
        Content::Image { source: Source::Url("https://x/y.png".into()), detail: None },
        Content::Image { source: Source::FileId("file-1".into()), detail: Some("auto".into()) },
        Content::Document { source: base64("application/pdf", "JVBE"), name: Some("a.pdf".into()) },
        Content::Document { source: Source::Url("https://x/a.pdf".into()), name: None },
        Content::Document { source: base64("application/pdf", "JVBE"), name: None },
        Content::Audio { source: base64("audio/wav", "UklG") },
        Content::Text("quoted".into()),
        Content::Refusal("No.".into()),
    ];
    assert_eq!(read.turns, [user(expected.map(Part::from).into())]);
}

#[test]
fn an_assistant_that_only_calls_needs_no_words_and_a_user_does() {
    for content in [r#""""#, "null", "[]", r#"[{"type":"output_text","text":" \n"}]"#] {
        let body = format!(
            r#"{{"input":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":{content}}},
            {{"type":"function_call","call_id":"c","name":"f","arguments":" "}}]}}"#
        );
        let body = bytes(&body);
        let read = conversation(&body).unwrap();
        assert_eq!(read.turns[1..], [assistant(vec![call("c", "f", "{}")])]);
        let body = format!(r#"{{"input":[{{"role":"user","content":{content}}}]}}"#);
        assert_eq!(fault(&body).param(), Some("input[0].content"));
    }
    assert_eq!(fault(r#"{"input":" "}"#).param(), Some("input"));
    assert_eq!(fault(r#"{"model":"m"}"#), RequestFault::Missing { param: "input" });
}

#[test]
fn geminis_signature_on_a_call_comes_back() {
    let body = bytes(
        r#"{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}",
        "extra_content":{"google":{"thought_signature":"sig"}}}]}"#,
    );
    let read = conversation(&body).unwrap();
    let Content::Call(call) = &read.turns[0].parts[0].content else { panic!("{read:?}") };
    assert_eq!(call.signature.as_deref(), Some("sig"));
}

#[test]
fn what_has_no_place_in_the_neutral_form_is_kept_by_its_path() {
    let found = extras(
        r#"{"previous_response_id":"resp_1","conversation":"conv_1","background":true,"truncation":"auto",
        "service_tier":"flex","prompt":{"id":"p"},"top_logprobs":3,"unknown":1,
        "include":["reasoning.encrypted_content","message.output_text.logprobs","file_search_call.results"],
        "tools":[{"type":"web_search"},{"type":"function","name":"f","parameters":{},"strict":true,"output_schema":{}}],
        "tool_choice":{"type":"web_search"},"text":{"format":{"type":"json_schema","name":"n","schema":{},"description":"d"},
        "verbosity":"low"},"reasoning":{"effort":"low","mode":"pro"},
        "input":[{"role":"user","content":[{"type":"input_text","text":"hi","new":1},{"type":"input_video","url":"x"}]},
            {"type":"item_reference","id":"msg_1"},{"id":"msg_2"},
            {"type":"web_search_call","id":"ws_1","status":"completed"},
            {"type":"function_call","call_id":"c","name":"f","arguments":"{}","namespace":"n"}]}"#,
    );
    let expected = [
        "input[0].content[0].new",
        "input[0].content[1]",
        "input[1]",
        "input[2]",
        "input[3]",
        "input[4].namespace",
        "tools[0]",
        "tools[1].output_schema",
        "tool_choice",
        "text.format.description",
        "text.verbosity",
        "reasoning.mode",
        "include[1]",
        "previous_response_id",
        "conversation",
        "background",
        "truncation",
        "service_tier",
        "prompt",
        "top_logprobs",
        "unknown",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_changes_nothing_is_passed_over() {
    let found = extras(
        r#"{"model":"m","input":"hi","store":true,"metadata":{"a":"b"},"prompt_cache_key":"k","background":false,
        "prompt_cache_retention":"24h","stream_options":{"include_obfuscation":false},"max_tool_calls":3,
        "truncation":"disabled","service_tier":"auto","top_logprobs":0,"previous_response_id":null,"tools":[],
        "include":["reasoning.encrypted_content"],"text":{"format":{"type":"text"}},"reasoning":{"summary":null}}"#,
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_member_that_cannot_be_understood_is_named() {
    for (body, member) in [
        (r#"{"input":7}"#, "input"),
        (r#"{"input":["hi"]}"#, "input[0]"),
        (r#"{"input":[{"role":"robot","content":"hi"}]}"#, "input[0].role"),
        (
            r#"{"input":[{"role":"system","content":[{"type":"input_image","image_url":"u"}]}]}"#,
            "input[0].content",
        ),
        (r#"{"input":[{"role":"user","content":[{"text":"hi"}]}]}"#, "input[0].content[0].type"),
        (r#"{"input":[{"role":"user","content":[{"type":"input_image"}]}]}"#, "input[0].content[0]"),
        (
            r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:x"}]}]}"#,
            "input[0].content[0].image_url",
        ),
        (r#"{"input":[{"type":"function_call","name":"f"}]}"#, "input[0].call_id"),
        (r#"{"input":"hi","tools":[{"type":"function"}]}"#, "tools[0].name"),
        (r#"{"input":"hi","tools":{}}"#, "tools"),
        (r#"{"input":"hi","tool_choice":"sometimes"}"#, "tool_choice"),
        (r#"{"input":"hi","reasoning":{"effort":"huge"}}"#, "reasoning.effort"),
        (r#"{"input":"hi","text":{"format":{"type":"json_schema","name":"n"}}}"#, "text.format.schema"),
        (r#"{"input":"hi","temperature":"hot"}"#, "temperature"),
        (r#"{"input":"hi","max_output_tokens":0}"#, "max_output_tokens"),
        (r#"{"input":"hi","user":"a","user":"b"}"#, "user"),
    ] {
        assert_eq!(fault(body).param(), Some(member), "{body}");
    }
}

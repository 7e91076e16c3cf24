use super::*;
use crate::conversation::{Call, Content, Losses, Part, Role, Source, Target, Turn};
use crate::openai::CapMember;

fn bytes(body: &str) -> Bytes {
    Bytes::copy_from_slice(body.as_bytes())
}

/// A body with these members beside what must be there.
fn with(members: &str) -> Bytes {
    let comma = if members.is_empty() { "" } else { "," };
    bytes(&format!(
        r#"{{"model":"m","max_tokens":100,"messages":[{{"role":"user","content":"hi"}}]{comma}{members}}}"#
    ))
}

/// A body with these messages.
fn talk(messages: &str) -> Bytes {
    bytes(&format!(r#"{{"model":"m","max_tokens":100,"messages":[{messages}]}}"#))
}

fn extras(conversation: &Conversation<'_>) -> Vec<String> {
    conversation.extras.iter().map(|extra| extra.member.to_string()).collect()
}

fn text(text: &str) -> Content<'_> {
    Content::Text(text.into())
}

#[test]
fn settings_keep_their_digits() {
    let body = with(
        r#""temperature":0.70,"top_p":9e-1,"top_k":40,"stop_sequences":["a","\n"],"stream":true,
        "metadata":{"user_id":"u-1","team":"x"},"service_tier":"auto","cache_control":{"type":"ephemeral"},"system":null"#,
    );
    let conversation = conversation(&body).unwrap();
    assert_eq!(conversation.sampling.temperature.as_deref(), Some("0.70"));
    assert_eq!(conversation.sampling.top_p.as_deref(), Some("9e-1"));
    assert_eq!(conversation.sampling.top_k.as_deref(), Some("40"));
    assert_eq!(conversation.stop, ["a", "\n"]);
    assert_eq!((conversation.stream, conversation.max_output), (true, Some(100)));
    assert_eq!(conversation.user.as_deref(), Some("u-1"));
    assert_eq!(conversation.turns, [Turn { role: Role::User, parts: vec![text("hi").into()] }]);
    assert_eq!(extras(&conversation), [""; 0]);
}

#[test]
fn a_system_prompt_is_a_string_or_blocks_with_markers() {
    let body = with(r#""system":"be brief""#);
    assert_eq!(conversation(&body).unwrap().system, [Part::from(text("be brief"))]);
    let body = with(
        r#""system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":" "}]"#,
    );
    let marked =
        Part { content: text("a"), cache_control: Some(r#"{"type":"ephemeral","ttl":"1h"}"#.into()) };
    assert_eq!(conversation(&body).unwrap().system, [marked]);
    let image = with(r#""system":[{"type":"image","source":{"type":"url","url":"u"}}]"#);
    assert_eq!(conversation(&image).unwrap_err().param(), Some("system"));
}

#[test]
fn instructions_in_the_midst_of_the_talk_are_instructions() {
    let body = talk(
        r#"{"role":"user","content":"a"},{"role":"system","content":"b"},{"role":"user","content":"c"}"#,
    );
    let conversation = conversation(&body).unwrap();
    assert_eq!(conversation.system, [Part::from(text("b"))]);
    assert_eq!(conversation.turns.len(), 2);
}

#[test]
fn pictures_and_documents_are_where_they_are_said_to_be() {
    let body = talk(
        r#"{"role":"user","content":[
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}},
        {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
        {"type":"document","source":{"type":"file","file_id":"file_1"},"title":"T","citations":{"enabled":false}},
        {"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"},"title":"Notes"},
        {"type":"document","source":{"type":"content","content":[{"type":"text","text":"inside"}]}}]}"#,
    );
    let conversation = conversation(&body).unwrap();
    let image = |source| Content::Image { source, detail: None };
    let expected = [
        image(Source::Base64 { media_type: "image/png".into(), data: "iVBOR".into() }),
        image(Source::Url("https://x/y.png".into())),
        Content::Document { source: Source::FileId("file_1".into()), name: Some("T".into()) },
        text("Notes"),
        text("words"),
        text("inside"),
    ];
    let contents: Vec<_> = conversation.turns[0].parts.iter().map(|part| part.content.clone()).collect();
    assert_eq!(contents, expected);
    assert_eq!(extras(&conversation), [""; 0]);
}

#[test]
fn calls_results_and_thoughts_are_kept_to_the_digit() {
    let body = talk(
        r#"{"role":"assistant","content":[
        {"type":"thinking","thinking":"Hm","signature":"c2ln"},{"type":"redacted_thinking","data":"xyz"},
        {"type":"text","text":""},
        {"type":"tool_use","id":"t1","name":"look","input":{"id": 12345678901234567890123, "x":1.0},"caller":{"type":"direct"}},
        {"type":"tool_use","id":"t2","name":"now","input":{}}]},
        {"role":"user","content":[
        {"type":"tool_result","tool_use_id":"t1","is_error":true,"content":[{"type":"text","text":"no"},
         {"type":"image","source":{"type":"url","url":"u"}}],"cache_control":{"type":"ephemeral"}},
        {"type":"tool_result","tool_use_id":"t2"},{"type":"text","text":"go on"}]}"#,
    );
    let conversation = conversation(&body).unwrap();
    let call = |id: &'static str, name: &'static str, arguments: &'static str| {
        let call = Call { id: id.into(), name: name.into(), arguments: arguments.into(), signature: None };
        Part::from(Content::Call(call))
    };
    let said = [
        Content::Thinking { text: "Hm".into(), signature: Some("c2ln".into()) }.into(),
        Content::RedactedThinking { data: "xyz".into() }.into(),
        call("t1", "look", r#"{"id": 12345678901234567890123, "x":1.0}"#),
        call("t2", "now", "{}"),
    ];
    assert_eq!(conversation.turns[0].parts, said);
    let image = Content::Image { source: Source::Url("u".into()), detail: None };
    let result = |id: &'static str, name: &'static str, parts, is_error| Content::Result {
        id: id.into(),
        name: Some(name.into()),
        parts,
        is_error,
    };
    let results = [
        Part {
            content: result("t1", "look", vec![text("no").into(), image.into()], true),
            cache_control: Some(r#"{"type":"ephemeral"}"#.into()),
        },
        result("t2", "now", vec![], false).into(),
        text("go on").into(),
    ];
    assert_eq!(conversation.turns[1].parts, results);
    assert_eq!(extras(&conversation), [""; 0]);
}

#[test]
fn tools_are_functions_and_what_anthropic_runs_is_an_extra() {
    let body = with(
        r#""tools":[{"name":"a","description":"d","input_schema":{"type":"object","max":1e400},"strict":true,
        "cache_control":{"type":"ephemeral"},"allowed_callers":["direct"],"defer_loading":false},
        {"type":"web_search_20250305","name":"web_search"},{"type":"custom","name":"b","input_schema":{},"input_examples":[{}]}],
        "tool_choice":{"type":"tool","name":"a","disable_parallel_tool_use":true}"#,
    );
    let conversation = conversation(&body).unwrap();
    let expected = Tool {
        name: "a".into(),
        description: Some("d".into()),
        schema: Some(r#"{"type":"object","max":1e400}"#.into()),
        strict: Some(true),
        cache_control: Some(r#"{"type":"ephemeral"}"#.into()),
    };
    assert_eq!(conversation.tools[0], expected);
    assert_eq!(conversation.tools[1].name, "b");
    assert_eq!(conversation.tool_choice, Some(ToolChoice::Named("a".into())));
    assert_eq!(conversation.parallel_tool_calls, Some(false));
    assert_eq!(extras(&conversation), ["tools[1]", "tools[2].input_examples"]);
}

#[test]
fn every_tool_choice_is_known() {
    for (written, expected) in
        [("auto", ToolChoice::Auto), ("any", ToolChoice::Any), ("none", ToolChoice::None)]
    {
        let body = with(&format!(r#""tool_choice":{{"type":"{written}"}}"#));
        assert_eq!(conversation(&body).unwrap().tool_choice, Some(expected));
    }
    for (written, param) in [(r#"{"type":"tool"}"#, "tool_choice.name"), (r#""auto""#, "tool_choice.type")] {
        let body = with(&format!(r#""tool_choice":{written}"#));
        assert_eq!(conversation(&body).unwrap_err().param(), Some(param));
    }
}

#[test]
fn thinking_and_effort_are_read_together() {
    let reasoning = |members: &str| conversation(&with(members)).unwrap().reasoning;
    let expected = |effort, budget_tokens, shown| Some(Reasoning { effort, budget_tokens, shown });
    assert_eq!(
        reasoning(r#""thinking":{"type":"enabled","budget_tokens":5000}"#),
        expected(None, Some(5000), Some(true))
    );
    assert_eq!(
        reasoning(r#""thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"xhigh"}"#),
        expected(Some(Effort::Highest), None, Some(false))
    );
    assert_eq!(reasoning(r#""output_config":{"effort":"low"}"#), expected(Some(Effort::Low), None, None));
    for off in ["disabled", "between_tools"] {
        let members = format!(r#""thinking":{{"type":"{off}"}},"output_config":{{"effort":"high"}}"#);
        assert_eq!(reasoning(&members), expected(Some(Effort::None), Some(0), None));
    }
    let fault =
        conversation(&with(r#""thinking":{"type":"enabled"}"#)).unwrap_err().param().map(String::from);
    assert_eq!(fault.as_deref(), Some("thinking.budget_tokens"));
}

#[test]
fn a_schema_of_the_answer_stands_in_either_place() {
    let schema = r#"{"type":"object","x":1.0}"#;
    let format = format!(r#"{{"type":"json_schema","schema":{schema}}}"#);
    for members in
        [format!(r#""output_config":{{"format":{format}}}"#), format!(r#""output_format":{format}"#)]
    {
        let body = with(&members);
        let expected = Format::Schema { name: "".into(), schema: schema.into(), strict: None };
        assert_eq!(conversation(&body).unwrap().format, Some(expected));
    }
}

#[test]
fn what_only_this_dialect_has_is_named_by_its_path() {
    let body = bytes(
        r#"{"max_tokens":1,"container":"c","context_management":{"edits":[]},"top_k":null,"output_config":{"task_budget":{}},
        "messages":[{"role":"user","content":[{"type":"text","text":"a","new":1},{"type":"search_result","content":[]},
        {"type":"image","source":{"type":"url","url":"u"},"transformations":{}},
        {"type":"document","source":{"type":"url","url":"u"},"context":"c","citations":{"enabled":true}}]},
        {"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"n","input":{}},
        {"type":"tool_use","id":"t","name":"n","input":{},"caller":{"type":"code_execution_20260120","tool_id":"s"}}]}]}"#,
    );
    let expected = [
        "container",
        "context_management",
        "output_config.task_budget",
        "messages[0].content[0].new",
        "messages[0].content[1]",
        "messages[0].content[2].transformations",
        "messages[0].content[3].citations",
        "messages[0].content[3].context",
        "messages[1].content[0]",
        "messages[1].content[1].caller",
    ];
    assert_eq!(extras(&conversation(&body).unwrap()), expected);
}

#[test]
fn a_message_with_nothing_in_it_is_a_clear_fault() {
    for content in [r#""""#, r#""  \n""#, "[]", r#"[{"type":"text","text":""}]"#] {
        let body =
            talk(&format!(r#"{{"role":"user","content":"hi"}},{{"role":"assistant","content":{content}}}"#));
        let fault = conversation(&body).unwrap_err();
        assert_eq!(fault.param(), Some("messages[1].content"), "{content}");
    }
}

#[test]
fn faults_name_the_member_by_its_path() {
    let param = |body: &Bytes| conversation(body).unwrap_err().param().map(String::from).unwrap_or_default();
    assert_eq!(param(&bytes(r#"{"messages":[1]}"#)), "max_tokens");
    assert_eq!(param(&bytes(r#"{"max_tokens":1}"#)), "messages");
    assert_eq!(param(&talk("")), "messages");
    assert_eq!(param(&talk("7")), "messages[0]");
    assert_eq!(param(&talk(r#"{"role":"bot","content":"a"}"#)), "messages[0].role");
    assert_eq!(param(&talk(r#"{"role":"user"}"#)), "messages[0].content");
    assert_eq!(param(&talk(r#"{"role":"user","content":[{}]}"#)), "messages[0].content[0].type");
    let no_data =
        r#"{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png"}}]}"#;
    assert_eq!(param(&talk(no_data)), "messages[0].content[0].source.data");
    let text_input =
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":"{}"}]}"#;
    assert_eq!(param(&talk(text_input)), "messages[0].content[0].input");
    assert_eq!(param(&with(r#""temperature":"hot""#)), "temperature");
    assert_eq!(param(&with(r#""stop_sequences":[1]"#)), "stop_sequences[0]");
    assert_eq!(param(&with(r#""tools":[{"input_schema":{}}]"#)), "tools[0].name");
}

#[test]
fn documents_within_documents_end_at_a_bound() {
    let mut content = r#"{"type":"text","text":"deep"}"#.to_owned();
    for _ in 0..100 {
        content = format!(r#"{{"type":"document","source":{{"type":"content","content":[{content}]}}}}"#);
    }
    let body = talk(&format!(r#"{{"role":"user","content":[{content}]}}"#));
    assert_eq!(extras(&conversation(&body).unwrap()).len(), 1);
}

/// Reading and writing again changes nothing that the API means.
#[test]
fn a_request_that_is_read_and_written_again_says_the_same() {
    let body = r#"{"model":"claude-opus-4-7","max_tokens":9000,"stream":true,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBOR"}},{"type":"text","text":"what?"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":"c2ln"},{"type":"redacted_thinking","data":"xyz"},{"type":"tool_use","id":"t1","name":"look","input":{"id":12345678901234567890123,"x":1.0}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"no","is_error":true,"cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"go on"}]}],"tools":[{"name":"look","description":"d","input_schema":{"type":"object","n":1e400},"strict":true,"cache_control":{"type":"ephemeral"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"medium","format":{"type":"json_schema","schema":{"type":"object"}}},"stop_sequences":["END"],"metadata":{"user_id":"u"}}"#;
    let body = bytes(body);
    let read = conversation(&body).unwrap();
    let target = Target {
        model: "claude-opus-4-7",
        cap: None,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: false,
        asks_for_usage: true,
        missing_signature: None,
    };
    let mut losses = Losses::new(crate::anthropic::DIALECT, false);
    assert_eq!(crate::anthropic::render_request(&read, &target, &mut losses).unwrap(), body);
}

//! Requests, from every client to every upstream: what one asks, the other asks too.

use bytes::Bytes;
use serde_json::{Value, json};

use super::pairs;
use crate::conversation::{
    Call, Content, Conversation, Effort, Format, Part, Role, Source, Target, ToolChoice,
};
use crate::openai::CapMember;
use crate::translate::{Protocol, TranslateFault, conversation, request};

const TARGET: Target<'static> = Target {
    model: "upstream",
    cap: None,
    max_output: 64_000,
    cap_member: CapMember::MaxCompletionTokens,
    takes_temperature: true,
    asks_for_usage: true,
    missing_signature: None,
};

/// What a request says, in a form in which all protocols can say it: turns of one side are one, and texts are
/// as they read together.
#[derive(Debug, PartialEq)]
struct Asked {
    system: String,
    turns: Vec<(Role, Vec<String>)>,
    tools: Vec<(String, Option<String>, Value)>,
    tool_choice: Option<ToolChoice<'static>>,
    sampling: [Option<String>; 2],
    max_output: Option<u64>,
    stop: Vec<String>,
    format: Option<Value>,
    effort: Option<Effort>,
    extras: Vec<String>,
}

impl Asked {
    fn of(conversation: &Conversation<'_>) -> Self {
        let mut turns: Vec<(Role, Vec<String>)> = Vec::new();
        for turn in &conversation.turns {
            let said = turn.parts.iter().map(told);
            match turns.last_mut() {
                Some((role, parts)) if *role == turn.role => parts.extend(said),
                _ => turns.push((turn.role, said.collect())),
            }
        }
        let parsed = |json: &str| serde_json::from_str(json).unwrap();
        let tool = |tool: &crate::conversation::Tool<'_>| {
            let description = tool.description.as_deref().map(String::from);
            (tool.name.to_string(), description, tool.schema.as_deref().map(parsed).unwrap_or(Value::Null))
        };
        let format = conversation.format.as_ref().map(|format| match format {
            Format::Json => Value::Null,
            Format::Schema { schema, .. } => parsed(schema),
        });
        let effort = conversation
            .reasoning
            .and_then(|reasoning| reasoning.effort.or(reasoning.budget_tokens.map(Effort::of_budget)));
        let sampling = &conversation.sampling;
        Self {
            system: conversation.system.iter().map(told).collect(),
            turns,
            tools: conversation.tools.iter().map(tool).collect(),
            tool_choice: conversation.tool_choice.clone().map(|choice| match choice {
                ToolChoice::Named(name) => ToolChoice::Named(name.into_owned().into()),
                ToolChoice::Auto => ToolChoice::Auto,
                ToolChoice::None => ToolChoice::None,
                ToolChoice::Any => ToolChoice::Any,
            }),
            sampling: [&sampling.temperature, &sampling.top_p]
                .map(|value| value.as_deref().map(String::from)),
            max_output: conversation.max_output,
            stop: conversation.stop.iter().map(|stop| stop.to_string()).collect(),
            format,
            effort,
            extras: conversation.extras.iter().map(|extra| extra.member.to_string()).collect(),
        }
    }
}

/// A part as one line.
fn told(part: &Part<'_>) -> String {
    let source = |source: &Source<'_>| match source {
        Source::Base64 { media_type, data } => format!("{media_type} {data}"),
        Source::Url(url) => format!("at {url}"),
        Source::FileId(id) => format!("file {id}"),
    };
    match &part.content {
        Content::Text(text) => text.to_string(),
        Content::Image { source: at, .. } => format!("image {}", source(at)),
        Content::Document { source: at, .. } => format!("document {}", source(at)),
        Content::Audio { source: at } => format!("audio {}", source(at)),
        Content::Call(Call { id, name, arguments, .. }) => format!("call {id} {name} {arguments}"),
        Content::Result { id, parts, .. } => {
            format!("result {id} {}", parts.iter().map(told).collect::<Vec<_>>().join(" "))
        }
        Content::Thinking { text, signature } => format!("thought {text} {signature:?}"),
        Content::RedactedThinking { data } => format!("redacted {data}"),
        Content::Refusal(text) => format!("refusal {text}"),
    }
}

/// One request in each protocol's words.
struct Request {
    chat: Value,
    messages: Value,
    gemini: Value,
    responses: Value,
}

impl Request {
    fn in_words_of(&self, protocol: Protocol) -> Bytes {
        let (body, talk) = match protocol {
            Protocol::Chat => (&self.chat, json!({"messages": [{"role": "user", "content": "Hi"}]})),
            Protocol::Messages => (
                &self.messages,
                json!({"max_tokens": 9_000, "messages": [{"role": "user", "content": "Hi"}]}),
            ),
            Protocol::Gemini => {
                (&self.gemini, json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}))
            }
            Protocol::Responses => (&self.responses, json!({"input": "Hi"})),
        };
        let mut whole = json!({"model": "m"});
        for (name, value) in talk.as_object().unwrap().iter().chain(body.as_object().unwrap()) {
            whole[name] = value.clone();
        }
        if protocol == Protocol::Gemini {
            whole.as_object_mut().unwrap().remove("model");
        }
        Bytes::from(whole.to_string())
    }
}

fn translated(from: Protocol, to: Protocol, body: &Bytes) -> Bytes {
    let written = request(from, to, body, false, &TARGET, false);
    let (written, dropped) = written.unwrap_or_else(|fault| panic!("{from:?} to {to:?}: {fault}"));
    assert!(dropped.is_empty());
    written
}

/// That each client's request reads the same when it has been written for each upstream. The cap is left out of the
/// comparison where the client has none and the upstream must have one.
fn assert_carried(asked: &Request) {
    assert_carried_between(pairs(), asked);
}

fn assert_carried_between(pairs: impl Iterator<Item = (Protocol, Protocol)>, asked: &Request) {
    for (from, to) in pairs {
        let body = asked.in_words_of(from);
        let read = conversation(from, &body, false).unwrap();
        let written = translated(from, to, &body);
        let again = conversation(to, &written, false)
            .unwrap_or_else(|fault| panic!("{from:?} to {to:?}: {fault}: {written:?}"));
        let mut expected = Asked::of(&read);
        let mut got = Asked::of(&again);
        if read.max_output.is_none() && to == Protocol::Messages {
            (expected.max_output, got.max_output) = (None, None);
        }
        assert_eq!(got, expected, "{from:?} to {to:?}: {written:?}");
    }
}

#[test]
fn instructions_and_talk_are_carried_over() {
    let said = ["Hi", "Hello", "How are you?"];
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let talk = |model: &str| -> Value {
        [turn("user", said[0]), turn(model, said[1]), turn("user", said[2])].into_iter().collect()
    };
    let part = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
    let mut chat = json!([{"role": "developer", "content": "Be brief."}]);
    chat.as_array_mut().unwrap().extend(talk("assistant").as_array().unwrap().iter().cloned());
    assert_carried(&Request {
        chat: json!({"messages": chat}),
        messages: json!({"system": "Be brief.", "messages": talk("assistant")}),
        gemini: json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [part("user", said[0]), part("model", said[1]), part("user", said[2])],
        }),
        responses: json!({"instructions": "Be brief.", "input": talk("assistant")}),
    });
}

#[test]
fn settings_are_carried_over() {
    // The Responses API has no stop texts.
    let pairs = pairs().filter(|(from, to)| ![*from, *to].contains(&Protocol::Responses));
    let asked = Request {
        chat: json!({"max_completion_tokens": 99, "temperature": 0.5, "stop": ["END", "STOP"]}),
        messages: json!({"max_tokens": 99, "temperature": 0.5, "stop_sequences": ["END", "STOP"]}),
        gemini: json!({"generationConfig":
            {"maxOutputTokens": 99, "temperature": 0.5, "stopSequences": ["END", "STOP"]}}),
        responses: json!({}),
    };
    assert_carried_between(pairs, &asked);
    let asked = Request {
        chat: json!({"max_completion_tokens": 99, "top_p": 0.9}),
        messages: json!({"max_tokens": 99, "top_p": 0.9}),
        gemini: json!({"generationConfig": {"maxOutputTokens": 99, "topP": 0.9}}),
        responses: json!({"max_output_tokens": 99, "top_p": 0.9}),
    };
    assert_carried(&asked);
}

#[test]
fn pictures_and_documents_are_carried_over() {
    assert_carried(&Request {
        chat: json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "Look."},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
        ]}]}),
        messages: json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "Look."},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
        ]}]}),
        gemini: json!({"contents": [{"role": "user", "parts": [
            {"text": "Look."},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "BBBB"}},
        ]}]}),
        responses: json!({"input": [{"role": "user", "content": [
            {"type": "input_text", "text": "Look."},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
        ]}]}),
    });
}

#[test]
fn sound_is_carried_over_where_it_is_heard() {
    let asked = Request {
        chat: json!({"messages": [{"role": "user", "content": [
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]}),
        messages: json!({}),
        gemini: json!({"contents": [{"role": "user", "parts": [
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]}]}),
        responses: json!({}),
    };
    let hearing = [(Protocol::Chat, Protocol::Gemini), (Protocol::Gemini, Protocol::Chat)];
    assert_carried_between(hearing.into_iter(), &asked);
}

/// Two parallel calls, their results, and what the user says then.
fn calls_and_results() -> Request {
    let function = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    Request {
        chat: json!({"messages": [
            {"role": "user", "content": "Both."},
            {"role": "assistant", "content": "", "tool_calls": [
                function("call_a", "f", "{\"x\":1}"), function("call_b", "g", "")]},
            {"role": "tool", "tool_call_id": "call_a", "content": "one"},
            {"role": "tool", "tool_call_id": "call_b", "content": "two"},
        ]}),
        messages: json!({"messages": [
            {"role": "user", "content": "Both."},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "call_b", "name": "g", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_a", "content": "one"},
                {"type": "tool_result", "tool_use_id": "call_b", "content": [{"type": "text", "text": "two"}]},
            ]},
        ]}),
        gemini: json!({"contents": [
            {"role": "user", "parts": [{"text": "Both."}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "call_a", "name": "f", "args": {"x": 1}}},
                {"functionCall": {"id": "call_b", "name": "g"}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "call_a", "name": "f", "response": {"output": "one"}}},
                {"functionResponse": {"id": "call_b", "name": "g", "response": {"output": "two"}}},
            ]},
        ]}),
        responses: json!({"input": [
            {"role": "user", "content": "Both."},
            {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": "{\"x\":1}"},
            {"type": "function_call", "call_id": "call_b", "name": "g", "arguments": ""},
            {"type": "function_call_output", "call_id": "call_a", "output": "one"},
            {"type": "function_call_output", "call_id": "call_b", "output": "two"},
        ]}),
    }
}

#[test]
fn calls_and_their_results_are_carried_over() {
    assert_carried(&calls_and_results());
}

#[test]
fn digits_of_arguments_stay_as_they_are() {
    let digits = r#"{"id":1234567890123456789,"a":1.0,"b":1e2,"c":1234567890123456789012345678901234567890}"#;
    for (from, to) in pairs() {
        let body = String::from_utf8(calls_and_results().in_words_of(from).to_vec()).unwrap();
        let (plain, quoted) = (r#"{"x":1}"#, r#"{\"x\":1}"#);
        let body = Bytes::from(body.replace(plain, digits).replace(quoted, &digits.replace('"', "\\\"")));
        let written = String::from_utf8(translated(from, to, &body).to_vec()).unwrap();
        assert!(written.replace("\\\"", "\"").contains(digits), "{from:?} to {to:?}: {written}");
    }
}

#[test]
fn pictures_in_a_result_reach_the_model() {
    let messages = json!({"messages": [
        {"role": "user", "content": "Draw."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_a", "content": [
            {"type": "text", "text": "drawn"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ]}]},
    ]});
    let asked = Request { chat: json!({}), messages, gemini: json!({}), responses: json!({}) };
    for to in [Protocol::Chat, Protocol::Gemini, Protocol::Responses] {
        let written = translated(Protocol::Messages, to, &asked.in_words_of(Protocol::Messages));
        let again = Asked::of(&conversation(to, &written, false).unwrap());
        let last = again.turns.last().unwrap();
        let told = last.1.join(" ");
        assert!(
            told.contains("result call_a drawn") && told.contains("image image/png AAAA"),
            "{to:?}: {told}"
        );
    }
}

/// A function with a schema, and this choice in each protocol's words.
fn with_tools(chat: Value, messages: Value, gemini: Value, responses: Value) -> Request {
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]});
    Request {
        chat: json!({
            "tools": [{"type": "function", "function":
                {"name": "f", "description": "does f", "parameters": schema}}],
            "tool_choice": chat,
        }),
        messages: json!({
            "tools": [{"name": "f", "description": "does f", "input_schema": schema}],
            "tool_choice": messages,
        }),
        gemini: json!({
            "tools": [{"functionDeclarations":
                [{"name": "f", "description": "does f", "parametersJsonSchema": schema}]}],
            "toolConfig": {"functionCallingConfig": gemini},
        }),
        responses: json!({
            "tools": [{"type": "function", "name": "f", "description": "does f", "parameters": schema}],
            "tool_choice": responses,
        }),
    }
}

#[test]
fn tools_and_each_choice_of_them_are_carried_over() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    let choices = [
        (json!("auto"), json!({"type": "auto"}), json!({"mode": "AUTO"}), json!("auto")),
        (json!("none"), json!({"type": "none"}), json!({"mode": "NONE"}), json!("none")),
        (json!("required"), json!({"type": "any"}), json!({"mode": "ANY"}), json!("required")),
        (
            named,
            json!({"type": "tool", "name": "f"}),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
            json!({"type": "function", "name": "f"}),
        ),
    ];
    for (chat, messages, gemini, responses) in choices {
        assert_carried(&with_tools(chat, messages, gemini, responses));
    }
}

#[test]
fn a_schema_for_the_answer_is_carried_over() {
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"],
        "additionalProperties": false});
    assert_carried(&Request {
        chat: json!({"response_format":
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": true}}}),
        messages: json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        gemini: json!({"generationConfig":
            {"responseMimeType": "application/json", "responseJsonSchema": schema}}),
        responses: json!({"text": {"format":
            {"type": "json_schema", "name": "answer", "schema": schema, "strict": true}}}),
    });
}

#[test]
fn how_much_to_think_is_carried_over() {
    for effort in ["low", "medium", "high"] {
        let budget = match effort {
            "low" => 1_024,
            "medium" => 8_192,
            _ => 24_576,
        };
        let asked = Request {
            chat: json!({"reasoning_effort": effort}),
            messages: json!({"max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": budget}}),
            gemini: json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}}),
            responses: json!({"reasoning": {"effort": effort}}),
        };
        for (from, to) in pairs() {
            let body = asked.in_words_of(from);
            let read = Asked::of(&conversation(from, &body, false).unwrap());
            let written = translated(from, to, &body);
            let again = Asked::of(&conversation(to, &written, false).unwrap());
            assert!(again.effort.is_some(), "{from:?} to {to:?}: {written:?}");
            assert_eq!(again.effort, read.effort, "{from:?} to {to:?}: {written:?}");
        }
    }
}

#[test]
fn a_stream_is_asked_for_where_the_client_asks_for_one() {
    let asked = Request {
        chat: json!({"stream": true}),
        messages: json!({"stream": true}),
        gemini: json!({}),
        responses: json!({"stream": true}),
    };
    for (from, to) in pairs() {
        let (written, _) = request(from, to, &asked.in_words_of(from), true, &TARGET, false).unwrap();
        let body: Value = serde_json::from_slice(&written).unwrap();
        // Gemini's stands in the path.
        assert_eq!(body["stream"] == true, to != Protocol::Gemini, "{from:?} to {to:?}");
        assert_eq!(body["stream_options"]["include_usage"] == true, to == Protocol::Chat);
    }
}

#[test]
fn the_targets_model_and_cap_are_written() {
    let asked = Request {
        chat: json!({"max_tokens": 5}),
        messages: json!({"max_tokens": 5}),
        gemini: json!({"generationConfig": {"maxOutputTokens": 5}}),
        responses: json!({"max_output_tokens": 5}),
    };
    let capped = Target { cap: Some(3), ..TARGET };
    for (from, to) in pairs() {
        let (written, _) = request(from, to, &asked.in_words_of(from), false, &capped, false).unwrap();
        let body: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(conversation(to, &written, false).unwrap().max_output, Some(3), "{from:?} to {to:?}");
        assert_eq!(body["model"] == "upstream", to != Protocol::Gemini, "{from:?} to {to:?}");
    }
}

/// A member that only this protocol has, and what it is called.
fn only_here(protocol: Protocol) -> (Value, &'static str) {
    match protocol {
        Protocol::Chat => (json!({"logit_bias": {"5": 1}}), "logit_bias"),
        Protocol::Messages => (json!({"mcp_servers": [{"type": "url"}]}), "mcp_servers"),
        Protocol::Gemini => (json!({"cachedContent": "cachedContents/x"}), "cachedContent"),
        Protocol::Responses => (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
    }
}

#[test]
fn what_has_no_equal_is_refused_by_name_or_dropped_and_named() {
    for (from, to) in pairs() {
        let (member, name) = only_here(from);
        let asked = Request {
            chat: member.clone(),
            messages: member.clone(),
            gemini: member.clone(),
            responses: member,
        };
        let body = asked.in_words_of(from);
        match request(from, to, &body, false, &TARGET, false) {
            Err(TranslateFault::Untranslatable(fault)) => {
                assert_eq!((fault.member.as_str(), fault.to), (name, to.name()), "{from:?} to {to:?}");
            }
            other => panic!("{from:?} to {to:?}: {other:?}"),
        }
        let (written, dropped) = request(from, to, &body, false, &TARGET, true).unwrap();
        assert_eq!(dropped, [name], "{from:?} to {to:?}");
        assert!(!String::from_utf8(written.to_vec()).unwrap().contains(name));
    }
}

#[test]
fn a_body_that_is_no_request_is_the_callers_fault() {
    for (from, to) in pairs() {
        for body in ["", "[]", "{", "{}"] {
            let body = Bytes::from_static(body.as_bytes());
            let fault = request(from, to, &body, false, &TARGET, true);
            assert!(matches!(fault, Err(TranslateFault::Request(_))), "{from:?} to {to:?}: {fault:?}");
        }
    }
}

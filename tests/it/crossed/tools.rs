//! Calls of tools, over every provider.

use gateway_testkit::Reply;
use serde_json::{Value, json};

use super::pairs;
use crate::surfaces::{Api, CLAUDE, GEMINI, GPT, PLAIN, Site, Told, merged, question, spoken, tools};

/// Arguments that a number type, an eager reader or a lazy one would change.
const CALLS: [(&str, &str); 3] = [
    (
        "look_up",
        "{\"id\":9007199254740993123,\"x\":1.0,\"y\":1e2,\"z\":1234567890123456789012345678901234567890}",
    ),
    ("nothing", "{}"),
    ("say", "{\"text\":\"a \\\"long\\\" argument \u{1f600} of its own\"}"),
];

fn calls_word(api: Api) -> &'static str {
    match api {
        Api::Chat => "tool_calls",
        Api::Messages => "tool_use",
        Api::Gemini => "STOP",
        Api::Responses => "completed",
    }
}

#[tokio::test]
async fn parallel_calls_keep_their_arguments_apart_and_every_digit() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        for reply in [Reply::tool_calls(CALLS), Reply::tool_calls(CALLS).interleaved_tools()] {
            let case = format!("{api:?} over {model}, stream {stream}");
            let ask = question(api, model, stream, tools(api, &["look_up", "nothing", "say"]));
            let (answer, seen) = site.ask(reply, &ask).await;
            let told = Told::of(api, stream, &answer);
            assert_eq!(told.called(), CALLS, "{case}");
            assert_eq!(told.finish.as_deref(), Some(calls_word(api)), "{case}");
            let ids: std::collections::HashSet<_> = told.calls.iter().map(|call| &call.id).collect();
            assert_eq!(ids.len(), 3, "{case}: ids are unique");
            assert!(told.text.is_empty(), "{case}");
            assert_eq!(told.tokens.unwrap().billed(), seen.billed(), "{case}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_is_said_before_a_call_is_kept_beside_it() {
    let site = Site::start().await;
    let text_and_call = |api: Api| match api {
        Api::Chat => json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{
            "index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "refusal": null,
            "content": "I look.", "tool_calls": [{"id": "call_1", "type": "function", "function":
            {"name": "look_up", "arguments": "{}"}}]}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}}),
        Api::Messages => json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}],
            "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4}}),
        Api::Gemini => json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "I look."},
            {"functionCall": {"name": "look_up", "args": {}}}]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
            "modelVersion": "m", "responseId": "r"}),
        Api::Responses => unreachable!("its own are in the same-protocol tests"),
    };
    for (api, model) in Api::ALL.into_iter().flat_map(|api| [PLAIN, CLAUDE, GEMINI].map(|model| (api, model)))
    {
        let ask = question(api, model, false, tools(api, &["look_up"]));
        let (answer, _) = site.ask(Reply::json(text_and_call(spoken(api, model))).tokens(3, 4), &ask).await;
        let told = Told::of(api, false, &answer);
        assert_eq!(
            (&*told.text, told.called()),
            ("I look.", vec![("look_up", "{}")]),
            "{api:?} over {model}"
        );
        assert_eq!(told.finish.as_deref(), Some(calls_word(api)));
        assert!(!told.calls[0].id.is_empty() || api == Api::Gemini);
    }
    site.ends_in_agreement().await;
}

/// The next turn of a client that has been told of calls: it sends them back with their results.
fn turn(api: Api, told: &Told, result: &str) -> Value {
    match api {
        Api::Chat => {
            let calls: Vec<Value> = told
                .calls
                .iter()
                .map(|call| {
                    let mut shown = json!({"id": call.id, "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments}});
                    if let Some(signature) = &call.signature {
                        shown["extra_content"] = json!({"google": {"thought_signature": signature}});
                    }
                    shown
                })
                .collect();
            let mut messages = vec![
                json!({"role": "user", "content": "hi"}),
                json!({"role": "assistant", "content": null, "tool_calls": calls}),
            ];
            messages.extend(
                told.calls
                    .iter()
                    .map(|call| json!({"role": "tool", "tool_call_id": call.id, "content": result})),
            );
            json!({"messages": messages})
        }
        Api::Messages => {
            let uses: Vec<Value> = told
                .calls
                .iter()
                .map(|call| {
                    let input: Value = serde_json::from_str(&call.arguments).unwrap();
                    let mut block =
                        json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input});
                    if let Some(signature) = &call.signature {
                        block["extra_content"] = json!({"google": {"thought_signature": signature}});
                    }
                    block
                })
                .collect();
            let results: Vec<Value> = told
                .calls
                .iter()
                .map(|call| json!({"type": "tool_result", "tool_use_id": call.id, "content": result}))
                .collect();
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": uses},
                {"role": "user", "content": results}]})
        }
        Api::Gemini => {
            let calls: Vec<Value> = told
                .calls
                .iter()
                .map(|call| {
                    let args: Value = serde_json::from_str(&call.arguments).unwrap();
                    let mut part = json!({"functionCall": {"name": call.name, "args": args, "id": call.id}});
                    if let Some(signature) = &call.signature {
                        part["thoughtSignature"] = signature.as_str().into();
                    }
                    part
                })
                .collect();
            let results: Vec<Value> = told
                .calls
                .iter()
                .map(|call| {
                    json!({"functionResponse": {"name": call.name, "id": call.id, "response": {"result": result}}})
                })
                .collect();
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": calls},
                {"role": "user", "parts": results}]})
        }
        Api::Responses => {
            let mut input = vec![json!({"role": "user", "content": "hi"})];
            for call in &told.calls {
                input.push(json!({"type": "function_call", "call_id": call.id, "name": call.name,
                    "arguments": call.arguments}));
            }
            for call in &told.calls {
                input.push(json!({"type": "function_call_output", "call_id": call.id, "output": result}));
            }
            json!({"input": input})
        }
    }
}

#[tokio::test]
async fn a_call_comes_back_with_its_result_and_the_upstream_takes_it() {
    let site = Site::start().await;
    let calls = [("look_up", "{\"text\":\"Paris\"}"), ("nothing", "{}")];
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let offered = tools(api, &["look_up", "nothing"]);
        let (answer, _) =
            site.ask(Reply::tool_calls(calls), &question(api, model, stream, offered.clone())).await;
        let told = Told::of(api, stream, &answer);
        let next = merged(&[offered, turn(api, &told, "the result is 42")]);
        // Whatever the vendor refuses is refused, missing or changed signatures included, unless the client's
        // protocol has no place for one: then the documented word that skips the check must be there.
        let (answer, seen) = site
            .ask(Reply::text("I see").checked().demanding_signatures(), &question(api, model, stream, next))
            .await;
        let told = Told::of(api, stream, &answer);
        assert_eq!(told.text, "I see", "{case}");
        let sent = String::from_utf8_lossy(seen.body()).into_owned();
        assert_eq!(sent.matches("the result is 42").count(), 2, "{case}: {sent}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_choice_of_tools_is_the_same_choice() {
    let site = Site::start().await;
    let choice = |api: Api, choice: &str| match (api, choice) {
        (Api::Chat, "named") => json!({"tool_choice": {"type": "function", "function": {"name": "two"}}}),
        (Api::Chat | Api::Responses, "any") => json!({"tool_choice": "required"}),
        (Api::Chat | Api::Responses, other) if other != "named" => json!({"tool_choice": other}),
        (Api::Messages, "named") => json!({"tool_choice": {"type": "tool", "name": "two"}}),
        (Api::Messages, other) => json!({"tool_choice": {"type": other}}),
        (Api::Gemini, "named") => json!({"toolConfig": {"functionCallingConfig":
            {"mode": "ANY", "allowedFunctionNames": ["two"]}}}),
        (Api::Gemini, other) => {
            json!({"toolConfig": {"functionCallingConfig": {"mode": other.to_uppercase()}}})
        }
        (_, _) => json!({"tool_choice": {"type": "function", "name": "two"}}),
    };
    for (api, model, stream) in pairs() {
        for (chosen, called) in
            [("auto", vec![]), ("none", vec![]), ("any", vec!["one"]), ("named", vec!["two"])]
        {
            let case = format!("{api:?} over {model}, stream {stream}, {chosen}");
            let ask = merged(&[tools(api, &["one", "two"]), choice(api, chosen)]);
            let (answer, _) = site.ask(Reply::real(), &question(api, model, stream, ask)).await;
            let told = Told::of(api, stream, &answer);
            let names: Vec<&str> = told.calls.iter().map(|call| &*call.name).collect();
            assert_eq!(names, called, "{case}: {}", answer.text());
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_result_with_a_picture_reaches_the_model() {
    let site = Site::start().await;
    let png = "iVBORw0KGgo=";
    let content = json!([{"type": "text", "text": "a cat"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}}]);
    let members = json!({"tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": content}]}]});
    for model in [GPT, PLAIN, CLAUDE, GEMINI] {
        let ask = question(Api::Messages, model, false, members.clone());
        let (answer, seen) = site.ask(Reply::text("a cat").checked(), &ask).await;
        assert_eq!(Told::of(Api::Messages, false, &answer).text, "a cat", "{model}");
        let sent = String::from_utf8_lossy(seen.body()).into_owned();
        assert!(sent.contains(png) && sent.contains("a cat"), "{model}: {sent}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn one_call_at_a_time_is_asked_for_or_refused() {
    let site = Site::start().await;
    let ask = |model| {
        question(
            Api::Chat,
            model,
            false,
            merged(&[tools(Api::Chat, &["one"]), json!({"parallel_tool_calls": false})]),
        )
    };
    let (answer, seen) = site.ask(Reply::text("ok").checked(), &ask(CLAUDE)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(seen.json()["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    let answer = site.gateway.ask(&ask(GEMINI)).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &"parallel_tool_calls".into()),
        "{}",
        answer.text()
    );
    site.ends_in_agreement().await;
}

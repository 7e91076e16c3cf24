//! Anthropic, Gemini and OpenAI's other surfaces: what they do when nothing is scripted, and what
//! they refuse.

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, RawClient, Reply};
use serde_json::{Value, json};

async fn answer_of(upstream: &FakeUpstream, request: &Request) -> Answer {
    RawClient::connect(upstream.base_url()).await.ask(request).await
}

async fn real(request: &Request) -> Answer {
    answer_of(&FakeUpstream::start().await, request).await
}

fn openai(path: &str, body: &Value) -> Request {
    Request::post(path).header("authorization", "Bearer k").json(body)
}

fn messages(body: &Value) -> Request {
    let request = Request::post("/v1/messages").header("x-api-key", "k");
    request.header("anthropic-version", "2023-06-01").json(body)
}

fn gemini(body: &Value) -> Request {
    let path = "/v1beta/models/gemini-3-flash:generateContent";
    Request::post(path).header("x-goog-api-key", "k").json(body)
}

fn of_user(content: impl Into<Value>) -> Value {
    json!({"role": "user", "content": content.into()})
}

#[tokio::test]
async fn anthropic_refuses_what_it_refuses() {
    let hi = json!([of_user("Hi")]);
    let ask = |messages: Value| json!({"model": "claude-opus-4-6", "max_tokens": 10, "messages": messages});
    let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": ""});
    let cases = [
        (json!({"model": "m", "messages": hi}), "max_tokens: Field required"),
        (ask(json!([])), "at least one message"),
        (ask(json!([of_user("")])), "non-empty content"),
        (ask(json!([of_user(json!([{"type": "text", "text": ""}]))])), "must be non-empty"),
        (ask(json!([of_user(json!([{"type": "text", "text": " "}]))])), "non-whitespace"),
        (ask(json!([of_user("a"), {"role": "assistant", "content": [call]}])), "valid dictionary"),
        (ask(json!([{"role": "system", "content": "a"}, of_user("a")])), "role 'system'"),
        (
            ask(json!([of_user(json!([{"type": "tool_result", "tool_use_id": "t9", "content": "a"}]))])),
            "unexpected `tool_use_id`",
        ),
        (
            json!({"model": "m", "max_tokens": 1024, "messages": hi,
                "thinking": {"type": "enabled", "budget_tokens": 1024}}),
            "greater than `thinking.budget_tokens`",
        ),
    ];
    for (body, message) in cases {
        let answer = real(&messages(&body)).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = answer.json();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(error["error"]["message"].as_str().unwrap().contains(message), "{error}");
    }
    let fine = ask(hi);
    let bare = Request::post("/v1/messages").json(&fine);
    assert_eq!(real(&bare).await.status, 401);
    assert_eq!(real(&bare.clone().header("x-api-key", "k")).await.status, 400);
    let newest = bare.header("x-api-key", "k").header("anthropic-version", "2026-10-21");
    assert_eq!(real(&newest).await.status, 200);
    let mut warm = fine;
    warm["temperature"] = 0.5.into();
    assert_eq!(real(&messages(&warm)).await.status, 200);
    assert_eq!(real(&newest.body(warm.to_string())).await.status, 400);
}

#[tokio::test]
async fn a_replayed_thought_must_keep_its_signature_where_that_is_demanded() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::real().demanding_signatures());
    let ask = |history: Value| {
        messages(&json!({"model": "m", "max_tokens": 3000, "messages": history,
            "thinking": {"type": "enabled", "budget_tokens": 2000}}))
    };
    let first = answer_of(&upstream, &ask(json!([of_user("Hi")]))).await.json();
    assert_eq!(first["content"][0]["type"], "thinking");
    let replay = |content: &Value| {
        ask(json!([of_user("Hi"), {"role": "assistant", "content": content}, of_user("Go on")]))
    };
    assert_eq!(answer_of(&upstream, &replay(&first["content"])).await.status, 200);
    let mut changed = first["content"].clone();
    changed[0]["thinking"] = "Something else".into();
    assert_eq!(answer_of(&upstream, &replay(&changed)).await.status, 400);
}

#[tokio::test]
async fn unknown_betas_are_refused_where_some_are_known() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::text("fine").knowing_betas(["files-api-2025-04-14"]));
    let ask = messages(&json!({"model": "m", "max_tokens": 10, "messages": [of_user("Hi")]}));
    assert_eq!(answer_of(&upstream, &ask).await.status, 200);
    let known = ask.clone().header("anthropic-beta", "files-api-2025-04-14");
    assert_eq!(answer_of(&upstream, &known).await.status, 200);
    let both = ask.header("anthropic-beta", "files-api-2025-04-14, other-1");
    let refused = answer_of(&upstream, &both).await;
    assert!(refused.status == 400 && refused.text().contains("`other-1`"), "{}", refused.text());
}

#[tokio::test]
async fn geminis_first_call_of_a_turn_must_be_signed_where_that_is_demanded() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::real().demanding_signatures());
    let tools = json!([{"functionDeclarations": [{"name": "find"}, {"name": "now"}]}]);
    let user = |text: &str| json!({"role": "user", "parts": [{"text": text}]});
    let ask = |contents: Value| gemini(&json!({"contents": contents, "tools": tools}));
    let first = answer_of(&upstream, &ask(json!([user("call all tools")]))).await.json();
    let said = &first["candidates"][0]["content"];
    assert!(said["parts"][0]["thoughtSignature"].is_string(), "{first}");
    assert!(said["parts"][1]["thoughtSignature"].is_null(), "{first}");

    let results =
        json!({"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"a": "b"}}}]});
    let turn2 = |said: &Value| ask(json!([user("call all tools"), said, results]));
    let second = answer_of(&upstream, &turn2(said)).await;
    assert_eq!(second.json()["candidates"][0]["content"]["parts"][0]["text"], "The tool said: b");
    let mut without = said.clone();
    for (value, status) in
        [(Value::Null, 400), ("other".into(), 400), ("skip_thought_signature_validator".into(), 200)]
    {
        without["parts"][0]["thoughtSignature"] = value;
        assert_eq!(answer_of(&upstream, &turn2(&without)).await.status, status);
    }
}

#[tokio::test]
async fn gemini_refuses_what_it_refuses_and_blocks_what_is_blocked() {
    let hi = json!([{"role": "user", "parts": [{"text": "Hi"}]}]);
    let cases = [
        (json!({}), "contents is not specified"),
        (json!({"contents": hi, "max_tokens": 3}), "Unknown name \"max_tokens\""),
        (json!({"contents": hi, "generationConfig": {"max_tokens": 3}}), "generation_config"),
        (json!({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}), "valid role"),
        (json!({"contents": [{"role": "user", "parts": []}]}), "must not be empty"),
        (json!({"contents": [{"role": "user", "parts": [{}]}]}), "required oneof field"),
    ];
    for (body, message) in cases {
        let answer = real(&gemini(&body)).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = answer.json();
        assert_eq!(error["error"]["status"], "INVALID_ARGUMENT");
        assert!(error["error"]["message"].as_str().unwrap().contains(message), "{error}");
    }
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::blocked());
    let blocked = answer_of(&upstream, &gemini(&json!({"contents": hi}))).await.json();
    assert_eq!(blocked["promptFeedback"]["blockReason"], "SAFETY");
    assert!(blocked["candidates"].is_null());
    upstream.script(Reply::refusal("No."));
    let unsafe_answer = answer_of(&upstream, &gemini(&json!({"contents": hi}))).await.json();
    assert_eq!(unsafe_answer["candidates"][0]["finishReason"], "SAFETY");
}

#[tokio::test]
async fn a_response_is_kept_until_it_is_deleted() {
    let upstream = FakeUpstream::start().await;
    let send = |method: &str, path: &str| Request::new(method, path).header("authorization", "Bearer k");
    let body = json!({"model": "m", "input": "Hi", "background": true});
    let made = answer_of(&upstream, &openai("/v1/responses", &body)).await.json();
    let path = format!("/v1/responses/{}", made["id"].as_str().unwrap());
    assert_eq!(made["status"], "queued");
    let kept = answer_of(&upstream, &send("GET", &path)).await.json();
    assert_eq!((&kept["id"], &kept["status"]), (&made["id"], &json!("completed")));
    let items = answer_of(&upstream, &send("GET", &format!("{path}/input_items"))).await.json();
    assert_eq!(items["data"][0]["content"][0]["text"], "Hi");
    let cancelled = answer_of(&upstream, &send("POST", &format!("{path}/cancel"))).await.json();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(answer_of(&upstream, &send("DELETE", &path)).await.json()["deleted"], true);
    assert_eq!(answer_of(&upstream, &send("GET", &path)).await.status, 404);
}

#[tokio::test]
async fn a_response_streams_its_items_one_after_the_other_or_in_turn() {
    let upstream = FakeUpstream::start().await;
    let calls = || Reply::tool_calls([("a", r#"{"x":"one"}"#), ("b", r#"{"y":"two"}"#)]);
    for (reply, in_turn) in [(calls(), false), (calls().interleaved_tools(), true)] {
        upstream.script(reply);
        let body = json!({"model": "m", "input": "Hi", "stream": true});
        let text = answer_of(&upstream, &openai("/v1/responses", &body)).await.text();
        let at = |what: &str| text.find(what).unwrap();
        let first_done = at("response.function_call_arguments.done");
        let second_begins = text.rfind("event: response.output_item.added").unwrap();
        assert_eq!(second_begins < first_done, in_turn);
        let events: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
        let numbers: Vec<u64> =
            events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
    }
}

#[tokio::test]
async fn embeddings_are_the_same_as_floats_and_as_base64() {
    let ask = async |format: &str| {
        let body = json!({"model": "e", "input": ["a", "b"], "dimensions": 8, "encoding_format": format});
        real(&openai("/v1/embeddings", &body)).await.json()
    };
    let floats = ask("float").await;
    let vector: Vec<f32> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 8);
    assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);
    let encoded = ask("base64").await;
    use base64::Engine as _;
    let text = encoded["data"][0]["embedding"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let decoded: Vec<f32> =
        bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(decoded, vector);
}

#[tokio::test]
async fn every_other_surface_of_openai_answers_in_its_shape() {
    let completion = real(&openai("/v1/completions", &json!({"model": "m", "prompt": "Hi"}))).await.json();
    assert_eq!(completion["choices"][0]["text"], "You said: Hi");
    let moderation = real(&openai("/v1/moderations", &json!({"input": "violence"}))).await.json();
    assert_eq!(moderation["results"][0]["flagged"], true);
    let picture = real(&openai("/v1/images/generations", &json!({"prompt": "a dot", "n": 2}))).await.json();
    assert_eq!(picture["data"].as_array().map(Vec::len), Some(2));
    let speech = json!({"model": "tts-1", "voice": "alloy", "input": "Hi", "response_format": "wav"});
    let sound = real(&openai("/v1/audio/speech", &speech)).await;
    assert!(sound.body.starts_with(b"RIFF") && sound.header("content-type") == Some("audio/wav"));
    let form = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\ncontent-disposition: \
                form-data; name=\"file\"; filename=\"b.jsonl\"\r\n\r\n{}\r\n--b--\r\n";
    let upload = Request::post("/v1/files").header("authorization", "Bearer k").body(form);
    let upstream = FakeUpstream::start().await;
    let file = answer_of(&upstream, &upload).await.json();
    assert_eq!((&file["filename"], &file["bytes"]), (&json!("b.jsonl"), &json!(2)));
    let batch = json!({"input_file_id": file["id"], "endpoint": "/v1/responses", "completion_window": "24h"});
    assert_eq!(answer_of(&upstream, &openai("/v1/batches", &batch)).await.json()["status"], "completed");
}

//! The fake as OpenAI's API: what it does when nothing is scripted.

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::reply::UsageStyle;
use gateway_testkit::{FakeUpstream, RawClient, Reply};
use serde_json::{Value, json};

use crate::{chat, question, streamed, whole};

async fn ask(request: &Request) -> Answer {
    let upstream = FakeUpstream::start().await;
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.ask(request).await
}

fn weather_tool() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
        "required": ["city", "days"],
    }}}])
}

#[tokio::test]
async fn a_whole_answer_has_openais_members_and_headers() {
    let answer = ask(&question(false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.headers.all("set-cookie").len(), 2);
    assert!(answer.header("x-ratelimit-remaining-requests").is_some());

    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["message"]["content"], "You said: Hello there");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    // 3 for the prompt, 3 for the message, 11 bytes at 4 a token.
    assert_eq!(body["usage"]["prompt_tokens"], 9);
    assert_eq!(body["usage"]["completion_tokens"], 4);
    assert_eq!(body["usage"]["total_tokens"], 13);
}

#[tokio::test]
async fn a_streams_usage_comes_where_it_is_asked_for_and_only_there() {
    let stream = ask(&question(true)).await.chat_stream();
    assert_eq!(stream.text, "You said: Hello there");
    assert_eq!(stream.finish_reasons, ["stop"]);
    assert!(stream.done && stream.usage.is_empty() && !stream.torn);

    let asking = chat(&json!({
        "model": "gpt-4o-mini", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Hello there"}],
    }));
    let stream = ask(&asking).await.chat_stream();
    assert_eq!(stream.usage.len(), 1);
    assert_eq!(stream.usage[0]["total_tokens"], 13);
    let last: Value = serde_json::from_str(&stream.messages[stream.messages.len() - 2]).unwrap();
    assert_eq!(last["choices"], json!([]));
}

#[tokio::test]
async fn usage_can_stand_in_all_the_wrong_places() {
    let reply = || Reply::stream(["a", "b"]).tokens(7, 2);
    let usages = async |style| streamed(reply().usage(style)).await.chat_stream().usage;
    assert_eq!(usages(UsageStyle::Never).await.len(), 0);
    assert_eq!(usages(UsageStyle::Always).await.len(), 1);
    assert_eq!(usages(UsageStyle::OnEveryChunk).await.len(), 4);
    for style in [UsageStyle::BesideChoices, UsageStyle::WithoutChoices] {
        assert_eq!(usages(style).await[0]["total_tokens"], 9, "{style:?}");
    }
    let groq = streamed(reply().usage(UsageStyle::Groq)).await.text();
    assert!(groq.contains("\"x_groq\":{\"id\":\"req_"), "{groq}");
}

#[tokio::test]
async fn every_choice_is_streamed() {
    let body = json!({"model": "m", "n": 3, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let stream = ask(&chat(&body)).await.chat_stream();
    assert_eq!(stream.text, "You said: Hi");
    assert_eq!(stream.finish_reasons.len(), 3);
}

#[tokio::test]
async fn a_required_tool_is_called_with_arguments_that_its_schema_allows() {
    let body = json!({"model": "m", "tools": weather_tool(), "tool_choice": "required",
        "messages": [{"role": "user", "content": "Hi"}]});
    let message = &ask(&chat(&body)).await.json()["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    let call = &message["tool_calls"][0]["function"];
    assert_eq!(call["name"], "get_weather");
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "text", "days": 3}));

    let body = json!({"model": "m", "tools": weather_tool(), "stream": true,
        "messages": [{"role": "user", "content": "Please call the tool"}]});
    let stream = ask(&chat(&body)).await.chat_stream();
    assert_eq!(stream.finish_reasons, ["tool_calls"]);
    let (name, arguments) = &stream.tool_calls[0];
    assert_eq!(name, "get_weather");
    assert_eq!(arguments, r#"{"city":"text","days":3}"#);
}

#[tokio::test]
async fn structured_output_follows_its_schema() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {
        "type": "object",
        "properties": {
            "kind": {"enum": ["b", "c"]},
            "note": {"type": ["string", "null"]},
            "tree": {"$ref": "#/$defs/tree"},
        },
        "$defs": {"tree": {"type": "array", "items": {"type": "boolean"}, "minItems": 2}},
    }}}});
    let answer = ask(&chat(&body)).await.json();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value, json!({"kind": "b", "note": "text", "tree": [true, true]}));
}

#[tokio::test]
async fn images_are_taken_and_caps_obeyed() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let body = json!({"model": "m", "max_completion_tokens": 2, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]});
    let answer = ask(&chat(&body)).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: ");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["prompt_tokens"], 3 + 3 + 3 + 85);
}

#[tokio::test]
async fn models_are_listed_and_found_by_id() {
    let get = |path: &str| Request::get(path).header("authorization", "Bearer sk-test");
    let list = ask(&get("/v1/models")).await.json();
    assert_eq!(list["object"], "list");
    let groq = ask(&get("/openai/v1/models/openai%2Fgpt-oss-20b")).await;
    assert_eq!(groq.json()["id"], "openai/gpt-oss-20b");
    assert_eq!(ask(&get("/v1/models/nope")).await.status, 404);
}

#[tokio::test]
async fn what_openai_refuses_is_refused_in_its_shape() {
    let hi = json!([{"role": "user", "content": "Hi"}]);
    let post = |body: &str| chat(&Value::Null).body(body.to_owned());
    let keyless = Request::post("/v1/chat/completions").json(&json!({}));
    let cases = [
        (keyless.clone(), 401, Value::Null),
        (keyless.header("authorization", "Bearer invalid"), 401, json!("invalid_api_key")),
        (post("{"), 400, Value::Null),
        (chat(&json!({"messages": hi})), 400, Value::Null),
        (chat(&json!({"model": "m"})), 400, json!("missing_required_parameter")),
        (chat(&json!({"model": "does-not-exist", "messages": hi})), 404, json!("model_not_found")),
        (
            chat(&json!({"model": "gpt-5.4-nano", "max_tokens": 5, "messages": hi})),
            400,
            json!("unsupported_parameter"),
        ),
        (
            Request::get("/v1/chat/completions").header("authorization", "Bearer k"),
            405,
            json!("method_not_supported"),
        ),
        (Request::post("/v1/nothing").header("authorization", "Bearer k"), 404, Value::Null),
    ];
    for (request, status, code) in cases {
        let answer = ask(&request).await;
        let body = answer.json();
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(body["error"]["code"], code, "{body}");
        assert!(body["error"]["message"].is_string() && body["error"]["type"].is_string());
    }
}

#[tokio::test]
async fn a_scripted_text_takes_the_form_that_was_asked_for() {
    let reply = || Reply::stream(["Hel", "lo"]).reasoning(["Hm."]);
    let stream = streamed(reply()).await.chat_stream();
    assert_eq!((stream.text.as_str(), stream.reasoning.as_str()), ("Hello", "Hm."));
    let message = &whole(reply()).await.json()["choices"][0]["message"];
    assert_eq!(message["content"], "Hello");
    assert_eq!(message["reasoning_content"], "Hm.");
    assert!(streamed(reply().not_streamed()).await.json()["choices"].is_array());
    assert!(whole(reply().streamed()).await.chat_stream().done);
}

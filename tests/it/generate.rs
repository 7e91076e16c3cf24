//! The seed's API: `POST /api/v1/generate` and `GET /api/v1/clients/reload`, in their exact shapes.

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::reply::UsageStyle;
use gateway_testkit::{FakeUpstream, Reply, TestGateway};
use serde_json::{Value, json};

fn asking(client: &str, body: &Value) -> Request {
    Request::post("/api/v1/generate").header("x-api-key", &format!("key-{client}")).json(body)
}

async fn generate(gateway: &TestGateway, body: Value) -> Answer {
    gateway.ask(&asking("ada", &body)).await
}

async fn with_ada(upstream: &FakeUpstream, members: Value) -> TestGateway {
    TestGateway::with(upstream).once().client("ada", members).start().await
}

#[tokio::test]
async fn the_answer_has_exactly_the_seeds_members() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    upstream.script(Reply::text("Hello there! How can I assist you today?").tokens(3, 9));
    let answer = generate(&gateway, json!({"prompt": "Hello, world!"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = concat!(
        r#"{"text":"Hello there! How can I assist you today?","model":"gpt-test","#,
        r#""usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("x-gateway-provider"), Some("openai"));
    assert_eq!(answer.header("x-gateway-model"), Some("gpt-test"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_upstream_is_asked_one_user_message_with_the_seeds_defaults() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({}))
        .client("low", json!({"max_tokens_limit": 100}))
        .client("high", json!({"max_tokens_limit": 2000}))
        .start()
        .await;
    let prompt = "Hello,\n\"world\"! \u{1F600}";
    for (client, members, temperature, max_tokens) in [
        ("ada", json!({}), 0.7, 150),
        ("low", json!({}), 0.7, 100),
        ("high", json!({}), 0.7, 150),
        ("ada", json!({"temperature": 0, "max_tokens": 1}), 0.0, 1),
        ("ada", json!({"temperature": 2, "max_tokens": 4000}), 2.0, 4000),
        ("high", json!({"temperature": 1.25, "max_tokens": 2000}), 1.25, 2000),
        ("ada", json!({"temperature": null, "max_tokens": null, "provider": null, "model": null}), 0.7, 150),
        ("ada", json!({"temperature": "0.5", "max_tokens": "20"}), 0.5, 20),
    ] {
        let mut body = json!({"prompt": prompt});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = gateway.ask(&asking(client, &body)).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let seen = upstream.next_request().await;
        assert_eq!((seen.method(), seen.path()), ("POST", "/v1/chat/completions"));
        let expected = json!({
            "model": "gpt-test",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": temperature,
            "max_completion_tokens": max_tokens,
        });
        assert_eq!(seen.json(), expected);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_model_that_takes_no_temperature_is_sent_none() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    let answer =
        generate(&gateway, json!({"prompt": "hi", "model": "gpt-5.4-nano", "temperature": 1.5})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = upstream.next_request().await.json();
    assert_eq!(seen.get("temperature"), None);
    assert_eq!(seen["model"], "gpt-5.4-nano");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn unknown_members_are_ignored() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    let body =
        json!({"prompt": "hi", "stream": true, "n": 9, "top_p": "x", "messages": {}, "extra": [1, {}]});
    let answer = generate(&gateway, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = upstream.next_request().await.json();
    let members: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(members, ["model", "messages", "temperature", "max_completion_tokens"]);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_text_is_never_null() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    let with_message = |message: Value| {
        Reply::json(json!({
            "model": "gpt-test-2026", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        }))
    };
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    for (message, text) in [
        (json!({"role": "assistant", "content": null}), ""),
        (json!({"role": "assistant", "content": null, "tool_calls": call}), ""),
        (json!({"role": "assistant"}), ""),
        (json!({"role": "assistant", "content": "", "refusal": "I would rather not."}), ""),
        (
            json!({"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            "ab",
        ),
    ] {
        upstream.script(with_message(message.clone()));
        let answer = generate(&gateway, json!({"prompt": "hi"})).await;
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
        let expected = json!({"text": text, "model": "gpt-test-2026", "usage": usage});
        assert_eq!((answer.status, answer.json()), (200, expected), "{message}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn usage_that_the_upstream_does_not_report_is_counted() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({"rate_limit": {"tokens_per_day": 1_000_000}})).await;
    upstream.script(Reply::text("one two three").usage(UsageStyle::Never));
    let answer = generate(&gateway, json!({"prompt": "count for me"})).await.json();
    let count = |member: &str| answer["usage"][member].as_u64().unwrap();
    assert_eq!(answer["text"], "one two three");
    assert!(count("prompt_tokens") > 0 && count("completion_tokens") > 0, "{answer}");
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
    let limits = gateway.limits("ada").await;
    assert_eq!(limits.tokens_per_day.unwrap().used, count("total_tokens"), "what is said is what is charged");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn all_faults_of_a_body_are_listed_at_once_as_fastapi_lists_them() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    let body = json!({"prompt": "", "temperature": 2.5, "max_tokens": 0, "provider": 7, "model": ["x"]});
    let answer = generate(&gateway, body).await;
    let fault = |kind: &str, member: &str, message: &str, input: Value| json!({"type": kind, "loc": ["body", member], "msg": message, "input": input});
    let expected = json!({"detail": [
        fault("string_too_short", "prompt", "String should have at least 1 character", json!("")),
        fault("less_than_equal", "temperature", "Input should be less than or equal to 2", json!(2.5)),
        fault("greater_than", "max_tokens", "Input should be greater than 0", json!(0)),
        fault("string_type", "provider", "Input should be a valid string", json!(7)),
        fault("string_type", "model", "Input should be a valid string", json!(["x"])),
    ]});
    assert_eq!((answer.status, answer.json()), (422, expected));
    let answer = generate(&gateway, json!({"temperature": -0.1, "max_tokens": 1.5})).await;
    let whole = json!({"temperature": -0.1, "max_tokens": 1.5});
    let expected = json!({"detail": [
        fault("missing", "prompt", "Field required", whole),
        fault("greater_than_equal", "temperature", "Input should be greater than or equal to 0", json!(-0.1)),
        fault("int_from_float", "max_tokens", "Input should be a valid integer, got a number with a fractional part", json!(1.5)),
    ]});
    assert_eq!((answer.status, answer.json()), (422, expected));
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_a_422_too() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    for (body, kind) in [
        (&b""[..], "missing"),
        (b"   ", "json_invalid"),
        (b"{\"prompt\": \"hi\"", "json_invalid"),
        (b"{\"prompt\": NaN}", "json_invalid"),
        (b"{'prompt': 'hi'}", "json_invalid"),
        (b"{\"prompt\": \"\xff\"}", "json_invalid"),
        (b"{\"prompt\": \"hi\"} {}", "json_invalid"),
        (b"[]", "model_attributes_type"),
        (b"null", "model_attributes_type"),
        (b"\"prompt\"", "model_attributes_type"),
        (b"{\"prompt\": \"a\", \"prompt\": \"b\"}", "value_error"),
        (b"{\"prompt\": \"a\", \"model\": \"x\", \"model\": \"x\"}", "value_error"),
    ] {
        for content_type in [None, Some("application/json; charset=utf-8")] {
            let request = Request::post("/api/v1/generate").header("x-api-key", "key-ada");
            let request = content_type.into_iter().fold(request, |r, value| r.header("content-type", value));
            let answer = gateway.ask(&request.body(body)).await;
            let body = String::from_utf8_lossy(body);
            assert_eq!(answer.status, 422, "{body}: {}", answer.text());
            let detail = answer.json()["detail"].clone();
            assert_eq!(detail.as_array().unwrap().len(), 1, "{body}: {detail}");
            assert_eq!(detail[0]["type"], kind, "{body}: {detail}");
            let members: Vec<&String> = detail[0].as_object().unwrap().keys().collect();
            assert_eq!(members, ["type", "loc", "msg", "input"]);
            assert_eq!(detail[0]["loc"][0], "body");
        }
    }
    let text =
        Request::post("/api/v1/generate").header("x-api-key", "key-ada").header("content-type", "text/plain");
    let answer = gateway.ask(&text.body("{\"prompt\": \"hi\"}")).await;
    assert_eq!(answer.status, 415);
    assert!(answer.json()["detail"].is_string());
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_provider_that_does_not_exist_is_a_422_that_names_the_member() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    for body in [
        json!({"prompt": "hi", "provider": "nobody"}),
        json!({"prompt": "hi", "provider": "nobody", "model": "gpt-test"}),
    ] {
        let answer = generate(&gateway, body).await;
        let fault = json!({
            "type": "value_error", "loc": ["body", "provider"],
            "msg": "Value error, no such provider is configured", "input": "nobody"
        });
        assert_eq!((answer.status, answer.json()), (422, json!({"detail": [fault]})));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_request_without_a_model_that_no_default_fills_in_is_a_422() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .toml("[providers.bare]\nbase_url = \"http://127.0.0.1:9/v1\"\n")
        .client("ada", json!({"default_provider": null}))
        .start()
        .await;
    for (body, member) in
        [(json!({"prompt": "hi", "provider": "bare"}), "model"), (json!({"prompt": "hi"}), "provider")]
    {
        let answer = generate(&gateway, body).await;
        let fault =
            json!({"type": "missing", "loc": ["body", member], "msg": "Field required", "input": null});
        assert_eq!((answer.status, answer.json()), (422, json!({"detail": [fault]})));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn models_are_found_in_the_documented_order_and_sent_under_the_upstreams_name() {
    let upstream = FakeUpstream::start().await;
    let url = upstream.base_url();
    let toml = format!(
        "[models.fast]\ntargets = [\"groq/llama-fast\"]\n\
         [providers.groq]\nbase_url = \"{url}\"\napi_key_env = \"TEST_KEY\"\ndefault_model = \"llama-default\"\n\
         models = [\"llama*\", \"openai/gpt-oss-*\"]\n\
         [providers.bare]\nbase_url = \"{url}\"\napi_key_env = \"TEST_KEY\"\n"
    );
    let gateway = TestGateway::with(&upstream)
        .toml(&toml)
        .client("ada", json!({"default_provider": "groq", "default_model": "llama-mine"}))
        .client("plain", json!({"default_provider": null}))
        .env("DEFAULT_PROVIDER=bare")
        .env("DEFAULT_MODEL=bare/general")
        .start()
        .await;
    for (client, members, provider, model) in [
        // An alias, whatever provider the body names.
        ("ada", json!({"model": "fast"}), "groq", "llama-fast"),
        ("ada", json!({"model": "fast", "provider": "openai"}), "groq", "llama-fast"),
        // The body's provider takes the name whole.
        ("ada", json!({"model": "llama-x", "provider": "openai"}), "openai", "llama-x"),
        ("ada", json!({"model": "groq/llama-x", "provider": "openai"}), "openai", "groq/llama-x"),
        // The longest pattern, then the prefix.
        ("ada", json!({"model": "llama-x"}), "groq", "llama-x"),
        ("ada", json!({"model": "openai/gpt-oss-20b"}), "groq", "openai/gpt-oss-20b"),
        ("ada", json!({"model": "openai/other"}), "openai", "other"),
        ("ada", json!({"model": "bare/vendor/other"}), "bare", "vendor/other"),
        // The client's default provider, then the general one.
        ("ada", json!({"model": "vendor/other"}), "groq", "vendor/other"),
        ("plain", json!({"model": "vendor/other"}), "bare", "vendor/other"),
        // Without a model: the client's own at its default provider, the provider's, the general one.
        ("ada", json!({}), "groq", "llama-mine"),
        ("ada", json!({"provider": "groq"}), "groq", "llama-mine"),
        ("ada", json!({"provider": "openai"}), "openai", "gpt-test"),
        ("ada", json!({"provider": "bare"}), "bare", "general"),
        ("plain", json!({"provider": "groq"}), "groq", "llama-default"),
        ("plain", json!({}), "bare", "general"),
    ] {
        let mut body = json!({"prompt": "hi"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = gateway.ask(&asking(client, &body)).await;
        assert_eq!(answer.status, 200, "{client} {members}: {}", answer.text());
        let found = (answer.header("x-gateway-provider"), answer.header("x-gateway-model"));
        assert_eq!(found, (Some(provider), Some(model)), "{client} {members}");
        assert_eq!(upstream.next_request().await.model(), model);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_model_that_nobody_has_is_a_404_and_a_name_that_is_none_a_400() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({"default_provider": null})).await;
    let answer = generate(&gateway, json!({"prompt": "hi", "model": "nobody/x"})).await;
    assert_eq!(answer.status, 404);
    assert!(answer.json()["detail"].as_str().unwrap().contains("`nobody/x`"), "{}", answer.text());
    let long = "x".repeat(257);
    for bad in
        ["gpt-test\r\nx-evil: 1", "gpt test", "../gpt-test", "a/./b", "gpt-test?x", "gpt-tést", "", &long]
    {
        for provider in [Value::Null, json!("openai")] {
            let answer =
                generate(&gateway, json!({"prompt": "hi", "model": bad, "provider": provider})).await;
            assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text());
            assert!(answer.json()["detail"].is_string());
            assert_eq!(answer.header("x-evil"), None);
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_provider_without_a_key_is_a_503_that_says_which_variable_to_set() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .toml(
            "[providers.keyless]\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"KEYLESS_API_KEY\"\n",
        )
        .client("ada", json!({}))
        .start()
        .await;
    let answer = generate(&gateway, json!({"prompt": "hi", "provider": "keyless", "model": "x"})).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(answer.header("retry-after").is_some());
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("keyless") && detail.contains("KEYLESS_API_KEY"), "{detail}");
    let limits = gateway.limits("ada").await;
    assert_eq!(limits.in_flight, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_echo_provider_answers_the_prompt_within_its_cap() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1").client("ada", json!({})).start().await;
    let answer =
        generate(&gateway, json!({"prompt": "one two three four", "provider": "echo", "max_tokens": 2}))
            .await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!((&body["text"], &body["model"]), (&json!("one two"), &json!("echo")));
    assert_eq!(body["usage"]["completion_tokens"], 2);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn errors_of_the_upstream_have_the_seeds_shape() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_ada(&upstream, json!({})).await;
    for (reply, status) in [
        (Reply::error(400), 400),
        (Reply::error(401), 502),
        (Reply::error(429), 429),
        (Reply::error(500), 502),
        (Reply::html(), 502),
        (Reply::error_in_200(), 502),
    ] {
        upstream.script(reply);
        let answer = generate(&gateway, json!({"prompt": "hi"})).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let members: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["detail"]);
        assert!(answer.json()["detail"].is_string());
        assert!(!answer.text().contains("sk-test-upstream-key"));
    }
    gateway.ends_quiet().await;
}

async fn reload(gateway: &TestGateway) -> Answer {
    gateway.ask(&Request::get("/api/v1/clients/reload").header("x-api-key", "key-ada")).await
}

#[tokio::test]
async fn a_reload_answers_exactly_as_the_seed_does_and_uses_up_no_limit() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .client(
            "ada",
            json!({"rate_limit": {"requests_per_minute": 0, "tokens_per_day": 0, "concurrent_requests": 0}}),
        )
        .client("grace", json!({}))
        .client("off", json!({"disabled": true}))
        .start()
        .await;
    let answer = reload(&gateway).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), r#"{"message":"Successfully reloaded 3 client configurations","count":3}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    gateway.write_client("new", &json!({}));
    let answer = reload(&gateway).await;
    assert_eq!(answer.text(), r#"{"message":"Successfully reloaded 4 client configurations","count":4}"#);
    let answer = gateway.ask(&Request::get("/v1/models").header("x-api-key", "key-new")).await;
    assert_eq!(answer.status, 200, "the new client is known");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_reload_is_a_get_and_nothing_else() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1").client("ada", json!({})).start().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for key in ["key-ada", "wrong"] {
            let request = Request::new(method, "/api/v1/clients/reload").header("x-api-key", key);
            let answer = gateway.ask(&request).await;
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
            assert!(answer.json()["detail"].is_string());
        }
    }
    let head = Request::new("HEAD", "/api/v1/clients/reload").header("x-api-key", "key-ada");
    let answer = gateway.ask(&head).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_reload_of_a_broken_set_is_a_422_that_names_each_fault_and_changes_nothing() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1").client("ada", json!({})).start().await;
    let clients = gateway.folder().join("clients");
    std::fs::write(clients.join("broken.json"), "{\"client_id\": \"broken\",").unwrap();
    gateway.write_client("wrong", &json!({"max_tokens_limit": -1, "allowed_endpoints": "generate"}));
    gateway.write_client("new", &json!({}));
    gateway.write_client("ada", &json!({"disabled": true}));
    let answer = reload(&gateway).await;
    assert_eq!(answer.status, 422);
    let detail = answer.json()["detail"].clone();
    let places: Vec<String> =
        detail.as_array().unwrap().iter().map(|fault| fault["loc"].to_string()).collect();
    for (file, member) in
        [("broken.json", ""), ("wrong.json", "max_tokens_limit"), ("wrong.json", "allowed_endpoints")]
    {
        let named = places.iter().any(|place| place.contains(file) && place.contains(member));
        assert!(named, "{file} {member} in {places:?}");
    }
    assert_eq!(places.len(), 3, "{places:?}");
    let as_new = Request::get("/v1/models").header("x-api-key", "key-new");
    assert_eq!(gateway.ask(&as_new).await.status, 401, "not even what is right was taken");
    assert_eq!(reload(&gateway).await.status, 422, "ada is not disabled yet");
    std::fs::remove_file(clients.join("broken.json")).unwrap();
    gateway.write_client("wrong", &json!({}));
    assert_eq!(reload(&gateway).await.status, 200);
    assert_eq!(gateway.ask(&as_new).await.status, 200);
    assert_eq!(reload(&gateway).await.status, 401, "now she is");
    gateway.ends_quiet().await;
}

//! `GET /v1/models[/ID]`, and how a model's name finds its upstream on OpenAI's surface.

use std::time::Duration;

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_with};
use serde_json::{Value, json};

fn get(client: &str, path: &str) -> Request {
    Request::get(path).header("authorization", &format!("Bearer key-{client}"))
}

fn chat(client: &str, path: &str, body: &Value) -> Request {
    Request::post(path).header("authorization", &format!("Bearer key-{client}")).json(body)
}

fn naming(model: Value) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// The upstream offers these models.
fn offers(upstream: &FakeUpstream, models: &[&str]) {
    let data: Vec<Value> =
        models.iter().map(|id| json!({"id": id, "object": "model", "created": 1})).collect();
    upstream.when(|seen| seen.path() == "/v1/models", Reply::json(json!({"object": "list", "data": data})));
}

/// The ids of a list with the provider of each.
fn listed(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json();
    assert_eq!(list["object"], "list");
    let shown = |model: &Value| {
        assert_eq!(model["object"], "model");
        assert!(model["created"].is_u64(), "{model}");
        let text = |member: &str| model[member].as_str().unwrap().to_owned();
        (text("id"), text("owned_by"))
    };
    list["data"].as_array().unwrap().iter().map(shown).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, owner)| ((*id).to_owned(), (*owner).to_owned())).collect()
}

/// Two upstreams and echo: `openai` has `*`, `groq` has patterns of its own; `keyless` cannot be called.
async fn gateway(openai: &FakeUpstream, groq: &FakeUpstream) -> TestGateway {
    let toml = format!(
        "[models.fast]\ntargets = [\"groq/llama-3\"]\n\
         [models.locked]\ntargets = [\"keyless/x\"]\n\
         [models.\"gpt-test\"]\ntimeouts = {{first_token = \"5s\"}}\n\
         [providers.groq]\nbase_url = \"{}\"\napi_key_env = \"TEST_KEY\"\ndefault_model = \"openai/gpt-oss-20b\"\n\
         models = [\"llama-*\", \"openai/gpt-oss-*\", \"sh*\"]\n\
         [providers.keyless]\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"KEYLESS_API_KEY\"\n\
         default_model = \"keyless-model\"\nmodels = [\"keyless-*\"]\n",
        groq.base_url()
    );
    TestGateway::with(openai)
        .toml(&toml)
        .provider("") // keeps `openai` the last section
        .client("ada", json!({"rate_limit": {"requests_per_minute": 0, "concurrent_requests": 0}}))
        .client("free", json!({}))
        .client("openai", json!({"allowed_providers": ["openai"]}))
        .client("llamas", json!({"allowed_models": ["llama-*", "fast"]}))
        .client("nothing", json!({"allowed_providers": []}))
        .start()
        .await
}

#[tokio::test]
async fn the_list_is_what_the_client_may_use_of_aliases_defaults_and_what_upstreams_offer() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    offers(&openai, &["gpt-a", "llama-3", "vendor/x"]);
    offers(&groq, &["llama-3", "openai/gpt-oss-20b", "qwen/qwen3", "bad name"]);
    let gateway = gateway(&openai, &groq).await;
    let all = [
        ("echo", "echo"),
        ("fast", "groq"),
        ("gpt-a", "openai"),
        ("gpt-test", "openai"),
        ("groq/qwen/qwen3", "groq"),
        ("llama-3", "groq"),
        ("openai/gpt-oss-20b", "groq"),
        // Bare, these names would lead elsewhere or nowhere.
        ("openai/llama-3", "openai"),
        ("openai/vendor/x", "openai"),
    ];
    // A client without any limit left may still look.
    assert_eq!(listed(&gateway.ask(&get("ada", "/v1/models")).await), owned(&all));
    let of_openai = [
        ("gpt-a", "openai"),
        ("gpt-test", "openai"),
        ("openai/llama-3", "openai"),
        ("openai/vendor/x", "openai"),
    ];
    assert_eq!(listed(&gateway.ask(&get("openai", "/v1/models")).await), owned(&of_openai));
    let llamas = [("fast", "groq"), ("llama-3", "groq"), ("openai/llama-3", "openai")];
    assert_eq!(listed(&gateway.ask(&get("llamas", "/v1/models")).await), owned(&llamas));
    assert_eq!(listed(&gateway.ask(&get("nothing", "/v1/models")).await), vec![]);
    assert_eq!((openai.requests(), groq.requests()), (1, 1), "each upstream was asked once");
    let seen = groq.next_request().await;
    assert_eq!(
        (seen.method(), seen.headers().get("authorization")),
        ("GET", Some("Bearer sk-test-upstream-key"))
    );
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn every_listed_name_can_be_asked_for_and_leads_to_its_owner() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    for upstream in [&openai, &groq] {
        offers(upstream, &["gpt-a", "llama-3", "sh-1", "openai/gpt-oss-20b", "vendor/x"]);
    }
    let gateway = gateway(&openai, &groq).await;
    for surface in ["/v1", "/openai/v1"] {
        let list = listed(&gateway.ask(&get("free", &format!("{surface}/models"))).await);
        assert!(list.len() > 8, "{list:?}");
        for (id, owner) in list {
            let path = format!("{surface}/chat/completions");
            let answer = gateway.ask(&chat("free", &path, &naming(json!(id)))).await;
            assert_eq!(answer.status, 200, "{id}: {}", answer.text());
            assert_eq!(answer.header("x-gateway-provider"), Some(owner.as_str()), "{id}");
            let one = gateway.ask(&get("free", &format!("{surface}/models/{id}"))).await;
            assert_eq!(
                (one.status, &one.json()["id"], &one.json()["owned_by"]),
                (200, &json!(id), &json!(owner))
            );
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn one_model_is_found_by_its_name_with_slashes_written_either_way() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    offers(&openai, &["gpt-a"]);
    offers(&groq, &["openai/gpt-oss-20b"]);
    let gateway = gateway(&openai, &groq).await;
    for path in [
        "/v1/models/openai/gpt-oss-20b",
        "/v1/models/openai%2Fgpt-oss-20b",
        "/openai/v1/models/openai%2fgpt-oss-20b",
    ] {
        let answer = gateway.ask(&get("ada", path)).await;
        let expected =
            json!({"id": "openai/gpt-oss-20b", "object": "model", "created": 0, "owned_by": "groq"});
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
    for (client, id) in
        [("ada", "nobody"), ("ada", "vendor/x"), ("openai", "fast"), ("nothing", "gpt-a"), ("ada", "locked")]
    {
        let answer = gateway.ask(&get(client, &format!("/v1/models/{id}"))).await;
        let error = json!({"error": {
            "message": format!("the model `{id}` does not exist or no provider serves it"),
            "type": "invalid_request_error", "param": "model", "code": "model_not_found"
        }});
        assert_eq!((answer.status, answer.json()), (404, error), "{client} {id}");
    }
    for bad in ["a%0d%0ab", "a%20b", "../gpt-a", "openai/../gpt-a", "%2e%2e/x", "a%00b", "%ff", "a*"] {
        let answer = gateway.ask(&get("ada", &format!("/v1/models/{bad}"))).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
        assert_eq!(answer.json()["error"]["param"], "model");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_keeps_nobody_elses_models_from_being_listed() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    offers(&openai, &["gpt-a"]);
    groq.when(|seen| seen.path() == "/v1/models", Reply::never());
    let gateway = gateway(&openai, &groq).await;
    let list = listed(&gateway.ask(&get("ada", "/v1/models")).await);
    let expected = [
        ("echo", "echo"),
        ("fast", "groq"),
        ("gpt-a", "openai"),
        ("gpt-test", "openai"),
        ("openai/gpt-oss-20b", "groq"),
    ];
    assert_eq!(list, owned(&expected));
    groq.request(0).connection_closed().await;
    // That it did not answer is remembered too: nobody waits for it again.
    let again = get("ada", "/v1/models");
    let again = tokio::time::timeout(Duration::from_secs(1), gateway.ask(&again)).await.expect("at once");
    assert_eq!(listed(&again), owned(&expected));
    assert_eq!(groq.requests(), 1);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_an_upstream_says_instead_of_a_list_is_passed_over() {
    for reply in [
        Reply::error(500),
        Reply::error(401),
        Reply::html(),
        Reply::json(json!({"data": "none"})),
        Reply::json(json!({"object": "list", "data": [{"id": 7}]})),
        Reply::close(),
        Reply::redirect(302, "http://127.0.0.1:9/"),
    ] {
        let upstream = FakeUpstream::start().await;
        upstream.when(|seen| seen.path() == "/v1/models", reply);
        let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
        let list = listed(&gateway.ask(&get("ada", "/v1/models")).await);
        assert_eq!(list, owned(&[("echo", "echo"), ("gpt-test", "openai")]));
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_name_finds_its_upstream_in_the_documented_order() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&openai, &groq).await;
    for (surface, name, provider, model) in [
        ("/v1", "fast", "groq", "llama-3"),
        ("/openai/v1", "fast", "groq", "llama-3"),
        ("/v1", "gpt-a", "openai", "gpt-a"),
        ("/openai/v1", "gpt-a", "openai", "gpt-a"),
        ("/v1", "llama-x", "groq", "llama-x"),
        ("/v1", "sh-1", "groq", "sh-1"),
        ("/v1", "openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b"),
        ("/v1", "openai/llama-x", "openai", "llama-x"),
        ("/v1", "groq/gpt-a", "groq", "gpt-a"),
        ("/v1", "groq/vendor/x", "groq", "vendor/x"),
        ("/v1", "echo/echo", "echo", "echo"),
    ] {
        for stream in [false, true] {
            let mut body = naming(json!(name));
            body["stream"] = stream.into();
            let answer = gateway.ask(&chat("free", &format!("{surface}/chat/completions"), &body)).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            let found = (answer.header("x-gateway-provider"), answer.header("x-gateway-model"));
            assert_eq!(found, (Some(provider), Some(model)), "{surface} {name}");
            let upstream = match provider {
                "openai" => &openai,
                "groq" => &groq,
                _ => continue,
            };
            assert_eq!(upstream.next_request().await.model(), model);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn below_openai_v1_the_patterns_of_groq_come_first() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let toml = format!(
        "[providers.groq]\nbase_url = \"{}\"\napi_key_env = \"TEST_KEY\"\nmodels = [\"gpt-*\"]\n\
         [providers.other]\nbase_url = \"{}\"\napi_key_env = \"TEST_KEY\"\nmodels = [\"gpt-long-*\", \"mine-*\"]\n",
        groq.base_url(),
        openai.base_url()
    );
    let gateway = TestGateway::with(&openai).toml(&toml).client("ada", json!({})).start().await;
    for (surface, model, provider) in [
        ("/v1", "gpt-long-1", "other"),
        ("/openai/v1", "gpt-long-1", "groq"),
        ("/openai/v1", "mine-1", "other"),
        ("/openai/v1", "whatever", "openai"),
    ] {
        let answer =
            gateway.ask(&chat("ada", &format!("{surface}/chat/completions"), &naming(json!(model)))).await;
        assert_eq!(
            (answer.status, answer.header("x-gateway-provider")),
            (200, Some(provider)),
            "{surface} {model}"
        );
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_says_why() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&openai, &groq).await;
    let long = "x".repeat(257);
    for (model, status, code) in [
        (json!("nobody/x"), 404, json!("model_not_found")),
        (json!("groq/"), 404, json!("model_not_found")),
        (json!("vendor/openai/x"), 404, json!("model_not_found")),
        (json!(null), 400, Value::Null),
        (json!(""), 400, Value::Null),
        (json!(7), 400, Value::Null),
        (json!(["gpt-a"]), 400, Value::Null),
        (json!("gpt-a\r\nx-evil: 1"), 400, Value::Null),
        (json!("gpt-a\n"), 400, Value::Null),
        (json!("gpt a"), 400, Value::Null),
        (json!("../admin"), 400, Value::Null),
        (json!("groq/../x"), 400, Value::Null),
        (json!("gpt-a#"), 400, Value::Null),
        (json!("gpt-ä"), 400, Value::Null),
        (json!(long), 400, Value::Null),
    ] {
        let answer = gateway.ask(&chat("free", "/v1/chat/completions", &naming(model.clone()))).await;
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["type"], &error["param"]),
            (&json!("invalid_request_error"), &json!("model")),
            "{model}"
        );
        assert_eq!(error["code"], code, "{model}");
        assert_eq!(answer.header("x-evil"), None);
    }
    let without = json!({"messages": [{"role": "user", "content": "hi"}]});
    let answer = gateway.ask(&chat("free", "/v1/chat/completions", &without)).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("model")));
    let answer = gateway.ask(&chat("openai", "/v1/chat/completions", &naming(json!("fast")))).await;
    assert_eq!(answer.status, 403);
    assert_eq!((openai.requests(), groq.requests()), (0, 0));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_model_whose_provider_has_no_key_is_a_503_that_no_sdk_repeats() {
    let (openai, groq) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&openai, &groq).await;
    for model in ["keyless-1", "keyless/whatever", "locked"] {
        let answer = gateway.ask(&chat_with("free", naming(json!(model)))).await;
        assert_eq!(answer.status, 503, "{model}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        let error = &answer.json()["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("overloaded")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("keyless") && message.contains("KEYLESS_API_KEY"), "{message}");
    }
    // A key that is set and loaded anew makes it callable.
    let env = gateway.folder().join(".env");
    let before = std::fs::read_to_string(&env).unwrap();
    std::fs::write(&env, format!("{before}KEYLESS_API_KEY=sk-new\n")).unwrap();
    let reload = get("free", "/api/v1/clients/reload");
    assert_eq!(gateway.ask(&reload).await.status, 200);
    let answer = gateway.ask(&chat_with("free", naming(json!("keyless-1")))).await;
    assert_eq!(
        (answer.status, answer.header("x-gateway-provider")),
        (502, Some("keyless")),
        "nobody listens there"
    );
    gateway.ends_quiet().await;
}

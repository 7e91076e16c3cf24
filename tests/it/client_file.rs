//! What a client's file allows: endpoints, providers, models, output tokens, addresses.

use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_with};
use serde_json::{Value, json};

/// The SHA-256 of `password`, the secret that stands in the documentation.
const PUBLISHED: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

fn get(client: &str, path: &str) -> Request {
    Request::get(path).header("x-api-key", &format!("key-{client}"))
}

fn chat(client: &str, model: &str) -> Request {
    chat_with(client, json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}))
}

fn generate(client: &str, body: Value) -> Request {
    Request::post("/api/v1/generate").header("x-api-key", &format!("key-{client}")).json(&body)
}

/// A chat request with these members beside its message.
fn capped(client: &str, members: &Value) -> Request {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    chat_with(client, body)
}

/// The output caps that reached the upstream, whichever of the two names a model takes them under.
fn caps(seen: &Value) -> Vec<u64> {
    let cap = |member: &&str| seen.get(member).map(|cap| cap.as_u64().unwrap());
    ["max_tokens", "max_completion_tokens"].iter().filter_map(cap).collect()
}

#[tokio::test]
async fn a_client_uses_the_endpoints_of_its_file_and_no_others() {
    let upstream = FakeUpstream::start().await;
    let only = |endpoints: Value| json!({"allowed_endpoints": endpoints});
    let mut builder = TestGateway::with(&upstream);
    for (client, endpoints) in [
        ("all", json!(["*"])),
        ("seed", json!(["generate"])),
        ("reloader", json!(["clients/reload"])),
        ("chat", json!(["chat/completions"])),
        ("models", json!(["models"])),
        ("slashes", json!(["/v1/chat/completions/", "api/v1/generate"])),
        ("none", json!([])),
    ] {
        builder = builder.client(client, only(endpoints));
    }
    let gateway = builder.start().await;
    for (client, allowed) in [
        ("all", [true, true, true, true]),
        ("seed", [true, false, false, false]),
        ("reloader", [false, true, false, false]),
        ("chat", [false, false, true, false]),
        ("models", [false, false, false, true]),
        ("slashes", [true, false, true, false]),
        ("none", [false, false, false, false]),
    ] {
        let body = json!({"model": "gpt-test", "messages": [{"role": "user", "content": "hi"}]});
        let below_groq = Request::post("/openai/v1/chat/completions").json(&body);
        let below_groq = below_groq.header("x-api-key", &format!("key-{client}"));
        for (request, name, endpoint) in [
            (generate(client, json!({"prompt": "hi"})), "generate", 0),
            (get(client, "/api/v1/clients/reload"), "clients/reload", 1),
            (chat(client, "gpt-test"), "chat/completions", 2),
            (below_groq, "chat/completions", 2),
            (get(client, "/v1/models"), "models", 3),
            (get(client, "/v1/models/gpt-test"), "models", 3),
            (get(client, "/openai/v1/models"), "models", 3),
            (get(client, "/openai/v1/models/gpt-test"), "models", 3),
        ] {
            let answer = gateway.ask(&request).await;
            if allowed[endpoint] {
                assert_eq!(answer.status, 200, "{client} {name}: {}", answer.text());
                continue;
            }
            assert_eq!(answer.status, 403, "{client} {name}: {}", answer.text());
            let message = format!("Client does not have permission to use endpoint: {name}");
            let expected = match endpoint {
                0 | 1 => json!({"detail": message}),
                _ => {
                    json!({"error": {"message": message, "type": "permission_error", "param": null, "code": null}})
                }
            };
            assert_eq!(answer.json(), expected);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_around_the_allowed_endpoints() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", json!({"allowed_endpoints": ["generate"]})).start().await;
    let body = json!({"model": "gpt-test", "messages": [{"role": "user", "content": "hi"}]});
    for path in [
        "/v1/chat/completions",
        "/v1/chat/completions?x=/api/v1/generate",
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/V1/Chat/Completions",
        "/v1/chat%2fcompletions",
        "/v1/chat/../chat/completions",
        "/api/v1/generate/../../../v1/chat/completions",
        "/api/v1/../../v1/chat/completions",
        "/api/v1/generate/chat/completions",
        "http://127.0.0.1/v1/chat/completions",
    ] {
        let request = Request::post(path).header("x-api-key", "key-ada").json(&body);
        let answer = gateway.ask(&request).await;
        assert!([403, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_provider_that_is_not_allowed_is_named_in_the_403() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .toml("[models.fast]\ntargets = [\"openai/gpt-test\"]\n")
        .client("ada", json!({"allowed_providers": ["echo"]}))
        .client("none", json!({"allowed_providers": []}))
        .start()
        .await;
    let message = "Client does not have permission to use provider: openai";
    for model in ["gpt-test", "openai/gpt-test", "fast"] {
        let answer = gateway.ask(&chat("ada", model)).await;
        assert_eq!(answer.status, 403, "{model}");
        let expected =
            json!({"error": {"message": message, "type": "permission_error", "param": null, "code": null}});
        assert_eq!(answer.json(), expected);
    }
    for body in [json!({"prompt": "hi"}), json!({"prompt": "hi", "provider": "openai", "model": "echo"})] {
        let answer = gateway.ask(&generate("ada", body)).await;
        assert_eq!((answer.status, answer.json()), (403, json!({"detail": message})));
    }
    assert_eq!(gateway.ask(&chat("ada", "echo")).await.status, 200);
    assert_eq!(gateway.ask(&chat("none", "echo")).await.status, 403);
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn allowed_models_are_globs_over_the_name_alone_or_behind_its_provider() {
    let upstream = FakeUpstream::start().await;
    let only = |globs: Value| json!({"allowed_models": globs});
    let gateway = TestGateway::with(&upstream)
        .toml("[models.fast]\ntargets = [\"openai/gpt-test\"]\n")
        .client("globs", only(json!(["gpt-*", "echo/*"])))
        .client("exact", only(json!(["openai/gpt-test"])))
        .client("all", only(json!(["*"])))
        .client("none", only(json!([])))
        .start()
        .await;
    for (client, model, allowed) in [
        ("globs", "gpt-test", true),
        ("globs", "openai/gpt-test", true),
        ("globs", "fast", true),
        ("globs", "echo", true),
        ("globs", "other", false),
        ("globs", "openai/vendor/gpt-test", false),
        ("exact", "gpt-test", true),
        ("exact", "fast", true),
        ("exact", "gpt-test-2", false),
        ("exact", "echo", false),
        ("all", "openai/vendor/gpt-test", true),
        ("none", "gpt-test", false),
    ] {
        let answer = gateway.ask(&chat(client, model)).await;
        if allowed {
            assert_eq!(answer.status, 200, "{client} {model}: {}", answer.text());
            continue;
        }
        assert_eq!(answer.status, 403, "{client} {model}");
        let message = format!("Client does not have permission to use model: {model}");
        let expected = json!({"error": {"message": message, "type": "permission_error", "param": "model", "code": null}});
        assert_eq!(answer.json(), expected);
    }
    let answer = gateway.ask(&generate("none", json!({"prompt": "hi"}))).await;
    let message = "Client does not have permission to use model: gpt-test";
    assert_eq!((answer.status, answer.json()), (403, json!({"detail": message})));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_cap_above_the_clients_limit_is_rejected_in_the_words_of_the_seed() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({"max_tokens_limit": 2000})).start().await;
    let message = "Max tokens limit exceeded. Maximum allowed: 2000";
    for (members, param) in [
        (json!({"max_tokens": 2001}), "max_tokens"),
        (json!({"max_completion_tokens": 2001}), "max_completion_tokens"),
        (json!({"max_tokens": 1, "max_completion_tokens": 2001}), "max_completion_tokens"),
        (json!({"max_tokens": 2001, "stream": true}), "max_tokens"),
        (json!({"max_tokens": u64::MAX}), "max_tokens"),
    ] {
        let answer = gateway.ask(&capped("ada", &members)).await;
        assert_eq!(answer.status, 400, "{members}");
        let expected = json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": null}});
        assert_eq!(answer.json(), expected);
    }
    for max_tokens in [json!(2001), json!("2001"), json!(1e15)] {
        let answer = gateway.ask(&generate("ada", json!({"prompt": "hi", "max_tokens": max_tokens}))).await;
        assert_eq!((answer.status, answer.json()), (400, json!({"detail": message})));
    }
    assert_eq!(upstream.requests(), 0);
    // The limit itself is within it.
    for member in ["max_tokens", "max_completion_tokens"] {
        let answer = gateway.ask(&capped("ada", &json!({member: 2000}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(caps(&upstream.next_request().await.json()), [2000]);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_clamps_gets_its_limit_instead() {
    let upstream = FakeUpstream::start().await;
    let ada = json!({"max_tokens_limit": 20, "max_tokens_policy": "clamp"});
    let gateway = TestGateway::with(&upstream).client("ada", ada).start().await;
    for (members, expected) in [
        (json!({"max_tokens": 21}), 20),
        (json!({"max_completion_tokens": 4_000_000}), 20),
        (json!({"max_tokens": 19}), 19),
        (json!({"max_tokens": 20}), 20),
    ] {
        let answer = gateway.ask(&capped("ada", &members)).await;
        assert_eq!(answer.status, 200, "{members}: {}", answer.text());
        assert_eq!(caps(&upstream.next_request().await.json()), [expected], "{members}");
    }
    let answer = gateway.ask(&generate("ada", json!({"prompt": "hi", "max_tokens": 500}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(caps(&upstream.next_request().await.json()), [20]);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_request_without_a_cap_gets_one_when_its_clients_output_is_limited() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("free", json!({"rate_limit": {"requests_per_minute": 600, "concurrent_requests": 10}}))
        .client("nulls", json!({"max_tokens_limit": null, "rate_limit": {"tokens_per_day": null}}))
        .client("low", json!({"max_tokens_limit": 77}))
        .client("high", json!({"max_tokens_limit": 1_000_000}))
        .client("minute", json!({"rate_limit": {"tokens_per_minute": 1_000_000}}))
        .client("day", json!({"rate_limit": {"tokens_per_day": 1_000_000}}))
        .client("both", json!({"max_tokens_limit": 500, "rate_limit": {"tokens_per_day": 1_000_000}}))
        .start()
        .await;
    // gpt-4o is in the shipped table with 16384 tokens, gpt-test is not there at all.
    for (client, model, cap) in [
        ("free", "gpt-test", None),
        ("nulls", "gpt-test", None),
        ("low", "gpt-test", Some(77)),
        ("high", "gpt-test", Some(4096)),
        ("high", "gpt-4o", Some(16_384)),
        ("low", "gpt-4o", Some(77)),
        ("minute", "gpt-test", Some(4096)),
        ("day", "gpt-4o", Some(16_384)),
        ("both", "gpt-test", Some(500)),
    ] {
        for stream in [false, true] {
            let request = capped(client, &json!({"model": model, "stream": stream}));
            let answer = gateway.ask(&request).await;
            assert_eq!(answer.status, 200, "{client} {model}: {}", answer.text());
            assert_eq!(caps(&upstream.next_request().await.json()), Vec::from_iter(cap), "{client} {model}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_output_limit_of_zero_blocks() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("rejects", json!({"max_tokens_limit": 0}))
        .client("clamps", json!({"max_tokens_limit": 0, "max_tokens_policy": "clamp"}))
        .start()
        .await;
    for client in ["rejects", "clamps"] {
        for request in [
            capped(client, &json!({})),
            capped(client, &json!({"max_tokens": 1})),
            generate(client, json!({"prompt": "hi"})),
            generate(client, json!({"prompt": "hi", "max_tokens": 1})),
        ] {
            let answer = gateway.ask(&request).await;
            assert_eq!(answer.status, 400, "{client}: {}", answer.text());
            assert!(
                answer.text().contains("Max tokens limit exceeded. Maximum allowed: 0"),
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_published_secret_works_on_this_machine_and_not_through_a_proxy() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .toml("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n")
        .client("test_client", json!({"client_secret_hash": PUBLISHED}))
        .client("ada", json!({}))
        .start()
        .await;
    let secret = || {
        let body = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
        let request = Request::post("/v1/chat/completions").header("client_id", "test_client");
        request.header("client_secret", "password").json(&body)
    };
    assert_eq!(gateway.ask(&secret()).await.status, 200);
    for (header, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("x-forwarded-for", ""),
        ("forwarded", "for=127.0.0.1"),
        ("Forwarded", ""),
    ] {
        let key = || get("test_client", "/v1/models");
        for request in [secret(), key()] {
            let answer = gateway.ask(&request.header(header, value)).await;
            assert_eq!(answer.status, 403, "{header}: {value}");
            let error = answer.json()["error"].clone();
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("`test_client` has a published example secret"), "{message}");
            assert!(message.contains("clients/test_client.json"), "{message}");
            assert_eq!(error["type"], "permission_error");
        }
        let wrong =
            get("nobody", "/v1/models").header("client_id", "test_client").header("client_secret", "x");
        assert_eq!(
            gateway.ask(&wrong.header(header, value)).await.status,
            401,
            "nobody learns it by guessing"
        );
        let other = get("ada", "/v1/models").header(header, value);
        assert_eq!(gateway.ask(&other).await.status, 200, "other clients are not concerned");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn allowed_addresses_are_those_that_trusted_proxies_report() {
    let only = |networks: Value| json!({"allowed_addresses": networks});
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .toml("[server]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n")
        .client("office", only(json!(["192.0.2.0/24", "2001:db8::/32"])))
        .client("here", only(json!(["127.0.0.1"])))
        .client("nowhere", only(json!([])))
        .client("anywhere", only(Value::Null))
        .start()
        .await;
    for (client, forwarded, allowed) in [
        ("office", vec![], false),
        ("office", vec!["192.0.2.7"], true),
        ("office", vec!["2001:db8::9"], true),
        ("office", vec!["192.0.2.7:1234, 10.0.0.2"], true),
        ("office", vec!["203.0.113.9", "192.0.2.7, 10.0.0.2"], true),
        // The caller's own words stand to the left.
        ("office", vec!["192.0.2.7, 203.0.113.9"], false),
        ("office", vec!["192.0.2.7", "203.0.113.9"], false),
        ("here", vec![], true),
        ("here", vec!["203.0.113.9"], false),
        ("here", vec!["127.0.0.1, ü, 203.0.113.9"], false),
        ("nowhere", vec![], false),
        ("anywhere", vec!["203.0.113.9"], true),
    ] {
        let request = forwarded
            .iter()
            .fold(get(client, "/v1/models"), |request, line| request.header("x-forwarded-for", line));
        let answer = gateway.ask(&request).await;
        assert_eq!(
            answer.status,
            if allowed { 200 } else { 403 },
            "{client} {forwarded:?}: {}",
            answer.text()
        );
        if !allowed {
            let message = answer.json()["error"]["message"].clone();
            let message = message.as_str().unwrap();
            assert!(message.starts_with(&format!("client `{client}` may not call from ")), "{message}");
        }
    }
    let stranger =
        Request::get("/v1/models").header("x-api-key", "wrong").header("x-forwarded-for", "192.0.2.7");
    assert_eq!(gateway.ask(&stranger).await.status, 401);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn nobodys_x_forwarded_for_is_believed_unless_it_is_listed() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .client("office", json!({"allowed_addresses": ["192.0.2.0/24"]}))
        .client("here", json!({"allowed_addresses": ["127.0.0.0/8"]}))
        .start()
        .await;
    for (client, status) in [("office", 403), ("here", 200)] {
        let request = get(client, "/v1/models").header("x-forwarded-for", "192.0.2.7");
        assert_eq!(gateway.ask(&request).await.status, status, "{client}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_seeds_own_client_file_works_unchanged() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::text("Hello there! How can I assist you today?").tokens(3, 9));
    let groq = format!(
        "[providers.groq]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"TEST_KEY\"\n",
        upstream.base_url()
    );
    let seeds: Value = serde_json::from_str(include_str!("../../configs/clients/test_client.json")).unwrap();
    let mut members = seeds.clone();
    members["credentials"] = Value::Null;
    let gateway = TestGateway::with(&upstream).toml(&groq).client("test_client", members).start().await;
    let request = Request::post("/api/v1/generate").header("client_id", "test_client");
    let request = request.header("client_secret", "password").json(&json!({"prompt": "Hello, world!"}));
    let answer = gateway.ask(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-provider"), Some("groq"));
    assert_eq!(answer.header("x-gateway-model"), seeds["default_model"].as_str());
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("100000"));
    gateway.ends_quiet().await;
}

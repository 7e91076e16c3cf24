//! The seed's API over providers of every kind.

use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use crate::surfaces::{CLAUDE, GEMINI, GPT, PLAIN, Site, post};

const PROVIDERS: [(&str, &str); 4] =
    [("openai", GPT), ("plain", PLAIN), ("anthropic", CLAUDE), ("gemini", GEMINI)];

fn generate(members: Value) -> Request {
    post("ada", "/api/v1/generate", members)
}

fn ask(provider: &str, model: &str) -> Request {
    generate(json!({"prompt": "say hi", "provider": provider, "model": model}))
}

#[tokio::test]
async fn every_provider_answers_in_the_seeds_exact_shape() {
    let site = Site::start().await;
    for (provider, model) in PROVIDERS {
        let reply = Reply::text("Hello there").reasoning(["hm"]).tokens(12, 5).cached(4, 0);
        let (answer, seen) = site.ask(reply, &ask(provider, model)).await;
        assert_eq!(answer.status, 200, "{provider}: {}", answer.text());
        let expected = json!({"text": "Hello there", "model": model,
            "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}});
        assert_eq!(answer.text(), expected.to_string(), "{provider}");
        let sent = seen.json();
        let (cap, temperature) = match provider {
            "gemini" => {
                let config = &sent["generationConfig"];
                (config["maxOutputTokens"].clone(), config["temperature"].clone())
            }
            "anthropic" => (sent["max_tokens"].clone(), sent["temperature"].clone()),
            "plain" => (sent["max_tokens"].clone(), sent["temperature"].clone()),
            _ => (sent["max_completion_tokens"].clone(), sent["temperature"].clone()),
        };
        assert_eq!((cap, temperature), (json!(150), json!(0.7)), "{provider}: {sent}");
        assert!(String::from_utf8_lossy(seen.body()).contains("say hi"));
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn the_providers_default_model_is_asked_where_none_is_named() {
    let site = Site::start().await;
    for (provider, model) in [("openai", GPT), ("anthropic", CLAUDE), ("gemini", GEMINI)] {
        let ask = generate(json!({"prompt": "hi", "provider": provider}));
        let (answer, seen) = site.ask(Reply::text("ok"), &ask).await;
        assert_eq!((answer.status, seen.model().as_str()), (200, model), "{}", answer.text());
        assert_eq!(answer.json()["model"], model);
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_answer_without_text_is_an_empty_text() {
    let site = Site::start().await;
    for (provider, model) in PROVIDERS {
        for reply in [Reply::text("").tokens(3, 0), Reply::blocked().tokens(3, 0)] {
            let (answer, _) = site.ask(reply, &ask(provider, model)).await;
            assert_eq!(
                (answer.status, &answer.json()["text"]),
                (200, &json!("")),
                "{provider}: {}",
                answer.text()
            );
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn faults_of_every_provider_are_the_seeds_detail() {
    let site = Site::start().await;
    for (provider, model) in PROVIDERS {
        for (status, shown) in [(400, 400), (401, 502), (404, 404), (429, 429), (500, 502), (529, 503)] {
            let (answer, _) = site.ask(Reply::error(status), &ask(provider, model)).await;
            assert_eq!(answer.status, shown, "{provider}, {status}: {}", answer.text());
            let body = answer.json();
            assert!(body["detail"].is_string() && body.as_object().unwrap().len() == 1, "{body}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_costs_nothing() {
    let upstream = FakeUpstream::start().await;
    let toml = "[providers.far]\nkind = \"anthropic\"\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"TEST_KEY\"\n";
    let gateway = Site::builder(&upstream, toml, "").start().await;
    let answer = gateway.ask(&ask("far", "claude-x")).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

//! Providers that speak OpenAI's protocol in a way of their own: what differs is data.

use gateway_testkit::Reply;
use gateway_testkit::reply::UsageStyle;
use serde_json::json;

use super::{Api, Site, Told, post, question};

/// A provider of which everything differs.
fn odd_one(base_url: &str) -> String {
    format!(
        "[providers.odd]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key_env = \"TEST_KEY\"\nmodels = [\"odd-*\"]\n\
         auth = \"api-key\"\nquery = \"api-version=preview\"\nheaders = [\"X-Title: my application\"]\n\
         stream_options = false\ncached_tokens_header = \"fireworks-cached-prompt-tokens\"\n"
    )
}

async fn site() -> Site {
    let upstream = gateway_testkit::FakeUpstream::start().await;
    let odd = odd_one(&format!("{}/openai/v1", upstream.origin()));
    let gateway = Site::builder(&upstream, &odd, "").start().await;
    Site { upstream, gateway }
}

#[tokio::test]
async fn path_key_query_and_headers_are_the_providers_own_on_every_route() {
    let site = site().await;
    for (path, body, sent_to) in [
        (
            "/v1/chat/completions",
            json!({"model": "odd-1", "messages": [{"role": "user", "content": "x"}]}),
            "/openai/v1/chat/completions",
        ),
        (
            "/v1/messages",
            json!({"model": "odd-1", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}),
            "/openai/v1/chat/completions",
        ),
        ("/v1/embeddings", json!({"model": "odd-1", "input": "x"}), "/openai/v1/embeddings"),
        ("/v1/completions", json!({"model": "odd-1", "prompt": "x"}), "/openai/v1/completions"),
        ("/v1/moderations", json!({"model": "odd-1", "input": "x"}), "/openai/v1/moderations"),
    ] {
        let reply = if path == "/v1/embeddings" || path == "/v1/moderations" {
            Reply::real()
        } else {
            Reply::text("ok")
        };
        let (answer, seen) = site.ask(reply, &post("ada", path, body)).await;
        assert_eq!(
            (seen.path(), seen.query()),
            (sent_to, "api-version=preview"),
            "{path}: {}",
            answer.text()
        );
        assert_eq!(seen.headers().all("api-key"), ["sk-test-upstream-key"], "{path}");
        assert_eq!(seen.header("x-title"), Some("my application"), "{path}");
        assert!(seen.header("authorization").is_none() && seen.header("x-api-key").is_none(), "{path}");
    }
    site.ends().await;
}

#[tokio::test]
async fn a_provider_that_tells_the_usage_unasked_is_not_asked_for_it() {
    let site = site().await;
    for api in Api::ALL {
        let reply = Reply::stream(["Hel", "lo"])
            .usage(UsageStyle::Always)
            .tokens(40, 2)
            .header("fireworks-cached-prompt-tokens", "30");
        let (answer, seen) = site.ask(reply, &question(api, "odd-1", true, json!({}))).await;
        let told = Told::of(api, true, &answer);
        assert_eq!(
            told.tokens.map(|tokens| tokens.billed()),
            Some(seen.billed()),
            "{api:?}: {}",
            answer.text()
        );
        if api != Api::Chat {
            assert!(seen.json()["stream_options"].is_null(), "{api:?}: {}", seen.json());
        }
    }
    let row = site.booked("odd", 4).await;
    assert_eq!((&row["cached_input_tokens"], &row["input_tokens"]), (&json!(120), &json!(40)), "{row}");
    site.ends_in_agreement().await;
}

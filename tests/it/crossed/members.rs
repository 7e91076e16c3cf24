//! What has no equal on the other side: refused by name, or left out and named; never silently.

use gateway_testkit::Reply;
use serde_json::{Value, json};

use crate::surfaces::{Api, CLAUDE, GEMINI, GPT, PLAIN, Site, question};

/// A member, and the path by which it is named.
fn table() -> Vec<(Api, &'static str, Value, &'static str)> {
    vec![
        (Api::Chat, CLAUDE, json!({"logit_bias": {"50256": -100}}), "logit_bias"),
        (Api::Chat, CLAUDE, json!({"seed": 7}), "seed"),
        (Api::Chat, CLAUDE, json!({"frequency_penalty": 0.5}), "frequency_penalty"),
        (Api::Chat, CLAUDE, json!({"n": 2}), "n"),
        (Api::Chat, CLAUDE, json!({"logprobs": true}), "logprobs"),
        (Api::Chat, CLAUDE, json!({"made_up": {"x": 1}}), "made_up"),
        (Api::Chat, GEMINI, json!({"logit_bias": {"50256": -100}}), "logit_bias"),
        (Api::Chat, GEMINI, json!({"made_up": 1}), "made_up"),
        (Api::Messages, GPT, json!({"top_k": 5}), "top_k"),
        (
            Api::Messages,
            GPT,
            json!({"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}),
            "mcp_servers",
        ),
        (Api::Messages, GPT, json!({"made_up": 1}), "made_up"),
        (Api::Messages, GEMINI, json!({"container": "c"}), "container"),
        (Api::Messages, GEMINI, json!({"made_up": 1}), "made_up"),
        (
            Api::Gemini,
            GPT,
            json!({"safetySettings": [{"category": "c", "threshold": "BLOCK_NONE"}]}),
            "safetySettings",
        ),
        (Api::Gemini, GPT, json!({"cachedContent": "cachedContents/1"}), "cachedContent"),
        (Api::Gemini, GPT, json!({"tools": [{"googleSearch": {}}]}), "tools[0].googleSearch"),
        (
            Api::Gemini,
            CLAUDE,
            json!({"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}),
            "generationConfig.mediaResolution",
        ),
        (Api::Gemini, CLAUDE, json!({"made_up": 1}), "made_up"),
        (Api::Gemini, GPT, json!({"generationConfig": {"topK": 5}}), "generationConfig.topK"),
        (Api::Gemini, CLAUDE, json!({"generationConfig": {"seed": 5}}), "generationConfig.seed"),
        (Api::Chat, GEMINI, json!({"response_format": {"type": "json_object", "x": 1}}), "response_format.x"),
        (Api::Responses, PLAIN, json!({"background": true}), "background"),
        (Api::Responses, PLAIN, json!({"tools": [{"type": "web_search"}]}), "tools[0]"),
        (Api::Responses, PLAIN, json!({"made_up": 1}), "made_up"),
        (Api::Responses, CLAUDE, json!({"conversation": "conv_1"}), "conversation"),
        (Api::Responses, GEMINI, json!({"made_up": 1}), "made_up"),
    ]
}

#[tokio::test]
async fn a_member_without_an_equal_is_refused_by_its_name_and_costs_nothing() {
    let site = Site::start().await;
    for (api, model, members, path) in table() {
        for stream in [false, true] {
            let case = format!("{api:?} over {model}: {members}");
            let answer = site.gateway.ask(&question(api, model, stream, members.clone())).await;
            assert_eq!(answer.status, 400, "{case}: {}", answer.text());
            let error = answer.json()["error"].clone();
            let message = error["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("`{path}` has no equal in ")), "{case}: {message}");
            if matches!(api, Api::Chat | Api::Responses) {
                assert_eq!(error["param"], path, "{case}");
            }
            assert!(answer.header("x-gateway-dropped").is_none());
        }
    }
    assert_eq!(site.upstream.requests(), 0);
    assert_eq!(site.gateway.tokens_used("ada").await, 0);
    site.ends().await;
}

#[tokio::test]
async fn a_lenient_provider_leaves_it_out_and_says_so() {
    let site = Site::lenient().await;
    for (api, model, members, path) in table() {
        for stream in [false, true] {
            let case = format!("{api:?} over {model}: {members}");
            let ask = question(api, model, stream, members.clone());
            let (answer, seen) = site.ask(Reply::text("ok").checked(), &ask).await;
            assert_eq!(answer.status, 200, "{case}: {}", answer.text());
            assert_eq!(answer.header("x-gateway-dropped"), Some(path), "{case}");
            let last = path.rsplit(['.', ']']).find(|part| !part.is_empty()).unwrap();
            let sent = String::from_utf8_lossy(seen.body()).into_owned();
            assert!(!sent.contains(&format!("\"{last}\"")) || path == "n", "{case}: {sent}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn several_members_that_are_left_out_are_all_named() {
    let site = Site::lenient().await;
    let ask = question(
        Api::Chat,
        CLAUDE,
        true,
        json!({"logit_bias": {"1": 1}, "seed": 3, "made_up": null, "other": 1}),
    );
    let (answer, _) = site.ask(Reply::text("ok"), &ask).await;
    let header = answer.header("x-gateway-dropped").unwrap();
    let mut dropped: Vec<&str> = header.split(", ").collect();
    dropped.sort_unstable();
    assert_eq!(dropped, ["logit_bias", "other", "seed"], "null says nothing");
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_members_name_cannot_break_the_header() {
    let site = Site::lenient().await;
    let long = "x".repeat(100_000);
    for (name, shown) in [
        ("line\r\nset-cookie: a=b", "line%0D%0Aset-cookie: a=b"),
        ("\u{1f600}", "%F0%9F%98%80"),
        ("a, b", "a%2C b"),
        (&long, &long[..128]),
    ] {
        let ask = question(Api::Chat, CLAUDE, false, json!({name: 1}));
        let (answer, _) = site.ask(Reply::text("ok"), &ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-dropped"), Some(shown));
        assert!(answer.header("set-cookie").is_none());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn where_the_protocol_is_the_same_everything_passes_unjudged() {
    let site = Site::start().await;
    for (api, model) in
        [(Api::Chat, GPT), (Api::Messages, CLAUDE), (Api::Gemini, GEMINI), (Api::Responses, GPT)]
    {
        let (answer, seen) = site
            .ask(Reply::text("ok"), &question(api, model, false, json!({"made_up": {"b": 1, "a": 2}})))
            .await;
        assert_eq!(answer.status, 200, "{api:?}: {}", answer.text());
        assert!(String::from_utf8_lossy(seen.body()).contains("\"made_up\":{\"b\":1,\"a\":2}"), "{api:?}");
        assert!(answer.header("x-gateway-dropped").is_none());
    }
    site.ends_in_agreement().await;
}

/// No answer differs by them, so that they are no reason to refuse; but they are named.
#[tokio::test]
async fn hints_without_an_equal_are_left_out_and_named_by_strict_providers_too() {
    let site = Site::start().await;
    let marked = json!([{"role": "user", "content": [
        {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}]);
    for (api, model, members, named) in [
        (Api::Chat, CLAUDE, json!({"prompt_cache_key": "k"}), "prompt_cache_key"),
        (Api::Chat, GEMINI, json!({"metadata": {"a": "b"}}), "metadata"),
        (Api::Chat, GEMINI, json!({"user": "u"}), "user"),
        (Api::Messages, GPT, json!({"messages": marked}), "cache_control"),
        (Api::Messages, GEMINI, json!({"metadata": {"user_id": "u"}}), "metadata.user_id"),
        (Api::Responses, PLAIN, json!({"prompt_cache_retention": "24h"}), "prompt_cache_retention"),
    ] {
        let (answer, _) = site.ask(Reply::text("ok").checked(), &question(api, model, false, members)).await;
        assert_eq!(answer.status, 200, "{named}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-dropped"), Some(named));
    }
    site.ends_in_agreement().await;
}

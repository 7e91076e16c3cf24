//! The list of models, in the form of whoever asks.

use serde_json::{Value, json};

use super::{Site, get};

fn names(list: &Value, member: &str, name: &str) -> Vec<String> {
    list[member].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_same_models_are_listed_in_three_forms() {
    let site = Site::start().await;
    let openai = site.gateway.ask(&get("ada", "/v1/models")).await.json();
    assert_eq!(openai["object"], "list");
    let ids = names(&openai, "data", "id");
    for id in ["gpt-test", "claude-test", "gemini-3-test"] {
        assert!(ids.iter().any(|one| one == id), "{id}: {ids:?}");
    }
    let anthropic =
        site.gateway.ask(&get("ada", "/v1/models").header("anthropic-version", "2023-06-01")).await.json();
    assert_eq!(names(&anthropic, "data", "id"), ids);
    assert_eq!((&anthropic["has_more"], anthropic["first_id"].as_str()), (&json!(false), Some(&*ids[0])));
    assert_eq!(anthropic["last_id"].as_str(), ids.last().map(String::as_str));
    for model in anthropic["data"].as_array().unwrap() {
        assert_eq!(model["type"], "model");
        assert!(model["display_name"].is_string() && model["created_at"].is_string(), "{model}");
    }
    let gemini = site.gateway.ask(&get("ada", "/v1beta/models")).await.json();
    let expected: Vec<String> = ids.iter().map(|id| format!("models/{id}")).collect();
    assert_eq!(names(&gemini, "models", "name"), expected);
    assert_eq!(gemini["models"][0]["supportedGenerationMethods"][0], "generateContent");
    let groq = site.gateway.ask(&get("ada", "/openai/v1/models")).await.json();
    assert_eq!(names(&groq, "data", "id"), ids);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn one_model_is_told_in_three_forms() {
    let site = Site::start().await;
    let openai = site.gateway.ask(&get("ada", "/v1/models/claude-test")).await.json();
    assert_eq!((&openai["object"], &openai["owned_by"]), (&json!("model"), &json!("anthropic")));
    let asked = get("ada", "/v1/models/gpt-test").header("anthropic-version", "2023-06-01");
    let anthropic = site.gateway.ask(&asked).await.json();
    assert_eq!((&anthropic["type"], &anthropic["id"]), (&json!("model"), &json!("gpt-test")));
    let gemini = site.gateway.ask(&get("ada", "/v1beta/models/gpt-test")).await.json();
    assert_eq!(gemini["name"], "models/gpt-test");
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn the_upstreams_are_asked_in_their_own_form_with_their_own_key() {
    let site = Site::start().await;
    let ids = names(&site.gateway.ask(&get("ada", "/v1/models")).await.json(), "data", "id");
    for id in ["claude-opus-4-6", "gemini-3-pro", "gpt-5.4-nano"] {
        assert!(ids.iter().any(|one| one == id), "{id}: {ids:?}");
    }
    let asked: Vec<_> = (0..site.upstream.requests()).map(|n| site.upstream.request(n)).collect();
    let anthropics = asked.iter().find(|seen| seen.header("anthropic-version").is_some()).unwrap();
    assert_eq!(
        (anthropics.path(), anthropics.header("x-api-key")),
        ("/v1/models", Some("sk-test-upstream-key"))
    );
    let geminis = asked.iter().find(|seen| seen.path() == "/v1beta/models").unwrap();
    assert_eq!(geminis.header("x-goog-api-key"), Some("sk-test-upstream-key"));
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_a_client_may_not_use_it_is_not_shown() {
    let upstream = gateway_testkit::FakeUpstream::start().await;
    let only = json!({"allowed_providers": ["anthropic"]});
    let gateway = Site::builder(&upstream, "", "").client("eve", only).start().await;
    for (path, header) in [("/v1/models", None), ("/v1/models", Some("2023-06-01"))] {
        let ask =
            header.iter().fold(get("eve", path), |ask, version| ask.header("anthropic-version", version));
        let ids = names(&gateway.ask(&ask).await.json(), "data", "id");
        assert!(!ids.is_empty() && ids.iter().all(|id| id.starts_with("claude-")), "{ids:?}");
    }
    let gemini = gateway.ask(&get("eve", "/v1beta/models")).await.json();
    assert!(
        names(&gemini, "models", "name").iter().all(|name| name.starts_with("models/claude-")),
        "{gemini}"
    );
    assert_eq!(gateway.ask(&get("eve", "/v1beta/models/gpt-test")).await.status, 404);
    gateway.ends_quiet().await;
}

//! What an operator is told of a refusal beyond its word, and the caller is not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway_testkit::raw_client::Request;
use gateway_testkit::test_gateway::chat_with;
use gateway_testkit::{BlackHole, FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{NOWHERE, PROMPT, listed, trail};

fn hash(secret: &str) -> String {
    let digits: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// The step that refused the request of this answer.
async fn refusal(gateway: &TestGateway, answer: &gateway_testkit::raw_client::Answer) -> Value {
    gateway.is_quiet().await;
    let trail = trail(gateway, answer.header("x-request-id").unwrap()).await;
    assert_eq!(trail["address"], "127.0.0.1", "{trail:#}");
    let steps = trail["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == "refused").cloned().unwrap()
}

#[tokio::test]
async fn a_limit_that_refused_tells_its_numbers_and_when_to_come_again() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({"rate_limit": {"requests_per_minute": 1}}))
        .client("bob", json!({"budget": {"usd_per_day": "0.000001"}}))
        .start()
        .await;
    assert_eq!(gateway.chat("ada", PROMPT).await.status, 200);
    let answer = gateway.chat("ada", PROMPT).await;
    let told = refusal(&gateway, &answer).await;
    let retry: u64 = answer.header("retry-after-ms").unwrap().parse().unwrap();
    for (member, value) in [
        ("why", json!("requests_per_minute")),
        ("max", json!(1)),
        ("used", json!(1)),
        ("reserved", json!(0)),
        ("needed", json!(1)),
        ("retry_after_ms", json!(retry)),
    ] {
        assert_eq!(told[member], value, "{member} of {told}");
    }
    let list = listed(&gateway, "status=429").await;
    assert_eq!(list[0]["because"]["max"], 1, "{}", list[0]);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_may_not_be_used_is_named_and_a_body_that_cannot_be_read_has_its_place() {
    let gateway = TestGateway::at(NOWHERE)
        .client("ada", json!({"allowed_models": ["gpt-a"], "allowed_endpoints": ["chat/completions"]}))
        .start()
        .await;
    let chat = |body: &str| {
        let request = Request::post("/v1/chat/completions").header("authorization", "Bearer key-ada");
        request.header("content-type", "application/json").body(body.to_owned())
    };
    let messages = json!([{"role": "user", "content": PROMPT}]);
    for (request, why, members) in [
        (
            chat_with("ada", json!({"model": "gpt-b", "messages": messages})),
            "model_not_allowed",
            json!({"model": "gpt-b"}),
        ),
        (
            Request::get("/v1/models").header("authorization", "Bearer key-ada"),
            "endpoint_not_allowed",
            json!({"endpoint": "models"}),
        ),
        (
            chat(&format!("{{\"messages\": \"{PROMPT}\"}}")),
            "invalid_request",
            json!({"param": "messages", "problem": "wrong type"}),
        ),
        (
            chat(&format!("{{\"messages\": {PROMPT}}}")),
            "invalid_request",
            json!({"byte": 13, "problem": "unexpected byte"}),
        ),
    ] {
        let answer = gateway.ask(&request).await;
        let told = refusal(&gateway, &answer).await;
        assert_eq!(told["why"], why, "{told}");
        for (member, value) in members.as_object().unwrap() {
            assert_eq!(told[member], *value, "{member} of {told}");
        }
        assert!(!told.to_string().contains(PROMPT), "{told}");
    }
    gateway.ends_quiet().await;
}

/// A request with an id and a secret.
fn pair(id: &str, secret: &str) -> Request {
    let basic = STANDARD.encode(format!("{id}:{secret}"));
    Request::get("/v1/models").header("authorization", &format!("Basic {basic}"))
}

#[tokio::test]
async fn a_401_is_the_same_for_every_cause_and_the_cause_is_the_operators_to_know() {
    let (past, future) = ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    let gateway = TestGateway::at(NOWHERE)
        .client(
            "ada",
            json!({"credentials": [
                {"type": "secret", "hash": hash("right")},
                {"type": "secret", "hash": hash("old"), "expires_at": past},
                {"type": "secret", "hash": hash("next"), "not_before": future},
                {"type": "api_key", "hash": hash("sk-old"), "expires_at": past},
            ]}),
        )
        .client("bob", json!({"disabled": true}))
        .start()
        .await;
    let get = || Request::get("/v1/models");
    let mut answers = Vec::new();
    for (request, cause, client) in [
        (get(), "no_credentials", None),
        (get().header("authorization", "Digest abc"), "malformed_credentials", None),
        (get().header("x-api-key", "sk-nobodys"), "unknown_key", None),
        (pair("pasted-secret", "right"), "unknown_client", None),
        (pair("ada", "wrong"), "wrong_secret", Some("ada")),
        (pair("ada", "old"), "expired", Some("ada")),
        (pair("ada", "next"), "not_yet_valid", Some("ada")),
        (get().header("x-api-key", "sk-old"), "expired", Some("ada")),
        (get().header("x-api-key", "key-bob"), "disabled", Some("bob")),
        (pair("bob", "wrong"), "disabled", Some("bob")),
    ] {
        let answer = gateway.ask(&request).await;
        let told = refusal(&gateway, &answer).await;
        assert_eq!((&told["why"], &told["cause"]), (&json!("invalid_credentials"), &json!(cause)), "{told}");
        assert_eq!(told["client"].as_str(), client, "{told}");
        answers.push((answer.status, answer.text()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // Proven it is not, and found under the name all the same.
    let of_ada = listed(&gateway, "client=ada&status=401").await;
    assert_eq!(of_ada.len(), 4);
    assert!(of_ada.iter().all(|request| request["client"].is_null()), "{of_ada:?}");
    let all = listed(&gateway, "").await;
    assert!(!json!(all).to_string().contains("pasted-secret"));
    gateway.ends_quiet().await;
}

/// The `attempt_failed` steps of one chat.
async fn failures(gateway: &TestGateway) -> Vec<Value> {
    let answer = gateway.ask(&chat_request("ada", PROMPT, false)).await;
    gateway.is_quiet().await;
    let trail = trail(gateway, answer.header("x-request-id").unwrap()).await;
    let steps = trail["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["step"] == "attempt_failed").cloned().collect()
}

#[tokio::test]
async fn why_there_is_no_connection_is_told_in_a_fixed_word() {
    // A gateway without TLS answers a handshake at once: it is no HTTP.
    let without_tls = TestGateway::at(NOWHERE).start().await;
    let plain = format!("https://{}/v1", without_tls.address());
    // No resolver needs to be asked for a label that is too long.
    let nowhere = format!("http://{}.invalid/v1", "a".repeat(64));
    let refusing = BlackHole::refusing_url().await;
    for (url, word) in [(&refusing, "refused"), (&nowhere, "dns"), (&plain, "tls")] {
        let gateway = TestGateway::at(url).client("ada", json!({})).start().await;
        let failed = failures(&gateway).await;
        let last = failed.last().unwrap();
        assert_eq!(last["what"], word, "{url}: {last}");
        assert_eq!(last["next"], "answer", "nobody else is asked: {last}");
        let providers = gateway.admin("/admin/providers").await;
        assert!(providers.to_string().contains(&format!("\"what\":\"{word}\"")), "{providers}");
        gateway.ends_quiet().await;
    }
    without_tls.ends_quiet().await;
}

#[tokio::test]
async fn statuses_are_told_apart_and_what_followed_is_what_the_journal_says() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::error(500));
    upstream.script(Reply::error(401));
    let failed = failures(&gateway).await;
    let told: Vec<_> = failed.iter().map(|step| (&step["what"], &step["next"])).collect();
    let expected = [("status 500", "same target"), ("status 401", "answer")];
    assert_eq!(
        told,
        expected.map(|(what, next)| (json!(what), json!(next))).each_ref().map(|(what, next)| (what, next))
    );
    gateway.ends_quiet().await;
}

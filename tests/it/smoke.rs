use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::json;

#[tokio::test]
async fn a_chat_request_is_answered_by_its_upstream_and_counted() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({"rate_limit": {"tokens_per_day": 100_000}}))
        .start()
        .await;
    upstream.script(Reply::text("Hello there").tokens(7, 3));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello there");
    gateway.is_quiet().await;
    assert_eq!(gateway.limits("ada").await.tokens_per_day.unwrap().used, 10);
    upstream.script(Reply::stream(["Hel", "lo"]));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert_eq!(answer.chat_stream().text, "Hello");
    gateway.ends_quiet().await;
}

//! Limits in shadow: nothing is refused, and everybody can see what would be.

use gateway_testkit::raw_client::Answer;
use gateway_testkit::{FakeUpstream, Reply, TestGateway};
use serde_json::{Value, json};

async fn started(rate_limit: Value, more: Value) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let mut members = json!({"rate_limit": rate_limit});
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let gateway = TestGateway::with(&upstream).client("ada", members).start().await;
    (upstream, gateway)
}

fn would_refuse(answer: &Answer) -> Option<&str> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-gateway-would-refuse")
}

#[tokio::test]
async fn a_request_that_a_limit_would_refuse_is_answered_and_names_the_limit() {
    let (_upstream, gateway) = started(json!({"requests_per_minute": 1, "mode": "shadow"}), json!({})).await;
    assert_eq!(would_refuse(&gateway.chat("ada", "hi").await), None);
    let over = gateway.chat("ada", "hi").await;
    assert_eq!(would_refuse(&over), Some("requests_per_minute"));
    assert_eq!(over.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(
        gateway.limits("ada").await.requests_per_minute.unwrap().used,
        2,
        "it is counted all the same"
    );

    gateway.write_client("ada", &json!({"rate_limit": {"requests_per_minute": 1}}));
    let reload =
        gateway_testkit::raw_client::Request::get("/api/v1/clients/reload").header("x-api-key", "key-ada");
    assert_eq!(gateway.ask(&reload).await.status, 200);
    let refused = gateway.chat("ada", "hi").await;
    assert_eq!((refused.status, refused.header("x-gateway-would-refuse")), (429, None));
    gateway.ends_quiet().await;
}

/// What could never fit and what is blocked would be a 400 and a 429; in shadow both are only told of.
#[tokio::test]
async fn what_never_fits_and_what_is_blocked_is_let_through_as_well() {
    let (upstream, gateway) = started(json!({"tokens_per_day": 1, "mode": "shadow"}), json!({})).await;
    upstream.script(Reply::text("Hello").tokens(7, 3));
    assert_eq!(would_refuse(&gateway.chat("ada", "hi").await), Some("tokens_per_day"));
    gateway.is_quiet().await;
    let day = gateway.limits("ada").await.tokens_per_day.unwrap();
    assert_eq!((day.used, day.reserved, day.remaining), (10, 0, 0), "exact, and above its limit");
    gateway.ends_quiet().await;

    let (_upstream, gateway) = started(json!({"concurrent_requests": 0, "mode": "shadow"}), json!({})).await;
    assert_eq!(would_refuse(&gateway.chat("ada", "hi").await), Some("concurrent_requests"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_names_the_limit_in_its_head() {
    let (upstream, gateway) = started(json!({"requests_per_minute": 0, "mode": "shadow"}), json!({})).await;
    upstream.script(Reply::stream(["Hel", "lo"]));
    let mut connection = gateway.connect().await;
    let head = connection.open(&gateway_testkit::test_gateway::chat_request("ada", "hi", true)).await;
    assert_eq!((head.status, head.headers.get("x-gateway-would-refuse")), (200, Some("requests_per_minute")));
    drop(connection);
    gateway.ends_quiet().await;
}

/// Its price is unknown, so a budget that is enforced would refuse it.
#[tokio::test]
async fn a_budget_in_shadow_refuses_no_model_without_a_price() {
    let budget = json!({"budget": {"usd_per_day": "0"}});
    let (_upstream, gateway) = started(json!({"mode": "shadow"}), budget.clone()).await;
    assert_eq!(would_refuse(&gateway.chat("ada", "hi").await), Some("usd_per_day"));
    gateway.ends_quiet().await;
    let (_upstream, gateway) = started(json!({"mode": "enforce"}), budget).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 403);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_limiter_that_is_killed_comes_back_with_its_shadow() {
    let (_upstream, gateway) = started(json!({"requests_per_minute": 1, "mode": "shadow"}), json!({})).await;
    gateway.chat("ada", "hi").await;
    gateway.is_quiet().await;
    let limiter = gateway.actor("RateLimiter ada");
    limiter.cell().unwrap().kill();
    gateway.until("the limiter is back", || limiter.restarts() == 1 && limiter.cell().is_some()).await;
    assert_eq!(would_refuse(&gateway.chat("ada", "hi").await), Some("requests_per_minute"));
    gateway.ends_quiet().await;
}

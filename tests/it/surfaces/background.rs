//! What is made in the background: held at its bound, and charged once when somebody hears what it came to.

use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use super::{Api, GEMINI, GPT, Site, get, post, question};

/// Reserved for each answer, beside its prompt.
const CAP: u64 = 500;

fn response(stream: bool) -> Request {
    let members = json!({"background": true, "max_output_tokens": CAP});
    question(Api::Responses, GPT, stream, members)
}

fn interaction() -> Request {
    let config = json!({"max_output_tokens": CAP});
    let body = json!({"model": GEMINI, "input": "hi", "background": true, "generation_config": config});
    post("ada", "/v1beta/interactions", body)
}

/// What of ada's day is used and reserved, once nothing is called any more.
async fn day(site: &Site) -> (u64, u64) {
    let shared = site.gateway.front().gateway.shared();
    site.gateway.until("no call is in flight", || shared.calls_in_flight() == 0).await;
    let day = site.gateway.limits("ada").await.tokens_per_day.unwrap();
    (day.used, day.reserved)
}

/// Begun, so that its bound is reserved and nothing is used; its id.
async fn begun(site: &Site, request: &Request, status: &str) -> String {
    let before = day(site).await;
    let (answer, _) = site.ask(Reply::stream(["one ", "two"]).tokens(20, 9).cached(5, 0), request).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(status)), "{}", answer.text());
    let after = day(site).await;
    assert_eq!(after.0, before.0, "nothing is known yet");
    assert!(after.1 > CAP, "{after:?}");
    assert_eq!(site.gateway.limits("ada").await.in_flight, 0, "its slot is free");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_response_is_charged_once_with_what_its_upstream_reports_later() {
    let site = Site::start().await;
    let mut expected = 0;
    for query in ["", "?stream=true"] {
        let id = begun(&site, &response(false), "queued").await;
        let path = format!("/v1/responses/{id}");
        // What says nothing of the answer settles nothing.
        assert_eq!(site.gateway.ask(&get("ada", &format!("{path}/input_items"))).await.status, 200);
        assert_eq!(site.gateway.ask(&get("bob", &path)).await.status, 404);
        assert!(day(&site).await.1 > CAP);
        expected += 29;
        for _ in 0..3 {
            let told = site.gateway.ask(&get("ada", &format!("{path}{query}"))).await;
            assert!(told.text().contains("\"total_tokens\":29"), "{}", told.text());
            assert_eq!(day(&site).await, (expected, 0), "{query}");
        }
    }
    let row = site.booked("openai", 10).await;
    let counts = ["input_tokens", "cached_input_tokens", "output_tokens"].map(|name| row[name].as_u64());
    assert_eq!(counts, [Some(30), Some(10), Some(18)], "{row}");
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_interaction_is_charged_once_too() {
    let site = Site::start().await;
    for (nth, query) in [(1, ""), (2, "?stream=true")] {
        let id = begun(&site, &interaction(), "in_progress").await;
        for _ in 0..2 {
            let told = site.gateway.ask(&get("ada", &format!("/v1beta/interactions/{id}{query}"))).await;
            assert_eq!(told.status, 200, "{}", told.text());
            assert_eq!(day(&site).await, (nth * 11, 0), "as the kept interaction says");
        }
    }
    site.ends().await;
}

#[tokio::test]
async fn what_is_deleted_unheard_comes_to_what_was_reserved_and_a_cancelled_one_to_what_it_says() {
    let site = Site::start().await;
    let id = begun(&site, &response(false), "queued").await;
    let reserved = day(&site).await.1;
    let path = format!("/v1/responses/{id}");
    let delete = Request::new("DELETE", &path).header("authorization", "Bearer key-ada");
    assert_eq!(site.gateway.ask(&delete).await.status, 200);
    assert_eq!(day(&site).await, (reserved, 0));

    let id = begun(&site, &response(false), "queued").await;
    let cancelled = site.gateway.ask(&post("ada", &format!("/v1/responses/{id}/cancel"), "")).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text());
    let told: Value = cancelled.json()["usage"]["total_tokens"].clone();
    assert_eq!(day(&site).await, (reserved + told.as_u64().unwrap(), 0));
    site.ends().await;
}

#[tokio::test]
async fn a_failed_one_gives_its_tokens_back() {
    let site = Site::start().await;
    let failed = Reply::text("x").finish_reason("failed").usage(gateway_testkit::reply::UsageStyle::Never);
    let (answer, _) = site.ask(failed, &response(false)).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("queued")), "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let told = site.gateway.ask(&get("ada", &format!("/v1/responses/{id}"))).await;
    assert_eq!(told.json()["status"], "failed", "{}", told.text());
    assert_eq!(day(&site).await, (0, 0));
    site.ends().await;
}

#[tokio::test]
async fn whoever_leaves_a_stream_that_goes_on_without_him_pays_what_it_came_to() {
    let site = Site::start().await;
    let said = Reply::stream(["one ", "two ", "three"]).tokens(20, 9);
    for reply in [said.clone().stall_after(1), said.clone().cut_after(1)] {
        let before = day(&site).await.0;
        site.upstream.script(reply);
        let mut client = site.gateway.connect().await;
        client.open(&response(true)).await;
        // Before any content: the id is what a client needs to come back.
        let created: Value = serde_json::from_str(&client.next_message().await.unwrap()).unwrap();
        let id = created["response"]["id"].as_str().unwrap().to_owned();
        client.hang_up();
        assert!(day(&site).await.1 > CAP, "it is not over");
        let resumed = format!("/v1/responses/{id}?stream=true&starting_after=1");
        for _ in 0..2 {
            assert_eq!(site.gateway.ask(&get("ada", &resumed)).await.status, 200);
            assert_eq!(day(&site).await, (before + 29, 0));
        }
    }
    // One who stays has it told in the stream itself.
    let before = day(&site).await.0;
    site.ask(said, &response(true)).await;
    assert_eq!(day(&site).await, (before + 29, 0));
    site.ends().await;
}

#[tokio::test]
async fn a_slot_is_not_held_for_what_nobody_waits_for() {
    let upstream = FakeUpstream::start().await;
    let one = json!({"rate_limit": {"concurrent_requests": 1, "tokens_per_day": 100_000}});
    let gateway = Site::builder(&upstream, "", "").client("ada", one).start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        upstream.script(Reply::text("ok"));
        let answer = gateway.ask(&response(false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    for id in ids {
        assert_eq!(gateway.ask(&get("ada", &format!("/v1/responses/{id}"))).await.status, 200);
    }
    gateway.ends_quiet().await;
}

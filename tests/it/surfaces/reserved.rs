//! What is reserved for calls of which the request does not show what they come to: no number of them at once passes a
//! limit.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply, TestGateway};
use serde_json::{Value, json};

use super::{GPT, Site, get, post};

/// A micro-dollar per token of output, nothing for the prompt.
const PRICED: &str = "[openai.\"gpt-*\"]\ninput = 0\noutput = 1\n";

const PICTURES: &str = "/v1/images/generations";

fn picture(members: Value) -> Request {
    let mut body = json!({"model": GPT, "prompt": "a cat"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    post("eve", PICTURES, body)
}

fn form(fields: &[(&str, &str)]) -> Request {
    let field = |(name, value): &(&str, &str)| {
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields: String = fields.iter().map(field).collect();
    let file = "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n\u{7f}PNG\r\n--edge--\r\n";
    Request::post("/v1/images/edits")
        .header("authorization", "Bearer key-eve")
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(format!("{fields}{file}"))
}

async fn site(models: &str, eve: Value) -> Site {
    let upstream = FakeUpstream::start().await;
    let gateway = Site::builder(&upstream, "", "").models(models).client("eve", eve).start().await;
    Site { upstream, gateway }
}

/// Asks 20 times at once for what the upstream takes and never answers, until all but `fitting` are refused.
async fn at_once(site: &Site, request: &Request, fitting: usize) {
    site.upstream.always(Reply::never());
    let before = site.upstream.requests();
    let mut asked: FuturesUnordered<_> = (0..20).map(|_| site.gateway.ask(request)).collect();
    for _ in fitting..20 {
        let answer = tokio::select! {
            answer = asked.next() => answer.unwrap(),
            // One more than fits would never answer.
            () = site.upstream.arrived(before + fitting + 1) => panic!("more than {fitting} were let in"),
        };
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.header("x-should-retry"), None, "there is room when those in flight have ended");
    }
    site.upstream.arrived(before + fitting).await;
    assert_eq!(site.upstream.requests(), before + fitting);
    drop(asked);
    site.gateway.is_quiet().await;
}

async fn cost(gateway: &TestGateway) -> u64 {
    gateway.is_quiet().await;
    gateway.limits("eve").await.cost_today
}

#[tokio::test]
async fn pictures_at_once_do_not_pass_a_budget_together() {
    let models = format!("{PRICED}max_output = 1000\n");
    // Each may cost a thousandth of a dollar, and twice that where two are asked for.
    for (request, fitting) in [
        (picture(json!({})), 6),
        (picture(json!({"n": 2})), 3),
        (picture(json!({"n": "2"})), 3),
        (form(&[("model", GPT), ("n", "3")]), 2),
        (post("eve", "/v1/responses/compact", json!({"model": GPT, "input": "x"})), 6),
        (post("eve", "/v1/audio/speech", json!({"model": GPT, "input": "x", "voice": "alloy"})), 6),
    ] {
        let site = site(&models, json!({"budget": {"usd_per_day": "0.006"}})).await;
        at_once(&site, &request, fitting).await;
        // Nobody heard what they came to.
        assert_eq!(cost(&site.gateway).await, 6_000_000_000);
        site.ends().await;
    }
}

#[tokio::test]
async fn where_nothing_bounds_a_call_there_is_one_at_a_time() {
    for (eve, models) in [
        (json!({"budget": {"usd_per_day": "1.00"}}), PRICED),
        (json!({"budget": {"usd_per_month": "1.00"}}), PRICED),
        (json!({"rate_limit": {"tokens_per_day": 100_000}}), ""),
        (json!({"rate_limit": {"tokens_per_minute": 100_000}}), ""),
    ] {
        let site = site(models, eve).await;
        at_once(&site, &picture(json!({})), 1).await;
        // It settles to what it is told, and the next one has its place.
        let usage = json!({"input_tokens": 10, "output_tokens": 7_000, "total_tokens": 7_010});
        site.upstream.always(Reply::json(json!({"created": 1, "data": [], "usage": usage})).not_streamed());
        let before = site.gateway.limits("eve").await;
        for _ in 0..3 {
            let answer = site.gateway.ask(&picture(json!({}))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        site.gateway.is_quiet().await;
        let after = site.gateway.limits("eve").await;
        assert_eq!(after.tokens_today - before.tokens_today, 3 * 7_010);
        let expected = if models.is_empty() { 0 } else { 3 * 7_000 * 1_000_000 };
        assert_eq!(after.cost_today - before.cost_today, expected);
        site.ends().await;
    }
}

#[tokio::test]
async fn sound_that_tells_nothing_is_charged_at_its_bound_under_a_budget() {
    let models = format!("{PRICED}max_output = 1000\n");
    let speech = post("eve", "/v1/audio/speech", json!({"model": GPT, "input": "x", "voice": "alloy"}));
    for (eve, charged) in [
        (json!({"budget": {"usd_per_day": "1"}}), 1_000_000_000),
        (json!({"rate_limit": {"tokens_per_day": 100_000}}), 0),
    ] {
        let site = site(&models, eve).await;
        site.upstream.script(Reply::body("audio/mpeg", vec![1; 100]));
        assert_eq!(site.gateway.ask(&speech).await.status, 200);
        assert_eq!(cost(&site.gateway).await, charged);
        // What no model writes costs its prompt alone.
        let moderation = post("eve", "/v1/moderations", json!({"model": GPT, "input": "x"}));
        assert_eq!(site.gateway.ask(&moderation).await.status, 200);
        assert_eq!(cost(&site.gateway).await, charged);
        site.ends().await;
    }
}

#[tokio::test]
async fn what_an_upstream_adds_to_a_prompt_is_reserved() {
    let models = "[openai.\"gpt-*\"]\ncontext = 6000\nmax_output = 1000\n";
    for (models, limit, fitting) in [(models, 21_500, 3), (models, 3_000, 1), ("", 50_000, 1)] {
        let site = site(models, json!({"rate_limit": {"tokens_per_day": limit}})).await;
        let first =
            post("eve", "/v1/responses", json!({"model": GPT, "input": "hi", "max_output_tokens": 1}));
        let answer = site.gateway.ask(&first).await;
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        site.gateway.is_quiet().await;
        let members =
            json!({"model": GPT, "input": "on", "previous_response_id": id, "max_output_tokens": 1000});
        at_once(&site, &post("eve", "/v1/responses", members), fitting).await;
        // A client that left pays what it sent.
        let used = site.gateway.tokens_used("eve").await;
        assert!(used < 200, "{used}");
        site.ends().await;
    }
}

#[tokio::test]
async fn what_goes_on_from_a_response_is_compacted_where_that_is() {
    let both = "[models.both]\ntargets = [\"plain/plain-test\", \"openai/gpt-test\"]\n";
    let site = Site::with(both, "").await;
    let made = site.gateway.ask(&post("ada", "/v1/responses", json!({"model": GPT, "input": "hi"}))).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for path in ["/v1/responses/compact", "/v1/responses/input_tokens"] {
        let input = json!([{"role": "user", "content": "x"}]);
        let body = json!({"model": "both", "input": input, "previous_response_id": id});
        let answer = site.gateway.ask(&post("ada", path, body)).await;
        assert_eq!(answer.header("x-gateway-provider"), Some("openai"), "{path}: {}", answer.text());
        let body = json!({"model": "plain-test", "input": input, "previous_response_id": id});
        let answer = site.gateway.ask(&post("ada", path, body)).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_goes_on_in_the_background_without_its_client_is_reserved_until_it_is_heard_of() {
    let site = Site::start().await;
    for reply in [Reply::stream(["a", "b", "c"]).stall_after(1), Reply::stream(["a", "b", "c"]).cut_after(1)]
    {
        let before = site.gateway.tokens_used("ada").await;
        site.upstream.script(reply);
        let members = json!({"model": GPT, "input": "hi", "stream": true, "background": true, "max_output_tokens": 500});
        let mut client = site.gateway.connect().await;
        client.send(&post("ada", "/v1/responses", members)).await;
        assert_eq!(client.head().await.status, 200);
        let mut text = String::new();
        while !text.contains(".delta") {
            text.push_str(&String::from_utf8_lossy(&client.next_bytes(1).await));
        }
        client.hang_up();
        let id = text.split("\"resp_").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let id = format!("resp_{id}");
        let reserved = || async {
            let view = site.gateway.limits("ada").await;
            view.tokens_per_day.map(|meter| (meter.reserved, view.in_flight)).unwrap()
        };
        gateway_testkit::deadline::patiently("its place is free, and its bound reserved", async {
            loop {
                let (reserved, in_flight) = reserved().await;
                if in_flight == 0 && reserved > 500 {
                    break;
                }
            }
        })
        .await;
        // Whoever hears of its end settles it, once.
        let path = format!("/v1/responses/{id}");
        let answer = site.gateway.ask(&get("ada", &path)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json()["usage"]["total_tokens"].as_u64().unwrap();
        assert_eq!(site.gateway.ask(&get("ada", &format!("{path}?stream=true"))).await.status, 200);
        site.gateway.is_quiet().await;
        assert_eq!(site.gateway.tokens_used("ada").await - before, told);
        assert_eq!(reserved().await.0, 0);
    }
    site.ends().await;
}

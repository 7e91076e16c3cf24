//! The headers by which a caller sees its limits, its request's id and its route, on answers and refusals.

use std::collections::HashSet;

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Headers, Reply, TestGateway, chat_request, chat_with};
use serde_json::{Value, json};

const LIMIT_HEADERS: [&str; 8] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "ratelimit-policy",
    "ratelimit",
];

fn all_limits() -> Value {
    json!({"rate_limit": {
        "requests_per_minute": 60, "tokens_per_minute": 50_000, "tokens_per_day": 100_000, "concurrent_requests": 8
    }})
}

fn capped(client: &str, max_tokens: u64, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    chat_with(client, json!({"messages": messages, "max_tokens": max_tokens, "stream": stream}))
}

fn generate(client: &str) -> Request {
    Request::post("/api/v1/generate")
        .header("authorization", &format!("Bearer key-{client}"))
        .json(&json!({"prompt": "hi", "model": "gpt-test", "max_tokens": 10}))
}

fn number(headers: &Headers, name: &str) -> u64 {
    let value = headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}"));
    value.parse().unwrap_or_else(|_| panic!("{name} is `{value}`"))
}

/// `59.998s`, `1m0s`, `88ms`, `23h59m59s` in milliseconds.
fn milliseconds(reset: &str) -> u64 {
    let mut rest = reset;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic()).expect("a number has its unit");
        let (amount, behind) = rest.split_at(digits);
        let unit =
            ["ms", "h", "m", "s"].into_iter().find(|unit| behind.starts_with(unit)).expect("a known unit");
        let factor = match unit {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            _ => 3_600_000.0,
        };
        sum += amount.parse::<f64>().expect("a number") * factor;
        rest = &behind[unit.len()..];
    }
    sum.round() as u64
}

/// The members of `RateLimit`: name, what remains, seconds to the reset.
fn rate_limit(headers: &Headers) -> Vec<(String, u64, u64)> {
    let item = |item: &str| {
        let mut parts = item.trim().split(';');
        let name = parts.next().unwrap().trim_matches('"').to_owned();
        let mut parameter =
            |key: &str| parts.next().unwrap().strip_prefix(key).unwrap().parse::<u64>().unwrap();
        (name, parameter("r="), parameter("t="))
    };
    headers.get("ratelimit").expect("RateLimit").split(',').map(item).collect()
}

fn has_no_limit_header(answer: &Answer) -> bool {
    LIMIT_HEADERS.iter().all(|name| answer.header(name).is_none())
}

#[tokio::test]
async fn an_answer_tells_the_state_of_every_limit_on_every_route() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", all_limits()).start().await;
    for (asked, request) in
        [capped("ada", 10, false), capped("ada", 10, true), generate("ada")].iter().enumerate()
    {
        let answer = gateway.ask(request).await;
        assert_eq!(answer.status, 200);
        let headers = &answer.headers;
        let remaining = 59 - asked as u64;
        assert_eq!(number(headers, "x-ratelimit-limit-requests"), 60);
        assert_eq!(number(headers, "x-ratelimit-remaining-requests"), remaining);
        assert_eq!(milliseconds(headers.get("x-ratelimit-reset-requests").unwrap()), 60_000);
        // Of the two token limits that which has less left.
        assert_eq!(number(headers, "x-ratelimit-limit-tokens"), 50_000);
        let tokens = number(headers, "x-ratelimit-remaining-tokens");
        assert!((45_000..50_000).contains(&tokens), "{tokens}");
        assert_eq!(milliseconds(headers.get("x-ratelimit-reset-tokens").unwrap()), 60_000);
        assert_eq!(
            headers.get("ratelimit-policy"),
            Some("\"rpm\";q=60;w=60, \"tpm\";q=50000;w=60, \"tpd\";q=100000;w=86400")
        );
        let state = rate_limit(headers);
        assert_eq!(
            (&state[0], &state[1]),
            (&("rpm".to_owned(), remaining, 60), &("tpm".to_owned(), tokens, 60))
        );
        assert_eq!((state[2].0.as_str(), state[2].1), ("tpd", tokens + 50_000));
        assert!(state[2].2 <= 86_400);
        gateway.is_quiet().await;
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_remains_falls_by_what_was_used_and_not_by_what_was_reserved() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", all_limits()).start().await;
    upstream.always(Reply::text("yes").tokens(70, 30));
    let mut before = None;
    for _ in 0..5 {
        let answer = gateway.ask(&capped("ada", 10_000, false)).await;
        let remaining = number(&answer.headers, "x-ratelimit-remaining-tokens");
        assert!(before.is_none_or(|before: u64| before - remaining == 100), "{before:?}, then {remaining}");
        before = Some(remaining);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_without_limits_gets_no_limit_headers() {
    let upstream = FakeUpstream::start().await;
    let slots = json!({"rate_limit": {"concurrent_requests": 3}});
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).client("bob", slots).start().await;
    for client in ["ada", "bob"] {
        // Calls at once have no window, so no header tells of them either.
        assert!(has_no_limit_header(&gateway.chat(client, "hi").await));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_refusal_by_the_limiter_has_the_headers_and_says_when_to_come_again() {
    let upstream = FakeUpstream::start().await;
    let limits = json!({"rate_limit": {"requests_per_minute": 1, "tokens_per_day": 100_000}});
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    let never_fits = gateway.ask(&capped("ada", 200_000, false)).await;
    assert_eq!(never_fits.status, 400);
    assert_eq!(number(&never_fits.headers, "x-ratelimit-remaining-requests"), 1);
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    for request in [chat_request("ada", "hi", false), chat_request("ada", "hi", true), generate("ada")] {
        let refused = gateway.ask(&request).await;
        assert_eq!(refused.status, 429);
        let headers = &refused.headers;
        assert_eq!(headers.get("x-ratelimit-limited-by"), Some("requests_per_minute"));
        assert_eq!(number(headers, "x-ratelimit-limit-requests"), 1);
        assert_eq!(number(headers, "x-ratelimit-remaining-requests"), 0);
        assert_eq!(number(headers, "x-ratelimit-limit-tokens"), 100_000);
        assert_eq!(rate_limit(headers)[0].1, 0);
        let (seconds, ms) = (number(headers, "retry-after"), number(headers, "retry-after-ms"));
        assert!((55_000..=60_000).contains(&ms), "{ms}");
        assert_eq!(seconds, ms.div_ceil(1000), "whole seconds, rounded up");
        let reset = milliseconds(headers.get("x-ratelimit-reset-requests").unwrap());
        assert!(reset.abs_diff(ms) <= 1, "the window is empty when the request fits: {reset}, {ms}");
        assert_eq!(headers.get("x-gateway-provider"), None, "nothing was dispatched");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_is_refused_before_the_limiter_has_no_limit_headers() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({"allowed_endpoints": ["chat/completions"], "max_tokens_limit": 100}))
        .start()
        .await;
    let stranger = chat_request("eve", "hi", false);
    let bad_json = Request::post("/v1/chat/completions").header("x-api-key", "key-ada").body("{");
    let refusals = [
        (stranger, 401),
        (generate("ada"), 403),
        (bad_json, 400),
        (capped("ada", 101, false), 400),
        (Request::get("/nowhere"), 404),
        (Request::get("/v1/chat/completions"), 405),
    ];
    for (request, status) in refusals {
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status, status);
        assert!(has_no_limit_header(&answer), "{status}: {:?}", answer.headers);
        assert!(answer.header("x-request-id").is_some(), "{status}");
        assert_eq!(answer.header("retry-after"), None, "{status}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_503_after_the_limiter_has_the_limit_headers_and_a_time() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", all_limits())
        .provider("max_concurrency = 1\nqueue = {max = 0, wait = \"5s\"}")
        .start()
        .await;
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = gateway.stream("ada", "hi").await;
    for request in [chat_request("ada", "hi", false), generate("ada")] {
        let refused = gateway.ask(&request).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("retry-after-ms"), Some("1000"));
        assert_eq!(number(&refused.headers, "x-ratelimit-limit-requests"), 60);
        assert_eq!(refused.header("x-ratelimit-limited-by"), None, "no limit of the client's refused");
    }
    running.hang_up();
    gateway.ends_quiet().await;
}

/// `gateway;dur=0.12, upstream;dur=341.0`.
fn timing(headers: &Headers) -> (f64, f64) {
    let value = headers.get("server-timing").expect("Server-Timing");
    let (gateway, upstream) = value.split_once(", ").expect("two parts");
    let gateway = gateway.strip_prefix("gateway;dur=").expect("the gateway's part");
    let upstream = upstream.strip_prefix("upstream;dur=").expect("the upstream's part");
    (gateway.parse().expect("milliseconds"), upstream.parse().expect("milliseconds"))
}

#[tokio::test]
async fn what_was_dispatched_names_provider_model_attempts_and_time() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().client("ada", json!({})).start().await;
    let wait = std::time::Duration::from_millis(50);
    let replies = [
        (Reply::text("yes").after(wait), 200),
        (Reply::error(500).after(wait), 502),
        (Reply::error(400).after(wait), 400),
    ];
    for (reply, status) in replies {
        for request in [chat_request("ada", "hi", false), chat_request("ada", "hi", true), generate("ada")] {
            upstream.script(reply.clone());
            let answer = gateway.ask(&request).await;
            assert_eq!(answer.status, status, "{}", answer.text());
            assert_eq!(answer.header("x-gateway-provider"), Some("openai"));
            assert_eq!(answer.header("x-gateway-model"), Some("gpt-test"));
            assert_eq!(answer.header("x-gateway-attempts"), Some("1"));
            let (gateway_ms, upstream_ms) = timing(&answer.headers);
            assert!(
                upstream_ms >= 50.0 && gateway_ms < upstream_ms,
                "{gateway_ms} of {upstream_ms}, {status}"
            );
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_must_not_be_buffered_or_cached() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_and_brings_the_callers_back() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let requests = [
        chat_request("ada", "hi", false),
        chat_request("ada", "hi", true),
        chat_request("eve", "hi", false),
        generate("ada"),
        Request::get("/health"),
        Request::get("/openapi.json"),
        Request::get("/nowhere"),
        Request::new("DELETE", "/v1/models"),
        Request::get("/admin/tree"),
    ];
    let mut ids = HashSet::new();
    for request in &requests {
        let plain = gateway.ask(request).await;
        assert_eq!(plain.header("x-client-request-id"), None);
        let named = gateway.ask(&request.clone().header("x-request-id", "my-own/id=7~")).await;
        assert_eq!(named.header("x-client-request-id"), Some("my-own/id=7~"));
        for answer in [plain, named] {
            let id = answer.header("x-request-id").expect("an id").to_owned();
            assert!(id.starts_with("req_") && id != "my-own/id=7~", "{id}");
            assert!(ids.insert(id), "ids are unique");
        }
    }
    let longest = "x".repeat(128);
    let answer = gateway.ask(&Request::get("/health").header("x-request-id", &longest)).await;
    assert_eq!(answer.header("x-client-request-id"), Some(longest.as_str()));
    for unfit in ["x".repeat(129), "two words".to_owned(), "umläut".to_owned(), String::new()] {
        let answer = gateway.ask(&Request::get("/health").header("x-request-id", &unfit)).await;
        assert_eq!((answer.status, answer.header("x-client-request-id")), (200, None), "`{unfit}`");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_callers_request_id_and_credentials_stay_here_and_its_trace_goes_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request =
        chat_request("ada", "hi", false).header("x-request-id", "mine").header("traceparent", trace);
    assert_eq!(gateway.ask(&request).await.status, 200);
    let seen = upstream.request(0);
    assert_eq!(seen.header("traceparent"), Some(trace));
    assert_eq!(seen.header("x-request-id"), None);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-test-upstream-key"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_upstreams_own_limit_headers_never_reach_the_client() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for stream in [false, true] {
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert!(upstream.requests() > 0 && has_no_limit_header(&answer), "{:?}", answer.headers);
        assert_eq!(answer.header("openai-processing-ms"), Some("123"));
        for foreign in ["openai-organization", "set-cookie", "cf-ray", "server"] {
            assert_eq!(answer.header(foreign), None);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstreams_429_keeps_its_own_word_on_when_to_come_again() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", all_limits()).start().await;
    upstream.script(Reply::error(429).header("retry-after", "7").header("retry-after-ms", "6500"));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!(answer.status, 429);
    assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("7"), Some("6500")));
    assert_eq!(answer.header("x-ratelimit-limited-by"), None, "no limit of the client's refused");
    assert_eq!(number(&answer.headers, "x-ratelimit-limit-requests"), 60, "ours, not the upstream's");
    // Where it leaves one form out, both still say the same.
    upstream.script(Reply::error(429).header("retry-after", "7").without_header("retry-after-ms"));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("7"), Some("7000")));
    upstream.script(Reply::error(429).without_header("retry-after").header("retry-after-ms", "6500"));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("7"), Some("6500")));
    let date = "Fri, 31 Dec 2999 23:59:59 GMT";
    upstream.script(Reply::error(429).header("retry-after", date).without_header("retry-after-ms"));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some(date), None));
    // One that names no time gets one.
    upstream.script(Reply::error(429).without_header("retry-after").without_header("retry-after-ms"));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    gateway.ends_quiet().await;
}

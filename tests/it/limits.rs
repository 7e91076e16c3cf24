//! The four limits over HTTP: exact under concurrency, settled to what was used, one limiter for all routes.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use gateway_testkit::raw_client::{Answer, Head, Request};
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request, chat_with};
use serde_json::{Value, json};

/// A client's file with these limits.
fn limited(limits: Value) -> Value {
    json!({ "rate_limit": limits })
}

/// A chat request with this output cap, streamed or not.
fn capped(client: &str, max_tokens: u64, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    chat_with(client, json!({"messages": messages, "max_tokens": max_tokens, "stream": stream}))
}

/// A request of the seed's API.
fn generate(client: &str, max_tokens: u64) -> Request {
    Request::post("/api/v1/generate")
        .header("authorization", &format!("Bearer key-{client}"))
        .json(&json!({"prompt": "hi", "model": "gpt-test", "max_tokens": max_tokens}))
}

/// Opens this request `count` times at once, each on its own connection.
async fn at_once(gateway: &TestGateway, count: usize, request: &Request) -> Vec<(Head, RawClient)> {
    let open = |_| async {
        let mut connection = gateway.connect().await;
        (connection.open(request).await, connection)
    };
    join_all((0..count).map(open)).await
}

/// How many of them were let in; the others must be 429, by this limit.
fn let_in(opened: &[(Head, RawClient)], limit: &str) -> usize {
    let refused = opened.iter().filter(|(head, _)| head.status != 200);
    for (head, _) in refused.clone() {
        assert_eq!((head.status, head.headers.get("x-ratelimit-limited-by")), (429, Some(limit)));
        assert!(head.headers.get("retry-after").is_some() && head.headers.get("retry-after-ms").is_some());
    }
    opened.len() - refused.count()
}

fn error_of(answer: &Answer) -> Value {
    answer.json()["error"].clone()
}

/// When the limit that refused is free again, in seconds since 1970.
fn reset_at(error: &Value) -> u64 {
    let at = error["limit"]["reset_at"].as_str().expect("a time");
    let at: jiff::Timestamp = at.parse().expect("a time as RFC 3339 writes it");
    at.as_second().try_into().unwrap()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_requests_at_once_exactly_as_many_as_the_minute_allows_reach_the_upstream() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"requests_per_minute": 20}))).start().await;
    let opened = at_once(&gateway, 200, &chat_request("ada", "hi", false)).await;
    assert_eq!(let_in(&opened, "requests_per_minute"), 20);
    assert_eq!(upstream.requests(), 20);
    gateway.ends_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_streams_at_once_exactly_as_many_as_there_are_slots_are_open() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"concurrent_requests": 20}))).start().await;
    upstream.always(Reply::stream(["one", "two"]).stall_after(1));
    let opened = at_once(&gateway, 200, &chat_request("ada", "hi", true)).await;
    assert_eq!(let_in(&opened, "concurrent_requests"), 20);
    assert_eq!(upstream.requests(), 20);
    assert_eq!(gateway.limits("ada").await.in_flight, 20);
    drop(opened);
    gateway.ends_quiet().await;
}

/// Each call reserves its cap and a short prompt, and none is settled while the others ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reserved_at_once_never_passes_a_token_limit() {
    for limit in ["tokens_per_minute", "tokens_per_day"] {
        let upstream = FakeUpstream::start().await;
        let gateway =
            TestGateway::with(&upstream).client("ada", limited(json!({limit: 209_900}))).start().await;
        upstream.always(Reply::stream(["one", "two"]).stall_after(1));
        let opened = at_once(&gateway, 100, &capped("ada", 10_000, true)).await;
        assert_eq!(let_in(&opened, limit), 20, "21 calls of 10,000 tokens are above {limit} 209,900");
        assert_eq!(upstream.requests(), 20);
        drop(opened);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn clients_do_not_share_their_limits() {
    let upstream = FakeUpstream::start().await;
    let one = limited(json!({"requests_per_minute": 1, "concurrent_requests": 1}));
    let gateway = TestGateway::with(&upstream).client("ada", one.clone()).client("bob", one).start().await;
    for client in ["ada", "bob"] {
        assert_eq!(gateway.chat(client, "hi").await.status, 200);
        assert_eq!(gateway.chat(client, "hi").await.status, 429);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn one_limiter_guards_the_seed_api_and_the_openai_api() {
    let upstream = FakeUpstream::start().await;
    let limits = limited(json!({"requests_per_minute": 3, "tokens_per_day": 100_000}));
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    upstream.always(Reply::text("yes").tokens(7, 3));
    let groq = Request::post("/openai/v1/chat/completions").header("x-api-key", "key-ada");
    let groq = groq.json(&json!({"model": "gpt-test", "messages": [{"role": "user", "content": "hi"}]}));
    for request in [generate("ada", 10), chat_request("ada", "hi", true), groq.clone()] {
        assert_eq!(gateway.ask(&request).await.status, 200);
    }
    for request in [generate("ada", 10), chat_request("ada", "hi", false), groq] {
        assert_eq!(gateway.ask(&request).await.status, 429);
    }
    assert_eq!(gateway.limits("ada").await.tokens_per_day.unwrap().used, 30);
    assert_eq!(upstream.requests(), 3);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_refusal_names_its_limit_in_the_form_of_each_api() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"requests_per_minute": 1}))).start().await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);

    let refused = gateway.chat("ada", "hi").await;
    assert_eq!(refused.status, 429);
    let error = error_of(&refused);
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_error"), &json!("rate_limit_exceeded")));
    assert!(error["message"].as_str().unwrap().contains("requests_per_minute"), "{error}");
    assert_eq!(error["limit"]["name"], "requests_per_minute");
    assert_eq!((&error["limit"]["limit"], &error["limit"]["used"]), (&json!(1), &json!(1)));
    let reset_in = reset_at(&error) - unix_seconds();
    assert!((50..=61).contains(&reset_in), "renewed {reset_in} s from now");
    assert_eq!(refused.header("x-should-retry"), None, "waiting helps");

    let refused = gateway.ask(&generate("ada", 10)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-ratelimit-limited-by"), Some("requests_per_minute"));
    let body = refused.json();
    assert!(body["detail"].as_str().unwrap().contains("requests_per_minute"), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_day_that_is_really_spent_is_quota_and_not_to_be_retried() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"tokens_per_day": 100_000}))).start().await;
    upstream.script(Reply::text("yes").tokens(60_000, 35_000));
    assert_eq!(gateway.ask(&capped("ada", 90_000, false)).await.status, 200);

    let refused = gateway.ask(&capped("ada", 9_000, false)).await;
    let error = error_of(&refused);
    assert_eq!((refused.status, &error["code"]), (429, &json!("insufficient_quota")), "{error}");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.header("x-ratelimit-limited-by"), Some("tokens_per_day"));
    assert_eq!(error["limit"]["used"], 95_000);
    let midnight = (unix_seconds() / 86_400 + 1) * 86_400;
    assert_eq!(reset_at(&error), midnight, "the day is UTC's");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(wait.abs_diff(midnight - unix_seconds()) <= 2, "{wait}");
    // What still fits is let in.
    assert_eq!(gateway.ask(&capped("ada", 1_000, false)).await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_day_that_is_only_reserved_is_a_rate_limit_and_worth_another_try() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"tokens_per_day": 100_000}))).start().await;
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = at_once(&gateway, 1, &capped("ada", 90_000, true)).await;

    let refused = gateway.ask(&capped("ada", 20_000, false)).await;
    let error = error_of(&refused);
    assert_eq!((refused.status, &error["code"]), (429, &json!("rate_limit_exceeded")), "{error}");
    assert_eq!(refused.header("x-should-retry"), None);
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(running);
    gateway.is_quiet().await;
    assert_eq!(gateway.ask(&capped("ada", 20_000, false)).await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_request_that_can_never_fit_is_a_bad_request() {
    for limit in ["tokens_per_minute", "tokens_per_day"] {
        let upstream = FakeUpstream::start().await;
        let gateway =
            TestGateway::with(&upstream).client("ada", limited(json!({limit: 50_000}))).start().await;
        let refused = gateway.ask(&capped("ada", 50_000, false)).await;
        let error = error_of(&refused);
        assert_eq!((refused.status, &error["type"]), (400, &json!("invalid_request_error")), "{error}");
        assert!(error["message"].as_str().unwrap().contains(limit), "{error}");
        assert_eq!(refused.header("retry-after"), None, "no waiting helps");
        let refused = gateway.ask(&generate("ada", 50_000)).await;
        assert_eq!(refused.status, 400);
        assert!(refused.json()["detail"].is_string());
        assert_eq!(upstream.requests(), 0);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_limit_of_zero_blocks_for_good() {
    for limit in ["requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrent_requests"] {
        let upstream = FakeUpstream::start().await;
        let gateway = TestGateway::with(&upstream).client("ada", limited(json!({limit: 0}))).start().await;
        let refused = gateway.chat("ada", "hi").await;
        assert_eq!(
            (refused.status, &error_of(&refused)["code"]),
            (429, &json!("insufficient_quota")),
            "{limit}"
        );
        assert_eq!(refused.header("x-should-retry"), Some("false"));
        assert_eq!(refused.header("x-ratelimit-limited-by"), Some(limit));
        assert_eq!(upstream.requests(), 0);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_request_refused_by_one_limit_uses_up_nothing_of_the_others() {
    let upstream = FakeUpstream::start().await;
    let limits = json!({
        "requests_per_minute": 3, "tokens_per_minute": 50_000, "tokens_per_day": 60_000, "concurrent_requests": 1
    });
    let gateway = TestGateway::with(&upstream).client("ada", limited(limits)).start().await;
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = at_once(&gateway, 1, &capped("ada", 20_000, true)).await;
    let before = gateway.limits("ada").await;
    let refusals = [
        (capped("ada", 1_000, false), 429),
        (capped("ada", 45_000, false), 429),
        (capped("ada", 55_000, false), 400),
    ];
    for (request, status) in refusals.iter().cycle().take(30) {
        assert_eq!(gateway.ask(request).await.status, *status);
    }
    let after = gateway.limits("ada").await;
    assert_eq!(after.requests_per_minute.unwrap().used, 1);
    assert_eq!(after.tokens_per_minute.unwrap().reserved, before.tokens_per_minute.unwrap().reserved);
    assert_eq!(after.tokens_per_day.unwrap().reserved, before.tokens_per_day.unwrap().reserved);
    assert_eq!(after.in_flight, 1);
    drop(running);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_failed_upstream_call_gives_its_tokens_back_but_not_its_request() {
    let upstream = FakeUpstream::start().await;
    let limits = limited(json!({"requests_per_minute": 100, "tokens_per_day": 100_000}));
    let gateway = TestGateway::with(&upstream).once().client("ada", limits).start().await;
    let failures = [
        (Reply::error(500), 502),
        (Reply::error(503), 502),
        (Reply::error(400), 400),
        (Reply::error(429), 429),
        (Reply::html(), 502),
        (Reply::null(), 502),
        (Reply::text("never whole").cut_at_byte(10), 502),
    ];
    let mut asked = 0;
    for (reply, status) in failures {
        for stream in [false, true] {
            upstream.script(reply.clone());
            let answer = gateway.ask(&capped("ada", 50_000, stream)).await;
            assert_eq!(answer.status, status, "stream {stream}, {reply:?}: {}", answer.text());
            asked += 1;
            let view = gateway.limits("ada").await;
            let day = view.tokens_per_day.unwrap();
            assert_eq!((day.used, day.reserved), (0, 0), "{reply:?}");
            assert_eq!(view.requests_per_minute.unwrap().used, asked);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_costs_no_tokens() {
    let nowhere = gateway_testkit::BlackHole::refusing_url().await;
    let limits = limited(json!({"requests_per_minute": 100, "tokens_per_day": 100_000}));
    let gateway = TestGateway::at(&nowhere).client("ada", limits).start().await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 502);
    let view = gateway.limits("ada").await;
    assert_eq!(view.tokens_per_day.unwrap().remaining, 100_000);
    assert_eq!(view.requests_per_minute.unwrap().used, 1, "the call was made");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_503_before_anything_was_sent_gives_the_request_back_too() {
    let upstream = FakeUpstream::start().await;
    let limits = limited(json!({"requests_per_minute": 3, "tokens_per_day": 100_000}));
    let gateway = TestGateway::with(&upstream)
        .client("ada", limits)
        .provider("max_concurrency = 1\nqueue = {max = 0, wait = \"5s\"}")
        .start()
        .await;
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = gateway.stream("ada", "hi").await;
    let reserved = gateway.limits("ada").await.tokens_per_day.unwrap().reserved;
    for _ in 0..10 {
        let refused = gateway.chat("ada", "hi").await;
        assert_eq!((refused.status, &error_of(&refused)["code"]), (503, &json!("overloaded")));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    let view = gateway.limits("ada").await;
    assert_eq!(view.requests_per_minute.unwrap().used, 1);
    assert_eq!(view.tokens_per_day.unwrap().reserved, reserved);
    assert_eq!(upstream.requests(), 1);
    running.hang_up();
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_leaves_the_providers_queue_gets_everything_back() {
    let upstream = FakeUpstream::start().await;
    let limits =
        limited(json!({"requests_per_minute": 10, "tokens_per_day": 100_000, "concurrent_requests": 2}));
    let gateway =
        TestGateway::with(&upstream).client("ada", limits).provider("max_concurrency = 1").start().await;
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = gateway.stream("ada", "hi").await;
    let mut waiting = gateway.connect().await;
    waiting.send(&chat_request("ada", "hi", false)).await;
    let open = || gateway.front().gateway.shared().open_admissions().len();
    gateway.until("the second call waits for the provider", || open() == 2).await;
    waiting.hang_up();
    gateway.until("its slot is free", || open() == 1).await;
    assert_eq!(gateway.limits("ada").await.requests_per_minute.unwrap().used, 1);
    running.hang_up();
    gateway.is_quiet().await;
    assert_eq!(upstream.requests(), 1, "what waited was never sent");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_in_mid_stream_frees_its_slot_and_pays_what_it_caused() {
    let upstream = FakeUpstream::start().await;
    let limits = limited(json!({"tokens_per_day": 1_000_000, "concurrent_requests": 1}));
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    let words = "The quick brown fox jumps over the lazy dog and runs through the forest. ".repeat(20);
    upstream.script(Reply::stream([words.as_str(), "the end"]).stall_after(1));
    let mut stream = gateway.connect().await;
    assert_eq!(stream.open(&capped("ada", 500_000, true)).await.status, 200);
    while !stream.next_message().await.expect("the stream goes on").contains("quick") {}
    assert_eq!(gateway.chat("ada", "hi").await.status, 429, "its slot is taken");

    stream.hang_up();
    upstream.request(0).connection_closed().await;
    gateway.is_quiet().await;
    let day = gateway.limits("ada").await.tokens_per_day.unwrap();
    assert_eq!(day.reserved, 0);
    // 280 words; no tokenizer makes fewer tokens than words of them, and none more than bytes.
    assert!((280..=1_600).contains(&day.used), "{} tokens for 280 words", day.used);
    upstream.script(Reply::text("yes").tokens(5, 5));
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    assert_eq!(gateway.limits("ada").await.tokens_per_day.unwrap().used, day.used + 10);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_frees_its_slot_and_pays_for_the_prompt_alone() {
    let upstream = FakeUpstream::start().await;
    let limits = limited(json!({"tokens_per_day": 1_000_000, "concurrent_requests": 1}));
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    for stream in [false, true] {
        upstream.script(Reply::never());
        let mut connection = gateway.connect().await;
        connection.send(&capped("ada", 500_000, stream)).await;
        let seen = upstream.next_request().await;
        connection.hang_up();
        seen.connection_closed().await;
        gateway.is_quiet().await;
    }
    let day = gateway.limits("ada").await.tokens_per_day.unwrap();
    assert!(day.reserved == 0 && (2..1_000).contains(&day.used), "{day:?}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_the_upstream_reports_is_what_is_paid_whatever_was_reserved() {
    let upstream = FakeUpstream::start().await;
    let limits = limited(json!({"tokens_per_minute": 1_000_000, "tokens_per_day": 1_000_000}));
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    for (round, stream) in [(1, false), (2, true), (3, false), (4, true)] {
        upstream.script(Reply::text("a b c d").tokens(41, 59));
        assert_eq!(gateway.ask(&capped("ada", 10_000, stream)).await.status, 200);
        let view = gateway.limits("ada").await;
        for meter in [view.tokens_per_day.unwrap(), view.tokens_per_minute.unwrap()] {
            assert_eq!((meter.used, meter.reserved), (100 * round, 0), "{}", meter.name);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_report_above_the_bound_is_debt_and_closes_the_day() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"tokens_per_day": 100_000}))).start().await;
    upstream.script(Reply::text("yes").tokens(150_000, 10));
    assert_eq!(gateway.ask(&capped("ada", 1_000, false)).await.status, 200);
    let view = gateway.limits("ada").await;
    assert_eq!(view.tokens_per_day.unwrap().used, 150_010);
    assert!(view.debt > 140_000, "{}", view.debt);
    let refused = gateway.ask(&capped("ada", 1, false)).await;
    assert_eq!((refused.status, &error_of(&refused)["code"]), (429, &json!("insufficient_quota")));
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), Some("0"));
    gateway.ends_quiet().await;
}

/// The settlement is with the limiter before the answer's last byte leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strictly_sequential_client_with_one_slot_is_never_refused() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::text("a few words of answer").tokens(5, 5));
    let limits = limited(json!({"concurrent_requests": 1, "tokens_per_day": 1_000_000}));
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    let mut connection = gateway.connect().await;
    for n in 0..500 {
        for request in [capped("ada", 100, n % 2 == 0), generate("ada", 100)] {
            let answer = connection.ask(&request).await;
            assert_eq!(answer.status, 200, "request {n}: {}", answer.text());
        }
    }
    gateway.is_quiet().await;
    assert_eq!(gateway.limits("ada").await.tokens_per_day.unwrap().used, 10_000);
    gateway.ends_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_call_has_freed_its_slot_when_its_error_arrives() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"concurrent_requests": 1}))).start().await;
    let failures = [Reply::error(500), Reply::html(), Reply::stream(["one", "two"]).cut_after(1)];
    let mut connection = gateway.connect().await;
    for (n, reply) in failures.iter().cycle().take(150).enumerate() {
        upstream.script(reply.clone());
        let answer = connection.ask(&capped("ada", 100, true)).await;
        assert_ne!(answer.status, 429, "request {n} found the slot of the one before it taken");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn above_max_in_flight_a_request_is_refused_at_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .toml("[server]\nmax_in_flight = 1")
        .client("ada", limited(json!({"requests_per_minute": 5})))
        .start()
        .await;
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = gateway.stream("ada", "hi").await;
    let refused = gateway.chat("ada", "hi").await;
    assert_eq!((refused.status, &error_of(&refused)["code"]), (503, &json!("overloaded")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.limits("ada").await.requests_per_minute.unwrap().used, 1);
    running.hang_up();
    gateway.is_quiet().await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.ends_quiet().await;
}

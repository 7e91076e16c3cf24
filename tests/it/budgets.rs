//! Budgets over HTTP: exact to the pico-dollar under concurrency, each token paid once, and no call at a price that
//! nobody knows.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use gateway_limits::{LimitName, Meter};
use gateway_testkit::raw_client::{Answer, Head, Request};
use gateway_testkit::reply::UsageStyle;
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request, chat_with};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

/// A price by which a call's bound is its cap alone, whatever the prompt: a micro-dollar per token of output.
const OUTPUT_ONLY: &str = "[openai.gpt-test]\ninput = 0\noutput = 1\n";

/// A price of its own for every kind of token.
const ALL_KINDS: &str =
    "[openai.gpt-test]\ninput = 2\ncached_input = 0.5\ncache_write = 2.5\noutput = 8\nreasoning = 9\n";

/// Pico-dollars per token at a dollar per million tokens.
const USD_PER_MILLION: u64 = 1_000_000;

const BUDGETS: [&str; 2] = ["usd_per_day", "usd_per_month"];

/// A client's file with this budget.
fn budget(limit: &str, usd: &str) -> Value {
    json!({"budget": {limit: usd}})
}

/// A chat request with this output cap, streamed or not.
fn capped(client: &str, max_tokens: u64, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    chat_with(client, json!({"messages": messages, "max_tokens": max_tokens, "stream": stream}))
}

/// Opens this request `count` times at once, each on its own connection.
async fn at_once(gateway: &TestGateway, count: usize, request: &Request) -> Vec<(Head, RawClient)> {
    let open = |_| async {
        let mut connection = gateway.connect().await;
        (connection.open(request).await, connection)
    };
    join_all((0..count).map(open)).await
}

/// The meter of a client's budget, once nothing is open any more.
async fn spent(gateway: &TestGateway, client: &str, limit: &str) -> Meter {
    gateway.is_quiet().await;
    let view = gateway.limits(client).await;
    let meter = view.meters().find(|meter| meter.name.as_str() == limit);
    let meter = meter.unwrap_or_else(|| panic!("{client} has no {limit}"));
    assert_eq!(meter.reserved, 0, "nothing is open");
    meter
}

fn error_of(answer: &Answer) -> Value {
    answer.json()["error"].clone()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// When the UTC day or month that runs ends, in seconds since 1970.
fn end_of(limit: &str) -> u64 {
    let today = Offset::UTC.to_datetime(Timestamp::now()).date();
    let last = if limit == "usd_per_day" { today } else { today.last_of_month() };
    let end = last.tomorrow().unwrap().to_datetime(jiff::civil::Time::midnight());
    Offset::UTC.to_timestamp(end).unwrap().as_second().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reserved_at_once_never_passes_a_budget_by_a_pico_dollar() {
    // Each call reserves a thousandth of a dollar, and none is settled while the others ask.
    for limit in BUDGETS {
        for (usd, fitting) in [("0.02", 20), ("0.019999999999", 19)] {
            let upstream = FakeUpstream::start().await;
            let gateway = TestGateway::with(&upstream)
                .models(OUTPUT_ONLY)
                .client("ada", budget(limit, usd))
                .start()
                .await;
            upstream.always(Reply::stream(["one", "two"]).stall_after(1));
            let opened = at_once(&gateway, 100, &capped("ada", 1_000, true)).await;
            let refused: Vec<&Head> =
                opened.iter().map(|(head, _)| head).filter(|head| head.status != 200).collect();
            assert_eq!(opened.len() - refused.len(), fitting, "{limit} {usd}");
            for head in refused {
                assert_eq!((head.status, head.headers.get("x-ratelimit-limited-by")), (429, Some(limit)));
            }
            assert_eq!(upstream.requests(), fitting);
            drop(opened);
            gateway.ends_quiet().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_at_once_cost_exactly_a_hundred_times_what_one_costs() {
    let upstream = FakeUpstream::start().await;
    let both = json!({"budget": {"usd_per_day": "100", "usd_per_month": "1000"}});
    let gateway = TestGateway::with(&upstream).models(ALL_KINDS).client("ada", both).start().await;
    upstream.always(Reply::text("yes").tokens(7, 3));
    let ask = async |stream| {
        let mut connection = gateway.connect().await;
        let answer = connection.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    join_all((0..100).map(|number| ask(number % 2 == 0))).await;
    let one = 7 * 2 * USD_PER_MILLION + 3 * 8 * USD_PER_MILLION;
    for limit in BUDGETS {
        assert_eq!(spent(&gateway, "ada", limit).await.used, 100 * one, "{limit}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_budget_that_is_really_spent_is_quota_and_not_to_be_retried() {
    for limit in BUDGETS {
        let upstream = FakeUpstream::start().await;
        let gateway = TestGateway::with(&upstream)
            .models(OUTPUT_ONLY)
            .client("ada", budget(limit, "0.01"))
            .start()
            .await;
        upstream.script(Reply::text("yes").tokens(5, 9_000));
        assert_eq!(gateway.ask(&capped("ada", 9_500, false)).await.status, 200);

        let refused = gateway.ask(&capped("ada", 1_001, false)).await;
        let error = error_of(&refused);
        assert_eq!((refused.status, &error["code"]), (429, &json!("insufficient_quota")), "{error}");
        assert_eq!(refused.header("x-should-retry"), Some("false"));
        assert_eq!(refused.header("x-ratelimit-limited-by"), Some(limit));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(limit) && message.contains("0.009 of 0.01"), "{message}");
        let told = &error["limit"];
        assert_eq!(
            (&told["name"], told["limit"].as_f64(), told["used"].as_f64()),
            (&json!(limit), Some(0.01), Some(0.009))
        );
        let reset_at: Timestamp = told["reset_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(u64::try_from(reset_at.as_second()).unwrap(), end_of(limit), "the periods are UTC's");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(wait.abs_diff(end_of(limit) - unix_seconds()) <= 2, "{wait}");
        // What still fits, to the pico-dollar, is let in.
        assert_eq!(gateway.ask(&capped("ada", 1_000, false)).await.status, 200);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_budget_that_is_only_reserved_is_a_rate_limit_and_worth_another_try() {
    for limit in BUDGETS {
        let upstream = FakeUpstream::start().await;
        let gateway = TestGateway::with(&upstream)
            .models(OUTPUT_ONLY)
            .client("ada", budget(limit, "0.01"))
            .start()
            .await;
        upstream.script(Reply::stream(["one", "two"]).stall_after(1));
        let running = at_once(&gateway, 1, &capped("ada", 9_000, true)).await;

        let refused = gateway.ask(&capped("ada", 2_000, false)).await;
        let error = error_of(&refused);
        assert_eq!((refused.status, &error["code"]), (429, &json!("rate_limit_exceeded")), "{error}");
        assert_eq!(refused.header("x-should-retry"), None);
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(error["limit"]["used"].as_f64(), Some(0.009));
        drop(running);
        gateway.is_quiet().await;
        assert_eq!(gateway.ask(&capped("ada", 2_000, false)).await.status, 200);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_request_dearer_than_its_budget_and_a_budget_of_nothing_are_told_apart() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .models(OUTPUT_ONLY)
        .client("poor", budget("usd_per_day", "0.001"))
        .client("nil", budget("usd_per_month", "0"))
        .start()
        .await;
    let refused = gateway.ask(&capped("poor", 1_001, false)).await;
    let error = error_of(&refused);
    assert_eq!((refused.status, &error["type"]), (400, &json!("invalid_request_error")), "{error}");
    assert_eq!(refused.header("x-ratelimit-limited-by"), Some("usd_per_day"));
    assert!(error["message"].as_str().unwrap().contains("usd_per_day (0.001)"), "{error}");
    assert_eq!(gateway.ask(&capped("poor", 1_000, false)).await.status, 200);

    let refused = gateway.ask(&capped("nil", 1, false)).await;
    let error = error_of(&refused);
    assert_eq!((refused.status, &error["code"]), (429, &json!("insufficient_quota")), "{error}");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(error["limit"]["limit"], json!(0.0));
    assert_eq!(upstream.requests(), 1);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_tighter_of_both_budgets_refuses_and_takes_nothing_from_the_other() {
    let upstream = FakeUpstream::start().await;
    let both = json!({"budget": {"usd_per_day": "0.02", "usd_per_month": "0.01"}});
    let gateway = TestGateway::with(&upstream).models(OUTPUT_ONLY).client("ada", both).start().await;
    upstream.always(Reply::text("yes").tokens(5, 6_000));
    assert_eq!(gateway.ask(&capped("ada", 6_000, false)).await.status, 200);
    let refused = gateway.ask(&capped("ada", 6_000, false)).await;
    assert_eq!((refused.status, refused.header("x-ratelimit-limited-by")), (429, Some("usd_per_month")));
    for limit in BUDGETS {
        assert_eq!(spent(&gateway, "ada", limit).await.used, 6_000 * USD_PER_MILLION);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn cached_and_reasoned_tokens_are_paid_once_and_at_their_own_price() {
    let usage = json!({
        "prompt_tokens": 1_000, "completion_tokens": 10, "total_tokens": 1_010,
        "prompt_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 50},
        "completion_tokens_details": {"reasoning_tokens": 4},
    });
    // As parts that do not overlap, each at its price in dollars per million tokens.
    let cost = 150 * 2 * USD_PER_MILLION
        + 800 * USD_PER_MILLION / 2
        + 50 * 5 * USD_PER_MILLION / 2
        + 6 * 8 * USD_PER_MILLION
        + 4 * 9 * USD_PER_MILLION;
    for (style, stream) in [
        (UsageStyle::AsAsked, false),
        (UsageStyle::AsAsked, true),
        (UsageStyle::Groq, true),
        (UsageStyle::OnEveryChunk, true),
    ] {
        let upstream = FakeUpstream::start().await;
        let gateway = TestGateway::with(&upstream)
            .models(ALL_KINDS)
            .client("ada", budget("usd_per_day", "1"))
            .start()
            .await;
        upstream.script(Reply::text("yes").usage(style).usage_object(&usage));
        assert_eq!(gateway.ask(&capped("ada", 1_000, stream)).await.status, 200);
        assert_eq!(spent(&gateway, "ada", "usd_per_day").await.used, cost, "{style:?}, stream {stream}");
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_under_a_budget_with_the_row_that_is_missing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .models("[openai.gpt-test]\ninput = 1\n")
        .client("ada", budget("usd_per_month", "1"))
        .start()
        .await;
    let generate = Request::post("/api/v1/generate")
        .header("authorization", "Bearer key-ada")
        .json(&json!({"prompt": "hi", "model": "gpt-test"}));
    let row = "add [openai.\"gpt-test\"] with `input = …` and `output = …`";
    for stream in [false, true] {
        let refused = gateway.ask(&chat_request("ada", "hi", stream)).await;
        let error = error_of(&refused);
        assert_eq!((refused.status, &error["type"]), (403, &json!("permission_error")), "{error}");
        assert_eq!(error["param"], "model");
        assert!(error["message"].as_str().unwrap().contains(row), "{error}");
    }
    let refused = gateway.ask(&generate).await;
    assert_eq!(refused.status, 403);
    let body = refused.json();
    assert!(body["detail"].as_str().unwrap().contains(row), "{body}");
    assert_eq!(upstream.requests(), 0);

    // The row as it was told, and a reload.
    let table = "[openai.\"gpt-test\"]\ninput = 1\noutput = 2\n";
    std::fs::write(gateway.folder().join("models.toml"), table).unwrap();
    let token = format!("Bearer {}", gateway.admin_token());
    let reload = Request::post("/admin/reload").header("authorization", &token);
    assert_eq!(gateway.ask(&reload).await.status, 200);
    assert_eq!(gateway.ask(&generate).await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn without_a_budget_a_model_needs_no_price() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).models("").metered("ada").start().await;
    upstream.script(Reply::text("yes").tokens(7, 3));
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.is_quiet().await;
    let view = gateway.limits("ada").await;
    assert_eq!((view.tokens_today, view.cost_today), (10, 0));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_echo_provider_costs_nothing_under_the_smallest_budget() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1")
        .models("")
        .client("ada", budget("usd_per_day", "0.000000000001"))
        .start()
        .await;
    for _ in 0..3 {
        let echo =
            chat_with("ada", json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}));
        assert_eq!(gateway.ask(&echo).await.status, 200);
    }
    assert_eq!(spent(&gateway, "ada", "usd_per_day").await.used, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_failed_call_gives_its_money_back_and_a_client_that_leaves_pays_what_it_caused() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .once()
        .models(OUTPUT_ONLY)
        .client("ada", budget("usd_per_day", "0.01"))
        .start()
        .await;
    upstream.script(Reply::error(500));
    assert_eq!(gateway.ask(&capped("ada", 10_000, false)).await.status, 502);
    assert_eq!(spent(&gateway, "ada", "usd_per_day").await.used, 0);

    upstream.script(Reply::stream(["one ", "two ", "three "]).stall_after(3));
    let mut connection = gateway.connect().await;
    assert_eq!(connection.open(&capped("ada", 10_000, true)).await.status, 200);
    // The role, and three pieces.
    for _ in 0..4 {
        connection.next_event().await.expect("an event");
    }
    drop(connection);
    let used = spent(&gateway, "ada", "usd_per_day").await.used;
    assert!((3 * USD_PER_MILLION..100 * USD_PER_MILLION).contains(&used), "{used}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_call_is_paid_at_the_price_of_its_admission() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .models(OUTPUT_ONLY)
        .client("ada", budget("usd_per_day", "1"))
        .start()
        .await;
    upstream.script(Reply::stream(["one ", "two"]).stall_after(1));
    let running = at_once(&gateway, 1, &capped("ada", 100, true)).await;
    let dearer = OUTPUT_ONLY.replace("output = 1", "output = 1000");
    std::fs::write(gateway.folder().join("models.toml"), dearer).unwrap();
    let token = format!("Bearer {}", gateway.admin_token());
    let reload = Request::post("/admin/reload").header("authorization", &token);
    assert_eq!(gateway.ask(&reload).await.status, 200);
    drop(running);
    let used = spent(&gateway, "ada", "usd_per_day").await.used;
    assert!((USD_PER_MILLION..100 * USD_PER_MILLION).contains(&used), "{used}");

    upstream.script(Reply::text("yes").tokens(5, 1));
    assert_eq!(gateway.ask(&capped("ada", 100, false)).await.status, 200);
    let then = spent(&gateway, "ada", "usd_per_day").await.used;
    assert_eq!(then - used, 1_000 * USD_PER_MILLION, "the new price counts for the next call");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn money_is_shown_to_operators_and_stays_out_of_the_limit_headers() {
    let upstream = FakeUpstream::start().await;
    let members = json!({
        "budget": {"usd_per_day": "5.00", "usd_per_month": "100"},
        "rate_limit": {"requests_per_minute": 60},
    });
    let gateway = TestGateway::with(&upstream).models(OUTPUT_ONLY).client("ada", members).start().await;
    upstream.script(Reply::text("yes").tokens(7, 1_234));
    let answer = gateway.ask(&capped("ada", 2_000, false)).await;
    assert_eq!(answer.header("ratelimit-policy"), Some("\"rpm\";q=60;w=60"));
    assert!(answer.header("ratelimit").is_some_and(|state| !state.contains("usd")));
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), None);

    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let running = at_once(&gateway, 1, &capped("ada", 1_000, true)).await;
    let shown = gateway.admin("/admin/clients/ada").await;
    let of = |amounts: &str, limit: LimitName| shown[amounts][limit.as_str()].as_f64().unwrap();
    for (limit, usd) in [(LimitName::UsdPerDay, 5.0), (LimitName::UsdPerMonth, 100.0)] {
        assert_eq!(of("limits", limit), usd);
        assert_eq!(of("used", limit), 0.001234);
        assert_eq!(of("reserved", limit), 0.001);
        assert!((of("remaining", limit) - (usd - 0.002234)).abs() < 1e-9);
    }
    assert_eq!(shown["tokens_today"], 1_241);
    assert_eq!((&shown["usd_today"], &shown["usd_this_month"]), (&json!(0.001234), &json!(0.001234)));
    drop(running);
    gateway.ends_quiet().await;
}

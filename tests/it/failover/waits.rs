//! Waits before another attempt: as long as the upstream asks for, never too long, and not more often than it bears.

use std::time::Duration;

use gateway_testkit::Reply;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use super::{Pair, STURDY, Setting, by, question};

fn busy(headers: &[(&str, &str)]) -> Reply {
    let has = |name: &str| headers.iter().any(|(other, _)| *other == name);
    let usual = ["retry-after", "retry-after-ms"].into_iter().filter(|name| !has(name));
    let reply = usual.fold(Reply::error(429).bare(), |reply, name| reply.without_header(name));
    headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

/// Asks the one target, which is busy once; how long it was left alone.
async fn left_alone(reply: Reply) -> Duration {
    let pair = Pair::start(Setting::default()).await;
    pair.first.script(reply);
    by(&pair.ask("first/gpt-one", false).await, "first", 2);
    let wait = pair.first.request(1).at() - pair.first.request(0).at();
    pair.ends().await;
    wait
}

#[tokio::test]
async fn an_upstream_that_is_busy_is_asked_again_when_it_says_in_every_form_of_saying_it() {
    let in_two_seconds = Timestamp::now() + SignedDuration::from_secs(2);
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&in_two_seconds).unwrap();
    let (seconds, ms, at, reset) = tokio::join!(
        left_alone(busy(&[("retry-after", "1")])),
        left_alone(busy(&[("retry-after", "9"), ("retry-after-ms", "300")])),
        left_alone(busy(&[("retry-after", &date)])),
        left_alone(busy(
            &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "400ms"),]
        )),
    );
    let longest = Duration::from_secs(4);
    assert!((Duration::from_secs(1)..longest).contains(&seconds), "{seconds:?}");
    assert!((Duration::from_millis(300)..longest).contains(&ms), "{ms:?}");
    // A date has whole seconds.
    assert!((Duration::from_millis(500)..longest).contains(&at), "{at:?}");
    assert!((Duration::from_millis(400)..longest).contains(&reset), "{reset:?}");
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_the_clients_to_make() {
    let pair = Pair::start(Setting::default()).await;
    pair.first.script(busy(&[("retry-after", "3600")]));
    let answer = pair.ask("first/gpt-one", false).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-attempts"), Some("1"));
    assert_eq!(answer.header("retry-after"), Some("3600"), "what the only target says of itself stands");
    assert_eq!(pair.first.requests(), 1);
    pair.ends().await;
}

#[tokio::test]
async fn a_stream_that_is_late_gets_comments_and_then_another_targets_answer() {
    let first = "timeouts = { hold_back = '30ms', first_token = '200ms' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    pair.first.script(Reply::stream(["never seen"]).stall_after(0));
    let mut client = pair.gateway.connect().await;
    let answer = client.ask(&question("ada", "both", true)).await;
    let stream = answer.chat_stream();
    assert_eq!(
        (answer.status, &*stream.text, stream.done),
        (200, "from the second", true),
        "{}",
        answer.text()
    );
    assert!(!stream.comments.is_empty() && stream.errors.is_empty(), "{}", answer.text());
    assert_eq!(pair.requests(), (1, 1));
    assert_eq!(pair.gateway.tokens_used("ada").await, 11);
    pair.ends().await;
}

#[tokio::test]
async fn a_provider_in_trouble_gets_its_budget_of_retries_and_the_other_one_is_free_of_it() {
    let toml = "[retries]\nbudget_ratio = 0.0\nbudget_floor = 3";
    let pair = Pair::start(Setting { toml, first: STURDY, second: STURDY, ..Setting::default() }).await;
    pair.first.always(Reply::error(500));
    for nth in 1..=10 {
        let answer = pair.ask("first/gpt-one", false).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(pair.first.requests(), nth + nth.min(3), "three retries and no more");
    }
    for _ in 0..10 {
        by(&pair.ask("both", false).await, "second", 2);
    }
    assert_eq!(pair.requests(), (23, 10));
    pair.second.script(Reply::error(500));
    by(&pair.ask("second/gpt-two", false).await, "second", 2);
    pair.ends().await;
}

#[tokio::test]
async fn a_client_that_leaves_during_a_pause_is_not_asked_for_again() {
    for model in ["first/gpt-one", "both"] {
        let pair = Pair::start(Setting::default()).await;
        pair.first.script(busy(&[("retry-after-ms", "900")]));
        let mut client = pair.gateway.connect().await;
        client.send(&question("ada", model, false)).await;
        pair.first.next_request().await.finished().await;
        let shared = pair.gateway.front().gateway.shared();
        pair.gateway.until("the attempt has ended", || shared.calls_in_flight() == 0).await;
        client.hang_up();
        pair.gateway.is_quiet().await;
        assert_eq!(pair.requests(), (1, 0), "{model}");
        assert_eq!(pair.gateway.tokens_used("ada").await, 0);
        pair.ends().await;
    }
}

//! What upstreams say of our quota there: a key that is empty is not asked before its reset.

use std::time::Duration;

use gateway_testkit::Reply;
use gateway_testkit::deadline::patiently;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Pair, Setting, by};

fn empty(headers: &[(&str, &str)]) -> Reply {
    let reply = Reply::text("the last one").bare();
    headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

#[tokio::test]
async fn an_empty_key_is_not_asked_before_its_reset_whoever_says_so() {
    let soon = (Timestamp::now() + SignedDuration::from_secs(60)).to_string();
    let vendors: [(&str, &[(&str, &str)]); 4] = [
        (
            "openai",
            &[
                ("x-ratelimit-limit-requests", "500"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "6m0s"),
            ],
        ),
        // Groq: requests by the day, tokens by the minute.
        (
            "openai",
            &[
                ("x-ratelimit-remaining-requests", "14370"),
                ("x-ratelimit-reset-requests", "2m59.56s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "57.66s"),
            ],
        ),
        (
            "anthropic",
            &[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "0"),
                ("anthropic-ratelimit-requests-reset", &soon),
            ],
        ),
        (
            "anthropic",
            &[
                ("anthropic-ratelimit-input-tokens-remaining", "1000"),
                ("anthropic-ratelimit-input-tokens-reset", &soon),
                ("anthropic-ratelimit-output-tokens-remaining", "0"),
                ("anthropic-ratelimit-output-tokens-reset", &soon),
            ],
        ),
    ];
    for (kind, headers) in vendors {
        let pair = Pair::start(Setting { kind, ..Setting::default() }).await;
        pair.first.script(empty(headers));
        by(&pair.ask("both", false).await, "first", 1);
        for stream in [false, true] {
            by(&pair.ask("both", stream).await, "second", 1);
        }
        assert_eq!(pair.requests(), (1, 2), "{headers:?}");
        let quota = pair.key("first").await.models[0].quota.unwrap();
        let meters = [quota.requests, quota.tokens];
        assert!(meters.into_iter().flatten().any(|meter| meter.remaining == 0), "{quota:?}");
        pair.ends().await;
    }
}

#[tokio::test]
async fn a_key_is_asked_again_after_its_reset() {
    let pair = Pair::start(Setting::default()).await;
    pair.first.script(empty(&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "300ms")]));
    by(&pair.ask("both", false).await, "first", 1);
    let emptied = Instant::now();
    by(&pair.ask("both", false).await, "second", 1);
    let asks = async { while Pair::served(&pair.ask("both", false).await).0 == "second" {} };
    patiently("the first to be asked again", asks).await;
    assert!(emptied.elapsed() > Duration::from_millis(250), "{:?}", emptied.elapsed());
    pair.ends().await;
}

#[tokio::test]
async fn when_all_keys_are_empty_the_client_gets_a_429_with_the_true_time() {
    let pair = Pair::start(Setting::default()).await;
    let names = ["x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    pair.first.script(empty(&[(names[0], "0"), (names[1], "90s")]));
    pair.second.script(empty(&[(names[0], "0"), (names[1], "40s")]));
    by(&pair.ask("both", false).await, "first", 1);
    by(&pair.ask("both", false).await, "second", 1);
    for stream in [false, true] {
        let answer = pair.ask("both", stream).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((30..=40).contains(&after), "{after}");
    }
    assert_eq!(pair.requests(), (1, 1), "nobody was asked");
    assert_eq!(pair.gateway.limits("ada").await.in_flight, 0);
    pair.ends().await;
}

//! When a target is left alone, how it is tried again, and what that does to clients.

use std::time::Duration;

use gateway_actors::provider::BreakerState;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply};

use super::{Pair, Setting, by, question};

/// The breaker of the one model that was asked of a provider.
async fn breaker(pair: &Pair, provider: &str) -> BreakerState {
    pair.key(provider).await.models[0].breaker
}

async fn is_half_open(pair: &Pair) {
    patiently("the rest to be over", async {
        while breaker(pair, "first").await != BreakerState::HalfOpen {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn failures_in_a_row_open_it() {
    let first = "breaker = { consecutive = 3, cooling = '60s', cooling_max = '60s' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    pair.first.always(Reply::error(503));
    for _ in 0..3 {
        by(&pair.ask("both", false).await, "second", 2);
    }
    for stream in [false, true] {
        by(&pair.ask("both", stream).await, "second", 1);
    }
    assert_eq!(pair.requests(), (3, 5));
    pair.ends().await;
}

#[tokio::test]
async fn a_share_of_failures_opens_it_though_none_follows_another() {
    let first = "breaker = { consecutive = 1000, rate = 0.5, calls_min = 10, window = '60s', cooling = '60s', \
                 cooling_max = '60s' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    pair.first.when(|seen| seen.number() % 2 == 0, Reply::error(503));
    for _ in 0..30 {
        assert_eq!(pair.ask("both", false).await.status, 200);
    }
    // Six failures among eleven calls are the first that are half of ten or more.
    assert_eq!(pair.first.requests(), 11);
    pair.ends().await;
}

#[tokio::test]
async fn one_call_at_a_time_tries_a_target_that_has_rested() {
    let first = "breaker = { consecutive = 1, cooling = '50ms', cooling_max = '50ms' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    pair.first.script(Reply::error(503));
    by(&pair.ask("both", false).await, "second", 2);
    is_half_open(&pair).await;
    pair.first.script(Reply::never());
    let mut trial = pair.gateway.connect().await;
    trial.send(&question("ada", "both", false)).await;
    pair.first.arrived(2).await;
    for _ in 0..5 {
        by(&pair.ask("both", false).await, "second", 1);
    }
    assert_eq!(pair.first.requests(), 2);
    // Its caller leaves: nothing is known, so the next one tries; it succeeds, and all is as before.
    trial.hang_up();
    pair.gateway.is_quiet().await;
    for _ in 0..3 {
        by(&pair.ask("both", false).await, "first", 1);
    }
    assert_eq!(breaker(&pair, "first").await, BreakerState::Closed);
    pair.ends().await;
}

#[tokio::test]
async fn each_failed_trial_doubles_the_rest_up_to_its_cap() {
    let first = "breaker = { consecutive = 1, cooling = '10s', cooling_max = '35s' }\n";
    let toml = "[retries]\nmax_attempts = 1";
    let pair = Pair::start(Setting { first, toml, ..Setting::default() }).await;
    pair.first.always(Reply::error(503));
    // It is the only one, so it is tried although it rests.
    for longest in [10, 20, 35, 35] {
        assert_eq!(pair.ask("first/gpt-one", false).await.status, 502);
        let BreakerState::Open { rests_for, .. } = breaker(&pair, "first").await else {
            panic!("it is open")
        };
        let longest = Duration::from_secs(longest);
        assert!(rests_for <= longest && rests_for + Duration::from_secs(5) > longest, "{rests_for:?}");
    }
    pair.first.always(Reply::text("well again"));
    by(&pair.ask("first/gpt-one", false).await, "first", 1);
    assert_eq!(breaker(&pair, "first").await, BreakerState::Closed);
    pair.ends().await;
}

#[tokio::test]
async fn a_trial_is_never_a_clients_only_chance_while_another_target_is_healthy() {
    let first = "breaker = { consecutive = 1, cooling = '20ms', cooling_max = '20ms' }\n";
    let toml = "[retries]\nmax_attempts = 1";
    let pair = Pair::start(Setting { first, toml, ..Setting::default() }).await;
    pair.first.always(Reply::error(503));
    assert_eq!(pair.ask("both", false).await.status, 502, "it was not known to fail");
    for stream in [false, true] {
        is_half_open(&pair).await;
        by(&pair.ask("both", stream).await, "second", 2);
    }
    pair.ends().await;
}

#[tokio::test]
async fn a_failure_says_when_the_first_of_the_targets_is_free_again() {
    let (first, second) = (
        "breaker = { consecutive = 1, cooling = '40s', cooling_max = '40s' }\n",
        "breaker = { consecutive = 1, cooling = '20s', cooling_max = '20s' }\n",
    );
    let pair = Pair::start(Setting { first, second, ..Setting::default() }).await;
    pair.first.always(Reply::error(503));
    pair.second.always(Reply::error(503));
    for _ in 0..3 {
        let answer = pair.ask("both", false).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((15..=20).contains(&after), "{after}");
    }
    pair.ends().await;
}

#[tokio::test]
async fn a_target_whose_trial_is_out_is_a_503_at_once_where_it_is_the_only_one() {
    let first = "breaker = { consecutive = 1, cooling = '60s', cooling_max = '60s' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    pair.first.script(Reply::error(503));
    assert_eq!(pair.ask("first/gpt-one", false).await.status, 502);
    pair.first.script(Reply::never());
    let mut trial = pair.gateway.connect().await;
    trial.send(&question("ada", "first/gpt-one", false)).await;
    pair.first.arrived(2).await;
    let answer = pair.ask("first/gpt-one", false).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    assert_eq!(pair.first.requests(), 2);
    trial.hang_up();
    pair.ends().await;
}

#[tokio::test]
async fn a_call_that_was_out_before_a_rest_began_does_not_end_it() {
    let first = "breaker = { cooling = '60s', cooling_max = '60s' }\n";
    let toml = "[retries]\nmax_attempts = 1";
    let pair = Pair::start(Setting { first, toml, ..Setting::default() }).await;
    pair.first.script(Reply::text("late").after(Duration::from_millis(500)));
    let mut slow = pair.gateway.connect().await;
    slow.send(&question("ada", "first/gpt-one", false)).await;
    pair.first.arrived(1).await;
    pair.first.script(Reply::error(429).header("retry-after", "30"));
    assert_eq!(pair.ask("first/gpt-one", false).await.status, 429);
    assert_eq!(slow.answer().await.status, 200);
    pair.gateway.is_quiet().await;
    let state = breaker(&pair, "first").await;
    assert!(matches!(state, BreakerState::Open { is_limited: true, .. }), "{state:?}");
    by(&pair.ask("both", false).await, "second", 1);
    assert_eq!(pair.first.requests(), 2);
    pair.ends().await;
}

#[tokio::test]
async fn calls_that_fail_together_are_one_outage() {
    let first = "breaker = { consecutive = 1, cooling = '10s', cooling_max = '1000s' }\n";
    let toml = "[retries]\nmax_attempts = 1";
    let pair = Pair::start(Setting { first, toml, ..Setting::default() }).await;
    pair.first.always(Reply::error(503).after(Duration::from_millis(300)));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = pair.gateway.connect().await;
        client.send(&question("ada", "first/gpt-one", false)).await;
        clients.push(client);
    }
    pair.first.arrived(8).await;
    for mut client in clients {
        assert_eq!(client.answer().await.status, 502);
    }
    pair.gateway.is_quiet().await;
    let BreakerState::Open { rests_for, .. } = breaker(&pair, "first").await else { panic!("it is open") };
    assert!(rests_for <= Duration::from_secs(10), "{rests_for:?}");
    pair.ends().await;
}

#[tokio::test]
async fn a_key_that_goes_elsewhere_begins_without_what_failed_before() {
    let first = "breaker = { consecutive = 3, cooling = '60s', cooling_max = '60s' }\n";
    let toml = "[retries]\nmax_attempts = 1";
    let pair = Pair::start(Setting { first, toml, ..Setting::default() }).await;
    pair.first.always(Reply::error(503));
    for _ in 0..2 {
        assert_eq!(pair.ask("first/gpt-one", false).await.status, 502);
    }
    let elsewhere = FakeUpstream::start().await;
    elsewhere.always(Reply::error(503));
    let settings = pair.gateway.folder().join("gateway.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace(&pair.first.base_url(), &elsewhere.base_url())).unwrap();
    let token = format!("Bearer {}", pair.gateway.admin_token());
    let reload = Request::new("POST", "/admin/reload").header("authorization", &token);
    assert_eq!(pair.gateway.ask(&reload).await.status, 200);
    assert_eq!(pair.ask("first/gpt-one", false).await.status, 502);
    assert_eq!(breaker(&pair, "first").await, BreakerState::Closed, "one failure is not three");
    assert_eq!(elsewhere.requests(), 1);
    pair.ends().await;
    elsewhere.finish();
}

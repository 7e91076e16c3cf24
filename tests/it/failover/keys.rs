//! Several keys of one provider: how calls are shared out, and what one key's or model's trouble does to the others.

use std::time::Duration;

use gateway_actors::provider::BreakerState;
use gateway_testkit::{FakeUpstream, Reply, TestGateway};

use super::{Pair, Setting, by, question};

#[tokio::test]
async fn keys_share_calls_by_their_weights() {
    let (heavy, light) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let keys = format!(
        "keys = [{{ name = 'heavy', base_url = '{}', api_key_env = 'TEST_KEY', weight = 3 }}, \
         {{ name = 'light', base_url = '{}', api_key_env = 'TEST_KEY' }}]\n",
        heavy.base_url(),
        light.base_url()
    );
    let toml = format!("[providers.pool]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:9'\n{keys}");
    let gateway = TestGateway::with(&heavy).toml(&toml).metered("ada").start().await;
    // Held open, so that each counts as in flight; alike in their latency, which is what is shared out by.
    let held = Reply::stream(["one ", "two"]).after(Duration::from_millis(25)).stall_after(1);
    heavy.always(held.clone());
    light.always(held);
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = gateway.connect().await;
        assert_eq!(client.open(&question("ada", "pool/gpt-test", true)).await.status, 200);
        clients.push(client);
    }
    assert_eq!(heavy.requests() + light.requests(), 40);
    assert!((22..=37).contains(&heavy.requests()), "{} of 40", heavy.requests());
    drop(clients);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn idle_keys_share_calls_by_their_weights_too() {
    let (heavy, light) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let keys = format!(
        "keys = [{{ name = 'heavy', base_url = '{}', api_key_env = 'TEST_KEY', weight = 3 }}, \
         {{ name = 'light', base_url = '{}', api_key_env = 'TEST_KEY' }}]\n",
        heavy.base_url(),
        light.base_url()
    );
    let toml = format!("[providers.pool]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:9'\n{keys}");
    let gateway = TestGateway::with(&heavy).toml(&toml).metered("ada").start().await;
    for _ in 0..100 {
        assert_eq!(gateway.ask(&question("ada", "pool/gpt-test", false)).await.status, 200);
    }
    // Three quarters, give or take five standard deviations.
    assert!((53..=97).contains(&heavy.requests()), "{} of 100", heavy.requests());
    assert_eq!(heavy.requests() + light.requests(), 100);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_key_that_is_refused_is_set_aside_and_reported_and_the_others_serve() {
    let keys =
        "keys = [{ name = 'stale', api_key_env = 'STALE' }, { name = 'good', api_key_env = 'TEST_KEY' }]\n";
    let pair = Pair::build(Setting { first: keys, ..Setting::default() }, |builder| {
        builder.env("STALE=sk-stale-upstream-key")
    })
    .await;
    let is_stale = |authorization: Option<&str>| authorization == Some("Bearer sk-stale-upstream-key");
    pair.first.when(move |seen| is_stale(seen.header("authorization")), Reply::error(401));
    for _ in 0..20 {
        let answer = pair.ask("first/gpt-one", false).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let stale =
        (0..pair.first.requests()).filter(|n| is_stale(pair.first.request(*n).header("authorization")));
    assert_eq!(stale.count(), 1, "it was found out once");
    let keys = pair.gateway.front().gateway.keys().await.unwrap();
    let key = |name: &str| keys.iter().find(|key| &*key.key_name == name).unwrap();
    assert!(matches!(key("stale").breaker, BreakerState::Open { is_limited: false, .. }));
    assert_eq!((key("good").breaker, key("good").health.failed), (BreakerState::Closed, 0));
    let report = pair.gateway.admin("/admin/providers").await;
    let provider = report["providers"].as_array().unwrap().iter().find(|it| it["name"] == "first").unwrap();
    let told = provider["keys"].as_array().unwrap().iter().find(|key| key["name"] == "stale").unwrap();
    assert_eq!((&told["failed"], &told["last_failure"]["what"]), (&1.into(), &"status 401".into()), "{told}");
    assert!(!report.to_string().contains("sk-stale"), "no key is shown");
    pair.ends().await;
}

#[tokio::test]
async fn a_key_that_is_refused_moves_a_request_on_where_it_is_the_only_one() {
    let pair = Pair::start(Setting::default()).await;
    pair.first.always(Reply::error(401));
    by(&pair.ask("both", false).await, "second", 2);
    for _ in 0..5 {
        by(&pair.ask("both", true).await, "second", 1);
    }
    // For every model, and not for the client to see where nobody else is left.
    let answer = pair.ask("first/gpt-other", false).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains("sk-"), "{}", answer.text());
    pair.ends().await;
}

#[tokio::test]
async fn a_model_that_fails_does_not_shut_its_neighbours() {
    let breaker = "breaker = { consecutive = 2, cooling = '60s', cooling_max = '60s' }\n";
    let pair = Pair::start(Setting { first: breaker, ..Setting::default() }).await;
    pair.first.when(|seen| seen.model() == "gpt-bad", Reply::error(503));
    for _ in 0..3 {
        assert_eq!(pair.ask("first/gpt-bad", false).await.status, 502);
    }
    for _ in 0..5 {
        by(&pair.ask("first/gpt-good", false).await, "first", 1);
    }
    let key = pair.key("first").await;
    let breaker = |model: &str| key.models.iter().find(|view| &*view.model == model).unwrap().breaker;
    assert_eq!(key.breaker, BreakerState::Closed);
    assert!(matches!(breaker("gpt-bad"), BreakerState::Open { .. }));
    assert_eq!(breaker("gpt-good"), BreakerState::Closed);
    pair.ends().await;
}

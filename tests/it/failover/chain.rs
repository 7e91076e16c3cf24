//! The order of targets, whose they may be, how many are asked, and what is booked.

use gateway_testkit::{FakeUpstream, Reply, chat_with};
use serde_json::{Value, json};

use super::{Pair, STURDY, Setting, by, question};
use crate::surfaces::{Api, Told, question as asked_in};

#[tokio::test]
async fn targets_are_asked_in_their_order_and_the_answer_names_who_gave_it() {
    let pair = Pair::start(Setting { first: STURDY, ..Setting::default() }).await;
    for stream in [false, true] {
        by(&pair.ask("both", stream).await, "first", 1);
        pair.first.script(Reply::error(503));
        let answer = pair.ask("both", stream).await;
        by(&answer, "second", 2);
        assert_eq!(answer.header("x-gateway-model"), Some("gpt-two"));
        if stream {
            assert_eq!(answer.chat_stream().text, "from the second");
        } else {
            assert_eq!(answer.json()["model"], "gpt-two");
        }
    }
    assert_eq!(pair.requests(), (4, 2));
    assert_eq!(pair.second.request(0).model(), "gpt-two", "each target is asked for its own model");
    pair.ends().await;
}

#[tokio::test]
async fn what_a_client_may_not_use_is_not_asked_instead_either() {
    let pair = Pair::build(Setting { first: STURDY, ..Setting::default() }, |builder| {
        builder
            .client("here", json!({"allowed_providers": ["first"]}))
            .client("there", json!({"allowed_providers": ["second"]}))
            .client("named", json!({"allowed_models": ["gpt-one"]}))
    })
    .await;
    for client in ["here", "named"] {
        pair.first.script(Reply::error(503));
        let answer = pair.gateway.ask(&question(client, "both", false)).await;
        assert_eq!((answer.status, answer.header("x-gateway-attempts")), (502, Some("1")), "{client}");
    }
    assert_eq!(pair.requests(), (2, 0));
    by(&pair.gateway.ask(&question("there", "both", false)).await, "second", 1);
    assert_eq!(pair.requests(), (2, 1));
    pair.ends().await;
}

#[tokio::test]
async fn no_more_are_asked_than_max_attempts_says() {
    for (max, asked) in [(1, (1, 0)), (2, (2, 0)), (3, (2, 1)), (9, (2, 2))] {
        let toml = format!("[retries]\nmax_attempts = {max}");
        let pair = Pair::start(Setting { toml: &toml, ..Setting::default() }).await;
        pair.first.always(Reply::error(500));
        pair.second.always(Reply::error(500));
        let answer = pair.ask("both", false).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(pair.requests(), asked, "max_attempts = {max}");
        let attempts = (asked.0 + asked.1).to_string();
        assert_eq!(answer.header("x-gateway-attempts"), Some(&*attempts));
        pair.ends().await;
    }
}

/// A dollar and a hundred dollars for a million tokens.
const PRICES: &str = "[first.gpt-one]\ninput = 1\noutput = 1\n[second.gpt-two]\ninput = 100\noutput = 100\n";

#[tokio::test]
async fn failed_attempts_cost_nothing_and_price_and_model_are_those_of_the_target_that_answered() {
    let setting = Setting { first: STURDY, models: PRICES, ..Setting::default() };
    let pair = Pair::start(setting).await;
    pair.first.script(Reply::error(500));
    pair.first.script(Reply::error(500));
    by(&pair.ask("both", false).await, "second", 3);
    assert_eq!(pair.gateway.tokens_used("ada").await, 11);
    let ledger = pair.gateway.folder().join("data/ledger.db");
    let row = || {
        let ledger = rusqlite::Connection::open(&ledger).ok()?;
        let sql = "SELECT provider, model, attempts, tokens, cost FROM calls WHERE ending = 'answered'";
        ledger
            .query_row(sql, (), |row| {
                let text = |at| row.get::<_, String>(at);
                let number = |at| row.get::<_, i64>(at);
                Ok((text(0)?, text(1)?, number(2)?, number(3)?, number(4)?))
            })
            .ok()
    };
    pair.gateway.until("the call is in the ledger", || row().is_some()).await;
    // In pico-dollars: 11 tokens at a hundred dollars for a million.
    let expected = ("second".to_owned(), "gpt-two".to_owned(), 3, 11, 1_100_000_000);
    assert_eq!(row(), Some(expected));
    let usage = pair.gateway.admin("/admin/usage?by=provider").await["usage"].clone();
    assert_eq!(usage.as_array().map(Vec::len), Some(1), "{usage}");
    pair.ends().await;
}

#[tokio::test]
async fn the_reservation_covers_the_dearest_target() {
    // A hundred tokens cost a cent at the second provider, and a ten-thousandth of a dollar at the first.
    let setting = Setting { models: PRICES, ..Setting::default() };
    let pair =
        Pair::build(setting, |builder| builder.client("bob", json!({"budget": {"usd_per_day": "0.02"}})))
            .await;
    let ask = |model: &str| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        chat_with("bob", json!({"model": model, "max_tokens": 100, "stream": true, "messages": messages}))
    };
    pair.first.script(Reply::stream(["held ", "open"]).stall_after(1));
    let mut client = pair.gateway.connect().await;
    assert_eq!(client.open(&ask("both")).await.status, 200);
    let refused = pair.gateway.ask(&ask("both")).await;
    assert_eq!(refused.status, 429, "there is not a second cent: {}", refused.text());
    by(&pair.gateway.ask(&ask("first/gpt-one")).await, "first", 1);
    assert_eq!(pair.requests(), (2, 0));
    client.hang_up();
    pair.ends().await;
}

#[tokio::test]
async fn a_stream_whose_first_event_is_an_error_is_never_seen_in_any_protocol() {
    for kind in ["openai", "anthropic", "gemini"] {
        let first = if kind == "openai" { format!("responses = true\n{STURDY}") } else { STURDY.to_owned() };
        let pair = Pair::start(Setting { kind, first: &first, ..Setting::default() }).await;
        for (nth, api) in Api::ALL.into_iter().enumerate() {
            pair.first.script(Reply::error_event());
            let answer = pair.gateway.ask(&asked_in(api, "both", true, json!({}))).await;
            by(&answer, "second", 2);
            let told = Told::of(api, true, &answer);
            assert_eq!(
                (&*told.text, told.ended, &told.errors),
                ("from the second", true, &Vec::<Value>::new()),
                "{api:?} over {kind}: {}",
                answer.text()
            );
            assert_eq!(pair.requests(), (nth + 1, nth + 1));
        }
        assert_eq!(pair.gateway.tokens_used("ada").await, 4 * 11);
        pair.ends().await;
    }
}

#[tokio::test]
async fn a_target_that_the_request_has_no_form_for_is_no_attempt() {
    let kept = FakeUpstream::start().await;
    let toml = format!(
        "[models.three]\ntargets = ['first/gpt-one', 'claude/claude-1', 'second/gpt-two']\n\
         [providers.claude]\nkind = 'anthropic'\nbase_url = '{}'\napi_key_env = 'TEST_KEY'\n\
         [retries]\nmax_attempts = 2\n",
        kept.base_url()
    );
    let pair = Pair::start(Setting { toml: &toml, ..Setting::default() }).await;
    pair.first.script(Reply::error(503));
    let messages = json!([{"role": "user", "content": "hi"}]);
    let answer = pair
        .gateway
        .ask(&chat_with("ada", json!({"model": "three", "temperature": 1.5, "messages": messages})))
        .await;
    by(&answer, "second", 2);
    assert_eq!((pair.requests(), kept.requests()), ((1, 1), 0));
    pair.ends().await;
}

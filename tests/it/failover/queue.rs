//! What does not fit into `max_concurrency`: it waits, bounded in number and time, and goes elsewhere where it can.

use gateway_testkit::{RawClient, Reply};

use super::{Pair, Setting, by, question};

/// Takes the only place of the first provider.
async fn holder(pair: &Pair) -> RawClient {
    pair.first.script(Reply::stream(["held ", "open"]).stall_after(1));
    let mut client = pair.gateway.connect().await;
    assert_eq!(client.open(&question("ada", "first/gpt-one", true)).await.status, 200);
    client
}

#[tokio::test]
async fn what_does_not_fit_waits_in_a_queue_of_bounded_length() {
    let first = "max_concurrency = 1\nqueue = { max = 2, wait = '60s' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    let holder = holder(&pair).await;
    let mut waiting = Vec::new();
    for nth in 0..2 {
        let mut client = pair.gateway.connect().await;
        client.send(&question("ada", "first/gpt-one", false)).await;
        pair.gateway.until("it is in flight", || pair.gateway.front().in_flight.depth() == nth + 2).await;
        waiting.push(client);
    }
    // The queue's turn has come for both of them once a third finds it full.
    let mut refused = pair.ask("first/gpt-one", false).await;
    while refused.status == 200 {
        refused = pair.ask("first/gpt-one", false).await;
    }
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "overloaded");
    assert_eq!(pair.first.requests(), 1);
    holder.hang_up();
    for mut client in waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    pair.ends().await;
}

#[tokio::test]
async fn nobody_waits_longer_than_the_queue_says() {
    let first = "max_concurrency = 1\nqueue = { max = 10, wait = '150ms' }\n";
    let pair = Pair::start(Setting { first, ..Setting::default() }).await;
    let holder = holder(&pair).await;
    let answer = pair.ask("first/gpt-one", false).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(pair.first.requests(), 1);
    holder.hang_up();
    pair.ends().await;
}

#[tokio::test]
async fn what_finds_no_room_goes_to_the_next_target_of_its_chain() {
    for first in [
        "max_concurrency = 1\nqueue = { max = 0, wait = '60s' }\n",
        "max_concurrency = 1\nqueue = { max = 10, wait = '100ms' }\n",
    ] {
        let pair = Pair::start(Setting { first, ..Setting::default() }).await;
        let holder = holder(&pair).await;
        for stream in [false, true] {
            by(&pair.ask("both", stream).await, "second", 1);
        }
        assert_eq!(pair.requests(), (1, 2));
        holder.hang_up();
        pair.gateway.is_quiet().await;
        by(&pair.ask("both", false).await, "first", 1);
        pair.ends().await;
    }
}

#[tokio::test]
async fn leaving_while_queued_costs_nothing_and_nobody_is_asked() {
    let first = "max_concurrency = 1\nqueue = { max = 10, wait = '60s' }\n";
    let pair = Pair::build(Setting { first, ..Setting::default() }, |builder| builder.metered("bob")).await;
    let holder = holder(&pair).await;
    for model in ["first/gpt-one", "both"] {
        let mut client = pair.gateway.connect().await;
        client.send(&question("bob", model, true)).await;
        pair.gateway.until("it is in flight", || pair.gateway.front().in_flight.depth() == 2).await;
        client.hang_up();
        pair.gateway.until("it has left", || pair.gateway.front().in_flight.depth() == 1).await;
    }
    holder.hang_up();
    assert_eq!(pair.gateway.tokens_used("bob").await, 0);
    assert_eq!(pair.requests(), (1, 0));
    pair.ends().await;
}

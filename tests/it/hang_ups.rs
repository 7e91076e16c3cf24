//! A client that leaves, at any point of its request: the upstream call is closed at once, the slot is free, and
//! nothing more is asked for it.

use std::time::Duration;

use gateway_testkit::events::Event;
use gateway_testkit::test_gateway::Builder;
use gateway_testkit::{FakeUpstream, RawClient, Reply, Seen, TestGateway, chat_request};
use serde_json::json;
use tokio::time::Instant;

/// How soon the upstream must notice. On a paused clock, which moves only when every task waits for a timer, this
/// says that no timer is waited for.
const AT_ONCE: Duration = Duration::from_millis(100);

fn with_one_slot(builder: Builder) -> Builder {
    builder.client("ada", json!({"rate_limit": {"concurrent_requests": 1, "tokens_per_day": 1_000_000_000}}))
}

/// Hangs up and asserts that the upstream's connection closes at once, and the client's slot with it.
async fn hang_up(gateway: &TestGateway, client: RawClient, seen: &Seen) {
    let left_at = Instant::now();
    client.hang_up();
    let took = seen.connection_closed().await - left_at;
    assert!(took < AT_ONCE, "the upstream was held for {took:?}");
    gateway.is_quiet().await;
    assert!(left_at.elapsed() < AT_ONCE, "the slot was held for {:?}", left_at.elapsed());
    assert_eq!(gateway.limits("ada").await.in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_answer_gets_its_slot_back_at_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_one_slot(TestGateway::with(&upstream)).start().await;
    for (reply, stream) in [
        (Reply::never(), false),
        (Reply::text("hello").stall_after_head(), false),
        (Reply::text("hello").chunked().content_length(5), false),
        (Reply::never(), true),
        (Reply::stream(["late"]).stall_after_head(), true),
        (Reply::stream(["late"]).stall_after(0), true),
        (Reply::only_comments("wait", Duration::from_secs(1)), true),
    ] {
        upstream.script(reply);
        let mut client = gateway.connect().await;
        client.send(&chat_request("ada", "hi", stream)).await;
        let seen = upstream.next_request().await;
        // On a paused clock: until what the upstream sends has arrived, and everybody waits.
        tokio::time::sleep(Duration::from_millis(1)).await;
        hang_up(&gateway, client, &seen).await;
    }
    let asked = upstream.requests();
    assert_eq!(asked, 7, "nothing is asked for a client that has left");
    assert_eq!(gateway.chat("ada", "still there").await.status, 200);
    assert_eq!(upstream.requests(), asked + 1);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_content_is_late_gets_its_slot_back_at_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_one_slot(TestGateway::with(&upstream)).start().await;
    for reply in [Reply::never(), Reply::stream(["late"]).stall_after(0)] {
        upstream.script(reply);
        let mut client = gateway.stream("ada", "hi").await;
        assert!(matches!(client.next_event().await, Some(Event::Comment(_))));
        hang_up(&gateway, client, &upstream.next_request().await).await;
    }
    assert_eq!(upstream.requests(), 2);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_mid_stream_pays_what_it_caused_and_gets_its_slot_back_at_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_one_slot(TestGateway::with(&upstream)).start().await;
    let mut used = 0;
    for reply in [
        Reply::stream(["one ", "two ", "three "]).stall_after(2),
        Reply::stream(["one ", "two ", "three "]).gap(Duration::from_secs(5)),
        Reply::stream(["one ", "two ", "three "]).gap(Duration::from_secs(5)).gzip(),
    ] {
        upstream.script(reply);
        let mut client = gateway.stream("ada", "hi").await;
        while !client.next_message().await.unwrap().contains("two") {}
        hang_up(&gateway, client, &upstream.next_request().await).await;
        let now = gateway.tokens_used("ada").await;
        assert!((1..1000).contains(&(now - used)), "{} tokens for two words", now - used);
        used = now;
    }
    assert_eq!(upstream.requests(), 3);
    assert_eq!(gateway.chat("ada", "still there").await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resets_its_connection_has_left_as_well() {
    let upstream = FakeUpstream::start().await;
    let gateway = with_one_slot(TestGateway::with(&upstream)).start().await;
    upstream.script(Reply::never());
    let mut client = gateway.connect().await;
    client.send(&chat_request("ada", "hi", false)).await;
    let seen = upstream.next_request().await;
    let left_at = Instant::now();
    client.reset();
    assert!(seen.connection_closed().await - left_at < AT_ONCE);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_queue_is_never_called_for() {
    let upstream = FakeUpstream::start().await;
    let narrow = "max_concurrency = 1\nqueue = { max = 10, wait = \"1h\" }\n";
    let gateway =
        TestGateway::with(&upstream).provider(narrow).metered("ada").client("bob", json!({})).start().await;
    upstream.script(Reply::stream(["slow"]).stall_after(1));
    let holder = gateway.stream("bob", "hold the only place").await;
    let holding = upstream.next_request().await;
    let mut waiting = gateway.connect().await;
    waiting.send(&chat_request("ada", "let me in", false)).await;
    gateway.until("two requests are in flight", || gateway.front().in_flight.depth() == 2).await;
    waiting.hang_up();
    gateway.until("one has left", || gateway.front().in_flight.depth() == 1).await;
    holder.hang_up();
    holding.connection_closed().await;
    assert_eq!(gateway.tokens_used("ada").await, 0, "nothing was sent for it");
    assert_eq!(upstream.requests(), 1);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn hundreds_of_clients_that_leave_leave_nothing_behind() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    upstream.always(Reply::stream(vec!["word "; 50]).gap(Duration::from_millis(1)));
    let mut clients = Vec::new();
    for nth in 0..200 {
        let mut client = gateway.connect().await;
        client.send(&chat_request("ada", "hi", nth % 3 != 0)).await;
        clients.push(client);
        if nth % 4 == 3 {
            clients.swap_remove(nth % clients.len());
        }
    }
    drop(clients);
    gateway.is_quiet().await;
    upstream.idle().await;
    gateway.ends_quiet().await;
}

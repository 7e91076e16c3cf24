//! Many at once: what the gateway as a whole holds, and what it says when that is reached.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn above_max_in_flight_the_next_is_503_at_once_and_what_needs_no_place_is_answered() {
    let (upstream, gateway) = gateway("[server]\nmax_in_flight = 2\n").await;
    upstream.script(Reply::stream(["a", "b"]).stall_after(1));
    upstream.script(Reply::never());
    let streaming = gateway.stream("ada", "one").await;
    let mut waiting = gateway.connect().await;
    waiting.send(&chat_request("ada", "two", false)).await;
    upstream.arrived(2).await;
    for path in BODY_ROUTES {
        let answer = gateway.ask(&post(path).body(good_body(path).to_string())).await;
        assert_eq!(answer.status, 503, "{path}");
        error_message(path, &answer);
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        assert!(answer.header("retry-after-ms").is_some(), "{path}");
    }
    let answer = gateway.ask(&Request::get("/v1/models").header("x-api-key", "key-ada")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "overloaded");
    for path in ["/health", "/readyz", "/docs"] {
        assert_eq!(gateway.ask(&Request::get(path)).await.status, 200, "{path}");
    }
    gateway.admin("/admin/tree").await;
    assert_eq!(gateway.chat("nobody", "three").await.status, 401, "a stranger learns nothing of it");
    streaming.hang_up();
    waiting.hang_up();
    gateway.is_quiet().await;
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_request_that_finds_no_place_uses_up_nothing_of_its_clients_limits() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .toml("[server]\nmax_in_flight = 1\n")
        .client("ada", json!({"rate_limit": {"requests_per_minute": 2}}))
        .start()
        .await;
    upstream.script(Reply::stream(["a", "b"]).stall_after(1));
    let streaming = gateway.stream("ada", "one").await;
    for _ in 0..10 {
        assert_eq!(gateway.chat("ada", "two").await.status, 503);
    }
    streaming.hang_up();
    gateway.is_quiet().await;
    upstream.script(Reply::text("hello"));
    assert_eq!(gateway.chat("ada", "two").await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_without_room_in_memory_is_503_and_fits_as_soon_as_there_is() {
    let toml = "[server]\nmax_body_bytes = \"1MiB\"\nmax_buffered_bytes = \"1MiB\"\n";
    let (_upstream, gateway) = gateway(toml).await;
    let path = "/v1/chat/completions";
    let size = 900_000;
    // One that has sent most of a large body and waits.
    let mut holding = gateway.connect().await;
    let body = good_body(path).to_string();
    let padded = body.clone() + &" ".repeat(size - body.len());
    holding.write(head(path, &format!("content-length: {size}"))).await.expect("taken");
    holding.write(&padded[..size - 1]).await.expect("taken");
    gateway.until("the body is held", || gateway.front().budget.in_use() >= size as u64 - 1).await;

    for path in BODY_ROUTES {
        let body = good_body(path).to_string();
        let padded = body.clone() + &" ".repeat(500_000);
        let chunked = format!("{:x}\r\n{padded}\r\n0\r\n\r\n", padded.len());
        let by_length = answer_to(&gateway, post(path).body(padded).bytes()).await;
        let by_chunks = answer_to(&gateway, head(path, "transfer-encoding: chunked") + &chunked).await;
        for answer in [by_length, by_chunks] {
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 503, "{path}");
            error_message(path, &answer);
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    holding.write(&padded[size - 1..]).await.expect("taken");
    assert_eq!(holding.answer().await.status, 200);
    still_works(&gateway).await;
    gateway.is_quiet().await;
    assert_eq!(gateway.front().budget.in_use(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn five_hundred_idle_connections_keep_nobody_waiting() {
    let (_upstream, gateway) = gateway("").await;
    let mut idle = join_all((0..500).map(|_| gateway.connect())).await;
    // A part of a head, a whole request and then nothing, or not a byte.
    for (n, client) in idle.iter_mut().enumerate() {
        match n % 3 {
            0 => client.write("GET /health HTTP/1.1\r\nhost: ga").await.expect("taken"),
            1 => assert_eq!(client.ask(&Request::get("/health")).await.status, 200),
            _ => {}
        }
    }
    let start = Instant::now();
    still_works(&gateway).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for (n, client) in idle.iter_mut().enumerate().take(30) {
        if n % 3 == 0 {
            client.write("teway\r\n\r\n").await.expect("taken");
            assert_eq!(client.answer().await.status, 200);
        } else {
            assert_eq!(client.ask(&Request::get("/health")).await.status, 200);
        }
    }
    drop(idle);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_hundred_half_sent_bodies_hold_little_and_keep_nobody_waiting() {
    let (_upstream, gateway) = gateway("").await;
    let path = "/v1/chat/completions";
    let mut half_sent = join_all((0..100).map(|_| gateway.connect())).await;
    for client in &mut half_sent {
        client.write(head(path, "content-length: 30000000") + "{\"model\":").await.expect("taken");
    }
    gateway.until("all bodies are being read", || gateway.front().in_flight.depth() == 100).await;
    still_works(&gateway).await;
    // What was announced is not what is held: 64 KiB each at first, and not 30 MB.
    assert!(gateway.front().budget.in_use() <= 100 * 64 * 1024, "{}", gateway.front().budget.in_use());
    drop(half_sent);
    gateway.is_quiet().await;
    assert_eq!(gateway.front().budget.in_use(), 0);
    gateway.ends_quiet().await;
}

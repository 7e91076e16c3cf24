//! Clients that are slow on purpose.

use super::*;

/// Whether a clock set to `set` ran out when it should: not before, and soon after, as far as a busy machine goes.
#[track_caller]
fn assert_ran_out(start: Instant, set: Duration) {
    let elapsed = start.elapsed();
    assert!(elapsed + Duration::from_millis(2) >= set, "after {elapsed:?}");
    assert!(elapsed < set + Duration::from_secs(5), "after {elapsed:?}");
}

#[tokio::test]
async fn a_connection_that_stays_silent_is_closed_without_a_word() {
    let (_upstream, gateway) = gateway("[server]\nheader_timeout = \"10ms\"\nkeep_alive = \"300ms\"\n").await;
    let start = Instant::now();
    let mut client = gateway.connect().await;
    assert!(client.try_head().await.unwrap_or(None).is_none());
    assert_ran_out(start, Duration::from_millis(300));
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_drips_its_head_is_cut_however_steadily_it_drips() {
    let (_upstream, gateway) = gateway("[server]\nheader_timeout = \"300ms\"\n").await;
    let start = Instant::now();
    let dripping = (0..20).map(async |_| {
        let mut client = gateway.connect().await;
        let bytes = format!("GET /health HTTP/1.1\r\nhost: gateway\r\nx-slow: {}", "s".repeat(10_000));
        let cut = client.drip(bytes, 1, Duration::from_millis(10)).await;
        assert!(cut.is_err(), "the gateway would have taken 100 s of it");
        assert!(client.try_head().await.unwrap_or(None).is_none());
    });
    let dripping = futures_util::future::join_all(dripping);
    let others = async {
        // Others are served while it drips.
        while start.elapsed() < Duration::from_millis(200) {
            still_works(&gateway).await;
        }
    };
    tokio::join!(dripping, others);
    assert_ran_out(start, Duration::from_millis(300));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn between_two_requests_a_connection_lives_by_keep_alive() {
    let toml = "[server]\nheader_timeout = \"100ms\"\nkeep_alive = \"500ms\"\n";
    let (_upstream, gateway) = gateway(toml).await;
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(&Request::get("/health")).await.status, 200);
    let start = Instant::now();
    assert_eq!(client.closed().await, Closed::Properly);
    assert_ran_out(start, Duration::from_millis(500));
    // A head that drips after a request meets the header clock, not the longer one.
    let mut client = gateway.connect().await;
    assert_eq!(client.ask(&Request::get("/health")).await.status, 200);
    let start = Instant::now();
    let cut = client.drip("GET /health HTTP/1.1\r\n".repeat(1_000), 1, Duration::from_millis(10)).await;
    assert!(cut.is_err());
    assert_ran_out(start, Duration::from_millis(100));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_408_in_the_shape_of_its_route() {
    let (upstream, gateway) = gateway("[server]\nbody_timeout = \"200ms\"\n").await;
    for path in BODY_ROUTES {
        for (framing, begun) in
            [("content-length: 1000", "{\"mod"), ("transfer-encoding: chunked", "6\r\n{\"mod")]
        {
            let mut client = gateway.connect().await;
            let start = Instant::now();
            client.write(head(path, framing) + begun).await.expect("taken");
            let answer = client.answer().await;
            assert_ran_out(start, Duration::from_millis(200));
            assert_eq!(answer.status, 408, "{path}");
            assert!(error_message(path, &answer).contains("0.2s"));
            // What else comes cannot be told from the next request.
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(client.closed().await, Closed::Properly);
        }
    }
    assert_eq!(upstream.requests(), 0);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_of_which_nothing_comes_is_408_too() {
    let (_upstream, gateway) = gateway("[server]\nbody_timeout = \"200ms\"\n").await;
    let mut client = gateway.connect().await;
    client.write(head("/v1/chat/completions", "content-length: 10")).await.expect("taken");
    assert_eq!(client.answer().await.status, 408);
    drop(client);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_slow_body_that_keeps_coming_is_read() {
    let (_upstream, gateway) = gateway("[server]\nbody_timeout = \"500ms\"\n").await;
    let path = "/v1/chat/completions";
    let body = good_body(path).to_string();
    let mut client = gateway.connect().await;
    let start = Instant::now();
    client.write(head(path, &format!("content-length: {}", body.len()))).await.expect("taken");
    client.drip(&body, body.len() / 12, Duration::from_millis(50)).await.expect("taken");
    assert_eq!(client.answer().await.status, 200);
    assert!(start.elapsed() > Duration::from_millis(500), "the clock counts between bytes");
    gateway.ends_quiet().await;
}

/// Otherwise a byte every half minute would hold a place for months.
#[tokio::test]
async fn a_body_that_drips_for_too_long_is_408_although_it_keeps_coming() {
    let (_upstream, gateway) = gateway("[server]\nbody_timeout = \"100ms\"\n").await;
    let path = "/v1/chat/completions";
    let mut client = gateway.connect().await;
    client.write(head(path, "content-length: 1000")).await.expect("taken");
    // Ten times the clock, and some more.
    client.drip([b' '; 75], 1, Duration::from_millis(20)).await.expect("taken");
    let answer = client.answer().await;
    assert_eq!(answer.status, 408);
    error_message(path, &answer);
    drop(client);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_its_upstream_call_ends_and_its_slot_is_free() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .toml("[server]\nwrite_timeout = \"300ms\"\n")
        .client("ada", json!({"rate_limit": {"concurrent_requests": 1}}))
        .start()
        .await;
    // 24 MiB, more than the sockets on the way can hold.
    upstream.script(Reply::stream(vec!["x".repeat(64 << 10); 384]));
    let start = Instant::now();
    let mut reader = gateway.stream("ada", "tell me everything").await;
    assert_eq!(gateway.chat("ada", "and me").await.status, 429);
    upstream.request(0).connection_closed().await;
    assert_ran_out(start, Duration::from_millis(300));
    gateway.is_quiet().await;
    upstream.script(Reply::text("hello"));
    assert_eq!(gateway.chat("ada", "and me").await.status, 200);
    // What it left unread is no complete answer.
    while reader.next_data().await.is_some() {}
    assert!(!reader.ended_properly());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let (upstream, gateway) = gateway("[server]\nwrite_timeout = \"300ms\"\n").await;
    upstream.script(Reply::stream(vec!["x".repeat(64 << 10); 128]));
    let mut reader = gateway.stream("ada", "tell me everything").await;
    let start = Instant::now();
    let mut bytes = 0;
    while let Some(data) = reader.next_data().await {
        bytes += data.len();
        // A pause after each MiB: the whole takes longer than the clock, no pause does.
        if bytes % (1 << 20) < data.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(reader.ended_properly());
    assert!(bytes > 8 << 20);
    assert!(start.elapsed() > Duration::from_millis(300));
    gateway.ends_quiet().await;
}

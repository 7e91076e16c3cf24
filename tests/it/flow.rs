//! What a client sees while its stream waits, and what the upstream sees while the client does.
//!
//! These run on tokio's paused time: it jumps to the next timer only when every task waits, so a sleep returns once
//! nothing more can happen, and no byte is ever late.

use std::time::Duration;

use bytes::Bytes;
use gateway_testkit::events::Event;
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request, chat_with};
use serde_json::json;
use tokio::time::Instant;

const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Linux gives a socket at most 6 MiB to receive and 4 MiB to send unless told otherwise; there are two
/// connections on the way. The rest is ours.
const BUFFERED: u64 = 2 * (10 << 20) + (4 << 20);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Reads the stream's events with the time of each; ends with the stream.
async fn timed(client: &mut RawClient) -> Vec<(Duration, Event)> {
    let begin = Instant::now();
    let mut events = Vec::new();
    while let Some(event) = client.next_event().await {
        events.push((begin.elapsed(), event));
    }
    events
}

fn comments(events: &[(Duration, Event)]) -> Vec<u64> {
    let comments = events.iter().filter(|(_, event)| matches!(event, Event::Comment(_)));
    comments.map(|(at, _)| at.as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_late_stream_gets_its_head_and_comments_and_then_its_content() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    for reply in [
        Reply::stream(["Hel", "lo"]).first_piece_after(secs(60)),
        Reply::stream(["Hel", "lo"]).after(secs(60)),
    ] {
        upstream.script(reply);
        let asked_at = Instant::now();
        let mut client = gateway.connect().await;
        let ask = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true,
            "stream_options": {"include_usage": true}});
        let head = client.open(&chat_with("ada", ask)).await;
        assert_eq!(
            (head.status, asked_at.elapsed().as_secs()),
            (200, 10),
            "the head comes after `hold_back`"
        );
        assert_eq!(head.headers.get("content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(head.headers.get("cache-control"), Some("no-cache, no-transform"));
        assert_eq!(head.headers.get("x-accel-buffering"), Some("no"));
        assert_eq!(head.headers.get("x-gateway-provider"), Some("openai"));

        let events = timed(&mut client).await;
        assert!(client.ended_properly());
        assert_eq!(comments(&events), [0, 15, 30, 45], "one with the head, then one every 15 s");
        let data: String = events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Message { data, .. } => Some(format!("data: {data}\n\n")),
                Event::Comment(_) => None,
            })
            .collect();
        assert_eq!(data.as_bytes(), upstream.next_request().await.answer_body().await);
    }
    assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total());
    gateway.ends_quiet().await;
}

/// A byte order mark is one at a stream's beginning only; behind a comment it would hide the line it stands before.
#[tokio::test(start_paused = true)]
async fn a_late_streams_byte_order_mark_does_not_stand_behind_our_comments() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let event =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}]}\n\n";
    upstream.script(Reply::sse(format!("\u{feff}{event}data: [DONE]\n\n")).first_piece_after(secs(20)));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert_eq!(answer.text(), format!(": keep-alive\n\n{event}data: [DONE]\n\n"));
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_stream_that_fails_ends_in_an_error_event() {
    let upstream = FakeUpstream::start().await;
    let clock = "[timeouts]\nfirst_token = \"100s\"\n";
    let gateway = TestGateway::with(&upstream).once().toml(clock).metered("ada").start().await;
    for (reply, message, code) in [
        (Reply::error(500).after(secs(20)), "answered with status 500", "upstream_error"),
        (Reply::error(429).after(secs(20)), "Rate limit reached", "rate_limit_exceeded"),
        (Reply::error(400).after(secs(20)), "maximum context length", "context_length_exceeded"),
        (Reply::html().after(secs(20)), "not JSON", "upstream_error"),
        (Reply::empty().after(secs(20)), "empty", "upstream_error"),
        (Reply::stream(["a"]).after(secs(20)).cut_after(0), "the middle of the answer", "upstream_error"),
        (Reply::error_event().after(secs(20)), "had an error", "upstream_error"),
        (Reply::never(), "the first_token clock (100s) ran out", "upstream_timeout"),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
        assert_eq!((answer.status, answer.complete), (200, true));
        let stream = answer.chat_stream();
        assert!(!stream.comments.is_empty() && !stream.done, "{}", answer.text());
        assert_eq!(stream.errors.len(), 1, "{}", answer.text());
        assert!(stream.errors[0]["message"].as_str().unwrap().contains(message), "{}", answer.text());
        assert_eq!(stream.errors[0]["code"], code);
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_late_gets_no_comment_and_its_real_status() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::stream(["Hel", "lo"]).first_piece_after(secs(9)).gap(secs(14)));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert_eq!(answer.chat_stream().comments, Vec::<String>::new());
    upstream.script(Reply::error(404).after(secs(9)));
    assert_eq!(gateway.ask(&chat_request("ada", "hi", true)).await.status, 404);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_comment_keeps_an_idle_stream_alive_every_15_seconds() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::stream(["a", "b", "c"]).gap(secs(50)));
    let mut client = gateway.stream("ada", "hi").await;
    let events = timed(&mut client).await;
    assert_eq!(comments(&events), [15, 30, 45, 65, 80, 95]);
    let mut last = Duration::ZERO;
    for (at, event) in &events {
        assert!(*at - last <= KEEP_ALIVE_EVERY, "{event:?} came {:?} after what was before it", *at - last);
        last = *at;
    }
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_comment_never_stands_inside_a_frame() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    // The frame of the second piece begins right behind the first, and ends 40 s later.
    let first = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}";
    let rest = "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}";
    upstream.script(Reply::events([first, rest]).gap(secs(40)).insert_after(1, "data: {\"id\":\"half\",\n"));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    let stream = answer.chat_stream();
    assert_eq!((stream.text.as_str(), stream.unreadable, stream.done), ("ab", 0, true), "{}", answer.text());
    assert_eq!(stream.comments.len(), 2, "{}", answer.text());
    let frame = format!("data: {{\"id\":\"half\",\ndata: {rest}\n\n");
    assert!(answer.text().contains(&frame), "{}", answer.text());
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn an_upstreams_own_comments_pass_and_spare_ours() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let own = Reply::stream(["late"]).keep_alives("OPENROUTER PROCESSING", secs(4), 25);
    upstream.script(own);
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    let stream = answer.chat_stream();
    assert_eq!((stream.text.as_str(), stream.done), ("late", true));
    let theirs = stream.comments.iter().filter(|comment| *comment == "OPENROUTER PROCESSING").count();
    assert_eq!(theirs, 25);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_make_the_stall_clock_run() {
    let upstream = FakeUpstream::start().await;
    let patient = "[server]\nwrite_timeout = \"24h\"\n";
    let gateway = TestGateway::with(&upstream).toml(patient).metered("ada").start().await;
    // More than all buffers on the way take.
    upstream.script(Reply::stream(vec!["x"; 40]).comments(&"c".repeat(1 << 20)).tokens(5, 40));
    let mut client = gateway.stream("ada", "hi").await;
    let seen = upstream.next_request().await;
    // Longer than every clock there is: the client does not read, the upstream cannot write.
    tokio::time::sleep(secs(3600)).await;
    let stopped_at = seen.bytes_written();
    assert!(stopped_at < BUFFERED, "{stopped_at} bytes were read ahead of the client");
    let (mut read, mut last) = (0, Bytes::new());
    while let Some(data) = client.next_data().await {
        read += data.len();
        last = data;
    }
    assert!(client.ended_properly() && read > 40 << 20, "{read} bytes arrived");
    assert!(last.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(gateway.tokens_used("ada").await, 45);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_its_upstream_back() {
    let upstream = FakeUpstream::start().await;
    let patient = "[server]\nwrite_timeout = \"24h\"\n[timeouts]\nfirst_token = \"24h\"\n";
    let gateway = TestGateway::with(&upstream).toml(patient).client("ada", json!({})).start().await;
    let flood = Reply::only_comments(&"c".repeat(64 << 10), Duration::ZERO);
    for half in [1, 2] {
        upstream.script(flood.clone());
        let mut client = gateway.connect().await;
        client.send(&chat_request("ada", "hi", true)).await;
        let seen = upstream.next_request().await;
        tokio::time::sleep(secs(60)).await;
        let first = seen.bytes_written();
        assert!((1..BUFFERED).contains(&first), "{first} bytes were read ahead of the client");
        tokio::time::sleep(secs(60)).await;
        assert_eq!(seen.bytes_written(), first, "it goes on reading");
        if half == 2 {
            // What it reads now makes room for more.
            client.head().await;
            let mut read = 0;
            while read < 8 << 20 {
                read += client.next_data().await.unwrap().len();
            }
            tokio::time::sleep(secs(1)).await;
            assert!(seen.bytes_written() > first);
        }
        client.hang_up();
        seen.connection_closed().await;
    }
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_cut_and_its_upstream_call_with_it() {
    let upstream = FakeUpstream::start().await;
    let impatient = "[server]\nwrite_timeout = \"60s\"\n";
    let one = json!({"rate_limit": {"concurrent_requests": 1}});
    let gateway = TestGateway::with(&upstream).toml(impatient).client("ada", one).start().await;
    upstream.script(Reply::stream(vec!["x"; 40]).comments(&"c".repeat(1 << 20)));
    let stopped = gateway.stream("ada", "hi").await;
    let seen = upstream.next_request().await;
    seen.connection_closed().await;
    gateway.is_quiet().await;
    assert_eq!(gateway.chat("ada", "again").await.status, 200, "its slot is free");
    drop(stopped);
    gateway.ends_quiet().await;
}

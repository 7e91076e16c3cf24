//! An upstream that cannot be reached, closes connections under us, or sends without end.

use std::time::Duration;

use gateway_testkit::deadline::patiently;
use gateway_testkit::fake_upstream::Greeting;
use gateway_testkit::{BlackHole, FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Well above what one call may hold (an event of 16 MiB) and what both sockets' buffers take.
const BOUNDED: u64 = 64 << 20;

#[tokio::test]
async fn an_upstream_that_nobody_listens_for_is_a_502() {
    let gateway = TestGateway::at(&BlackHole::refusing_url().await).metered("ada").start().await;
    for stream in [false, true] {
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.json()["error"]["message"], "provider `openai`: no connection");
        assert_eq!(answer.json()["error"]["code"], "upstream_error");
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stale_pooled_connection_never_reaches_the_client() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    upstream.always(Reply::text("here").tokens(1, 1).close_silently());
    let mut client = gateway.connect().await;
    for nth in 1..=300 {
        let stream = nth % 2 == 0;
        let answer = client.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200, "call {nth}: {}", answer.text());
        assert!(answer.complete, "call {nth}");
    }
    // A request on a connection that is closed already is never read: what arrived was sent once.
    assert_eq!(upstream.requests(), 300);
    assert_eq!(gateway.tokens_used("ada").await, 600);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_large_request_survives_a_stale_connection_too() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.always(Reply::text("here").close_silently());
    let mut client = gateway.connect().await;
    let large = "word ".repeat(400_000);
    for nth in 1..=4 {
        let answer = client.ask(&chat_request("ada", &large, false)).await;
        assert_eq!(answer.status, 200, "call {nth}: {}", answer.text());
    }
    assert_eq!(upstream.requests(), 4);
    gateway.ends_quiet().await;
}

/// What is written and never read lies in both sockets' buffers, which grow to some megabytes.
#[tokio::test]
async fn an_answer_whose_headers_do_not_end_is_given_up_early() {
    const GIVEN_UP: usize = 16 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let flood = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let piece = "x-flood: 0123456789abcdef0123456789abcdef\r\n".repeat(1_000);
        let mut written = socket.write(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while written < BOUNDED as usize && socket.write_all(piece.as_bytes()).await.is_ok() {
            written += piece.len();
        }
        written
    });
    let gateway = TestGateway::at(&url).toml("[retries]\nmax_attempts = 1\n").metered("ada").start().await;
    let answer = gateway.ask(&chat_request("ada", "hi", false)).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("not valid HTTP"), "{}", answer.text());
    let written = patiently("the flood to be cut off", flood).await.unwrap();
    assert!(written < GIVEN_UP, "{written} bytes were taken");
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_that_closes_new_connections_unread_is_asked_once_more() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().client("ada", json!({})).start().await;
    upstream.greet(1, Greeting::Close);
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.requests(), 1);

    upstream.script(Reply::text("bye").close_as_announced());
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    upstream.greet(2, Greeting::Close);
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(upstream.requests(), 2);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_request_is_never_sent_more_than_twice() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().metered("ada").start().await;
    for reply in [Reply::close(), Reply::reset(), Reply::raw("HTTP/1.1 200 OK\r\ncontent-le")] {
        for stream in [false, true] {
            let before = upstream.requests();
            upstream.always(reply.clone());
            let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
            assert_eq!(answer.status, 502, "{}", answer.text());
            let message = "provider `openai`: the connection closed before an answer";
            assert_eq!(answer.json()["error"]["message"], message);
            assert_eq!(upstream.requests() - before, 2);
            assert_eq!(upstream.request(before).body(), upstream.request(before + 1).body());
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_answer_that_has_begun_is_never_asked_for_again() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().client("ada", json!({})).start().await;
    let trouble = [
        (Reply::text("hello there").cut_at_byte(0), false),
        (Reply::text("hello there").cut_at_byte(30), false),
        (Reply::stream(["a", "b"]).cut_after(0), true),
        (Reply::stream(["a", "b"]).cut_after(1), true),
        (Reply::error(500), false),
        (Reply::error(503), true),
        (Reply::html(), false),
    ];
    let asked = trouble.len();
    for (reply, stream) in trouble {
        upstream.script(reply);
        gateway.ask(&chat_request("ada", "hi", stream)).await;
    }
    assert_eq!(upstream.requests(), asked);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_flood_of_headers_is_a_502_read_within_a_bound() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for stream in [false, true] {
        upstream.script(Reply::header_flood());
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        let seen = upstream.next_request().await;
        seen.finished().await;
        assert!(seen.bytes_written() < BOUNDED, "{} bytes were taken", seen.bytes_written());
    }
    assert_eq!(upstream.requests(), 2);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_whole_answer_without_end_is_a_502_read_within_a_bound() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().metered("ada").start().await;
    for (reply, stream) in [
        (Reply::endless(), false),
        (Reply::endless().content_type("text/html"), true),
        (Reply::endless().not_streamed(), true),
        (Reply::long_line(200 << 20), false),
        (Reply::endless().status(500), false),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        let seen = upstream.next_request().await;
        seen.finished().await;
        assert!(seen.bytes_written() < 2 * BOUNDED, "{} bytes were taken", seen.bytes_written());
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_may_answer_in_http_1_0_and_end_with_its_connection() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for (reply, stream) in [
        (Reply::text("hello there").http10(), false),
        (Reply::text("hello there").http10(), true),
        (Reply::text("hello there").until_close(), false),
        (Reply::text("hello there").until_close(), true),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.complete);
        assert!(!stream || answer.chat_stream().done);
    }
    gateway.ends_quiet().await;
}

/// What an upstream sends beyond its answer waits in the connection's buffer, where the next answer is expected.
#[tokio::test]
async fn an_answer_too_many_is_never_another_requests_answer() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let answer = |text: &str| {
        let body =
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut client = gateway.connect().await;
    for nth in 0..50 {
        let own = format!("for {nth}");
        let stray = answer("for somebody else");
        upstream.script(Reply::raw(format!("{}{stray}", answer(&own))).keep_open().writes_of(1 + nth * 7));
        let got = client.ask(&chat_request("ada", "hi", false)).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.json()["choices"][0]["message"]["content"], own);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn interim_answers_and_trailers_are_passed_over() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let body =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!("{:x};name=value\r\n{body}\r\n0\r\nx-trailer: 1\r\n\r\n", body.len());
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    for interim in ["", early, &early.repeat(3), "HTTP/1.1 100 Continue\r\n\r\n"] {
        upstream.script(Reply::raw(format!("{interim}{head}{chunks}")));
        let answer = gateway.chat("ada", "hi").await;
        assert_eq!((answer.status, answer.text()), (200, body.clone()));
        assert_eq!((answer.header("link"), answer.header("x-trailer")), (None, None));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_slow_upstream_in_tiny_writes_is_read_to_its_end() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for stream in [false, true] {
        upstream.script(Reply::text("hello there").writes_of(1).after(Duration::from_millis(5)));
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.complete && answer.body.len() > 300, "{}", answer.text());
    }
    gateway.ends_quiet().await;
}

//! Each fault as a client meets it.

use std::time::Duration;

use gateway_testkit::raw_client::Closed;
use gateway_testkit::reply::LineEnd;
use gateway_testkit::{BlackHole, FakeUpstream, Greeting, RawClient, Reply};

use crate::{question, streamed, whole};

fn abc() -> Reply {
    Reply::stream(["a", "b", "c"])
}

#[tokio::test]
async fn a_cut_stream_is_torn_where_it_was_cut() {
    for n in 0..=3 {
        let cut = streamed(abc().cut_after(n)).await;
        assert_eq!(cut.chat_stream().text, &"abc"[..n]);
        assert!(!cut.complete);
        let clean = streamed(abc().clean_cut_after(n)).await;
        assert_eq!(clean.chat_stream().text, &"abc"[..n]);
        assert!(clean.complete && !clean.chat_stream().done);
        let reset = streamed(abc().reset_after(n).gap(Duration::from_millis(5))).await;
        assert!(!reset.complete);
    }
}

#[tokio::test]
async fn a_body_is_cut_within_its_stated_length() {
    let cut = whole(Reply::text("Hello").cut_at_byte(10)).await;
    assert_eq!((cut.body.len(), cut.complete), (10, false));
    let short = whole(Reply::text("Hello").content_length(5).close_silently()).await;
    assert!(short.json().is_object() && !short.complete);
    let stated = streamed(abc().content_length(0).cut_after(1)).await;
    assert_eq!((stated.chat_stream().text.as_str(), stated.complete), ("a", false));
}

#[tokio::test]
async fn a_stream_can_lack_its_end() {
    let stream = streamed(abc().without_done()).await.chat_stream();
    assert!(!stream.done && stream.finish_reasons == ["stop"]);
    let stream = streamed(abc().without_finish_reason()).await.chat_stream();
    assert!(stream.done && stream.finish_reasons.is_empty());
    let stream = streamed(abc().without_last_line_end()).await.chat_stream();
    assert!(stream.torn && !stream.done);
    let stream = streamed(abc().finish_reason_throughout("")).await.chat_stream();
    assert_eq!(stream.finish_reasons, ["", "", "", "", "stop"]);
}

#[tokio::test]
async fn events_are_put_in_where_they_were_asked_for_and_in_their_order() {
    let reply = abc()
        .insert_after(1, ": first\n\n")
        .insert_after(1, ": second\n\n")
        .malformed_event_after(2)
        .error_event_after(2);
    let stream = streamed(reply).await.chat_stream();
    assert_eq!(stream.text, "ab");
    assert_eq!(stream.comments, ["first", "second"]);
    assert_eq!(stream.errors[0]["type"], "server_error");
    assert_eq!((stream.unreadable, stream.done), (1, false));

    let first = streamed(Reply::error_event()).await.chat_stream();
    assert_eq!((first.messages.len(), first.errors.len()), (1, 1));
}

#[tokio::test]
async fn every_line_end_and_every_split_carries_the_same_stream() {
    let reply = || Reply::text("Grüße, 😀 world").comments("ping").byte_order_mark();
    for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
        for size in [1, 2, 3, 7, 1000] {
            let answer = streamed(reply().line_ends(line_end).split_every(size)).await;
            let stream = answer.chat_stream();
            assert_eq!(stream.text, "Grüße, 😀 world", "{line_end:?} by {size}");
            assert!(stream.done && stream.comments == ["ping"; 3]);
        }
    }
}

#[tokio::test]
async fn unusable_answers_come_under_status_200() {
    assert_eq!(whole(Reply::null()).await.body, "null");
    assert_eq!(whole(Reply::empty()).await.body, "");
    assert!(whole(Reply::html()).await.text().starts_with("<!DOCTYPE"));
    assert!(whole(Reply::error_in_200()).await.json()["error"].is_object());
    let moved = whole(Reply::redirect(302, "http://127.0.0.1:1/")).await;
    assert_eq!(moved.header("location"), Some("http://127.0.0.1:1/"));
    let wrong = whole(Reply::text("Hi").content_type("text/plain")).await;
    assert_eq!(wrong.header("content-type"), Some("text/plain"));
    let raw = whole(Reply::raw("HTTP/1.1 200 OK\r\n\r\nto the end")).await;
    assert_eq!(raw.body, "to the end");
}

#[tokio::test]
async fn an_error_has_its_status_and_headers() {
    let limited = whole(Reply::error(429).header("retry-after", "7")).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.header("retry-after-ms"), Some("850"));
    assert_eq!(limited.headers.all("retry-after"), ["7"]);
    let twice = whole(Reply::error(500).every_header_twice()).await;
    assert_eq!(twice.headers.all("openai-organization").len(), 2);
    let bare = whole(Reply::error(500).bare().without_header("content-type")).await;
    assert_eq!(bare.headers.iter().count(), 1, "only the length");
}

#[tokio::test]
async fn tool_calls_without_an_index_keep_their_ids() {
    let calls = [("f", r#"{"id":1234567890123456789}"#), ("g", r#"{"x":1e2}"#)];
    let stream = streamed(Reply::tool_calls(calls).without_tool_index()).await;
    assert!(!stream.text().contains("\"index\":1"));
    let first = stream.chat_stream().messages[1].clone();
    assert_eq!(first.matches("call_").count(), 2);
    let stream = streamed(Reply::tool_calls(calls)).await.chat_stream();
    assert_eq!(stream.tool_calls[0].1, calls[0].1);
    assert_eq!(stream.tool_calls[1].1, calls[1].1);
}

#[tokio::test]
async fn lone_surrogates_go_out_as_written() {
    let body = streamed(Reply::escaped(["\\ud83d", "\\ude00"])).await.text();
    assert!(body.contains("\"content\":\"\\ud83d\"") && body.contains("\"content\":\"\\ude00\""));
}

#[tokio::test]
async fn a_connection_ends_before_a_byte_in_three_ways() {
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::close());
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.send(&question(false)).await;
    assert!(client.try_answer().await.unwrap().is_none());

    upstream.script(Reply::reset());
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.send(&question(false)).await;
    assert_eq!(client.closed().await, Closed::Reset);

    for (greeting, closed) in [(Greeting::Close, Closed::Properly), (Greeting::Reset, Closed::Reset)] {
        upstream.greet(1, greeting);
        let mut client = RawClient::connect(upstream.base_url()).await;
        assert_eq!(client.closed().await, closed);
    }
    assert_eq!((upstream.requests(), upstream.connections()), (2, 4));
}

#[tokio::test]
async fn a_kept_connection_can_go_stale() {
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::text("Hi").close_silently());
    let mut client = RawClient::connect(upstream.base_url()).await;
    let answer = client.ask(&question(false)).await;
    assert!(answer.complete && answer.header("connection").is_none());
    assert_eq!(client.closed().await, Closed::Properly);
}

#[tokio::test]
async fn silence_lasts_until_the_client_leaves() {
    for reply in [Reply::never(), abc().stall_after_head(), abc().stall_after(2)] {
        let upstream = FakeUpstream::start().await;
        upstream.always(reply);
        let mut client = RawClient::connect(upstream.base_url()).await;
        client.send(&question(true)).await;
        let seen = upstream.next_request().await;
        assert_eq!(upstream.in_flight(), 1);
        client.hang_up();
        seen.connection_closed().await;
        upstream.idle().await;
    }
}

#[tokio::test]
async fn floods_stop_when_the_client_leaves() {
    for reply in [
        Reply::header_flood(),
        Reply::endless(),
        Reply::endless().gzip(),
        Reply::endless().not_streamed(),
        Reply::only_comments("still here", Duration::from_millis(1)),
    ] {
        let upstream = FakeUpstream::start().await;
        upstream.script(reply);
        let mut client = RawClient::connect(upstream.base_url()).await;
        client.send(&question(true)).await;
        if let Ok(Some(_)) = client.try_head().await {
            for _ in 0..10 {
                assert!(client.next_data().await.is_some());
            }
        }
        client.hang_up();
        upstream.next_request().await.connection_closed().await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connecting_to_a_black_hole_never_ends() {
    let hole = BlackHole::start().await;
    let address = hole.base_url().replace("http://", "").replace("/v1", "");
    let connecting = tokio::net::TcpStream::connect(address);
    let waited = tokio::time::timeout(Duration::from_millis(100), connecting).await;
    assert!(waited.is_err());
}

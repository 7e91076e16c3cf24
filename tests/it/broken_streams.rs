//! A stream that does not end as it must ends in an error event, never as if it were complete; and what is no
//! answer at all is a 502, whatever its status says.

use gateway_testkit::raw_client::Answer;
use gateway_testkit::{ChatStream, FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::json;

async fn asked(gateway: &TestGateway, upstream: &FakeUpstream, reply: Reply, stream: bool) -> Answer {
    upstream.script(reply);
    gateway.ask(&chat_request("ada", "hi", stream)).await
}

/// Asserts that a stream ended in one error event and nothing behind it.
fn ended_in_an_error(answer: &Answer) -> ChatStream {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.complete, "our own framing ends in order");
    let stream = answer.chat_stream();
    assert!(!stream.done, "[DONE] behind a broken stream: {}", answer.text());
    assert!(!stream.torn && stream.unreadable == 0, "a frame was torn: {}", answer.text());
    assert_eq!(stream.errors.len(), 1, "{}", answer.text());
    assert!(stream.messages.last().unwrap().starts_with("{\"error\""), "{}", answer.text());
    stream
}

/// `Hel`, `lo`, then whatever is wrong.
fn hello() -> Reply {
    Reply::stream(["Hel", "lo ", "there"])
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_in_an_error_event() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let mut used = 0;
    for (reply, text) in [
        (hello().cut_after(2), "Hello "),
        (hello().cut_after(3), "Hello there"),
        (hello().clean_cut_after(2), "Hello "),
        (hello().reset_after(2), "Hello "),
        (hello().until_close().cut_after(2), "Hello "),
        (hello().http10().cut_after(2), "Hello "),
        (hello().content_length(0).cut_after(2), "Hello "),
        (hello().error_event_after(2), "Hello "),
        (hello().malformed_event_after(2), "Hello "),
        (hello().insert_after(2, "data: null\n\n"), "Hello "),
        (hello().insert_after(2, "data: <html>\n\n"), "Hello "),
        (hello().insert_after(2, "event: error\ndata: {\"message\":\"over\"}\n\n"), "Hello "),
        (hello().insert_after(2, "data: {\"object\":\"error\",\"message\":\"over\"}\n\n"), "Hello "),
        (hello().without_finish_reason().without_done(), "Hello there"),
        (hello().gzip().cut_after(2), "Hello "),
    ] {
        let answer = asked(&gateway, &upstream, reply, true).await;
        let stream = ended_in_an_error(&answer);
        // A reset overtakes what was sent before it.
        assert!(text.starts_with(&stream.text) && stream.text.len() >= 3, "{text}: {}", answer.text());
        assert_eq!(stream.errors[0]["code"], "upstream_error", "{}", answer.text());
        assert_eq!(stream.errors[0]["type"], "server_error", "{}", answer.text());
        let now = gateway.tokens_used("ada").await;
        assert!((1..1000).contains(&(now - used)), "what was relayed is paid for: {}", now - used);
        used = now;
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_that_breaks_before_content_is_a_502_that_costs_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    for reply in [
        hello().cut_after(0),
        hello().clean_cut_after(0),
        hello().reset_after(0),
        hello().error_event_after(0),
        hello().malformed_event_after(0),
        hello().cut_at_byte(0),
        hello().cut_at_byte(20),
        hello().gzip().corrupted(),
        Reply::error_event(),
        Reply::sse(""),
        Reply::sse("\n\n\n"),
        Reply::sse(": only a comment\n\n"),
        Reply::sse("data: null\n\n"),
        Reply::sse("data: [1]\n\ndata: [DONE]\n\n"),
        Reply::sse("data: <html></html>\n\n"),
        Reply::sse("data: {\"choices\":[]}\n\n"),
        Reply::sse("data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"),
        Reply::sse("event: error\ndata: {\"error\":{\"message\":\"no\"}}\n\n"),
    ] {
        let shown = format!("{reply:?}");
        let answer = asked(&gateway, &upstream, reply, true).await;
        assert_eq!(answer.status, 502, "{shown}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "upstream_error", "{shown}: {}", answer.text());
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_never_taken_for_complete() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let mut client = gateway.connect().await;
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n\
        : wait\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" two\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let content_from = stream.find("\n\n").unwrap() + 2;
    let finished_from = stream.find("data: [DONE]").unwrap();
    for at in 0..stream.len() {
        for until_close in [false, true] {
            let reply = Reply::sse(stream).cut_at_byte(at);
            upstream.script(if until_close { reply.until_close() } else { reply });
            let answer = client.ask(&chat_request("ada", "hi", true)).await;
            let case = format!("cut at {at}, until close: {until_close}: {}", answer.text());
            if at < content_from {
                assert_eq!(answer.status, 502, "{case}");
            } else if answer.chat_stream().done {
                // Every choice has finished: only `[DONE]` is missing, or the blank line behind it.
                assert!(at >= finished_from - 2, "{case}");
                assert_eq!(answer.chat_stream().text, "one two", "{case}");
                assert!(answer.chat_stream().errors.is_empty() && !answer.chat_stream().torn, "{case}");
            } else {
                let relayed = ended_in_an_error(&answer).text;
                assert!("one two".starts_with(&relayed) && relayed.len() >= 3, "{case}");
            }
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_missing_done_alone_is_written() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    for reply in [
        hello().without_done(),
        hello().without_done().until_close(),
        hello().without_done().without_last_line_end(),
        hello().without_last_line_end(),
        Reply::tool_calls([("look_up", "{\"id\":1}")]).without_done(),
    ] {
        let answer = asked(&gateway, &upstream, reply, true).await;
        let stream = answer.chat_stream();
        assert!(answer.complete && stream.done && !stream.torn, "{}", answer.text());
        assert_eq!(stream.messages.iter().filter(|data| *data == "[DONE]").count(), 1);
        assert!(stream.errors.is_empty());
        assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn behind_the_terminal_event_nothing_reaches_the_client() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let finished = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: [DONE]\n\n";
    let late = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" and more\"}}]}\n\n";
    for reply in [
        Reply::sse(format!("{finished}{late}")),
        Reply::sse(format!("{finished}{late}")).split_at(finished.len()),
        Reply::sse(format!("{finished}garbage")).split_every(1),
        Reply::sse(format!("{finished}{late}")).cut_at_byte(finished.len()),
        Reply::sse(finished).stall_after(1),
    ] {
        let answer = asked(&gateway, &upstream, reply, true).await;
        assert_eq!(answer.text(), finished);
        assert!(answer.complete);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let empty: [&str; 0] = [];
    for (nth, stream) in [(1, false), (2, true)] {
        let answer = asked(&gateway, &upstream, Reply::stream(empty).tokens(7, 0), stream).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!stream || answer.chat_stream().done, "{}", answer.text());
        assert_eq!(gateway.tokens_used("ada").await, 7 * nth);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_200_that_is_no_answer_is_a_502() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let valid =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}).to_string();
    for reply in [
        Reply::html(),
        Reply::html().content_type("application/json"),
        Reply::html().content_type("text/event-stream"),
        Reply::empty(),
        Reply::empty().without_header("content-type"),
        Reply::null(),
        Reply::null().content_type("text/event-stream"),
        Reply::error_in_200(),
        Reply::error_in_200().content_type("text/event-stream"),
        Reply::json("[]"),
        Reply::json("{}"),
        Reply::json("\"hello\""),
        Reply::json("{\"choices\":[]}"),
        Reply::json("{\"choices\":null}"),
        Reply::json(&valid[..valid.len() - 1]),
        Reply::json(format!("{valid} and more")),
        Reply::json(&valid).cut_at_byte(20),
        Reply::json(&valid).content_length(7).close_silently(),
        Reply::json(&valid).chunked().cut_at_byte(20),
        Reply::body("application/json", vec![b'{', 0xff, 0xfe, b'}']),
        Reply::raw("HTTP/1.1 204 No Content\r\n\r\n"),
        Reply::raw("SSH-2.0-OpenSSH_9.6\r\n"),
        Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}"),
    ] {
        for stream in [false, true] {
            let shown = format!("{reply:?}, stream: {stream}");
            let answer = asked(&gateway, &upstream, reply.clone(), stream).await;
            assert_eq!(answer.status, 502, "{shown}: {}", answer.text());
            let error = &answer.json()["error"];
            assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("upstream_error")));
            assert!(
                !answer.text().contains("sign in") && !answer.text().contains("Sorry"),
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_answer_in_the_shape_that_was_not_asked_for_is_a_502() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    for (reply, stream) in [(hello().streamed(), false), (hello().not_streamed(), true)] {
        let answer = asked(&gateway, &upstream, reply, stream).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

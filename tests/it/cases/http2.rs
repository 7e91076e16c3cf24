//! C33: an upstream that speaks HTTP/2, and the ways in which only that can fail.

use std::time::Duration;

use gateway_testkit::fake_upstream::Greeting;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};

async fn started() -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start_h2c().await;
    let gateway = TestGateway::with(&upstream).provider("http2 = true").metered("ada").start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn c33_calls_share_one_connection() {
    let (upstream, gateway) = started().await;
    for stream in [false, true, false] {
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!((upstream.requests(), upstream.connections()), (3, 1));
    gateway.ends_quiet().await;
    upstream.finish();
}

#[tokio::test]
async fn c33_a_connection_that_goes_away_and_a_refused_stream_are_tried_again_in_silence() {
    for stream in [false, true] {
        let (upstream, gateway) = started().await;
        upstream.greet(1, Greeting::GoAway);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.requests(), 1, "it began none of the first");

        upstream.script(Reply::refused());
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.requests(), 3);
        assert_eq!(upstream.connections(), 2, "a refused stream leaves its connection as it is");
        gateway.ends_quiet().await;
        upstream.finish();
    }
}

#[tokio::test]
async fn c33_a_stream_that_is_reset_before_its_head_is_resent_once_and_tried_once_more() {
    for stream in [false, true] {
        let (upstream, gateway) = started().await;
        upstream.script(Reply::reset());
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!((answer.status, upstream.requests()), (200, 2), "{}", answer.text());
        // Two attempts, and each resends once.
        for _ in 0..4 {
            upstream.script(Reply::reset());
        }
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert_eq!((answer.status, upstream.requests()), (502, 6), "{}", answer.text());
        let message = "provider `openai`: the connection closed before an answer";
        assert_eq!(answer.json()["error"]["message"], message);
        gateway.ends_quiet().await;
        upstream.finish();
    }
}

#[tokio::test]
async fn c33_a_stream_that_is_reset_after_five_tokens_is_told_in_our_words() {
    let (upstream, gateway) = started().await;
    upstream.script(Reply::stream(vec!["word "; 6]).gap(Duration::from_millis(2)).reset_after(5));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    let stream = answer.chat_stream();
    assert_eq!((answer.complete, stream.done, stream.errors.len()), (true, false, 1), "{}", answer.text());
    let message = "provider `openai`: the connection closed in the middle of the answer";
    assert_eq!(stream.errors[0]["message"], message);
    assert_eq!(answer.text().matches("word ").count(), 5);
    assert_eq!(upstream.requests(), 1, "nothing is sent again once content has gone out");
    gateway.ends_quiet().await;
    upstream.finish();
}

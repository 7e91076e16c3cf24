//! Answers that come encoded although `identity` was asked for: decoded within a bound, never passed on under the
//! wrong label.

use std::time::Duration;

use async_compression::tokio::write::{BrotliEncoder, ZstdEncoder};
use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_with};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

fn ask(stream: bool) -> Request {
    let options = json!({"include_usage": true});
    let ask =
        json!({"messages": [{"role": "user", "content": "hi"}], "stream": stream, "stream_options": options});
    // A client that takes encoded answers gets plain ones all the same.
    chat_with("ada", ask).header("accept-encoding", "gzip, deflate, br, zstd")
}

#[tokio::test]
async fn c23_an_encoded_answer_arrives_plain_and_labelled_so() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    for stream in [false, true] {
        for encode in [Reply::gzip as fn(Reply) -> Reply, Reply::deflate] {
            for split in [None, Some(1), Some(7)] {
                let plain = Reply::stream(["Hel", "lo \u{1f600}"]).tokens(3, 2);
                let encoded = split.into_iter().fold(encode(plain), Reply::split_every);
                upstream.script(encoded);
                let answer = gateway.ask(&ask(stream)).await;
                assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
                assert_eq!(answer.header("content-encoding"), None);
                if stream {
                    let stream = answer.chat_stream();
                    assert_eq!((stream.text.as_str(), stream.done), ("Hello \u{1f600}", true));
                    assert_eq!((stream.usage.len(), stream.unreadable), (1, 0));
                } else {
                    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello \u{1f600}");
                    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
                }
            }
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 12 * 5);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c23_brotli_and_zstd_are_decoded_as_well() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    .to_string();
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    for (streamed, plain) in [(false, whole.as_str()), (true, stream)] {
        let mut brotli = BrotliEncoder::new(Vec::new());
        brotli.write_all(plain.as_bytes()).await.unwrap();
        brotli.shutdown().await.unwrap();
        let mut zstd = ZstdEncoder::new(Vec::new());
        zstd.write_all(plain.as_bytes()).await.unwrap();
        zstd.shutdown().await.unwrap();
        for (name, encoded) in [("br", brotli.into_inner()), ("zstd", zstd.into_inner())] {
            let reply = if streamed { Reply::sse(encoded) } else { Reply::body("application/json", encoded) };
            upstream.script(reply.header("content-encoding", name).split_every(3));
            let answer = gateway.ask(&ask(streamed)).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, plain), "{name}");
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 20);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn c23_a_decoded_stream_is_not_held_back() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for encode in [Reply::gzip as fn(Reply) -> Reply, Reply::deflate] {
        upstream.script(encode(Reply::stream(["one", "two", "three"]).gap(Duration::from_secs(5))));
        let asked_at = Instant::now();
        let mut client = gateway.connect().await;
        client.open(&ask(true)).await;
        for (word, at) in [("one", 0), ("two", 5), ("three", 10)] {
            while !client.next_message().await.unwrap().contains(&format!("\"{word}\"")) {}
            assert_eq!(asked_at.elapsed().as_secs(), at, "when `{word}` came");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c23_an_encoded_error_says_the_same_as_a_plain_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for reply in [Reply::error(404), Reply::error(404).gzip(), Reply::error(404).deflate()] {
        upstream.script(reply);
        let answer = gateway.ask(&ask(false)).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["code"], "model_not_found", "{}", answer.text());
        assert_eq!(answer.header("content-encoding"), None);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c23_an_answer_that_cannot_be_decoded_is_a_502() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let hello = || Reply::stream(["Hel", "lo"]);
    for stream in [false, true] {
        for reply in [
            hello().mislabelled("gzip"),
            hello().mislabelled("deflate"),
            hello().mislabelled("br"),
            hello().mislabelled("zstd"),
            hello().mislabelled("compress"),
            hello().mislabelled("rot13"),
            hello().mislabelled("gzip, br"),
            hello().gzip().corrupted(),
            hello().deflate().corrupted(),
            hello().gzip().mislabelled("deflate"),
            hello().deflate().mislabelled("gzip"),
            hello().gzip().cut_at_byte(15),
            hello().gzip().without_header("content-encoding"),
        ] {
            let shown = format!("{reply:?}");
            upstream.script(reply);
            let answer = gateway.ask(&ask(stream)).await;
            assert_eq!(answer.status, 502, "{shown}: {}", answer.text());
            assert_eq!(answer.json()["error"]["code"], "upstream_error");
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c23_a_label_of_identity_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for label in ["identity", "IDENTITY", ""] {
        for stream in [false, true] {
            upstream.script(Reply::text("hello").mislabelled(label));
            let answer = gateway.ask(&ask(stream)).await;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
            assert_eq!(answer.body, upstream.next_request().await.answer_body().await);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c23_a_bomb_is_decoded_no_further_than_an_answer_may_be() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    upstream.script(Reply::endless().gzip());
    let answer = gateway.ask(&ask(false)).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("larger than"), "{message}");
    assert_eq!(gateway.tokens_used("ada").await, 0);

    upstream.script(Reply::endless().gzip());
    let answer = gateway.ask(&ask(true)).await;
    let stream = answer.chat_stream();
    assert!(!stream.done && stream.errors.len() == 1, "{}", answer.text());
    assert!(
        stream.errors[0]["message"].as_str().unwrap().contains("an event of more than"),
        "{}",
        answer.text()
    );

    upstream.script(Reply::endless().gzip().status(400));
    assert_eq!(gateway.ask(&ask(false)).await.status, 400);
    for number in 0..upstream.requests() {
        let seen = upstream.request(number);
        seen.connection_closed().await;
        // 64 MiB of one letter, compressed.
        assert!(seen.bytes_written() < 4 << 20, "{} bytes were taken", seen.bytes_written());
    }
    gateway.ends_quiet().await;
}

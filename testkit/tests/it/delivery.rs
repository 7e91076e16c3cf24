//! Framing, encoding and pace.

use std::io::Read;
use std::time::Duration;

use gateway_testkit::{FakeUpstream, RawClient, Reply};
use tokio::time::Instant;

use crate::{question, streamed, whole};

#[tokio::test]
async fn each_part_of_a_split_body_is_a_chunk_of_its_own() {
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::sse("data: abcdef\n\n").split_at(3).split_at(8));
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.open(&question(true)).await;
    let mut parts = Vec::new();
    while let Some(part) = client.next_data().await {
        parts.push(part);
    }
    assert_eq!(parts, ["dat", "a: ab", "cdef\n\n"]);
    assert!(client.ended_properly());
}

#[tokio::test]
async fn every_framing_carries_the_same_body() {
    let reply = || Reply::json(r#"{"a":1}"#);
    let framings = [
        reply(),
        reply().chunked(),
        reply().until_close(),
        reply().http10(),
        reply().writes_of(1),
        reply().close_as_announced(),
    ];
    for framing in framings {
        let answer = whole(framing).await;
        assert_eq!(answer.body, r#"{"a":1}"#);
        assert!(answer.complete);
    }
}

#[tokio::test]
async fn compressed_bodies_unpack_to_what_was_compressed() {
    let plain = streamed(Reply::sse("data: x\n\ndata: y\n\n")).await.body;
    let reply = || Reply::sse("data: x\n\ndata: y\n\n");

    let gzip = streamed(reply().gzip()).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&gzip.body[..]);
    reader.read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);

    let deflate = streamed(reply().deflate()).await;
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(&deflate.body[..]);
    reader.read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);

    let corrupt = streamed(reply().gzip().corrupted()).await;
    let mut reader = flate2::read::GzDecoder::new(&corrupt.body[..]);
    assert!(reader.read_to_end(&mut Vec::new()).is_err());

    let labelled = streamed(reply().mislabelled("br")).await;
    assert_eq!(labelled.header("content-encoding"), Some("br"));
    assert_eq!(labelled.body, plain);
}

/// Repeated blocks are compressed once; the whole must be valid all the same, checksum included.
#[tokio::test]
async fn a_long_compressed_line_unpacks_in_full() {
    const SIZE: usize = 5_000_001;
    let bomb = whole(Reply::long_line(SIZE as u64).gzip()).await;
    assert!(bomb.body.len() < SIZE / 50);
    let mut unpacked = String::new();
    let mut reader = flate2::read::GzDecoder::new(&bomb.body[..]);
    reader.read_to_string(&mut unpacked).unwrap();
    let body: serde_json::Value = serde_json::from_str(&unpacked).unwrap();
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(text.len(), SIZE);
    assert_eq!(streamed(Reply::long_line(70_000)).await.chat_stream().text.len(), 70_000);
}

#[tokio::test(start_paused = true)]
async fn waits_run_on_the_tests_clock() {
    let upstream = FakeUpstream::start().await;
    let reply = Reply::stream(["a", "b", "c"])
        .after(Duration::from_secs(5))
        .first_piece_after(Duration::from_secs(60))
        .gap(Duration::from_secs(10))
        .keep_alives("ping", Duration::from_secs(1), 3);
    upstream.script(reply);
    let mut client = RawClient::connect(upstream.base_url()).await;
    let began = Instant::now();
    let answer = client.ask(&question(true)).await;
    let seconds = began.elapsed().as_secs();
    assert_eq!(seconds, 5 + 60 + 2 * 10 + 3);
    assert_eq!(answer.chat_stream().comments.len(), 3);
}

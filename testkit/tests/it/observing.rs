//! What a test can learn of the requests.

use gateway_testkit::raw_client::Request;
use gateway_testkit::seen::Finish;
use gateway_testkit::{Billed, FakeUpstream, RawClient, Reply};
use serde_json::json;

use crate::{chat, question};

#[tokio::test]
async fn a_request_is_seen_to_its_last_byte() {
    let upstream = FakeUpstream::start().await;
    let mut client = RawClient::connect(upstream.base_url()).await;
    let head = "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nx-twice: 2\r\n\
                transfer-encoding: chunked\r\n\r\n";
    client.write(head).await.unwrap();
    client.write("3\r\n{\"a\r\n5;ext\r\n\": 1}\r\n0\r\n\r\n").await.unwrap();
    let seen = upstream.next_request().await;
    assert_eq!(seen.head(), head.as_bytes());
    assert_eq!((seen.method(), seen.path(), seen.query()), ("POST", "/v1/chat/completions", "x=1"));
    assert_eq!(seen.headers().all("X-TWICE"), ["1", "2"]);
    assert_eq!(seen.body(), "{\"a\": 1}");
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn rules_come_before_the_script_and_the_script_before_the_standing_reply() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::json("3"));
    upstream.script(Reply::json("1"));
    upstream.script(Reply::json("2"));
    upstream.when(|request| request.model() == "special", Reply::json("0"));

    let mut client = RawClient::connect(upstream.base_url()).await;
    let special = chat(&json!({"model": "special"}));
    let models = Request::get("/v1/models").header("authorization", "Bearer k");
    let mut bodies = Vec::new();
    for request in [&question(false), &special, &models, &question(false), &question(false)] {
        let body = client.ask(request).await.json();
        bodies.push(body.as_u64());
    }
    assert_eq!(bodies, [Some(1), Some(0), None, Some(2), Some(3)]);
    assert_eq!((upstream.requests(), upstream.connections()), (5, 1));
    upstream.finish();
}

#[tokio::test]
async fn the_answer_that_was_written_can_be_compared_with_the_one_that_arrived() {
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::text("one two three").split_every(5));
    let mut client = RawClient::connect(upstream.base_url()).await;
    let answer = client.ask(&question(true)).await;
    let seen = upstream.request(0);
    assert_eq!(seen.answer_body().await, answer.body);
    assert_eq!(seen.finished().await, Finish::AsPlanned);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_and_billed_for_what_was_sent() {
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::stream(["a", "b", "c"]).tokens(7, 30).stall_after(2));
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.open(&question(true)).await;
    upstream.has_sent(2).await;
    client.hang_up();
    let seen = upstream.request(0);
    seen.connection_closed().await;
    assert_eq!(seen.finished().await, Finish::ClientLeft);
    let cut = Billed { prompt: 7, completion: 2 };
    assert_eq!(upstream.billed(), [cut]);

    upstream.script(Reply::stream(["a", "b", "c"]).tokens(7, 30));
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.ask(&question(true)).await;
    assert_eq!(upstream.billed_total().total(), 7 + 2 + 37);
}

#[tokio::test]
#[should_panic(expected = "not HTTP/1.1")]
async fn a_request_that_is_no_http_fails_the_test() {
    let upstream = FakeUpstream::start().await;
    let mut client = RawClient::connect(upstream.base_url()).await;
    client.write("\u{1}\u{2}\r\n\r\n").await.unwrap();
    client.closed().await;
}

#[tokio::test]
#[should_panic(expected = "1 scripted replies were never asked for")]
async fn a_script_that_is_not_used_up_fails_the_test() {
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::null());
    upstream.finish();
}

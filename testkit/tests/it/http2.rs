//! The fake over HTTP/2, met by a real client.

use bytes::Bytes;
use gateway_testkit::{FakeUpstream, Greeting, Reply};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};

const QUESTION: &str = r#"{"model":"m","stream":true,"messages":[]}"#;

async fn connect(upstream: &FakeUpstream) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(upstream.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn send(client: &mut SendRequest<Bytes>) -> ResponseFuture {
    let request = http::Request::post("http://upstream/v1/chat/completions")
        .header("authorization", "Bearer k")
        .body(())
        .unwrap();
    let (answer, mut body) = client.send_request(request, false).unwrap();
    body.send_data(Bytes::from(QUESTION), true).unwrap();
    answer
}

async fn read(mut body: RecvStream) -> (String, Option<Reason>) {
    let mut text = String::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                text.push_str(std::str::from_utf8(&data).unwrap());
            }
            Err(fault) => return (text, fault.reason()),
        }
    }
    (text, None)
}

#[tokio::test]
async fn a_stream_arrives_and_its_request_is_seen() {
    let upstream = FakeUpstream::start_h2c().await;
    upstream.script(Reply::stream(["Hel", "lo"]));
    let mut client = connect(&upstream).await;
    let answer = send(&mut client).await.unwrap();
    assert_eq!(answer.headers()["openai-version"], "2020-10-01");
    let (body, reset) = read(answer.into_body()).await;
    assert!(body.ends_with("data: [DONE]\n\n") && reset.is_none());
    let seen = upstream.request(0);
    assert_eq!(seen.version(), http::Version::HTTP_2);
    assert_eq!(seen.body(), QUESTION);
    assert_eq!(seen.answer_body().await, body);
}

#[tokio::test]
async fn streams_are_refused_and_reset() {
    let upstream = FakeUpstream::start_h2c().await;
    let mut client = connect(&upstream).await;
    for (reply, reason) in
        [(Reply::refused(), Reason::REFUSED_STREAM), (Reply::reset(), Reason::INTERNAL_ERROR)]
    {
        upstream.script(reply);
        let fault = send(&mut client).await.unwrap_err();
        assert_eq!(fault.reason(), Some(reason));
    }
    upstream.script(Reply::stream(["a", "b", "c"]).reset_after(2));
    let answer = send(&mut client).await.unwrap();
    let (body, reset) = read(answer.into_body()).await;
    assert!(body.contains("\"content\":\"b\"") && !body.contains("\"content\":\"c\""));
    assert_eq!(reset, Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_connection_that_goes_away_has_begun_nothing() {
    let upstream = FakeUpstream::start_h2c().await;
    upstream.greet(1, Greeting::GoAway);
    let mut client = connect(&upstream).await;
    let fault = send(&mut client).await.unwrap_err();
    assert!(fault.is_go_away() && fault.is_remote());
    assert_eq!(upstream.requests(), 0);

    let mut client = connect(&upstream).await;
    assert_eq!(send(&mut client).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_cancelled_stream_is_noticed() {
    let upstream = FakeUpstream::start_h2c().await;
    upstream.script(Reply::stream(["a", "b"]).stall_after(1));
    let mut client = connect(&upstream).await;
    let answer = send(&mut client).await.unwrap();
    upstream.has_sent(1).await;
    drop(answer);
    upstream.request(0).connection_closed().await;
    upstream.idle().await;
}

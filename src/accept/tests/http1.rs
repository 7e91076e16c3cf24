//! HTTP/1 as clients send it, the hostile ones included.

use super::*;

#[tokio::test]
async fn every_request_carries_the_address_of_its_client() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    let own = client.0.local_addr().unwrap().to_string();
    assert_eq!(client.get("/peer").await.body, own);
}

#[tokio::test]
async fn two_requests_in_one_write_get_two_answers_in_order() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    client.send(request("/one") + &request("/two")).await;
    assert_eq!(client.answer().await.body, "/one");
    assert_eq!(client.answer().await.body, "/two");
}

#[tokio::test]
async fn a_panic_is_answered_and_the_connection_goes_on() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    let answer = client.get("/panic").await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.body, "/panic panicked: on purpose");
    assert_eq!(client.get("/a").await.body, "/a");
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_and_no_body() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("HEAD /length HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let (status, headers) = client.head().await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-length"], "7");

    client.send("HEAD /pieces HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let (status, headers) = client.head().await;
    assert_eq!((status, headers.get("content-length")), (200, None));

    // What follows at once is the next answer, not a body.
    assert_eq!(client.get("/a").await.body, "/a");
}

#[tokio::test]
async fn five_thousand_headers_are_431() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    let headers: String = (0..5_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    client.send(format!("GET / HTTP/1.1\r\nhost: test\r\n{headers}\r\n")).await;
    assert_eq!(client.answer().await.status, 431);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn one_endless_header_is_431() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    // More than the sockets of both sides hold, so it is still being sent when it is refused.
    let value = "a".repeat(10 * 1024 * 1024);
    client.send(format!("GET / HTTP/1.1\r\nhost: test\r\nx-long: {value}\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 431);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_request_with_both_length_headers_is_chunked_and_the_last_on_its_connection() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client
        .send(
            "POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\
             transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "3"));
    let rest = String::from_utf8(client.rest().await).unwrap();
    assert!(!rest.contains("smuggled"), "{rest}");
}

#[tokio::test]
async fn two_different_lengths_are_400() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client
        .send("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd")
        .await;
    assert_eq!(client.answer().await.status, 400);
    assert_eq!(client.rest().await, b"");
}

/// TCP cannot tell a client that only stops sending from one that has left.
#[tokio::test]
async fn a_client_that_shuts_its_side_counts_as_gone_and_its_handler_is_dropped() {
    let mut server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("GET /hang HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/hang".into()));
    client.0.shutdown().await.unwrap();
    assert_eq!(server.event().await, Event::Dropped("/hang".into()));
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_leaves_behind_bytes_of_a_next_request_has_its_handler_dropped() {
    let mut server = Server::start(PATIENT).await;
    let hang = "GET /hang HTTP/1.1\r\nhost: test\r\n\r\n";
    // A stray line end, as some clients put behind a body, and a whole pipeline.
    for behind in ["\r\n", "G", hang, &hang.repeat(100)] {
        let mut client = server.connect().await;
        client.send(hang.to_owned() + behind).await;
        assert_eq!(server.event().await, Event::Began("/hang".into()));
        client.send(behind).await;
        drop(client);
        assert_eq!(server.event().await, Event::Dropped("/hang".into()));
    }
    server.stop.cancel();
    server.ended().await;
}

#[tokio::test]
async fn any_number_of_requests_sent_ahead_is_answered_in_order() {
    let mut server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/wait".into()));
    // Ten times what is taken while the first is served.
    let (mut reader, mut writer) = client.0.into_split();
    const REQUESTS: usize = 10_000;
    let sending = tokio::spawn(async move {
        for n in 0..REQUESTS {
            let request = format!("GET /{n} HTTP/1.1\r\nhost: test\r\nx-padding: {n:0>30}\r\n\r\n");
            writer.write_all(request.as_bytes()).await.unwrap();
        }
        writer
    });
    server.go_on.notify_one();
    let mut answers = String::new();
    while answers.matches("HTTP/1.1 200").count() < REQUESTS + 1 || !answers.ends_with("9999") {
        let mut piece = vec![0; 64 * 1024];
        let length = within(reader.read(&mut piece)).await.unwrap();
        assert!(length > 0, "closed after {} bytes", answers.len());
        answers.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    let bodies: Vec<_> =
        answers.split("\r\n\r\n").skip(1).filter_map(|rest| rest.split("HTTP").next()).collect();
    let expected: Vec<_> =
        std::iter::once("/wait".to_owned()).chain((0..REQUESTS).map(|n| format!("/{n}"))).collect();
    assert_eq!(bodies, expected);
    drop(within(sending).await.unwrap());
}

#[tokio::test]
async fn a_target_without_a_path_reaches_the_service_as_one_that_no_route_has() {
    let server = Server::start(PATIENT).await;
    for request in ["GET upstream.example:443", "GET word", "OPTIONS *"] {
        let mut client = server.connect().await;
        client.send(format!("{request} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        assert_eq!(client.answer().await.body, "*", "{request}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_answer_has_its_body_dropped() {
    let mut server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("GET /quiet HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(server.event().await, Event::Began("/quiet".into()));
    assert_eq!(client.head().await.0, 200);
    drop(client);
    assert_eq!(server.event().await, Event::Dropped("/quiet".into()));
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_its_early_refusal() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    const LENGTH: usize = 10 * 1024 * 1024;
    client.send(format!("POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
    // All of it, before a byte of the answer is read: a simple client does that.
    client.send(vec![b'x'; LENGTH]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "too large"));
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_is_still_sending_chunks_reads_its_early_refusal() {
    let server = Server::start(PATIENT).await;
    let mut client = server.connect().await;
    client.send("POST /refuse HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..100 {
        client.send(&chunk).await;
    }
    assert_eq!(client.answer().await.status, 413);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_sends_on_and_on_after_its_refusal_is_cut() {
    let server = Server::start(PATIENT).await;
    let client = server.connect().await;
    let (mut reader, mut writer) = client.0.into_split();
    let sending = tokio::spawn(async move {
        let head = "POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000000000\r\n\r\n";
        writer.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1024 * 1024];
        while writer.write_all(&piece).await.is_ok() {}
    });
    within(sending).await.unwrap();
    let mut rest = Vec::new();
    let _ = within(reader.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn only_a_handler_that_reads_the_body_invites_a_client_that_waits_to_send_it() {
    let server = Server::start(PATIENT).await;
    let expecting = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\
             expect: 100-continue\r\n\r\n"
        )
    };
    let mut invited = server.connect().await;
    invited.send(expecting("/read")).await;
    assert_eq!(invited.head().await.0, 100);
    invited.send("abc").await;
    assert_eq!(invited.answer().await.body, "3");

    let mut refused = server.connect().await;
    refused.send(expecting("/refuse")).await;
    let answer = refused.answer().await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.headers["connection"], "close");
}

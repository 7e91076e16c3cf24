//! Every answer stands behind its own request: pipelines, refusals with a body still to come, clients that leave.

use super::*;

/// A GET that carries its number, which comes back.
fn numbered(path: &str, n: usize) -> Vec<u8> {
    Request::get(path).header("x-request-id", &n.to_string()).bytes().to_vec()
}

fn number_of(answer: &Answer) -> usize {
    answer.header("x-client-request-id").expect("its number").parse().expect("a number")
}

#[tokio::test]
async fn requests_in_one_write_are_answered_in_their_order() {
    let (_upstream, gateway) = gateway("").await;
    let paths = ["/health", "/nope", "/v1/models", "/openapi.json", "/v1/messages/nope", "/"];
    let mut bytes = Vec::new();
    for n in 0..60 {
        bytes.extend(numbered(paths[n % paths.len()], n));
        // A request with a body between them, and one that is refused after its body was read.
        for (body, path) in [("{}", "/v1/chat/completions"), ("nonsense", "/api/v1/generate")] {
            bytes.extend_from_slice(&post(path).header("x-request-id", &n.to_string()).body(body).bytes());
        }
    }
    let mut client = gateway.connect().await;
    client.write(bytes).await.expect("taken");
    for n in 0..60 {
        let answer = client.answer().await;
        assert_eq!(number_of(&answer), n);
        let expected = [200, 404, 401, 200, 404, 200][n % paths.len()];
        assert_eq!(answer.status, expected);
        for (status, path) in [(400, "/v1/chat/completions"), (422, "/api/v1/generate")] {
            let answer = client.answer().await;
            assert_eq!((answer.status, number_of(&answer)), (status, n));
            error_message(path, &answer);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_slow_answer_is_not_overtaken_by_the_next_one() {
    let (upstream, gateway) = gateway("").await;
    upstream.script(Reply::text("slow").after(Duration::from_millis(200)));
    upstream.script(Reply::text("quick"));
    let mut client = gateway.connect().await;
    let first = chat_request("ada", "one", false).header("x-request-id", "1").bytes();
    let second = chat_request("ada", "two", false).header("x-request-id", "2").bytes();
    client.write([first, second].concat()).await.expect("taken");
    for (n, text) in [(1, "slow"), (2, "quick")] {
        let answer = client.answer().await;
        assert_eq!(number_of(&answer), n);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], text);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_follows_a_body_that_was_not_read_is_never_taken_for_a_request() {
    let (upstream, gateway) = gateway("[server]\nmax_body_bytes = 1000\n").await;
    // The body is a request itself, and so is what follows it.
    let smuggled = Request::get("/openapi.json").bytes();
    let with_body = |request: Request| request.body(smuggled.clone()).bytes();
    let text = Request::post("/v1/chat/completions")
        .header("content-type", "text/plain")
        .header("x-api-key", "key-ada");
    let refused = [
        (with_body(text), 415),
        (with_body(Request::post("/v1/chat/completions")), 401),
        (with_body(Request::post("/v1/nope")), 404),
        (with_body(Request::new("PUT", "/v1/chat/completions")), 405),
        (with_body(Request::get("/admin/tree")), 401),
        (with_body(Request::new("OPTIONS", "/v1/models")), 405),
        (head("/v1/chat/completions", "content-length: 2000").into(), 413),
        (with_body(Request::get("/health")), 200),
    ];
    for (request, status) in refused {
        let mut client = gateway.connect().await;
        client.write([&request[..], &numbered("/livez", 7)].concat()).await.expect("taken");
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        match answer.header("connection") {
            Some("close") => assert!(client.try_head().await.unwrap_or(None).is_none(), "{status}"),
            // Where the body was passed over, the next answer is that of the next request.
            _ => assert_eq!(number_of(&client.answer().await), 7, "{status}"),
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

/// TCP cannot tell a client that only stops sending from one that has left, and the upstream call costs money.
#[tokio::test]
async fn a_client_that_shuts_its_side_while_it_waits_counts_as_gone() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({"rate_limit": {"concurrent_requests": 1}}))
        .start()
        .await;
    upstream.script(Reply::never());
    let mut client = gateway.connect().await;
    client.send(&chat_request("ada", "hello?", false)).await;
    let seen = upstream.next_request().await;
    client.half_close().await.expect("open until now");
    seen.connection_closed().await;
    assert_eq!(client.closed().await, Closed::Properly);
    gateway.is_quiet().await;
    upstream.script(Reply::text("hello"));
    assert_eq!(gateway.chat("ada", "hello?").await.status, 200, "its slot is free");

    upstream.script(Reply::stream(["a", "b"]).stall_after(1));
    let mut client = gateway.stream("ada", "hello?").await;
    assert!(client.next_message().await.is_some());
    client.half_close().await.expect("open until now");
    upstream.request(2).connection_closed().await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_leaves_with_answers_outstanding_takes_its_requests_along() {
    let (upstream, gateway) = gateway("").await;
    upstream.always(Reply::never());
    for leave in [RawClient::hang_up, RawClient::reset] {
        let mut client = gateway.connect().await;
        let request = chat_request("ada", "hello?", false).bytes();
        client.write(request.repeat(3)).await.expect("taken");
        let seen = upstream.next_request().await;
        leave(client);
        seen.connection_closed().await;
    }
    gateway.is_quiet().await;
    assert_eq!(upstream.requests(), 2, "the second of a pipeline waits for the first, and left with it");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_is_sent_while_an_answer_is_awaited_waits_its_turn() {
    let (upstream, gateway) = gateway("").await;
    upstream.script(Reply::text("slow").after(Duration::from_millis(200)));
    let mut client = gateway.connect().await;
    client.send(&chat_request("ada", "one", false).header("x-request-id", "0")).await;
    upstream.arrived(1).await;
    // One by one, and in all more than the gateway takes ahead.
    const AHEAD: usize = 1_000;
    for n in 1..=AHEAD {
        client
            .write(Request::get("/health").header("x-request-id", &format!("{n:0>100}")).bytes())
            .await
            .expect("taken");
    }
    for n in 0..=AHEAD {
        let answer = client.answer().await;
        assert_eq!((answer.status, number_of(&answer)), (200, n));
    }
    gateway.ends_quiet().await;
}

//! Heads that are too large, malformed, or unusual and legal.

use super::*;

#[tokio::test]
async fn five_thousand_headers_are_431_and_the_connection_ends() {
    let (_upstream, gateway) = gateway("").await;
    let headers: String = (0..5_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let mut client = gateway.connect().await;
    let _ = client.write(format!("GET /health HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n")).await;
    assert_eq!(client.answer().await.status, 431);
    assert_eq!(client.closed().await, Closed::Properly);
    drop(client);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_header_above_64_kib_is_431_also_to_a_client_that_is_still_sending_it() {
    let (_upstream, gateway) = gateway("").await;
    for size in [65 << 10, 1 << 20, 10 << 20] {
        let head = format!("GET /health HTTP/1.1\r\nhost: gateway\r\nx-long: {}\r\n\r\n", "l".repeat(size));
        let answer = answer_to(&gateway, head).await.expect("an answer");
        assert_eq!(answer.status, 431, "{size}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_head_as_large_as_people_send_is_read() {
    let (_upstream, gateway) = gateway("").await;
    let mut request = Request::get("/health").header("cookie", &"c".repeat(16 << 10));
    for n in 0..90 {
        request = request.header(&format!("x-{n}"), &"v".repeat(100));
    }
    assert_eq!(gateway.ask(&request).await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_target_that_never_ends_is_refused() {
    let (_upstream, gateway) = gateway("").await;
    for size in [66_000, 1 << 20] {
        let head = format!("GET /{} HTTP/1.1\r\nhost: gateway\r\n\r\n", "t".repeat(size));
        let answer = answer_to(&gateway, head).await.expect("an answer");
        assert!([414, 431].contains(&answer.status), "{size}: {}", answer.status);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_is_no_http_is_400_or_nothing_and_never_reaches_a_handler() {
    let (upstream, gateway) = gateway("").await;
    let not_http: [&[u8]; 19] = [
        b"\r\n\r\n\r\nhello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: a\r\n\r\n",
        b"GET /health HTCPCP/1.0\r\nhost: a\r\n\r\n",
        b"GET /hea lth HTTP/1.1\r\nhost: a\r\n\r\n",
        b"G\xc3\x89T /health HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx y: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\nx: one\r\n two\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\nx: nul\0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\nx: bare\rreturn\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\n\xff: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand this is no frame at all, nor are these bytes",
    ];
    for bytes in not_http {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let mut client = gateway.connect().await;
        client.write(bytes).await.expect("taken");
        // A client that means no more says so, and some of these are beginnings of something longer.
        let _ = client.half_close().await;
        // Where HTTP/2 is spoken the refusal is a frame.
        if let Ok(Some(answer)) = client.try_answer().await {
            assert_eq!(answer.status, 400, "{shown:?}");
        }
        client.closed().await;
    }
    assert_eq!(upstream.requests(), 0);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_control_character_in_a_header_is_refused_and_never_sent_back() {
    let (_upstream, gateway) = gateway("").await;
    for control in [b'\0', 1, 8, 0x0b, 0x0c, b'\r', 0x1b, 0x7f] {
        let mut bytes = b"GET /health HTTP/1.1\r\nhost: a\r\nx-request-id: a".to_vec();
        bytes.push(control);
        bytes.extend_from_slice(b"set-cookie: a=b\r\n\r\n");
        let answer = answer_to(&gateway, bytes).await.expect("an answer");
        assert!(answer.status == 400 || answer.header("x-client-request-id").is_none(), "{control}");
        assert_eq!(answer.header("set-cookie"), None, "{control}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_target_may_be_a_whole_url() {
    let (_upstream, gateway) = gateway("").await;
    for (target, status) in [
        ("http://gateway/health", 200),
        ("http://gateway:8000/health?x=1", 200),
        ("HTTP://GATEWAY/health", 200),
        ("http://gateway", 200),
        ("http://elsewhere.example/v1/models", 401),
        ("http://gateway//health", 404),
        ("http://gateway/nope", 404),
    ] {
        let answer = gateway.ask(&Request::get(target)).await;
        assert_eq!(answer.status, status, "{target}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn targets_that_are_no_paths_are_refused_in_json() {
    let (upstream, gateway) = gateway("").await;
    for (method, target) in [
        ("OPTIONS", "*"),
        ("GET", "*"),
        ("CONNECT", "upstream.example:443"),
        ("CONNECT", "/v1/models"),
        ("GET", "upstream.example:443"),
        ("GET", "health"),
    ] {
        let answer = gateway.ask(&Request::new(method, target)).await;
        assert!([400, 404, 405].contains(&answer.status), "{method} {target}: {}", answer.status);
        // Some are refused before they are a request.
        if !answer.body.is_empty() {
            error_message(target, &answer);
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

/// The gateway serves one site, so it decides nothing by `Host`; but there has to be one (RFC 9112, 3.2).
#[tokio::test]
async fn a_request_of_http_1_1_is_answered_whatever_one_host_it_names() {
    let (_upstream, gateway) = gateway("").await;
    for (host, status) in [
        ("host: elsewhere.example\r\n", 200),
        ("host:\r\n", 200),
        ("", 400),
        ("host: a\r\nhost: b\r\n", 400),
        ("host: a\r\nHost: a\r\n", 400),
    ] {
        for path in ["/health", "/v1/models", "/nope"] {
            let answer = answer_to(&gateway, format!("GET {path} HTTP/1.1\r\n{host}\r\n")).await;
            let answer = answer.expect("an answer");
            match (status, path) {
                (400, _) => assert!(error_message(path, &answer).contains("host"), "{}", answer.text()),
                (_, "/health") => assert_eq!(answer.status, 200, "{host:?}"),
                _ => {}
            }
            assert_eq!(answer.status == 400, status == 400, "{host:?} {path}: {}", answer.text());
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn http_1_0_is_served_and_its_connection_closed() {
    let (upstream, gateway) = gateway("").await;
    let mut client = gateway.connect().await;
    client.write("GET /health HTTP/1.0\r\n\r\n").await.expect("taken");
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status":"ok"}"#));
    assert_eq!(client.closed().await, Closed::Properly);

    // No chunks in 1.0: a stream ends with its connection.
    upstream.script(Reply::stream(["Hel", "lo"]));
    let body = json!({"model": "gpt-test", "stream": true, "messages": [{"role": "user", "content": "hi"}]})
        .to_string();
    let mut client = gateway.connect().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer key-ada\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write(head + &body).await.expect("taken");
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.headers.all("transfer-encoding").is_empty());
    assert_eq!(answer.chat_stream().text, "Hello");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_is_asked_for_only_once_its_sender_is_known_and_its_size_is_right() {
    let (_upstream, gateway) = gateway("[server]\nmax_body_bytes = 1000\n").await;
    let path = "/v1/chat/completions";
    let body = good_body(path).to_string();
    let expecting = |length: usize| head(path, &format!("content-length: {length}\r\nexpect: 100-continue"));

    let mut welcome = gateway.connect().await;
    welcome.write(expecting(body.len())).await.expect("taken");
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(welcome.next_bytes(interim.len()).await, interim);
    welcome.write(&body).await.expect("taken");
    assert_eq!(welcome.answer().await.status, 200);

    for (head, status) in [
        (expecting(1_001), 413),
        (expecting(10).replace("key-ada", "wrong"), 401),
        (expecting(10).replace("application/json", "text/plain"), 415),
        (expecting(10).replace("/completions", "/nope"), 404),
    ] {
        let mut client = gateway.connect().await;
        client.write(head).await.expect("taken");
        // Had it been asked for the body, that would stand first.
        assert_eq!(client.next_bytes(12).await, format!("HTTP/1.1 {status}"));
    }
    gateway.ends_quiet().await;
}

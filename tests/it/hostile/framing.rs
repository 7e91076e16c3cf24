//! Where a body ends: lengths that contradict each other, chunks that are none, bodies that break off.

use super::*;

#[tokio::test]
async fn lengths_that_contradict_each_other_are_400_and_the_last_on_their_connection() {
    let (upstream, gateway) = gateway("").await;
    let smuggled = "GET /admin/tree HTTP/1.1\r\nhost: gateway\r\n\r\n";
    for framing in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "content-length: -4",
        "content-length: 0x4",
        "content-length: 4 4",
        "content-length: four",
        "content-length:",
        "content-length: 99999999999999999999999",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding:",
    ] {
        let mut client = gateway.connect().await;
        let bytes = head("/v1/chat/completions", framing) + "{\"a\"" + smuggled;
        client.write(bytes).await.expect("taken");
        let answer = client.answer().await;
        assert!([400, 413, 431].contains(&answer.status), "{framing:?}: {}", answer.status);
        assert!(client.try_head().await.unwrap_or(None).is_none(), "{framing:?}: what follows is no request");
    }
    assert_eq!(upstream.requests(), 0);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn both_length_headers_are_400_and_nothing_is_smuggled_behind_them() {
    let (upstream, gateway) = gateway("").await;
    let path = "/v1/chat/completions";
    let body = good_body(path).to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 4".to_owned(),
        format!("transfer-encoding: chunked\r\ncontent-length: {}", chunked.len()),
    ] {
        let mut client = gateway.connect().await;
        let smuggled = "GET /openapi.json HTTP/1.1\r\nhost: gateway\r\n\r\n";
        client.write(head(path, &framing) + &chunked + smuggled).await.expect("taken");
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(error_message(path, &answer).contains("`transfer-encoding`"));
        assert!(client.try_head().await.unwrap_or(None).is_none(), "{framing:?}");
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

/// RFC 9112, 6.3, for a head that hyper had in hand before it could be looked at: the chunks count, and the
/// connection must end, because a proxy may have read it otherwise.
#[tokio::test]
async fn both_length_headers_behind_another_request_end_the_connection() {
    let (_upstream, gateway) = gateway("").await;
    let path = "/v1/chat/completions";
    let body = good_body(path).to_string();
    let both = head(path, "content-length: 4\r\ntransfer-encoding: chunked");
    let first = "GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let smuggled = "GET /openapi.json HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut client = gateway.connect().await;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    client.write(format!("{first}{both}{chunked}{smuggled}")).await.expect("taken");
    assert_eq!(client.answer().await.status, 200);
    assert!([200, 400].contains(&client.answer().await.status));
    assert!(client.try_head().await.unwrap_or(None).is_none());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn codings_beside_chunked_are_400_since_nothing_undoes_them() {
    let (upstream, gateway) = gateway("").await;
    for path in BODY_ROUTES {
        let body = good_body(path).to_string();
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        for coding in ["gzip, chunked", "chunked, chunked", "gzip\r\ntransfer-encoding: chunked"] {
            let bytes = head(path, &format!("transfer-encoding: {coding}")) + &chunked;
            let answer = answer_to(&gateway, bytes).await.expect("an answer");
            assert_eq!(answer.status, 400, "{coding} on {path}: {}", answer.text());
            error_message(path, &answer);
            assert_eq!(answer.header("connection"), Some("close"));
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_encoded_body_is_415_before_it_is_read() {
    let (upstream, gateway) = gateway("").await;
    for path in BODY_ROUTES {
        for encoding in ["gzip", "identity, br", "zstd"] {
            let request = post(path).header("content-encoding", encoding).body(good_body(path).to_string());
            let answer = gateway.ask(&request).await;
            assert_eq!(answer.status, 415, "{encoding} on {path}: {}", answer.text());
            assert!(error_message(path, &answer).contains(encoding));
        }
        let plain = post(path).header("content-encoding", "Identity").body(good_body(path).to_string());
        assert_eq!(gateway.ask(&plain).await.status, 200);
        let twice = post(path).header("content-type", "text/plain").body(good_body(path).to_string());
        assert_eq!(gateway.ask(&twice).await.status, 415, "one of two types is no JSON");
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn equal_lengths_given_twice_are_one_length() {
    let (_upstream, gateway) = gateway("").await;
    let path = "/v1/chat/completions";
    let body = good_body(path).to_string();
    let framing = format!("content-length: {0}\r\ncontent-length: {0}", body.len());
    let mut client = gateway.connect().await;
    client.write(head(path, &framing) + &body).await.expect("taken");
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(client.ask(&Request::get("/health")).await.status, 200, "the next one begins where it ends");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn chunks_that_are_none_are_400_in_the_shape_of_the_route() {
    let (upstream, gateway) = gateway("").await;
    let extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "e".repeat(1 << 20));
    let trailers: String = (0..5_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let trailers = format!("2\r\n{{}}\r\n0\r\n{trailers}\r\n");
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "3\r\n{}\r\n0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "ffffffffffffffff0\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        extension.as_str(),
        trailers.as_str(),
    ] {
        let shown = &chunks[..chunks.len().min(40)];
        for path in BODY_ROUTES {
            let answer = answer_to(&gateway, head(path, "transfer-encoding: chunked") + chunks).await;
            let answer = answer.unwrap_or_else(|| panic!("an answer to {shown:?} on {path}"));
            assert_eq!(answer.status, 400, "{shown:?} on {path}: {}", answer.text());
            error_message(path, &answer);
            assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
        }
    }
    assert_eq!(upstream.requests(), 0);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn chunks_of_any_size_with_extensions_and_trailers_are_one_body() {
    let (_upstream, gateway) = gateway("").await;
    for path in BODY_ROUTES {
        let body = good_body(path).to_string();
        let mut chunks: String = body.chars().map(|c| format!("1;ext=\"v\"\r\n{c}\r\n")).collect();
        chunks.push_str("000\r\nx-trailer: 1\r\nauthorization: Bearer wrong\r\n\r\n");
        let mut client = gateway.connect().await;
        client.write(head(path, "transfer-encoding: Chunked") + &chunks).await.expect("taken");
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(client.ask(&Request::get("/health")).await.status, 200);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_no_upstream_and_leaves_nothing_behind() {
    let (upstream, gateway) = gateway("").await;
    for path in BODY_ROUTES {
        let whole = good_body(path).to_string();
        let framings = [
            (format!("content-length: {}", whole.len() + 1), whole.clone()),
            ("transfer-encoding: chunked".to_owned(), format!("{:x}\r\n{whole}\r\n", whole.len())),
        ];
        for (framing, begun) in framings {
            let mut resetting = gateway.connect().await;
            resetting.write(head(path, &framing) + &begun).await.expect("taken");
            resetting.reset();

            let mut closing = gateway.connect().await;
            closing.write(head(path, &framing) + &begun).await.expect("taken");
            closing.half_close().await.expect("open until now");
            if let Ok(Some(answer)) = closing.try_answer().await {
                assert_eq!(answer.status, 400, "{path}");
                error_message(path, &answer);
            }
            closing.closed().await;
        }
    }
    gateway.is_quiet().await;
    assert_eq!(gateway.front().budget.in_use(), 0);
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

/// Lengths are a promise of the client's that costs nothing to make.
#[tokio::test]
async fn a_body_above_the_limit_is_413_unread_whatever_its_framing() {
    let (upstream, gateway) = gateway("[server]\nmax_body_bytes = \"1MiB\"\n").await;
    for path in BODY_ROUTES {
        for length in [(1 << 20) + 1, u64::from(u32::MAX) + 1, u64::MAX / 2] {
            let answer = answer_to(&gateway, head(path, &format!("content-length: {length}"))).await;
            let answer = answer.expect("at once, although nothing of the body has come");
            assert_eq!(answer.status, 413, "{path} {length}");
            assert!(error_message(path, &answer).contains("1048576"));
        }
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        let answer = answer_to(&gateway, head(path, "transfer-encoding: chunked") + &chunk.repeat(17)).await;
        let answer = answer.expect("before the last chunk has come");
        assert_eq!(answer.status, 413, "{path}");
        error_message(path, &answer);
        // To the byte.
        let body = good_body(path).to_string();
        let padded = body.clone() + &" ".repeat((1 << 20) - body.len());
        assert_eq!(gateway.ask(&post(path).body(padded)).await.status, 200, "{path}");
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_sends_its_whole_body_before_it_reads_finds_its_413() {
    let (_upstream, gateway) = gateway("[server]\nmax_body_bytes = \"1MiB\"\n").await;
    const SIZE: usize = 20 << 20;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for path in BODY_ROUTES {
        let by_length = head(path, &format!("content-length: {SIZE}")) + &" ".repeat(SIZE);
        let by_chunks =
            head(path, "transfer-encoding: chunked") + &chunk.repeat(SIZE / 0x10000) + "0\r\n\r\n";
        for bytes in [by_length, by_chunks] {
            let mut client = gateway.connect().await;
            client.write(bytes).await.expect("nobody cuts it off while it sends");
            let answer = client.answer().await;
            assert_eq!(answer.status, 413, "{path}");
            error_message(path, &answer);
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(client.closed().await, Closed::Properly);
        }
    }
    gateway.ends_quiet().await;
}

//! Inputs that broke other gateways, where client and upstream speak the same protocol; where they do not: `crossed`.
//! Each test begins with the number of its case.

mod crossed;
mod http2;

use std::time::Duration;

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::reply::UsageStyle;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request, chat_with};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A stream of `hi`'s answer that shows its usage, and the bytes that the upstream wrote.
async fn streamed(
    gateway: &TestGateway,
    upstream: &FakeUpstream,
    reply: Reply,
    shown: Value,
) -> (Answer, String) {
    upstream.script(reply);
    let mut ask = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    if !shown.is_null() {
        ask["stream_options"] = json!({"include_usage": shown});
    }
    let answer = gateway.ask(&chat_with("ada", ask)).await;
    let written = upstream.next_request().await.answer_body().await;
    (answer, String::from_utf8(written.to_vec()).unwrap())
}

async fn metered() -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().metered("ada").start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn c01_parallel_tool_calls_without_an_index_keep_their_arguments_apart() {
    let (upstream, gateway) = metered().await;
    let calls = [
        ("one", "{\"id\":9007199254740993}"),
        ("two", "{}"),
        ("three", "{\"text\":\"a long argument of its own\"}"),
    ];
    let owned: Vec<_> = calls.map(|(name, arguments)| (name.to_owned(), arguments.to_owned())).into();
    let (answer, written) =
        streamed(&gateway, &upstream, Reply::tool_calls(calls).without_tool_index(), json!(true)).await;
    assert_ne!(answer.text(), written);
    let stream = answer.chat_stream();
    assert_eq!(stream.tool_calls, owned, "{}", answer.text());
    assert_eq!((stream.done, stream.finish_reasons), (true, vec!["tool_calls".to_owned()]));

    let (answer, written) = streamed(&gateway, &upstream, Reply::tool_calls(calls), json!(true)).await;
    assert_eq!(answer.text(), written, "an index that is there is kept as it is");
    assert_eq!(answer.chat_stream().tool_calls, owned);
    assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c07_an_empty_finish_reason_ends_no_turn() {
    let (upstream, gateway) = metered().await;
    let calls = [("look_up", "{\"city\":\"Paris\"}")];
    let reply = Reply::tool_calls(calls).finish_reason_throughout("");
    let (answer, written) = streamed(&gateway, &upstream, reply, json!(true)).await;
    assert_eq!(answer.text(), written.replace("\"finish_reason\":\"\"", "\"finish_reason\":null"));
    assert_eq!(answer.chat_stream().finish_reasons, ["tool_calls"]);

    // A reason that never comes is no end, whatever stands in its place.
    let reply = Reply::stream(["a"]).finish_reason("").finish_reason_throughout("").without_done();
    let (answer, _) = streamed(&gateway, &upstream, reply, json!(true)).await;
    assert!(!answer.chat_stream().done && answer.chat_stream().errors.len() == 1, "{}", answer.text());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c09_the_usage_is_sent_once_and_alone_or_not_at_all() {
    let (upstream, gateway) = metered().await;
    let mut expected = 0;
    for style in [
        UsageStyle::AsAsked,
        UsageStyle::Always,
        UsageStyle::BesideChoices,
        UsageStyle::WithoutChoices,
        UsageStyle::OnEveryChunk,
        UsageStyle::Groq,
    ] {
        for asked in [json!(true), json!(false), json!(null)] {
            let reply = Reply::stream(["Hel", "lo"]).usage(style).tokens(11, 2);
            let (answer, _) = streamed(&gateway, &upstream, reply, asked.clone()).await;
            let stream = answer.chat_stream();
            let case = format!("{style:?}, include_usage {asked}: {}", answer.text());
            assert_eq!((stream.text.as_str(), stream.done), ("Hello", true), "{case}");
            let chunks = stream.messages.iter().filter(|data| *data != "[DONE]");
            let chunks: Vec<Value> = chunks.map(|data| serde_json::from_str(data).unwrap()).collect();
            assert!(chunks.iter().all(|chunk| chunk["choices"].is_array()), "{case}");
            let with_usage: Vec<_> = chunks.iter().filter(|chunk| !chunk["usage"].is_null()).collect();
            let own_to_groq = style == UsageStyle::Groq;
            if asked == true && !own_to_groq {
                assert_eq!(with_usage.len(), 1, "{case}");
                assert_eq!(with_usage[0]["choices"], json!([]), "{case}");
                assert_eq!(with_usage[0]["usage"]["total_tokens"], 13, "{case}");
                assert_eq!(chunks.last(), Some(with_usage[0]), "{case}");
            } else {
                assert!(with_usage.is_empty(), "{case}");
            }
            expected += 13;
            assert_eq!(gateway.tokens_used("ada").await, expected, "{case}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c19_an_error_before_the_first_content_is_the_answers_status() {
    let (upstream, gateway) = metered().await;
    let before =
        ": hello\n\n: ping\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let error = |error: Value| error.to_string();
    for (event, status, code) in [
        (format!("data: {}\n\n", error(json!({"error": {"message": "no", "code": 400}}))), 400, "400"),
        (format!("data: {}\n\n", error(json!({"error": {"message": "no", "code": 429}}))), 429, "429"),
        (format!("data: {}\n\n", error(json!({"error": {"message": "no", "code": 503}}))), 503, "overloaded"),
        (
            format!("data: {}\n\n", error(json!({"error": {"message": "no", "code": 500}}))),
            502,
            "upstream_error",
        ),
        (
            format!(
                "data: {}\n\n",
                error(
                    json!({"error": {"message": "no", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}})
                )
            ),
            400,
            "context_length_exceeded",
        ),
        (
            format!(
                "data: {}\n\n",
                error(json!({"error": {"message": "no", "type": "tokens", "code": "rate_limit_exceeded"}}))
            ),
            429,
            "rate_limit_exceeded",
        ),
        (
            format!(
                "event: error\ndata: {}\n\n",
                error(json!({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}))
            ),
            503,
            "overloaded",
        ),
        (
            format!("data: {}\n\n", error(json!({"error": {"message": "no", "type": "server_error"}}))),
            502,
            "upstream_error",
        ),
        (
            format!("data: {}\n\n", error(json!({"error": {"message": "key", "code": 401}}))),
            502,
            "upstream_error",
        ),
    ] {
        for preamble in ["", before] {
            let reply = Reply::sse(format!("{preamble}{event}"));
            let (answer, _) = streamed(&gateway, &upstream, reply, json!(null)).await;
            assert_eq!(answer.status, status, "{event}: {}", answer.text());
            assert_eq!(answer.json()["error"]["code"], code, "{event}");
        }
    }
    for reply in [Reply::error_in_200(), Reply::empty(), Reply::sse(before), Reply::sse("")] {
        let (answer, _) = streamed(&gateway, &upstream, reply, json!(null)).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn c21_a_stream_that_is_silent_for_a_minute_is_kept_alive() {
    let (upstream, gateway) = metered().await;
    for reply in [
        Reply::stream(["a", "b"]).gap(Duration::from_secs(60)),
        Reply::stream(["a", "b"]).first_piece_after(Duration::from_secs(60)),
        Reply::stream(["a", "b"]).after(Duration::from_secs(60)),
        Reply::stream(["a", "b"]).keep_alives("ping", Duration::from_secs(5), 12),
    ] {
        upstream.script(reply);
        let mut client = gateway.connect().await;
        client.send(&chat_request("ada", "hi", true)).await;
        client.head().await;
        let mut last = Instant::now();
        while let Some(data) = client.next_data().await {
            assert!(last.elapsed() <= Duration::from_secs(15), "{data:?} came after {:?}", last.elapsed());
            last = Instant::now();
        }
        assert!(client.ended_properly());
    }
    assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total());
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn c25_a_client_that_hangs_up_on_a_slow_answer_stops_its_upstream() {
    let upstream = FakeUpstream::start().await;
    let one = json!({"rate_limit": {"concurrent_requests": 1}});
    let gateway = TestGateway::with(&upstream).client("ada", one).start().await;
    upstream.script(Reply::text("too late").after(Duration::from_secs(5)));
    let mut client = gateway.connect().await;
    client.send(&chat_request("ada", "hi", false)).await;
    let seen = upstream.next_request().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let left_at = Instant::now();
    client.hang_up();
    assert!(seen.connection_closed().await - left_at < Duration::from_millis(100));
    gateway.is_quiet().await;
    assert_eq!(gateway.chat("ada", "the slot is free").await.status, 200);
    assert_eq!(upstream.requests(), 2, "nothing is tried again for a client that has left");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c27_a_line_of_8_mib_passes_and_one_of_200_mib_is_a_named_error() {
    let (upstream, gateway) = metered().await;
    let (answer, written) = streamed(&gateway, &upstream, Reply::long_line(8 << 20), json!(true)).await;
    assert!(answer.complete && answer.text() == written, "{} bytes of {}", answer.body.len(), written.len());

    upstream.script(Reply::long_line(200 << 20));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    let stream = answer.chat_stream();
    assert_eq!((answer.status, stream.done, stream.errors.len()), (200, false, 1));
    let message = stream.errors[0]["message"].as_str().unwrap();
    assert!(message.contains("an event of more than 16777216 bytes"), "{message}");
    let seen = upstream.next_request().await;
    seen.connection_closed().await;
    assert!(seen.bytes_written() < 48 << 20, "{} bytes were taken", seen.bytes_written());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c29_halves_of_an_emoji_pass_as_they_came() {
    let (upstream, gateway) = metered().await;
    for pieces in [vec!["\\ud83d", "\\ude00", " x"], vec!["x", "\\ud83d"], vec!["\\ude00\\ud83d"]] {
        let (answer, written) =
            streamed(&gateway, &upstream, Reply::escaped(pieces.clone()), json!(true)).await;
        assert_eq!(answer.text(), written);
        assert!(answer.chat_stream().done);

        upstream.script(Reply::escaped(pieces));
        let answer = gateway.chat("ada", "hi").await;
        let written = upstream.next_request().await.answer_body().await;
        assert_eq!((answer.status, &answer.body), (200, &written), "{}", answer.text());
    }
    // In a tool call's arguments, which are JSON within a JSON string, and in a request.
    let call = "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":\
        {\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"\\ud83d\"}}]},\"finish_reason\":\"tool_calls\"}]}";
    let (answer, written) = streamed(&gateway, &upstream, Reply::events([call]), json!(true)).await;
    assert_eq!(answer.text(), written);
    let body = "{\"model\":\"gpt-test\",\"max_completion_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d\"}]}";
    upstream.script(Reply::text("ok"));
    let ask = Request::post("/v1/chat/completions").header("x-api-key", "key-ada").body(body);
    assert_eq!(gateway.ask(&ask).await.status, 200);
    assert_eq!(upstream.next_request().await.body(), body);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c31_every_digit_of_every_number_passes_both_ways() {
    let (upstream, gateway) = metered().await;
    let numbers = "[9223372036854775807,12345678901234567890123456789012345678901,1.0,1e2,-0.0,0.1000,1E+30]";
    let arguments = format!("{{\"ids\":{numbers}}}");
    for stream in [false, true] {
        let body = format!(
            "{{\"model\":\"gpt-test\",\"max_completion_tokens\":50,\"stream\":{stream},\
             \"stream_options\":{{\"include_usage\":true}},\"messages\":[{{\"role\":\"assistant\",\"tool_calls\":\
             [{{\"id\":\"c\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":{}}}}}]}}],\"x\":{numbers}}}",
            Value::from(arguments.as_str())
        );
        upstream.script(Reply::tool_calls([("look_up", arguments.as_str())]).usage_object(format!(
            "{{\"prompt_tokens\":5,\"completion_tokens\":6,\"total_tokens\":11,\"cost\":{numbers}}}"
        )));
        let ask = Request::post("/v1/chat/completions").header("x-api-key", "key-ada").body(body.clone());
        let answer = gateway.ask(&ask).await;
        let seen = upstream.next_request().await;
        assert_eq!(seen.body(), body.as_bytes());
        assert_eq!(answer.body, seen.answer_body().await);
        assert!(answer.text().contains(numbers), "{}", answer.text());
    }
    assert_eq!(gateway.tokens_used("ada").await, 22);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c33_a_reset_in_mid_stream_is_told_in_our_words() {
    let (upstream, gateway) = metered().await;
    let reply = Reply::stream(vec!["word "; 6]).gap(Duration::from_millis(2)).reset_after(5);
    let (answer, _) = streamed(&gateway, &upstream, reply, json!(null)).await;
    let stream = answer.chat_stream();
    assert_eq!((answer.complete, stream.done, stream.errors.len()), (true, false, 1), "{}", answer.text());
    let message = "provider `openai`: the connection closed in the middle of the answer";
    assert_eq!(stream.errors[0]["message"], message);
    assert_eq!(upstream.requests(), 1, "nothing is sent again once content has gone out");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c35_of_the_upstreams_headers_only_the_listed_ones_pass_each_once() {
    let (upstream, gateway) = metered().await;
    let ours = [
        "content-type",
        "content-length",
        "transfer-encoding",
        "date",
        "x-request-id",
        "x-gateway-provider",
        "x-gateway-model",
        "x-gateway-attempts",
        "server-timing",
        "ratelimit",
        "ratelimit-policy",
        "cache-control",
        "x-accel-buffering",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ];
    for (reply, stream) in [
        (Reply::text("hello").tokens(1, 1), false),
        (Reply::stream(["hello"]).tokens(1, 1), true),
        (Reply::error(429), false),
        (Reply::error(429), true),
        (Reply::error(503), false),
    ] {
        let extra = reply
            .every_header_twice()
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("www-authenticate", "Bearer realm=\"x\"")
            .header("x-should-retry", "true")
            .header("set-cookie", "a=b")
            .header("via", "1.1 upstream");
        upstream.script(extra);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        let passing = ["retry-after", "retry-after-ms", "openai-processing-ms"];
        for (name, value) in answer.headers.iter() {
            let name = name.to_lowercase();
            assert!(ours.contains(&name.as_str()) || passing.contains(&name.as_str()), "{name}: {value}");
            assert_eq!(answer.headers.all(&name).len(), 1, "{name} came more than once");
        }
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("1000000000"), "ours, not the upstream's");
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
        match answer.status {
            200 => assert_eq!(answer.header("openai-processing-ms"), Some("123")),
            429 => assert_eq!(
                (answer.header("retry-after"), answer.header("retry-after-ms")),
                (Some("1"), Some("850"))
            ),
            status => assert_eq!(status, 503),
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c39_beta_flags_and_cache_marks_reach_the_upstream() {
    let (upstream, gateway) = metered().await;
    let body = "{\"model\":\"gpt-test\",\"max_completion_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\
        \"text\":\"hi\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}]}";
    upstream.script(Reply::text("ok"));
    let ask = Request::post("/v1/chat/completions")
        .header("x-api-key", "key-ada")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "extended-cache-ttl-2025-04-11,context-1m-2025-08-07")
        .header("openai-beta", "realtime=v1")
        .body(body);
    assert_eq!(gateway.ask(&ask).await.status, 200);
    let seen = upstream.next_request().await;
    assert_eq!(seen.header("anthropic-beta"), Some("extended-cache-ttl-2025-04-11,context-1m-2025-08-07"));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("openai-beta"), Some("realtime=v1"));
    assert_eq!(seen.body(), body);
    gateway.ends_quiet().await;
}

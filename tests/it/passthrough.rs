//! Same protocol on both sides: what the client writes reaches the upstream, and what the upstream writes
//! reaches the client, byte for byte but for the few edits that the gateway owns up to.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::reply::{LineEnd, UsageStyle};
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_with};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Whitespace, order, a repeated member within an object, an escape, numbers that no double holds, nulls.
const ODD_REQUEST: &str = "{ \"zeta\": 9007199254740993, \"model\" :\"gpt-test\",\n\t\"messages\":[{\"content\":\
    \"\\u0041 \u{1f600} \\ud83d\\ude00\",\"role\":\"user\",\"weight\":1.0}],\"seed\":-0,\"x\":null, \
    \"big\":123456789012345678901234567890.5e-3,\r\n\"nested\":{\"b\":1,\"a\":2,\"b\":3}, \"alpha\":[ ] }\n";

/// The same for an answer.
const ODD_ANSWER: &str = "\n{ \"usage\":{\"total_tokens\":15,\"completion_tokens\":4,\"prompt_tokens\":11 },\t\"choices\" :[\
    {\"finish_reason\":\"stop\", \"message\":{\"content\":\"\\u0041 \u{1f600}\",\"role\":\"assistant\"},\"index\":0}]\
    ,\"id\":90071992547409931,\"x\":null,\"f\":1.0e2}\r\n ";

fn raw_chat(body: &str) -> Request {
    Request::post("/v1/chat/completions")
        .header("authorization", "Bearer key-ada")
        .header("content-type", "application/json")
        .body(body.to_owned())
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// The body that the upstream gets of this request's body.
async fn arriving(gateway: &TestGateway, upstream: &FakeUpstream, body: &str) -> String {
    upstream.script(Reply::text("ok"));
    let answer = gateway.ask(&raw_chat(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    String::from_utf8(upstream.next_request().await.body().to_vec()).unwrap()
}

/// What the client gets of a reply, and what the upstream wrote.
async fn relayed(
    client: &mut RawClient,
    upstream: &FakeUpstream,
    reply: Reply,
    ask: &Request,
) -> (Answer, String) {
    upstream.script(reply);
    let answer = client.ask(ask).await;
    let written = upstream.next_request().await.answer_body().await;
    (answer, String::from_utf8(written.to_vec()).unwrap())
}

/// A stream without the one event that brings the usage.
fn without_usage(stream: &str, line_end: &str) -> String {
    let blank_line = line_end.repeat(2);
    let events = stream.split_inclusive(blank_line.as_str());
    events.filter(|event| !event.contains("\"choices\":[]")).collect()
}

#[tokio::test]
async fn a_request_reaches_its_upstream_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    assert_eq!(arriving(&gateway, &upstream, ODD_REQUEST).await, ODD_REQUEST);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn of_an_alias_the_models_name_alone_is_replaced() {
    let upstream = FakeUpstream::start().await;
    let alias = "[models.\"fast\"]\ntargets = [\"openai/vendor/model-9\"]\n";
    let gateway = TestGateway::with(&upstream).toml(alias).client("ada", json!({})).start().await;
    let asked = ODD_REQUEST.replace("gpt-test", "fast");
    let expected = ODD_REQUEST.replace("gpt-test", "vendor/model-9");
    assert_eq!(arriving(&gateway, &upstream, &asked).await, expected);

    let prefixed = ODD_REQUEST.replace("gpt-test", "openai/gpt-test");
    let gateway_without_pattern = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    // `*` does not cross a slash, so the prefix names the provider and goes.
    assert_eq!(arriving(&gateway_without_pattern, &upstream, &prefixed).await, ODD_REQUEST);
    gateway.ends_quiet().await;
    gateway_without_pattern.ends_quiet().await;
}

#[tokio::test]
async fn a_limited_clients_request_is_capped_and_otherwise_unchanged() {
    let upstream = FakeUpstream::start().await;
    let limited = json!({"max_tokens_limit": 2000, "max_tokens_policy": "clamp"});
    let gateway = TestGateway::with(&upstream).client("ada", limited).start().await;
    let capped = |member: &str| ODD_REQUEST.replacen("{ ", &format!("{{ {member}, "), 1);

    let within = capped("\"max_completion_tokens\" : 7");
    assert_eq!(arriving(&gateway, &upstream, &within).await, within);
    // OpenAI's newer models take the cap under its newer name alone.
    assert_eq!(arriving(&gateway, &upstream, &capped("\"max_tokens\" : 7")).await, within);
    let above = arriving(&gateway, &upstream, &capped("\"max_tokens\" : 9007199254740993")).await;
    assert_eq!(above, capped("\"max_completion_tokens\" : 2000"));

    let uncapped = arriving(&gateway, &upstream, ODD_REQUEST).await;
    let (before, after) = ODD_REQUEST.split_at(ODD_REQUEST.rfind('}').unwrap());
    let added = uncapped.strip_prefix(before.trim_end()).unwrap().trim();
    assert_eq!(added.trim_end_matches(after.trim()).trim(), ",\"max_completion_tokens\":2000", "{uncapped}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_asks_its_upstream_for_the_usage_and_is_otherwise_unchanged() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let asked = |options: &str| ODD_REQUEST.replacen("{ ", &format!("{{ \"stream\": true, {options}"), 1);
    for (written, sent) in [
        ("\"stream_options\": null, ", "\"stream_options\": {\"include_usage\":true}, "),
        (
            "\"stream_options\": {\"include_usage\" :false}, ",
            "\"stream_options\": {\"include_usage\" :true}, ",
        ),
        (
            "\"stream_options\": { \"include_usage\":true }, ",
            "\"stream_options\": { \"include_usage\":true }, ",
        ),
        (
            "\"stream_options\": {\"include_obfuscation\":false}, ",
            "\"stream_options\": {\"include_obfuscation\":false,\"include_usage\":true}, ",
        ),
    ] {
        assert_eq!(arriving(&gateway, &upstream, &asked(written)).await, asked(sent));
    }
    let sent = arriving(&gateway, &upstream, &asked("")).await;
    let rest = sent.replacen(",\"stream_options\":{\"include_usage\":true}", "", 1);
    assert_eq!(rest, asked(""), "{sent}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn only_the_listed_headers_go_upstream() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::text("ok"));
    let passing = [
        ("accept", "application/json"),
        ("content-type", "application/json; charset=utf-8"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "context-1m-2025-08-07"),
        ("openai-beta", "assistants=v2"),
        ("idempotency-key", "idem-1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let mut request = Request::post("/v1/chat/completions?api-version=1&key=key-ada")
        .header("authorization", "Bearer key-ada")
        .header("x-api-key", "key-ada")
        .header("cookie", "session=1")
        .header("user-agent", "caller/1")
        .header("accept-encoding", "gzip, br")
        .header("accept-language", "de")
        .header("openai-organization", "org-caller")
        .header("openai-project", "proj-caller")
        .header("x-request-id", "caller-7")
        .header("x-forwarded-for", "192.0.2.1")
        .header("forwarded", "for=192.0.2.1")
        .header("referer", "http://192.0.2.1/")
        .header("x-stainless-lang", "python")
        .header("te", "trailers")
        .body(ODD_REQUEST);
    for (name, value) in passing {
        request = request.header(name, value);
    }
    let answer = gateway.ask(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = upstream.next_request().await;
    assert_eq!((seen.path(), seen.query()), ("/v1/chat/completions", ""));
    for (name, value) in passing {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let ours = [
        ("authorization", "Bearer sk-test-upstream-key"),
        ("accept-encoding", "identity"),
        ("content-length", &ODD_REQUEST.len().to_string()),
        ("host", &upstream.address().to_string()),
    ];
    for (name, value) in ours {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert!(seen.header("user-agent").unwrap().starts_with("dsp-ai-gateway/"));
    let expected = passing.len() + ours.len() + 1;
    assert_eq!(seen.headers().iter().count(), expected, "{:?}", seen.headers());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn no_form_of_credentials_goes_upstream() {
    let upstream = FakeUpstream::start().await;
    let secret = "a very secret word of ada";
    let hash: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    let gateway =
        TestGateway::with(&upstream).client("ada", json!({"client_secret_hash": hash})).start().await;
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ada:{secret}")));
    let both = format!("ada:{secret}");
    for forms in [
        vec![("client_id", "ada"), ("client_secret", secret)],
        vec![("client-id", "ada"), ("client-secret", secret)],
        vec![("x-client-id", "ada"), ("x-client-secret", secret)],
        vec![("authorization", basic.as_str())],
        vec![("authorization", "bEaReR key-ada")],
        vec![("x-api-key", "key-ada")],
        vec![("x-goog-api-key", both.as_str())],
    ] {
        upstream.script(Reply::text("ok"));
        let request = Request::post("/v1/chat/completions").body(ODD_REQUEST);
        let request = forms.iter().fold(request, |request, (name, value)| request.header(name, value));
        assert_eq!(gateway.ask(&request).await.status, 200, "{forms:?}");
        let seen = upstream.next_request().await;
        let head = String::from_utf8_lossy(seen.head());
        for (name, value) in &forms {
            assert!(*name == "authorization" || seen.headers().all(name).is_empty(), "{name}: {head}");
            assert!(*value == "ada" || !head.contains(*value), "{head}");
        }
        assert_eq!(seen.header("authorization"), Some("Bearer sk-test-upstream-key"));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_header_on_several_lines_goes_upstream_on_all_of_them() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::text("ok"));
    let request = raw_chat(ODD_REQUEST).header("anthropic-beta", "one-1").header("anthropic-beta", "two-2");
    assert_eq!(gateway.ask(&request).await.status, 200);
    assert_eq!(upstream.next_request().await.headers().all("anthropic-beta"), ["one-1", "two-2"]);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_chunked_request_with_large_images_arrives_whole() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let image = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(100_000));
    let body = json!({"model": "gpt-test", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": image, "detail": "low"}},
    ]}]})
    .to_string();
    upstream.script(Reply::text("a picture"));
    let mut chunked = String::new();
    for chunk in body.as_bytes().chunks(100_000) {
        let chunk = std::str::from_utf8(chunk).unwrap();
        chunked.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    chunked.push_str("0\r\n\r\n");
    let request = raw_chat(&chunked).header("transfer-encoding", "chunked");
    assert_eq!(gateway.ask(&request).await.status, 200);
    let seen = upstream.next_request().await;
    assert!(seen.body() == body.as_bytes(), "{} bytes arrived of {}", seen.body().len(), body.len());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_whole_answer_reaches_the_client_byte_for_byte_and_is_counted() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let content_type = "application/json; charset=UTF-8";
    for (nth, reply) in [
        Reply::body(content_type, ODD_ANSWER),
        Reply::body(content_type, ODD_ANSWER).chunked().split_every(3),
        Reply::body(content_type, ODD_ANSWER).until_close(),
        Reply::body(content_type, ODD_ANSWER).http10(),
        Reply::body(content_type, ODD_ANSWER).writes_of(5),
        Reply::body(content_type, ODD_ANSWER).close_as_announced(),
    ]
    .into_iter()
    .enumerate()
    {
        upstream.script(reply);
        let answer = gateway.chat("ada", "hi").await;
        assert_eq!((answer.status, answer.text()), (200, ODD_ANSWER.to_owned()), "reply {nth}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("content-length"), Some(ODD_ANSWER.len().to_string().as_str()));
        assert_eq!(gateway.tokens_used("ada").await, 15 * (nth as u64 + 1));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_reaches_the_client_byte_for_byte_in_every_framing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let mut client = gateway.connect().await;
    for (line_end, written) in [(LineEnd::Lf, "\n"), (LineEnd::CrLf, "\r\n"), (LineEnd::Cr, "\r")] {
        for split in [None, Some(1), Some(2), Some(7), Some(64)] {
            for dressed in [false, true] {
                for shown in [false, true] {
                    let mut reply = Reply::stream(["Hel", "lo \u{1f600}"]).line_ends(line_end);
                    reply = split.into_iter().fold(reply, Reply::split_every);
                    if dressed {
                        reply = reply.byte_order_mark().comments("OPENROUTER PROCESSING");
                    }
                    let options = json!({"include_usage": shown});
                    let ask = json!({"messages": user("hi"), "stream": true, "stream_options": options});
                    let (answer, whole) =
                        relayed(&mut client, &upstream, reply, &chat_with("ada", ask)).await;
                    let expected = if shown { whole } else { without_usage(&whole, written) };
                    let case = format!("{line_end:?}, split {split:?}, dressed {dressed}, shown {shown}");
                    assert_eq!(answer.text(), expected, "{case}");
                    assert!(answer.complete, "{case}");
                    assert_eq!(answer.chat_stream().usage.len(), usize::from(shown), "{case}");
                }
            }
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_cut_into_two_at_any_byte_is_the_same_stream() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let mut client = gateway.connect().await;
    let ask = json!({"messages": user("hi"), "stream": true, "stream_options": {"include_usage": true}});
    let ask = chat_with("ada", ask);
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = [
            "\u{feff}: hello",
            "",
            "event: message",
            "id: 1",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\u{e9}\"}}]}",
            "",
            "data: {\"choices\":[{\"index\":0,",
            "data: \"delta\":{},\"finish_reason\":\"stop\"}]}",
            "",
            "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}",
            "",
            "data: [DONE]",
            "",
            "",
        ]
        .join(line_end);
        for at in 1..stream.len() {
            upstream.script(Reply::sse(stream.clone()).split_at(at));
            let answer = client.ask(&ask).await;
            assert_eq!(answer.text(), stream, "cut at {at}, line end {line_end:?}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn everything_that_chat_can_do_passes_and_is_counted() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let tool = json!({"type": "function", "function": {"name": "look_up", "strict": true, "parameters":
        {"type": "object", "properties": {"id": {"type": "integer", "minimum": 9_007_199_254_740_993_u64}}}}});
    let schema = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema":
        {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}}}});
    let picture = json!([{"role": "user", "content": [{"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]}]);
    for members in [
        json!({"messages": user("call the tool"), "tools": [tool], "tool_choice": "required", "parallel_tool_calls": true}),
        json!({"messages": user("where?"), "response_format": schema}),
        json!({"messages": picture}),
        json!({"messages": user("thrice"), "n": 3, "logprobs": true, "top_logprobs": 2, "logit_bias": {"50256": -100}}),
        json!({"messages": user("capped"), "max_completion_tokens": 1}),
    ] {
        for stream in [false, true] {
            let mut asked = members.clone();
            asked["stream"] = stream.into();
            asked["stream_options"] = json!({"include_usage": true});
            let mut client = gateway.connect().await;
            let (answer, whole) =
                relayed(&mut client, &upstream, Reply::openai(), &chat_with("ada", asked)).await;
            assert_eq!(answer.status, 200, "{members}: {}", answer.text());
            assert_eq!(answer.text(), whole, "{members}");
            assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total(), "{members}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn reasoning_passes_and_is_counted() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let ask = json!({"messages": user("think"), "stream": true, "stream_options": {"include_usage": true}});
    let reply = Reply::stream(["42"]).reasoning(["hm, ", "let me see"]);
    let mut client = gateway.connect().await;
    let (answer, whole) = relayed(&mut client, &upstream, reply, &chat_with("ada", ask)).await;
    assert_eq!(answer.text(), whole);
    assert_eq!(answer.chat_stream().reasoning, "hm, let me see");
    assert_eq!(gateway.tokens_used("ada").await, upstream.billed_total().total());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_from_its_text() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let long = "word ".repeat(1000);
    let mut before = 0;
    for stream in [false, true] {
        upstream.script(Reply::text(&long).usage(UsageStyle::Never));
        let answer = gateway.ask(&chat_with("ada", json!({"messages": user("hi"), "stream": stream}))).await;
        assert_eq!(answer.status, 200);
        let used = gateway.tokens_used("ada").await - before;
        assert!((500..10_000).contains(&used), "1000 words were counted as {used} tokens (stream: {stream})");
        before += used;
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_burst_of_64_chunks_arrives_complete_and_in_order() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let pieces: Vec<String> = (0..64).map(|nth| format!("{nth} ")).collect();
    let ask = json!({"messages": user("count"), "stream": true, "stream_options": {"include_usage": true}});
    let mut client = gateway.connect().await;
    for _ in 0..20 {
        let (answer, whole) =
            relayed(&mut client, &upstream, Reply::stream(&pieces), &chat_with("ada", ask.clone())).await;
        assert_eq!(answer.text(), whole);
        assert_eq!(answer.chat_stream().text, pieces.concat());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn below_openai_v1_everything_is_the_same() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    let ask = |body: &str| {
        Request::post("/openai/v1/chat/completions")
            .header("authorization", "Bearer key-ada")
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let capped = ODD_REQUEST.replacen("{ ", "{ \"max_completion_tokens\":9, ", 1);
    upstream.script(Reply::body("application/json", ODD_ANSWER));
    let answer = gateway.ask(&ask(&capped)).await;
    assert_eq!((answer.status, answer.text()), (200, ODD_ANSWER.to_owned()));
    let seen = upstream.next_request().await;
    assert_eq!(seen.path(), "/v1/chat/completions");
    assert_eq!(seen.body(), capped.as_bytes());

    let streamed =
        capped.replacen("{ ", "{ \"stream\":true,\"stream_options\":{\"include_usage\":true}, ", 1);
    let mut client = gateway.connect().await;
    let (answer, whole) =
        relayed(&mut client, &upstream, Reply::stream(["Hel", "lo"]), &ask(&streamed)).await;
    assert_eq!(answer.text(), whole);
    assert_eq!(answer.chat_stream().text, "Hello");
    upstream.script(Reply::error(404));
    let answer = gateway.ask(&ask(&capped)).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    assert_eq!(gateway.tokens_used("ada").await, 15 + upstream.request(1).billed().total());
    gateway.ends_quiet().await;
}

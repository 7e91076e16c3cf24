//! The same replies in every dialect: contents, faults, errors, bills.

use gateway_testkit::events::{Event, EventReader};
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::reply::UsageStyle;
use gateway_testkit::{Billed, FakeUpstream, RawClient, Reply};
use serde_json::{Value, json};

/// A dialect's question.
struct Dialect {
    name: &'static str,
    path: &'static str,
    stream_path: &'static str,
    header: (&'static str, &'static str),
    body: Value,
    /// Where a stream's text stands in an event.
    delta: &'static str,
    /// Where the whole answer's stands.
    text: &'static str,
    usage: [&'static str; 2],
    /// What the last event holds.
    terminal: &'static str,
}

fn dialects() -> [Dialect; 5] {
    let chat = json!([{"role": "user", "content": "Hello there"}]);
    [
        Dialect {
            name: "chat",
            path: "/v1/chat/completions",
            stream_path: "/v1/chat/completions",
            header: ("authorization", "Bearer k"),
            body: json!({"model": "m", "messages": chat, "stream_options": {"include_usage": true}}),
            delta: "/choices/0/delta/content",
            text: "/choices/0/message/content",
            usage: ["/usage/prompt_tokens", "/usage/completion_tokens"],
            terminal: "[DONE]",
        },
        Dialect {
            name: "responses",
            path: "/v1/responses",
            stream_path: "/v1/responses",
            header: ("authorization", "Bearer k"),
            body: json!({"model": "m", "input": "Hello there"}),
            delta: "/delta",
            text: "/output/0/content/0/text",
            usage: ["/usage/input_tokens", "/usage/output_tokens"],
            terminal: "response.completed",
        },
        Dialect {
            name: "messages",
            path: "/v1/messages",
            stream_path: "/v1/messages",
            header: ("x-api-key", "k"),
            body: json!({"model": "m", "max_tokens": 100, "messages": chat}),
            delta: "/delta/text",
            text: "/content/0/text",
            usage: ["/usage/input_tokens", "/usage/output_tokens"],
            terminal: "message_stop",
        },
        Dialect {
            name: "gemini",
            path: "/v1beta/models/m:generateContent",
            stream_path: "/v1beta/models/m:streamGenerateContent?alt=sse",
            header: ("x-goog-api-key", "k"),
            body: json!({"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]}),
            delta: "/candidates/0/content/parts/0/text",
            text: "/candidates/0/content/parts/0/text",
            usage: ["/usageMetadata/promptTokenCount", "/usageMetadata/candidatesTokenCount"],
            terminal: "\"finishReason\":\"STOP\"",
        },
        Dialect {
            name: "interactions",
            path: "/v1beta/interactions",
            stream_path: "/v1beta/interactions",
            header: ("x-goog-api-key", "k"),
            body: json!({"model": "m", "input": "Hello there"}),
            delta: "/delta/text",
            text: "/steps/0/content/0/text",
            usage: ["/usage/total_input_tokens", "/usage/total_output_tokens"],
            terminal: "[DONE]",
        },
    ]
}

impl Dialect {
    fn request(&self, stream: bool) -> Request {
        let mut body = self.body.clone();
        if stream && self.name != "gemini" {
            body["stream"] = true.into();
        }
        let path = if stream { self.stream_path } else { self.path };
        let request = Request::post(path).header(self.header.0, self.header.1);
        request.header("anthropic-version", "2023-06-01").json(&body)
    }

    async fn ask(&self, stream: bool, reply: Reply) -> (Answer, Billed) {
        let upstream = FakeUpstream::start().await;
        upstream.script(reply);
        let mut client = RawClient::connect(upstream.base_url()).await;
        let answer = client.ask(&self.request(stream)).await;
        upstream.idle().await;
        (answer, upstream.billed_total())
    }

    fn text_of(&self, body: &[u8]) -> String {
        let texts = payloads(body).into_iter().filter_map(|data| {
            let event: Value = serde_json::from_str(&data).ok()?;
            let is_end = event["type"].as_str().is_some_and(|kind| kind.ends_with("done"));
            event.pointer(self.delta).filter(|_| !is_end)?.as_str().map(str::to_owned)
        });
        texts.collect()
    }
}

fn payloads(body: &[u8]) -> Vec<String> {
    let mut reader = EventReader::default();
    reader.push(body);
    let mut payloads = Vec::new();
    while let Some(event) = reader.pop() {
        if let Event::Message { data, .. } = event {
            payloads.push(data);
        }
    }
    payloads
}

fn count(answer: &Value, pointer: &str) -> u64 {
    answer.pointer(pointer).and_then(Value::as_u64).unwrap()
}

#[tokio::test]
async fn a_scripted_text_is_written_in_the_dialect_of_the_path() {
    for dialect in dialects() {
        let name = dialect.name;
        let reply = || Reply::stream(["Hel", "lo"]).tokens(9, 5);
        let (whole, billed) = dialect.ask(false, reply()).await;
        let body = whole.json();
        assert_eq!(body.pointer(dialect.text).and_then(Value::as_str), Some("Hello"), "{name}: {body}");
        assert_eq!(dialect.usage.map(|at| count(&body, at)), [9, 5], "{name}");
        assert_eq!(billed, Billed { prompt: 9, completion: 5 }, "{name}");

        let (stream, billed) = dialect.ask(true, reply()).await;
        assert_eq!(dialect.text_of(&stream.body), "Hello", "{name}");
        let last = payloads(&stream.body).pop().unwrap();
        assert!(last.contains(dialect.terminal), "{name}: {last}");
        assert_eq!(billed, Billed { prompt: 9, completion: 5 }, "{name}");
    }
}

#[tokio::test]
async fn a_cut_stream_is_torn_and_billed_up_to_there_in_every_dialect() {
    for dialect in dialects() {
        let reply = || Reply::stream(["a", "b", "c"]).tokens(9, 30);
        for n in 0..=3 {
            let (cut, billed) = dialect.ask(true, reply().cut_after(n)).await;
            assert_eq!(dialect.text_of(&cut.body), "abc"[..n], "{}", dialect.name);
            assert!(!cut.complete && !cut.text().contains(dialect.terminal), "{}", dialect.name);
            let completion = if n == 3 { 30 } else { n as u64 };
            assert_eq!(billed.completion, if n == 0 { 0 } else { completion }, "{}", dialect.name);
        }
        let (unended, _) = dialect.ask(true, reply().without_done()).await;
        let is_whole = unended.text().contains(dialect.terminal);
        assert_eq!(is_whole, dialect.name == "gemini", "{}", dialect.name);
        assert!(unended.complete);
    }
}

#[tokio::test]
async fn every_split_carries_the_same_stream_in_every_dialect() {
    for dialect in dialects() {
        let reply = || Reply::text("Grüße, 😀 world").pings(std::time::Duration::ZERO, 2);
        for size in [1, 7, 1000] {
            let (answer, _) = dialect.ask(true, reply().split_every(size)).await;
            assert_eq!(dialect.text_of(&answer.body), "Grüße, 😀 world", "{}", dialect.name);
        }
    }
}

#[tokio::test]
async fn errors_have_the_vendors_shape_whole_and_within_a_stream() {
    for dialect in dialects() {
        let name = dialect.name;
        let (refused, _) = dialect.ask(false, Reply::error(429)).await;
        assert_eq!(refused.status, 429);
        let error = &refused.json()["error"];
        let kind = match name {
            "chat" | "responses" => &error["code"],
            "messages" => &error["type"],
            _ => &error["status"],
        };
        let expected = match name {
            "chat" | "responses" => "rate_limit_exceeded",
            "messages" => "rate_limit_error",
            _ => "RESOURCE_EXHAUSTED",
        };
        assert_eq!(kind, expected, "{name}");
        let says_when = refused.header("retry-after").is_some();
        assert_eq!(says_when, !["gemini", "interactions"].contains(&name), "{name}");

        let (broken, _) = dialect.ask(true, Reply::stream(["a", "b"]).error_event_after(1)).await;
        assert_eq!(dialect.text_of(&broken.body), "a", "{name}");
        let last: Value = serde_json::from_str(&payloads(&broken.body).pop().unwrap()).unwrap();
        let is_error = last["error"].is_object() || last["type"] == "error";
        assert!(is_error && broken.complete, "{name}: {last}");

        let (first, _) = dialect.ask(true, Reply::error_event()).await;
        assert_eq!((first.status, payloads(&first.body).len()), (200, 1), "{name}");
        let (in_200, _) = dialect.ask(true, Reply::error_in_200()).await;
        assert!(in_200.status == 200 && in_200.json()["error"].is_object(), "{name}");
        let (malformed, _) = dialect.ask(true, Reply::stream(["a"]).malformed_event_after(1)).await;
        let bad = payloads(&malformed.body)
            .iter()
            .filter(|data| serde_json::from_str::<Value>(data).is_err())
            .count();
        let done = usize::from(dialect.terminal == "[DONE]");
        assert_eq!(bad, 1 + done, "{name}");
    }
}

#[tokio::test]
async fn a_dialect_streamed_and_whole_bills_the_same_for_every_kind_of_answer() {
    let calls = || Reply::tool_calls([("find", r#"{"id":1234567890123456789}"#), ("now", "")]);
    let replies: [fn() -> Reply; 5] = [
        || Reply::text("one two three"),
        || Reply::text("one").reasoning(["Hm. ", "So."]),
        || Reply::text("one").redacted("AAAA"),
        || Reply::refusal("I won't."),
        Reply::blocked,
    ];
    for dialect in dialects() {
        for reply in replies.iter().map(|reply| reply()).chain([calls(), calls().interleaved_tools()]) {
            let (whole, billed) = dialect.ask(false, reply.clone()).await;
            let (_, streamed) = dialect.ask(true, reply).await;
            assert_eq!(billed, streamed, "{}: {}", dialect.name, whole.text());
        }
    }
}

#[tokio::test]
async fn arguments_keep_their_digits_and_none_are_an_empty_object() {
    let numbers = r#"{"id":1234567890123456789,"x":1.0,"y":1e2}"#;
    for dialect in dialects() {
        let reply = Reply::tool_calls([("find", numbers), ("now", "")]);
        let (whole, _) = dialect.ask(false, reply).await;
        let text = whole.text().replace("\\\"", "\"");
        assert!(text.contains(numbers), "{}: {text}", dialect.name);
    }
}

#[tokio::test]
async fn gemini_without_sse_is_one_array_whatever_breaks_it() {
    let [_, _, _, gemini, _] = dialects();
    let path = "/v1beta/models/m:streamGenerateContent";
    let ask = async |reply: Reply| {
        let upstream = FakeUpstream::start().await;
        upstream.script(reply);
        let mut client = RawClient::connect(upstream.base_url()).await;
        client.ask(&Request::post(path).header("x-goog-api-key", "k").json(&gemini.body)).await
    };
    let answer = ask(Reply::stream(["a", "b"])).await;
    let chunks = answer.json();
    assert_eq!(chunks.as_array().map(Vec::len), Some(3));
    assert_eq!(chunks[1]["candidates"][0]["content"]["parts"][0]["text"], "b");
    assert_eq!(chunks[2]["candidates"][0]["finishReason"], "STOP");
    let failed = ask(Reply::stream(["a", "b"]).error_event_after(1)).await;
    assert!(failed.text().starts_with("[{\"candidates\"") && failed.text().contains("UNAVAILABLE"));
    assert!(ask(Reply::error(503)).await.json()[0]["error"].is_object());
}

#[tokio::test]
async fn geminis_usage_can_stand_elsewhere() {
    let [_, _, _, gemini, _] = dialects();
    let usages = async |style| {
        let (answer, _) = gemini.ask(true, Reply::stream(["a", "b"]).usage(style)).await;
        payloads(&answer.body).iter().map(|data| data.contains("usageMetadata")).collect::<Vec<_>>()
    };
    assert_eq!(usages(UsageStyle::AsAsked).await, [true, true, true]);
    assert_eq!(usages(UsageStyle::BesideChoices).await, [false, false, true]);
    assert_eq!(usages(UsageStyle::WithoutChoices).await, [false, false, false, true]);
    assert_eq!(usages(UsageStyle::Never).await, [false; 3]);
}

#[tokio::test]
async fn cached_tokens_are_counted_as_each_vendor_counts_them() {
    let reply = || Reply::text("a").tokens(100, 1).cached(60, 10);
    let [chat, responses, messages, gemini, _] = dialects();
    let usage = async |dialect: &Dialect| dialect.ask(false, reply()).await.0.json();
    let body = usage(&chat).await;
    assert_eq!(count(&body, "/usage/prompt_tokens_details/cached_tokens"), 60);
    assert_eq!(count(&usage(&responses).await, "/usage/input_tokens_details/cached_tokens"), 60);
    let body = usage(&messages).await;
    let places = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
    assert_eq!(places.map(|at| count(&body, &format!("/usage/{at}"))), [30, 60, 10]);
    let body = usage(&gemini).await;
    assert_eq!(count(&body, "/usageMetadata/promptTokenCount"), 100);
    assert_eq!(count(&body, "/usageMetadata/cachedContentTokenCount"), 60);
}

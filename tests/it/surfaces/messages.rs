//! Anthropic's messages over Anthropic.

use gateway_testkit::raw_client::Request;
use gateway_testkit::reply::{LineEnd, UsageStyle};
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use super::{Api, CLAUDE, GEMINI, GPT, Site, Told, get, post, question};

/// Order, white space, escapes, long numbers, thoughts with signatures, cache markers, members that nobody knows.
const ODD: &str = "{ \"zeta\": 9007199254740993, \"model\" :\"claude-test\",\n\t\"max_tokens\":4000,\"system\":[{\"type\":\"text\",\
    \"text\":\"\\u0041 \u{1f600} \\ud83d\\ude00\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}],\
    \"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},\
    {\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"EqQB+/=\"},{\"type\":\"redacted_thinking\",\
    \"data\":\"x\"},{\"type\":\"text\",\"text\":\"yes\"}],\"role\":\"assistant\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\
    \"text\":\"\\ud83d\",\"weight\":1.0,\"cache_control\":{\"type\":\"ephemeral\"}}]}],\"x\":null, \"big\":1e400,\r\n\
    \"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"max_uses\":5}], \"alpha\":[ ] }\n";

/// The same for a stream. Its upstream must be able to read it: no number without an end, no half of a character.
fn streamed() -> String {
    let readable = ODD.replace("\"\\ud83d\"", "\"x\"").replace("1e400", "1e300");
    readable.replacen("{ ", "{ \"stream\":true, ", 1)
}

fn odd(body: &str) -> Request {
    post("ada", "/v1/messages", body)
}

#[tokio::test]
async fn a_request_reaches_anthropic_byte_for_byte_with_its_version_and_our_key() {
    let site = Site::start().await;
    let (answer, seen) = site.ask(Reply::text("ok"), &odd(ODD)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((seen.path(), seen.query(), seen.body().as_ref()), ("/v1/messages", "", ODD.as_bytes()));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("x-api-key"), Some("sk-test-upstream-key"));
    assert!(seen.header("authorization").is_none() && seen.headers().all("anthropic-beta").is_empty());

    let versioned = odd(ODD).header("anthropic-version", "2023-01-01").header("x-stainless-lang", "python");
    let (_, seen) = site.ask(Reply::text("ok"), &versioned).await;
    assert_eq!(seen.header("anthropic-version"), Some("2023-01-01"));
    assert!(seen.header("x-stainless-lang").is_none());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_client_of_anthropics_own_sdk_is_known_by_its_key() {
    let site = Site::start().await;
    let ask = Request::post("/v1/messages").header("x-api-key", "key-ada").body(ODD);
    let (answer, seen) = site.ask(Reply::text("ok"), &ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(seen.headers().all("x-api-key"), ["sk-test-upstream-key"]);
    let stranger =
        site.gateway.ask(&Request::post("/v1/messages").header("x-api-key", "nobody").body(ODD)).await;
    assert_eq!((stranger.status, &stranger.json()["error"]["type"]), (401, &json!("authentication_error")));
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c39_beta_flags_pass_in_their_order_and_what_is_none_is_left_out() {
    let site = Site::start().await;
    let ask = odd(ODD)
        .header("anthropic-beta", "extended-cache-ttl-2025-04-11, not a flag,context-1m-2025-08-07")
        .header("anthropic-beta", "context-1m-2025-08-07");
    let known = ["extended-cache-ttl-2025-04-11", "context-1m-2025-08-07"];
    let (answer, seen) = site.ask(Reply::text("ok").knowing_betas(known), &ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(seen.header("anthropic-beta"), Some("extended-cache-ttl-2025-04-11,context-1m-2025-08-07"));
    assert_eq!(seen.body(), ODD);

    // Its own words, where it refuses one.
    let (answer, _) = site.ask(Reply::text("ok").knowing_betas(["other"]), &ask).await;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    assert!(answer.text().contains("anthropic-beta"), "{}", answer.text());

    // A provider of another protocol never sees them.
    let ask =
        question(Api::Messages, GPT, false, json!({})).header("anthropic-beta", "context-1m-2025-08-07");
    let (_, seen) = site.ask(Reply::text("ok"), &ask.header("anthropic-version", "2023-06-01")).await;
    assert!(seen.headers().iter().all(|(name, _)| !name.to_lowercase().starts_with("anthropic")));
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c39_only_the_betas_that_a_provider_allows_reach_it() {
    let upstream = FakeUpstream::start().await;
    let more = |name: &str, betas: &str| {
        format!(
            "[providers.{name}]\nkind = \"anthropic\"\nbase_url = \"{}\"\napi_key_env = \"TEST_KEY\"\nbetas = {betas}\n",
            upstream.base_url()
        )
    };
    let toml = [more("some", "[\"files-api-2025-04-14\"]"), more("none", "[]")].concat();
    let gateway = Site::builder(&upstream, &toml, "").start().await;
    for (provider, flags) in [("some", Some("files-api-2025-04-14")), ("none", None)] {
        upstream.script(Reply::text("ok"));
        let ask = question(Api::Messages, &format!("{provider}/claude"), false, json!({}))
            .header("anthropic-beta", "context-1m-2025-08-07, files-api-2025-04-14");
        assert_eq!(gateway.ask(&ask).await.status, 200);
        assert_eq!(upstream.request(upstream.requests() - 1).header("anthropic-beta"), flags, "{provider}");
    }
    gateway.ends_quiet().await;
    upstream.finish();
}

#[tokio::test]
async fn of_an_alias_the_models_name_alone_is_replaced() {
    let site = Site::with("[models.\"best\"]\ntargets = [\"anthropic/claude-test\"]\n", "").await;
    for asked in ["best", "anthropic/claude-test"] {
        let (answer, seen) = site.ask(Reply::text("ok"), &odd(&ODD.replace("claude-test", asked))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(seen.body(), ODD, "{asked}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_whole_answer_is_the_upstreams_bytes_in_every_framing() {
    let site = Site::start().await;
    let odd_answer = "\n{ \"usage\":{\"output_tokens\":4,\"input_tokens\":11 },\t\"content\" :[{\"type\":\"thinking\",\
        \"thinking\":\"\\u0041\",\"signature\":\"s\"},{\"type\":\"novel\",\"x\":90071992547409931}],\"type\":\"message\",\
        \"role\":\"assistant\",\"id\":\"msg_1\",\"model\":\"m\",\"stop_reason\":\"novel\",\"stop_sequence\":null,\"f\":1.0e2}\r\n ";
    let reply = || Reply::body("application/json; charset=UTF-8", odd_answer).tokens(11, 4);
    for reply in [reply(), reply().chunked().split_every(3), reply().until_close(), reply().gzip()] {
        let (answer, _) = site.ask(reply, &odd(ODD)).await;
        assert_eq!((answer.status, answer.text()), (200, odd_answer.to_owned()));
        assert_eq!(answer.header("content-type"), Some("application/json; charset=UTF-8"));
        assert!(answer.header("content-encoding").is_none());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_stream_is_the_upstreams_bytes_event_for_event() {
    let site = Site::start().await;
    let said =
        || Reply::stream(["Hel", "lo \u{1f600}"]).reasoning(["hm, ", "so"]).redacted("opaque").tokens(20, 9);
    let replies = [
        said(),
        said().cached(5, 3),
        said().line_ends(LineEnd::CrLf).split_every(1),
        said().byte_order_mark().comments("hello"),
        said().without_signatures(),
        said().usage(UsageStyle::OnEveryChunk),
        said().insert_after(2, "event: novel\ndata: {\"type\":\"novel\",\"x\":9007199254740993}\n\n"),
        Reply::tool_calls([("look_up", "{\"id\":9007199254740993}"), ("nothing", "")]),
        Reply::escaped(["\\ud83d", "\\ude00", "\\ud83d"]),
    ];
    for reply in replies {
        let shown = format!("{reply:?}");
        let ask = odd(&streamed());
        let (answer, seen) = site.ask(reply, &ask).await;
        let written = seen.answer_body().await;
        assert_eq!(answer.text(), String::from_utf8_lossy(&written), "{shown}");
        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        assert!(answer.complete);
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c11_a_signed_thought_comes_back_as_it_went_also_when_redacted() {
    let site = Site::start().await;
    for stream in [false, true] {
        let reply = Reply::text("42").reasoning(["Let ", "me ", "see"]).redacted("opaque");
        let (answer, _) = site.ask(reply, &question(Api::Messages, CLAUDE, stream, json!({}))).await;
        let told = Told::of(Api::Messages, stream, &answer);
        assert_eq!(
            (told.signatures.len(), &*told.redacted),
            (1, &["opaque".to_owned()][..]),
            "{}",
            answer.text()
        );
        if stream {
            let text = answer.text();
            assert_eq!(text.matches("signature_delta").count(), 1);
            let after = text.split("signature_delta").nth(1).unwrap();
            let next = after.split("event: ").nth(1).unwrap();
            assert!(next.starts_with("content_block_stop"), "just before the block's end: {next}");
        }
        let replay = |signature: &str| {
            let said = json!([{"type": "thinking", "thinking": told.thinking, "signature": signature},
                {"type": "redacted_thinking", "data": "opaque"}, {"type": "text", "text": "42"}]);
            question(
                Api::Messages,
                CLAUDE,
                stream,
                json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]}),
            )
        };
        let demanding = || Reply::text("gone on").checked().demanding_signatures();
        let (answer, _) = site.ask(demanding(), &replay(&told.signatures[0])).await;
        assert_eq!(Told::of(Api::Messages, stream, &answer).text, "gone on");
        let (answer, _) = site.ask(demanding(), &replay("changed")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("Invalid `signature`"), "{}", answer.text());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn tokens_read_from_and_written_to_a_cache_are_booked_apart() {
    let site = Site::start().await;
    for stream in [false, true] {
        let reply = Reply::text("ok").reasoning(["a ", "b"]).tokens(1000, 10).cached(600, 300);
        let (answer, _) = site.ask(reply, &question(Api::Messages, CLAUDE, stream, json!({}))).await;
        assert_eq!(answer.status, 200);
    }
    let row = site.booked("anthropic", 2).await;
    let counts = ["input_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "tokens"];
    assert_eq!(counts.map(|name| row[name].clone()), [200, 1200, 600, 4, 2020].map(Value::from), "{row}");
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_and_cost_nothing() {
    let site = Site::start().await;
    let body = ODD.replace("\"max_tokens\":4000,", "");
    let ask = post("ada", "/v1/messages/count_tokens", &body);
    let counted = "{ \"input_tokens\" : 1234 , \"novel\":1}";
    let (answer, seen) = site.ask(Reply::body("application/json", counted), &ask).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, counted));
    assert_eq!((seen.path(), seen.body().as_ref()), ("/v1/messages/count_tokens", body.as_bytes()));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(site.gateway.tokens_used("ada").await, 0);

    let (answer, _) = site.ask(Reply::error(429).header("retry-after", "3"), &ask).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")));
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    site.ends().await;
}

#[tokio::test]
async fn tokens_of_a_provider_that_counts_none_are_our_own_bound() {
    let site = Site::start().await;
    let long = "word ".repeat(1000);
    for model in [GPT, GEMINI] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": long}]});
        let answer = site.gateway.ask(&post("ada", "/v1/messages/count_tokens", body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let counted = answer.json()["input_tokens"].as_u64().unwrap();
        assert!((900..6000).contains(&counted), "{model}: {counted}");
    }
    assert_eq!(site.upstream.requests(), 0);
    assert_eq!(site.gateway.tokens_used("ada").await, 0);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn whatever_is_below_messages_is_answered_in_anthropics_words() {
    let site = Site::start().await;
    for (request, status, kind) in [
        (get("ada", "/v1/messages"), 405, "invalid_request_error"),
        (post("ada", "/v1/messages/batches", "{}"), 404, "not_found_error"),
        (
            post(
                "ada",
                "/v1/messages",
                "{\"model\":\"claude-test\",\"model\":\"claude-x\",\"messages\":[],\"max_tokens\":1}",
            ),
            400,
            "invalid_request_error",
        ),
        (post("ada", "/v1/messages", "{\"max_tokens\":1,\"messages\":[]}"), 400, "invalid_request_error"),
        (
            post(
                "ada",
                "/v1/messages",
                "{\"model\":\"nobody/x\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            ),
            404,
            "not_found_error",
        ),
    ] {
        let answer = site.gateway.ask(&request).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]["type"]), (status, &json!(kind)), "{body}");
        assert_eq!(body["type"], "error");
        assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
        assert_eq!(answer.header("request-id"), answer.header("x-request-id"), "as Anthropic names it");
    }
    site.ends_in_agreement().await;
}

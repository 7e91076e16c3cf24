//! What the caller gets when its upstream refuses: the upstream's word where it is about the request, ours where
//! it is about the upstream or our key.

use gateway_testkit::raw_client::Answer;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::{Value, json};

/// The key that [`TestGateway`] calls with.
const OUR_KEY: &str = "sk-test-upstream-key";

async fn asked(gateway: &TestGateway, upstream: &FakeUpstream, reply: Reply, stream: bool) -> Answer {
    upstream.script(reply);
    let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    answer
}

fn shows_our_key(text: &str) -> bool {
    ["sk-t", "st-up", "am-key"].iter().any(|part| text.contains(part))
}

#[tokio::test]
async fn what_the_upstream_says_of_the_request_reaches_the_caller() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().metered("ada").start().await;
    for stream in [false, true] {
        for status in [400, 404, 409, 413, 422, 429] {
            let answer = asked(&gateway, &upstream, Reply::error(status), stream).await;
            assert_eq!(answer.status, status, "{}", answer.text());
            let theirs = upstream.next_request().await.answer_body().await;
            let theirs: Value = serde_json::from_slice(&theirs).unwrap();
            let (ours, theirs) = (&answer.json()["error"], &theirs["error"]);
            for member in ["code", "param", "message"] {
                assert_eq!(ours[member], theirs[member], "{member} of {status}");
            }
            let kind = if status == 429 { "rate_limit_error" } else { "invalid_request_error" };
            assert_eq!(ours["type"], kind);
            assert_eq!(answer.header("x-gateway-provider"), Some("openai"));
            assert_eq!(answer.header("x-gateway-attempts"), Some("1"));
            assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 0, "a refused request costs no tokens");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_upstreams_word_on_when_to_come_again_stands_alone() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().client("ada", json!({})).start().await;
    let json = |status: u16| Reply::json(json!({"error": {"message": "later"}})).status(status);
    for status in [429, 503] {
        for (reply, after, after_ms) in [
            (json(status).header("retry-after", "7").header("retry-after-ms", "6500"), "7", "6500"),
            (json(status).header("retry-after", "7"), "7", "7000"),
            (json(status).header("retry-after-ms", "1200"), "2", "1200"),
            (json(status), "1", "1000"),
        ] {
            let answer = asked(&gateway, &upstream, reply, false).await;
            assert_eq!(answer.status, if status == 503 { 502 } else { status });
            assert_eq!(answer.header("retry-after"), Some(after));
            assert_eq!(answer.header("retry-after-ms"), Some(after_ms));
        }
        let date = "Wed, 21 Oct 2099 07:28:00 GMT";
        let answer = asked(&gateway, &upstream, json(status).header("retry-after", date), false).await;
        assert_eq!(answer.header("retry-after"), Some(date));
        assert_eq!(answer.header("retry-after-ms"), None, "a date says it all");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn any_other_status_is_the_upstreams_trouble_and_is_told_in_our_words() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().metered("ada").start().await;
    let theirs =
        json!({"error": {"message": "words of the upstream", "type": "weird", "code": "secret_code"}});
    for stream in [false, true] {
        for (status, expected) in [
            (201, 502),
            (204, 502),
            (304, 502),
            (401, 502),
            (402, 502),
            (403, 502),
            (405, 502),
            (406, 502),
            (408, 502),
            (410, 502),
            (418, 502),
            (424, 502),
            (451, 502),
            (498, 502),
            (500, 502),
            (501, 502),
            (502, 502),
            (503, 502),
            (504, 502),
            (520, 502),
            (529, 503),
            (599, 502),
        ] {
            let bodiless = matches!(status, 204 | 304);
            let reply = match bodiless {
                true => Reply::raw(format!("HTTP/1.1 {status} X\r\n\r\n")),
                false => Reply::json(&theirs).status(status),
            };
            let answer = asked(&gateway, &upstream, reply, stream).await;
            assert_eq!(answer.status, expected, "{status}: {}", answer.text());
            let error = &answer.json()["error"];
            let code = if expected == 503 { "overloaded" } else { "upstream_error" };
            assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!(code)), "{status}");
            assert!(error["message"].as_str().unwrap().contains("openai"), "the provider is named: {error}");
            assert!(!answer.text().contains("words of the upstream"), "{}", answer.text());
            assert!(!answer.text().contains("secret_code"), "{}", answer.text());
            assert_eq!(answer.header("retry-after").is_some(), matches!(status, 503 | 529), "{status}");
        }
    }
    assert_eq!(gateway.tokens_used("ada").await, 0, "a failed call costs no tokens");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_that_refuses_our_key_is_a_502_that_shows_no_part_of_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let masked =
        "Incorrect API key provided: sk-test*********-key. Find yours at https://platform.openai.com.";
    for stream in [false, true] {
        for status in [401, 403] {
            let error = json!({"error": {"message": masked, "type": "invalid_request_error", "code": "invalid_api_key"}});
            let answer = asked(&gateway, &upstream, Reply::json(error).status(status), stream).await;
            assert_eq!(answer.status, 502);
            assert!(!shows_our_key(&answer.text()), "{}", answer.text());
            assert!(
                !answer.text().contains("Incorrect") && !answer.text().contains("platform"),
                "{}",
                answer.text()
            );
            assert_eq!(answer.json()["error"]["code"], "upstream_error");
            let headers: Vec<_> = answer.headers.iter().map(|(_, value)| value.to_owned()).collect();
            assert!(!headers.iter().any(|value| shows_our_key(value)), "{headers:?}");
        }
    }
    gateway.ends_quiet().await;
}

/// Gemini's compatible surface calls a wrong key a 400; others repeat it in members that nobody expects.
#[tokio::test]
async fn our_key_in_an_error_that_passes_is_masked() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for error in [
        json!({"error": {"message": format!("API key {OUR_KEY} is not valid"), "code": OUR_KEY, "param": OUR_KEY}}),
        json!({"error": {"message": format!("key={OUR_KEY}&x=1")}}),
        json!({"detail": [{"msg": format!("Authorization: Bearer {OUR_KEY}"), "type": OUR_KEY}]}),
        json!([{"error": {"message": "sk-test*****-key is wrong", "status": "INVALID_ARGUMENT"}}]),
    ] {
        for status in [400, 404, 422, 429] {
            let answer = asked(&gateway, &upstream, Reply::json(&error).status(status), false).await;
            assert_eq!(answer.status, status);
            assert!(!shows_our_key(&answer.text()), "{}", answer.text());
        }
        let event = Reply::events([error.to_string()]).without_done();
        let answer = asked(&gateway, &upstream, event, true).await;
        assert!(!shows_our_key(&answer.text()), "{}", answer.text());
    }
    gateway.ends_quiet().await;
}

/// Keys of self-hosted servers look like nothing in particular: only we know that it is one.
#[tokio::test]
async fn a_key_that_does_not_look_like_one_is_masked_too() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .provider("[[providers.openai.keys]]\nname = \"a\"\napi_key_env = \"PLAIN_KEY\"\n")
        .env("PLAIN_KEY=tango-whisky-nine")
        .client("ada", json!({}))
        .start()
        .await;
    let error = json!({"error": {"message": "no such key: tango-whisky-nine", "code": "tango-whisky-nine"}});
    let event = error.to_string();
    for (reply, stream) in [
        (Reply::json(&error).status(400), false),
        (Reply::json(&error).status(429), true),
        (Reply::events([event.clone()]), true),
        (Reply::stream(["a", "b"]).insert_after(1, format!("data: {event}\n\n")), true),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        assert!(answer.text().contains("no such key: ***"), "{}", answer.text());
        assert!(!answer.text().contains("tango"), "{}", answer.text());
        assert_eq!(upstream.next_request().await.header("authorization"), Some("Bearer tango-whisky-nine"));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_error_whose_body_is_no_json_cut_or_endless_keeps_its_status() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).once().client("ada", json!({})).start().await;
    for reply in [
        Reply::html(),
        Reply::empty(),
        Reply::null(),
        Reply::endless(),
        Reply::json("{\"error\":{\"mess"),
        Reply::json(json!({"error": {"message": "cut"}})).cut_at_byte(8),
        Reply::json(json!({"error": {"message": "encoded"}})).gzip().corrupted(),
        Reply::json(json!({"error": {"message": "odd"}})).header("content-encoding", "rot13"),
    ] {
        for (status, expected) in [(400, 400), (429, 429), (500, 502)] {
            let answer = asked(&gateway, &upstream, reply.clone().status(status), false).await;
            assert_eq!(answer.status, expected, "{}", answer.text());
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains("openai") && message.contains(&status.to_string()), "{message}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let upstream = FakeUpstream::start().await;
    let elsewhere = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).metered("ada").start().await;
    for status in [301, 302, 303, 307, 308] {
        for stream in [false, true] {
            let location = format!("{}/chat/completions", elsewhere.base_url());
            let answer = asked(&gateway, &upstream, Reply::redirect(status, &location), stream).await;
            assert_eq!(answer.status, 502);
            assert_eq!(answer.header("location"), None);
            assert!(!answer.text().contains(&elsewhere.address().to_string()), "{}", answer.text());
        }
    }
    assert_eq!((elsewhere.connections(), upstream.requests()), (0, 10));
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

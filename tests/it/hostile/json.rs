//! Bodies that arrive whole and are not what they should be.

use super::*;

/// `body` on every route that reads one, with `{}` standing for the route's own required members.
async fn refused(gateway: &TestGateway, body: impl AsRef<[u8]>) -> Vec<(&'static str, String)> {
    let mut messages = Vec::new();
    for path in BODY_ROUTES {
        let answer = gateway.ask(&post(path).body(body.as_ref().to_vec())).await;
        let shown = String::from_utf8_lossy(body.as_ref()).chars().take(80).collect::<String>();
        assert_eq!(answer.status, invalid(path), "{shown} on {path}: {}", answer.text());
        assert!(answer.body.len() < 4_096, "an error repeats little of the body: {}", answer.text());
        messages.push((path, error_message(path, &answer)));
    }
    messages
}

/// A chat body, and a seed body, that end in this member.
fn with_member(path: &str, member: &str) -> String {
    match path {
        "/api/v1/generate" => format!(r#"{{"prompt":"hello","provider":"echo",{member}}}"#),
        _ => format!(r#"{{"model":"echo","messages":[{{"role":"user","content":"hello"}}],{member}}}"#),
    }
}

#[tokio::test]
async fn a_body_of_nothing_is_refused() {
    let (_upstream, gateway) = gateway("").await;
    for body in ["", " ", "\r\n\t ", "\n\n"] {
        refused(&gateway, body).await;
    }
    // No framing at all is a body of no bytes.
    for path in BODY_ROUTES {
        let request = Request::new("POST", path).header("x-api-key", "key-ada");
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status, invalid(path), "{path}");
        error_message(path, &answer);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let (upstream, gateway) = gateway("").await;
    for body in [
        "null",
        "true",
        "0",
        "\"text\"",
        "[]",
        "[{}]",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":0x1}",
        "{\"a\":tru}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"open}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1}\0",
        "/**/{}",
        "model=gpt-test&prompt=hi",
        "<xml/>",
        "--boundary\r\n",
    ] {
        refused(&gateway, body).await;
    }
    assert_eq!(upstream.requests(), 0);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn bytes_that_are_no_utf_8_are_refused_wherever_they_stand() {
    let (upstream, gateway) = gateway("").await;
    let bad: [&[u8]; 8] = [
        b"\xff",
        b"\xc3\x28",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\xaf",
        b"\x80",
        b"\xf0\x9f\x98",
    ];
    for bytes in bad {
        for place in ["{\"model\":\"@\",\"prompt\":\"@\"}", "{\"prompt\":\"hello\",\"@\":1}", "@{}", "{}@"] {
            let (before, after) = place.split_once('@').expect("a place");
            refused(&gateway, [before.as_bytes(), bytes, after.as_bytes()].concat()).await;
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn nesting_without_end_is_refused_and_breaks_no_stack() {
    let (upstream, gateway) = gateway("").await;
    const DEPTH: usize = 100_000;
    let nested = [
        "[".repeat(DEPTH),
        "{\"a\":".repeat(DEPTH),
        "[".repeat(DEPTH) + &"]".repeat(DEPTH),
        format!("{{\"messages\":{}1{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("{{\"prompt\":\"hi\",\"x\":{}1{}}}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH)),
        "[{\"a\":".repeat(DEPTH),
    ];
    for body in nested {
        refused(&gateway, body).await;
    }
    assert_eq!(upstream.requests(), 0);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn numbers_that_json_does_not_have_are_refused_also_in_members_that_nobody_reads() {
    let (upstream, gateway) = gateway("").await;
    for number in ["NaN", "Infinity", "-Infinity", "nan", "-", "1e", "0b1", "1_000", "\u{0661}"] {
        for member in ["temperature", "max_tokens", "unknown"] {
            for path in BODY_ROUTES {
                let body = with_member(path, &format!("\"{member}\":{number}"));
                let answer = gateway.ask(&post(path).body(body)).await;
                assert_eq!(answer.status, invalid(path), "{member} {number} on {path}: {}", answer.text());
                error_message(path, &answer);
            }
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_member_that_the_gateway_reads_may_stand_only_once_in_whatever_spelling() {
    let (upstream, gateway) = gateway("").await;
    let chat = [
        (r#""model":"gpt-test""#, "model"),
        (r#""mod\u0065l":"gpt-test""#, "model"),
        (r#""\u006d\u006F\u0064\u0065\u006c":null"#, "model"),
        (r#""messages":[]"#, "messages"),
        (r#""messag\u0065s":[{"role":"user","content":"other"}]"#, "messages"),
        (r#""stream":true,"stream":false"#, "stream"),
        (r#""stream":true,"\u0073tream":true"#, "stream"),
        (r#""max_tokens":1,"max_tokens":100000"#, "max_tokens"),
        (r#""max_tokens":1,"max\u005ftokens":100000"#, "max_tokens"),
        (r#""max_completion_tokens":1,"max_completion_tokens":2"#, "max_completion_tokens"),
        (r#""n":1,"n":100"#, "n"),
        (r#""stream_options":{},"stream_options":{}"#, "stream_options"),
    ];
    for (members, name) in chat {
        for path in &BODY_ROUTES[..2] {
            let answer = gateway.ask(&post(path).body(with_member(path, members))).await;
            assert_eq!(answer.status, 400, "{members}: {}", answer.text());
            assert!(error_message(path, &answer).contains(&format!("`{name}`")), "{}", answer.text());
            assert_eq!(answer.json()["error"]["param"], name, "{members}");
        }
    }
    let seed = [
        (r#""prompt":"other""#, "prompt"),
        (r#""pr\u006fmpt":"other""#, "prompt"),
        (r#""provider":"openai""#, "provider"),
        (r#""model":"echo","model":"gpt-test""#, "model"),
        (r#""model":"echo","mod\u0065l":"gpt-test""#, "model"),
        (r#""max_tokens":1,"max_tokens":100000"#, "max_tokens"),
        (r#""temperature":0,"temperature":1"#, "temperature"),
    ];
    let path = "/api/v1/generate";
    for (members, name) in seed {
        let answer = gateway.ask(&post(path).body(with_member(path, members))).await;
        assert_eq!(answer.status, 422, "{members}: {}", answer.text());
        error_message(path, &answer);
        assert_eq!(answer.json()["detail"][0]["loc"], json!(["body", name]), "{members}");
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_model_name_with_anything_but_its_characters_is_400_and_is_not_sent_back() {
    let (upstream, gateway) = gateway("").await;
    let long = "m".repeat(257);
    for name in [
        "gpt\\r\\nx-evil: 1",
        "gpt\\r\\n\\r\\nGET /admin/tree HTTP/1.1",
        "gpt\\u000d\\u000ax-evil: 1",
        "gpt\\n",
        "gpt\\u0000",
        "gpt\\t4",
        "gpt 4",
        " gpt",
        "gpt\\u007f",
        "gpt\u{e9}",
        "gpt\u{202e}4",
        "gpt\\ud800",
        "",
        ".",
        "..",
        "../admin",
        "a/../b",
        "openai/./x",
        "gpt?key=1",
        "gpt#1",
        "gpt%2e%2e",
        "gpt\\\\4",
        "<script>",
        long.as_str(),
    ] {
        for path in BODY_ROUTES {
            let body = match path {
                "/api/v1/generate" => format!(r#"{{"prompt":"hello","model":"{name}"}}"#),
                _ => format!(r#"{{"model":"{name}","messages":[{{"role":"user","content":"hello"}}]}}"#),
            };
            let answer = gateway.ask(&post(path).body(body)).await;
            assert_eq!(answer.status, 400, "{name:?} on {path}: {}", answer.text());
            let message = error_message(path, &answer);
            assert!(message.contains("model name"), "{message}");
            assert_eq!(answer.header("x-evil"), None);
            assert_eq!(answer.header("x-gateway-model"), None);
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_control_character_written_raw_is_refused() {
    let (_upstream, gateway) = gateway("").await;
    for control in ["\r\n", "\n", "\r", "\0", "\u{1}", "\t", "\u{1b}"] {
        refused(&gateway, format!("{{\"model\":\"gpt{control}x-evil: 1\",\"prompt\":\"a\"}}")).await;
        refused(&gateway, format!("{{\"prompt\":\"a{control}b\",\"messages\":[]}}")).await;
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn numbers_beyond_every_machine_word_break_nothing() {
    let (upstream, gateway) = gateway("").await;
    upstream.always(Reply::text("hello"));
    let huge = "9".repeat(400);
    for member in ["max_tokens", "max_completion_tokens", "n"] {
        for number in [huge.as_str(), "18446744073709551616", "18446744073709551615", "9007199254740993"] {
            let path = "/v1/chat/completions";
            let answer =
                gateway.ask(&post(path).body(with_member(path, &format!("\"{member}\":{number}")))).await;
            assert!(answer.status == 200 || answer.status == 400, "{member} {number}: {}", answer.text());
        }
        for number in ["-1", "0", "1.5", "1e999", "-99999999999999999999"] {
            let path = "/v1/chat/completions";
            let answer =
                gateway.ask(&post(path).body(with_member(path, &format!("\"{member}\":{number}")))).await;
            assert_eq!(answer.status, 400, "{member} {number}: {}", answer.text());
            assert_eq!(answer.json()["error"]["param"], member);
        }
    }
    let path = "/api/v1/generate";
    for (members, name) in [
        ("\"temperature\":1e999", "temperature"),
        ("\"temperature\":-1e999", "temperature"),
        ("\"temperature\":2.0000001", "temperature"),
        ("\"max_tokens\":-1e999", "max_tokens"),
        ("\"max_tokens\":0", "max_tokens"),
        ("\"max_tokens\":0.5", "max_tokens"),
    ] {
        let answer = gateway.ask(&post(path).body(with_member(path, members))).await;
        assert_eq!(answer.status, 422, "{members}: {}", answer.text());
        error_message(path, &answer);
        assert!(answer.text().contains(&format!(r#""loc":["body","{name}"]"#)), "{}", answer.text());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_cap_that_no_quota_could_hold_is_400_and_reserves_nothing() {
    let upstream = FakeUpstream::start().await;
    let limits = json!({"rate_limit": {"tokens_per_minute": 1_000_000, "tokens_per_day": 1_000_000}});
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    for members in [
        json!({"max_tokens": u64::MAX}),
        json!({"max_tokens": u64::MAX, "n": u64::MAX}),
        json!({"max_tokens": 1_000, "n": u64::MAX}),
        json!({"max_completion_tokens": i64::MAX, "n": 3}),
    ] {
        let mut request = members.as_object().expect("an object").clone();
        request.insert("messages".to_owned(), json!([{"role": "user", "content": "hi"}]));
        let answer = gateway.ask(&chat_with("ada", Value::Object(request))).await;
        assert_eq!(answer.status, 400, "{members}: {}", answer.text());
        error_message("/v1/chat/completions", &answer);
    }
    assert_eq!(upstream.requests(), 0);
    let view = gateway.limits("ada").await;
    assert_eq!(view.tokens_per_day.expect("a limit").reserved, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_object_of_a_million_members_is_refused_quickly() {
    let (_upstream, gateway) = gateway("").await;
    let path = "/v1/chat/completions";
    let members: Vec<String> = (0..1_000_000).map(|n| format!("\"{n}\":0")).collect();
    let answer = gateway.ask(&post(path).body(with_member(path, &members.join(",")))).await;
    assert_eq!(answer.status, 400);
    error_message(path, &answer);
    still_works(&gateway).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn members_of_the_wrong_type_are_named() {
    let (upstream, gateway) = gateway("").await;
    let path = "/v1/chat/completions";
    let wrong = [
        (json!({"model": 1}), "model"),
        (json!({"model": ["gpt-test"]}), "model"),
        (json!({"model": {}}), "model"),
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": {}}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": null}), "messages"),
        (json!({"stream": "true"}), "stream"),
        (json!({"stream": 1}), "stream"),
        (json!({"max_tokens": "100"}), "max_tokens"),
        (json!({"max_tokens": []}), "max_tokens"),
        (json!({"n": true}), "n"),
    ];
    for (members, name) in wrong {
        let mut body = good_body(path);
        body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        let answer = gateway.ask(&post(path).body(body.to_string())).await;
        assert_eq!(answer.status, 400, "{members}: {}", answer.text());
        error_message(path, &answer);
        assert_eq!(answer.json()["error"]["param"], name, "{members}");
    }
    for body in
        [json!({"messages": [{"role": "user", "content": "hi"}]}), json!({"model": null, "messages": [{}]})]
    {
        let answer = gateway.ask(&post(path).body(body.to_string())).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert_eq!(answer.json()["error"]["param"], "model");
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

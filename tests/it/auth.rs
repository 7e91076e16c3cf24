//! Who is calling: every form of a credential, and the one answer to all that prove nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply, TestGateway};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nobody listens here: these clients ask for the model `echo`.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

fn sha256(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn with_lines(request: Request, lines: &[(&str, &str)]) -> Request {
    lines.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// A chat request with these header lines.
fn asking(lines: &[(&str, &str)]) -> Request {
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    with_lines(Request::post("/v1/chat/completions"), lines).json(&body)
}

/// `ada` has the secret `open sesame` and the key `key-ada`, `grace` the key `key-grace`.
async fn two_clients() -> TestGateway {
    TestGateway::at(NOWHERE)
        .client("ada", json!({"client_secret_hash": sha256("open sesame")}))
        .client("grace", json!({}))
        .start()
        .await
}

#[tokio::test]
async fn every_form_of_a_credential_lets_its_client_in() {
    let gateway = two_clients().await;
    let basic = basic("ada:open sesame");
    for lines in [
        vec![("client_id", "ada"), ("client_secret", "open sesame")],
        vec![("client-id", "ada"), ("client-secret", "open sesame")],
        vec![("x-client-id", "ada"), ("x-client-secret", "open sesame")],
        vec![("authorization", basic.as_str())],
        vec![("authorization", "Bearer key-ada")],
        vec![("authorization", "Bearer ada:open sesame")],
        vec![("x-api-key", "key-ada")],
        vec![("x-api-key", "ada:open sesame")],
        vec![("x-goog-api-key", "key-ada")],
        vec![("x-goog-api-key", "ada:open sesame")],
    ] {
        let answer = gateway.ask(&asking(&lines)).await;
        assert_eq!(answer.status, 200, "{lines:?}: {}", answer.text());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn names_of_headers_and_schemes_count_in_any_case_but_an_id_does_not() {
    let gateway = two_clients().await;
    let basic = basic("ada:open sesame").replacen("Basic", "bAsIc", 1);
    for lines in [
        vec![("Client_Id", "ada"), ("CLIENT_SECRET", "open sesame")],
        vec![("Client-ID", "ada"), ("Client-Secret", "open sesame")],
        vec![("X-Client-Id", "ada"), ("X-CLIENT-SECRET", "open sesame")],
        vec![("Authorization", basic.as_str())],
        vec![("AUTHORIZATION", "BEARER key-ada")],
        vec![("authorization", "bearer   ada:open sesame")],
        vec![("X-Api-Key", "key-ada")],
        vec![("X-Goog-API-Key", "key-ada")],
    ] {
        let answer = gateway.ask(&asking(&lines)).await;
        assert_eq!(answer.status, 200, "{lines:?}: {}", answer.text());
    }
    let answer = gateway.ask(&asking(&[("client_id", "Ada"), ("client_secret", "open sesame")])).await;
    assert_eq!(answer.status, 401);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_secret_may_hold_colons_blanks_and_letters_of_any_language() {
    let secret = "a:b: ключ — ü";
    let gateway =
        TestGateway::at(NOWHERE).client("ada", json!({"client_secret_hash": sha256(secret)})).start().await;
    let pair = format!("ada:{secret}");
    let (basic, bearer) = (basic(&pair), format!("Bearer {pair}"));
    for lines in [
        vec![("client_id", "ada"), ("client_secret", secret)],
        vec![("authorization", basic.as_str())],
        vec![("authorization", bearer.as_str())],
        vec![("x-api-key", pair.as_str())],
    ] {
        let answer = gateway.ask(&asking(&lines)).await;
        assert_eq!(answer.status, 200, "{lines:?}: {}", answer.text());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn several_forms_that_agree_are_fine_and_one_wrong_among_them_refuses_all() {
    let gateway = two_clients().await;
    let basic = basic("ada:open sesame");
    let right = [
        ("client_id", "ada"),
        ("client_secret", "open sesame"),
        ("client-id", "ada"),
        ("client-secret", "open sesame"),
        ("x-client-id", "ada"),
        ("x-client-secret", "open sesame"),
        ("authorization", basic.as_str()),
        ("x-api-key", "key-ada"),
        ("x-goog-api-key", "ada:open sesame"),
    ];
    let answer = gateway.ask(&asking(&right)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let alone = gateway.ask(&asking(&[])).await;
    for place in 0..right.len() {
        let mut lines = right.to_vec();
        lines[place].1 = "wrong";
        let answer = gateway.ask(&asking(&lines)).await;
        assert_eq!(answer.status, 401, "{lines:?}");
        assert_eq!(answer.body, alone.body);
        // A half of a pair is as wrong as a wrong one.
        if place < 6 {
            lines.remove(place);
            assert_eq!(gateway.ask(&asking(&lines)).await.status, 401, "{lines:?}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn two_clients_in_one_request_are_refused_and_not_the_first_or_the_weaker_taken() {
    let gateway = two_clients().await;
    let ada = [("client_id", "ada"), ("client_secret", "open sesame")];
    for lines in [
        [&ada[..], &[("x-api-key", "key-grace")]].concat(),
        vec![("authorization", "Bearer key-grace"), ("x-api-key", "key-ada")],
    ] {
        let answer = gateway.ask(&asking(&lines)).await;
        assert_eq!(answer.status, 400, "{lines:?}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains("two different clients"), "{error}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_credential_header_that_comes_twice_is_refused_even_when_both_are_right() {
    let gateway = two_clients().await;
    let basic = basic("ada:open sesame");
    for (name, first, second, rest) in [
        ("client_id", "ada", "ada", vec![("client_secret", "open sesame")]),
        ("client_id", "ada", "grace", vec![("client_secret", "open sesame")]),
        ("client_secret", "open sesame", "wrong", vec![("client_id", "ada")]),
        ("client-id", "ada", "ada", vec![("client-secret", "open sesame")]),
        ("client-secret", "open sesame", "open sesame", vec![("client-id", "ada")]),
        ("x-client-id", "ada", "ada", vec![("x-client-secret", "open sesame")]),
        ("x-client-secret", "open sesame", "open sesame", vec![("x-client-id", "ada")]),
        ("authorization", "Bearer key-ada", basic.as_str(), vec![]),
        ("x-api-key", "key-ada", "key-ada", vec![]),
        ("x-api-key", "key-ada", "key-wrong", vec![]),
        ("x-goog-api-key", "key-ada", "key-grace", vec![]),
    ] {
        let other_case = name.to_uppercase();
        for again in [name, &other_case] {
            let mut lines = vec![(name, first), (again, second)];
            lines.extend(&rest);
            let answer = gateway.ask(&asking(&lines)).await;
            assert_eq!(answer.status, 400, "{lines:?}: {}", answer.text());
            let message = answer.json()["error"]["message"].clone();
            assert!(message.as_str().unwrap().contains(name), "{message}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn credentials_in_the_query_string_count_for_nothing() {
    let gateway = two_clients().await;
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    for query in [
        "client_id=ada&client_secret=open%20sesame",
        "key=key-ada",
        "api_key=key-ada",
        "x-api-key=key-ada",
        "authorization=Bearer%20key-ada",
        "access_token=key-ada",
    ] {
        let request = Request::post(&format!("/v1/chat/completions?{query}")).json(&body);
        assert_eq!(gateway.ask(&request).await.status, 401, "{query}");
        // Nor do they disturb a right one beside them.
        let answer = gateway.ask(&request.header("x-api-key", "key-ada")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    }
    gateway.ends_quiet().await;
}

/// Status, header lines and body, but for what differs between any two answers.
fn comparable(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let own = |name: &str| name == "x-request-id" || name == "date";
    let lines = answer.headers.iter().filter(|(name, _)| !own(name));
    let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (answer.status, lines, answer.text())
}

#[tokio::test]
async fn whatever_is_wrong_with_a_credential_the_401_is_the_same_to_the_byte() {
    // The hash of `open sesame`, made at the lowest cost there is.
    let argon2id = argon2id("open sesame");
    let dated = |member: &str, moment: &str| json!({"credentials": [{"type": "secret", "hash": sha256("open sesame"), member: moment}]});
    let gateway = TestGateway::at(NOWHERE)
        .client("ada", json!({"client_secret_hash": sha256("open sesame")}))
        .client("slow", json!({"client_secret_hash": argon2id}))
        .client("past", dated("expires_at", "2020-01-01T00:00:00Z"))
        .client("ahead", dated("not_before", "2100-01-01T00:00:00Z"))
        .client("off", json!({"client_secret_hash": sha256("open sesame"), "disabled": true}))
        .client("bare", json!({"credentials": []}))
        .start()
        .await;
    let basic = basic("ada:wrong");
    let reasons: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![("client_id", "ada"), ("client_secret", "wrong")],
        vec![("client_id", "ada"), ("client_secret", "")],
        vec![("client_id", "nobody"), ("client_secret", "open sesame")],
        vec![("client_id", "slow"), ("client_secret", "wrong")],
        vec![("client_id", "past"), ("client_secret", "open sesame")],
        vec![("client_id", "ahead"), ("client_secret", "open sesame")],
        vec![("client_id", "off"), ("client_secret", "open sesame")],
        vec![("x-api-key", "key-off")],
        vec![("client_id", "bare"), ("client_secret", "")],
        vec![("client_id", "bare"), ("client_secret", "open sesame")],
        vec![("client_id", "ada")],
        vec![("client_secret", "open sesame")],
        vec![("client_id", "no id at all!"), ("client_secret", "x")],
        vec![("authorization", basic.as_str())],
        vec![("authorization", "Basic no-base64")],
        vec![("authorization", "Bearer key-nobody")],
        vec![("authorization", "Bearer")],
        vec![("authorization", "Digest username=ada")],
        vec![("x-api-key", "nobody:x")],
        vec![("x-goog-api-key", "\u{fffd}")],
        vec![("x-api-key", "key-ada"), ("authorization", "Bearer wrong")],
    ];
    let openai = json!({"error": {
        "message": "Invalid client credentials", "type": "authentication_error", "param": null, "code": "invalid_api_key"
    }});
    let seed = json!({"detail": "Invalid client credentials"});
    for (route, body) in [
        (Request::post("/v1/chat/completions").json(&json!({})), &openai),
        (Request::post("/openai/v1/chat/completions").header("content-type", "text/html").body("{"), &openai),
        (Request::get("/v1/models"), &openai),
        (Request::get("/v1/models/gpt-test"), &openai),
        (Request::get("/openai/v1/models"), &openai),
        (Request::post("/api/v1/generate").json(&json!({"prompt": ""})), &seed),
        (Request::get("/api/v1/clients/reload"), &seed),
    ] {
        let first = gateway.ask(&route).await;
        assert_eq!((first.status, &first.json()), (401, body));
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(first.header("www-authenticate"), Some("Bearer"), "RFC 9110 wants a way named");
        for lines in &reasons {
            let answer = gateway.ask(&with_lines(route.clone(), lines)).await;
            assert_eq!(comparable(&answer), comparable(&first), "{lines:?}");
            assert_ne!(answer.header("x-request-id"), first.header("x-request-id"));
        }
    }
    gateway.ends_quiet().await;
}

fn argon2id(secret: &str) -> String {
    use argon2::password_hash::{PasswordHasher, SaltString};
    use argon2::{Algorithm, Argon2, Params, Version};
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"salt of a test").unwrap();
    cheap.hash_password(secret.as_bytes(), &salt).unwrap().to_string()
}

/// Writes these bytes and reads as much as comes up to the end of the first head.
async fn first_head(gateway: &TestGateway, bytes: &str) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let head = async {
        while !read.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "an answer comes");
        }
    };
    patiently("an answer while the body is missing", head).await;
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn the_401_comes_before_the_body() {
    let gateway = two_clients().await;
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-api-key: ";
    for (key, status) in [("key-nobody", "401"), ("key-ada", "100")] {
        // A client that asks first is not told to go on when it is nobody.
        let asked = format!("{head}{key}\r\nexpect: 100-continue\r\ncontent-length: 60\r\n\r\n");
        let answer = first_head(&gateway, &asked).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    for unfinished in [
        "content-length: 60\r\n\r\n{\"model\"",
        "content-length: 60\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\n{\"mo",
    ] {
        let answer = first_head(&gateway, &format!("{head}key-nobody\r\n{unfinished}")).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    // Larger than any body may be, or of a type that is refused: who calls is asked first.
    let answer =
        first_head(&gateway, &format!("{head}key-nobody\r\ncontent-length: 99999999999\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    gateway.ends_quiet().await;
}

/// Every credential header, all for `ada`.
fn all_lines() -> Vec<(&'static str, String)> {
    let secret = || "open sesame".to_owned();
    let id = || "ada".to_owned();
    vec![
        ("client_id", id()),
        ("client_secret", secret()),
        ("client-id", id()),
        ("client-secret", secret()),
        ("x-client-id", id()),
        ("x-client-secret", secret()),
        ("authorization", basic("ada:open sesame")),
        ("x-api-key", "key-ada".to_owned()),
        ("x-goog-api-key", "ada:open sesame".to_owned()),
    ]
}

#[tokio::test]
async fn no_credential_of_a_caller_goes_upstream() {
    let upstream = FakeUpstream::start().await;
    let ada = json!({"client_secret_hash": sha256("open sesame")});
    let gateway = TestGateway::with(&upstream).client("ada", ada).start().await;
    let lines = all_lines();
    let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let chat = |stream: bool| {
        let body =
            json!({"model": "gpt-test", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        Request::post("/v1/chat/completions").json(&body)
    };
    let generate = Request::post("/api/v1/generate").json(&json!({"prompt": "hi"}));
    for request in [chat(false), chat(true), generate, Request::get("/v1/models")] {
        let answer = gateway.ask(&with_lines(request, &lines)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = upstream.next_request().await;
        assert_eq!(seen.headers().get("authorization"), Some("Bearer sk-test-upstream-key"));
        for (name, _) in lines.iter().filter(|(name, _)| *name != "authorization") {
            assert_eq!(seen.headers().get(name), None);
        }
        let head = String::from_utf8_lossy(seen.head()).into_owned();
        for secret in ["open sesame", "key-ada", &STANDARD.encode("ada:open sesame")] {
            assert!(!head.contains(secret), "{head}");
        }
        assert_eq!(seen.query(), "");
    }
    gateway.ends_quiet().await;
}

/// What was logged, at every level.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_credential_of_a_caller_comes_back_in_an_error_or_stands_in_a_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // With one dispatcher alone tracing asks the thread that first meets a line of code whether it is logged,
    // and that thread may be another test's, which logs nothing; with two it asks them both.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // The test's runtime has one thread, so all of the gateway logs here.
    let _logging = tracing::subscriber::set_default(subscriber);
    let upstream = FakeUpstream::start().await;
    upstream.script(Reply::text("hello"));
    upstream.always(Reply::error(500));
    let ada = json!({"client_secret_hash": sha256("open sesame"), "allowed_models": ["gpt-test"]});
    let gateway = TestGateway::with(&upstream).client("ada", ada).start().await;
    let lines = all_lines();
    let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let wrong = [("client_id", "ada"), ("client_secret", "guessed secret"), ("x-api-key", "guessed-key")];
    let twice = [("x-api-key", "key-ada"), ("x-api-key", "key-ada")];
    let mut said = String::new();
    let mut statuses = Vec::new();
    for lines in [&lines[..], &lines[..], &wrong, &twice] {
        for model in ["gpt-test", "gpt-other"] {
            let body =
                json!({"model": model, "messages": [{"role": "user", "content": "the prompt itself"}]});
            let path = "/v1/chat/completions?key=key-ada&client_secret=open%20sesame";
            let answer = gateway.ask(&with_lines(Request::post(path), lines).json(&body)).await;
            statuses.push(answer.status);
            said.push_str(&format!("{:?}{}", answer.headers, answer.text()));
        }
    }
    assert_eq!(statuses, [200, 403, 502, 403, 401, 401, 400, 400]);
    gateway.ends_quiet().await;
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("chat/completions"), "the requests are logged");
    let basic = STANDARD.encode("ada:open sesame");
    for secret in ["open sesame", "open%20sesame", "key-ada", &basic, "guessed", "sk-test-upstream-key"] {
        assert!(!said.contains(secret), "an answer shows `{secret}`");
        assert!(!logged.contains(secret), "the log shows `{secret}`");
    }
    for hash in [sha256("open sesame"), sha256("key-ada"), "the prompt itself".to_owned()] {
        assert!(!logged.contains(&hash), "the log shows `{hash}`");
    }
}

#[tokio::test]
async fn requests_that_are_refused_before_admission_use_up_nothing() {
    let upstream = FakeUpstream::start().await;
    let limits = json!({"requests_per_minute": 2, "tokens_per_minute": 100_000, "tokens_per_day": 100_000, "concurrent_requests": 1});
    let ada = json!({
        "client_secret_hash": sha256("open sesame"), "rate_limit": limits, "max_tokens_limit": 100,
        "allowed_endpoints": ["chat/completions", "generate"], "allowed_providers": ["openai"],
    });
    let gateway = TestGateway::with(&upstream).client("ada", ada).client("grace", json!({})).start().await;
    let key = [("x-api-key", "key-ada")];
    let chat = |body: Value| with_lines(Request::post("/v1/chat/completions"), &key).json(&body);
    let generate = |body: Value| with_lines(Request::post("/api/v1/generate"), &key).json(&body);
    let message = json!([{"role": "user", "content": "hi"}]);
    for (request, status) in [
        (asking(&[("client_id", "ada"), ("client_secret", "wrong")]), 401),
        (asking(&[("client_id", "ada"), ("client_secret", "open sesame"), ("x-api-key", "wrong")]), 401),
        (asking(&[("x-api-key", "key-ada"), ("authorization", "Bearer key-grace")]), 400),
        (asking(&[("x-api-key", "key-ada"), ("x-api-key", "key-ada")]), 400),
        (with_lines(Request::get("/v1/models"), &key), 403),
        (with_lines(Request::get("/v1/chat/completions"), &key), 405),
        (with_lines(Request::get("/v1/nothing"), &key), 404),
        (chat(json!({"model": "echo", "messages": message})), 403),
        (chat(json!({"model": "nobody/x", "messages": message})), 404),
        (chat(json!({"model": "gpt-test", "messages": message, "max_tokens": 101})), 400),
        (chat(json!({"messages": message})), 400),
        (chat(json!([])), 400),
        (chat(json!({})).header("content-length", "99999999999"), 413),
        (with_lines(Request::post("/v1/chat/completions"), &key).header("content-type", "text/plain"), 415),
        (generate(json!({"prompt": ""})), 422),
        (generate(json!({"prompt": "hi", "max_tokens": 101})), 400),
        (generate(json!({"prompt": "hi", "provider": "echo"})), 403),
    ] {
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-ratelimit-limit-requests"), None, "the limiter had no say");
    }
    let limits = gateway.limits("ada").await;
    assert!(limits.meters().all(|meter| meter.used == 0 && meter.reserved == 0), "{limits:?}");
    for _ in 0..2 {
        let answer = gateway.chat("ada", "hi").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(gateway.chat("ada", "hi").await.status, 429);
    gateway.ends_quiet().await;
}

//! What HTTP asks of every route: methods, paths, content types, ids, and the pages that need no client.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use dsp_ai_gateway::openapi;
use dsp_ai_gateway::routes::{Access, Line, ROUTES};
use futures_util::future::join_all;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};
use http::Method;
use serde_json::json;

use super::shapes::error_message;

mod cors;
mod pages;

/// A gateway with one client, `ada`, in front of an upstream that answers as the real one.
async fn gateway() -> (FakeUpstream, TestGateway) {
    with("").await
}

/// As [`gateway`], with more of gateway.toml.
async fn with(toml: &str) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).toml(toml).client("ada", json!({})).start().await;
    (upstream, gateway)
}

/// A path that the line's pattern fits.
fn path_of(line: &Line) -> String {
    let is_model = line.path.contains("/models/");
    line.path.replace('*', if is_model { "gpt-test" } else { "ada" })
}

/// A request of the line's path by someone who may.
fn allowed(gateway: &TestGateway, method: &str, line: &Line) -> Request {
    let request = Request::new(method, &path_of(line));
    match line.access {
        Access::Public | Access::AdminOrLocal => request,
        Access::Client(_) => request.header("authorization", "Bearer key-ada"),
        Access::Admin => request.header("authorization", &format!("Bearer {}", gateway.admin_token())),
    }
}

#[tokio::test]
async fn head_works_where_get_does_and_says_the_same_without_a_body() {
    let (_upstream, gateway) = gateway().await;
    // What an upstream keeps needs one that keeps it, a request's trail needs a request, and one has no end.
    let is_special = |line: &&Line| {
        let special = ["responses", "interactions", "files", "batches", "/admin/requests/*", "/admin/live"];
        special.iter().any(|special| line.path.contains(special))
    };
    for line in ROUTES.iter().filter(|line| line.method == Method::GET && !is_special(line)) {
        let mut connection = gateway.connect().await;
        let get = connection.ask(&allowed(&gateway, "GET", line)).await;
        let head = connection.ask(&allowed(&gateway, "HEAD", line)).await;
        assert_eq!(get.status, 200, "{}: {}", line.path, get.text());
        assert_eq!(head.status, 200, "{}", line.path);
        assert!(head.body.is_empty());
        assert_eq!(comparable(&get, line), comparable(&head, line), "{}", line.path);
        // Had a body followed the head, it would be taken for the next answer.
        assert_eq!(connection.ask(&Request::get("/health")).await.text(), r#"{"status":"ok"}"#);
    }
    gateway.ends_quiet().await;
}

/// The headers that are the same for each answer of a route.
fn comparable(answer: &Answer, line: &Line) -> Vec<(String, String)> {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| {
            let varies = match name {
                "date" | "x-request-id" => true,
                // The tree tells ages and the metrics tell times, which grow.
                "content-length" => ["/admin/tree", "/metrics"].contains(&line.path),
                _ => false,
            };
            (name.to_owned(), if varies { "…".to_owned() } else { value.to_owned() })
        })
        .collect();
    headers.sort();
    headers
}

#[tokio::test]
async fn head_of_a_path_that_does_not_exist_is_a_404_without_a_body() {
    let (_upstream, gateway) = gateway().await;
    let mut connection = gateway.connect().await;
    for path in ["/nope", "/v1/nope"] {
        let get = connection.ask(&Request::get(path)).await;
        let head = connection.ask(&Request::new("HEAD", path)).await;
        assert_eq!((get.status, head.status), (404, 404));
        assert!(head.body.is_empty());
        assert_eq!(get.header("content-type"), head.header("content-type"), "{path}");
        assert!(head.header("content-length").is_some(), "{path}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_405_and_allow_names_those_it_has() {
    let (upstream, gateway) = gateway().await;
    let paths: BTreeSet<_> = ROUTES.iter().map(path_of).collect();
    for path in paths {
        let lines = ROUTES.iter().filter(|line| path_of(line) == path);
        let mut allow: Vec<&str> = lines.map(|line| line.method.as_str()).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        let mut connection = gateway.connect().await;
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get"] {
            if allow.contains(&method) {
                continue;
            }
            // Nobody has to be known to learn that.
            let answer = connection.ask(&Request::new(method, &path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let said: BTreeSet<_> = answer.header("allow").expect("405 has `Allow`").split(", ").collect();
            assert_eq!(said, allow.iter().copied().collect(), "{method} {path}");
            let message = error_message(&path, &answer);
            assert!(message.contains(method), "{message}");
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_path_that_no_route_has_is_404_in_the_shape_of_its_surface() {
    let (_upstream, gateway) = gateway().await;
    let paths = [
        "/nope",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nope",
        "/api/v1/generate/",
        "/api/v1/generate/more",
        "/api/v2/generate",
        "/v1/nope",
        "/v1/",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1/models/",
        "/openai/v1/nope",
        "/v1/messages/nope",
        "/v1beta/nope",
        "/v1beta/model/gemini:nope",
        "/admin",
        "/admin/nope",
        "/docs/",
        "/health/more",
        "/V1/chat/completions",
    ];
    let mut connection = gateway.connect().await;
    for path in paths {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let answer = connection.ask(&Request::new(method, path)).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            let message = error_message(path, &answer);
            assert!(message.contains(path) && message.contains(method), "{message}");
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_path_is_compared_as_it_is_and_never_tidied_up() {
    let (upstream, gateway) = gateway().await;
    let token = gateway.admin_token();
    let paths = [
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/v1/../v1/models",
        "/api/v1/generate/../../../admin/tree",
        "/v1%2Fmodels",
        "/v1/model%73",
        "/%76%31/models",
        "/admin%2Ftree",
        "/admin/../admin/tree",
        "/./admin/tree",
        "//admin/tree",
        "/admin//tree",
        "/admin/%74ree",
        "/openai//v1/models",
        "/v1/models;x=1",
        "/health%00",
        "/health%0d%0aset-cookie:%20a=b",
    ];
    let mut connection = gateway.connect().await;
    for path in paths {
        for credential in ["key-ada", &token] {
            let request = Request::get(path).header("authorization", &format!("Bearer {credential}"));
            let answer = connection.ask(&request).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_id_of_a_model_does_not_lead_out_of_its_route() {
    let (_upstream, gateway) = gateway().await;
    let token = gateway.admin_token();
    for path in
        ["/v1/models/../../admin/tree", "/v1/models/%2e%2e/%2e%2e/admin/tree", "/v1/models/..%2f..%2fadmin"]
    {
        for (credential, status) in [("key-ada", 400), (&token, 401)] {
            let request = Request::get(path).header("authorization", &format!("Bearer {credential}"));
            let answer = gateway.ask(&request).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
            error_message(path, &answer);
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_query_changes_nothing_and_is_in_no_error() {
    let (_upstream, gateway) = gateway().await;
    let answer = gateway.ask(&Request::get("/health?key=key-ada&x=%00")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status":"ok"}"#));
    let answer = gateway.ask(&Request::get("/nope?secret=hunter2")).await;
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains("hunter2"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_path_is_repeated_in_an_error_only_in_part() {
    let (_upstream, gateway) = gateway().await;
    let answer = gateway.ask(&Request::get(&format!("/{}", "é".repeat(5_000)))).await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.len() < 1_000, "{}", answer.text());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_id_of_a_model_may_hold_slashes_written_either_way() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .provider("[models.\"org/model\"]\ntargets = [\"openai/some/model\"]")
        .client("ada", json!({}))
        .start()
        .await;
    for path in ["/v1/models/org/model", "/v1/models/org%2Fmodel", "/openai/v1/models/org%2fmodel"] {
        let answer = gateway.ask(&Request::get(path).header("x-api-key", "key-ada")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["id"], "org/model");
    }
    for path in ["/v1/models/org%2F..%2Fmodel", "/v1/models/a%0d%0ab", "/v1/models/%ff", "/v1/models/a%20b"] {
        let answer = gateway.ask(&Request::get(path).header("x-api-key", "key-ada")).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        error_message(path, &answer);
    }
    let answer = gateway.ask(&Request::get("/v1/models/org/nope").header("x-api-key", "key-ada")).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_not_json_is_415_and_one_that_says_nothing_is_read() {
    let (upstream, gateway) = gateway().await;
    upstream.always(Reply::text("hello"));
    let routes = [
        ("/v1/chat/completions", r#"{"model":"gpt-test","messages":[{"role":"user","content":"hi"}]}"#),
        (
            "/openai/v1/chat/completions",
            r#"{"model":"gpt-test","messages":[{"role":"user","content":"hi"}]}"#,
        ),
        ("/api/v1/generate", r#"{"prompt":"hi"}"#),
    ];
    for (path, body) in routes {
        let request = Request::post(path).header("authorization", "Bearer key-ada").body(body);
        let read = [
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "Application/JSON",
            " application/json ",
            "application/vnd.api+json",
        ];
        let read = read.map(|value| request.clone().header("content-type", value));
        for request in read.iter().chain([&request]) {
            let answer = gateway.ask(request).await;
            assert_eq!(answer.status, 200, "{path} {request:?}: {}", answer.text());
        }
        let asked = upstream.requests();
        for value in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "application/json-seq",
            "text/json",
            "json",
            "*/*",
            "text/plain; application/json",
        ] {
            let answer = gateway.ask(&request.clone().header("content-type", value)).await;
            assert_eq!(answer.status, 415, "{path} {value}");
            let message = error_message(path, &answer);
            assert!(message.contains("application/json"), "{message}");
        }
        assert_eq!(upstream.requests(), asked, "what is refused goes nowhere");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let (upstream, gateway) = gateway().await;
    upstream.always(Reply::text("hello"));
    let requests = [
        Request::get("/health"),
        Request::new("HEAD", "/docs"),
        Request::get("/nope"),
        Request::new("OPTIONS", "/v1/models"),
        Request::get("/v1/models"),
        Request::get("/admin/tree"),
        Request::post("/v1/messages/nope"),
        chat_request("ada", "hi", false),
        chat_request("ada", "hi", true),
        chat_request("nobody", "hi", false),
    ];
    let per_connection = async || {
        let mut connection = gateway.connect().await;
        let mut ids = Vec::new();
        for request in &requests {
            let answer = connection.ask(request).await;
            ids.push(answer.header("x-request-id").expect("an id").to_owned());
        }
        ids
    };
    let ids = join_all((0..30).map(|_| per_connection())).await.concat();
    assert_eq!(ids.len(), 300);
    for id in &ids {
        let digits = id.strip_prefix("req_").unwrap_or_else(|| panic!("{id}"));
        assert!(digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "no id twice");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_callers_own_request_id_comes_back_when_it_is_short_visible_ascii() {
    let (_upstream, gateway) = gateway().await;
    let longest = "i".repeat(128);
    let visible: String = ('!'..='~').collect();
    for id in ["a", "0d8c9a3e-5d1c-4f6e-8a38-1f8d5c4a9b11", &visible, &longest] {
        for path in ["/health", "/nope", "/v1/models", "/v1/messages/nope"] {
            let answer = gateway.ask(&Request::get(path).header("X-Request-ID", id)).await;
            assert_eq!(answer.header("x-client-request-id"), Some(id), "{path}");
            assert_ne!(answer.header("x-request-id"), Some(id));
        }
    }
    let too_long = "i".repeat(129);
    for id in ["", " ", "two words", "tab\there", "caf\u{e9}", &too_long] {
        let answer = gateway.ask(&Request::get("/health").header("x-request-id", id)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-client-request-id"), None, "{id:?}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_ready_and_refuses_new_work_on_every_surface() {
    let (upstream, gateway) = gateway().await;
    gateway.front().draining.store(true, Ordering::Release);
    let ready = gateway.ask(&Request::get("/readyz")).await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json(), json!({"status": "draining"}));
    assert_eq!(ready.header("retry-after"), Some("1"));
    for path in ["/health", "/livez"] {
        assert_eq!(gateway.ask(&Request::get(path)).await.status, 200, "{path}");
    }
    for line in ROUTES.iter().filter(|line| matches!(line.access, Access::Client(_))) {
        let path = path_of(line);
        let answer = gateway.ask(&allowed(&gateway, line.method.as_str(), line)).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        error_message(&path, &answer);
    }
    assert_eq!(upstream.requests(), 0);
    gateway.front().draining.store(false, Ordering::Release);
    gateway.ends_quiet().await;
}

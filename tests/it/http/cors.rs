//! Calls from pages of other sites.

use super::*;

const PAGE: &str = "https://app.example.com";

/// Every header of the CORS protocol in an answer.
fn cors_headers(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().map(|(name, _)| name).filter(|name| name.starts_with("access-control-")).collect()
}

fn preflight(path: &str, method: &str, origin: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization, content-type")
}

#[tokio::test]
async fn without_configured_origins_no_answer_speaks_of_cors() {
    let (_upstream, gateway) = gateway().await;
    // An answer without an end would be waited for.
    for line in ROUTES.iter().filter(|line| line.path != "/admin/live") {
        let answer = gateway.ask(&preflight(&path_of(line), line.method.as_str(), PAGE)).await;
        assert_eq!(answer.status, 405, "{}", line.path);
        assert_eq!(cors_headers(&answer), [""; 0], "{}", line.path);
        let answer = gateway.ask(&allowed(&gateway, line.method.as_str(), line).header("origin", PAGE)).await;
        assert_eq!(cors_headers(&answer), [""; 0], "{}", line.path);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_and_call() {
    let (upstream, gateway) = with(&format!("[server]\ncors_origins = [\"{PAGE}\"]\n")).await;
    upstream.always(Reply::text("hello"));
    let answer = gateway.ask(&preflight("/v1/chat/completions", "POST", PAGE)).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization, content-type"));
    assert!(answer.header("access-control-max-age").is_some());
    assert!(answer.header("x-request-id").is_some());
    let answer = gateway.ask(&preflight("/v1/models", "GET", PAGE)).await;
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD"));

    // Errors can be read by the page too: it has to know why.
    let calls = [
        (chat_request("ada", "hi", false), 200),
        (chat_request("ada", "hi", true), 200),
        (chat_request("nobody", "hi", false), 401),
        (Request::get("/v1/nope"), 404),
        (Request::get("/openapi.json"), 200),
    ];
    for (call, status) in calls {
        let answer = gateway.ask(&call.header("origin", PAGE)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert_eq!(answer.header("access-control-expose-headers"), Some("*"));
        assert!(answer.header("access-control-allow-credentials").is_none(), "no cookie is ever meant");
        assert!(answer.headers.all("vary").iter().any(|vary| vary.eq_ignore_ascii_case("origin")));
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn other_origins_are_told_nothing() {
    let (_upstream, gateway) = with(&format!("[server]\ncors_origins = [\"{PAGE}\"]\n")).await;
    let others = [
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
        "",
    ];
    for origin in others {
        let answer = gateway.ask(&preflight("/v1/chat/completions", "POST", origin)).await;
        assert_eq!(answer.status, 405, "{origin}");
        assert_eq!(cors_headers(&answer), [""; 0], "{origin}");
        let answer = gateway.ask(&Request::get("/health").header("origin", origin)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(cors_headers(&answer), [""; 0], "{origin}");
    }
    let answer = gateway.ask(&Request::new("OPTIONS", "/v1/chat/completions")).await;
    assert_eq!(answer.status, 405, "a plain OPTIONS is no preflight");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn operators_routes_speak_of_cors_to_nobody() {
    let (_upstream, gateway) = with("[server]\ncors_origins = [\"*\"]\n").await;
    let answer = gateway.ask(&preflight("/v1/models", "GET", "https://anywhere.example")).await;
    assert_eq!(answer.status, 204);
    let is_operators = |line: &&Line| matches!(line.access, Access::Admin | Access::AdminOrLocal);
    let has_an_end = |line: &&Line| line.path != "/admin/live";
    for line in ROUTES.iter().filter(is_operators).filter(has_an_end) {
        let answer = gateway.ask(&preflight(&path_of(line), line.method.as_str(), PAGE)).await;
        assert_eq!(answer.status, 405, "{}", line.path);
        assert_eq!(cors_headers(&answer), [""; 0], "{}", line.path);
        let answer = gateway.ask(&allowed(&gateway, line.method.as_str(), line).header("origin", PAGE)).await;
        // Some ask for a body, which this one has not, and one for a request that there was.
        let is_of_a_request = line.path == "/admin/requests/*";
        let expected: &[u16] = if is_of_a_request { &[404] } else { &[200, 422] };
        assert!(expected.contains(&answer.status), "{}: {}", line.path, answer.text());
        assert_eq!(cors_headers(&answer), [""; 0], "{}", line.path);
    }
    gateway.ends_quiet().await;
}

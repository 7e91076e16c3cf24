//! Clients that break the rules, by mistake or on purpose: each gets its 4xx in the shape it reads wherever HTTP
//! still allows an answer, and nobody else notices.

use std::time::Duration;

use gateway_testkit::raw_client::{Answer, Closed, Request};
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request, chat_with};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::shapes::error_message;

mod bounds;
mod clocks;
mod framing;
mod fuzz;
mod heads;
mod json;
#[cfg(target_os = "linux")]
mod memory;
mod order;

/// Every route that reads a body.
const BODY_ROUTES: [&str; 3] = ["/v1/chat/completions", "/openai/v1/chat/completions", "/api/v1/generate"];

/// A gateway with one client, `ada`, and these lines in gateway.toml, in front of an upstream.
async fn gateway(toml: &str) -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).toml(toml).client("ada", json!({})).start().await;
    (upstream, gateway)
}

/// A POST of `ada` that says it is JSON, still without a body.
fn post(path: &str) -> Request {
    Request::post(path).header("authorization", "Bearer key-ada").header("content-type", "application/json")
}

/// A body that the route answers, without an upstream.
fn good_body(path: &str) -> Value {
    match path {
        "/api/v1/generate" => json!({"prompt": "hello", "provider": "echo"}),
        _ => json!({"model": "echo", "messages": [{"role": "user", "content": "hello"}]}),
    }
}

/// The status for a body whose text is at fault.
fn invalid(path: &str) -> u16 {
    if path.starts_with("/api/v1") { 422 } else { 400 }
}

/// What others ask meanwhile is answered.
async fn still_works(gateway: &TestGateway) {
    for path in BODY_ROUTES {
        let answer = gateway.ask(&post(path).body(good_body(path).to_string())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

/// The head of a request whose body follows by hand.
fn head(path: &str, framing: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer key-ada\r\n\
         content-type: application/json\r\n{framing}\r\n\r\n"
    )
}

/// Sends these bytes on a connection of their own. `None`: it was closed without an answer.
async fn answer_to(gateway: &TestGateway, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut client = gateway.connect().await;
    // A server that has had enough may close before it has everything.
    let _ = client.write(bytes).await;
    client.try_answer().await.unwrap_or(None)
}

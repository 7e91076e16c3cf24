//! The fake upstream and the raw client, held against each other over real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail where they stand")]

mod api;
mod delivery;
mod dialects;
mod faults;
mod http2;
mod observing;
mod vendors;

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, RawClient, Reply};
use serde_json::{Value, json};

/// A POST to the chat API with a key.
fn chat(body: &Value) -> Request {
    Request::post("/v1/chat/completions").header("authorization", "Bearer sk-test").json(body)
}

/// A question, streamed or not.
fn question(stream: bool) -> Request {
    chat(&json!({
        "model": "gpt-4o-mini",
        "stream": stream,
        "messages": [{"role": "user", "content": "Hello there"}],
    }))
}

/// What a client on a fresh connection gets to see of a reply.
async fn answer_to(request: &Request, reply: Reply) -> Answer {
    let upstream = FakeUpstream::start().await;
    upstream.script(reply);
    let mut client = RawClient::connect(upstream.base_url()).await;
    let answer = client.ask(request).await;
    upstream.finish();
    answer
}

/// The same, for a streamed question.
async fn streamed(reply: Reply) -> Answer {
    answer_to(&question(true), reply).await
}

/// The same, for one that is not.
async fn whole(reply: Reply) -> Answer {
    answer_to(&question(false), reply).await
}

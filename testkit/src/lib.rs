//! What the gateway's tests hold it between: an upstream that misbehaves on demand, and a client
//! that writes whatever bytes it likes. Never shipped.
//!
//! | file | holds |
//! | --- | --- |
//! | [`fake_upstream`] | [`FakeUpstream`]: OpenAI's, Anthropic's and Gemini's APIs on a raw loopback socket, HTTP/1.1 or h2c |
//! | [`reply`] | [`Reply`]: what it answers, and every fault an answer can have |
//! | [`seen`] | [`Seen`]: one request as it arrived, and the events of its answer |
//! | [`black_hole`] | [`BlackHole`]: a port on which connecting never ends |
//! | [`raw_client`] | [`RawClient`]: any bytes in any pieces; answers and event streams read one by one |
//! | [`chat_stream`] | [`ChatStream`]: what a client makes of a whole chat stream |
//! | [`events`] | [`EventReader`](events::EventReader): server-sent events, fed in any pieces |
//! | [`headers`] | [`Headers`]: header lines in order, repeated ones kept apart |
//! | [`deadline`] | waiting for an event, with an end that a paused clock does not move |
//!
//! A broken expectation panics where it is noticed; one inside the fake's own tasks is raised
//! again in the test when the [`FakeUpstream`] is dropped.
//!
//! ```
//! use gateway_testkit::{FakeUpstream, RawClient, Reply, raw_client::Request};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let upstream = FakeUpstream::start().await;
//! upstream.script(Reply::stream(["Hel", "lo"]).cut_after(1));
//!
//! let mut client = RawClient::connect(upstream.base_url()).await;
//! let question = Request::post("/v1/chat/completions")
//!     .header("authorization", "Bearer sk-test")
//!     .json(&serde_json::json!({"model": "gpt-4o-mini", "stream": true, "messages": []}));
//! let answer = client.ask(&question).await;
//!
//! assert_eq!(answer.chat_stream().text, "Hel");
//! assert!(!answer.complete);
//! # }
//! ```

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's broken expectation must end the test, at the line that noticed it"
)]

pub mod black_hole;
pub mod chat_stream;
pub mod deadline;
pub mod events;
pub mod fake_upstream;
pub mod headers;
pub mod raw_client;
pub mod reply;
pub mod seen;
pub mod test_gateway;

mod answer;
mod anthropic;
mod asked;
mod dialect;
mod gemini;
mod model;
mod openai;
mod shelf;
mod vendor;
mod wire;

pub use black_hole::BlackHole;
pub use chat_stream::ChatStream;
pub use fake_upstream::{FakeUpstream, Greeting};
pub use headers::Headers;
pub use raw_client::RawClient;
pub use reply::Reply;
pub use seen::{Billed, Seen};
pub use test_gateway::{TestGateway, chat_request, chat_with};

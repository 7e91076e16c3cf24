//! OpenAI's older completions API, which continues a text: same dialect on both sides.
//!
//! Owns     what the gateway reads of a request ([`CompletionsRequest`]), of a whole answer ([`whole`]) and of a stream
//!          ([`CompletionsStream`]).
//! Called   by the handler of `/v1/completions` and by the relay.
//! Bounded  by the scan of a body and the frame limit.
//! Fails    with the faults of the chat API, whose frame this one shares.

mod answer;
mod request;
mod stream;

pub use answer::whole;
pub use request::CompletionsRequest;
pub use stream::CompletionsStream;

//! OpenAI's chat API, as OpenAI, Groq and every compatible server speak it: same dialect on both
//! sides.
//!
//! Owns     what the gateway reads of a request ([`ChatRequest`]), of a whole answer
//!          ([`ChatAnswer`]), of a stream ([`ChatStream`]) and of an error ([`UpstreamErrorBody`]),
//!          and the few exact edits it makes.
//! Called   by the handlers of `/v1/chat/completions` and by the relay.
//! Bounded  by the JSON scanner's depth, the frame limit, and counts named beside their constants.
//! Fails    with one enum per reader: [`RequestFault`], [`AnswerFault`], [`StreamFault`].

mod answer;
mod chunk;
mod error_body;
mod outgoing;
mod request;
mod stream;
mod template;
mod tool_calls;
mod usage_chunk;

pub use answer::{AnswerFault, ChatAnswer};
pub use chunk::ChunkFault;
pub use error_body::{UpstreamErrorBody, mask_keys};
pub use request::{CapMember, ChatRequest, RequestFault, Rewrite};
pub use stream::{ChatStream, StreamFault, StreamOptions};

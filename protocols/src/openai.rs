//! OpenAI's chat API, as OpenAI, Groq and every compatible server speak it.
//!
//! Owns     for the same dialect on both sides: what the gateway reads of a request ([`ChatRequest`]), of a whole
//!          answer ([`ChatAnswer`], [`whole`]), of a stream ([`ChatStream`]) and of an error
//!          ([`UpstreamErrorBody`]), and the few exact edits it makes. For another dialect on one side: requests
//!          and answers in neutral form ([`conversation()`], [`events()`], [`ChatEvents`]), and written from it
//!          ([`render_request`], [`render_answer`], [`ChatWriter`]).
//! Called   by the handlers of `/v1/chat/completions`, by the relay, and by [`crate::translate`].
//! Bounded  by the JSON scanner's depth, the frame limit, and counts named beside their constants.
//! Fails    with one enum per reader: [`RequestFault`], [`AnswerFault`], [`StreamFault`].

mod answer;
mod chunk;
mod conversation;
mod error_body;
mod events;
mod outgoing;
mod render;
mod request;
mod stream;
mod template;
mod tool_calls;
mod usage_chunk;
mod whole;
mod writer;

pub use answer::{AnswerFault, ChatAnswer};
pub use chunk::ChunkFault;
pub use conversation::conversation;
pub use error_body::{UpstreamErrorBody, mask_keys};
pub use events::ChatEvents;
pub(crate) use outgoing::Outgoing;
pub use render::render_request;
pub use request::{CapMember, ChatRequest, RequestFault, Rewrite};
pub use stream::{ChatStream, StreamFault, StreamOptions};
pub use whole::{events, render_answer, whole};
pub use writer::{ChatWriter, Identity};

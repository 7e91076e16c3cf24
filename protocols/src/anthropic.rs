//! Anthropic's Messages API.
//!
//! Owns     for the same dialect on both sides: what the gateway reads of a request ([`MessagesRequest`]), of a whole
//!          answer ([`whole`]), of a stream ([`MessagesStream`]), of an answer of `count_tokens` ([`input_tokens`]),
//!          and which beta flags pass ([`beta`]). For another dialect on one side: requests and answers in neutral
//!          form ([`conversation()`], [`events()`], [`MessagesEvents`]), and written from it ([`render_request`],
//!          [`render_answer`], [`render_input_tokens`], [`MessagesWriter`]).
//! Called   by the handlers of `/v1/messages`, by the relay, and by [`crate::translate`].
//! Bounded  by the JSON scanner's depth, the frame limit, and counts named beside their constants.
//! Fails    with the enums that all dialects share: [`RequestFault`](crate::openai::RequestFault),
//!          [`AnswerFault`](crate::event::AnswerFault), [`StreamFault`](crate::event::StreamFault).

mod answer;
pub mod beta;
mod blocks;
mod conversation;
mod events;
mod members;
mod progress;
mod render;
mod request;
mod stop_reason;
mod stream;
mod stream_event;
mod writer;

pub use answer::{container_id, events, input_tokens, render_input_tokens, whole};
pub use conversation::conversation;
pub use events::MessagesEvents;
pub use render::{DIALECT, render_request};
pub use request::MessagesRequest;
pub use stream::MessagesStream;
pub use writer::{MessagesWriter, render_answer};

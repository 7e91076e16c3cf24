//! OpenAI's Responses API, as OpenAI and the servers that follow it speak it.
//!
//! Owns     for the same dialect on both sides: what the gateway reads of a request ([`ResponsesRequest`]), of a whole
//!          answer ([`whole`], [`response_id`], [`item_ids`]) and of a stream ([`ResponsesStream`]). For another dialect on one side:
//!          requests and answers in neutral form ([`conversation()`], [`events()`], [`ResponsesEvents`]), and written
//!          from it ([`render_request`], [`ResponsesWriter`]).
//! Called   by the handlers of `/v1/responses`, by the relay, and by [`crate::translate`].
//! Bounded  by the JSON scanner's depth, the frame limit, and counts named beside their constants.
//! Fails    with the faults of its readers: [`RequestFault`](crate::openai::RequestFault),
//!          [`AnswerFault`](crate::openai::AnswerFault), [`StreamFault`](crate::openai::StreamFault).

mod answer;
mod conversation;
mod echoed;
mod fields;
mod frame;
mod item;
mod output;
mod reader;
mod render;
mod request;
mod stream;
mod writer;

pub use answer::{item_ids, response_id, whole};
pub use conversation::conversation;
pub use echoed::Echoed;
pub use reader::{ResponsesEvents, events};
pub use render::render_request;
pub use request::ResponsesRequest;
pub use stream::ResponsesStream;
pub use writer::ResponsesWriter;

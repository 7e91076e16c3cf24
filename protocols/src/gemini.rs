//! Gemini's API: generateContent, streamGenerateContent and countTokens, on either side.
//!
//! Owns     for the same dialect on both sides, what the gateway reads of a request ([`GenerateRequest`],
//!          [`CountRequest`]), of a whole answer ([`whole`]) and of a stream ([`GenerateStream`], [`ArrayStream`]); for
//!          another dialect on one side, requests as conversations ([`conversation()`], [`render_request`]) and answers
//!          as events ([`GenerateEvents`], [`events()`], [`GenerateWriter`], [`render_answer`]).
//! Called   by the handlers below `/v1beta`, by the relay and by the translation.
//! Bounded  by the JSON scanner's depth, the frame limit, and counts named beside their constants.
//! Fails    with the enums of [`crate::openai`] and [`crate::event`], one per reader.
//!
//! The API is the JSON form of protocol buffers: names come in camelCase or snake_case, and large numbers as text.

mod answer;
mod array;
mod call_writer;
mod conversation;
mod count;
mod events;
mod generation_config;
mod members;
mod path;
mod progress;
mod render;
mod render_turns;
mod request;
mod response;
mod schema;
mod signature;
mod stream;
mod thinking;
mod turns;
mod writer;

pub use answer::whole;
pub use array::{ArrayStream, array_of};
pub use conversation::conversation;
pub use count::{CountRequest, render_count};
pub(crate) use generation_config::{GenerationConfig, Spelling, once, speaks};
pub(crate) use members::camel;
pub(crate) use request::whole_object;

pub use events::{GenerateEvents, events};
pub use path::{Method, path};
pub use render::render_request;
pub use render_turns::MISSING_SIGNATURE;
pub use request::GenerateRequest;
pub use stream::GenerateStream;
pub use writer::{GenerateWriter, KEEP_ALIVE, render_answer};

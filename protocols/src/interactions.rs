//! Gemini's Interactions API, passed as it is: what the gateway reads on the way.
//!
//! Owns     what is read of a request ([`InteractionRequest`]), of a whole answer ([`whole`]) and of a stream
//!          ([`InteractionStream`]).
//! Called   by the handlers of `/v1beta/interactions` and by the relay. Only providers of kind `gemini` have this API:
//!          what it keeps, and its steps, have no equal elsewhere.
//! Bounded  by the JSON scanner's depth and the frame limit.
//! Fails    with [`RequestFault`](crate::openai::RequestFault), [`AnswerFault`](crate::event::AnswerFault),
//!          [`StreamFault`](crate::event::StreamFault).
//!
//! ```text
//! interaction.created (step.start step.delta* step.stop)* interaction.completed [DONE]
//! ```
//!
//! Before `Api-Revision: 2026-05-20` the events are `interaction.start`, `content.…` and `interaction.complete`, and an
//! answer has `outputs` in place of `steps`. Both are read.

mod answer;
mod frame;
mod request;
mod step;
mod stream;

pub use answer::{WholeInteraction, whole};
pub use request::InteractionRequest;
pub use stream::{InteractionStream, InteractionWatcher};

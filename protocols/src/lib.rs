//! Bytes and JSON of the chat dialects the gateway speaks.
//!
//! Where the client's dialect is the upstream's, bytes pass as they are: a request is read in one
//! scan and edited by splicing ([`openai::ChatRequest`]), a stream is watched frame by frame and
//! relayed in the upstream's own buffers ([`openai::ChatStream`]). Nothing here does I/O, starts a
//! task or reads a clock, and no input makes it panic.

pub mod anthropic;
mod body;
pub mod completions;
pub mod conversation;
pub mod echo;
pub mod embeddings;
pub mod error;
pub mod estimate;
pub mod event;
pub mod gemini;
pub mod generate;
pub mod interactions;
pub mod json;
pub mod openai;
pub mod passthrough;
mod path;
mod prompts;
pub mod referenced;
pub mod responses;
pub mod splice;
pub mod sse;
pub mod translate;
pub mod usage;
pub mod watched;

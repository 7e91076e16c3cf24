//! What a Messages answer has shown so far: content, reported usage, counted tokens, whether it has its reason.
//!
//! Owns     the counts.
//! Called   by the relay of streams for each event, and by the reader of whole answers for each content block.
//! Bounded  by two estimators and one report.
//! Fails    never.

use super::stream_event::{Block, Delta, Message, StreamEvent};
use crate::estimate::Estimator;
use crate::json::{Kind, Value, decoded};
use crate::usage::{AnthropicReport, Usage};

/// Counts one answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    contents: u64,
    output: Estimator,
    reasoning: Estimator,
    report: AnthropicReport,
    has_reason: bool,
    containers: Vec<String>,
}

impl Progress {
    pub(super) fn take(&mut self, event: &StreamEvent<'_>) {
        match event {
            StreamEvent::MessageStart(message) | StreamEvent::MessageDelta(message) => self.message(message),
            StreamEvent::BlockStart { block, .. } => self.block(block),
            StreamEvent::BlockDelta { delta, .. } => self.delta(delta),
            StreamEvent::BlockStop { .. }
            | StreamEvent::MessageStop
            | StreamEvent::Ping
            | StreamEvent::Error
            | StreamEvent::Unknown => {}
        }
    }

    pub(super) fn message(&mut self, message: &Message<'_>) {
        self.has_reason |= message.stop_reason.is_some_and(|reason| !reason.is_blank());
        if let Some(usage) = &message.usage {
            self.report.take(usage);
        }
        if let Some(container) = message.container_id() {
            // A message has one; its end may repeat what its start says.
            self.containers = vec![container.into_owned()];
        }
    }

    pub(super) fn block(&mut self, block: &Block<'_>) {
        match block {
            Block::Text(text) => self.output(text.as_ref()),
            Block::Thinking { text, .. } => self.reasoning(text.as_ref()),
            Block::Redacted(_) => self.contents += 1,
            Block::ToolUse { name, input, .. } => {
                self.contents += 1;
                for value in [name, input].into_iter().flatten().filter(|value| !value.is_blank()) {
                    self.count_output(value);
                }
            }
            // Calls and results of server tools: some pages long, and of which only the call is the model's.
            Block::Other => self.contents += 1,
        }
    }

    fn delta(&mut self, delta: &Delta<'_>) {
        match delta {
            Delta::Text(text) | Delta::Input(text) => self.output(Some(text)),
            Delta::Thinking(text) => self.reasoning(Some(text)),
            Delta::Signature(_) | Delta::Other => self.contents += 1,
        }
    }

    fn output(&mut self, text: Option<&Value<'_>>) {
        if let Some(text) = text.filter(|text| !text.is_blank()) {
            self.contents += 1;
            self.count_output(text);
        }
    }

    fn count_output(&mut self, value: &Value<'_>) {
        match value.kind {
            Kind::String => self.output.push(&decoded(value.raw)),
            _ => self.output.push(value.raw),
        }
    }

    fn reasoning(&mut self, text: Option<&Value<'_>>) {
        if let Some(text) = text.filter(|text| !text.is_blank()) {
            self.contents += 1;
            self.reasoning.push(&decoded(text.raw));
        }
    }

    /// How many pieces of content there were.
    pub(super) fn contents(&self) -> u64 {
        self.contents
    }

    /// Whether the upstream has said why it stopped.
    pub(super) fn has_reason(&self) -> bool {
        self.has_reason
    }

    /// The container in which its tools ran, which the upstream keeps for later requests.
    pub(super) fn containers(&self) -> &[String] {
        &self.containers
    }

    /// What the upstream reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.report.usage()
    }

    /// The tokens counted from the text; no prompt.
    pub(super) fn counted(&self) -> Usage {
        Usage { output: self.output.tokens(), reasoning: self.reasoning.tokens(), ..Usage::default() }
    }
}

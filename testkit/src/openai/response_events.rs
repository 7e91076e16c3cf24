//! The typed events of a Responses stream.
//!
//! ```text
//! created in_progress (output_item.added … output_item.done)* completed | incomplete | failed
//! ```
//!
//! Owns     the count of events, from 0.
//! Called   by `responses`.
//! Fails    never.

use super::chat::{call_id, in_turns};
use super::responses::{
    Outcome, call_item, item, item_id, message, object, refusal_part, summary, text_part,
};
use crate::answer::{Answer, Group, ToolCall, identifier};
use crate::reply::Frame;

/// What has been said so far.
struct Log<'a> {
    answer: &'a Answer<'a>,
    frames: Vec<Frame>,
}

impl Log<'_> {
    fn data(&self, kind: &str, members: &str) -> String {
        format!("{{\"type\":\"{kind}\",\"sequence_number\":{},{members}}}", self.frames.len())
    }

    fn aside(&mut self, kind: &str, members: &str) {
        let data = self.data(kind, members);
        self.frames.push(Frame::aside(data).named(kind));
    }

    fn piece(&mut self, kind: &str, members: &str) {
        let data = self.data(kind, members);
        self.frames.push(Frame::piece(data).named(kind));
    }

    fn obfuscation(&self) -> String {
        identifier(self.answer.number, "obfuscation", 7)
    }

    fn added(&mut self, index: usize, item: &str) {
        self.aside("response.output_item.added", &format!("\"output_index\":{index},\"item\":{item}"));
    }

    fn done(&mut self, index: usize, group: &Group<'_>) {
        let item = item(self.answer, index, group, "completed");
        self.aside("response.output_item.done", &format!("\"output_index\":{index},\"item\":{item}"));
    }

    fn reasoning(&mut self, index: usize, group: &Group<'_>, pieces: &[&str]) {
        let id = item_id(self.answer, index, group);
        self.added(index, &format!("{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[]}}"));
        let at = format!("\"item_id\":\"{id}\",\"output_index\":{index},\"summary_index\":0");
        let part = |text: &str| format!("{at},\"part\":{}", summary(text));
        self.aside("response.reasoning_summary_part.added", &part(""));
        for piece in pieces {
            let members = format!("{at},\"delta\":\"{piece}\",\"obfuscation\":\"{}\"", self.obfuscation());
            self.piece("response.reasoning_summary_text.delta", &members);
        }
        let text = pieces.concat();
        self.aside("response.reasoning_summary_text.done", &format!("{at},\"text\":\"{text}\""));
        self.aside("response.reasoning_summary_part.done", &part(&text));
        self.done(index, group);
    }

    fn redacted(&mut self, index: usize, group: &Group<'_>) {
        let item = item(self.answer, index, group, "completed");
        let members = format!("\"output_index\":{index},\"item\":{item}");
        self.piece("response.output_item.added", &members);
        self.done(index, group);
    }

    fn message(&mut self, index: usize, group: &Group<'_>, pieces: &[&str], refuses: bool) {
        let id = item_id(self.answer, index, group);
        self.added(index, &message(&id, "in_progress", ""));
        let at = format!("\"item_id\":\"{id}\",\"output_index\":{index},\"content_index\":0");
        let part = |text: &str| match refuses {
            true => format!("{at},\"part\":{}", refusal_part(text)),
            false => format!("{at},\"part\":{}", text_part(text)),
        };
        let text = pieces.concat();
        self.aside("response.content_part.added", &part(""));
        if refuses {
            for piece in pieces {
                self.piece("response.refusal.delta", &format!("{at},\"delta\":\"{piece}\""));
            }
            self.aside("response.refusal.done", &format!("{at},\"refusal\":\"{text}\""));
        } else {
            for piece in pieces {
                let members = format!(
                    "{at},\"delta\":\"{piece}\",\"logprobs\":[],\"obfuscation\":\"{}\"",
                    self.obfuscation(),
                );
                self.piece("response.output_text.delta", &members);
            }
            let members = format!("{at},\"text\":\"{text}\",\"logprobs\":[]");
            self.aside("response.output_text.done", &members);
        }
        self.aside("response.content_part.done", &part(&text));
        self.done(index, group);
    }

    /// Calls, each at its place in the output; the pieces of several come in turn.
    fn calls(&mut self, calls: &[(usize, &Group<'_>, usize, &ToolCall)]) {
        let number = self.answer.number;
        for (index, group, nth, call) in calls {
            let id = item_id(self.answer, *index, group);
            let item = call_item(&id, &call_id(number, *nth), &call.name, "", "in_progress");
            self.piece("response.output_item.added", &format!("\"output_index\":{index},\"item\":{item}"));
        }
        let of = |(index, group): (usize, &Group<'_>)| {
            format!("\"item_id\":\"{}\",\"output_index\":{index}", item_id(self.answer, index, group))
        };
        let places: Vec<String> = calls.iter().map(|(index, group, ..)| of((*index, group))).collect();
        let all: Vec<&ToolCall> = calls.iter().map(|(.., call)| *call).collect();
        for (at, piece) in in_turns(&all) {
            let members =
                format!("{},\"delta\":\"{piece}\",\"obfuscation\":\"{}\"", places[at], self.obfuscation(),);
            self.piece("response.function_call_arguments.delta", &members);
        }
        for ((index, group, _, call), place) in calls.iter().zip(&places) {
            let members =
                format!("{place},\"arguments\":\"{}\",\"name\":\"{}\"", call.arguments.concat(), call.name,);
            self.aside("response.function_call_arguments.done", &members);
            self.done(*index, group);
        }
    }
}

/// The events of a response whose whole object is `whole`.
pub(super) fn frames(answer: &Answer<'_>, groups: &[Group<'_>], whole: &str) -> Vec<Frame> {
    let mut log = Log { answer, frames: Vec::new() };
    let begun = format!("\"response\":{}", object(answer, None, ""));
    log.aside("response.created", &begun);
    log.aside("response.in_progress", &begun);
    let mut open = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        match group {
            Group::Reasoning(pieces) => log.reasoning(index, group, pieces),
            Group::Redacted(_) => log.redacted(index, group),
            Group::Unseen => {
                log.added(index, &item(answer, index, group, "completed"));
                log.done(index, group);
            }
            Group::Text(pieces) => log.message(index, group, pieces, false),
            Group::Refusal(pieces) => log.message(index, group, pieces, true),
            Group::Call(nth, call) => open.push((index, group, *nth, *call)),
        }
        let next_is_call = matches!(groups.get(index + 1), Some(Group::Call(..)));
        let wait_for_next = answer.style.interleaved_tools && next_is_call;
        if !wait_for_next && !open.is_empty() {
            log.calls(&open);
            open.clear();
        }
    }
    let kind = format!("response.{}", Outcome::of(answer).status());
    let data = log.data(&kind, &format!("\"response\":{whole}"));
    log.frames.push(Frame::terminal(data).named(kind));
    log.frames
}

//! A client's message, written from events: as a stream ([`MessagesWriter`]) or whole ([`render_answer`]).
//!
//! Owns     the blocks' numbers, which of them is open, and what waits for its turn.
//! Called   by [`crate::translate`] with events in order.
//! Bounded  by the answer: what waits are the blocks behind a call whose arguments are not complete.
//! Fails    never.
//!
//! The API streams one block after the other. Where the upstream's calls take turns, the first one is streamed as it
//! comes; what belongs to others waits until it is a whole object, or until the answer ends.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::BytesMut;

use super::blocks::{Block, Change};
use super::stop_reason;
use super::stream::MESSAGE_STOP;
use crate::conversation::Call;
use crate::event::{Event, EventWriter, Finish};
use crate::json::{Writer, quoted};
use crate::openai::Identity;
use crate::usage::Usage;

#[cfg(test)]
mod tests;

const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// The same before the message begins, where clients expect no event yet: a comment of the event stream.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Arguments of a tool that takes none.
const NO_ARGUMENTS: &str = "{}";

/// What a message says besides its content.
#[derive(Debug, Default)]
struct Envelope {
    model: String,
    usage: Usage,
    has_calls: bool,
    has_refused: bool,
    finish: Option<(Finish, Option<String>)>,
}

impl Envelope {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Start { model: Some(model), .. } => self.model.clone_from(model),
            Event::Usage(usage) => self.usage = *usage,
            Event::CallStart { .. } => self.has_calls = true,
            Event::Refusal(text) => self.has_refused |= !text.is_empty(),
            Event::Finish { reason, stop_sequence } => {
                self.finish = Some((reason.clone(), stop_sequence.clone()));
            }
            _ => {}
        }
    }

    /// The members that say why the message ends; null while it has not.
    fn ending(&self, json: &mut Writer) {
        json.key("container").null();
        json.key("stop_details").null();
        let Some((finish, met)) = &self.finish else {
            json.key("stop_reason").null();
            json.key("stop_sequence").null();
            return;
        };
        let finish = match finish.clone().with_calls(self.has_calls) {
            Finish::Stop if self.has_refused => Finish::Refusal,
            finish => finish,
        };
        json.key("stop_reason").text(stop_reason::written(&finish));
        match met {
            Some(met) => json.key("stop_sequence").text(met),
            None => json.key("stop_sequence").null(),
        }
    }

    /// Usage as Anthropic counts it: cached tokens beside the input, thinking within the output; null what the
    /// upstream has no word of, for all of it must be there.
    fn usage(&self, json: &mut Writer) {
        let usage = &self.usage;
        json.key("usage").object(|json| {
            json.key("input_tokens").number(usage.input);
            json.key("cache_creation_input_tokens").number(usage.cache_write);
            json.key("cache_read_input_tokens").number(usage.cache_read);
            json.key("output_tokens").number(usage.completion_tokens());
            match usage.reasoning {
                0 => json.key("output_tokens_details").null(),
                thinking => json
                    .key("output_tokens_details")
                    .object(|json| json.key("thinking_tokens").number(thinking)),
            }
            for name in ["cache_creation", "inference_geo", "server_tool_use", "service_tier"] {
                json.key(name).null();
            }
        });
    }

    fn message(&self, json: &mut Writer, id: &str, content: impl FnOnce(&mut Writer)) {
        json.object(|json| {
            json.key("id").text(id);
            json.key("type").text("message");
            json.key("role").text("assistant");
            json.key("model").text(&self.model);
            json.key("content").array(content);
            self.ending(json);
            self.usage(json);
        });
    }
}

/// A whole message written from events in order.
pub fn render_answer(events: &[Event], identity: Identity<'_>) -> String {
    let mut envelope = Envelope { model: identity.model.to_owned(), ..Envelope::default() };
    let mut blocks: Vec<Block> = Vec::new();
    for event in events {
        envelope.take(event);
        match Change::of(event, blocks.last()) {
            Change::New(block) => blocks.push(block),
            Change::More | Change::Sealed => {
                blocks.iter_mut().last().into_iter().for_each(|last| last.take(event))
            }
            Change::Arguments(call) => {
                blocks.iter_mut().filter(|block| block.is_call(call)).for_each(|block| block.take(event));
            }
            Change::Nothing => {}
        }
    }
    let mut json = Writer::new();
    envelope.message(&mut json, identity.id, |json| blocks.iter().for_each(|block| whole(json, block)));
    json.into_text()
}

fn whole(json: &mut Writer, block: &Block) {
    match block {
        Block::Text(said) => sort(json, "text", |json| text(json, said)),
        Block::Thinking { text, signature } => sort(json, "thinking", |json| {
            json.key("thinking").text(text);
            json.key("signature").text(signature.as_deref().unwrap_or_default());
        }),
        Block::Redacted(data) => sort(json, "redacted_thinking", |json| json.key("data").text(data)),
        Block::Call { id, name, arguments, .. } => {
            let input = Call::object_of(arguments.into());
            sort(json, "tool_use", |json| tool_use(json, id, name, &input));
        }
    }
}

/// A block of this sort.
fn sort(json: &mut Writer, sort: &str, members: impl FnOnce(&mut Writer)) {
    json.object(|json| {
        json.key("type").text(sort);
        members(json);
    });
}

/// The API's own type has a list of citations or null here; clients are known that take no null.
fn text(json: &mut Writer, text: &str) {
    json.key("text").text(text);
    json.key("citations").array(|_| {});
}

/// Called by the model itself, not by code that it runs.
fn tool_use(json: &mut Writer, id: &str, name: &str, input: &str) {
    json.key("id").text(id);
    json.key("name").text(name);
    json.key("input").raw(input);
    json.key("caller").object(|json| json.key("type").text("direct"));
}

/// Writes a Messages stream.
#[derive(Debug)]
pub struct MessagesWriter {
    id: String,
    envelope: Envelope,
    /// The answer has begun, and so the message may.
    may_start: bool,
    has_started: bool,
    /// The number of the block that is open, or will be next.
    index: u64,
    /// The open block, without the text that has been written.
    open: Option<Block>,
    /// What comes behind it.
    waiting: VecDeque<Block>,
}

impl MessagesWriter {
    /// A writer of one answer.
    pub fn new(identity: Identity<'_>) -> Self {
        Self {
            id: identity.id.to_owned(),
            envelope: Envelope { model: identity.model.to_owned(), ..Envelope::default() },
            may_start: false,
            has_started: false,
            index: 0,
            open: None,
            waiting: VecDeque::new(),
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.has_started, true) {
            let message = |json: &mut Writer| {
                self.envelope.message(json.key("message"), &self.id, |_| {});
            };
            event(out, "message_start", message);
        }
    }

    fn content(&mut self, event: &Event, out: &mut BytesMut) {
        let last = self.waiting.back().or(self.open.as_ref());
        match Change::of(event, last) {
            Change::New(block) => self.waiting.push_back(block),
            Change::More | Change::Sealed => {
                let last = self.waiting.back_mut().or(self.open.as_mut());
                last.into_iter().for_each(|last| last.take(event));
            }
            Change::Arguments(call) => {
                let mut blocks = self.open.iter_mut().chain(&mut self.waiting);
                if let Some(block) = blocks.find(|block| block.is_call(call)) {
                    block.take(event);
                }
            }
            Change::Nothing => return,
        }
        self.advance(false, out);
    }

    /// Writes what can be written of the open block, and goes on to the next where nothing can come for this one.
    fn advance(&mut self, is_end: bool, out: &mut BytesMut) {
        loop {
            match &mut self.open {
                None => match self.waiting.pop_front() {
                    Some(next) => {
                        begin(self.index, &next, out);
                        self.open = Some(next);
                    }
                    None => return,
                },
                Some(open) => {
                    flush(self.index, open, out);
                    if !is_end && (self.waiting.is_empty() || !open.is_whole()) {
                        return;
                    }
                    end(self.index, open, out);
                    self.index += 1;
                    self.open = None;
                }
            }
        }
    }
}

impl EventWriter for MessagesWriter {
    fn write(&mut self, event: &Event, out: &mut BytesMut) {
        if matches!(event, Event::Finish { .. }) {
            // A message that begins has no reason yet.
            self.start(out);
        }
        self.envelope.take(event);
        match event {
            // Usage that comes right behind the start goes into the message's first event.
            Event::Start { .. } => self.may_start = true,
            Event::Usage(_) => {}
            Event::Ping if !self.may_start => out.extend_from_slice(KEEP_ALIVE),
            Event::Ping => {
                self.start(out);
                out.extend_from_slice(PING);
            }
            Event::Finish { .. } => self.advance(true, out),
            Event::End => {
                let last_members = |json: &mut Writer| {
                    json.key("delta").object(|json| self.envelope.ending(json));
                    self.envelope.usage(json);
                };
                self::event(out, "message_delta", last_members);
                out.extend_from_slice(MESSAGE_STOP);
            }
            _ => {
                self.start(out);
                self.content(event, out);
            }
        }
    }
}

/// An event of this name, whose data has this type and these members.
fn event(out: &mut BytesMut, name: &str, members: impl FnOnce(&mut Writer)) {
    let mut json = Writer::new();
    sort(&mut json, name, members);
    // Writing to a buffer that grows has no way to fail.
    let _ = write!(out, "event: {name}\ndata: {}\n\n", json.into_text());
}

/// The event that adds a piece to the open block.
fn delta(out: &mut BytesMut, index: u64, sort: &str, member: &str, text: &str) {
    let text = quoted(text);
    // As above.
    let _ = write!(
        out,
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
         \"delta\":{{\"type\":\"{sort}\",\"{member}\":{text}}}}}\n\n"
    );
}

fn begin(index: u64, block: &Block, out: &mut BytesMut) {
    event(out, "content_block_start", |json| {
        json.key("index").number(index);
        let json = json.key("content_block");
        match block {
            Block::Text(_) => sort(json, "text", |json| text(json, "")),
            Block::Thinking { .. } => sort(json, "thinking", |json| {
                json.key("thinking").text("");
                json.key("signature").text("");
            }),
            Block::Redacted(data) => sort(json, "redacted_thinking", |json| json.key("data").text(data)),
            Block::Call { id, name, .. } => {
                sort(json, "tool_use", |json| tool_use(json, id, name, NO_ARGUMENTS));
            }
        }
    });
}

/// Writes the text that has come for the open block.
fn flush(index: u64, block: &mut Block, out: &mut BytesMut) {
    let (sort, member, text) = match block {
        Block::Text(text) => ("text_delta", "text", text),
        Block::Thinking { text, .. } => ("thinking_delta", "thinking", text),
        Block::Call { arguments, .. } => ("input_json_delta", "partial_json", arguments),
        Block::Redacted(_) => return,
    };
    if !text.is_empty() {
        delta(out, index, sort, member, text);
        text.clear();
    }
}

fn end(index: u64, block: &Block, out: &mut BytesMut) {
    match block {
        Block::Thinking { signature: Some(signature), .. } => {
            delta(out, index, "signature_delta", "signature", signature);
        }
        Block::Call { extent, .. } if extent.is_blank() => {
            delta(out, index, "input_json_delta", "partial_json", NO_ARGUMENTS);
        }
        _ => {}
    }
    event(out, "content_block_stop", |json| json.key("index").number(index));
}

//! One event of a Messages stream, read once for whoever relays, counts or translates it.
//!
//! Owns     the shape of each event ("Streaming messages" in Anthropic's API reference) and of each content block.
//! Called   by the relay of streams, by the reader of their events, and by the reader of whole messages, whose
//!          content blocks look the same.
//! Bounded  by the event: values are slices of it, nothing is decoded.
//! Fails    with a [`JsonFault`] when the data is not JSON. Unknown events, blocks and members are passed over, as
//!          the API asks of its clients.

use std::borrow::Cow;

use super::members::{pick, said};
use crate::json::{Cursor, JsonFault, Kind, Value};

/// What an event says.
#[derive(Debug)]
pub(super) enum StreamEvent<'a> {
    /// `message_start`
    MessageStart(Message<'a>),
    /// `content_block_start`
    BlockStart { index: u64, block: Block<'a> },
    /// `content_block_delta`
    BlockDelta { index: u64, delta: Delta<'a> },
    /// `content_block_stop`
    BlockStop { index: u64 },
    /// `message_delta`: the message's last members.
    MessageDelta(Message<'a>),
    /// `message_stop`
    MessageStop,
    /// `ping`
    Ping,
    /// `error`
    Error,
    /// An event that this version does not know.
    Unknown,
}

/// A message, or the part of it that an event brings. Members that are null count as missing.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) id: Option<Value<'a>>,
    pub(super) model: Option<Value<'a>>,
    pub(super) content: Option<Value<'a>>,
    pub(super) stop_reason: Option<Value<'a>>,
    pub(super) stop_sequence: Option<Value<'a>>,
    pub(super) stop_details: Option<Value<'a>>,
    pub(super) usage: Option<Value<'a>>,
    /// Where its tools ran.
    pub(super) container: Option<Value<'a>>,
    /// `type`, or an `error` that is not blank, says that it is an error.
    pub(super) is_error: bool,
}

/// A content block as it stands when it begins, or whole.
#[derive(Debug)]
pub(super) enum Block<'a> {
    Text(Option<Value<'a>>),
    Thinking {
        text: Option<Value<'a>>,
        signature: Option<Value<'a>>,
    },
    Redacted(Value<'a>),
    ToolUse {
        id: Option<Value<'a>>,
        name: Option<Value<'a>>,
        input: Option<Value<'a>>,
    },
    /// A block of a kind that only this dialect has: server tools and their results.
    Other,
}

/// What a delta adds to a block.
#[derive(Debug)]
pub(super) enum Delta<'a> {
    Text(Value<'a>),
    Thinking(Value<'a>),
    Signature(Value<'a>),
    Input(Value<'a>),
    /// Citations, and what is not known.
    Other,
}

impl<'a> StreamEvent<'a> {
    /// Reads the data of an event; `name` is what the event line says, for data without a type.
    pub(super) fn read(name: Option<&[u8]>, data: &'a str) -> Result<Self, JsonFault> {
        let mut cursor = Cursor::new(data);
        let event = cursor.value()?;
        cursor.finish()?;
        if event.kind != Kind::Object {
            return Err(JsonFault::Unexpected { at: event.span.start, expected: "an object" });
        }
        let names = ["type", "index", "delta", "content_block", "message", "usage", "error"];
        let [kind, index, delta, block, message, usage, error] = pick(&event, names);
        let kind = kind.and_then(|kind| kind.as_text());
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        let index = index.and_then(|index| index.as_u64()).unwrap_or(0);
        Ok(match (kind.as_deref().or(name).unwrap_or_default(), delta, block) {
            ("message_start", _, _) => {
                Self::MessageStart(message.as_ref().map(Message::read).unwrap_or_default())
            }
            ("content_block_start", _, Some(block)) => Self::BlockStart { index, block: Block::read(&block) },
            ("content_block_delta", Some(delta), _) => Self::BlockDelta { index, delta: Delta::read(&delta) },
            ("content_block_stop", _, _) => Self::BlockStop { index },
            ("message_delta", delta, _) => {
                let message = delta.as_ref().map(Message::read).unwrap_or_default();
                Self::MessageDelta(Message { usage, ..message })
            }
            ("message_stop", _, _) => Self::MessageStop,
            ("ping", _, _) => Self::Ping,
            ("error", _, _) => Self::Error,
            _ if error.is_some_and(|error| !error.is_blank()) => Self::Error,
            _ => Self::Unknown,
        })
    }
}

impl<'a> Message<'a> {
    pub(super) fn read(message: &Value<'a>) -> Self {
        let names = [
            "id",
            "model",
            "content",
            "stop_reason",
            "stop_sequence",
            "stop_details",
            "usage",
            "container",
            "type",
            "error",
        ];
        let [id, model, content, stop_reason, stop_sequence, stop_details, usage, container, kind, error] =
            pick(message, names);
        let is_error = kind.is_some_and(|kind| kind.as_text().as_deref() == Some("error"))
            || error.is_some_and(|error| !error.is_blank());
        Self { id, model, content, stop_reason, stop_sequence, stop_details, usage, container, is_error }
    }

    /// The id of the container in which its tools ran.
    pub(super) fn container_id(&self) -> Option<Cow<'a, str>> {
        let [id] = pick(self.container.as_ref()?, ["id"]);
        said(id)
    }

    /// The upstream's words of refusal, if it gives any.
    pub(super) fn refusal(&self) -> Option<Cow<'a, str>> {
        let [explanation] = pick(self.stop_details.as_ref()?, ["explanation"]);
        said(explanation)
    }
}

impl<'a> Block<'a> {
    pub(super) fn read(block: &Value<'a>) -> Self {
        let names = ["type", "text", "thinking", "signature", "data", "id", "name", "input"];
        let [kind, text, thinking, signature, data, id, name, input] = pick(block, names);
        let kind = kind.and_then(|kind| kind.as_text());
        match (kind.as_deref(), text, data) {
            (Some("text"), text, _) => Self::Text(text),
            (Some("thinking"), _, _) => Self::Thinking { text: thinking, signature },
            (Some("redacted_thinking"), _, Some(data)) => Self::Redacted(data),
            (Some("tool_use"), _, _) => Self::ToolUse { id, name, input },
            _ => Self::Other,
        }
    }
}

impl<'a> Delta<'a> {
    fn read(delta: &Value<'a>) -> Self {
        let names = ["type", "text", "thinking", "signature", "partial_json"];
        let [kind, text, thinking, signature, json] = pick(delta, names);
        let kind = kind.and_then(|kind| kind.as_text());
        let read = match kind.as_deref() {
            Some("text_delta") => text.map(Self::Text),
            Some("thinking_delta") => thinking.map(Self::Thinking),
            Some("signature_delta") => signature.map(Self::Signature),
            Some("input_json_delta") => json.map(Self::Input),
            _ => None,
        };
        read.unwrap_or(Self::Other)
    }
}

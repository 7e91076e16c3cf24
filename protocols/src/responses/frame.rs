//! One event of a stream: a single walk over its JSON that finds what is decided by.
//!
//! Owns     the names of the events and what kind of thing each one is.
//! Called   by the stream that passes bytes and by the one that translates.
//! Bounded  by the event; nothing of it is copied.
//! Fails    with a [`StreamFault`] for data that is no object, and for an event that is an error.

use std::borrow::Cow;

use super::answer::Response;
use super::item::Item;
use crate::json::{self, Cursor, JsonFault, Kind, Value, decoded};
use crate::openai::{StreamFault, UpstreamErrorBody};
use crate::sse::Frame;

/// What a frame is.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// A comment, or an event that the standard says is not to be dispatched.
    Nothing,
    /// `[DONE]`, which some compatible servers send behind the terminal event.
    Done,
    /// An event.
    Event(Event<'a>),
}

/// An event, as far as it says anything. Members that are null are as good as absent.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) sequence_number: Option<u64>,
    pub(super) output_index: Option<u64>,
    pub(super) summary_index: Option<u64>,
    /// A string literal.
    item_id: Option<&'a str>,
    /// The next piece of a text, as a string literal.
    pub(super) delta: Option<Value<'a>>,
    /// An object.
    item: Option<&'a str>,
    /// An object.
    response: Option<&'a str>,
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Brings a piece of what the model says or does.
    Output,
    /// Brings a piece of what it thinks.
    Reasoning,
    /// Ends the answer, well or cut short.
    End,
    /// Anything else.
    Other,
}

impl<'a> Event<'a> {
    fn read(text: &'a str, name: Option<&'a [u8]>) -> Result<(Self, bool), JsonFault> {
        let mut event = Self {
            kind: name.map(String::from_utf8_lossy).unwrap_or_default(),
            sequence_number: None,
            output_index: None,
            summary_index: None,
            item_id: None,
            delta: None,
            item: None,
            response: None,
        };
        let mut is_error = false;
        let mut cursor = Cursor::new(text);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "type" => event.kind = value.as_text().unwrap_or(event.kind),
                "sequence_number" => event.sequence_number = value.as_u64(),
                "output_index" => event.output_index = value.as_u64(),
                "summary_index" => event.summary_index = value.as_u64(),
                "item_id" => event.item_id = (value.kind == Kind::String).then_some(value.raw),
                "delta" => event.delta = Some(value),
                "item" => event.item = (value.kind == Kind::Object).then_some(value.raw),
                "response" => event.response = (value.kind == Kind::Object).then_some(value.raw),
                "error" => is_error = !value.is_blank(),
                _ => {}
            }
        }
        cursor.finish()?;
        is_error |= event.kind == "error";
        Ok((event, is_error))
    }

    /// The id of the item that the event is about.
    pub(super) fn item_id(&self) -> Option<String> {
        self.item_id.map(|id| decoded(id).into_owned())
    }

    pub(super) fn act(&self) -> Act {
        match &*self.kind {
            "response.completed" | "response.incomplete" | "response.cancelled" => Act::End,
            kind if kind.starts_with("response.reasoning") && kind.ends_with(".delta") => Act::Reasoning,
            // Text, refusals, arguments, code, sound, and what will be added.
            kind if kind.ends_with(".delta") || kind.ends_with(".partial_image") => Act::Output,
            _ => Act::Other,
        }
    }

    /// The output item that the event brings.
    pub(super) fn item(&self) -> Result<Option<Item<'a>>, JsonFault> {
        self.item.map(|item| Item::read(&mut Cursor::new(item))).transpose()
    }

    /// The response object that the event brings.
    pub(super) fn response(&self) -> Result<Option<Response<'a>>, JsonFault> {
        self.response.map(|response| Response::read(&mut Cursor::new(response))).transpose()
    }
}

/// Reads a frame.
///
/// # Errors
/// [`StreamFault::Upstream`] for an error event or a failed response, [`StreamFault::Unreadable`] for data that is
/// not a JSON object.
pub(super) fn received(frame: &Frame) -> Result<Received<'_>, StreamFault> {
    let data = frame.data().unwrap_or_default();
    match data.trim_ascii() {
        b"" if frame.event() == Some(b"error") => return Err(upstream(data)),
        b"" => return Ok(Received::Nothing),
        b"[DONE]" => return Ok(Received::Done),
        _ => {}
    }
    let (event, is_error) = Event::read(json::utf8(data)?, frame.event())?;
    if is_error {
        return Err(upstream(data));
    }
    if event.kind == "response.failed" {
        let error = event.response()?.and_then(|response| response.error);
        return Err(upstream(error.map_or(b"{}".as_slice(), |error| error.raw.as_bytes())));
    }
    Ok(Received::Event(event))
}

fn upstream(body: &[u8]) -> StreamFault {
    StreamFault::Upstream(Box::new(UpstreamErrorBody::read(body)))
}

//! One event of a stream: a single walk over its JSON that finds what is decided by.
//!
//! Owns     the names of the events, and the statuses of their errors.
//! Called   by the watcher of streams.
//! Bounded  by the event; nothing of it is copied.
//! Fails    with a [`StreamFault`] for data that is no object, and for an event that is an error.

use std::borrow::Cow;

use super::answer::Interaction;
use crate::json::{self, Cursor, JsonFault, Kind, Value};
use crate::openai::{StreamFault, UpstreamErrorBody};
use crate::sse::Frame;
use crate::usage::{self, Usage};

/// What a frame is.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// A comment, or an event that the standard says is not to be dispatched.
    Nothing,
    /// `[DONE]`, behind the terminal event.
    Done,
    /// An event.
    Event(Event<'a>),
}

/// An event, as far as it says anything.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    kind: Cow<'a, str>,
    /// A step that begins, or a content that does, or more of one.
    pub(super) step: Option<Value<'a>>,
    interaction: Option<Value<'a>>,
    /// What was used until here.
    pub(super) usage: Option<Usage>,
    is_error: bool,
}

impl<'a> Event<'a> {
    fn read(text: &'a str, name: Option<&'a [u8]>) -> Result<Self, JsonFault> {
        let kind = name.map(String::from_utf8_lossy).unwrap_or_default();
        let mut event = Self { kind, ..Self::default() };
        let mut cursor = Cursor::new(text);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "event_type" => event.kind = value.as_text().unwrap_or(event.kind),
                "step" | "delta" | "content" => event.step = Some(value),
                "interaction" => event.interaction = Some(value).filter(|value| value.kind == Kind::Object),
                "metadata" => event.usage = total_usage(&value)?,
                "error" => event.is_error = !value.is_blank(),
                _ => {}
            }
        }
        cursor.finish()?;
        event.is_error |= event.kind == "error";
        Ok(event)
    }

    /// Whether it ends the interaction, well or cut short.
    pub(super) fn is_end(&self) -> bool {
        matches!(&*self.kind, "interaction.completed" | "interaction.complete")
    }

    /// The interaction that it brings.
    pub(super) fn interaction(&self) -> Result<Option<Interaction<'a>>, JsonFault> {
        self.interaction.map(|value| Interaction::read(&mut Cursor::new(value.raw))).transpose()
    }
}

/// `metadata.total_usage`
fn total_usage(metadata: &Value<'_>) -> Result<Option<Usage>, JsonFault> {
    let mut total = None;
    let mut cursor = Cursor::new(metadata.raw);
    if cursor.enter_if(Kind::Object)? {
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if key.name == "total_usage" {
                total = usage::from_gemini(&value);
            }
        }
    }
    Ok(total)
}

/// Reads a frame.
///
/// # Errors
/// [`StreamFault::Upstream`] for an error event, [`StreamFault::Unreadable`] for data that is not a JSON object.
pub(super) fn received(frame: &Frame) -> Result<Received<'_>, StreamFault> {
    let data = frame.data().unwrap_or_default();
    match data.trim_ascii() {
        b"" if frame.event() == Some(b"error") => return Err(upstream(data)),
        b"" => return Ok(Received::Nothing),
        b"[DONE]" => return Ok(Received::Done),
        _ => {}
    }
    let event = Event::read(json::utf8(data)?, frame.event())?;
    if event.is_error { Err(upstream(data)) } else { Ok(Received::Event(event)) }
}

/// The error, with the HTTP status of its code (`google.rpc.Code`), which such an event names in small letters.
fn upstream(data: &[u8]) -> StreamFault {
    let mut error = UpstreamErrorBody::read(data);
    error.status = error.status.or(match error.code.as_deref() {
        Some("invalid_argument" | "failed_precondition" | "out_of_range") => Some(400),
        Some("unauthenticated") => Some(401),
        Some("permission_denied") => Some(403),
        Some("not_found") => Some(404),
        Some("already_exists" | "aborted") => Some(409),
        Some("resource_exhausted") => Some(429),
        Some("unavailable") => Some(503),
        Some("deadline_exceeded") => Some(504),
        _ => None,
    });
    StreamFault::Upstream(Box::new(error))
}

//! A whole answer of the Responses API: what the gateway reads of it, and nothing changed.
//!
//! Owns     the reading of the response object, which is the body of a whole answer and a member of the events that
//!          begin and end a stream.
//! Called   for bodies that come with a 200, and by the readers of streams.
//! Bounded  by the JSON scanner; no text is kept.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use super::item::Item;
use super::reader;
use crate::body;
use crate::event::{Tally, WholeAnswer};
use crate::json::{Cursor, JsonFault, Kind, Value};
use crate::openai::{AnswerFault, UpstreamErrorBody};
use crate::usage::{self, Usage};

#[cfg(test)]
mod tests;

/// Items of one answer whose ids are noted. Agents that search the web make some 50.
const ITEMS_MAX: usize = 256;

/// A response object, as far as it says anything.
#[derive(Debug, Default)]
pub(super) struct Response<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    /// `completed`, `incomplete`, `failed`, `in_progress`, `queued` or `cancelled`.
    pub(super) status: Option<String>,
    pub(super) usage: Option<Usage>,
    /// `incomplete_details.reason`
    pub(super) incomplete: Option<String>,
    /// The `output` array.
    pub(super) output: Option<Value<'a>>,
    /// The `error` member, unless null.
    pub(super) error: Option<Value<'a>>,
    /// `"object": "error"`, as some servers mark an error.
    is_error: bool,
}

impl<'a> Response<'a> {
    /// Reads the object at the cursor.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, JsonFault> {
        let mut response = Self::default();
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let name = &*key.name;
            if name == "incomplete_details" {
                response.incomplete = read_reason(cursor)?;
                continue;
            }
            let value = cursor.value()?;
            match name {
                "id" => response.id = value.as_text().map(String::from),
                "model" => response.model = value.as_text().map(String::from),
                "status" => response.status = value.as_text().map(String::from),
                "usage" => response.usage = usage::from_responses(&value),
                "output" => response.output = Some(value).filter(|output| output.kind == Kind::Array),
                "error" => response.error = Some(value).filter(|error| !error.is_blank()),
                "object" => response.is_error = value.as_text().is_some_and(|object| object == "error"),
                _ => {}
            }
        }
        Ok(response)
    }

    /// The ids of its items, at most [`ITEMS_MAX`].
    pub(super) fn item_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        if let Some(output) = &self.output {
            // The value was scanned before, so a fault cannot happen; it would mean "no more items".
            let _ = read_ids(&mut Cursor::new(output.raw), &mut ids);
        }
        ids
    }
}

fn read_ids(cursor: &mut Cursor<'_>, ids: &mut Vec<String>) -> Result<(), JsonFault> {
    cursor.enter_array()?;
    while cursor.next_element()? && ids.len() < ITEMS_MAX {
        if cursor.peek()? == Kind::Object {
            ids.extend(Item::read(cursor)?.id);
        } else {
            cursor.value()?;
        }
    }
    Ok(())
}

/// Reads a whole answer.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let response = read_whole(body)?;
    let mut tally = Tally::default();
    reader::events_of(&response).iter().for_each(|event| tally.take(event));
    Ok(WholeAnswer { usage: response.usage, counted: tally.counted(), model: response.model })
}

/// The id under which the upstream keeps an answer, for the calls that ask for it later; `None` when the body names
/// none.
pub fn response_id(body: &[u8]) -> Option<String> {
    read_whole(body).ok()?.id
}

/// The ids under which the upstream keeps the items of an answer, for requests that refer to them.
pub fn item_ids(body: &[u8]) -> Vec<String> {
    read_whole(body).map(|response| response.item_ids()).unwrap_or_default()
}

/// The response object of a whole answer, judged.
pub(super) fn read_whole(body: &[u8]) -> Result<Response<'_>, AnswerFault> {
    let mut cursor = body::answer_in(body)?;
    let response = Response::read(&mut cursor)?;
    cursor.finish()?;
    if response.is_error || response.error.is_some() {
        return Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body))));
    }
    match response.output {
        Some(_) => Ok(response),
        // What a chat answer calls its choices.
        None => Err(AnswerFault::NoChoices),
    }
}

fn read_reason(cursor: &mut Cursor<'_>) -> Result<Option<String>, JsonFault> {
    let mut reason = None;
    if !cursor.enter_if(Kind::Object)? {
        return Ok(None);
    }
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        if key.name == "reason" {
            reason = value.as_text().map(String::from);
        }
    }
    Ok(reason)
}

//! A whole answer of the Responses API: what the gateway reads of it, and nothing changed.
//!
//! Owns     the reading of the response object, which is the body of a whole answer and a member of the events that
//!          begin and end a stream.
//! Called   for bodies that come with a 200, and by the readers of streams.
//! Bounded  by the JSON scanner; no text is kept.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use crate::estimate::Estimator;
use crate::event::WholeAnswer;
use crate::json::{self, Cursor, JsonFault, Kind, Value};
use crate::openai::{AnswerFault, UpstreamErrorBody};
use crate::usage::{self, Usage};

#[cfg(test)]
mod tests;

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

    /// The answer's tokens counted from the text of its output.
    pub(super) fn counted(&self) -> Usage {
        let mut counter = Counter::default();
        if let Some(output) = &self.output {
            // The value was scanned before: no fault can come.
            let _ = counter.read_output(output.raw);
        }
        Usage {
            output: counter.output.tokens(),
            reasoning: counter.reasoning.tokens(),
            ..Usage::default()
        }
    }
}

/// Reads a whole answer in one scan.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let response = read_whole(body)?;
    Ok(WholeAnswer { usage: response.usage, counted: response.counted(), model: response.model })
}

/// The id under which the upstream keeps an answer, for the calls that ask for it later; `None` when the body names
/// none.
pub fn response_id(body: &[u8]) -> Option<String> {
    read_whole(body).ok()?.id
}

/// The response object of a whole answer, judged.
pub(super) fn read_whole(body: &[u8]) -> Result<Response<'_>, AnswerFault> {
    let text = json::utf8(body)?;
    if text.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let mut cursor = Cursor::new(text);
    let found = cursor.peek()?;
    if found != Kind::Object {
        cursor.value()?;
        cursor.finish()?;
        return Err(AnswerFault::NotAnObject { found });
    }
    let response = Response::read(&mut cursor)?;
    cursor.finish()?;
    if response.is_error || response.error.is_some() {
        return Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body))));
    }
    match response.output {
        Some(_) => Ok(response),
        None => Err(AnswerFault::Missing { member: "output" }),
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

/// Counts what a model wrote: every text of an item counts, whatever the item is called.
#[derive(Default)]
struct Counter {
    output: Estimator,
    reasoning: Estimator,
}

impl Counter {
    fn read_output(&mut self, raw: &str) -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(raw);
        cursor.enter_array()?;
        while cursor.next_element()? {
            if !cursor.enter_if(Kind::Object)? {
                continue;
            }
            // A type may stand behind the texts, so these wait for it.
            let mut is_reasoning = false;
            let mut said = Vec::new();
            while let Some(key) = cursor.next_key()? {
                let value = cursor.value()?;
                match &*key.name {
                    "type" => is_reasoning = value.raw == "\"reasoning\"",
                    "content" | "summary" | "name" | "arguments" | "input" | "code" => said.push(value),
                    _ => {}
                }
            }
            for value in said {
                self.count(&value, is_reasoning)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, value: &Value<'_>, is_reasoning: bool) -> Result<(), JsonFault> {
        let estimator = if is_reasoning { &mut self.reasoning } else { &mut self.output };
        match value.kind {
            Kind::String => estimator.push(&value.as_text().unwrap_or_default()),
            Kind::Array => count_parts(estimator, value.raw)?,
            _ => {}
        }
        Ok(())
    }
}

/// The texts of `[{"type": "output_text", "text": "…"}, {"type": "refusal", "refusal": "…"}]`.
fn count_parts(estimator: &mut Estimator, raw: &str) -> Result<(), JsonFault> {
    let mut cursor = Cursor::new(raw);
    cursor.enter_array()?;
    while cursor.next_element()? {
        if !cursor.enter_if(Kind::Object)? {
            continue;
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if matches!(&*key.name, "text" | "refusal") {
                estimator.push(&value.as_text().unwrap_or_default());
            }
        }
    }
    Ok(())
}

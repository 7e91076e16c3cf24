//! One GenerateContentResponse, a chunk of a stream or a whole answer: a walk that shows what it says.
//!
//! Owns     the form of candidates and their parts. Nothing is kept between two responses.
//! Called   by the watcher of streams, by the reader of whole answers and by the reader of events.
//! Bounded  by the scanner; nothing is copied but names written with escapes.
//! Fails    with a [`ResponseFault`] when the text is no response. Members it does not know are never judged.

use std::borrow::Cow;

use crate::event::{AnswerFault, StreamFault};
use crate::json::{Cursor, JsonFault, Kind, Value};
use crate::openai::{ChunkFault, UpstreamErrorBody};

/// Why a text is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ResponseFault {
    /// Not JSON.
    Json(JsonFault),
    /// JSON, but no object.
    NotAnObject(Kind),
    /// An error object, alone or in an array.
    Error(Box<UpstreamErrorBody>),
}

impl From<JsonFault> for ResponseFault {
    fn from(fault: JsonFault) -> Self {
        Self::Json(fault)
    }
}

impl From<ResponseFault> for StreamFault {
    fn from(fault: ResponseFault) -> Self {
        match fault {
            ResponseFault::Json(fault) => Self::Unreadable(fault),
            ResponseFault::NotAnObject(found) => Self::Malformed(ChunkFault::NotAnObject { found }),
            ResponseFault::Error(error) => Self::Upstream(error),
        }
    }
}

impl From<ResponseFault> for AnswerFault {
    fn from(fault: ResponseFault) -> Self {
        match fault {
            ResponseFault::Json(fault) => Self::NotJson(fault),
            ResponseFault::NotAnObject(found) => Self::NotAnObject { found },
            ResponseFault::Error(error) => Self::ErrorObject(error),
        }
    }
}

/// What a response says beside its candidates.
#[derive(Debug, Default)]
pub(super) struct Response<'a> {
    /// `usageMetadata`.
    pub(super) usage: Option<Value<'a>>,
    /// `responseId`.
    pub(super) id: Option<Cow<'a, str>>,
    /// `modelVersion`.
    pub(super) model: Option<Cow<'a, str>>,
    /// `promptFeedback.blockReason`: the prompt was refused, and there are no candidates.
    pub(super) block_reason: Option<Cow<'a, str>>,
    /// How many candidates it has.
    pub(super) candidates: usize,
}

/// What a candidate says.
#[derive(Debug)]
pub(super) enum Said<'a> {
    /// A part of its content.
    Part(Part<'a>),
    /// Its `finishReason`, unless that says nothing.
    Finish(Cow<'a, str>),
}

/// A part of a content.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    /// The literal of `text`.
    pub(super) text: Option<&'a str>,
    /// Whether the text is a thought.
    pub(super) is_thought: bool,
    /// `thoughtSignature`.
    pub(super) signature: Option<Cow<'a, str>>,
    /// `functionCall`.
    pub(super) call: Option<FunctionCall<'a>>,
    /// Anything else that a part may be, such as inline data or code that ran.
    pub(super) other: Option<Value<'a>>,
}

impl Part<'_> {
    /// Whether it brings something that a person or a program waits for.
    pub(super) fn has_content(&self) -> bool {
        self.text.is_some_and(|text| text != "\"\"") || self.call.is_some() || self.other.is_some()
    }
}

/// A call of a function.
#[derive(Debug, Default)]
pub(super) struct FunctionCall<'a> {
    /// Its id; not every model gives one.
    pub(super) id: Option<Cow<'a, str>>,
    /// The function.
    pub(super) name: Cow<'a, str>,
    /// The object of its arguments, as JSON.
    pub(super) args: Option<&'a str>,
    /// The whole call, as JSON.
    pub(super) raw: &'a str,
}

impl<'a> Response<'a> {
    /// Reads one response; `visit` gets each candidate's index and what it says, in order.
    pub(super) fn read(text: &'a str, mut visit: impl FnMut(u64, Said<'a>)) -> Result<Self, ResponseFault> {
        let mut cursor = Cursor::new(text);
        let whole = cursor.value()?;
        cursor.finish()?;
        if whole.kind != Kind::Object {
            let error = (whole.kind == Kind::Array).then(|| UpstreamErrorBody::read(text.as_bytes()));
            let error = error.filter(|error| error.message.is_some() || error.code.is_some());
            return Err(error.map_or(ResponseFault::NotAnObject(whole.kind), |error| {
                ResponseFault::Error(Box::new(error))
            }));
        }
        let mut response = Self::default();
        let mut is_error = false;
        members(&whole, |name, value| {
            match name {
                "candidates" => response.candidates = read_candidates(&value, &mut visit)?,
                "usageMetadata" => response.usage = Some(value).filter(|usage| usage.kind == Kind::Object),
                "responseId" => response.id = value.as_text(),
                "modelVersion" => response.model = value.as_text(),
                "promptFeedback" => response.block_reason = block_reason(&value)?,
                "error" => is_error |= !value.is_blank(),
                _ => {}
            }
            Ok(())
        })?;
        if is_error {
            return Err(ResponseFault::Error(Box::new(UpstreamErrorBody::read(text.as_bytes()))));
        }
        Ok(response)
    }
}

/// Visits the members of a value that was scanned before; of one that is no object, none.
fn members<'a>(
    object: &Value<'a>,
    mut visit: impl FnMut(&str, Value<'a>) -> Result<(), JsonFault>,
) -> Result<(), JsonFault> {
    let mut cursor = Cursor::new(object.raw);
    if !cursor.enter_if(Kind::Object)? {
        return Ok(());
    }
    while let Some(key) = cursor.next_key()? {
        visit(&key.name, cursor.value()?)?;
    }
    Ok(())
}

/// Visits the elements of a value that was scanned before; of one that is no array, none.
fn elements<'a>(
    array: &Value<'a>,
    mut visit: impl FnMut(usize, Value<'a>) -> Result<(), JsonFault>,
) -> Result<usize, JsonFault> {
    let mut cursor = Cursor::new(array.raw);
    if !cursor.enter_if(Kind::Array)? {
        return Ok(0);
    }
    let mut count = 0;
    while cursor.next_element()? {
        visit(count, cursor.value()?)?;
        count += 1;
    }
    Ok(count)
}

fn block_reason<'a>(feedback: &Value<'a>) -> Result<Option<Cow<'a, str>>, JsonFault> {
    let mut reason = None;
    members(feedback, |name, value| {
        if name == "blockReason" {
            reason = value.as_text().filter(|reason| says_something(reason));
        }
        Ok(())
    })?;
    Ok(reason)
}

/// Whether a word of an enumeration is more than its default.
fn says_something(word: &str) -> bool {
    !word.is_empty() && !word.ends_with("_UNSPECIFIED")
}

fn read_candidates<'a>(
    candidates: &Value<'a>,
    visit: &mut impl FnMut(u64, Said<'a>),
) -> Result<usize, JsonFault> {
    elements(candidates, |position, candidate| {
        let mut index = position as u64;
        let mut content = None;
        let mut finish = None;
        members(&candidate, |name, value| {
            match name {
                "index" => index = value.as_count().unwrap_or(index),
                "content" => content = Some(value),
                "finishReason" => finish = value.as_text().filter(|reason| says_something(reason)),
                _ => {}
            }
            Ok(())
        })?;
        if let Some(content) = content {
            members(&content, |name, value| match name {
                "parts" => elements(&value, |_, part| {
                    visit(index, Said::Part(Part::read(&part)?));
                    Ok(())
                })
                .map(drop),
                _ => Ok(()),
            })?;
        }
        if let Some(reason) = finish {
            visit(index, Said::Finish(reason));
        }
        Ok(())
    })
}

impl<'a> Part<'a> {
    fn read(part: &Value<'a>) -> Result<Self, JsonFault> {
        let mut read = Self::default();
        members(part, |name, value| {
            match (name, value.kind) {
                (_, Kind::Null) => {}
                ("text", Kind::String) => read.text = Some(value.raw),
                ("thought", _) => read.is_thought = value.as_bool().unwrap_or(false),
                ("thoughtSignature", _) => read.signature = value.as_text().filter(|text| !text.is_empty()),
                ("functionCall", Kind::Object) => read.call = Some(FunctionCall::read(&value)?),
                // Facts about the part, and no part of their own.
                ("partMetadata" | "videoMetadata" | "mediaResolution", _) => {}
                _ => read.other = Some(value),
            }
            Ok(())
        })?;
        Ok(read)
    }
}

impl<'a> FunctionCall<'a> {
    fn read(call: &Value<'a>) -> Result<Self, JsonFault> {
        let mut read = Self { raw: call.raw, ..Self::default() };
        members(call, |name, value| {
            match name {
                "id" => read.id = value.as_text().filter(|id| !id.is_empty()),
                "name" => read.name = value.as_text().unwrap_or_default(),
                "args" => read.args = (value.kind == Kind::Object).then_some(value.raw),
                _ => {}
            }
            Ok(())
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_errors_alone_and_in_an_array() {
        let error = r#"{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}"#;
        for text in [error.to_owned(), format!("[{error}]")] {
            let Err(ResponseFault::Error(read)) = Response::read(&text, |_, _| {}) else {
                unreachable!("{text}")
            };
            assert_eq!((read.status, read.message.as_deref()), (Some(429), Some("quota")));
            assert_eq!(read.kind.as_deref(), Some("RESOURCE_EXHAUSTED"));
        }
        assert_eq!(Response::read("[{}]", |_, _| {}).unwrap_err(), ResponseFault::NotAnObject(Kind::Array));
    }

    #[test]
    fn candidates_without_an_index_go_by_their_place() {
        let text = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"index":7,"finishReason":"STOP"},{"finishReason":""},
            {"finishReason":"FINISH_REASON_UNSPECIFIED"}]}"#;
        let mut seen = Vec::new();
        let response = Response::read(text, |index, said| {
            seen.push((index, matches!(said, Said::Finish(_))));
        });
        assert_eq!(response.unwrap().candidates, 4);
        assert_eq!(seen, [(0, false), (7, true)]);
    }
}

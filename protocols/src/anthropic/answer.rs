//! A whole message with status 200: is it one, what does it say, and its events; and the answer of `count_tokens`.
//!
//! Owns     the reading; where the client speaks Messages too the bytes pass as they came.
//! Called   once the upstream's body is complete: [`whole`], [`container_id`] and [`input_tokens`] for an answer that passes,
//!          [`events`] by [`crate::translate`].
//! Bounded  by the body.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use super::events::Answer;
use super::members::{elements, pick};
use super::progress::Progress;
use super::stream_event::{Block, Message};
use crate::event::{AnswerFault, Event, WholeAnswer};
use crate::json::{self, Cursor, Kind, Value, Writer};
use crate::openai::UpstreamErrorBody;

#[cfg(test)]
mod tests;

/// What a whole answer says of itself.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let (message, content) = message(body)?;
    let mut progress = Progress::default();
    progress.message(&message);
    elements(&content).iter().for_each(|block| progress.block(&Block::read(block)));
    let model = message.model.and_then(|model| model.as_text()).map(String::from);
    Ok(WholeAnswer { usage: progress.usage(), counted: progress.counted(), model, goes_on: false })
}

/// The id of the container in which an answer's tools ran, which the upstream keeps for later requests.
pub fn container_id(body: &[u8]) -> Option<String> {
    Some(message(body).ok()?.0.container_id()?.into_owned())
}

/// The events of a whole answer: those of a stream that says everything of a block at its start.
///
/// # Errors
/// An [`AnswerFault`] when the body is no answer.
pub fn events(body: &[u8]) -> Result<Vec<Event>, AnswerFault> {
    let (message, content) = message(body)?;
    let mut events = Vec::new();
    let mut answer = Answer::default();
    answer.start(&message, &mut events);
    for (index, block) in (0..).zip(elements(&content)) {
        answer.open(index, &Block::read(&block), &mut events)?;
        answer.close(index, &mut events);
    }
    answer.last_members(&Message { usage: None, ..message }, &mut events);
    answer.end(&mut events);
    Ok(events)
}

/// The prompt's tokens, from the answer of `count_tokens`; the bytes pass.
///
/// # Errors
/// An [`AnswerFault`] when the body is no such answer.
pub fn input_tokens(body: &[u8]) -> Result<u64, AnswerFault> {
    let object = object(body)?;
    let message = Message::read(&object);
    let [tokens] = pick(&object, ["input_tokens"]);
    match tokens.and_then(|tokens| tokens.as_count()) {
        _ if message.is_error => Err(error(body)),
        Some(tokens) => Ok(tokens),
        None => Err(AnswerFault::NoChoices),
    }
}

/// The answer of `count_tokens` that says this.
pub fn render_input_tokens(tokens: u64) -> String {
    let mut json = Writer::new();
    json.object(|json| json.key("input_tokens").number(tokens));
    json.into_text()
}

/// The message and its content, if the body is one.
fn message(body: &[u8]) -> Result<(Message<'_>, Value<'_>), AnswerFault> {
    let message = Message::read(&object(body)?);
    match message.content.filter(|content| content.kind == Kind::Array) {
        _ if message.is_error => Err(error(body)),
        Some(content) => Ok((message, content)),
        None => Err(AnswerFault::NoChoices),
    }
}

fn error(body: &[u8]) -> AnswerFault {
    AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body)))
}

fn object(body: &[u8]) -> Result<Value<'_>, AnswerFault> {
    let text = json::utf8(body)?;
    if text.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let mut cursor = Cursor::new(text);
    let value = cursor.value()?;
    cursor.finish()?;
    match value.kind {
        Kind::Object => Ok(value),
        found => Err(AnswerFault::NotAnObject { found }),
    }
}

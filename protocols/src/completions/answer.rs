//! A whole answer with completions: what the gateway reads of it, and nothing changed.
//!
//! Owns     nothing; the texts are counted, not kept.
//! Called   for bodies that come with a 200.
//! Bounded  by the JSON scanner.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use crate::body;
use crate::estimate::Estimator;
use crate::event::WholeAnswer;
use crate::json::{Cursor, JsonFault, Kind};
use crate::openai::{AnswerFault, UpstreamErrorBody};
use crate::usage::{self, Usage};

#[cfg(test)]
mod tests;

/// Reads a whole answer in one scan.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let mut cursor = body::answer_in(body)?;
    let mut answer = WholeAnswer::default();
    let mut choices = 0;
    let mut is_error = false;
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        if key.name == "choices" {
            let mut output = Estimator::default();
            choices = read_choices(&mut cursor, &mut output)?;
            answer.counted = Usage { output: output.tokens(), ..Usage::default() };
            continue;
        }
        let value = cursor.value()?;
        match &*key.name {
            "usage" => answer.usage = usage::from_openai(&value),
            "model" => answer.model = value.as_text().map(String::from),
            "error" => is_error |= !value.is_blank(),
            "object" => is_error |= value.raw == "\"error\"",
            _ => {}
        }
    }
    cursor.finish()?;
    match choices {
        _ if is_error => Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body)))),
        0 => Err(AnswerFault::NoChoices),
        _ => Ok(answer),
    }
}

/// Counts the texts of all choices and returns how many there are.
fn read_choices(cursor: &mut Cursor<'_>, output: &mut Estimator) -> Result<usize, JsonFault> {
    let mut choices = 0;
    if !cursor.enter_if(Kind::Array)? {
        return Ok(0);
    }
    while cursor.next_element()? {
        choices += 1;
        if !cursor.enter_if(Kind::Object)? {
            continue;
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if key.name == "text" {
                output.push(&value.as_text().unwrap_or_default());
            }
        }
    }
    Ok(choices)
}

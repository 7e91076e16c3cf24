//! A whole interaction: what the gateway reads of it, and nothing changed.
//!
//! Owns     the reading of the object, which is the body of a whole answer and a member of the events that begin and end
//!          a stream.
//! Called   for bodies that come with a 200, and by the watcher of streams.
//! Bounded  by the JSON scanner; no text is kept.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use super::step;
use crate::body;
use crate::event::{AnswerFault, Tally, WholeAnswer};
use crate::json::{Cursor, JsonFault, Kind, Value};
use crate::openai::UpstreamErrorBody;
use crate::usage::{self, Usage};

#[cfg(test)]
mod tests;

/// An interaction object, as far as it says anything.
#[derive(Debug, Default)]
pub(super) struct Interaction<'a> {
    pub(super) id: Option<String>,
    pub(super) usage: Option<Usage>,
    model: Option<String>,
    /// `in_progress`, `requires_action`, `completed`, `failed`, `cancelled`, `incomplete`.
    status: Option<String>,
    /// `steps`, or `outputs`.
    steps: Option<Value<'a>>,
    is_error: bool,
}

impl<'a> Interaction<'a> {
    /// Reads the object at the cursor.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, JsonFault> {
        let mut interaction = Self::default();
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "id" => interaction.id = value.as_text().filter(|id| !id.is_empty()).map(String::from),
                "model" => interaction.model = value.as_text().map(String::from),
                "status" => interaction.status = value.as_text().map(String::from),
                "usage" => interaction.usage = usage::from_gemini(&value),
                "steps" | "outputs" => {
                    interaction.steps = Some(value).filter(|steps| steps.kind == Kind::Array);
                }
                "error" => interaction.is_error = !value.is_blank(),
                _ => {}
            }
        }
        Ok(interaction)
    }

    /// Whether the upstream is still at work on it.
    fn goes_on(&self) -> bool {
        matches!(self.status.as_deref(), Some("in_progress" | "queued"))
    }
}

/// What a whole answer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeInteraction {
    /// Its tokens and its model.
    pub answer: WholeAnswer,
    /// The id under which the upstream keeps it.
    pub id: Option<String>,
    /// Whether the upstream is still at work on it, and so tells no usage yet.
    pub goes_on: bool,
}

/// Reads a whole answer.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeInteraction, AnswerFault> {
    let mut cursor = body::answer_in(body)?;
    let interaction = Interaction::read(&mut cursor)?;
    cursor.finish()?;
    if interaction.is_error {
        return Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body))));
    }
    if interaction.steps.is_none() && interaction.status.is_none() {
        return Err(AnswerFault::NoChoices);
    }
    let mut tally = Tally::default();
    if let Some(steps) = &interaction.steps {
        let mut cursor = Cursor::new(steps.raw);
        cursor.enter_array()?;
        while cursor.next_element()? {
            step::take(&cursor.value()?, &mut tally)?;
        }
    }
    let goes_on = interaction.goes_on();
    let answer = WholeAnswer { usage: interaction.usage, counted: tally.counted(), model: interaction.model };
    Ok(WholeInteraction { answer, id: interaction.id, goes_on })
}

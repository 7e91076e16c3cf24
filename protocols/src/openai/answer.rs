//! A whole answer (not streamed) with status 200: is it one, and what does it say.
//!
//! Owns     the reading; the bytes pass to the client as they came.
//! Called   by the handler once the upstream's body is complete.
//! Bounded  by the JSON scanner; only the first choice's text is copied.
//! Fails    with an [`AnswerFault`]: what arrives with a 200 is not always an answer.

use crate::body;
use crate::json::{self, Cursor, JsonFault, Kind};
use crate::openai::UpstreamErrorBody;
use crate::usage::{self, Usage};

#[cfg(test)]
mod tests;

/// Why a 200 is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// No bytes but whitespace.
    #[error("the upstream's answer is empty")]
    Empty,
    /// A page of HTML, a cut-off body, or other bytes that are not JSON.
    #[error("the upstream's answer is not JSON: {0}")]
    NotJson(#[from] JsonFault),
    /// `null`, a string, an array: JSON, but no answer.
    #[error("the upstream's answer is {}; expected a JSON object", .found.described())]
    NotAnObject {
        /// What it is.
        found: Kind,
    },
    /// An error in spite of the status.
    #[error("the upstream answered 200 with an error")]
    ErrorObject(Box<UpstreamErrorBody>),
    /// `choices` is missing, null or empty.
    #[error("the upstream's answer has no choices")]
    NoChoices,
    /// A list without its `data`, or with two.
    #[error("the upstream's answer is no list: it has not one `data` array")]
    NoList,
    /// What it says is in an order that no client could read.
    #[error("the upstream's answer makes no sense: {0}")]
    OutOfOrder(#[from] crate::event::OutOfOrder),
}

/// What the gateway reads of a chat completion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The tokens it took, if the upstream says so.
    pub usage: Option<Usage>,
    /// The text of the first choice: parts joined, empty when it has none (a tool call, say).
    pub text: String,
    /// The model that answered, in the upstream's words.
    pub model: Option<String>,
}

impl ChatAnswer {
    /// Reads a body in one scan.
    ///
    /// # Errors
    /// An [`AnswerFault`] when the body cannot be given to a client as an answer.
    pub fn read(body: &[u8]) -> Result<Self, AnswerFault> {
        let mut cursor = body::answer_in(body)?;
        let mut answer = Self::default();
        let mut choices = 0;
        let mut is_error = false;
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            match &*key.name {
                "choices" => choices = answer.read_choices(&mut cursor)?,
                "usage" => answer.usage = usage::from_openai(&cursor.value()?),
                "model" => answer.model = cursor.value()?.as_text().map(String::from),
                "error" => is_error |= !cursor.value()?.is_blank(),
                "object" => is_error |= cursor.value()?.as_text().is_some_and(|o| o == "error"),
                _ => {
                    cursor.value()?;
                }
            }
        }
        cursor.finish()?;
        match choices {
            _ if is_error => Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body)))),
            0 => Err(AnswerFault::NoChoices),
            _ => Ok(answer),
        }
    }

    /// Reads the text of the first choice and returns how many there are.
    fn read_choices(&mut self, cursor: &mut Cursor<'_>) -> Result<usize, JsonFault> {
        let mut choices = 0;
        if !cursor.enter_if(Kind::Array)? {
            return Ok(0);
        }
        while cursor.next_element()? {
            if choices == 0 {
                self.read_choice(cursor)?;
            } else {
                cursor.value()?;
            }
            choices += 1;
        }
        Ok(choices)
    }

    fn read_choice(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        while let Some(key) = cursor.next_key()? {
            if key.name == "message" {
                self.read_message(cursor)?;
            } else {
                cursor.value()?;
            }
        }
        Ok(())
    }

    fn read_message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        while let Some(key) = cursor.next_key()? {
            match (&*key.name, cursor.peek()?) {
                ("content", Kind::Array) => self.read_parts(cursor)?,
                ("content", Kind::String) => {
                    json::decode_into(cursor.value()?.raw, &mut self.text);
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }

    /// Content as a list of parts (`{"type": "text", "text": "…"}`): their texts, one behind the
    /// other.
    fn read_parts(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        cursor.enter_array()?;
        while cursor.next_element()? {
            if !cursor.enter_if(Kind::Object)? {
                continue;
            }
            while let Some(key) = cursor.next_key()? {
                let value = cursor.value()?;
                if key.name == "text" && value.kind == Kind::String {
                    json::decode_into(value.raw, &mut self.text);
                }
            }
        }
        Ok(())
    }
}

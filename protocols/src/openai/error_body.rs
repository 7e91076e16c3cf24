//! What an upstream says when it refuses, in any of the shapes compatible servers use.
//!
//! Owns     the reading of error bodies and the masking of keys in their text.
//! Called   for error statuses, for a 200 that holds an error, and for error events in a stream.
//! Bounded  by [`MESSAGE_BYTES_MAX`] and [`FIELD_BYTES_MAX`] in what is kept, by [`LEVELS_MAX`] in
//!          how deep it looks.
//! Fails    never: what is not JSON says nothing.

use crate::json::{self, Cursor, JsonFault, Kind, Value};

mod mask;
#[cfg(test)]
mod tests;

pub use mask::mask_keys;

/// The most that is kept of a message: a screenful. Longer ones quote the request.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The most that is kept of a type, param or code. Codes are identifiers; xAI writes a sentence.
const FIELD_BYTES_MAX: usize = 256;

/// Objects inside objects that are looked into: `{"message": {"detail": {…}}}` is the deepest
/// known.
const LEVELS_MAX: usize = 3;

/// An upstream's error, as far as it says anything. Texts are bounded and what looks like a key is
/// masked.
///
/// Read from OpenAI's `{"error": {"message", "type", "param", "code"}}` and from the shapes others
/// use: `{"object": "error", "message"}` (vLLM, Mistral), `{"error": "text"}` (Ollama), `{"code",
/// "error": "text"}` (xAI), `{"message"}` (Cohere), `{"detail"}` (FastAPI servers), an integer
/// `code` (OpenRouter), the whole in an array (Gemini).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamErrorBody {
    /// What went wrong, in the upstream's words.
    pub message: Option<String>,
    /// OpenAI's `type`, or Gemini's `status` word.
    pub kind: Option<String>,
    /// The member of the request at fault.
    pub param: Option<String>,
    /// The machine-readable code; a number is given as its digits.
    pub code: Option<String>,
    /// The HTTP status that the body names, if it names one between 400 and 599.
    pub status: Option<u16>,
}

impl UpstreamErrorBody {
    /// Reads an error body; all parts are `None` when it is not JSON.
    pub fn read(body: &[u8]) -> Self {
        Self::parse(body).unwrap_or_default()
    }

    fn parse(body: &[u8]) -> Result<Self, JsonFault> {
        let mut cursor = Cursor::new(json::utf8(body)?);
        let error = match cursor.peek()? {
            Kind::Object => Self::read_object(&mut cursor, LEVELS_MAX)?,
            Kind::Array => Self::read_first_element(&mut cursor)?,
            _ => Self { message: message(&cursor.value()?), ..Self::default() },
        };
        cursor.finish()?;
        Ok(error)
    }

    fn read_first_element(cursor: &mut Cursor<'_>) -> Result<Self, JsonFault> {
        let mut first = None;
        cursor.enter_array()?;
        while cursor.next_element()? {
            if first.is_none() && cursor.peek()? == Kind::Object {
                first = Some(Self::read_object(cursor, LEVELS_MAX)?);
            } else {
                cursor.value()?;
            }
        }
        Ok(first.unwrap_or_default())
    }

    fn read_object(cursor: &mut Cursor<'_>, levels: usize) -> Result<Self, JsonFault> {
        let mut own = Self::default();
        let mut inner = Self::default();
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let name = &*key.name;
            let may_nest = matches!(name, "error" | "message" | "detail");
            match cursor.peek()? {
                Kind::Object if may_nest && levels > 1 => {
                    inner = Self::read_object(cursor, levels - 1)?.or(inner);
                }
                Kind::Array if name == "detail" => inner.message = read_details(cursor)?,
                _ => own.take(name, &cursor.value()?),
            }
        }
        Ok(inner.or(own))
    }

    fn take(&mut self, name: &str, value: &Value<'_>) {
        match name {
            "message" | "error" | "detail" => {
                self.message = message(value).or(self.message.take());
            }
            // Anthropic's envelope says `"type": "error"` around the object that says which.
            "type" => self.kind = field(value).filter(|kind| kind != "error"),
            "param" => self.param = field(value),
            "code" => {
                self.code = field(value);
                self.status = self.status.or(status(value));
            }
            "status" | "status_code" => {
                self.status = status(value).or(self.status);
                let word = field(value).filter(|_| value.kind == Kind::String);
                self.kind = self.kind.take().or(word);
            }
            _ => {}
        }
    }

    /// These parts, and the other's where there is none.
    fn or(self, other: Self) -> Self {
        Self {
            message: self.message.or(other.message),
            kind: self.kind.or(other.kind),
            param: self.param.or(other.param),
            code: self.code.or(other.code),
            status: self.status.or(other.status),
        }
    }
}

/// FastAPI's list of faults: the `msg` of each, joined.
fn read_details(cursor: &mut Cursor<'_>) -> Result<Option<String>, JsonFault> {
    let mut messages: Option<String> = None;
    cursor.enter_array()?;
    while cursor.next_element()? {
        if !cursor.enter_if(Kind::Object)? {
            continue;
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if key.name == "msg"
                && let Some(next) = message(&value)
            {
                messages = Some(match messages {
                    Some(before) => bounded(&format!("{before}; {next}"), MESSAGE_BYTES_MAX),
                    None => next,
                });
            }
        }
    }
    Ok(messages)
}

fn message(value: &Value<'_>) -> Option<String> {
    value.as_text().map(|text| bounded(&mask_keys(&text), MESSAGE_BYTES_MAX))
}

fn field(value: &Value<'_>) -> Option<String> {
    match value.kind {
        Kind::String => value.as_text().map(|text| bounded(&mask_keys(&text), FIELD_BYTES_MAX)),
        Kind::Number => Some(bounded(value.raw, FIELD_BYTES_MAX)),
        _ => None,
    }
}

/// A status written as a number or, as Azure does, as its digits.
fn status(value: &Value<'_>) -> Option<u16> {
    let digits = match value.kind {
        Kind::Number => value.raw.into(),
        _ => value.as_text()?,
    };
    digits.parse().ok().filter(|status| (400..600).contains(status))
}

/// The text, cut on a character's boundary.
fn bounded(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

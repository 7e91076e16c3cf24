//! A strict JSON scanner that finds where things are and builds nothing.
//!
//! Owns     the RFC 8259 grammar over text that stays where it is: a [`Cursor`] walks it once and
//!          hands out [`Span`]s, so that an edit can replace one value and leave every other byte
//!          alone.
//! Called   by the readers of requests, answers and stream frames.
//! Bounded  by [`MAX_DEPTH`] and [`MAX_MEMBERS`]; the walk is iterative and never allocates but for
//!          a key that is written with escapes.
//! Fails    with a [`JsonFault`] that names the byte; what it accepts is what `serde_json` accepts,
//!          except that half a surrogate pair written as an escape is let through: the bytes are
//!          not ours to judge.

mod cursor;
mod halves;
mod lexer;
mod text;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use halves::Halves;
pub use text::{decode_into, decoded, quote_into, quoted};
pub use writer::Writer;

use std::borrow::Cow;
use std::ops::Range;

/// How deeply arrays and objects may be nested.
///
/// The deepest things people send are JSON schemas of tools, some 30 levels. One bit per level
/// makes this 64 bytes of state, kept on the stack.
pub const MAX_DEPTH: usize = 512;

/// How many members an object may have when a list of them is kept ([`Object::read`]).
///
/// The chat API defines about 40; the list stays below 64 KiB whatever a body of 32 MiB is made of.
pub const MAX_MEMBERS: usize = 1024;

/// Why a text is not JSON, or not JSON that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first byte that does not fit.
        at: usize,
    },
    /// The text ends inside a value.
    #[error("the text ends at byte {at}; expected {expected}")]
    EndsEarly {
        /// Length of the text.
        at: usize,
        /// What would have been legal there.
        expected: &'static str,
    },
    /// A byte that the grammar does not allow in its place.
    #[error("unexpected byte at {at}; expected {expected}")]
    Unexpected {
        /// Offset of the byte.
        at: usize,
        /// What would have been legal there.
        expected: &'static str,
    },
    /// A control character stands unescaped inside a string.
    #[error("control character inside a string at byte {at}; write it as an escape")]
    ControlCharacter {
        /// Offset of the character.
        at: usize,
    },
    /// A backslash that begins none of the escapes of JSON.
    #[error("unknown escape in a string at byte {at}")]
    UnknownEscape {
        /// Offset of the backslash.
        at: usize,
    },
    /// More nesting than [`MAX_DEPTH`].
    #[error("nested deeper than {limit} levels at byte {at}")]
    TooDeep {
        /// Offset of the bracket that goes too deep.
        at: usize,
        /// The most levels allowed.
        limit: usize,
    },
    /// An object with more than [`MAX_MEMBERS`] members where they are listed.
    #[error("more than {limit} members in one object at byte {at}")]
    TooManyMembers {
        /// Offset of the first key too many.
        at: usize,
        /// The most members allowed.
        limit: usize,
    },
}

impl JsonFault {
    /// Where: an offset in bytes.
    pub fn at(&self) -> usize {
        match *self {
            Self::NotUtf8 { at }
            | Self::EndsEarly { at, .. }
            | Self::Unexpected { at, .. }
            | Self::ControlCharacter { at }
            | Self::UnknownEscape { at }
            | Self::TooDeep { at, .. }
            | Self::TooManyMembers { at, .. } => at,
        }
    }
}

/// A stretch of the scanned text, in bytes, end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// The same stretch as a range, for slicing.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// What a value is, seen by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, of whatever size and form.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The kind with its article, for messages: "an array".
    pub fn described(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A key of an object.
#[derive(Clone, Debug)]
pub struct Key<'a> {
    /// What the key says, escapes resolved: `"mod\u0065l"` is `model`.
    pub name: Cow<'a, str>,
    /// Where it is written, quotes included.
    pub span: Span,
}

/// A whole value, checked against the grammar and otherwise untouched.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// Where it is written.
    pub span: Span,
    /// Its bytes as written, quotes and brackets included.
    pub raw: &'a str,
}

impl<'a> Value<'a> {
    /// The boolean, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        (self.kind == Kind::Bool).then_some(self.raw == "true")
    }

    /// The text of a string, escapes resolved, half surrogates replaced by U+FFFD.
    pub fn as_text(&self) -> Option<Cow<'a, str>> {
        (self.kind == Kind::String).then(|| decoded(self.raw))
    }

    /// A whole number written in digits alone; one beyond 64 bits counts as the largest.
    pub fn as_u64(&self) -> Option<u64> {
        let digits = self.kind == Kind::Number && self.raw.bytes().all(|b| b.is_ascii_digit());
        // The grammar leaves no other reason to fail than a number too large.
        digits.then(|| self.raw.parse().unwrap_or(u64::MAX))
    }

    /// A count as upstreams report it: `12`, `12.0` and `1.2e1` are twelve, anything below zero is
    /// zero.
    pub fn as_count(&self) -> Option<u64> {
        if self.kind != Kind::Number {
            return None;
        }
        self.as_u64().or_else(|| {
            // The cast saturates, and a float without a value for the text does not exist in JSON's
            // grammar.
            self.raw.parse::<f64>().ok().map(|count| count.round() as u64)
        })
    }

    /// Whether it says nothing: `null`, `false`, `""`, `[]` or `{}`.
    pub fn is_blank(&self) -> bool {
        match self.kind {
            Kind::Null => true,
            Kind::Bool => self.raw == "false",
            Kind::Number => false,
            Kind::String => self.raw.len() == 2,
            Kind::Array | Kind::Object => {
                self.raw.get(1..self.raw.len() - 1).is_none_or(|inside| inside.trim_ascii().is_empty())
            }
        }
    }
}

/// One member of a listed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where its key is written, quotes included.
    pub key: Span,
    /// Where its value is written.
    pub value: Span,
    /// What its value is.
    pub kind: Kind,
}

/// Where an object and each of its members are written, in order: what an edit needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The whole object, braces included.
    pub span: Span,
    /// Its members in the order of the text, doubles included.
    pub members: Vec<Member>,
}

impl Object {
    /// Lists the object at the cursor; `visit` sees each member with its place in the list.
    ///
    /// # Errors
    /// A [`JsonFault`] of the text, more than [`MAX_MEMBERS`] members, or what `visit` returns.
    pub fn read<'a, E: From<JsonFault>>(
        cursor: &mut Cursor<'a>,
        mut visit: impl FnMut(usize, &Key<'a>, &Value<'a>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let start = cursor.enter_object()?;
        let mut members = Vec::new();
        while let Some(key) = cursor.next_key()? {
            if members.len() == MAX_MEMBERS {
                let at = key.span.start;
                return Err(JsonFault::TooManyMembers { at, limit: MAX_MEMBERS }.into());
            }
            let value = cursor.value()?;
            visit(members.len(), &key, &value)?;
            members.push(Member { key: key.span, value: value.span, kind: value.kind });
        }
        Ok(Self { span: Span { start, end: cursor.position() }, members })
    }
}

/// The bytes as text.
///
/// # Errors
/// [`JsonFault::NotUtf8`] with the offset of the first byte that does not fit.
pub fn utf8(bytes: &[u8]) -> Result<&str, JsonFault> {
    std::str::from_utf8(bytes).map_err(|fault| JsonFault::NotUtf8 { at: fault.valid_up_to() })
}

//! What is wrong with a request of the seed's API, in the words of FastAPI and pydantic 2.
//!
//! Owns     types, messages and places of faults, and the body that lists them.
//! Called   by the checks of [`super::GenerateRequest`], and by the handler that answers 422.
//! Bounded  by [`SHOWN_MAX`] for what is repeated of a value.
//! Fails    never.

use bytes::Bytes;

use crate::json::{JsonFault, decoded, quoted};

/// How many bytes of an offending value are repeated to the caller.
///
/// Enough to recognise it; a body may be 32 MiB, and a fault is also written to logs by those who
/// receive it.
pub const SHOWN_MAX: usize = 256;

/// What is wrong with one member, or with the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The body is not JSON from this byte on, or nests too deep there.
    NotJson {
        /// Offset of the byte.
        at: usize,
    },
    /// The body is JSON but no object.
    NotAnObject,
    /// A required member is not there, or the body is empty.
    Missing,
    /// The member stands in the object more than once. pydantic has no such type, so it is a
    /// `value_error`.
    GivenTwice,
    /// Not a string.
    NotAString,
    /// A string without a character.
    Empty,
    /// Neither a number nor a string.
    NotAFloat,
    /// A string that is not a number.
    FloatParsing,
    /// A temperature under 0.
    BelowZero,
    /// A temperature over 2, or not a number at all.
    AboveTwo,
    /// Neither a number nor a string.
    NotAnInteger,
    /// A string that is not an integer.
    IntegerParsing,
    /// A number with a fraction.
    IntegerFromFraction,
    /// An integer written as a float that is beyond 63 bits.
    IntegerSize,
    /// A number too large for a float.
    NotFinite,
    /// A count of zero or less.
    NotAboveZero,
    /// A provider that the gateway does not have.
    UnknownProvider,
}

impl FaultKind {
    /// pydantic's name for it.
    pub fn error_type(self) -> &'static str {
        self.words().0
    }

    /// pydantic's message for it.
    pub fn message(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotJson { .. } => ("json_invalid", "JSON decode error"),
            Self::NotAnObject => (
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from",
            ),
            Self::Missing => ("missing", "Field required"),
            Self::GivenTwice => ("value_error", "Value error, the member is given more than once"),
            Self::NotAString => ("string_type", "Input should be a valid string"),
            Self::Empty => ("string_too_short", "String should have at least 1 character"),
            Self::NotAFloat => ("float_type", "Input should be a valid number"),
            Self::FloatParsing => {
                ("float_parsing", "Input should be a valid number, unable to parse string as a number")
            }
            Self::BelowZero => ("greater_than_equal", "Input should be greater than or equal to 0"),
            Self::AboveTwo => ("less_than_equal", "Input should be less than or equal to 2"),
            Self::NotAnInteger => ("int_type", "Input should be a valid integer"),
            Self::IntegerParsing => {
                ("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
            }
            Self::IntegerFromFraction => {
                ("int_from_float", "Input should be a valid integer, got a number with a fractional part")
            }
            Self::IntegerSize => {
                ("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size")
            }
            Self::NotFinite => ("finite_number", "Input should be a finite number"),
            Self::NotAboveZero => ("greater_than", "Input should be greater than 0"),
            Self::UnknownProvider => ("value_error", "Value error, no such provider is configured"),
        }
    }
}

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationFault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The member at fault; `None` for the body as a whole.
    pub member: Option<&'static str>,
    /// The offending value as JSON, cut to [`SHOWN_MAX`].
    pub input: String,
}

impl ValidationFault {
    /// A fault of one member, whose value as JSON is shown, cut to [`SHOWN_MAX`].
    pub fn of_member(member: &'static str, kind: FaultKind, value: &str) -> Self {
        Self { kind, member: Some(member), input: shown(value) }
    }

    pub(super) fn of_body(kind: FaultKind, value: &str) -> Self {
        Self { kind, member: None, input: shown(value) }
    }

    pub(super) fn not_json(fault: JsonFault) -> Self {
        // FastAPI repeats nothing of a text it could not read.
        let at = fault.at();
        Self { kind: FaultKind::NotJson { at }, member: None, input: "{}".to_owned() }
    }

    fn location(&self) -> String {
        match (self.member, self.kind) {
            (Some(member), _) => format!(r#"["body",{}]"#, quoted(member)),
            (None, FaultKind::NotJson { at }) => format!(r#"["body",{at}]"#),
            (None, _) => r#"["body"]"#.to_owned(),
        }
    }
}

/// The body of a 422: `{"detail":[{"type","loc","msg","input"},…]}`.
pub fn render_faults(faults: &[ValidationFault]) -> Bytes {
    let listed: Vec<String> = faults
        .iter()
        .map(|fault| {
            format!(
                r#"{{"type":{},"loc":{},"msg":{},"input":{}}}"#,
                quoted(fault.kind.error_type()),
                fault.location(),
                quoted(fault.kind.message()),
                fault.input
            )
        })
        .collect();
    Bytes::from(format!(r#"{{"detail":[{}]}}"#, listed.join(",")))
}

/// A value as it was written, or the beginning of it as a string.
fn shown(value: &str) -> String {
    if value.len() <= SHOWN_MAX {
        return value.to_owned();
    }
    // The longest escape, `\u0041`, is six bytes for one.
    let text = beginning(value, 6 * SHOWN_MAX + 6);
    let text = if text.starts_with('"') { decoded(text) } else { text.into() };
    quoted(&format!("{}…", beginning(&text, SHOWN_MAX)))
}

fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

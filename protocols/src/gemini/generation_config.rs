//! The settings of a generation within a request: what is read of them, and the one edit.
//!
//! Owns     the place of the object and of its cap. Two of Google's APIs have such an object, under names that differ
//!          in their spelling.
//! Called   by [`GenerateRequest`](super::GenerateRequest) and by [`crate::interactions`].
//! Bounded  by [`json::MAX_MEMBERS`](crate::json::MAX_MEMBERS).
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use crate::gemini::members::{camel, count};
use crate::json::{Cursor, Kind, Object, Span, Value};
use crate::openai::RequestFault;
use crate::splice::Splice;

/// Members that no model reads as text; schemas and whatever is added are prompt.
const NOT_PROMPT: [&str; 14] = [
    "stopSequences",
    "responseMimeType",
    "responseModalities",
    "thinkingConfig",
    "thinkingLevel",
    "thinkingSummaries",
    "speechConfig",
    "transcriptionConfig",
    "imageConfig",
    "videoConfig",
    "mediaResolution",
    "temperature",
    "toolChoice",
    "maxOutputTokens",
];

/// How an API spells the names that are written for it and named in faults.
#[derive(Debug)]
pub(crate) struct Spelling {
    /// The object.
    pub(crate) config: &'static str,
    /// The cap within it.
    pub(crate) cap: &'static str,
    /// The path of the cap.
    pub(crate) cap_path: &'static str,
    /// The path of the number of answers.
    pub(crate) n_path: &'static str,
}

/// The object as it came, and what it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct GenerationConfig {
    /// Where it stands, also when it is null.
    at: Option<Span>,
    object: Option<Object>,
    cap: Option<(Span, Option<u64>)>,
    candidates: Option<u64>,
    prompt: Vec<Span>,
}

impl GenerationConfig {
    /// Reads the value of the member.
    pub(crate) fn read(text: &str, value: &Value<'_>, names: &Spelling) -> Result<Self, RequestFault> {
        let mut config = Self { at: Some(value.span), ..Self::default() };
        match value.kind {
            Kind::Null => return Ok(config),
            Kind::Object => {}
            found => {
                return Err(RequestFault::WrongType { param: names.config, found, expected: "an object" });
            }
        }
        let object = Object::read(&mut Cursor::within(text, value.span), |_, key, value| {
            let name = camel(&key.name);
            if speaks(value) && !NOT_PROMPT.contains(&&*name) {
                config.prompt.push(value.span);
            }
            match &*name {
                "maxOutputTokens" => {
                    let cap = (value.span, optional_count(names.cap_path, value)?);
                    once(names.cap_path, config.cap.replace(cap).is_some())
                }
                "candidateCount" => {
                    let candidates = optional_count(names.n_path, value)?.unwrap_or(1);
                    once(names.n_path, config.candidates.replace(candidates).is_some())
                }
                _ => Ok(()),
            }
        })?;
        config.object = Some(object);
        Ok(config)
    }

    /// The cap; `None` when missing or null.
    pub(crate) fn cap(&self) -> Option<u64> {
        self.cap.and_then(|(_, cap)| cap)
    }

    /// How many answers are asked for; at least 1.
    pub(crate) fn n(&self) -> u64 {
        self.candidates.unwrap_or(1)
    }

    /// What in it may end up in the prompt.
    pub(crate) fn prompt(&self) -> &[Span] {
        &self.prompt
    }

    /// Sets the cap. What comes back is a member of the body, where there was no object to set it in.
    pub(crate) fn set_cap(
        &self,
        cap: Option<u64>,
        names: &Spelling,
        edits: &mut Splice<'_>,
    ) -> Option<String> {
        let cap = cap.filter(|cap| self.cap() != Some(*cap))?;
        let member = format!("\"{}\":{cap}", names.cap);
        match (self.cap, &self.object, self.at) {
            (Some((span, _)), ..) => edits.replace(span, cap.to_string()),
            (None, Some(object), _) => edits.edit_members(object, &[], Some(member)),
            (None, None, Some(null)) => edits.replace(null, format!("{{{member}}}")),
            (None, None, None) => return Some(format!("\"{}\":{{{member}}}", names.config)),
        }
        None
    }
}

/// Whether a value may hold text.
pub(crate) fn speaks(value: &Value<'_>) -> bool {
    matches!(value.kind, Kind::Array | Kind::Object | Kind::String)
}

/// A member that is read may stand only once, in whichever spelling.
pub(crate) fn once(param: &'static str, is_second: bool) -> Result<(), RequestFault> {
    if is_second { Err(RequestFault::Duplicate { param }) } else { Ok(()) }
}

fn optional_count(param: &'static str, value: &Value<'_>) -> Result<Option<u64>, RequestFault> {
    match value.kind {
        Kind::Null => Ok(None),
        Kind::Number | Kind::String => match count(value) {
            Some(count @ 1..) => Ok(Some(count)),
            _ => Err(RequestFault::NotACount { param }),
        },
        found => Err(RequestFault::WrongType { param, found, expected: "a whole number" }),
    }
}

//! A generateContent request on its way to Gemini: one scan for what the gateway reads, exact edits for what it
//! changes.
//!
//! Owns     the body's bytes, the place of what may be edited, and the values the gateway decides by. The model and
//!          whether to stream stand in the path ([`super::path()`]).
//! Called   by the handler below `/v1beta` before admission ([`GenerateRequest::read`]) and for each target
//!          ([`GenerateRequest::rewrite`]).
//! Bounded  by [`json::MAX_DEPTH`] and [`json::MAX_MEMBERS`]; a rewrite is one copy of the body, or none.
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use bytes::Bytes;

use crate::gemini::members::{camel, count};
use crate::json::{self, Cursor, Kind, Object, Span, Value};
use crate::openai::RequestFault;
use crate::splice::Splice;

#[cfg(test)]
mod tests;

const CONTENTS: &str = "contents";
const GENERATION_CONFIG: &str = "generationConfig";
const MODEL: &str = "model";
const CAP: &str = "generationConfig.maxOutputTokens";
const N: &str = "generationConfig.candidateCount";

/// Members that are read, in camelCase. Each may stand only once, in whichever spelling.
const READ: [&str; 6] = [CONTENTS, "systemInstruction", "tools", "toolConfig", GENERATION_CONFIG, MODEL];

/// Structured or textual members that no model reads. Any other array, object or string counts as prompt.
const NOT_PROMPT: [&str; 5] = [GENERATION_CONFIG, MODEL, "safetySettings", "labels", "serviceTier"];

/// Members of the generation config that no model reads as text; schemas and whatever is added to it are prompt.
const CONFIG_NOT_PROMPT: [&str; 9] = [
    "stopSequences",
    "responseMimeType",
    "responseModalities",
    "thinkingConfig",
    "speechConfig",
    "imageConfig",
    "mediaResolution",
    "temperature",
    "maxOutputTokens",
];

/// A request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    body: Bytes,
    object: Object,
    config: Config,
    /// Where the body names the model, which the path does already.
    model: Option<usize>,
    prompt: Vec<Span>,
}

/// `generationConfig`.
#[derive(Clone, Debug, Default)]
struct Config {
    /// Where it stands, also when it is null.
    at: Option<Span>,
    object: Option<Object>,
    cap: Option<(Span, Option<u64>)>,
    candidates: Option<u64>,
    prompt: Vec<Span>,
}

impl GenerateRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let text = json::utf8(body)?;
        let whole = whole_object(text)?;
        let mut seen = [false; READ.len()];
        let mut config = Config::default();
        let mut model = None;
        let mut prompt = Vec::new();
        let object = Object::read(&mut Cursor::within(text, whole.span), |place, key, value| {
            let name = camel(&key.name);
            if speaks(value) && !NOT_PROMPT.contains(&&*name) {
                prompt.push(value.span);
            }
            let Some(field) = READ.iter().position(|field| *field == name) else { return Ok(()) };
            if std::mem::replace(&mut seen[field], true) {
                return Err(RequestFault::Duplicate { param: READ[field] });
            }
            match READ[field] {
                CONTENTS => check_contents(value),
                GENERATION_CONFIG => {
                    config = Config::read(text, value)?;
                    Ok(())
                }
                MODEL => {
                    model = Some(place);
                    Ok(())
                }
                // Read only to be counted; what they must look like is the upstream's affair.
                _ => Ok(()),
            }
        })?;
        if !seen[0] {
            return Err(RequestFault::Missing { param: CONTENTS });
        }
        prompt.append(&mut config.prompt);
        Ok(Self { body: body.clone(), object, config, model, prompt })
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// `maxOutputTokens`; `None` when missing or null.
    pub fn output_cap(&self) -> Option<u64> {
        self.config.cap.and_then(|(_, cap)| cap)
    }

    /// How many candidates are asked for; at least 1.
    pub fn n(&self) -> u64 {
        self.config.candidates.unwrap_or(1)
    }

    /// Every value that may end up in the prompt, as written: contents, system instruction, tools, schemas, and
    /// whatever structured member is not known to stay out of it.
    pub fn prompt_parts(&self) -> impl Iterator<Item = &[u8]> {
        self.prompt.iter().map(|span| &self.body[span.range()])
    }

    /// The body for one target: the cap replaced, everything else byte for byte as it came. Without a change it is the
    /// same handle.
    ///
    /// A `model` in the body, which could only contradict the one in the path, is taken out.
    pub fn rewrite(&self, cap: Option<u64>) -> Bytes {
        let mut splice = Splice::new(&self.body);
        let mut appended = None;
        if let Some(cap) = cap.filter(|cap| self.output_cap() != Some(*cap)) {
            let member = format!("\"maxOutputTokens\":{cap}");
            match (self.config.cap, &self.config.object, self.config.at) {
                (Some((span, _)), ..) => splice.replace(span, cap.to_string()),
                (None, Some(object), _) => splice.edit_members(object, &[], Some(member)),
                (None, None, Some(null)) => splice.replace(null, format!("{{{member}}}")),
                (None, None, None) => appended = Some(format!("\"{GENERATION_CONFIG}\":{{{member}}}")),
            }
        }
        splice.edit_members(&self.object, self.model.as_slice(), appended);
        splice.apply_to(&self.body)
    }
}

impl Config {
    fn read(text: &str, value: &Value<'_>) -> Result<Self, RequestFault> {
        let mut config = Self { at: Some(value.span), ..Self::default() };
        match value.kind {
            Kind::Null => return Ok(config),
            Kind::Object => {}
            found => {
                return Err(RequestFault::WrongType {
                    param: GENERATION_CONFIG,
                    found,
                    expected: "an object",
                });
            }
        }
        let object = Object::read(&mut Cursor::within(text, value.span), |_, key, value| {
            let name = camel(&key.name);
            if speaks(value) && !CONFIG_NOT_PROMPT.contains(&&*name) {
                config.prompt.push(value.span);
            }
            match &*name {
                "maxOutputTokens" => {
                    let cap = (value.span, optional_count(CAP, value)?);
                    once(CAP, config.cap.replace(cap).is_some())
                }
                "candidateCount" => {
                    let candidates = optional_count(N, value)?.unwrap_or(1);
                    once(N, config.candidates.replace(candidates).is_some())
                }
                _ => Ok(()),
            }
        })?;
        config.object = Some(object);
        Ok(config)
    }
}

/// The one object that a body is.
pub(super) fn whole_object(text: &str) -> Result<Value<'_>, RequestFault> {
    if text.trim_ascii().is_empty() {
        return Err(RequestFault::Empty);
    }
    let mut cursor = Cursor::new(text);
    let whole = cursor.value()?;
    cursor.finish()?;
    match whole.kind {
        Kind::Object => Ok(whole),
        found => Err(RequestFault::NotAnObject { found }),
    }
}

/// Whether a value may hold text.
fn speaks(value: &Value<'_>) -> bool {
    matches!(value.kind, Kind::Array | Kind::Object | Kind::String)
}

fn once(param: &'static str, is_second: bool) -> Result<(), RequestFault> {
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

/// One content may stand where a list of them is meant.
pub(super) fn check_contents(value: &Value<'_>) -> Result<(), RequestFault> {
    match value.kind {
        Kind::Array | Kind::Object if value.is_blank() => {
            Err(RequestFault::Member { member: CONTENTS.to_owned(), expected: "at least one content" })
        }
        Kind::Array | Kind::Object => Ok(()),
        found => Err(RequestFault::WrongType { param: CONTENTS, found, expected: "an array" }),
    }
}

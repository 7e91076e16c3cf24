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

use crate::gemini::generation_config::{GenerationConfig, Spelling, once, speaks};
use crate::gemini::members::camel;
use crate::json::{self, Cursor, Kind, Object, Span, Value};
use crate::openai::RequestFault;
use crate::splice::Splice;

#[cfg(test)]
mod tests;

const CONTENTS: &str = "contents";
const GENERATION_CONFIG: &str = "generationConfig";
const MODEL: &str = "model";

/// Members that are read, in camelCase. Each may stand only once, in whichever spelling.
const READ: [&str; 6] = [CONTENTS, "systemInstruction", "tools", "toolConfig", GENERATION_CONFIG, MODEL];

/// Structured or textual members that no model reads. Any other array, object or string counts as prompt.
const NOT_PROMPT: [&str; 5] = [GENERATION_CONFIG, MODEL, "safetySettings", "labels", "serviceTier"];

/// The names of the generation config.
const NAMES: Spelling = Spelling {
    config: GENERATION_CONFIG,
    cap: "maxOutputTokens",
    cap_path: "generationConfig.maxOutputTokens",
    n_path: "generationConfig.candidateCount",
};

/// A request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    body: Bytes,
    object: Object,
    config: GenerationConfig,
    /// Where the body names the model, which the path does already.
    model: Option<usize>,
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
        let mut config = GenerationConfig::default();
        let mut model = None;
        let mut prompt = Vec::new();
        let object = Object::read(&mut Cursor::within(text, whole.span), |place, key, value| {
            let name = camel(&key.name);
            if speaks(value) && !NOT_PROMPT.contains(&&*name) {
                prompt.push(value.span);
            }
            let Some(field) = READ.iter().position(|field| *field == name) else { return Ok(()) };
            once(READ[field], std::mem::replace(&mut seen[field], true))?;
            match READ[field] {
                CONTENTS => check_contents(value),
                GENERATION_CONFIG => {
                    config = GenerationConfig::read(text, value, &NAMES)?;
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
        prompt.extend_from_slice(config.prompt());
        Ok(Self { body: body.clone(), object, config, model, prompt })
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// `maxOutputTokens`; `None` when missing or null.
    pub fn output_cap(&self) -> Option<u64> {
        self.config.cap()
    }

    /// How many candidates are asked for; at least 1.
    pub fn n(&self) -> u64 {
        self.config.n()
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
        let appended = self.config.set_cap(cap, &NAMES, &mut splice);
        splice.edit_members(&self.object, self.model.as_slice(), appended);
        splice.apply_to(&self.body)
    }
}

/// The one object that a body is.
pub(crate) fn whole_object(text: &str) -> Result<Value<'_>, RequestFault> {
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

//! The seed's own API: `POST /api/v1/generate`, its checks, its answer, and the same question in
//! OpenAI's dialect.
//!
//! Owns     the five members of the request and what may stand in each.
//! Called   by the route's handler, before any limit is asked and again for the answer.
//! Bounded  by the body; nesting by [`crate::json::MAX_DEPTH`]; what a fault repeats of a value by
//!          [`SHOWN_MAX`].
//! Fails    with every fault at once, each named the way FastAPI and pydantic 2 name it, since that
//!          is what the clients of this API already read.
//!
//! Numbers are read as pydantic's lax mode reads them: `"0.7"` is a temperature, `150.0` and `" 150
//! "` are token counts. Two of its liberties are not taken: `true` is no number, and digits are not
//! grouped by `_`. `null` in an optional member is its absence, and a member given twice is a
//! fault, not a choice.

use bytes::Bytes;

use crate::json::{Cursor, JsonFault, Kind, Value, quoted, utf8};

mod fault;
mod number;

#[cfg(test)]
mod tests;

pub use fault::{FaultKind, SHOWN_MAX, ValidationFault, render_faults};

/// The temperature of a request that names none.
pub const DEFAULT_TEMPERATURE: f64 = 0.7;

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    /// What is asked, at least one character.
    pub prompt: String,
    /// Sampling temperature, 0 to 2.
    pub temperature: f64,
    /// The most tokens to answer with, above 0; a count beyond 64 bits is the largest of them.
    pub max_tokens: Option<u64>,
    /// Which provider to ask.
    pub provider: Option<String>,
    /// Which of its models to ask.
    pub model: Option<String>,
}

impl GenerateRequest {
    /// Reads and checks a request body.
    ///
    /// # Errors
    /// Every fault that the body has, at least one, in the order of the members above. A body that
    /// is not JSON, or no object, has that fault alone.
    pub fn read(body: &[u8]) -> Result<Self, Vec<ValidationFault>> {
        if body.is_empty() {
            return Err(vec![ValidationFault::of_body(FaultKind::Missing, "null")]);
        }
        // Windows editors put a byte order mark in front, and FastAPI reads past it.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = utf8(body).map_err(not_json)?;
        let whole = read_whole(text).map_err(not_json)?;
        if whole.kind != Kind::Object {
            return Err(vec![ValidationFault::of_body(FaultKind::NotAnObject, whole.raw)]);
        }
        Members::read(whole.raw).map_err(not_json)?.check(whole.raw)
    }

    /// The body that asks an OpenAI chat upstream the same: one user message, not streamed.
    ///
    /// `cap_member` is the name that the model takes the output cap under (`max_tokens` or
    /// `max_completion_tokens`), and `send_temperature` is false for a model that accepts none.
    pub fn to_chat(&self, model: &str, cap_member: &str, max_tokens: u64, send_temperature: bool) -> Bytes {
        let temperature = match send_temperature {
            // Rust's debug form of a finite float is JSON, and short also for 1e-300.
            true => format!(r#","temperature":{:?}"#, self.temperature),
            false => String::new(),
        };
        Bytes::from(format!(
            r#"{{"model":{},"messages":[{{"role":"user","content":{}}}]{temperature},{}:{max_tokens}}}"#,
            quoted(model),
            quoted(&self.prompt),
            quoted(cap_member),
        ))
    }
}

/// The answer's body.
///
/// Counts are in tokens; `total_tokens` is what the upstream called the total, or the sum.
pub fn answer(
    text: &str,
    model: &str,
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
) -> Bytes {
    Bytes::from(format!(
        concat!(
            r#"{{"text":{},"model":{},"usage":{{"prompt_tokens":{},"#,
            r#""completion_tokens":{},"total_tokens":{}}}}}"#
        ),
        quoted(text),
        quoted(model),
        prompt_tokens,
        completion_tokens,
        total_tokens
    ))
}

fn not_json(fault: JsonFault) -> Vec<ValidationFault> {
    vec![ValidationFault::not_json(fault)]
}

fn read_whole(text: &str) -> Result<Value<'_>, JsonFault> {
    let mut cursor = Cursor::new(text);
    let whole = cursor.value()?;
    cursor.finish()?;
    Ok(whole)
}

/// One member as it was written: how often, and what it said last.
#[derive(Default)]
struct Member<'a> {
    times: usize,
    value: Option<Value<'a>>,
}

#[derive(Default)]
struct Members<'a> {
    prompt: Member<'a>,
    temperature: Member<'a>,
    max_tokens: Member<'a>,
    provider: Member<'a>,
    model: Member<'a>,
}

impl<'a> Members<'a> {
    fn read(object: &'a str) -> Result<Self, JsonFault> {
        let mut members = Self::default();
        let mut cursor = Cursor::new(object);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            let member = match &*key.name {
                "prompt" => &mut members.prompt,
                "temperature" => &mut members.temperature,
                "max_tokens" => &mut members.max_tokens,
                "provider" => &mut members.provider,
                "model" => &mut members.model,
                _ => continue,
            };
            member.times += 1;
            member.value = Some(value);
        }
        Ok(members)
    }

    fn check(self, whole: &str) -> Result<GenerateRequest, Vec<ValidationFault>> {
        let mut faults = Faults { whole, found: Vec::new() };
        let prompt = faults.unless("prompt", &self.prompt, required_text);
        let temperature = faults.unless("temperature", &self.temperature, temperature);
        let max_tokens = faults.unless("max_tokens", &self.max_tokens, max_tokens);
        let provider = faults.unless("provider", &self.provider, optional_text);
        let model = faults.unless("model", &self.model, optional_text);
        match (prompt, temperature, max_tokens, provider, model) {
            (Some(prompt), Some(temperature), Some(max_tokens), Some(provider), Some(model)) => {
                Ok(GenerateRequest { prompt, temperature, max_tokens, provider, model })
            }
            _ => Err(faults.found),
        }
    }
}

/// Collects faults, so that one answer names them all.
struct Faults<'a> {
    whole: &'a str,
    found: Vec<ValidationFault>,
}

impl Faults<'_> {
    /// What `check` makes of the member; `None` when a fault was noted instead.
    fn unless<T>(
        &mut self,
        name: &'static str,
        member: &Member<'_>,
        check: impl FnOnce(Option<&Value<'_>>) -> Result<T, FaultKind>,
    ) -> Option<T> {
        let checked = match member.times {
            0 | 1 => check(member.value.as_ref()),
            _ => Err(FaultKind::GivenTwice),
        };
        checked
            .map_err(|kind| {
                // What is missing is shown by what is there instead of it.
                let shown = member.value.map_or(self.whole, |value| value.raw);
                self.found.push(ValidationFault::of_member(name, kind, shown));
            })
            .ok()
    }
}

fn required_text(value: Option<&Value<'_>>) -> Result<String, FaultKind> {
    let text = value.ok_or(FaultKind::Missing)?.as_text().ok_or(FaultKind::NotAString)?;
    if text.is_empty() { Err(FaultKind::Empty) } else { Ok(text.into_owned()) }
}

fn optional_text(value: Option<&Value<'_>>) -> Result<Option<String>, FaultKind> {
    match present(value) {
        None => Ok(None),
        Some(value) => Ok(Some(value.as_text().ok_or(FaultKind::NotAString)?.into_owned())),
    }
}

fn temperature(value: Option<&Value<'_>>) -> Result<f64, FaultKind> {
    let Some(value) = present(value) else { return Ok(DEFAULT_TEMPERATURE) };
    let temperature = number::float(value)?;
    if temperature < 0.0 {
        Err(FaultKind::BelowZero)
    } else if temperature <= 2.0 {
        Ok(temperature)
    } else {
        // The string "nan" comes here too: it is at most nothing.
        Err(FaultKind::AboveTwo)
    }
}

fn max_tokens(value: Option<&Value<'_>>) -> Result<Option<u64>, FaultKind> {
    let Some(value) = present(value) else { return Ok(None) };
    match number::integer(value)? {
        0 => Err(FaultKind::NotAboveZero),
        count => Ok(Some(count)),
    }
}

/// An optional member that is `null` is absent.
fn present<'v, 'a>(value: Option<&'v Value<'a>>) -> Option<&'v Value<'a>> {
    value.filter(|value| value.kind != Kind::Null)
}

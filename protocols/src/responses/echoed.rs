//! What an answer repeats of its request.
//!
//! Owns     the members of a response object that say how it was asked for, and what stands there unless asked
//!          otherwise.
//! Called   with the client's body, before its request is translated; written by [`super::ResponsesWriter`] into each
//!          response object.
//! Bounded  by the body, of which it keeps the instructions and the tools.
//! Fails    with a [`RequestFault`] for a body that is no request.

use bytes::Bytes;

use super::fields::Fields;
use crate::body;
use crate::json::{Value, Writer};
use crate::openai::RequestFault;
use crate::path::Path;

/// Members that come back as they were written, each with what a response says in their absence ("The response
/// object" in OpenAI's API reference).
const AS_WRITTEN: [(&str, &str); 13] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("parallel_tool_calls", "true"),
    ("tool_choice", "\"auto\""),
    ("temperature", "1"),
    ("top_p", "1"),
    ("presence_penalty", "0"),
    ("frequency_penalty", "0"),
    ("metadata", "{}"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("user", "null"),
];

/// Members that say the same of every translated answer: nothing is stored, nothing waits in the background, and
/// what only this dialect's providers do is not done.
const ALWAYS: [(&str, &str); 6] = [
    ("previous_response_id", "null"),
    ("truncation", "\"disabled\""),
    ("top_logprobs", "0"),
    ("service_tier", "\"default\""),
    ("background", "false"),
    ("store", "false"),
];

/// The members of a request that its answer repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echoed {
    /// Member and value, as JSON on one line.
    members: Vec<(&'static str, String)>,
}

impl Default for Echoed {
    /// Of a request that says nothing beyond its input.
    fn default() -> Self {
        let mut members = defaults();
        members.push(("text", text(None)));
        members.push(("reasoning", reasoning(None)));
        members.push(("tools", "[]".to_owned()));
        Self { members }
    }
}

impl Echoed {
    /// What the answer to this request repeats.
    ///
    /// # Errors
    /// A [`RequestFault`] for what [`super::conversation()`] refuses as well.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let mut cursor = body::object_in(body)?;
        let mut fields = Fields::read(&mut cursor)?;
        cursor.finish()?;
        let mut members = defaults();
        for (name, value) in &mut members {
            if let Some(given) = fields.take(name) {
                *value = on_one_line(given.raw);
            }
        }
        members.push(("text", text(fields.object("text", &Path::Body)?.map(of).transpose()?)));
        let given = fields.object("reasoning", &Path::Body)?.map(of).transpose()?;
        members.push(("reasoning", reasoning(given)));
        members.push(("tools", tools(fields.elements("tools", &Path::Body)?)?));
        Ok(Self { members })
    }

    /// Writes the members into a response object.
    pub(super) fn write(&self, json: &mut Writer) {
        for (name, value) in &self.members {
            json.key(name).raw(value);
        }
        for (name, value) in ALWAYS {
            json.key(name).raw(value);
        }
    }
}

fn defaults() -> Vec<(&'static str, String)> {
    AS_WRITTEN.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn of(value: Value<'_>) -> Result<Fields<'_>, RequestFault> {
    Fields::of(&value, &Path::Body)
}

fn text(mut given: Option<Fields<'_>>) -> String {
    let mut member = |name| given.as_mut().and_then(|fields| fields.take(name)).map(|value| value.raw);
    let (format, verbosity) = (member("format"), member("verbosity"));
    written(|json| {
        json.key("format").raw(format.unwrap_or(r#"{"type":"text"}"#));
        json.raw_member("verbosity", verbosity);
    })
}

fn reasoning(mut given: Option<Fields<'_>>) -> String {
    let mut member = |name| given.as_mut().and_then(|fields| fields.take(name)).map(|value| value.raw);
    let (effort, summary, older) = (member("effort"), member("summary"), member("generate_summary"));
    written(|json| {
        json.key("effort").raw(effort.unwrap_or("null"));
        json.key("summary").raw(summary.or(older).unwrap_or("null"));
    })
}

/// The functions, each with every member that a response has for it. The upstream's own tools are not there, as they
/// were not for the model.
fn tools(given: Vec<Value<'_>>) -> Result<String, RequestFault> {
    let mut functions = Vec::new();
    for tool in given {
        let mut fields = of(tool)?;
        let is_function = fields.take("type").is_some_and(|sort| sort.raw == "\"function\"");
        if is_function {
            functions.push(written(|json| {
                json.key("type").text("function");
                for name in ["name", "description", "parameters", "strict"] {
                    json.key(name).raw(fields.take(name).map_or("null", |value| value.raw));
                }
            }));
        }
    }
    Ok(format!("[{}]", functions.join(",")))
}

fn written(members: impl FnOnce(&mut Writer)) -> String {
    let mut json = Writer::new();
    json.object(members);
    on_one_line(&json.into_text())
}

/// JSON whose line ends, which stand between its tokens, are spaces: an event's data is one line.
fn on_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

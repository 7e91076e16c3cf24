//! A chat request in neutral form: the first half of its translation for an upstream that speaks another dialect.
//!
//! Owns     the meaning of the request's members, and which of them change nothing in an answer.
//! Called   by [`crate::translate`]; where the upstream speaks chat too, [`super::ChatRequest`] passes the bytes.
//! Bounded  by the body: texts without escapes, schemas and numbers are borrowed from it.
//! Fails    with a [`RequestFault`] that names the member by its path. What the neutral form has no place for is
//!          kept as an extra, for the writer to refuse or to name.

use std::borrow::Cow;

use bytes::Bytes;

use crate::body;
use crate::conversation::{Conversation, Effort, Extra, Format, Reasoning, Tool, ToolChoice};
use crate::json::{Cursor, Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

mod message;
mod part;

#[cfg(test)]
mod tests;

use message::Messages;

/// Reads a chat request's body.
///
/// Instructions keep their order and lose their place: every dialect but this one has them before the talk. The
/// model's name is left out, for the target has its own.
///
/// # Errors
/// A [`RequestFault`] for what is not usable JSON or not of the type that the API defines.
pub fn conversation(body: &Bytes) -> Result<Conversation<'_>, RequestFault> {
    let mut cursor = body::object_in(body)?;
    let mut conversation = Conversation::default();
    let mut messages = None;
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        match &*key.name {
            "messages" => messages = Some(value),
            name => take(&mut conversation, name, &value)?,
        }
    }
    cursor.finish()?;
    let messages = messages.ok_or(RequestFault::Missing { param: "messages" })?;
    Messages::new(&mut conversation).read(&messages)?;
    Ok(conversation)
}

/// Takes a member of the body. `null` is as good as no member.
fn take<'a>(conversation: &mut Conversation<'a>, name: &str, value: &Value<'a>) -> Result<(), RequestFault> {
    if value.kind == Kind::Null {
        return Ok(());
    }
    let at = Path::top(name);
    let sampling = &mut conversation.sampling;
    match name {
        // The target has a model of its own, and the writer of the answer shows usage as it is asked to.
        "model" | "stream_options" => {}
        "stream" => conversation.stream = boolean(&at, value)?,
        "temperature" => sampling.temperature = Some(number(&at, value)?),
        "top_p" => sampling.top_p = Some(number(&at, value)?),
        "top_k" => sampling.top_k = Some(number(&at, value)?),
        "frequency_penalty" => sampling.frequency_penalty = Some(number(&at, value)?),
        "presence_penalty" => sampling.presence_penalty = Some(number(&at, value)?),
        "seed" => sampling.seed = Some(number(&at, value)?),
        "max_tokens" | "max_completion_tokens" => {
            let cap = value.as_u64().filter(|cap| *cap > 0);
            let cap = cap.ok_or_else(|| at.expected("a whole number of at least 1"))?;
            // As for the same dialect: given both, the larger.
            conversation.max_output = conversation.max_output.max(Some(cap));
        }
        "stop" => read_stop(conversation, value)?,
        "tools" => read_tools(conversation, value)?,
        "tool_choice" => read_tool_choice(conversation, value)?,
        "parallel_tool_calls" => conversation.parallel_tool_calls = Some(boolean(&at, value)?),
        "response_format" => read_format(conversation, value)?,
        "reasoning_effort" => reasoning(conversation).effort = Some(effort(&at, value)?),
        // The responses API's, which some compatible servers take here as well.
        "reasoning" => read_reasoning(conversation, value)?,
        // Groq's, for models that show their thoughts.
        "include_reasoning" => reasoning(conversation).shown = Some(boolean(&at, value)?),
        // The newer name is for the same thing, and the older one goes on being taken.
        "user" | "safety_identifier" => {
            conversation.user = Some(text(&at, value)?);
            conversation.user_member = if name == "user" { "user" } else { "safety_identifier" };
        }
        _ if is_default(name, value) => {}
        _ if HINTS.contains(&name) => conversation.hints.push(name.to_owned().into()),
        _ => conversation.extras.push(extra(&at, value)),
    }
    Ok(())
}

/// Members that have no place in the neutral form, and by which no answer differs.
///
/// | member | why |
/// |---|---|
/// | `metadata` | labels of a stored answer; no model reads them |
/// | `prompt_cache_key`, `prompt_cache_options`, `prompt_cache_retention` | hints for the upstream's cache of prompts |
/// | `prediction` | makes the same answer come faster |
const HINTS: [&str; 5] =
    ["metadata", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "prediction"];

/// Whether a member says what holds without it.
fn is_default(name: &str, value: &Value<'_>) -> bool {
    match name {
        "store" | "logprobs" | "logit_bias" => value.is_blank(),
        "n" => value.raw == "1",
        "top_logprobs" => value.raw == "0",
        "modalities" => value.raw.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*br#"["text"]"#),
        "service_tier" => matches!(value.raw, r#""auto""# | r#""default""#),
        "verbosity" => value.raw == r#""medium""#,
        _ => false,
    }
}

fn reasoning<'c>(conversation: &'c mut Conversation<'_>) -> &'c mut Reasoning {
    conversation.reasoning.get_or_insert_default()
}

fn read_reasoning<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("reasoning");
    require(&at, value, Kind::Object)?;
    members(value, |name, value| {
        let at = at.member(name);
        match name {
            _ if value.kind == Kind::Null => {}
            "effort" => reasoning(conversation).effort = Some(effort(&at, &value)?),
            "summary" => reasoning(conversation).shown = Some(true),
            _ => conversation.extras.push(extra(&at, &value)),
        }
        Ok(())
    })
}

fn effort(at: &Path<'_>, value: &Value<'_>) -> Result<Effort, RequestFault> {
    effort_named(&text(at, value)?)
        .ok_or_else(|| at.expected("`none`, `minimal`, `low`, `medium`, `high` or `xhigh`"))
}

/// The effort that OpenAI's APIs call so.
pub(crate) fn effort_named(word: &str) -> Option<Effort> {
    match word {
        "none" => Some(Effort::None),
        "minimal" => Some(Effort::Minimal),
        "low" => Some(Effort::Low),
        "medium" => Some(Effort::Medium),
        "high" => Some(Effort::High),
        "xhigh" => Some(Effort::Highest),
        _ => None,
    }
}

fn read_stop<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("stop");
    match value.kind {
        Kind::String => conversation.stop.push(text(&at, value)?),
        Kind::Array => elements(value, |index, stop| {
            conversation.stop.push(text(&at.element(index), &stop)?);
            Ok(())
        })?,
        _ => return Err(at.expected("a string or an array of strings")),
    }
    Ok(())
}

fn read_tools<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("tools");
    require(&at, value, Kind::Array)?;
    elements(value, |index, tool| {
        let at = at.element(index);
        match read_tool(&at, &tool, &mut conversation.extras)? {
            Some(tool) => conversation.tools.push(tool),
            None => conversation.extras.push(extra(&at, &tool)),
        }
        Ok(())
    })
}

/// A function; `None` for a tool of another kind, which only this dialect's providers have.
fn read_tool<'a>(
    at: &Path<'_>,
    value: &Value<'a>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Option<Tool<'a>>, RequestFault> {
    require(at, value, Kind::Object)?;
    let mut others = Vec::new();
    let mut is_function = true;
    let mut function = None;
    let mut cache_control = None;
    members(value, |name, value| {
        match name {
            "type" => is_function = value.raw == r#""function""#,
            "function" => function = Some(value),
            "cache_control" => cache_control = Some(value.raw.into()),
            _ if value.is_blank() => {}
            _ => others.push(extra(&at.member(name), &value)),
        }
        Ok(())
    })?;
    if !is_function {
        return Ok(None);
    }
    extras.append(&mut others);
    let at = at.member("function");
    let function = function.ok_or_else(|| at.expected("an object"))?;
    require(&at, &function, Kind::Object)?;
    let (mut tool_name, mut description, mut schema, mut strict) = (None, None, None, None);
    members(&function, |name, value| {
        let at = at.member(name);
        match name {
            _ if value.kind == Kind::Null => {}
            "name" => tool_name = Some(text(&at, &value)?),
            "description" => description = Some(text(&at, &value)?),
            "parameters" => {
                require(&at, &value, Kind::Object)?;
                schema = Some(value.raw.into());
            }
            "strict" => strict = Some(boolean(&at, &value)?),
            _ if value.is_blank() => {}
            _ => extras.push(extra(&at, &value)),
        }
        Ok(())
    })?;
    let name = tool_name.ok_or_else(|| at.member("name").expected("a string"))?;
    Ok(Some(Tool { name, description, schema, strict, cache_control }))
}

fn read_tool_choice<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("tool_choice");
    let choice = match (value.kind, value.raw) {
        (_, r#""auto""#) => Some(ToolChoice::Auto),
        (_, r#""none""#) => Some(ToolChoice::None),
        (_, r#""required""#) => Some(ToolChoice::Any),
        (Kind::Object, _) => named_function(&at, value)?,
        _ => return Err(at.expected("`auto`, `none`, `required` or an object")),
    };
    match choice {
        Some(choice) => conversation.tool_choice = Some(choice),
        None => conversation.extras.push(extra(&at, value)),
    }
    Ok(())
}

/// `{"type": "function", "function": {"name": …}}`; `None` for a choice of another kind.
fn named_function<'a>(at: &Path<'_>, value: &Value<'a>) -> Result<Option<ToolChoice<'a>>, RequestFault> {
    let mut named = None;
    members(value, |name, value| {
        if name == "function" && value.kind == Kind::Object {
            members(&value, |name, value| {
                if name == "name" {
                    named = Some(text(&at.member("function").member(name), &value)?);
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(named.map(ToolChoice::Named))
}

fn read_format<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("response_format");
    require(&at, value, Kind::Object)?;
    let (mut sort, mut given, mut others) = (None, None, Vec::new());
    members(value, |name, value| {
        match name {
            "type" => sort = Some(text(&at.member(name), &value)?),
            "json_schema" => given = Some(value),
            // Read with the whole where the type is another.
            _ => others.push(extra(&at.member(name), &value)),
        }
        Ok(())
    })?;
    if matches!(sort.as_deref(), Some("text" | "json_object" | "json_schema")) {
        conversation.extras.append(&mut others);
    }
    match (sort.as_deref(), given) {
        (Some("text"), _) => {}
        (Some("json_object"), _) => conversation.format = Some(Format::Json),
        (Some("json_schema"), Some(given)) => {
            read_schema(conversation, &at.member("json_schema"), &given)?;
        }
        (Some("json_schema"), None) => return Err(at.member("json_schema").expected("an object")),
        // A grammar, for instance, which some compatible servers take.
        (Some(_), _) => conversation.extras.push(extra(&at, value)),
        (None, _) => return Err(at.member("type").expected("a string")),
    }
    Ok(())
}

fn read_schema<'a>(
    conversation: &mut Conversation<'a>,
    at: &Path<'_>,
    value: &Value<'a>,
) -> Result<(), RequestFault> {
    require(at, value, Kind::Object)?;
    let (mut schema_name, mut schema, mut strict) = (None, None, None);
    members(value, |name, value| {
        let at = at.member(name);
        match name {
            _ if value.kind == Kind::Null => {}
            "name" => schema_name = Some(text(&at, &value)?),
            "schema" => {
                require(&at, &value, Kind::Object)?;
                schema = Some(value.raw.into());
            }
            "strict" => strict = Some(boolean(&at, &value)?),
            _ => conversation.extras.push(extra(&at, &value)),
        }
        Ok(())
    })?;
    conversation.format = Some(match schema {
        Some(schema) => Format::Schema { name: schema_name.unwrap_or_default(), schema, strict },
        None => Format::Json,
    });
    Ok(())
}

/// A member that has no place in the neutral form.
fn extra<'a>(at: &Path<'_>, value: &Value<'a>) -> Extra<'a> {
    Extra { member: at.to_string().into(), value: value.raw.into() }
}

/// Visits the members of an object; of another kind of value, nothing.
fn members<'a>(
    value: &Value<'a>,
    mut visit: impl FnMut(&str, Value<'a>) -> Result<(), RequestFault>,
) -> Result<(), RequestFault> {
    let mut cursor = Cursor::new(value.raw);
    if cursor.enter_if(Kind::Object)? {
        while let Some(key) = cursor.next_key()? {
            visit(&key.name, cursor.value()?)?;
        }
    }
    Ok(())
}

/// Visits the elements of an array; of another kind of value, nothing.
fn elements<'a>(
    value: &Value<'a>,
    mut visit: impl FnMut(usize, Value<'a>) -> Result<(), RequestFault>,
) -> Result<(), RequestFault> {
    let mut cursor = Cursor::new(value.raw);
    if cursor.enter_if(Kind::Array)? {
        let mut index = 0;
        while cursor.next_element()? {
            visit(index, cursor.value()?)?;
            index += 1;
        }
    }
    Ok(())
}

fn require(at: &Path<'_>, value: &Value<'_>, kind: Kind) -> Result<(), RequestFault> {
    if value.kind == kind { Ok(()) } else { Err(at.expected(kind.described())) }
}

fn text<'a>(at: &Path<'_>, value: &Value<'a>) -> Result<Cow<'a, str>, RequestFault> {
    value.as_text().ok_or_else(|| at.expected("a string"))
}

fn boolean(at: &Path<'_>, value: &Value<'_>) -> Result<bool, RequestFault> {
    value.as_bool().ok_or_else(|| at.expected("a boolean"))
}

fn number<'a>(at: &Path<'_>, value: &Value<'a>) -> Result<Cow<'a, str>, RequestFault> {
    require(at, value, Kind::Number)?;
    Ok(value.raw.into())
}

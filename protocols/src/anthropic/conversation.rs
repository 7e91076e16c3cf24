//! A Messages request in neutral form: the first half of its translation for an upstream that speaks another dialect.
//!
//! Owns     the meaning of the request's members, and which of them change nothing in an answer.
//! Called   by [`crate::translate`]; where the upstream speaks Messages too, [`super::MessagesRequest`] passes the
//!          bytes.
//! Bounded  by the body: texts without escapes, schemas and numbers are borrowed from it.
//! Fails    with a [`RequestFault`] that names the member by its path. What the neutral form has no place for is
//!          kept as an extra, for the writer to refuse or to name.

use std::borrow::Cow;

use bytes::Bytes;

use super::members::{elements, members, pick};
use super::request::{cap, check_messages};
use crate::body::object_in;
use crate::conversation::{Conversation, Effort, Extra, Format, Reasoning, Tool, ToolChoice};
use crate::json::{Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

mod message;

#[cfg(test)]
mod tests;

use message::Messages;

/// Reads a Messages request's body. The model's name is left out, for the target has its own.
///
/// # Errors
/// A [`RequestFault`] for what is not usable JSON or not of the type that the API defines.
pub fn conversation(body: &Bytes) -> Result<Conversation<'_>, RequestFault> {
    let mut cursor = object_in(body)?;
    let mut conversation = Conversation::default();
    let (mut messages, mut system) = (None, None);
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        match &*key.name {
            "messages" => messages = Some(value),
            "system" => system = Some(value).filter(|system| system.kind != Kind::Null),
            name => take(&mut conversation, name, &value)?,
        }
    }
    cursor.finish()?;
    let messages = messages.ok_or(RequestFault::Missing { param: "messages" })?;
    if conversation.max_output.is_none() {
        return Err(RequestFault::Missing { param: "max_tokens" });
    }
    check_messages(&messages)?;
    if let Some(reasoning @ Reasoning { budget_tokens: Some(0), .. }) = &mut conversation.reasoning {
        // What `output_config` says of effort then is about the answer alone.
        reasoning.effort = Some(Effort::None);
    }
    Messages::new(&mut conversation).read(system.as_ref(), &messages)?;
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
        // The target has a model of its own.
        "model" => {}
        "max_tokens" => conversation.max_output = cap(value)?,
        "stream" => conversation.stream = boolean(&at, value)?,
        "temperature" => sampling.temperature = Some(number(&at, value)?),
        "top_p" => sampling.top_p = Some(number(&at, value)?),
        "top_k" => sampling.top_k = Some(number(&at, value)?),
        "stop_sequences" => {
            require(&at, value, Kind::Array)?;
            for (index, stop) in elements(value).iter().enumerate() {
                conversation.stop.push(text(&at.element(index), stop)?);
            }
        }
        "tools" => read_tools(conversation, value)?,
        "tool_choice" => read_tool_choice(conversation, value)?,
        "thinking" => read_thinking(conversation, value)?,
        "output_config" => read_output_config(conversation, value)?,
        // Its name before it moved into `output_config`.
        "output_format" => read_format(conversation, &at, value)?,
        "metadata" => {
            let [user] = pick(value, ["user_id"]);
            conversation.user = user.and_then(|user| user.as_text());
            conversation.user_member = "metadata.user_id";
            if members(value).iter().any(|(name, _)| name != "user_id") {
                conversation.hints.push("metadata".into());
            }
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
/// | `cache_control` | a hint for the upstream's cache of prompts |
/// | `service_tier`, `speed` | how soon the same answer comes |
/// | `diagnostics` | asks for a report on the cache |
/// | `metadata` but for `user_id` | labels; no model reads them |
const HINTS: [&str; 4] = ["cache_control", "service_tier", "speed", "diagnostics"];

/// Whether a member says what holds without it.
fn is_default(name: &str, value: &Value<'_>) -> bool {
    matches!((name, value.raw), ("service_tier", r#""auto""#) | ("speed", r#""standard""#))
}

fn read_tools<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("tools");
    require(&at, value, Kind::Array)?;
    for (index, tool) in elements(value).iter().enumerate() {
        let at = at.element(index);
        require(&at, tool, Kind::Object)?;
        let [sort] = pick(tool, ["type"]);
        match sort.and_then(|sort| sort.as_text()).as_deref() {
            None | Some("custom") => {
                let tool = read_tool(&at, tool, &mut conversation.extras)?;
                conversation.tools.push(tool);
            }
            // A tool that Anthropic runs, or whose schema is known to its models alone.
            Some(_) => conversation.extras.push(extra(&at, tool)),
        }
    }
    Ok(())
}

fn read_tool<'a>(
    at: &Path<'_>,
    tool: &Value<'a>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Tool<'a>, RequestFault> {
    let (mut tool_name, mut description, mut schema) = (None, None, None);
    let (mut strict, mut cache_control) = (None, None);
    for (name, value) in members(tool) {
        let at = at.member(&name);
        match &*name {
            "name" => tool_name = Some(text(&at, &value)?),
            "description" => description = Some(text(&at, &value)?),
            "input_schema" => {
                require(&at, &value, Kind::Object)?;
                schema = Some(value.raw.into());
            }
            "strict" => strict = Some(boolean(&at, &value)?),
            "cache_control" => cache_control = Some(value.raw.into()),
            // How soon arguments are streamed, and what holds without the member.
            "type" | "eager_input_streaming" => {}
            "defer_loading" if value.is_blank() => {}
            "allowed_callers" if is_direct(&value) => {}
            _ => extras.push(extra(&at, &value)),
        }
    }
    let name = tool_name.ok_or_else(|| at.member("name").expected("a string"))?;
    Ok(Tool { name, description, schema, strict, cache_control })
}

/// Whether the model alone may call the tool, and no code that it runs.
fn is_direct(callers: &Value<'_>) -> bool {
    elements(callers).iter().all(|caller| caller.as_text().as_deref() == Some("direct"))
}

fn read_tool_choice<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("tool_choice");
    let [sort, name, is_serial] = pick(value, ["type", "name", "disable_parallel_tool_use"]);
    let sort = sort.and_then(|sort| sort.as_text());
    conversation.tool_choice = Some(match (sort.as_deref(), name) {
        (Some("auto"), _) => ToolChoice::Auto,
        (Some("none"), _) => ToolChoice::None,
        (Some("any"), _) => ToolChoice::Any,
        (Some("tool"), Some(name)) => ToolChoice::Named(text(&at.member("name"), &name)?),
        (Some("tool"), None) => return Err(at.member("name").expected("a string")),
        _ => return Err(at.member("type").expected("`auto`, `any`, `tool` or `none`")),
    });
    if let Some(is_serial) = is_serial {
        let is_serial = boolean(&at.member("disable_parallel_tool_use"), &is_serial)?;
        conversation.parallel_tool_calls = Some(!is_serial);
    }
    Ok(())
}

fn reasoning<'c>(conversation: &'c mut Conversation<'_>) -> &'c mut Reasoning {
    conversation.reasoning.get_or_insert_default()
}

fn read_thinking<'a>(conversation: &mut Conversation<'a>, value: &Value<'a>) -> Result<(), RequestFault> {
    let at = Path::top("thinking");
    let [sort, budget, display] = pick(value, ["type", "budget_tokens", "display"]);
    let shown = display.and_then(|display| display.as_text()).is_none_or(|display| display != "omitted");
    let reasoning = reasoning(conversation);
    match sort.and_then(|sort| sort.as_text()).as_deref() {
        Some("enabled") => {
            let budget = budget.and_then(|budget| budget.as_u64());
            let at = at.member("budget_tokens");
            reasoning.budget_tokens = Some(budget.ok_or_else(|| at.expected("a whole number"))?);
            reasoning.shown = Some(shown);
        }
        Some("adaptive") => reasoning.shown = Some(shown),
        // The second is the first for models that cannot do wholly without.
        Some("disabled" | "between_tools") => reasoning.budget_tokens = Some(0),
        _ => return Err(at.member("type").expected("`enabled`, `adaptive` or `disabled`")),
    }
    Ok(())
}

fn read_output_config<'a>(
    conversation: &mut Conversation<'a>,
    value: &Value<'a>,
) -> Result<(), RequestFault> {
    let at = Path::top("output_config");
    require(&at, value, Kind::Object)?;
    for (name, value) in members(value) {
        let at = at.member(&name);
        match &*name {
            "effort" => {
                let effort = effort_named(&text(&at, &value)?);
                let effort =
                    effort.ok_or_else(|| at.expected("`low`, `medium`, `high`, `xhigh` or `max`"))?;
                reasoning(conversation).effort = Some(effort);
            }
            "format" => read_format(conversation, &at, &value)?,
            _ => conversation.extras.push(extra(&at, &value)),
        }
    }
    Ok(())
}

/// The neutral form has one word for the two highest.
fn effort_named(word: &str) -> Option<Effort> {
    match word {
        "low" => Some(Effort::Low),
        "medium" => Some(Effort::Medium),
        "high" => Some(Effort::High),
        "xhigh" | "max" => Some(Effort::Highest),
        _ => None,
    }
}

/// A schema, which has neither a name here nor a choice how strictly it is followed. `strict` is left open, for what
/// other providers follow strictly must be written in a way that this dialect does not ask for.
fn read_format<'a>(
    conversation: &mut Conversation<'a>,
    at: &Path<'_>,
    value: &Value<'a>,
) -> Result<(), RequestFault> {
    let [sort, schema] = pick(value, ["type", "schema"]);
    match (sort.and_then(|sort| sort.as_text()).as_deref(), schema) {
        (Some("json_schema"), Some(schema)) => {
            require(&at.member("schema"), &schema, Kind::Object)?;
            let schema = schema.raw.into();
            conversation.format = Some(Format::Schema { name: "".into(), schema, strict: None });
        }
        (Some("json_schema"), None) => return Err(at.member("schema").expected("an object")),
        _ => conversation.extras.push(extra(at, value)),
    }
    Ok(())
}

/// A member that has no place in the neutral form.
fn extra<'a>(at: &Path<'_>, value: &Value<'a>) -> Extra<'a> {
    Extra { member: at.to_string().into(), value: value.raw.into() }
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

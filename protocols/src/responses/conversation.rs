//! A request of the Responses API in neutral form: the first half of its translation for an upstream that speaks
//! another dialect.
//!
//! Owns     the meaning of the request's members, and which of them change nothing in an answer.
//! Called   by [`crate::translate`]; where the upstream speaks this dialect too, [`super::ResponsesRequest`] passes the
//!          bytes.
//! Bounded  by the body: texts without escapes, schemas and numbers are borrowed from it.
//! Fails    with a [`RequestFault`] that names the member by its path. What the neutral form has no place for is
//!          kept as an extra, for the writer to refuse or to name.
//!
//! A stored answer cannot be had from an upstream that keeps none: `store: true`, the default, is taken for `false`,
//! and the answer says so.

use std::borrow::Cow;

use bytes::Bytes;

use super::fields::{Fields, elements, extra};
use crate::body;
use crate::conversation::{Content, Conversation, Effort, Extra, Format, Reasoning, Tool, ToolChoice};
use crate::json::Kind;
use crate::openai::RequestFault;
use crate::path::Path;

mod content;
mod item;

#[cfg(test)]
mod tests;

use item::Input;

/// Members that no answer differs by, whatever they say, where the upstream speaks another dialect.
///
/// | member | why |
/// |---|---|
/// | `model` | the target has its own |
/// | `store` | nothing is stored |
/// | `metadata` | labels, which come back in the answer |
/// | `stream_options` | whether events are padded |
/// | `background_options` | of a background answer, which is refused as such |
///
/// What is not stored the answer itself says, and it repeats the labels.
const CHANGES_NOTHING: [&str; 5] = ["model", "store", "metadata", "stream_options", "background_options"];

/// The same, of which the answer says nothing.
///
/// | member | why |
/// |---|---|
/// | `prompt_cache_key`, `prompt_cache_options`, `prompt_cache_retention` | hints for the upstream's cache |
/// | `max_tool_calls` | bounds the upstream's own tools, and those are not carried over |
const HINTS: [&str; 4] =
    ["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls"];

/// Members with the value that holds without them.
const DEFAULTS: [(&str, &str); 5] = [
    ("background", "false"),
    ("truncation", r#""disabled""#),
    ("service_tier", r#""auto""#),
    ("service_tier", r#""default""#),
    ("top_logprobs", "0"),
];

/// Reads a body.
///
/// Instructions and messages of the system and of developers keep their order and come before the talk, as other
/// dialects have them. What the assistant said, thought and called in one go is one turn.
///
/// # Errors
/// A [`RequestFault`] for what is not usable JSON or not of the type that the API defines.
pub fn conversation(body: &Bytes) -> Result<Conversation<'_>, RequestFault> {
    let mut cursor = body::object_in(body)?;
    let mut fields = Fields::read(&mut cursor)?;
    cursor.finish()?;
    let at = Path::Body;
    let mut conversation = Conversation::default();
    if let Some(text) = fields.text("instructions", &at)?.filter(|text| !text.trim().is_empty()) {
        conversation.system.push(Content::Text(text).into());
    }
    let input = fields.take("input").ok_or(RequestFault::Missing { param: "input" })?;
    Input::new(&mut conversation).read(&input, &at.member("input"))?;
    read_tools(&mut fields, &mut conversation)?;
    read_tool_choice(&mut fields, &mut conversation)?;
    read_text(&mut fields, &mut conversation)?;
    read_reasoning(&mut fields, &mut conversation)?;
    let sampling = &mut conversation.sampling;
    sampling.temperature = fields.number("temperature", &at)?;
    sampling.top_p = fields.number("top_p", &at)?;
    sampling.presence_penalty = fields.number("presence_penalty", &at)?;
    sampling.frequency_penalty = fields.number("frequency_penalty", &at)?;
    conversation.parallel_tool_calls = fields.flag("parallel_tool_calls", &at)?;
    conversation.max_output = fields.count("max_output_tokens", &at)?;
    conversation.stream = fields.flag("stream", &at)?.unwrap_or(false);
    // The newer name is for the same thing, and the older one goes on being taken.
    let (user, identifier) = (fields.text("user", &at)?, fields.text("safety_identifier", &at)?);
    conversation.user_member = if user.is_some() { "user" } else { "safety_identifier" };
    conversation.user = user.or(identifier);
    read_include(&mut fields, &mut conversation.extras)?;
    fields.ignore(&CHANGES_NOTHING);
    let hints = HINTS.into_iter().filter(|hint| fields.take(hint).is_some());
    conversation.hints.extend(hints.map(Cow::Borrowed));
    for (name, raw) in DEFAULTS {
        fields.ignore_default(name, raw);
    }
    fields.into_extras(&at, &mut conversation.extras);
    Ok(conversation)
}

fn read_tools<'a>(fields: &mut Fields<'a>, conversation: &mut Conversation<'a>) -> Result<(), RequestFault> {
    let at = Path::Body;
    let at = at.member("tools");
    for (index, tool) in fields.elements("tools", &Path::Body)?.into_iter().enumerate() {
        let at = at.element(index);
        let mut fields = Fields::of(&tool, &at)?;
        if fields.required("type", &at)? != "function" {
            // A tool that the upstream runs itself.
            conversation.extras.push(extra(&at, &tool));
            continue;
        }
        conversation.tools.push(Tool {
            name: fields.required("name", &at)?,
            description: fields.text("description", &at)?,
            schema: fields.object("parameters", &at)?.map(|schema| schema.raw.into()),
            strict: fields.flag("strict", &at)?,
            cache_control: None,
        });
        fields.ignore_default("defer_loading", "false");
        fields.into_extras(&at, &mut conversation.extras);
    }
    Ok(())
}

fn read_tool_choice<'a>(
    fields: &mut Fields<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    let at = Path::top("tool_choice");
    let Some(choice) = fields.take("tool_choice") else { return Ok(()) };
    conversation.tool_choice = match (choice.kind, choice.as_text().as_deref()) {
        (_, Some("auto")) => Some(ToolChoice::Auto),
        (_, Some("none")) => Some(ToolChoice::None),
        (_, Some("required")) => Some(ToolChoice::Any),
        (Kind::Object, _) => {
            let mut fields = Fields::of(&choice, &at)?;
            match &*fields.required("type", &at)? {
                "function" => Some(ToolChoice::Named(fields.required("name", &at)?)),
                // One of the upstream's own tools, or some of several.
                _ => {
                    conversation.extras.push(extra(&at, &choice));
                    None
                }
            }
        }
        _ => return Err(at.expected("`auto`, `none`, `required` or an object")),
    };
    Ok(())
}

/// The form of the answer, and how long-winded it is to be.
fn read_text<'a>(fields: &mut Fields<'a>, conversation: &mut Conversation<'a>) -> Result<(), RequestFault> {
    let at = Path::top("text");
    let Some(text) = fields.object("text", &Path::Body)? else { return Ok(()) };
    let mut text = Fields::of(&text, &at)?;
    if let Some(format) = text.object("format", &at)? {
        let at = at.member("format");
        let mut fields = Fields::of(&format, &at)?;
        match &*fields.required("type", &at)? {
            "text" => {}
            "json_object" => conversation.format = Some(Format::Json),
            "json_schema" => {
                let name = fields.required("name", &at)?;
                let schema = fields.object("schema", &at)?;
                let schema = schema.ok_or_else(|| at.member("schema").expected("an object"))?.raw.into();
                let strict = fields.flag("strict", &at)?;
                conversation.format = Some(Format::Schema { name, schema, strict });
            }
            // A grammar, for instance, which some compatible servers take.
            _ => conversation.extras.push(extra(&at, &format)),
        }
        fields.into_extras(&at, &mut conversation.extras);
    }
    text.ignore_default("verbosity", r#""medium""#);
    text.into_extras(&at, &mut conversation.extras);
    Ok(())
}

fn read_reasoning<'a>(
    fields: &mut Fields<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    let at = Path::top("reasoning");
    let Some(reasoning) = fields.object("reasoning", &Path::Body)? else { return Ok(()) };
    let mut fields = Fields::of(&reasoning, &at)?;
    let effort = match fields.text("effort", &at)? {
        Some(word) => Some(effort_named(&word).ok_or_else(|| at.member("effort").expected(EFFORTS))?),
        None => None,
    };
    // The older name of the same member, which some clients send beside it.
    let (summary, older) = (fields.text("summary", &at)?, fields.text("generate_summary", &at)?);
    let shown = summary.or(older).is_some().then_some(true);
    if effort.is_some() || shown.is_some() {
        conversation.reasoning = Some(Reasoning { effort, budget_tokens: None, shown });
    }
    fields.ignore_default("context", r#""auto""#);
    fields.ignore_default("mode", r#""standard""#);
    fields.into_extras(&at, &mut conversation.extras);
    Ok(())
}

const EFFORTS: &str = "`none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`";

fn effort_named(word: &str) -> Option<Effort> {
    Some(match word {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" | "max" => Effort::Highest,
        _ => return None,
    })
}

/// What is to be in the answer beside the usual. A thought's encrypted text is there whenever the upstream signs its
/// thoughts, and what is said of the upstream's own tools goes with those.
fn read_include<'a>(fields: &mut Fields<'a>, extras: &mut Vec<Extra<'a>>) -> Result<(), RequestFault> {
    let at = Path::top("include");
    let Some(include) = fields.take("include") else { return Ok(()) };
    for (index, included) in elements(&include)?.iter().enumerate() {
        let at = at.element(index);
        let name = included.as_text().ok_or_else(|| at.expected("a string"))?;
        if name.starts_with("message.") && name != "message.input_image.image_url" {
            extras.push(extra(&at, included));
        }
    }
    Ok(())
}

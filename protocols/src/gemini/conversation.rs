//! A generateContent request in no vendor's words, for upstreams of another dialect.
//!
//! Owns     what each member of the body means. Contents are read by [`super::turns`].
//! Called   by the translation of requests, with a body that [`super::GenerateRequest::read`] has accepted.
//! Bounded  by the body: texts and raw JSON are borrowed from it wherever they need no decoding.
//! Fails    with a [`RequestFault`] that names the member by its path.
//!
//! What has no place in the neutral form goes to its extras, but for what changes nothing elsewhere:
//!
//! | member | why it may go |
//! | --- | --- |
//! | `model` | the path names the model |
//! | blank values (`null`, `false`, `""`, `[]`, `{}`) | they say nothing |
//! | `candidateCount` of 1, `responseModalities` of text alone, `responseMimeType` of `text/plain` | the default |
//! | `thoughtSignature` of Google's own | only Google can read it; on a call it is kept |
//! | `propertyOrdering` in a schema | an order of writing, not of meaning |

use std::borrow::Cow;

use bytes::Bytes;

use crate::conversation::{Conversation, Effort, Extra, Format, Reasoning, Tool, ToolChoice};
use crate::gemini::members::{count, each_element, each_member, number_at, text_at};
use crate::gemini::request::{check_contents, whole_object};
use crate::gemini::schema::to_json_schema;
use crate::gemini::turns::Turns;
use crate::json::{self, Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

#[cfg(test)]
mod tests;

/// Reads a body. Whether the answer is to be streamed stands in the path.
///
/// # Errors
/// A [`RequestFault`]; its text is for the caller.
pub fn conversation(body: &Bytes, stream: bool) -> Result<Conversation<'_>, RequestFault> {
    let whole = whole_object(json::utf8(body)?)?;
    let mut conversation = Conversation { stream, ..Conversation::default() };
    let mut turns = Turns::default();
    let mut has_contents = false;
    each_member(&Path::Body, &whole, |name, path, value| match name {
        "contents" => {
            has_contents = true;
            check_contents(value)?;
            turns.read(path, value, &mut conversation)
        }
        "systemInstruction" => turns.read_system(path, value, &mut conversation),
        "tools" => each_element(path, value, |path, tool| read_tool(path, tool, &mut conversation)),
        "toolConfig" => read_tool_config(path, value, &mut conversation),
        "generationConfig" => read_config(path, value, &mut conversation),
        "model" => Ok(()),
        _ => keep(path, value, &mut conversation),
    })?;
    if has_contents { Ok(conversation) } else { Err(RequestFault::Missing { param: "contents" }) }
}

/// Keeps a member for which the neutral form has no place, unless it says nothing.
pub(super) fn keep<'a>(
    path: &Path<'_>,
    value: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    if !value.is_blank() {
        let (member, value) = (Cow::Owned(path.to_string()), Cow::Borrowed(value.raw));
        conversation.extras.push(Extra { member, value });
    }
    Ok(())
}

fn read_tool<'a>(
    path: &Path<'_>,
    tool: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    each_member(path, tool, |name, path, value| match name {
        "functionDeclarations" => {
            each_element(path, value, |path, function| read_function(path, function, conversation))
        }
        // Tools that run at Google. An empty object asks for one with its defaults.
        _ => {
            let (member, value) = (Cow::Owned(path.to_string()), Cow::Borrowed(value.raw));
            conversation.extras.push(Extra { member, value });
            Ok(())
        }
    })
}

fn read_function<'a>(
    path: &Path<'_>,
    function: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    let mut tool =
        Tool { name: Cow::Borrowed(""), description: None, schema: None, strict: None, cache_control: None };
    let mut returned = None;
    each_member(path, function, |name, path, value| {
        match name {
            "name" => tool.name = text_at(path, value)?,
            "description" => tool.description = Some(text_at(path, value)?),
            "parameters" => tool.schema = Some(Cow::Owned(to_json_schema(value)?)),
            "parametersJsonSchema" => tool.schema = Some(Cow::Borrowed(value.raw)),
            "response" => returned = Some(Cow::Owned(to_json_schema(value)?)),
            "responseJsonSchema" => returned = Some(Cow::Borrowed(value.raw)),
            _ => keep(path, value, conversation)?,
        }
        Ok(())
    })?;
    if tool.name.is_empty() {
        return Err(path.member("name").expected("the name of a function"));
    }
    if let Some(returned) = returned {
        // Elsewhere a tool says in words what it returns.
        let described = tool.description.map(|description| format!("{description}\n\n")).unwrap_or_default();
        tool.description = Some(Cow::Owned(format!("{described}Returns JSON with this schema: {returned}")));
    }
    conversation.tools.push(tool);
    Ok(())
}

fn read_tool_config<'a>(
    path: &Path<'_>,
    config: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    each_member(path, config, |name, path, value| match name {
        "functionCallingConfig" => read_calling(path, value, conversation),
        _ => keep(path, value, conversation),
    })
}

/// The modes of calling functions. One allowed name is that function; several have no equal.
fn read_calling<'a>(
    path: &Path<'_>,
    config: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    let mut only = None;
    each_member(path, config, |name, path, value| match name {
        "mode" => {
            conversation.tool_choice = match &*text_at(path, value)?.to_ascii_uppercase() {
                "AUTO" => Some(ToolChoice::Auto),
                "ANY" => Some(ToolChoice::Any),
                "NONE" => Some(ToolChoice::None),
                "MODE_UNSPECIFIED" => None,
                // Another promise about the arguments than any other dialect makes.
                _ => return keep(path, value, conversation),
            };
            Ok(())
        }
        "allowedFunctionNames" => {
            let mut names = Vec::new();
            each_text(path, value, |name| names.push(name))?;
            if names.len() > 1 {
                return keep(path, value, conversation);
            }
            only = names.pop();
            Ok(())
        }
        _ => keep(path, value, conversation),
    })?;
    if let (Some(name), Some(ToolChoice::Any)) = (only, &conversation.tool_choice) {
        conversation.tool_choice = Some(ToolChoice::Named(name));
    }
    Ok(())
}

/// Visits the texts of a list.
fn each_text<'a>(
    path: &Path<'_>,
    list: &Value<'a>,
    mut visit: impl FnMut(Cow<'a, str>),
) -> Result<(), RequestFault> {
    if list.kind != Kind::Array {
        return Err(path.expected("an array"));
    }
    each_element(path, list, |path, value| {
        visit(text_at(path, value)?);
        Ok(())
    })
}

fn read_config<'a>(
    path: &Path<'_>,
    config: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    let mut schema = None;
    let mut is_json = false;
    each_member(path, config, |name, path, value| {
        let sampling = &mut conversation.sampling;
        match name {
            "temperature" => sampling.temperature = Some(number_at(path, value)?),
            "topP" => sampling.top_p = Some(number_at(path, value)?),
            "topK" => sampling.top_k = Some(number_at(path, value)?),
            "frequencyPenalty" => sampling.frequency_penalty = Some(number_at(path, value)?),
            "presencePenalty" => sampling.presence_penalty = Some(number_at(path, value)?),
            "seed" => sampling.seed = Some(number_at(path, value)?),
            "maxOutputTokens" => {
                conversation.max_output = Some(count(value).ok_or_else(|| path.expected("a whole number"))?);
            }
            "stopSequences" => each_text(path, value, |text| {
                if !text.is_empty() {
                    conversation.stop.push(text);
                }
            })?,
            "responseMimeType" => match &*text_at(path, value)? {
                "application/json" => is_json = true,
                "text/plain" => {}
                _ => keep(path, value, conversation)?,
            },
            "responseSchema" => schema = Some(Cow::Owned(to_json_schema(value)?)),
            "responseJsonSchema" | "_responseJsonSchema" => schema = Some(Cow::Borrowed(value.raw)),
            "thinkingConfig" => read_thinking(path, value, conversation)?,
            "candidateCount" if count(value) == Some(1) => {}
            "responseModalities" if is_text_alone(path, value)? => {}
            _ => keep(path, value, conversation)?,
        }
        Ok(())
    })?;
    conversation.format = match schema {
        Some(schema) => Some(Format::Schema { name: Cow::Borrowed(""), schema, strict: None }),
        None => is_json.then_some(Format::Json),
    };
    Ok(())
}

fn is_text_alone(path: &Path<'_>, modalities: &Value<'_>) -> Result<bool, RequestFault> {
    let mut text_alone = true;
    each_text(path, modalities, |modality| text_alone &= modality.eq_ignore_ascii_case("TEXT"))?;
    Ok(text_alone)
}

fn read_thinking<'a>(
    path: &Path<'_>,
    config: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<(), RequestFault> {
    let mut reasoning = Reasoning::default();
    each_member(path, config, |name, path, value| {
        match name {
            "includeThoughts" => {
                reasoning.shown = Some(value.as_bool().ok_or_else(|| path.expected("a boolean"))?);
            }
            // Below zero the model chooses, as without a budget.
            "thinkingBudget" => match count(value) {
                Some(tokens) => reasoning.budget_tokens = Some(tokens),
                None if number_at(path, value)?.starts_with('-') => {}
                None => return Err(path.expected("a whole number")),
            },
            "thinkingLevel" => {
                reasoning.effort = match &*text_at(path, value)?.to_ascii_lowercase() {
                    "minimal" => Some(Effort::Minimal),
                    "low" => Some(Effort::Low),
                    "medium" => Some(Effort::Medium),
                    "high" => Some(Effort::High),
                    "thinking_level_unspecified" => None,
                    _ => return keep(path, value, conversation),
                };
            }
            _ => keep(path, value, conversation)?,
        }
        Ok(())
    })?;
    conversation.reasoning = Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default());
    Ok(())
}

//! Input items, written from turns.
//!
//! Owns     how a turn becomes items: what is said goes into messages; calls, results and thoughts are items of their
//!          own, each in its place.
//! Called   by [`super::render_request`].
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for a part in a form that the API has no member for.

use std::borrow::Cow;

use crate::conversation::{Content, Conversation, Losses, Part, Role, Source, Turn, Untranslatable};
use crate::json::Writer;

/// Between instructions that stood apart.
const PARAGRAPH: &str = "\n\n";

/// What stands before a result that is a failure, which the API has no member for.
const FAILED: &str = "Error:";

/// Writes the members `instructions` and `input`.
pub(super) fn input(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let instructions: Vec<&str> = conversation.system.iter().filter_map(text_of).collect();
    if !instructions.is_empty() {
        json.key("instructions").text(&instructions.join(PARAGRAPH));
    }
    let mut lost = Ok(());
    json.key("input").array(|json| {
        lost = conversation.turns.iter().try_for_each(|turn| items(json, turn, losses));
    });
    lost
}

fn text_of<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.content {
        Content::Text(text) => Some(text),
        _ => None,
    }
}

/// The items of a turn. Neighbouring parts that are said make one message.
fn items(json: &mut Writer, turn: &Turn<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    let mut parts = turn.parts.as_slice();
    while let Some((first, rest)) = parts.split_first() {
        if is_item(first) {
            item(json, first, losses)?;
            parts = rest;
            continue;
        }
        let length = parts.iter().take_while(|part| !is_item(part)).count();
        let (said, rest) = parts.split_at(length);
        message(json, turn.role, said, losses)?;
        parts = rest;
    }
    Ok(())
}

/// Whether a part is no part of a message here.
fn is_item(part: &Part<'_>) -> bool {
    matches!(
        part.content,
        Content::Call(_)
            | Content::Result { .. }
            | Content::Thinking { .. }
            | Content::RedactedThinking { .. }
    )
}

fn message(
    json: &mut Writer,
    role: Role,
    said: &[Part<'_>],
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    // Content that does not go into an item must not leave an empty message behind.
    let mut parts = Vec::with_capacity(said.len());
    for part in said {
        parts.extend(match role {
            Role::User => input_part(part, losses)?,
            Role::Assistant => output_part(part, losses)?,
        });
    }
    if parts.is_empty() {
        return Ok(());
    }
    json.object(|json| {
        json.key("type").text("message");
        json.key("role").text(match role {
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        json.key("content").array(|json| parts.iter().for_each(|part| json.raw(part)));
    });
    Ok(())
}

/// A call, a result or a thought.
fn item(json: &mut Writer, part: &Part<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    match &part.content {
        Content::Call(call) => json.object(|json| {
            json.key("type").text("function_call");
            json.key("call_id").text(&call.id);
            json.key("name").text(&call.name);
            json.key("arguments").text(&call.arguments);
        }),
        Content::Result { id, parts, is_error, .. } => result(json, id, parts, *is_error, losses)?,
        Content::Thinking { text, signature: Some(encrypted) } => thought(json, Some(text), encrypted),
        Content::RedactedThinking { data } => thought(json, None, data),
        // Models are not shown what they thought in earlier turns, and what nobody signed cannot be handed back.
        _ => {}
    }
    Ok(())
}

fn result(
    json: &mut Writer,
    id: &str,
    parts: &[Part<'_>],
    is_error: bool,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let mut output = Vec::with_capacity(parts.len() + 1);
    if is_error {
        output.push(input_text(FAILED));
    }
    for part in parts {
        output.extend(input_part(part, losses)?);
    }
    json.object(|json| {
        json.key("type").text("function_call_output");
        json.key("call_id").text(id);
        match (parts, is_error) {
            ([], false) => json.key("output").text(""),
            ([Part { content: Content::Text(text), .. }], false) => json.key("output").text(text),
            _ => json.key("output").array(|json| output.iter().for_each(|part| json.raw(part))),
        }
    });
    Ok(())
}

fn thought(json: &mut Writer, text: Option<&str>, encrypted: &str) {
    json.object(|json| {
        json.key("type").text("reasoning");
        json.key("summary").array(|json| {
            if let Some(text) = text {
                json.object(|json| {
                    json.key("type").text("summary_text");
                    json.key("text").text(text);
                });
            }
        });
        json.key("encrypted_content").text(encrypted);
    });
}

fn written(members: impl FnOnce(&mut Writer)) -> String {
    let mut json = Writer::new();
    json.object(members);
    json.into_text()
}

fn input_text(text: &str) -> String {
    written(|json| {
        json.key("type").text("input_text");
        json.key("text").text(text);
    })
}

/// A part of what the user says or a tool gave back; `None` for one that was lost.
fn input_part(part: &Part<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    let written = match &part.content {
        Content::Text(text) | Content::Refusal(text) => input_text(text),
        Content::Image { source, detail } => written(|json| {
            json.key("type").text("input_image");
            json.key("detail").text(detail.as_deref().unwrap_or("auto"));
            match source {
                Source::Base64 { media_type, data } => {
                    json.key("image_url").text(&data_url(media_type, data));
                }
                Source::Url(url) => json.key("image_url").text(url),
                Source::FileId(id) => json.key("file_id").text(id),
            }
        }),
        Content::Document { source, name } => document(source, name.as_deref()),
        Content::Audio { source } => return sound(source, losses),
        Content::Call(_)
        | Content::Result { .. }
        | Content::Thinking { .. }
        | Content::RedactedThinking { .. } => {
            losses.lose("a call, result or thought within a tool's result")?;
            return Ok(None);
        }
    };
    Ok(Some(written))
}

/// A part of what the assistant said; `None` for one that was lost.
fn output_part(part: &Part<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    match &part.content {
        Content::Text(text) => Ok(Some(written(|json| {
            json.key("type").text("output_text");
            json.key("text").text(text);
            json.key("annotations").raw("[]");
        }))),
        Content::Refusal(text) => Ok(Some(written(|json| {
            json.key("type").text("refusal");
            json.key("refusal").text(text);
        }))),
        _ => {
            losses.lose("an image, document or sound that the assistant made")?;
            Ok(None)
        }
    }
}

fn document(source: &Source<'_>, name: Option<&str>) -> String {
    written(|json| {
        json.key("type").text("input_file");
        match source {
            Source::Base64 { media_type, data } => {
                // The API wants a name beside the bytes, and reads the type off its end.
                let named = name.map_or_else(|| file_name(media_type), Cow::Borrowed);
                json.key("filename").text(&named);
                json.key("file_data").text(&data_url(media_type, data));
            }
            Source::Url(url) => json.key("file_url").text(url),
            Source::FileId(id) => json.key("file_id").text(id),
        }
    })
}

fn file_name(media_type: &str) -> Cow<'static, str> {
    match media_type {
        "text/plain" => "document.txt".into(),
        other => {
            let ending = other.split_once('/').map_or("pdf", |(_, ending)| ending);
            format!("document.{ending}").into()
        }
    }
}

/// The API takes two forms of sound ("input_audio" in OpenAI's API reference).
fn sound(source: &Source<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    let Source::Base64 { media_type, data } = source else {
        losses.lose("a sound that is not in the request itself")?;
        return Ok(None);
    };
    let format = match &**media_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/mp3" | "audio/mpeg" => "mp3",
        other => {
            losses.lose(format!("a sound of type {other}"))?;
            return Ok(None);
        }
    };
    Ok(Some(written(|json| {
        json.key("type").text("input_audio");
        json.key("input_audio").object(|json| {
            json.key("data").text(data);
            json.key("format").text(format);
        });
    })))
}

fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

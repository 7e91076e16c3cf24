//! The messages of a chat request, written from turns.
//!
//! Owns     how a turn becomes messages: results of tools first and each its own, then what the user says; pictures
//!          that a tool gave back follow in a message of the user, for a tool's message holds text alone.
//! Called   by [`super::render_request`].
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for a document, picture or sound in a form that chat has no member for.

use std::borrow::Cow;

use crate::conversation::{Call, Content, Conversation, Losses, Part, Role, Source, Turn, Untranslatable};
use crate::json::Writer;

/// Between texts that stood apart. Assistants' texts are pieces of one and are joined as they are.
const PARAGRAPH: &str = "\n\n";

/// What a tool's message says when all that came back is in the message behind it.
const SEE_BELOW: &str = "The result follows in the next message.";

/// What stands before the text of a result that is a failure, which chat has no member for.
const FAILED: &str = "Error: ";

/// Writes the member `messages`.
pub(super) fn messages(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let mut lost = Ok(());
    json.key("messages").array(|json| {
        if !conversation.system.is_empty() {
            let text = joined(&conversation.system, PARAGRAPH);
            message(json, "system", |json| json.key("content").text(&text));
        }
        lost = conversation.turns.iter().try_for_each(|turn| match turn.role {
            Role::User => user(json, turn, losses),
            Role::Assistant => assistant(json, turn, losses),
        });
    });
    lost
}

fn message(json: &mut Writer, role: &str, members: impl FnOnce(&mut Writer)) {
    json.object(|json| {
        json.key("role").text(role);
        members(json);
    });
}

/// The texts among these parts.
fn joined<'p>(parts: &'p [Part<'_>], between: &str) -> Cow<'p, str> {
    let mut texts = parts.iter().filter_map(|part| match &part.content {
        Content::Text(text) => Some(&**text),
        _ => None,
    });
    match (texts.next(), texts.next()) {
        (None, _) => Cow::Borrowed(""),
        (Some(only), None) => Cow::Borrowed(only),
        (Some(first), Some(second)) => {
            let all: Vec<&str> = [first, second].into_iter().chain(texts).collect();
            Cow::Owned(all.join(between))
        }
    }
}

fn user(json: &mut Writer, turn: &Turn<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    let mut said: Vec<&Part<'_>> = Vec::new();
    let mut shown: Vec<(&str, &Part<'_>)> = Vec::new();
    for part in &turn.parts {
        match &part.content {
            Content::Result { id, parts, is_error, .. } => {
                result(json, id, parts, *is_error);
                let not_text = |part: &&Part<'_>| !matches!(part.content, Content::Text(_));
                shown.extend(parts.iter().filter(not_text).map(|part| (&**id, part)));
            }
            _ => said.push(part),
        }
    }
    if shown.is_empty() && said.iter().all(|part| matches!(part.content, Content::Text(_))) {
        if !said.is_empty() {
            let said: Vec<Part<'_>> = said.into_iter().cloned().collect();
            message(json, "user", |json| json.key("content").text(&joined(&said, PARAGRAPH)));
        }
        return Ok(());
    }
    let mut lost = Ok(());
    message(json, "user", |json| {
        json.key("content").array(|json| {
            lost = attachments(json, &shown, losses)
                .and_then(|()| said.into_iter().try_for_each(|said| part(json, said, losses)));
        });
    });
    lost
}

/// What tools gave back beside text, each behind a line that says whose it is.
fn attachments(
    json: &mut Writer,
    shown: &[(&str, &Part<'_>)],
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let mut call_before = None;
    for (call, shown) in shown {
        if call_before.replace(call) != Some(call) {
            text(json, &format!("Result of the tool call {call}:"));
        }
        part(json, shown, losses)?;
    }
    Ok(())
}

fn result(json: &mut Writer, id: &str, parts: &[Part<'_>], is_error: bool) {
    let mut said = joined(parts, PARAGRAPH);
    if said.is_empty() && !parts.is_empty() {
        said = Cow::Borrowed(SEE_BELOW);
    }
    if is_error {
        said = Cow::Owned(format!("{FAILED}{said}"));
    }
    message(json, "tool", |json| {
        json.key("tool_call_id").text(id);
        json.key("content").text(&said);
    });
}

fn assistant(json: &mut Writer, turn: &Turn<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    let mut refusal = String::new();
    let mut calls = Vec::new();
    for part in &turn.parts {
        match &part.content {
            Content::Text(_) | Content::Thinking { .. } | Content::RedactedThinking { .. } => {}
            Content::Refusal(text) => refusal.push_str(text),
            Content::Call(call) => calls.push(call),
            Content::Image { .. } => losses.lose("an image that the assistant made")?,
            Content::Document { .. } => losses.lose("a document of the assistant")?,
            Content::Audio { .. } => losses.lose("a sound that the assistant made")?,
            Content::Result { .. } => losses.lose("a tool's result in an assistant's turn")?,
        }
    }
    let text = joined(&turn.parts, "");
    if text.is_empty() && refusal.is_empty() && calls.is_empty() {
        // Thoughts alone, which no chat model is shown.
        return Ok(());
    }
    message(json, "assistant", |json| {
        match text.is_empty() {
            false => json.key("content").text(&text),
            true => json.key("content").null(),
        }
        if !refusal.is_empty() {
            json.key("refusal").text(&refusal);
        }
        if !calls.is_empty() {
            json.key("tool_calls").array(|json| calls.into_iter().for_each(|made| call(json, made)));
        }
    });
    Ok(())
}

fn call(json: &mut Writer, call: &Call<'_>) {
    json.object(|json| {
        json.key("id").text(&call.id);
        json.key("type").text("function");
        json.key("function").object(|json| {
            json.key("name").text(&call.name);
            json.key("arguments").text(&call.arguments);
        });
        if let Some(signature) = &call.signature {
            thought_signature(json, signature);
        }
    });
}

/// Gemini's signature on a call, where its own compatible surface has it.
pub(crate) fn thought_signature(json: &mut Writer, signature: &str) {
    json.key("extra_content").object(|json| {
        json.key("google").object(|json| json.key("thought_signature").text(signature));
    });
}

fn text(json: &mut Writer, text: &str) {
    json.object(|json| {
        json.key("type").text("text");
        json.key("text").text(text);
    });
}

/// A part of what the user says.
fn part(json: &mut Writer, part: &Part<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    match &part.content {
        Content::Text(said) => text(json, said),
        Content::Image { source, detail } => {
            let url = match source {
                Source::Url(url) => url.clone(),
                Source::Base64 { media_type, data } => data_url(media_type, data).into(),
                Source::FileId(_) => return losses.lose("an image by its file id"),
            };
            json.object(|json| {
                json.key("type").text("image_url");
                json.key("image_url").object(|json| {
                    json.key("url").text(&url);
                    json.text_member("detail", detail.as_deref());
                });
            });
        }
        Content::Audio { source } => return sound(json, source, losses),
        Content::Document { source, name } => return document(json, source, name.as_deref(), losses),
        Content::Call(_) => return losses.lose("a tool call in a user's turn"),
        Content::Thinking { .. } | Content::RedactedThinking { .. } => {
            return losses.lose("a thought in a user's turn");
        }
        Content::Refusal(said) => text(json, said),
        Content::Result { .. } => return losses.lose("a tool's result within another"),
    }
    Ok(())
}

/// The API takes two forms of sound ("input_audio" in OpenAI's API reference).
fn sound(json: &mut Writer, source: &Source<'_>, losses: &mut Losses) -> Result<(), Untranslatable> {
    let Source::Base64 { media_type, data } = source else {
        return losses.lose("a sound that is not in the request itself");
    };
    let format = match &**media_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/mp3" | "audio/mpeg" => "mp3",
        other => return losses.lose(format!("a sound of type {other}")),
    };
    json.object(|json| {
        json.key("type").text("input_audio");
        json.key("input_audio").object(|json| {
            json.key("data").text(data);
            json.key("format").text(format);
        });
    });
    Ok(())
}

fn document(
    json: &mut Writer,
    source: &Source<'_>,
    name: Option<&str>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let (member, value) = match source {
        Source::Base64 { media_type, data } => ("file_data", data_url(media_type, data)),
        Source::FileId(id) => ("file_id", id.to_string()),
        Source::Url(_) => return losses.lose("a document at an address"),
    };
    json.object(|json| {
        json.key("type").text("file");
        json.key("file").object(|json| {
            // The API wants a name beside the bytes.
            let named = if member == "file_data" { name.or(Some("document")) } else { name };
            json.text_member("filename", named);
            json.key(member).text(&value);
        });
    });
    Ok(())
}

fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

//! What is said, as messages and content blocks.
//!
//! Owns     the rules of the API for messages: sides take turns, results of tools come first in the user's, no text is
//!          blank, and an id is of letters, digits, `_` and `-`.
//! Called   by [`super::render_request`]: first [`said`], which finds what has no equal, then [`write`].
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for sound, for a document of a type that the API does not read, and for what the
//!          other side would have to say.

use std::borrow::Cow;

use super::DIALECT;
use crate::conversation::{Call, Content, Losses, Part, Role, Source, Turn, Untranslatable};
use crate::json::Writer;

/// All that one side says before the other does.
#[derive(Debug)]
pub(super) struct Said<'c, 'a> {
    role: Role,
    parts: Vec<&'c Part<'a>>,
}

impl<'c, 'a> Said<'c, 'a> {
    pub(super) fn by_user(parts: Vec<&'c Part<'a>>) -> Self {
        Self { role: Role::User, parts }
    }

    pub(super) fn role(&self) -> &'static str {
        match self.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }

    pub(super) fn parts(&self) -> &[&'c Part<'a>] {
        &self.parts
    }
}

/// The turns without what is lost or says nothing, neighbours of one side together.
pub(super) fn said<'c, 'a>(
    turns: &'c [Turn<'a>],
    losses: &mut Losses,
) -> Result<Vec<Said<'c, 'a>>, Untranslatable> {
    let mut all: Vec<Said<'c, 'a>> = Vec::new();
    for Turn { role, parts } in turns {
        for part in parts {
            if !is_said(*role, part, losses)? {
                continue;
            }
            match all.last_mut().filter(|last| last.role == *role) {
                Some(last) => last.parts.push(part),
                None => all.push(Said { role: *role, parts: vec![part] }),
            }
        }
    }
    for said in &mut all {
        // Stable, so that all else keeps its order.
        said.parts.sort_by_key(|part| !matches!(part.content, Content::Result { .. }));
    }
    Ok(all)
}

/// Whether a part is written.
fn is_said(role: Role, part: &Part<'_>, losses: &mut Losses) -> Result<bool, Untranslatable> {
    let lost = match (&part.content, role) {
        (Content::Text(_) | Content::Refusal(_), _) => return Ok(!is_blank(part)),
        (
            Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking { .. },
            Role::Assistant,
        )
        | (Content::Call(_), Role::Assistant) => return Ok(true),
        // Only what the upstream signed comes back to it.
        (Content::Thinking { signature: None, .. }, Role::Assistant) => return Ok(false),
        (Content::Image { .. } | Content::Document { .. }, Role::User) => return is_shown(part, losses),
        (Content::Result { parts, .. }, Role::User) => {
            for part in parts {
                is_shown(part, losses)?;
            }
            return Ok(true);
        }
        (Content::Audio { .. }, _) => "a sound",
        (Content::Image { .. }, Role::Assistant) => "an image that the assistant made",
        (Content::Document { .. }, Role::Assistant) => "a document of the assistant",
        (Content::Result { .. }, Role::Assistant) => "a tool's result in an assistant's turn",
        (Content::Call(_), Role::User) => "a tool call in a user's turn",
        (Content::Thinking { .. } | Content::RedactedThinking { .. }, Role::User) => {
            "a thought in a user's turn"
        }
    };
    losses.lose(lost)?;
    Ok(false)
}

/// Whether a part of what is shown to the model (by the user, or in a tool's result) is written.
fn is_shown(part: &Part<'_>, losses: &mut Losses) -> Result<bool, Untranslatable> {
    match &part.content {
        Content::Text(_) | Content::Refusal(_) => Ok(!is_blank(part)),
        Content::Image { detail, .. } => {
            // The model always looks closely.
            if detail.as_deref() == Some("low") {
                losses.lose("the low detail of an image")?;
            }
            Ok(true)
        }
        Content::Document { source: Source::Base64 { media_type, .. }, .. }
            if media_type != "application/pdf" =>
        {
            losses.lose(format!("a document of type {media_type}"))?;
            Ok(false)
        }
        Content::Document { .. } => Ok(true),
        Content::Audio { .. } => losses.lose("a sound").map(|()| false),
        Content::Call(_)
        | Content::Result { .. }
        | Content::Thinking { .. }
        | Content::RedactedThinking { .. } => {
            losses.lose("a call, a result or a thought within a tool's result").map(|()| false)
        }
    }
}

pub(super) fn is_text(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Text(_))
}

/// Whether a text says nothing, which the API refuses.
pub(super) fn is_blank(part: &Part<'_>) -> bool {
    matches!(&part.content, Content::Text(text) | Content::Refusal(text) if text.trim().is_empty())
}

/// Writes parts: one plain text as a string, all else as blocks.
pub(super) fn write(json: &mut Writer, parts: &[&Part<'_>]) {
    match parts {
        [Part { content: Content::Text(text) | Content::Refusal(text), cache_control: None }] => {
            json.text(text)
        }
        parts => json.array(|json| parts.iter().for_each(|part| block(json, part))),
    }
}

fn block(json: &mut Writer, part: &Part<'_>) {
    let marker = part.cache_control.as_deref();
    json.object(|json| {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => {
                json.key("type").text("text");
                json.key("text").text(text);
            }
            Content::Image { source, .. } => {
                json.key("type").text("image");
                json.key("source").object(|json| write_source(json, source));
            }
            Content::Document { source, name } => {
                json.key("type").text("document");
                json.key("source").object(|json| write_source(json, source));
                json.text_member("title", name.as_deref());
            }
            Content::Call(call) => {
                json.key("type").text("tool_use");
                json.key("id").text(&tool_use_id(&call.id));
                json.key("name").text(&call.name);
                json.key("input").raw(&Call::object_of(Cow::Borrowed(&call.arguments)));
            }
            Content::Result { id, parts, is_error, .. } => {
                json.key("type").text("tool_result");
                json.key("tool_use_id").text(&tool_use_id(id));
                let shown: Vec<&Part<'_>> = parts.iter().filter(|part| is_written_in_result(part)).collect();
                if !shown.is_empty() {
                    write(json.key("content"), &shown);
                }
                if *is_error {
                    json.key("is_error").bool(true);
                }
            }
            // The API takes no marker on a thought.
            Content::Thinking { text, signature } => {
                json.key("type").text("thinking");
                json.key("thinking").text(text);
                json.key("signature").text(signature.as_deref().unwrap_or_default());
                return;
            }
            Content::RedactedThinking { data } => {
                json.key("type").text("redacted_thinking");
                json.key("data").text(data);
                return;
            }
            // Not written: see `is_said`.
            Content::Audio { .. } => return,
        }
        json.raw_member("cache_control", marker);
    });
}

/// What [`is_shown`] let pass.
fn is_written_in_result(part: &Part<'_>) -> bool {
    is_shown(part, &mut Losses::new(DIALECT, true)).unwrap_or(false)
}

fn write_source(json: &mut Writer, source: &Source<'_>) {
    match source {
        Source::Base64 { media_type, data } => {
            json.key("type").text("base64");
            json.key("media_type").text(media_type);
            json.key("data").text(data);
        }
        Source::Url(url) => {
            json.key("type").text("url");
            json.key("url").text(url);
        }
        Source::FileId(id) => {
            json.key("type").text("file");
            json.key("file_id").text(id);
        }
    }
}

/// The id as the API takes it: other providers' may have dots and colons.
fn tool_use_id(id: &str) -> Cow<'_, str> {
    let is_taken = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if id.chars().all(is_taken) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(id.chars().map(|character| if is_taken(character) { character } else { '_' }).collect())
}

//! The turns of a conversation as a request's contents.
//!
//! Owns     roles, parts, the names of results, and what stands for a signature that was lost.
//! Called   by [`super::render_request`].
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for a part that Gemini has no equal for, unless it may be left out.

use std::collections::HashMap;

use crate::conversation::{Call, Content, Conversation, Losses, Part, Role, Source, Target, Untranslatable};
use crate::gemini::thinking::Series;
use crate::json::{Cursor, Kind, Writer};

/// What Google's guide to thought signatures gives for calls that were made by another model or whose signature is
/// lost: its models from Gemini 3 on then accept the call.
pub const MISSING_SIGNATURE: &str = "skip_thought_signature_validator";

/// Writes `contents`. Turns of one side that follow each other are one content, since Gemini wants the results of
/// parallel calls together.
pub(super) fn contents(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<String, Untranslatable> {
    let series = Series::of(target.model);
    let mut writer = TurnWriter {
        missing_signature: target.missing_signature.filter(|_| series == Series::Later),
        results_hold_files: series == Series::Later,
        names: HashMap::new(),
        losses,
    };
    let mut json = Writer::new();
    let mut result = Ok(());
    json.array(|json| {
        for turns in conversation.turns.chunk_by(|one, next| one.role == next.role) {
            let parts = turns.iter().flat_map(|turn| &turn.parts);
            match writer.parts(parts) {
                Ok(parts) if parts == "[]" => {}
                Ok(parts) => json.object(|json| {
                    let role = turns.first().map_or(Role::User, |turn| turn.role);
                    json.key("role").text(if role == Role::User { "user" } else { "model" });
                    json.key("parts").raw(&parts);
                }),
                Err(fault) => {
                    result = Err(fault);
                    return;
                }
            }
        }
    });
    result.map(|()| json.into_text())
}

struct TurnWriter<'c, 'l> {
    missing_signature: Option<&'c str>,
    /// Whether a result may hold files; else they stand beside it.
    results_hold_files: bool,
    /// The function of each call, by its id.
    names: HashMap<&'c str, &'c str>,
    losses: &'l mut Losses,
}

impl<'c> TurnWriter<'c, '_> {
    /// The list of one content's parts.
    fn parts(&mut self, parts: impl Iterator<Item = &'c Part<'c>>) -> Result<String, Untranslatable> {
        let mut json = Writer::new();
        let mut result = Ok(());
        json.array(|json| {
            // Of parallel calls only the first is signed.
            let mut has_calls = false;
            result = parts.into_iter().try_for_each(|part| self.part(&part.content, &mut has_calls, json));
        });
        result.map(|()| json.into_text())
    }

    fn part(
        &mut self,
        content: &'c Content<'c>,
        has_calls: &mut bool,
        json: &mut Writer,
    ) -> Result<(), Untranslatable> {
        match content {
            Content::Text(text) | Content::Refusal(text) => json.object(|json| json.key("text").text(text)),
            // The signature is left: it is another upstream's, or Google's on a thought, which it does not ask for.
            Content::Thinking { text, .. } if text.is_empty() => {}
            Content::Thinking { text, .. } => json.object(|json| {
                json.key("text").text(text);
                json.key("thought").bool(true);
            }),
            Content::RedactedThinking { .. } => self.losses.lose("redacted_thinking")?,
            Content::Image { source, detail } => {
                if detail.as_deref() == Some("low") {
                    self.losses.lose("image_url.detail")?;
                }
                self.file(source, json)?;
            }
            Content::Document { source, .. } | Content::Audio { source } => self.file(source, json)?,
            Content::Call(call) => {
                let is_first = !std::mem::replace(has_calls, true);
                self.call(call, is_first, json);
            }
            Content::Result { id, name, parts, is_error } => {
                let named = name.as_deref().or_else(|| self.names.get(&**id).copied());
                // A result of no call: Google refuses it, in better words than ours.
                let name = named.unwrap_or(id);
                self.result(id, name, parts, *is_error, json)?;
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &'c Call<'c>, is_first: bool, json: &mut Writer) {
        self.names.insert(&call.id, &call.name);
        let signature = call.signature.as_deref().or(self.missing_signature.filter(|_| is_first));
        json.object(|json| {
            json.key("functionCall").object(|json| {
                json.key("id").text(&call.id);
                json.key("name").text(&call.name);
                json.key("args").raw(&call.arguments);
            });
            json.text_member("thoughtSignature", signature);
        });
    }

    fn file(&mut self, source: &Source<'_>, json: &mut Writer) -> Result<(), Untranslatable> {
        match source {
            Source::Base64 { media_type, data } => json.object(|json| {
                json.key("inlineData").object(|json| {
                    // A common misnomer that the API does not know.
                    json.key("mimeType").text(if media_type == "image/jpg" {
                        "image/jpeg"
                    } else {
                        media_type
                    });
                    json.key("data").text(data);
                });
            }),
            Source::Url(address) => json.object(|json| {
                json.key("fileData").object(|json| {
                    json.text_member("mimeType", media_type_of(address));
                    json.key("fileUri").text(address);
                });
            }),
            // Another provider's files.
            Source::FileId(_) => self.losses.lose("file_id")?,
        }
        Ok(())
    }

    fn result(
        &mut self,
        id: &str,
        name: &str,
        parts: &'c [Part<'c>],
        is_error: bool,
        json: &mut Writer,
    ) -> Result<(), Untranslatable> {
        let mut texts = Vec::new();
        let mut files = Writer::new();
        let mut result = Ok(());
        files.array(|files| {
            result = parts.iter().try_for_each(|part| match &part.content {
                Content::Text(text) => {
                    texts.push(&**text);
                    Ok(())
                }
                Content::Image { source, .. }
                | Content::Document { source, .. }
                | Content::Audio { source } => self.file(source, files),
                _ => self.losses.lose("tool_result.content"),
            });
        });
        result?;
        let files = files.into_text();
        // The elements without their brackets.
        let beside = files.get(1..files.len() - 1).filter(|files| !files.is_empty());
        json.object(|json| {
            json.key("functionResponse").object(|json| {
                json.key("id").text(id);
                json.key("name").text(name);
                json.key("response");
                output(&texts.join("\n"), is_error, json);
                json.raw_member(
                    "parts",
                    Some(&*files).filter(|_| self.results_hold_files && beside.is_some()),
                );
            });
        });
        if let Some(beside) = beside.filter(|_| !self.results_hold_files) {
            json.raw(beside);
        }
        Ok(())
    }
}

/// What a function gave back: an object as it is, anything else under the name that Google gives to outputs or errors.
fn output(text: &str, is_error: bool, json: &mut Writer) {
    if is_error {
        json.object(|json| json.key("error").text(text));
    } else if is_object(text) {
        json.raw(text.trim_ascii());
    } else {
        json.object(|json| json.key("output").text(text));
    }
}

fn is_object(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.value().is_ok_and(|value| value.kind == Kind::Object) && cursor.finish().is_ok()
}

/// The media type that the address of a file ends in, for Google fetches by it.
fn media_type_of(address: &str) -> Option<&'static str> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = path.rsplit_once('.')?;
    Some(match &*extension.to_ascii_lowercase() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        _ => return None,
    })
}

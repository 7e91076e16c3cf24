//! The contents of a request as turns.
//!
//! Owns     what each part means, and the ids of calls and results that have none.
//! Called   by [`super::conversation()`].
//! Bounded  by the body.
//! Fails    with a [`RequestFault`] that names the part by its path.
//!
//! Gemini matches results to calls by the functions' names where ids are missing. A call without an id gets one of its
//! place among all calls, the same in every later request of the conversation; a result without one belongs to the
//! first call of its name that has none yet.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::conversation::{Call, Content, Conversation, Part, Role, Source, Turn};
use crate::gemini::conversation::keep;
use crate::gemini::members::{each_element, each_member, text_at};
use crate::gemini::signature;
use crate::json::{Cursor, Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// Addresses that only Google can open.
const AT_GOOGLE: [&str; 2] = ["gs://", "https://generativelanguage.googleapis.com/"];

/// The reader of contents.
#[derive(Debug, Default)]
pub(super) struct Turns<'a> {
    /// Calls so far.
    calls: usize,
    /// Name and id of the calls that no result has come for.
    open: VecDeque<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A part as it is written.
#[derive(Debug, Default)]
struct Written<'a> {
    text: Option<Cow<'a, str>>,
    is_thought: bool,
    signature: Option<Cow<'a, str>>,
    inline: Option<Source<'a>>,
    file: Option<File<'a>>,
    call: Option<Call<'a>>,
    result: Option<Response<'a>>,
}

/// `fileData`.
#[derive(Debug, Default)]
struct File<'a> {
    uri: Cow<'a, str>,
    media_type: Option<Cow<'a, str>>,
}

/// `functionResponse`.
#[derive(Debug, Default)]
struct Response<'a> {
    id: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
    parts: Vec<Part<'a>>,
    is_error: bool,
}

impl<'a> Turns<'a> {
    /// Reads `contents`.
    pub(super) fn read(
        &mut self,
        path: &Path<'_>,
        contents: &Value<'a>,
        conversation: &mut Conversation<'a>,
    ) -> Result<(), RequestFault> {
        each_element(path, contents, |path, content| {
            let mut role = Role::User;
            let mut parts = None;
            each_member(path, content, |name, path, value| {
                match name {
                    "role" => role = self::role(path, value)?,
                    "parts" => parts = Some(*value),
                    _ => keep(path, value, conversation)?,
                }
                Ok(())
            })?;
            let Some(parts) = parts else { return Ok(()) };
            // What a stream has said comes back as one content for each of its chunks.
            if conversation.turns.last().is_none_or(|turn| turn.role != role) {
                conversation.turns.push(Turn { role, parts: Vec::new() });
            }
            each_element(&path.member("parts"), &parts, |path, part| {
                let read = self.read_part(path, part, conversation)?;
                if let (Some(part), Some(turn)) = (read, conversation.turns.last_mut()) {
                    push(turn, part);
                }
                Ok(())
            })
        })?;
        conversation.turns.retain(|turn| !turn.parts.is_empty());
        Ok(())
    }

    /// Reads `systemInstruction`: a content, or a text alone.
    pub(super) fn read_system(
        &mut self,
        path: &Path<'_>,
        system: &Value<'a>,
        conversation: &mut Conversation<'a>,
    ) -> Result<(), RequestFault> {
        if let Some(text) = system.as_text() {
            conversation.system.extend(text_part(text).map(Part::from));
            return Ok(());
        }
        each_member(path, system, |name, path, value| match name {
            "parts" => each_element(path, value, |path, part| {
                match self.read_part(path, part, conversation)? {
                    Some(content @ Content::Text(_)) => conversation.system.push(content.into()),
                    Some(_) => keep(path, part, conversation)?,
                    None => {}
                }
                Ok(())
            }),
            // Whatever role it is given, the system speaks.
            "role" => Ok(()),
            _ => keep(path, value, conversation),
        })
    }

    /// One part, or nothing where it says nothing or was kept as an extra.
    fn read_part(
        &mut self,
        path: &Path<'_>,
        part: &Value<'a>,
        conversation: &mut Conversation<'a>,
    ) -> Result<Option<Content<'a>>, RequestFault> {
        let mut read = Written::default();
        each_member(path, part, |name, path, value| {
            match name {
                "text" => read.text = Some(text_at(path, value)?),
                "thought" => read.is_thought = value.as_bool().ok_or_else(|| path.expected("a boolean"))?,
                "thoughtSignature" => read.signature = Some(text_at(path, value)?),
                "inlineData" => read.inline = Some(inline_data(path, value)?),
                "fileData" => read.file = Some(file_data(path, value)?),
                "functionCall" => read.call = Some(self.call(path, value)?),
                "functionResponse" => read.result = Some(function_response(path, value, conversation)?),
                _ => keep(path, value, conversation)?,
            }
            Ok(())
        })?;
        if let Some(file) = read.file {
            let content = linked(file);
            if content.is_none() {
                keep(path, part, conversation)?;
            }
            return Ok(content);
        }
        if let Some(mut call) = read.call {
            call.signature = read.signature;
            return Ok(Some(Content::Call(call)));
        }
        if let Some(response) = read.result {
            return Ok(Some(self.result(response)));
        }
        if let Some(source) = read.inline {
            return Ok(Some(attached(source)));
        }
        Ok(match read.text {
            Some(text) if read.is_thought => {
                let signature = read.signature.as_deref().and_then(signature::unwrapped).map(Cow::Owned);
                (!text.is_empty() || signature.is_some()).then_some(Content::Thinking { text, signature })
            }
            Some(text) => text_part(text),
            None => None,
        })
    }

    fn call(&mut self, path: &Path<'_>, call: &Value<'a>) -> Result<Call<'a>, RequestFault> {
        let mut read = Call {
            id: Cow::Borrowed(""),
            name: Cow::Borrowed(""),
            arguments: Cow::Borrowed("{}"),
            signature: None,
        };
        each_member(path, call, |name, path, value| {
            match name {
                "id" => read.id = text_at(path, value)?,
                "name" => read.name = text_at(path, value)?,
                "args" if value.kind == Kind::Object => read.arguments = Cow::Borrowed(value.raw),
                "args" => return Err(path.expected("an object")),
                // Which pieces of a stream the call was made of.
                _ => {}
            }
            Ok(())
        })?;
        if read.name.is_empty() {
            return Err(path.member("name").expected("the name of a function"));
        }
        if read.id.is_empty() {
            read.id = Cow::Owned(format!("call_{}", self.calls));
        }
        self.calls += 1;
        self.open.push_back((read.name.clone(), read.id.clone()));
        Ok(read)
    }

    fn result(&mut self, response: Response<'a>) -> Content<'a> {
        let Response { id, name, parts, is_error } = response;
        let answers = |(called, call_id): &(Cow<'a, str>, Cow<'a, str>)| match &id {
            Some(id) => call_id == id,
            None => *called == name,
        };
        let open = self.open.iter().position(answers).and_then(|place| self.open.remove(place));
        // A result that no call is known for keeps its name; the upstream judges it.
        let id = id.or(open.map(|(_, id)| id)).unwrap_or_else(|| name.clone());
        Content::Result { id, name: Some(name).filter(|name| !name.is_empty()), parts, is_error }
    }
}

fn role(path: &Path<'_>, value: &Value<'_>) -> Result<Role, RequestFault> {
    match &*text_at(path, value)? {
        "user" | "function" | "" => Ok(Role::User),
        "model" => Ok(Role::Assistant),
        _ => Err(path.expected("`user`, `model` or `function`")),
    }
}

/// Adds a part to its turn. A thought that goes on from the one before is one with it, up to its signature.
fn push<'a>(turn: &mut Turn<'a>, content: Content<'a>) {
    if let Content::Thinking { text, signature } = &content
        && let Some(Part { content: Content::Thinking { text: before, signature: none @ None }, .. }) =
            turn.parts.last_mut()
    {
        before.to_mut().push_str(text);
        none.clone_from(signature);
        return;
    }
    turn.parts.push(content.into());
}

fn text_part(text: Cow<'_, str>) -> Option<Content<'_>> {
    (!text.is_empty()).then_some(Content::Text(text))
}

fn inline_data<'a>(path: &Path<'_>, data: &Value<'a>) -> Result<Source<'a>, RequestFault> {
    let mut media_type = Cow::Borrowed("");
    let mut base64 = Cow::Borrowed("");
    each_member(path, data, |name, path, value| {
        match name {
            "mimeType" => media_type = text_at(path, value)?,
            "data" => base64 = text_at(path, value)?,
            // A name to show.
            _ => {}
        }
        Ok(())
    })?;
    if media_type.is_empty() {
        return Err(path.member("mimeType").expected("a media type"));
    }
    Ok(Source::Base64 { media_type, data: base64 })
}

fn file_data<'a>(path: &Path<'_>, data: &Value<'a>) -> Result<File<'a>, RequestFault> {
    let mut file = File::default();
    each_member(path, data, |name, path, value| {
        match name {
            "fileUri" => file.uri = text_at(path, value)?,
            "mimeType" => file.media_type = Some(text_at(path, value)?),
            _ => {}
        }
        Ok(())
    })?;
    if file.uri.is_empty() {
        return Err(path.member("fileUri").expected("an address"));
    }
    Ok(file)
}

/// A file at an address that anybody can open; `None` for one that only Google can, and for films.
fn linked(file: File<'_>) -> Option<Content<'_>> {
    let is_public = file.uri.starts_with("https://") || file.uri.starts_with("http://");
    if !is_public || AT_GOOGLE.iter().any(|prefix| file.uri.starts_with(prefix)) {
        return None;
    }
    let source = Source::Url(file.uri);
    match file.media_type.as_deref().unwrap_or("image/") {
        image if image.starts_with("image/") => Some(Content::Image { source, detail: None }),
        audio if audio.starts_with("audio/") => Some(Content::Audio { source }),
        film if film.starts_with("video/") => None,
        _ => Some(Content::Document { source, name: None }),
    }
}

/// A file in the request itself.
fn attached(source: Source<'_>) -> Content<'_> {
    match &source {
        Source::Base64 { media_type, .. } if media_type.starts_with("image/") => {
            Content::Image { source, detail: None }
        }
        Source::Base64 { media_type, .. } if media_type.starts_with("audio/") => Content::Audio { source },
        _ => Content::Document { source, name: None },
    }
}

fn function_response<'a>(
    path: &Path<'_>,
    response: &Value<'a>,
    conversation: &mut Conversation<'a>,
) -> Result<Response<'a>, RequestFault> {
    let mut read = Response::default();
    let mut files = Vec::new();
    each_member(path, response, |name, path, value| {
        match name {
            "id" => read.id = Some(text_at(path, value)?).filter(|id| !id.is_empty()),
            "name" => read.name = text_at(path, value)?,
            "response" => {
                let (text, is_error) = output(path, value)?;
                read.is_error = is_error;
                read.parts.extend(text_part(text).map(Part::from));
            }
            "parts" => each_element(path, value, |path, part| {
                each_member(path, part, |name, path, value| {
                    match name {
                        "inlineData" => files.push(attached(inline_data(path, value)?).into()),
                        _ => keep(path, value, conversation)?,
                    }
                    Ok(())
                })
            })?,
            _ => keep(path, value, conversation)?,
        }
        Ok(())
    })?;
    read.parts.append(&mut files);
    Ok(read)
}

/// What a function gave back, as text, and whether it failed: by the API's reference `output` and `error` hold the one
/// or the other, and without them the whole object is the output.
fn output<'a>(path: &Path<'_>, response: &Value<'a>) -> Result<(Cow<'a, str>, bool), RequestFault> {
    if response.kind != Kind::Object {
        return Err(path.expected("an object"));
    }
    let mut cursor = Cursor::new(response.raw);
    cursor.enter_object()?;
    let mut only = None;
    let mut members = 0;
    while let Some(key) = cursor.next_key()? {
        members += 1;
        only = Some((key.name, cursor.value()?));
    }
    let Some((name, value)) = only.filter(|_| members == 1) else {
        return Ok((Cow::Borrowed(response.raw), false));
    };
    let is_error = name == "error";
    match value.as_text() {
        Some(text) if is_error || name == "output" => Ok((text, is_error)),
        _ => Ok((Cow::Borrowed(response.raw), is_error)),
    }
}

//! The messages of a Messages request and their content blocks.
//!
//! Owns     the meaning of each block, and the names of the calls seen so far, for results do not repeat them.
//! Called   by [`super::conversation`] once, when the rest of the body has been read.
//! Bounded  by the body, and by [`LEVELS_MAX`] blocks within blocks.
//! Fails    with a [`RequestFault`] for a message of an unknown role, a block without a needed member, or a message
//!          with nothing in it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{boolean, extra, require, text};
use crate::anthropic::members::{elements, members, pick};
use crate::conversation::{Call, Content, Conversation, Part, Role, Source, Turn};
use crate::json::{Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// What a message may hold to be one.
const SOMETHING: &str = "text that is not blank, or another block";

/// Blocks within blocks: what is said in a document that is in a tool's result.
const LEVELS_MAX: usize = 3;

/// Puts messages into a conversation.
pub(super) struct Messages<'c, 'a> {
    conversation: &'c mut Conversation<'a>,
    /// The tool's name by the call's id.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'c, 'a> Messages<'c, 'a> {
    pub(super) fn new(conversation: &'c mut Conversation<'a>) -> Self {
        Self { conversation, called: HashMap::new() }
    }

    pub(super) fn read(
        mut self,
        system: Option<&Value<'a>>,
        messages: &Value<'a>,
    ) -> Result<(), RequestFault> {
        if let Some(system) = system {
            self.take_instructions(&Path::top("system"), system)?;
        }
        let at = Path::top("messages");
        for (index, message) in elements(messages).iter().enumerate() {
            self.read_message(&at.element(index), message)?;
        }
        Ok(())
    }

    fn read_message(&mut self, at: &Path<'_>, message: &Value<'a>) -> Result<(), RequestFault> {
        require(at, message, Kind::Object)?;
        let (mut role, mut content) = (None, None);
        for (name, value) in members(message) {
            match &*name {
                "role" => role = value.as_text(),
                "content" => content = Some(value),
                _ => self.conversation.extras.push(extra(&at.member(&name), &value)),
            }
        }
        let content_at = at.member("content");
        let content = content.ok_or_else(|| content_at.expected("a string or an array of blocks"))?;
        let role = match role.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            // Instructions in the midst of the talk keep their order and lose their place.
            Some("system") => return self.take_instructions(&content_at, &content),
            _ => return Err(at.member("role").expected("`user` or `assistant`")),
        };
        let extras_before = self.conversation.extras.len();
        let parts = self.parts(&content_at, &content, 1)?;
        match parts.is_empty() {
            false => self.conversation.turns.push(Turn { role, parts }),
            // All of it may be what only this dialect has a place for.
            true if self.conversation.extras.len() > extras_before => {}
            true => return Err(content_at.expected(SOMETHING)),
        }
        Ok(())
    }

    fn take_instructions(&mut self, at: &Path<'_>, content: &Value<'a>) -> Result<(), RequestFault> {
        let mut parts = self.parts(at, content, LEVELS_MAX)?;
        if parts.iter().any(|part| !matches!(part.content, Content::Text(_))) {
            return Err(at.expected("text"));
        }
        self.conversation.system.append(&mut parts);
        Ok(())
    }

    /// A string, or blocks. Blank text is left out, for some upstreams refuse it and no model reads anything in it.
    fn parts(
        &mut self,
        at: &Path<'_>,
        content: &Value<'a>,
        level: usize,
    ) -> Result<Vec<Part<'a>>, RequestFault> {
        let mut parts = Vec::new();
        match content.kind {
            Kind::String => push_text(&mut parts, text(at, content)?, None),
            Kind::Array => {
                for (index, block) in elements(content).iter().enumerate() {
                    let at = at.element(index);
                    require(&at, block, Kind::Object)?;
                    self.read_block(&at, block, level, &mut parts)?;
                }
            }
            _ => return Err(at.expected("a string or an array of blocks")),
        }
        Ok(parts)
    }

    fn read_block(
        &mut self,
        at: &Path<'_>,
        value: &Value<'a>,
        level: usize,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), RequestFault> {
        let mut block = Block { at, members: members(value) };
        let sort = block.text("type")?;
        let cache_control = block.take("cache_control").map(|marker| Cow::Borrowed(marker.raw));
        let content = match &*sort {
            "text" => {
                push_text(parts, block.text("text")?, cache_control);
                // The sources of an earlier answer.
                block.take("citations");
                self.leave(block);
                return Ok(());
            }
            "image" => match block.source()? {
                Some(source) => Content::Image { source, detail: None },
                None => return self.leave_whole(at, value),
            },
            "document" if level <= LEVELS_MAX => {
                return self.document(block, value, cache_control, level, parts);
            }
            "tool_use" if level == 1 => self.call(&mut block)?,
            "tool_result" if level == 1 => self.result(&mut block, level)?,
            "thinking" => {
                let text = block.text("thinking")?;
                let signature = block.take("signature").and_then(|signature| signature.as_text());
                Content::Thinking { text, signature: signature.filter(|signature| !signature.is_empty()) }
            }
            "redacted_thinking" => Content::RedactedThinking { data: block.text("data")? },
            // Server tools, their results, and what else only Anthropic has.
            _ => return self.leave_whole(at, value),
        };
        parts.push(Part { content, cache_control });
        self.leave(block);
        Ok(())
    }

    /// A file; or, written out in the request, the words of one, which read the same where they stand.
    fn document(
        &mut self,
        mut block: Block<'_, 'a>,
        value: &Value<'a>,
        cache_control: Option<Cow<'a, str>>,
        level: usize,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), RequestFault> {
        let name = block.take("title").and_then(|title| title.as_text());
        if let Some(citations) = block.take("citations") {
            let [enabled] = pick(&citations, ["enabled"]);
            if enabled.is_some_and(|enabled| !enabled.is_blank()) {
                self.conversation.extras.push(extra(&block.at.member("citations"), &citations));
            }
        }
        let at = block.at;
        let source_at = at.member("source");
        let source = block.get("source").ok_or_else(|| source_at.expected("an object"))?;
        let [sort, data, content] = pick(&source, ["type", "data", "content"]);
        let inside = match (sort.and_then(|sort| sort.as_text()).as_deref(), data, content) {
            (Some("text"), Some(data), _) => {
                vec![Content::Text(text(&source_at.member("data"), &data)?).into()]
            }
            (Some("content"), _, Some(content)) => {
                self.parts(&source_at.member("content"), &content, level + 1)?
            }
            _ => match block.source()? {
                Some(source) => {
                    parts.push(Part { content: Content::Document { source, name }, cache_control });
                    self.leave(block);
                    return Ok(());
                }
                None => return self.leave_whole(at, value),
            },
        };
        parts.extend(name.map(|name| Part::from(Content::Text(name))));
        parts.extend(inside);
        if let (Some(last), Some(marker)) = (parts.last_mut(), cache_control) {
            last.cache_control.get_or_insert(marker);
        }
        block.take("source");
        self.leave(block);
        Ok(())
    }

    fn call(&mut self, block: &mut Block<'_, 'a>) -> Result<Content<'a>, RequestFault> {
        let (id, name) = (block.text("id")?, block.text("name")?);
        let arguments = match block.take("input") {
            Some(input) => {
                require(&block.at.member("input"), &input, Kind::Object)?;
                Cow::Borrowed(input.raw)
            }
            None => Cow::Borrowed("{}"),
        };
        if let Some(caller) = block.take("caller") {
            let [sort] = pick(&caller, ["type"]);
            // Code that the model ran may have called; that it did itself goes without saying.
            if sort.and_then(|sort| sort.as_text()).as_deref() != Some("direct") {
                self.conversation.extras.push(extra(&block.at.member("caller"), &caller));
            }
        }
        self.called.insert(id.clone(), name.clone());
        Ok(Content::Call(Call { id, name, arguments, signature: None }))
    }

    fn result(&mut self, block: &mut Block<'_, 'a>, level: usize) -> Result<Content<'a>, RequestFault> {
        let id = block.text("tool_use_id")?;
        let name = self.called.get(&id).cloned();
        let is_error = match block.take("is_error") {
            Some(is_error) => boolean(&block.at.member("is_error"), &is_error)?,
            None => false,
        };
        let parts = match block.take("content") {
            Some(content) => self.parts(&block.at.member("content"), &content, level + 1)?,
            None => Vec::new(),
        };
        Ok(Content::Result { id, name, parts, is_error })
    }

    /// What is left of a block has no place in the neutral form.
    fn leave(&mut self, block: Block<'_, 'a>) {
        for (name, value) in block.members {
            self.conversation.extras.push(extra(&block.at.member(&name), &value));
        }
    }

    fn leave_whole(&mut self, at: &Path<'_>, block: &Value<'a>) -> Result<(), RequestFault> {
        self.conversation.extras.push(extra(at, block));
        Ok(())
    }
}

/// A block's members that have not been taken.
struct Block<'p, 'a> {
    at: &'p Path<'p>,
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Block<'_, 'a> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let taken = self.get(name);
        self.members.retain(|(key, _)| key != name);
        taken
    }

    fn text(&mut self, name: &str) -> Result<Cow<'a, str>, RequestFault> {
        let at = self.at.member(name);
        self.take(name).and_then(|value| value.as_text()).ok_or_else(|| at.expected("a string"))
    }

    /// Where a picture or document is; `None` for a source of an unknown type.
    fn source(&mut self) -> Result<Option<Source<'a>>, RequestFault> {
        let at = self.at.member("source");
        let source = self.take("source").ok_or_else(|| at.expected("an object"))?;
        let [sort, media_type, data, url, file_id] =
            pick(&source, ["type", "media_type", "data", "url", "file_id"]);
        let needed = |name: &str, value: Option<Value<'a>>| {
            value.and_then(|value| value.as_text()).ok_or_else(|| at.member(name).expected("a string"))
        };
        Ok(match sort.and_then(|sort| sort.as_text()).as_deref() {
            Some("base64") => Some(Source::Base64 {
                media_type: needed("media_type", media_type)?,
                data: needed("data", data)?,
            }),
            Some("url") => Some(Source::Url(needed("url", url)?)),
            Some("file") => Some(Source::FileId(needed("file_id", file_id)?)),
            _ => None,
        })
    }
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, text: Cow<'a, str>, cache_control: Option<Cow<'a, str>>) {
    if !text.trim().is_empty() {
        parts.push(Part { content: Content::Text(text), cache_control });
    }
}

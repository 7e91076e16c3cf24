//! The messages of a chat request: who says what, and which result belongs to which call.
//!
//! Owns     the names of the calls seen so far, for results do not repeat them.
//! Called   by [`super::conversation`] once, when the rest of the body has been read.
//! Bounded  by the body.
//! Fails    with a [`RequestFault`] for a message of an unknown role, without a needed member, or with nothing in it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{elements, extra, members, part, require, text};
use crate::conversation::{Call, Content, Conversation, Part, Role, Turn};
use crate::json::{Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// What a message may hold to be one.
const SOMETHING: &str = "text that is not blank, or another part";

/// Puts messages into a conversation.
pub(super) struct Messages<'c, 'a> {
    conversation: &'c mut Conversation<'a>,
    /// The tool's name by the call's id.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

/// The members of one message, whatever their order.
#[derive(Default)]
struct Message<'a> {
    role: Option<Cow<'a, str>>,
    content: Option<Value<'a>>,
    refusal: Option<Value<'a>>,
    reasoning: Option<Value<'a>>,
    reasoning_details: Option<Value<'a>>,
    tool_calls: Option<Value<'a>>,
    tool_call_id: Option<Cow<'a, str>>,
    name: Option<Value<'a>>,
    cache_control: Option<Value<'a>>,
}

impl<'c, 'a> Messages<'c, 'a> {
    pub(super) fn new(conversation: &'c mut Conversation<'a>) -> Self {
        Self { conversation, called: HashMap::new() }
    }

    pub(super) fn read(mut self, messages: &Value<'a>) -> Result<(), RequestFault> {
        let at = Path::top("messages");
        require(&at, messages, Kind::Array)?;
        if messages.is_blank() {
            return Err(RequestFault::NoMessages);
        }
        elements(messages, |index, message| self.read_message(&at.element(index), &message))
    }

    fn read_message(&mut self, at: &Path<'_>, value: &Value<'a>) -> Result<(), RequestFault> {
        require(at, value, Kind::Object)?;
        let extras_before = self.conversation.extras.len();
        let message = self.members_of(at, value)?;
        let (role, mut parts) = match message.role.as_deref() {
            Some("system" | "developer") => return self.take_instructions(at, &message),
            Some("user") => (Role::User, self.parts(at, &message)?),
            Some("assistant") => (Role::Assistant, self.answer(at, &message)?),
            Some("tool") => (Role::User, vec![self.result(at, &message)?]),
            Some("function") => {
                // From before tools had ids; nothing else has a place for it.
                self.conversation.extras.push(extra(at, value));
                return Ok(());
            }
            _ => {
                let roles = "`system`, `developer`, `user`, `assistant` or `tool`";
                return Err(at.member("role").expected(roles));
            }
        };
        mark(&mut parts, &message);
        match parts.is_empty() {
            false => self.conversation.turns.push(Turn { role, parts }),
            // All of it may be what only this dialect has a place for.
            true if self.conversation.extras.len() > extras_before => {}
            true => return Err(at.member("content").expected(SOMETHING)),
        }
        Ok(())
    }

    fn members_of(&mut self, at: &Path<'_>, value: &Value<'a>) -> Result<Message<'a>, RequestFault> {
        let mut message = Message::default();
        members(value, |name, value| {
            if value.is_blank() && name != "content" {
                return Ok(());
            }
            match name {
                "role" => message.role = Some(text(&at.member(name), &value)?),
                "content" => message.content = Some(value),
                "refusal" => message.refusal = Some(value),
                // The same under two names, as two families of servers have it.
                "reasoning_content" | "reasoning" => message.reasoning = Some(value),
                "reasoning_details" => message.reasoning_details = Some(value),
                "tool_calls" => message.tool_calls = Some(value),
                "tool_call_id" => message.tool_call_id = Some(text(&at.member(name), &value)?),
                "name" => message.name = Some(value),
                "cache_control" => message.cache_control = Some(value),
                // Sources that an earlier answer gave beside its text.
                "annotations" => {}
                _ => self.conversation.extras.push(extra(&at.member(name), &value)),
            }
            Ok(())
        })?;
        // A tool's name is part of its result.
        if !matches!(message.role.as_deref(), Some("tool" | "function"))
            && let Some(name) = &message.name
        {
            self.conversation.extras.push(extra(&at.member("name"), name));
        }
        Ok(message)
    }

    fn take_instructions(&mut self, at: &Path<'_>, message: &Message<'a>) -> Result<(), RequestFault> {
        let mut parts = self.parts(at, message)?;
        mark(&mut parts, message);
        if parts.iter().any(|part| !matches!(part.content, Content::Text(_))) {
            return Err(at.member("content").expected("text"));
        }
        self.conversation.system.append(&mut parts);
        Ok(())
    }

    fn parts(&mut self, at: &Path<'_>, message: &Message<'a>) -> Result<Vec<Part<'a>>, RequestFault> {
        let at = at.member("content");
        match &message.content {
            Some(content) => part::parts(&at, content, &mut self.conversation.extras),
            None => Ok(Vec::new()),
        }
    }

    /// What an assistant said: thoughts, text, refusal, calls.
    fn answer(&mut self, at: &Path<'_>, message: &Message<'a>) -> Result<Vec<Part<'a>>, RequestFault> {
        let mut parts = match &message.reasoning_details {
            Some(details) => part::thoughts(details)?,
            None => Vec::new(),
        };
        if parts.is_empty()
            && let Some(text) = message.reasoning.and_then(|reasoning| reasoning.as_text())
        {
            parts.push(Content::Thinking { text, signature: None }.into());
        }
        parts.append(&mut self.parts(at, message)?);
        if let Some(refusal) = &message.refusal {
            parts.push(Content::Refusal(text(&at.member("refusal"), refusal)?).into());
        }
        if let Some(calls) = &message.tool_calls {
            let at = at.member("tool_calls");
            require(&at, calls, Kind::Array)?;
            elements(calls, |index, call| {
                let at = at.element(index);
                match read_call(&at, &call)? {
                    Some(call) => {
                        self.called.insert(call.id.clone(), call.name.clone());
                        parts.push(Content::Call(call).into());
                    }
                    None => self.conversation.extras.push(extra(&at, &call)),
                }
                Ok(())
            })?;
        }
        Ok(parts)
    }

    /// What a tool gave back. It may be nothing.
    fn result(&mut self, at: &Path<'_>, message: &Message<'a>) -> Result<Part<'a>, RequestFault> {
        let id = message.tool_call_id.clone();
        let id = id.ok_or_else(|| at.member("tool_call_id").expected("a string"))?;
        let given = message.name.and_then(|name| name.as_text());
        let name = self.called.get(&id).cloned().or(given);
        let parts = self.parts(at, message)?;
        Ok(Content::Result { id, name, parts, is_error: false }.into())
    }
}

/// A marker on the whole message is one on its last part.
fn mark<'a>(parts: &mut [Part<'a>], message: &Message<'a>) {
    if let (Some(last), Some(marker)) = (parts.last_mut(), &message.cache_control) {
        last.cache_control.get_or_insert(marker.raw.into());
    }
}

/// A call of a function; `None` for a call of another kind.
fn read_call<'a>(at: &Path<'_>, value: &Value<'a>) -> Result<Option<Call<'a>>, RequestFault> {
    require(at, value, Kind::Object)?;
    let mut is_function = true;
    let (mut id, mut function, mut signature) = (None, None, None);
    members(value, |name, value| {
        match name {
            "type" => is_function = value.raw == r#""function""#,
            "id" => id = Some(text(&at.member(name), &value)?),
            "function" => function = Some(value),
            "extra_content" => signature = part::thought_signature(&value)?,
            _ => {}
        }
        Ok(())
    })?;
    if !is_function {
        return Ok(None);
    }
    let id = id.ok_or_else(|| at.member("id").expected("a string"))?;
    let at = at.member("function");
    let function = function.ok_or_else(|| at.expected("an object"))?;
    let (mut called, mut arguments) = (None, Cow::Borrowed(""));
    members(&function, |name, value| {
        match name {
            "name" => called = Some(text(&at.member(name), &value)?),
            "arguments" if value.kind == Kind::Object => arguments = value.raw.into(),
            "arguments" if value.kind != Kind::Null => arguments = text(&at.member(name), &value)?,
            _ => {}
        }
        Ok(())
    })?;
    let name = called.ok_or_else(|| at.member("name").expected("a string"))?;
    Ok(Some(Call { id, name, arguments: Call::object_of(arguments), signature }))
}

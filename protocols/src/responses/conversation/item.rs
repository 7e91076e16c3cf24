//! The items of a request's input: who says what, and which result belongs to which call.
//!
//! Owns     the names of the calls seen so far, for results do not repeat them, and where a turn ends.
//! Called   by [`super::conversation`] once.
//! Bounded  by the body.
//! Fails    with a [`RequestFault`] for an item without a needed member, or a message with nothing in it. Items that
//!          only this dialect's providers understand (references, calls of the upstream's own tools) are extras.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::fields::{Fields, elements, extra};
use super::content;
use crate::conversation::{Call, Content, Conversation, Part, Role, Turn};
use crate::json::{Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// Between the parts of a thought's summary, which are paragraphs.
const PARAGRAPH: &str = "\n\n";

/// Members of every item that say what became of it at the upstream, and nothing to a model.
const BOOKKEEPING: [&str; 3] = ["id", "status", "phase"];

/// Puts the input into a conversation.
pub(super) struct Input<'c, 'a> {
    conversation: &'c mut Conversation<'a>,
    /// The tool's name by the call's id.
    called: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'c, 'a> Input<'c, 'a> {
    pub(super) fn new(conversation: &'c mut Conversation<'a>) -> Self {
        Self { conversation, called: HashMap::new() }
    }

    /// A text, which the user says, or a list of items.
    pub(super) fn read(mut self, input: &Value<'a>, at: &Path<'_>) -> Result<(), RequestFault> {
        match input.kind {
            Kind::String => {
                let text = input.as_text().unwrap_or_default();
                if text.trim().is_empty() {
                    return Err(at.expected(content::SOMETHING));
                }
                self.say(Role::User, vec![Content::Text(text).into()]);
            }
            Kind::Array => {
                for (index, item) in elements(input)?.iter().enumerate() {
                    self.read_item(item, &at.element(index))?;
                }
            }
            _ => return Err(at.expected("a string or an array of items")),
        }
        Ok(())
    }

    fn read_item(&mut self, item: &Value<'a>, at: &Path<'_>) -> Result<(), RequestFault> {
        let mut fields = Fields::of(item, at)?;
        let sort = fields.text("type", at)?;
        match sort.as_deref() {
            Some("message") => self.read_message(&mut fields, at)?,
            None if fields.peek("role").is_some() => self.read_message(&mut fields, at)?,
            Some("function_call") => self.read_call(&mut fields, at)?,
            Some("function_call_output") => self.read_result(&mut fields, at)?,
            Some("reasoning") => self.read_thought(&mut fields, at)?,
            _ => {
                self.conversation.extras.push(extra(at, item));
                return Ok(());
            }
        }
        fields.ignore(&BOOKKEEPING);
        fields.into_extras(at, &mut self.conversation.extras);
        Ok(())
    }

    fn read_message(&mut self, fields: &mut Fields<'a>, at: &Path<'_>) -> Result<(), RequestFault> {
        let role = fields.required("role", at)?;
        let content_at = at.member("content");
        let extras = &mut self.conversation.extras;
        let extras_before = extras.len();
        let parts = match fields.take("content") {
            Some(content) => content::parts(&content, &content_at, extras)?,
            None => Vec::new(),
        };
        let has_extras = extras.len() > extras_before;
        match &*role {
            "system" | "developer" if parts.iter().all(is_text) => self.conversation.system.extend(parts),
            "system" | "developer" => return Err(content_at.expected("text")),
            // It may have said nothing before it called a tool.
            "assistant" if parts.is_empty() => {}
            "assistant" => {
                if self.has_spoken() {
                    self.begin_turn(Role::Assistant);
                }
                self.say(Role::Assistant, parts);
            }
            "user" if parts.is_empty() && !has_extras => {
                return Err(content_at.expected(content::SOMETHING));
            }
            // All of it is what only this dialect has a place for.
            "user" if parts.is_empty() => {}
            "user" => {
                self.begin_turn(Role::User);
                self.say(Role::User, parts);
            }
            _ => return Err(at.member("role").expected("`user`, `assistant`, `system` or `developer`")),
        }
        Ok(())
    }

    fn read_call(&mut self, fields: &mut Fields<'a>, at: &Path<'_>) -> Result<(), RequestFault> {
        let id = fields.required("call_id", at)?;
        let name = fields.required("name", at)?;
        let arguments = fields.text("arguments", at)?.unwrap_or_default();
        let signature = match fields.take("extra_content") {
            Some(content) => content::thought_signature(&content, &at.member("extra_content"))?,
            None => None,
        };
        self.called.insert(id.clone(), name.clone());
        let call = Call { id, name, arguments: Call::object_of(arguments), signature };
        self.say(Role::Assistant, vec![Content::Call(call).into()]);
        Ok(())
    }

    fn read_result(&mut self, fields: &mut Fields<'a>, at: &Path<'_>) -> Result<(), RequestFault> {
        let id = fields.required("call_id", at)?;
        let given = fields.text("name", at)?;
        let name = self.called.get(&id).cloned().or(given);
        let parts = match fields.take("output") {
            Some(output) => content::parts(&output, &at.member("output"), &mut self.conversation.extras)?,
            None => Vec::new(),
        };
        self.say(Role::User, vec![Content::Result { id, name, parts, is_error: false }.into()]);
        Ok(())
    }

    /// A thought whose text is there is one that can be read; one of which only the encrypted text is there can be
    /// read by its upstream alone.
    fn read_thought(&mut self, fields: &mut Fields<'a>, at: &Path<'_>) -> Result<(), RequestFault> {
        let signature = fields.text("encrypted_content", at)?;
        let mut texts = thought_texts(fields, "summary", at)?;
        if texts.iter().all(|text| text.is_empty()) {
            texts.append(&mut thought_texts(fields, "content", at)?);
        }
        fields.ignore(&["content"]);
        let thought = match (texts.len(), signature) {
            (0, Some(data)) => Content::RedactedThinking { data },
            (0, None) => return Ok(()),
            (1, signature) => Content::Thinking { text: texts.swap_remove(0), signature },
            (_, signature) => Content::Thinking { text: texts.join(PARAGRAPH).into(), signature },
        };
        if self.has_spoken() {
            self.begin_turn(Role::Assistant);
        }
        self.say(Role::Assistant, vec![thought.into()]);
        Ok(())
    }

    /// Whether the assistant's turn goes on and holds words, and no call that would tie more to it: what it says or
    /// thinks next is another turn then. Calls stay together, for their results come together behind them.
    fn has_spoken(&self) -> bool {
        let Some(turn) = self.conversation.turns.last() else { return false };
        let is_word = |part: &Part<'_>| matches!(part.content, Content::Text(_) | Content::Refusal(_));
        let is_call = |part: &Part<'_>| matches!(part.content, Content::Call(_));
        turn.role == Role::Assistant && turn.parts.iter().any(is_word) && !turn.parts.iter().any(is_call)
    }

    fn begin_turn(&mut self, role: Role) {
        self.conversation.turns.push(Turn { role, parts: Vec::new() });
    }

    /// Adds to the turn that goes on if it is this side's, or begins one.
    fn say(&mut self, role: Role, mut parts: Vec<Part<'a>>) {
        match self.conversation.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.append(&mut parts),
            _ => self.conversation.turns.push(Turn { role, parts }),
        }
    }
}

fn is_text(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Text(_))
}

/// The texts of `[{"type": "summary_text", "text": …}]`.
fn thought_texts<'a>(
    fields: &mut Fields<'a>,
    name: &str,
    at: &Path<'_>,
) -> Result<Vec<Cow<'a, str>>, RequestFault> {
    let list_at = at.member(name);
    let mut texts = Vec::new();
    for (index, part) in fields.elements(name, at)?.iter().enumerate() {
        let at = list_at.element(index);
        texts.push(Fields::of(part, &at)?.text("text", &at)?.unwrap_or_default());
    }
    Ok(texts)
}

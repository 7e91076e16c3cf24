//! An output item: a message, a thought, a call.
//!
//! Owns     the reading of the members that say something.
//! Called   for the items of streams and of whole answers.
//! Bounded  by the item; values are borrowed from it.
//! Fails    only with a [`JsonFault`], which a value that was scanned before does not have.

use crate::json::{Cursor, JsonFault, Kind, Value, decoded};

/// An item, as far as it says anything.
#[derive(Debug, Default)]
pub(super) struct Item<'a> {
    /// `message`, `reasoning`, `function_call` or a tool of the upstream's own.
    pub(super) sort: String,
    pub(super) id: Option<String>,
    pub(super) call_id: Option<String>,
    pub(super) name: Option<String>,
    /// A call's arguments, as a string literal.
    pub(super) arguments: Option<Value<'a>>,
    /// The parts of a message, or the whole text of a thought.
    pub(super) content: Option<Value<'a>>,
    /// What is shown of a thought.
    pub(super) summary: Option<Value<'a>>,
    pub(super) encrypted_content: Option<String>,
    /// Where a call of the upstream's own has run.
    pub(super) container_id: Option<String>,
}

/// A text within an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Refusal(String),
}

impl<'a> Item<'a> {
    /// Reads the object at the cursor.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, JsonFault> {
        let mut item = Self::default();
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            let text = || value.as_text().filter(|text| !text.is_empty()).map(String::from);
            match &*key.name {
                "type" => item.sort = text().unwrap_or_default(),
                "id" => item.id = text(),
                "call_id" => item.call_id = text(),
                "name" => item.name = text(),
                "arguments" => item.arguments = Some(value).filter(|value| value.kind == Kind::String),
                "content" => item.content = Some(value).filter(|value| value.kind == Kind::Array),
                "summary" => item.summary = Some(value).filter(|value| value.kind == Kind::Array),
                "encrypted_content" => item.encrypted_content = text(),
                "container_id" => item.container_id = text(),
                "environment" => item.container_id = container_of(&value)?.or(item.container_id),
                _ => {}
            }
        }
        Ok(item)
    }

    /// Whether the model does something by it, and does not only begin to speak or think.
    pub(super) fn is_act(&self) -> bool {
        !matches!(&*self.sort, "message" | "reasoning")
    }

    /// The texts of a message.
    pub(super) fn said(&self) -> Result<Vec<Said>, JsonFault> {
        self.content.as_ref().map_or(Ok(Vec::new()), said)
    }

    /// The texts of a thought: of its summary, or of the whole where nothing is summed up.
    pub(super) fn thought(&self) -> Result<Vec<Said>, JsonFault> {
        let summary = self.summary.as_ref().map_or(Ok(Vec::new()), said)?;
        if summary.is_empty() { self.said() } else { Ok(summary) }
    }
}

/// The container that a shell has run in.
fn container_of(environment: &Value<'_>) -> Result<Option<String>, JsonFault> {
    let mut id = None;
    let mut cursor = Cursor::new(environment.raw);
    if cursor.enter_if(Kind::Object)? {
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if key.name == "container_id" {
                id = value.as_text().map(String::from);
            }
        }
    }
    Ok(id)
}

/// The texts of `[{"type": …, "text": …}, {"type": "refusal", "refusal": …}]` that are not empty.
fn said(parts: &Value<'_>) -> Result<Vec<Said>, JsonFault> {
    let mut said = Vec::new();
    let mut cursor = Cursor::new(parts.raw);
    cursor.enter_array()?;
    while cursor.next_element()? {
        if !cursor.enter_if(Kind::Object)? {
            continue;
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if value.kind != Kind::String || value.is_blank() {
                continue;
            }
            match &*key.name {
                "text" => said.push(Said::Text(decoded(value.raw).into_owned())),
                "refusal" => said.push(Said::Refusal(decoded(value.raw).into_owned())),
                _ => {}
            }
        }
    }
    Ok(said)
}

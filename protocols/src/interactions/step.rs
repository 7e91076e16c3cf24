//! What a step says: the same whether it comes whole or begins in a stream.
//!
//! Owns     which members of a step or a delta are text, and whose.
//! Called   by the readers of whole answers and of streams.
//! Bounded  by the step.
//! Fails    with a [`JsonFault`], which a value that was scanned before does not have.
//!
//! Whatever else a step brings (a picture, a search, its results) is content, and no text that could be counted.

use std::borrow::Cow;

use crate::event::{Event, Tally};
use crate::json::{Cursor, JsonFault, Kind, Value};

/// Adds a step (`model_output`, `thought`, `function_call` and others), a content (`text`, `thought` and others: what an
/// answer had before there were steps), or a delta of either.
pub(super) fn take(value: &Value<'_>, tally: &mut Tally) -> Result<(), JsonFault> {
    if value.kind != Kind::Object {
        return Ok(());
    }
    let step = Step::read(value)?;
    match &*step.sort {
        // The steps of the client itself come back with the answer where it asked for them.
        "user_input" | "function_result" | "thought_signature" | "text_annotation" => {}
        "thought" | "thought_summary" => {
            for text in texts(step.summary.or(step.content))? {
                tally.take(&Event::Thinking(text));
            }
        }
        "function_call" => {
            let name = step.name.unwrap_or_default().into_owned();
            tally.take(&Event::CallStart { call: 0, id: String::new(), name, signature: None });
            tally.take(&arguments(step.arguments));
        }
        "arguments_delta" => tally.take(&arguments(step.arguments)),
        "model_output" => {
            for text in texts(step.content)? {
                tally.take(&Event::Text(text));
            }
        }
        "text" => tally.take(&Event::Text(step.text.unwrap_or_default().into_owned())),
        _ => tally.take(&Event::Redacted(String::new())),
    }
    Ok(())
}

fn arguments(value: Option<Value<'_>>) -> Event {
    let json = match value {
        Some(value) if value.kind == Kind::Object && value.is_blank() => String::new(),
        Some(value) => value.as_text().unwrap_or(Cow::Borrowed(value.raw)).into_owned(),
        None => String::new(),
    };
    Event::CallArguments { call: 0, json }
}

/// A step, as far as it says anything.
#[derive(Default)]
struct Step<'a> {
    sort: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
    text: Option<Cow<'a, str>>,
    arguments: Option<Value<'a>>,
    content: Option<Value<'a>>,
    summary: Option<Value<'a>>,
}

impl<'a> Step<'a> {
    fn read(value: &Value<'a>) -> Result<Self, JsonFault> {
        let mut step = Self::default();
        let mut cursor = Cursor::new(value.raw);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "type" => step.sort = value.as_text().unwrap_or_default(),
                "name" => step.name = value.as_text(),
                "text" => step.text = value.as_text(),
                "arguments" => step.arguments = Some(value),
                "content" => step.content = Some(value),
                "summary" => step.summary = Some(value),
                _ => {}
            }
        }
        Ok(step)
    }
}

/// The texts of one content or of a list of them; a text may stand for itself.
fn texts(contents: Option<Value<'_>>) -> Result<Vec<String>, JsonFault> {
    let Some(contents) = contents else { return Ok(Vec::new()) };
    let mut cursor = Cursor::new(contents.raw);
    if !cursor.enter_if(Kind::Array)? {
        return Ok(text(&contents)?.into_iter().collect());
    }
    let mut texts = Vec::new();
    while cursor.next_element()? {
        texts.extend(text(&cursor.value()?)?);
    }
    Ok(texts)
}

fn text(content: &Value<'_>) -> Result<Option<String>, JsonFault> {
    match content.kind {
        Kind::Object => Ok(Step::read(content)?.text.map(Cow::into_owned)),
        _ => Ok(content.as_text().map(Cow::into_owned)),
    }
}

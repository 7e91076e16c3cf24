//! What the echo provider reads of a chat request.
//!
//! Owns     which members count, and what each may hold.
//! Called   by [`super::EchoAnswer::new`].
//! Bounded  by the body; of all messages only the last user's text is kept.
//! Fails    with the first member that is missing or of the wrong kind.

use crate::json::{Cursor, JsonFault, Kind, Value, utf8};

use super::{EchoFault, MAX_CHOICES, PlainTokens};

/// A chat request, as far as an echo needs it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) model: String,
    pub(super) last_user_text: String,
    /// Plain tokens of the text of all messages.
    pub(super) prompt_tokens: u64,
    /// The most tokens to answer with.
    pub(super) cap: usize,
    pub(super) choices: u64,
    /// None of them is empty.
    pub(super) stop: Vec<String>,
    pub(super) include_usage: bool,
}

impl Request {
    pub(super) fn read(body: &[u8]) -> Result<Self, EchoFault> {
        let mut model = None;
        let mut messages = None;
        let mut caps = [None, None];
        let mut choices = 1;
        let mut stop = Vec::new();
        let mut include_usage = false;
        let mut cursor = Cursor::new(utf8(body)?);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "model" => model = Some(value),
                "messages" => messages = Some(value),
                "max_completion_tokens" => caps[0] = count("max_completion_tokens", &value)?,
                "max_tokens" => caps[1] = count("max_tokens", &value)?,
                "n" => choices = count("n", &value)?.unwrap_or(1),
                "stop" => stop = stops(&value)?,
                "stream_options" => include_usage = asks_for_usage(&value)?,
                _ => {}
            }
        }
        cursor.finish()?;
        if !(1..=MAX_CHOICES).contains(&choices) {
            return Err(EchoFault::Choices { n: choices, most: MAX_CHOICES });
        }
        let model = model.ok_or(EchoFault::Missing { member: "model" })?;
        let model = model
            .as_text()
            .ok_or_else(|| EchoFault::unexpected("model", model.kind, "a string"))?
            .into_owned();
        let messages = messages.ok_or(EchoFault::Missing { member: "messages" })?;
        let Conversation { prompt_tokens, last_user_text } = Conversation::read(&messages)?;
        // The newer name wins, as it does at OpenAI.
        let [newer, older] = caps;
        let cap = newer.or(older).map_or(usize::MAX, |cap| usize::try_from(cap).unwrap_or(usize::MAX));
        Ok(Self { model, last_user_text, prompt_tokens, cap, choices, stop, include_usage })
    }
}

/// A number of tokens or answers; `None` for null.
fn count(member: &'static str, value: &Value<'_>) -> Result<Option<u64>, EchoFault> {
    match value.kind {
        Kind::Null => Ok(None),
        _ => match value.as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(EchoFault::unexpected(member, value.kind, "a whole number of at least 0")),
        },
    }
}

/// The sequences of `stop`: null, one string, or an array of strings.
fn stops(value: &Value<'_>) -> Result<Vec<String>, EchoFault> {
    let unexpected = |found| EchoFault::unexpected("stop", found, "a string, an array of strings or null");
    let mut stops = Vec::new();
    let mut keep = |value: &Value<'_>| {
        let text = value.as_text().ok_or_else(|| unexpected(value.kind))?;
        // An empty one would stop everything at once; upstreams do not take it for a sequence
        // either.
        if !text.is_empty() {
            stops.push(text.into_owned());
        }
        Ok::<_, EchoFault>(())
    };
    match value.kind {
        Kind::Null => {}
        Kind::Array => {
            let mut cursor = Cursor::new(value.raw);
            cursor.enter_array()?;
            while cursor.next_element()? {
                keep(&cursor.value()?)?;
            }
        }
        _ => keep(value)?,
    }
    Ok(stops)
}

fn asks_for_usage(options: &Value<'_>) -> Result<bool, EchoFault> {
    if options.kind == Kind::Null {
        return Ok(false);
    }
    let mut asks = false;
    let mut cursor = Cursor::new(options.raw);
    if options.kind != Kind::Object {
        return Err(EchoFault::unexpected("stream_options", options.kind, "an object or null"));
    }
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        if key.name == "include_usage" {
            asks = value.as_bool() == Some(true);
        }
    }
    Ok(asks)
}

/// What was said, and how much of it there is.
#[derive(Default)]
struct Conversation {
    prompt_tokens: u64,
    last_user_text: String,
}

impl Conversation {
    fn read(messages: &Value<'_>) -> Result<Self, EchoFault> {
        if messages.kind != Kind::Array {
            return Err(EchoFault::unexpected("messages", messages.kind, "an array of messages"));
        }
        let mut conversation = Self::default();
        let mut cursor = Cursor::new(messages.raw);
        cursor.enter_array()?;
        while cursor.next_element()? {
            let message = cursor.value()?;
            if message.kind != Kind::Object {
                return Err(EchoFault::unexpected("messages", message.kind, "an array of objects"));
            }
            conversation.add(&message)?;
        }
        Ok(conversation)
    }

    fn add(&mut self, message: &Value<'_>) -> Result<(), EchoFault> {
        let mut from_user = false;
        let mut text = String::new();
        let mut cursor = Cursor::new(message.raw);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "role" => from_user = value.as_text().is_some_and(|role| role == "user"),
                "content" => text = content_text(&value)?,
                _ => {}
            }
        }
        self.prompt_tokens += PlainTokens::new(&text).count() as u64;
        if from_user {
            self.last_user_text = text;
        }
        Ok(())
    }
}

/// The text of a message: a string, or the text parts of an array one behind the other.
fn content_text(content: &Value<'_>) -> Result<String, EchoFault> {
    match content.kind {
        Kind::Null => Ok(String::new()),
        Kind::String => Ok(content.as_text().unwrap_or_default().into_owned()),
        Kind::Array => Ok(joined_parts(content)?),
        Kind::Bool | Kind::Number | Kind::Object => {
            let expected = "a string, an array of parts or null";
            Err(EchoFault::unexpected("messages", content.kind, expected))
        }
    }
}

fn joined_parts(content: &Value<'_>) -> Result<String, JsonFault> {
    let mut joined = String::new();
    let mut cursor = Cursor::new(content.raw);
    cursor.enter_array()?;
    while cursor.next_element()? {
        let part = cursor.value()?;
        if part.kind != Kind::Object {
            continue;
        }
        let mut inside = Cursor::new(part.raw);
        inside.enter_object()?;
        while let Some(key) = inside.next_key()? {
            let value = inside.value()?;
            if key.name == "text" && value.kind == Kind::String {
                crate::json::decode_into(value.raw, &mut joined);
            }
        }
    }
    Ok(joined)
}

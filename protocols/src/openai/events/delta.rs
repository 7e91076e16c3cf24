//! What a delta or a whole message adds to an answer: text, thoughts, refusal, calls.
//!
//! Owns     which call a piece belongs to, and what is left over of texts that were cut inside a character.
//! Called   by the readers of chunks and of whole answers: a message is a delta that says everything.
//! Bounded  by the frame or body; a call costs some 60 bytes.
//! Fails    only as its JSON does, which has been scanned before.

use std::collections::HashMap;

use crate::event::Event;
use crate::json::{Cursor, Halves, JsonFault, Kind, Span, Value};
use crate::openai::template::Sort;
use crate::openai::tool_calls::{Piece, ToolCalls};

/// What the deltas so far have shown.
#[derive(Debug, Default)]
pub(in crate::openai) struct Delta {
    text: Halves,
    thought: Halves,
    refusal: Halves,
    has_refused: bool,
    /// Assigns the index that a piece does not give.
    indices: ToolCalls,
    /// The call's number by its index at the upstream, which may leave gaps.
    numbers: HashMap<u64, usize>,
    /// What is left over of each call's arguments.
    calls: Vec<Halves>,
    /// Where the delta read last has its text, if it has one and nothing else.
    only_text: Option<(Span, Sort)>,
}

impl Delta {
    pub(in crate::openai) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(in crate::openai) fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// Says a text (a JSON string literal).
    pub(in crate::openai) fn say(&mut self, literal: &str, sort: Sort, events: &mut Vec<Event>) {
        match sort {
            Sort::Output => push(events, Event::Text, self.text.join(literal)),
            Sort::Reasoning => push(events, Event::Thinking, self.thought.join(literal)),
        }
    }

    /// Where the delta read last has its text, if a chunk that differs in nothing else can be read by [`Self::say`].
    pub(in crate::openai) fn take_only_text(&mut self) -> Option<(Span, Sort)> {
        self.only_text.take()
    }

    /// Makes events of the delta that stands at `span` of `json`.
    pub(in crate::openai) fn read(
        &mut self,
        json: &str,
        span: Span,
        events: &mut Vec<Event>,
    ) -> Result<(), JsonFault> {
        let mut cursor = Cursor::within(json, span);
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        let (mut content, mut thought, mut refusal) = (None, None, None);
        let (mut details, mut calls) = (None, None);
        let mut names = 0;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if value.is_blank() {
                continue;
            }
            names += usize::from(key.name != "role");
            match &*key.name {
                "content" => content = Some(value),
                // Some upstreams give the same text under both names.
                "reasoning_content" | "reasoning" => thought = Some(value),
                "reasoning_details" => details = Some(value),
                "refusal" => refusal = Some(value),
                "tool_calls" => calls = Some(value),
                _ => {}
            }
        }
        self.only_text = match (content, thought) {
            (Some(text), None) => Some((text, Sort::Output)),
            (None, Some(text)) => Some((text, Sort::Reasoning)),
            _ => None,
        }
        .filter(|(text, _)| text.kind == Kind::String && names == 1)
        .map(|(text, sort)| (text.span, sort));
        // A model thinks before it speaks, and a signature is over what it thought.
        if let Some(thought) = thought.filter(|thought| thought.kind == Kind::String) {
            push(events, Event::Thinking, self.thought.join(thought.raw));
        }
        if let Some(details) = details {
            self.read_details(&details, thought.is_none(), events)?;
        }
        if let Some(content) = content {
            self.read_content(&content, events)?;
        }
        if let Some(refusal) = refusal.filter(|refusal| refusal.kind == Kind::String) {
            self.has_refused = true;
            push(events, Event::Refusal, self.refusal.join(refusal.raw));
        }
        match calls {
            Some(calls) => self.read_calls(&calls, events),
            None => Ok(()),
        }
    }

    /// The answer has ended: what is left over of its texts is all there will be.
    pub(in crate::openai) fn finish(&mut self, events: &mut Vec<Event>) {
        events.extend(self.thought.rest().map(Event::Thinking));
        events.extend(self.text.rest().map(Event::Text));
        events.extend(self.refusal.rest().map(Event::Refusal));
        for (call, arguments) in self.calls.iter_mut().enumerate() {
            events.extend(arguments.rest().map(|json| Event::CallArguments { call, json }));
        }
    }

    /// Text, or a list of parts of which those with text count (Mistral's thinking models stream such).
    fn read_content(&mut self, content: &Value<'_>, events: &mut Vec<Event>) -> Result<(), JsonFault> {
        if content.kind == Kind::String {
            push(events, Event::Text, self.text.join(content.raw));
            return Ok(());
        }
        let mut cursor = Cursor::new(content.raw);
        if !cursor.enter_if(Kind::Array)? {
            return Ok(());
        }
        while cursor.next_element()? {
            let part = cursor.value()?;
            let (mut text, mut thought) = (None, None);
            members(&part, |name, value| match name {
                "text" => text = Some(value),
                "thinking" => thought = Some(value),
                _ => {}
            })?;
            if let Some(thought) = thought {
                self.read_thoughts(&thought, events)?;
            }
            if let Some(text) = text.filter(|text| text.kind == Kind::String) {
                push(events, Event::Text, self.text.join(text.raw));
            }
        }
        Ok(())
    }

    /// A thought in parts, as Mistral writes it.
    fn read_thoughts(&mut self, parts: &Value<'_>, events: &mut Vec<Event>) -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(parts.raw);
        if !cursor.enter_if(Kind::Array)? {
            return Ok(());
        }
        while cursor.next_element()? {
            let mut text = None;
            members(&cursor.value()?, |name, value| {
                if name == "text" && value.kind == Kind::String {
                    text = Some(value);
                }
            })?;
            if let Some(text) = text {
                push(events, Event::Thinking, self.thought.join(text.raw));
            }
        }
        Ok(())
    }

    /// OpenRouter's `reasoning_details`: signatures, thoughts that are not to be read, and the text of the others
    /// unless it came beside them.
    fn read_details(
        &mut self,
        details: &Value<'_>,
        with_text: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(details.raw);
        if !cursor.enter_if(Kind::Array)? {
            return Ok(());
        }
        while cursor.next_element()? {
            let detail = cursor.value()?;
            let (mut text, mut data, mut signature) = (None, None, None);
            members(&detail, |name, value| match name {
                "text" | "summary" => text = Some(value),
                "data" => data = value.as_text(),
                "signature" => signature = value.as_text(),
                _ => {}
            })?;
            if let Some(text) = text.filter(|text| with_text && text.kind == Kind::String) {
                push(events, Event::Thinking, self.thought.join(text.raw));
            }
            push(events, Event::Signature, signature.unwrap_or_default().into_owned());
            push(events, Event::Redacted, data.unwrap_or_default().into_owned());
        }
        Ok(())
    }

    fn read_calls(&mut self, calls: &Value<'_>, events: &mut Vec<Event>) -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(calls.raw);
        if !cursor.enter_if(Kind::Array)? {
            return Ok(());
        }
        self.indices.begin_delta();
        let mut position = 0;
        while cursor.next_element()? {
            self.read_call(position, &cursor.value()?, events)?;
            position += 1;
        }
        Ok(())
    }

    fn read_call(
        &mut self,
        position: u64,
        piece: &Value<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), JsonFault> {
        let (mut index, mut id, mut function, mut signature) = (None, None, None, None);
        members(piece, |name, value| match name {
            "index" => index = value.as_u64(),
            "id" => id = value.as_text().filter(|id| !id.is_empty()),
            "function" => function = Some(value),
            "extra_content" => signature = thought_signature(&value),
            _ => {}
        })?;
        let (mut called, mut arguments) = (None, None);
        if let Some(function) = function {
            members(&function, |name, value| match name {
                "name" => called = value.as_text().filter(|name| !name.is_empty()),
                "arguments" => arguments = Some(value),
                _ => {}
            })?;
        }
        let says = Piece { index, id: id.as_deref(), named: called.is_some() };
        let index = self.indices.index_of(position, says);
        let next = self.calls.len();
        let call = *self.numbers.entry(index).or_insert(next);
        if call == next {
            self.calls.push(Halves::default());
            events.push(Event::CallStart {
                call,
                id: id.map_or_else(|| format!("call_{call}"), String::from),
                name: called.unwrap_or_default().into_owned(),
                signature,
            });
        }
        let json = match (arguments, self.calls.get_mut(call)) {
            (Some(text), Some(halves)) if text.kind == Kind::String => halves.join(text.raw),
            // Ollama and others write the object itself.
            (Some(object), _) if object.kind == Kind::Object => object.raw.to_owned(),
            _ => String::new(),
        };
        push(events, |json| Event::CallArguments { call, json }, json);
        Ok(())
    }
}

/// An event with a text, unless there is none.
fn push(events: &mut Vec<Event>, event: impl FnOnce(String) -> Event, text: String) {
    if !text.is_empty() {
        events.push(event(text));
    }
}

/// `{"google": {"thought_signature": …}}`
fn thought_signature(extra_content: &Value<'_>) -> Option<String> {
    let mut signature = None;
    // Scanned before, so neither can fail.
    let _ = members(extra_content, |name, value| {
        if name == "google" {
            let _ = members(&value, |name, value| {
                if name == "thought_signature" {
                    signature = value.as_text().map(String::from);
                }
            });
        }
    });
    signature
}

/// Visits the members of an object; of another kind of value, nothing.
fn members<'a>(value: &Value<'a>, mut visit: impl FnMut(&str, Value<'a>)) -> Result<(), JsonFault> {
    let mut cursor = Cursor::new(value.raw);
    if cursor.enter_if(Kind::Object)? {
        while let Some(key) = cursor.next_key()? {
            visit(&key.name, cursor.value()?);
        }
    }
    Ok(())
}

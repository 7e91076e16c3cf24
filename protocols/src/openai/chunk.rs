//! One chunk of a chat stream: a single walk over its JSON that finds what the relay decides by.
//!
//! Owns     what the chunks so far have shown: content, finished choices, tool calls, counted text.
//! Called   by [`super::ChatStream`] for each data frame.
//! Bounded  by [`CHOICES_MAX`]; a chunk in good order costs one scan and no allocation.
//! Fails    with a [`ChunkFault`] when the data cannot be a chunk. Members it does not know are
//!          never judged.

use crate::estimate::Estimator;
use crate::json::{Cursor, JsonFault, Kind, Span, Value, decoded};
use crate::openai::template::Sort;
use crate::openai::tool_calls::{Piece, ToolCalls};
use crate::splice::Splice;
use crate::usage::{self, Usage};

/// How many choices one stream may have; OpenAI allows 128.
const CHOICES_MAX: usize = 256;

/// Why the data of a frame is no chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// JSON, but no object.
    #[error("it is {}; expected a JSON object", .found.described())]
    NotAnObject {
        /// What it is.
        found: Kind,
    },
    /// More choices than any request can ask for.
    #[error("the stream has more than {limit} choices")]
    TooManyChoices {
        /// The most that are followed.
        limit: usize,
    },
}

/// What one chunk says.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) choices: Choices,
    /// The `usage` member, unless null.
    pub(super) usage: Option<Value<'a>>,
    /// It is an error and no chunk.
    pub(super) is_error: bool,
    pub(super) text: Text,
}

/// The text that a chunk brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Missing,
    /// One string, and nothing else that counts.
    Alone(Span, Sort),
    /// More than that.
    Mixed,
}

/// The `choices` member of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choices {
    Missing,
    Null(Span),
    Empty,
    Some,
}

/// What the chunks read so far have shown.
#[derive(Debug)]
pub(super) struct Progress {
    choices: Vec<Choice>,
    /// Pieces of content so far.
    contents: u64,
    usage: Option<Usage>,
    output: Estimator,
    reasoning: Estimator,
    /// What the chunk being read has brought so far.
    text: Text,
}

#[derive(Debug)]
struct Choice {
    index: u64,
    finished: bool,
    calls: ToolCalls,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            choices: Vec::new(),
            contents: 0,
            usage: None,
            output: Estimator::default(),
            reasoning: Estimator::default(),
            text: Text::Missing,
        }
    }

    pub(super) fn contents(&self) -> u64 {
        self.contents
    }

    /// At least one choice was seen, and each has its finish reason.
    pub(super) fn all_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished)
    }

    pub(super) fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// The answer's tokens counted from its text; no prompt.
    pub(super) fn counted(&self) -> Usage {
        Usage { output: self.output.tokens(), reasoning: self.reasoning.tokens(), ..Usage::default() }
    }

    /// Reads one chunk, and notes in `splice` the repairs that its choices need.
    pub(super) fn read<'a>(
        &mut self,
        text: &'a str,
        splice: &mut Splice<'a>,
    ) -> Result<Chunk<'a>, ChunkFault> {
        let mut cursor = Cursor::new(text);
        let found = cursor.peek()?;
        if found != Kind::Object {
            return Err(ChunkFault::NotAnObject { found });
        }
        self.text = Text::Missing;
        let mut chunk =
            Chunk { choices: Choices::Missing, usage: None, is_error: false, text: Text::Missing };
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            match &*key.name {
                "choices" => chunk.choices = self.read_choices(text, &mut cursor, splice)?,
                "usage" => chunk.usage = Some(cursor.value()?).filter(|u| u.kind != Kind::Null),
                "x_groq" => self.read_groq(&mut cursor)?,
                "error" => chunk.is_error |= !cursor.value()?.is_blank(),
                "object" => chunk.is_error |= cursor.value()?.raw == "\"error\"",
                _ => {
                    cursor.value()?;
                }
            }
        }
        cursor.finish()?;
        if let Some(usage) = &chunk.usage {
            self.report(usage);
        }
        chunk.text = self.text;
        Ok(chunk)
    }

    /// Takes the text (a JSON string literal) of a chunk that is like the one before.
    pub(super) fn take_text(&mut self, literal: &str, sort: Sort) {
        self.contents += u64::from(literal != "\"\"");
        self.count_text(literal, sort);
    }

    /// Counts a text (a JSON string literal).
    fn count_text(&mut self, literal: &str, sort: Sort) {
        let text = decoded(literal);
        match sort {
            Sort::Output => self.output.push(&text),
            Sort::Reasoning => self.reasoning.push(&text),
        }
    }

    /// Counts a value of a delta. Text is counted as it reads, a structure (content in parts) as it
    /// is written, a little above its text.
    fn count(&mut self, value: &Value<'_>, sort: Sort) {
        if value.is_blank() {
            return;
        }
        let alone = self.text == Text::Missing && value.kind == Kind::String;
        self.text = if alone { Text::Alone(value.span, sort) } else { Text::Mixed };
        match (value.kind, sort) {
            (Kind::String, _) => self.count_text(value.raw, sort),
            (Kind::Array | Kind::Object, Sort::Output) => self.output.push(value.raw),
            (Kind::Array | Kind::Object, Sort::Reasoning) => self.reasoning.push(value.raw),
            (Kind::Null | Kind::Bool | Kind::Number, _) => {}
        }
    }

    /// The latest report counts, since running ones grow; one of zeros says nothing after a real
    /// one.
    fn report(&mut self, usage: &Value<'_>) {
        let reported = usage::from_openai(usage);
        if reported.is_some_and(|usage| usage.total() > 0) || self.usage.is_none() {
            self.usage = reported.or(self.usage);
        }
    }

    /// Groq reports beside the last choice, in a member of its own.
    fn read_groq(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            if key.name == "usage" {
                self.text = Text::Mixed;
                self.report(&value);
            }
        }
        Ok(())
    }

    fn read_choices<'a>(
        &mut self,
        text: &'a str,
        cursor: &mut Cursor<'a>,
        splice: &mut Splice<'a>,
    ) -> Result<Choices, ChunkFault> {
        match cursor.peek()? {
            Kind::Array => cursor.enter_array()?,
            Kind::Null => return Ok(Choices::Null(cursor.value()?.span)),
            _ => {
                cursor.value()?;
                return Ok(Choices::Some);
            }
        };
        let mut position = 0;
        while cursor.next_element()? {
            self.read_choice(position, text, cursor, splice)?;
            position += 1;
        }
        Ok(if position == 0 { Choices::Empty } else { Choices::Some })
    }

    fn read_choice<'a>(
        &mut self,
        position: u64,
        text: &'a str,
        cursor: &mut Cursor<'a>,
        splice: &mut Splice<'a>,
    ) -> Result<(), ChunkFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        let mut index = None;
        let mut finished = false;
        let mut delta_before_index = None;
        while let Some(key) = cursor.next_key()? {
            match (&*key.name, index) {
                ("index", _) => index = cursor.value()?.as_u64(),
                ("delta", Some(index)) => self.read_delta(index, cursor, splice)?,
                ("delta", None) => delta_before_index = Some(cursor.value()?.span),
                // The older completions have the text in the choice itself.
                ("text", _) => {
                    let text = cursor.value()?;
                    self.contents += u64::from(!text.is_blank());
                    self.count(&text, Sort::Output);
                }
                ("finish_reason", _) => {
                    let reason = cursor.value()?;
                    match reason.kind {
                        // An empty reason makes clients believe that the turn has ended.
                        Kind::String if reason.is_blank() => splice.replace(reason.span, "null"),
                        kind => finished = kind != Kind::Null,
                    }
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        let index = index.unwrap_or(position);
        self.choice(index)?.finished |= finished;
        match delta_before_index {
            Some(span) => self.read_delta(index, &mut Cursor::within(text, span), splice),
            None => Ok(()),
        }
    }

    fn choice(&mut self, index: u64) -> Result<&mut Choice, ChunkFault> {
        let seen = self.choices.iter().position(|choice| choice.index == index);
        let place = seen.unwrap_or(self.choices.len());
        if place == CHOICES_MAX {
            return Err(ChunkFault::TooManyChoices { limit: CHOICES_MAX });
        }
        if place == self.choices.len() {
            self.choices.push(Choice { index, finished: false, calls: ToolCalls::default() });
        }
        Ok(&mut self.choices[place])
    }

    fn read_delta<'a>(
        &mut self,
        choice: u64,
        cursor: &mut Cursor<'a>,
        splice: &mut Splice<'a>,
    ) -> Result<(), ChunkFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        let mut has_reasoning = false;
        while let Some(key) = cursor.next_key()? {
            let kind = cursor.peek()?;
            match (&*key.name, kind) {
                ("tool_calls", Kind::Array) => self.read_tool_calls(choice, cursor, splice)?,
                ("role" | "name", _) | (_, Kind::Null | Kind::Bool | Kind::Number) => {
                    cursor.value()?;
                }
                // Content of whatever sort: text, refusal, audio, and what upstreams add.
                (name, _) => {
                    let value = cursor.value()?;
                    self.contents += u64::from(!value.is_blank());
                    match name {
                        "content" | "refusal" | "function_call" => {
                            self.count(&value, Sort::Output);
                        }
                        // Some upstreams give the same text under two names.
                        "reasoning" | "reasoning_content" if !has_reasoning => {
                            self.count(&value, Sort::Reasoning);
                            has_reasoning = !value.is_blank();
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn read_tool_calls<'a>(
        &mut self,
        choice: u64,
        cursor: &mut Cursor<'a>,
        splice: &mut Splice<'a>,
    ) -> Result<(), ChunkFault> {
        self.choice(choice)?.calls.begin_delta();
        let mut position = 0;
        cursor.enter_array()?;
        while cursor.next_element()? {
            self.contents += 1;
            if cursor.peek()? == Kind::Object {
                self.read_tool_call(choice, position, cursor, splice)?;
            } else {
                cursor.value()?;
            }
            position += 1;
        }
        Ok(())
    }

    fn read_tool_call<'a>(
        &mut self,
        choice: u64,
        position: u64,
        cursor: &mut Cursor<'a>,
        splice: &mut Splice<'a>,
    ) -> Result<(), ChunkFault> {
        let mut id = None;
        let mut index = None;
        let mut named = false;
        // Behind the last member, where a missing index is written.
        let mut end = cursor.enter_object()? + 1;
        let mut comma = "";
        while let Some(key) = cursor.next_key()? {
            match &*key.name {
                "id" => id = cursor.value()?.as_text().filter(|id| !id.is_empty()),
                "index" => index = Some(cursor.value()?),
                "function" | "custom" => named |= self.read_called(cursor)?,
                _ => {
                    cursor.value()?;
                }
            }
            end = cursor.position();
            comma = ",";
        }
        if named || id.is_some() {
            // It may open a call, which a chunk like it must do again.
            self.text = Text::Mixed;
        }
        let given = index.and_then(|index| index.as_u64());
        let piece = Piece { index: given, id: id.as_deref(), named };
        let calls = &mut self.choice(choice)?.calls;
        let belongs_to = calls.index_of(position, piece);
        match (given, index) {
            (Some(_), _) => {}
            (None, Some(null)) => splice.replace(null.span, belongs_to.to_string()),
            (None, None) => splice.insert(end, format!("{comma}\"index\":{belongs_to}")),
        }
        Ok(())
    }

    /// Counts a called function's name and arguments; whether it is named here.
    fn read_called(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, JsonFault> {
        let mut named = false;
        if !cursor.enter_if(Kind::Object)? {
            return Ok(false);
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            named |= key.name == "name" && !value.is_blank();
            self.count(&value, Sort::Output);
        }
        Ok(named)
    }
}

//! A stream that another upstream can go on with when the first one breaks off.
//!
//! Owns     what the client has been given so far, in the words of [`Event`], and the writer that can go on from there.
//! Called   by the relay as the [`AnswerStream`] that it is; by whoever asks another upstream through
//!          [`Mendable::resume`].
//! Bounded  by the answer: its text is kept until its end, for that is what a second answer is compared with.
//! Fails    with [`StreamFault::Differs`] at the first difference between what was given and what comes again.
//!
//! As long as the first upstream answers and client and upstream speak the same, its bytes pass as they are, and the
//! reader and the writer beside them only follow. From the first break on the writer writes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::passage::Passage;
use crate::event::{AnswerStream, Event, EventReader, EventWriter, StreamFault};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// How another upstream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It answers anew: what the client has is dropped as long as it comes again.
    Anew,
    /// It goes on from the text so far.
    After,
}

/// What the client has been given.
#[derive(Debug, Default)]
struct Given {
    text: String,
    thinking: String,
    refusal: String,
    redacted: Vec<String>,
    signatures: usize,
    /// Names and arguments.
    calls: Vec<(String, String)>,
}

/// How much of what was given has come again.
#[derive(Debug, Default)]
struct Again {
    text: usize,
    thinking: usize,
    refusal: usize,
    redacted: usize,
    signatures: usize,
    /// How much of each call's arguments; as many as have begun.
    calls: Vec<usize>,
}

/// A stream that can be mended.
#[derive(Debug)]
pub struct Mendable {
    /// Where bytes pass: the stream that passes them.
    passing: Option<Box<dyn AnswerStream>>,
    reader: Box<dyn EventReader>,
    passage: Passage,
    writer: Box<dyn EventWriter>,
    given: Given,
    /// Set while an upstream answers anew.
    again: Option<Again>,
    /// White space at the end of what was given that the next text may repeat.
    may_repeat: String,
    is_resumed: bool,
    events: Vec<Event>,
    written: BytesMut,
    has_failed: bool,
    /// Whether reader and writer could follow so far.
    follows: bool,
}

impl Mendable {
    /// What this reader reads, as this writer writes it; `passing` where bytes are to pass instead.
    pub fn new(
        passing: Option<Box<dyn AnswerStream>>,
        reader: Box<dyn EventReader>,
        writer: Box<dyn EventWriter>,
    ) -> Self {
        Self {
            passing,
            reader,
            passage: Passage::default(),
            writer,
            given: Given::default(),
            again: None,
            may_repeat: String::new(),
            is_resumed: false,
            events: Vec::new(),
            written: BytesMut::new(),
            has_failed: false,
            follows: true,
        }
    }

    /// Whether another upstream can go on: what was given is known exactly.
    pub fn can_resume(&self) -> bool {
        self.follows && !self.is_terminal()
    }

    /// The text so far, if it is all that was given: what a model can be made to go on from.
    pub fn text_alone(&self) -> Option<&str> {
        let Given { text, thinking, refusal, redacted, calls, .. } = &self.given;
        let is_alone = thinking.is_empty() && refusal.is_empty() && redacted.is_empty() && calls.is_empty();
        is_alone.then_some(&**text).filter(|text| !text.trim_end().is_empty())
    }

    /// From now on this reader reads.
    pub fn resume(&mut self, reader: Box<dyn EventReader>, how: Resume) {
        self.passing = None;
        self.reader = reader;
        self.events.clear();
        self.has_failed = false;
        self.is_resumed = true;
        self.may_repeat.clear();
        self.again = match how {
            Resume::Anew => Some(Again::default()),
            Resume::After => {
                let text = &self.given.text;
                self.may_repeat = text[text.trim_end().len()..].to_owned();
                None
            }
        };
    }

    fn is_over(&self) -> bool {
        self.has_failed || self.passage.has_ended()
    }

    /// Takes what was read: into the writer, but for what the client has already.
    fn take(&mut self) -> Result<(), StreamFault> {
        for event in std::mem::take(&mut self.events) {
            if self.passage.has_ended() {
                break;
            }
            let Some(event) = self.new_of(event)? else { continue };
            self.given.note(&event);
            if let Some(again) = &mut self.again {
                again.is_even(&event, &self.given);
            }
            let (writer, written) = (&mut self.writer, &mut self.written);
            self.passage.pass(event, &mut |event| writer.write(event, written))?;
        }
        Ok(())
    }

    /// What of an event the client does not have.
    fn new_of(&mut self, event: Event) -> Result<Option<Event>, StreamFault> {
        if self.is_resumed && matches!(event, Event::Start { .. }) {
            return Ok(None);
        }
        let Some(again) = &mut self.again else { return Ok(Some(self.without_repeated(event))) };
        let given = &self.given;
        let some = |text: Option<String>, event: fn(String) -> Event| text.map(event);
        Ok(match event {
            Event::Text(text) => some(rest(&given.text, &mut again.text, text)?, Event::Text),
            Event::Thinking(text) => some(rest(&given.thinking, &mut again.thinking, text)?, Event::Thinking),
            Event::Refusal(text) => some(rest(&given.refusal, &mut again.refusal, text)?, Event::Refusal),
            Event::Redacted(data) => match given.redacted.get(again.redacted) {
                Some(same) if *same != data => return Err(StreamFault::Differs),
                Some(_) => {
                    again.redacted += 1;
                    None
                }
                None => Some(Event::Redacted(data)),
            },
            Event::Signature(signature) => {
                again.signatures += 1;
                // It signs the same thought, in other words each time.
                (again.signatures > given.signatures).then_some(Event::Signature(signature))
            }
            Event::CallStart { call, id, name, signature } => {
                again.calls.push(0);
                match given.calls.get(call) {
                    Some((same, _)) if *same != name => return Err(StreamFault::Differs),
                    Some(_) => None,
                    None => Some(Event::CallStart { call, id, name, signature }),
                }
            }
            Event::CallArguments { call, json } => match (given.calls.get(call), again.calls.get_mut(call)) {
                (Some((_, arguments)), Some(at)) => {
                    rest(arguments, at, json)?.map(|json| Event::CallArguments { call, json })
                }
                _ => Some(Event::CallArguments { call, json }),
            },
            Event::Finish { .. } | Event::End if !again.is_past(given) => return Err(StreamFault::Differs),
            event => Some(event),
        })
    }

    fn without_repeated(&mut self, event: Event) -> Event {
        let Event::Text(text) = event else { return event };
        if self.may_repeat.is_empty() || text.is_empty() {
            return Event::Text(text);
        }
        let same = self.may_repeat.chars().zip(text.chars()).take_while(|(a, b)| a == b);
        let same: usize = same.map(|(c, _)| c.len_utf8()).sum();
        if same == text.len() {
            self.may_repeat.drain(..same);
        } else {
            self.may_repeat.clear();
        }
        Event::Text(text[same..].to_owned())
    }

    fn hand_out(&mut self, out: &mut VecDeque<Bytes>) {
        if !self.written.is_empty() {
            out.push_back(self.written.split().freeze());
        }
    }

    /// Has reader and writer follow what passes.
    fn follow(&mut self, read: Result<(), StreamFault>) {
        let followed = self.take();
        self.written.clear();
        self.follows &= read.is_ok() && followed.is_ok();
    }

    fn written(
        &mut self,
        read: Result<(), StreamFault>,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), StreamFault> {
        let taken = self.take();
        self.hand_out(out);
        if self.passage.has_ended() {
            return Ok(());
        }
        let result = taken.and(read);
        self.has_failed = result.is_err();
        result
    }
}

impl Given {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Text(text) => self.text.push_str(text),
            Event::Thinking(text) => self.thinking.push_str(text),
            Event::Refusal(text) => self.refusal.push_str(text),
            Event::Redacted(data) => self.redacted.push(data.clone()),
            Event::Signature(_) => self.signatures += 1,
            Event::CallStart { name, .. } => self.calls.push((name.clone(), String::new())),
            Event::CallArguments { call, json } => {
                if let Some((_, arguments)) = self.calls.get_mut(*call) {
                    arguments.push_str(json);
                }
            }
            Event::Start { .. } | Event::Usage(_) | Event::Ping | Event::Finish { .. } | Event::End => {}
        }
    }
}

impl Again {
    /// What was just given was given for the first time, so it has come as often as it was given.
    fn is_even(&mut self, event: &Event, given: &Given) {
        match event {
            Event::Text(_) => self.text = given.text.len(),
            Event::Thinking(_) => self.thinking = given.thinking.len(),
            Event::Refusal(_) => self.refusal = given.refusal.len(),
            Event::Redacted(_) => self.redacted = given.redacted.len(),
            Event::CallArguments { call, .. } => {
                let arguments = given.calls.get(*call).map(|(_, arguments)| arguments.len());
                if let (Some(at), Some(arguments)) = (self.calls.get_mut(*call), arguments) {
                    *at = arguments;
                }
            }
            _ => {}
        }
    }

    /// Whether all that was given has come again.
    fn is_past(&self, given: &Given) -> bool {
        let calls = self.calls.iter().zip(&given.calls);
        self.text >= given.text.len()
            && self.thinking >= given.thinking.len()
            && self.refusal >= given.refusal.len()
            && self.redacted >= given.redacted.len()
            && self.calls.len() >= given.calls.len()
            && calls.fold(true, |past, (at, (_, arguments))| past && *at >= arguments.len())
    }
}

/// What of a text lies behind what was given, of which `at` bytes have come again before it.
fn rest(given: &str, at: &mut usize, text: String) -> Result<Option<String>, StreamFault> {
    let Some(before) = given.get(*at..).filter(|before| !before.is_empty()) else { return Ok(Some(text)) };
    let same = before.len().min(text.len());
    if before.as_bytes()[..same] != text.as_bytes()[..same] {
        return Err(StreamFault::Differs);
    }
    *at += same;
    // Where they part is a character's boundary of both, as one of them ends there.
    Ok((same < text.len()).then(|| text[same..].to_owned()))
}

impl AnswerStream for Mendable {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if let Some(passing) = &mut self.passing {
            let passed = passing.push(chunk.clone(), out);
            if self.follows && !self.passage.has_ended() {
                let read = self.reader.push(chunk, &mut self.events);
                self.follow(if passed.is_ok() { read } else { Ok(()) });
            }
            return passed;
        }
        if self.is_over() {
            return Ok(());
        }
        let read = self.reader.push(chunk, &mut self.events);
        self.written(read, out)
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if let Some(passing) = &mut self.passing {
            return passing.finish(out);
        }
        if self.is_over() {
            return Ok(());
        }
        let read = self.reader.finish(&mut self.events);
        self.written(read, out)?;
        if self.passage.has_ended() {
            return Ok(());
        }
        self.has_failed = true;
        Err(StreamFault::Truncated)
    }

    fn contents(&self) -> u64 {
        self.passing.as_ref().map_or_else(|| self.passage.contents(), |passing| passing.contents())
    }

    fn is_terminal(&self) -> bool {
        self.passing.as_ref().map_or_else(|| self.passage.has_ended(), |passing| passing.is_terminal())
    }

    fn usage(&self) -> Option<Usage> {
        self.passing.as_ref().map_or_else(|| self.passage.usage(), |passing| passing.usage())
    }

    fn counted(&self) -> Usage {
        self.passing.as_ref().map_or_else(|| self.passage.counted(), |passing| passing.counted())
    }

    fn response_id(&self) -> Option<&str> {
        self.passing.as_ref().and_then(|passing| passing.response_id())
    }

    fn item_ids(&self) -> &[String] {
        self.passing.as_ref().map_or(&[], |passing| passing.item_ids())
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        match &mut self.passing {
            Some(passing) => passing.closing_error(event),
            None => self.writer.closing_error(event),
        }
    }

    fn mendable(&mut self) -> Option<&mut Mendable> {
        Some(self)
    }
}

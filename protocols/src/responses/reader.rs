//! An upstream's answer in the Responses dialect, read as events: of a stream, and of a whole answer.
//!
//! Owns     which call an item is, for items are numbered with messages and thoughts between them, and calls are not.
//! Called   by [`crate::translate`] when the client speaks another dialect.
//! Bounded  by the frame limit and [`ITEMS_MAX`].
//! Fails    with a [`StreamFault`]; events before the fault are given.
//!
//! A text comes in pieces, and once more as a whole when it is done. The whole counts only where no piece came, as
//! from servers that send none.

use bytes::Bytes;

use super::answer::{self, Response};
use super::frame::{self, Received};
use super::item::{Item, Said};
use crate::event::{CALLS_MAX, Event, EventReader, Finish, OutOfOrder};
use crate::json::{Cursor, Halves, JsonFault, Kind, Value};
use crate::openai::{AnswerFault, StreamFault};
use crate::sse::{Frame, FrameReader};

#[cfg(test)]
mod tests;

/// Output items that are followed. Beside every call that an answer may have there is room for a message and a
/// thought.
const ITEMS_MAX: usize = 3 * CALLS_MAX;

/// Between the parts of a thought's summary, which are paragraphs.
const PARAGRAPH: &str = "\n\n";

/// Makes events of a stream.
#[derive(Debug)]
pub struct ResponsesEvents {
    reader: FrameReader,
    phase: Phase,
    has_data: bool,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Ended,
    Failed,
}

/// What the events so far have said.
#[derive(Debug, Default)]
struct Answer {
    has_started: bool,
    items: Vec<Followed>,
    calls: usize,
}

/// An output item that has begun.
#[derive(Debug)]
struct Followed {
    output_index: Option<u64>,
    id: Option<String>,
    /// Its number among the calls, if it is one.
    call: Option<usize>,
    /// Something of it was given: text, or arguments that are not blank.
    has_spoken: bool,
    /// The kind of event that its thought comes by; of a summary and a whole text, the first.
    thinks_by: Option<String>,
    /// The part of the summary that came last.
    summary_index: u64,
    is_done: bool,
    halves: Halves,
}

impl ResponsesEvents {
    /// A stream of which nothing has come, and whose events have at most this many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            reader: FrameReader::new(max_frame_bytes),
            phase: Phase::Open,
            has_data: false,
            answer: Answer::default(),
        }
    }

    fn take(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if frame.is_late_newline() {
            return Ok(());
        }
        match frame::received(frame)? {
            Received::Nothing => events.push(Event::Ping),
            Received::Done => self.has_data = true,
            Received::Event(event) => {
                self.has_data = true;
                if self.answer.take(&event, events)? {
                    self.phase = Phase::Ended;
                }
            }
        }
        Ok(())
    }

    fn take_frames(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        while self.phase == Phase::Open
            && let Some(frame) = self.reader.next_frame()?
        {
            self.take(&frame, events)?;
        }
        Ok(())
    }

    fn take_end(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if let Some(frame) = self.reader.finish() {
            match self.take(&frame, events) {
                // An event that was cut off.
                Err(StreamFault::Unreadable(_)) => return Err(StreamFault::Truncated),
                result => result?,
            }
        }
        match self.phase {
            Phase::Open if self.has_data => Err(StreamFault::Truncated),
            Phase::Open => Err(StreamFault::Empty),
            Phase::Ended | Phase::Failed => Ok(()),
        }
    }

    fn conclude(&mut self, result: Result<(), StreamFault>) -> Result<(), StreamFault> {
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result
    }
}

impl EventReader for ResponsesEvents {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        self.reader.push(chunk);
        let result = self.take_frames(events);
        self.conclude(result)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), StreamFault> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        let result = self.take_end(events);
        self.conclude(result)
    }
}

/// Reads a whole answer as events.
///
/// # Errors
/// An [`AnswerFault`] when the body is no answer.
pub fn events(body: &[u8]) -> Result<Vec<Event>, AnswerFault> {
    let response = answer::read_whole(body)?;
    let mut events = Vec::new();
    match Answer::default().take_whole(&response, &mut events) {
        Ok(()) => Ok(events),
        Err(ItemFault::Json(fault)) => Err(fault.into()),
        Err(ItemFault::Order(fault)) => Err(fault.into()),
    }
}

/// The events of an answer that passes as it is, as far as they can be followed.
pub(super) fn events_of(response: &Response<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    // An answer that is only counted is nobody's to refuse.
    let _ = Answer::default().take_whole(response, &mut events);
    events
}

/// Why an item cannot be followed.
enum ItemFault {
    Json(JsonFault),
    Order(OutOfOrder),
}

impl From<JsonFault> for ItemFault {
    fn from(fault: JsonFault) -> Self {
        Self::Json(fault)
    }
}

impl From<ItemFault> for StreamFault {
    fn from(fault: ItemFault) -> Self {
        match fault {
            ItemFault::Json(fault) => Self::Unreadable(fault),
            ItemFault::Order(fault) => Self::OutOfOrder(fault),
        }
    }
}

impl Answer {
    fn take_whole(&mut self, response: &Response<'_>, events: &mut Vec<Event>) -> Result<(), ItemFault> {
        self.start(Some(response), events);
        self.take_end(response, events)
    }

    /// Takes an event; whether it is the last.
    fn take(&mut self, event: &frame::Event<'_>, events: &mut Vec<Event>) -> Result<bool, ItemFault> {
        let act = event.act();
        if act == frame::Act::End {
            let response = event.response()?.unwrap_or_default();
            self.take_whole(&response, events)?;
            return Ok(true);
        }
        match &*event.kind {
            "keepalive" => events.push(Event::Ping),
            "response.created" | "response.queued" | "response.in_progress" => {
                self.start(event.response()?.as_ref(), events);
            }
            "response.output_item.added" => {
                if let Some(item) = event.item()? {
                    self.start(None, events);
                    self.begin(event.output_index, &item, events)?;
                }
            }
            "response.output_item.done" => {
                if let Some(item) = event.item()? {
                    self.start(None, events);
                    self.end_item(event.output_index, &item, events)?;
                }
            }
            _ => {
                if let Some(delta) = event.delta.filter(|delta| delta.kind == Kind::String) {
                    self.start(None, events);
                    self.take_delta(event, &delta, events)?;
                }
            }
        }
        Ok(false)
    }

    fn start(&mut self, response: Option<&Response<'_>>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_started, true) {
            let id = response.and_then(|response| response.id.clone());
            let model = response.and_then(|response| response.model.clone());
            events.push(Event::Start { id, model });
        }
    }

    fn take_delta(
        &mut self,
        event: &frame::Event<'_>,
        delta: &Value<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), ItemFault> {
        let kind = &*event.kind;
        let is_arguments = kind == "response.function_call_arguments.delta";
        let is_thought = event.act() == frame::Act::Reasoning;
        let is_word = matches!(kind, TEXT_DELTA | REFUSAL_DELTA);
        if !(is_arguments || is_thought || is_word) {
            // A piece of what one of the upstream's own tools does.
            return Ok(());
        }
        let place = match self.place_of(event) {
            Some(place) => place,
            None if is_arguments => return Err(ItemFault::Order(OutOfOrder::Arguments)),
            None => self.follow(Followed::new(event.output_index, event.item_id()))?,
        };
        let Some(item) = self.items.get_mut(place) else { return Ok(()) };
        if is_thought && item.thinks_by.get_or_insert_with(|| kind.to_owned()) != kind {
            return Ok(());
        }
        let mut text = item.halves.join(delta.raw);
        if let Some(index) = event.summary_index.filter(|index| is_thought && *index > item.summary_index) {
            item.summary_index = index;
            if item.has_spoken {
                text.insert_str(0, PARAGRAPH);
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        item.has_spoken |= item.call.is_none() || !text.trim().is_empty();
        events.push(match (kind, item.call) {
            (TEXT_DELTA, _) => Event::Text(text),
            (REFUSAL_DELTA, _) => Event::Refusal(text),
            (_, Some(call)) if is_arguments => Event::CallArguments { call, json: text },
            _ if is_arguments => return Err(ItemFault::Order(OutOfOrder::Arguments)),
            _ => Event::Thinking(text),
        });
        Ok(())
    }

    /// An item begins; its place among those that are followed.
    fn begin(
        &mut self,
        output_index: Option<u64>,
        item: &Item<'_>,
        events: &mut Vec<Event>,
    ) -> Result<usize, ItemFault> {
        let place = self.follow(Followed::new(output_index, item.id.clone()))?;
        if item.sort == "function_call"
            && let Some(followed) = self.items.get_mut(place)
        {
            let call = self.calls;
            if call == CALLS_MAX {
                return Err(ItemFault::Order(OutOfOrder::Call));
            }
            self.calls += 1;
            followed.call = Some(call);
            // The item's own id will do where there is no other.
            let id = item.call_id.clone().or(item.id.clone()).unwrap_or_else(|| format!("call_{call}"));
            let name = item.name.clone().unwrap_or_default();
            events.push(Event::CallStart { call, id, name, signature: None });
        }
        Ok(place)
    }

    /// An item is done, and is given whole: what did not come in pieces comes now.
    fn end_item(
        &mut self,
        output_index: Option<u64>,
        item: &Item<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), ItemFault> {
        let place = match self.place(output_index, || item.id.clone()) {
            Some(place) => place,
            None => self.begin(output_index, item, events)?,
        };
        let Some(followed) = self.items.get_mut(place) else { return Ok(()) };
        if std::mem::replace(&mut followed.is_done, true) {
            return Ok(());
        }
        followed.give_half(&item.sort, events);
        match (&*item.sort, followed.call) {
            ("message", _) if !followed.has_spoken => {
                events.extend(item.said()?.into_iter().map(|said| match said {
                    Said::Text(text) => Event::Text(text),
                    Said::Refusal(text) => Event::Refusal(text),
                }));
            }
            ("reasoning", _) => followed.end_thought(item, events)?,
            ("function_call", Some(call)) if !followed.has_spoken => {
                let arguments = item.arguments.and_then(|arguments| arguments.as_text());
                let json = arguments.filter(|text| !text.trim().is_empty());
                let json = json.map_or_else(|| "{}".to_owned(), String::from);
                events.push(Event::CallArguments { call, json });
            }
            _ => {}
        }
        Ok(())
    }

    /// The terminal event, or a whole answer: every item is in it once more. Of a stream it completes what did not come
    /// to its end, and gives the whole only where no item came: servers differ in what they count as one.
    fn take_end(&mut self, response: &Response<'_>, events: &mut Vec<Event>) -> Result<(), ItemFault> {
        if let Some(output) = &response.output {
            let mut cursor = Cursor::new(output.raw);
            cursor.enter_array()?;
            let is_whole = self.items.is_empty();
            let mut index = 0;
            while cursor.next_element()? {
                if cursor.peek()? == Kind::Object {
                    let item = Item::read(&mut cursor)?;
                    if is_whole || self.place(Some(index), || item.id.clone()).is_some() {
                        self.end_item(Some(index), &item, events)?;
                    }
                } else {
                    cursor.value()?;
                }
                index += 1;
            }
        }
        for item in self.items.iter_mut().filter(|item| !item.is_done) {
            item.close(events);
        }
        events.extend(response.usage.map(Event::Usage));
        let reason = finish(response).with_calls(self.calls > 0);
        events.push(Event::Finish { reason, stop_sequence: None });
        events.push(Event::End);
        Ok(())
    }

    fn follow(&mut self, item: Followed) -> Result<usize, ItemFault> {
        if self.items.len() == ITEMS_MAX {
            return Err(ItemFault::Order(OutOfOrder::Call));
        }
        self.items.push(item);
        Ok(self.items.len() - 1)
    }

    fn place_of(&self, event: &frame::Event<'_>) -> Option<usize> {
        self.place(event.output_index, || event.item_id())
    }

    /// The item at this index; by its id only where an index is missing, since some proxies give an item another id in
    /// every event.
    fn place(&self, output_index: Option<u64>, id: impl FnOnce() -> Option<String>) -> Option<usize> {
        let by_index = |item: &Followed| output_index.is_some() && item.output_index == output_index;
        self.items.iter().rposition(by_index).or_else(|| {
            let id = id()?;
            let lacks_index = |item: &Followed| output_index.is_none() || item.output_index.is_none();
            self.items.iter().rposition(|item| lacks_index(item) && item.id.as_ref() == Some(&id))
        })
    }
}

const TEXT_DELTA: &str = "response.output_text.delta";
const REFUSAL_DELTA: &str = "response.refusal.delta";

impl Followed {
    fn new(output_index: Option<u64>, id: Option<String>) -> Self {
        Self {
            output_index,
            id,
            call: None,
            has_spoken: false,
            thinks_by: None,
            summary_index: 0,
            is_done: false,
            halves: Halves::default(),
        }
    }

    /// Half a character that waited for its other half, which will not come.
    fn give_half(&mut self, sort: &str, events: &mut Vec<Event>) {
        let Some(text) = self.halves.rest() else { return };
        self.has_spoken = true;
        events.push(match self.call {
            Some(call) => Event::CallArguments { call, json: text },
            None if sort == "reasoning" => Event::Thinking(text),
            None => Event::Text(text),
        });
    }

    fn end_thought(&mut self, item: &Item<'_>, events: &mut Vec<Event>) -> Result<(), JsonFault> {
        if !self.has_spoken {
            for (index, said) in item.thought()?.into_iter().enumerate() {
                let (Said::Text(mut text) | Said::Refusal(mut text)) = said;
                if index > 0 {
                    text.insert_str(0, PARAGRAPH);
                }
                self.has_spoken = true;
                events.push(Event::Thinking(text));
            }
        }
        if let Some(encrypted) = &item.encrypted_content {
            let has_text = self.has_spoken;
            let encrypted = encrypted.clone();
            events.push(if has_text { Event::Signature(encrypted) } else { Event::Redacted(encrypted) });
        }
        Ok(())
    }

    /// The end of an item that the upstream never ended.
    fn close(&mut self, events: &mut Vec<Event>) {
        let sort = if self.thinks_by.is_some() { "reasoning" } else { "message" };
        self.give_half(sort, events);
        if let (Some(call), false) = (self.call, self.has_spoken) {
            events.push(Event::CallArguments { call, json: "{}".to_owned() });
        }
    }
}

/// Why the answer ends. An upstream that stopped for want of room or by a filter says so as a detail.
fn finish(response: &Response<'_>) -> Finish {
    match (response.status.as_deref(), response.incomplete.as_deref()) {
        (_, Some("max_output_tokens")) => Finish::Length,
        (_, Some("content_filter")) => Finish::ContentFilter,
        (_, Some(reason)) => Finish::Other(reason.to_owned()),
        (Some("completed") | None, None) => Finish::Stop,
        (Some(status), None) => Finish::Other(status.to_owned()),
    }
}

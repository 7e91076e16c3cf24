//! An answer in the Responses dialect, written from events: as a stream, and whole.
//!
//! Owns     the numbering of events and items, and which items are open. Each is opened and closed once.
//! Called   by [`crate::translate`] when the upstream speaks another dialect.
//! Bounded  by the answer: its last event repeats it whole, so the text is kept.
//! Fails    never: it is given events in an order that [`crate::event::Order`] has admitted.
//!
//! A message and a thought are closed by what comes after them. Calls stay open until the finish, since pieces of
//! several may take turns.

use bytes::{Bytes, BytesMut};

use super::echoed::Echoed;
use super::output::{self, Sort, Status};
use crate::conversation::Call;
use crate::event::{Event, EventWriter, Finish};
use crate::json::Writer;
use crate::usage::Usage;

#[cfg(test)]
mod tests;

/// Makes a client's stream of events.
#[derive(Debug)]
pub struct ResponsesWriter {
    id: String,
    model: String,
    created: u64,
    echoed: Echoed,
    /// The number of the next event.
    sequence: u64,
    /// Items that are done, as JSON, by output index.
    items: Vec<Option<String>>,
    open: Option<Open>,
    calls: Vec<OpenCall>,
    usage: Option<Usage>,
    finish: Option<Finish>,
}

/// The one message or thought that goes on.
#[derive(Debug)]
enum Open {
    Message {
        index: usize,
        /// Parts that are done, as JSON.
        parts: Vec<String>,
        sort: Sort,
        text: String,
    },
    Thought {
        index: usize,
        text: String,
        signature: Option<String>,
    },
}

#[derive(Debug)]
struct OpenCall {
    index: usize,
    call: Call<'static>,
}

impl ResponsesWriter {
    /// Nothing is written yet. `id` is the response's, such as `resp_1`, `model` what it is called unless the upstream
    /// says which answers, `created` in seconds since the Unix epoch.
    ///
    /// `completed_at` stays null: nothing here reads a clock.
    pub fn new(id: &str, model: &str, created: u64) -> Self {
        Self {
            id: id.to_owned(),
            model: model.to_owned(),
            created,
            echoed: Echoed::default(),
            sequence: 0,
            items: Vec::new(),
            open: None,
            calls: Vec::new(),
            usage: None,
            finish: None,
        }
    }

    /// Repeats this of the request, as the dialect has it; without, the answer says what holds by default.
    #[must_use]
    pub fn repeating(self, echoed: Echoed) -> Self {
        Self { echoed, ..self }
    }

    /// The whole answer that these events make.
    pub fn render(mut self, events: &[Event]) -> String {
        // The response object is made beside the stream; of a whole answer nothing else is needed.
        let mut stream = BytesMut::new();
        for event in events.iter().filter(|event| !matches!(event, Event::Ping | Event::End)) {
            self.write(event, &mut stream);
            stream.clear();
        }
        written(|json| self.response(json))
    }

    /// The response object as far as it has come.
    fn response(&self, json: &mut Writer) {
        let reason = self.finish.as_ref().and_then(output::incomplete_reason);
        json.object(|json| {
            json.key("id").text(&self.id);
            json.key("object").text("response");
            json.key("created_at").number(self.created);
            json.key("completed_at").null();
            json.key("status").text(self.status().as_str());
            json.key("error").null();
            match reason {
                Some(reason) => {
                    json.key("incomplete_details").object(|json| json.key("reason").text(reason));
                }
                None => json.key("incomplete_details").null(),
            }
            json.key("model").text(&self.model);
            json.key("output").array(|json| self.items.iter().flatten().for_each(|item| json.raw(item)));
            output::usage(json.key("usage"), self.usage);
            self.echoed.write(json);
        });
    }

    fn status(&self) -> Status {
        match self.finish.as_ref().map(output::incomplete_reason) {
            None => Status::InProgress,
            Some(None) => Status::Completed,
            Some(Some(_)) => Status::Incomplete,
        }
    }

    /// What became of an item that is closed now: without a finish something came after it.
    fn item_status(&self) -> Status {
        match self.status() {
            Status::Incomplete => Status::Incomplete,
            Status::InProgress | Status::Completed => Status::Completed,
        }
    }

    /// An item's id: its sort, the response's own id, its place.
    fn item_id(&self, sort: &str, index: usize) -> String {
        let own = self.id.strip_prefix("resp_").unwrap_or(&self.id);
        format!("{sort}_{own}_{index}")
    }

    /// One event with these members behind its number.
    fn event(&mut self, out: &mut BytesMut, kind: &str, members: impl FnOnce(&mut Writer)) {
        let mut json = Writer::new();
        json.object(|json| {
            json.key("type").text(kind);
            json.key("sequence_number").number(self.sequence);
            members(json);
        });
        self.sequence += 1;
        for piece in ["event: ", kind, "\ndata: ", &json.into_text(), "\n\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }

    fn response_event(&mut self, out: &mut BytesMut, kind: &str) {
        let mut response = Writer::new();
        self.response(&mut response);
        self.event(out, kind, |json| json.key("response").raw(&response.into_text()));
    }

    /// Begins an item, which is given as JSON.
    fn add_item(&mut self, out: &mut BytesMut, item: &str) -> usize {
        let index = self.items.len();
        self.items.push(None);
        self.event(out, "response.output_item.added", |json| {
            json.key("output_index").number(index as u64);
            json.key("item").raw(item);
        });
        index
    }

    fn end_item(&mut self, out: &mut BytesMut, index: usize, item: String) {
        self.event(out, "response.output_item.done", |json| {
            json.key("output_index").number(index as u64);
            json.key("item").raw(&item);
        });
        if let Some(place) = self.items.get_mut(index) {
            *place = Some(item);
        }
    }

    fn say(&mut self, out: &mut BytesMut, sort: Sort, piece: &str) {
        if piece.is_empty() {
            return;
        }
        match &self.open {
            Some(Open::Message { sort: going_on, .. }) if *going_on == sort => {}
            Some(Open::Message { .. }) => self.next_part(out, sort),
            Some(Open::Thought { .. }) | None => {
                self.close_open(out);
                let index = self.items.len();
                let id = self.item_id("msg", index);
                self.add_item(out, &written(|json| output::message(json, &id, Status::InProgress, &[])));
                self.begin_part(out, index, Vec::new(), sort);
            }
        }
        let Some(Open::Message { index, parts, text, .. }) = &mut self.open else { return };
        text.push_str(piece);
        let (index, part) = (*index, parts.len());
        let id = self.item_id("msg", index);
        self.event(out, sort.events().0, |json| {
            part_address(json, &id, index, part);
            json.key("delta").text(piece);
            if sort == Sort::Text {
                json.key("logprobs").raw("[]");
            }
        });
    }

    fn next_part(&mut self, out: &mut BytesMut, sort: Sort) {
        if let Some((index, parts)) = self.end_part(out) {
            self.begin_part(out, index, parts, sort);
        }
    }

    fn begin_part(&mut self, out: &mut BytesMut, index: usize, parts: Vec<String>, sort: Sort) {
        let (id, part) = (self.item_id("msg", index), parts.len());
        self.event(out, "response.content_part.added", |json| {
            part_address(json, &id, index, part);
            output::part(json.key("part"), sort, "");
        });
        self.open = Some(Open::Message { index, parts, sort, text: String::new() });
    }

    /// Ends the part that goes on, and with it the open message, whose index and parts are returned.
    fn end_part(&mut self, out: &mut BytesMut) -> Option<(usize, Vec<String>)> {
        let Some(Open::Message { index, mut parts, sort, text }) = self.open.take() else { return None };
        let (id, part) = (self.item_id("msg", index), parts.len());
        let done = written(|json| output::part(json, sort, &text));
        self.event(out, sort.events().1, |json| {
            part_address(json, &id, index, part);
            json.key(sort.member()).text(&text);
            if sort == Sort::Text {
                json.key("logprobs").raw("[]");
            }
        });
        self.event(out, "response.content_part.done", |json| {
            part_address(json, &id, index, part);
            json.key("part").raw(&done);
        });
        parts.push(done);
        Some((index, parts))
    }

    /// A thought goes on, or another begins; behind its signature a thought is whole.
    fn think(&mut self, out: &mut BytesMut) {
        if matches!(self.open, Some(Open::Thought { signature: None, .. })) {
            return;
        }
        self.close_open(out);
        let index = self.items.len();
        let id = self.item_id("rs", index);
        self.add_item(out, &written(|json| output::thought(json, &id, None, None)));
        self.event(out, "response.reasoning_summary_part.added", |json| {
            summary_address(json, &id, index);
            output::summary_part(json.key("part"), "");
        });
        self.open = Some(Open::Thought { index, text: String::new(), signature: None });
    }

    fn think_on(&mut self, out: &mut BytesMut, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.think(out);
        let Some(Open::Thought { index, text, .. }) = &mut self.open else { return };
        text.push_str(piece);
        let index = *index;
        let id = self.item_id("rs", index);
        self.event(out, "response.reasoning_summary_text.delta", |json| {
            summary_address(json, &id, index);
            json.key("delta").text(piece);
        });
    }

    fn sign(&mut self, out: &mut BytesMut, signed: &str) {
        self.think(out);
        if let Some(Open::Thought { signature, .. }) = &mut self.open {
            *signature = Some(signed.to_owned());
        }
    }

    /// A thought that only its upstream can read: an item without a word in it.
    fn think_unseen(&mut self, out: &mut BytesMut, data: &str) {
        self.close_open(out);
        let id = self.item_id("rs", self.items.len());
        let index = self.add_item(out, &written(|json| output::thought(json, &id, None, None)));
        self.end_item(out, index, written(|json| output::thought(json, &id, None, Some(data))));
    }

    fn begin_call(&mut self, out: &mut BytesMut, call: Call<'static>) {
        self.close_open(out);
        let id = self.item_id("fc", self.items.len());
        let item = written(|json| output::call(json, &id, Status::InProgress, &call));
        let index = self.add_item(out, &item);
        self.calls.push(OpenCall { index, call });
    }

    fn call_on(&mut self, out: &mut BytesMut, call: usize, piece: &str) {
        let Some(open) = self.calls.get_mut(call) else { return };
        open.call.arguments.to_mut().push_str(piece);
        let index = open.index;
        let id = self.item_id("fc", index);
        self.event(out, "response.function_call_arguments.delta", |json| {
            json.key("item_id").text(&id);
            json.key("output_index").number(index as u64);
            json.key("delta").text(piece);
        });
    }

    /// Closes the message or thought that goes on.
    fn close_open(&mut self, out: &mut BytesMut) {
        match self.open.take() {
            None => {}
            Some(message @ Open::Message { .. }) => {
                self.open = Some(message);
                let Some((index, parts)) = self.end_part(out) else { return };
                let (id, status) = (self.item_id("msg", index), self.item_status());
                self.end_item(out, index, written(|json| output::message(json, &id, status, &parts)));
            }
            Some(Open::Thought { index, text, signature }) => {
                let id = self.item_id("rs", index);
                self.event(out, "response.reasoning_summary_text.done", |json| {
                    summary_address(json, &id, index);
                    json.key("text").text(&text);
                });
                self.event(out, "response.reasoning_summary_part.done", |json| {
                    summary_address(json, &id, index);
                    output::summary_part(json.key("part"), &text);
                });
                let signature = signature.as_deref();
                let item = written(|json| output::thought(json, &id, Some(&text), signature));
                self.end_item(out, index, item);
            }
        }
    }

    /// Closes the calls, in their order. One that was given no arguments has an empty object of them.
    fn close_calls(&mut self, out: &mut BytesMut) {
        let status = self.item_status();
        for OpenCall { index, call } in std::mem::take(&mut self.calls) {
            let id = self.item_id("fc", index);
            let is_blank = call.arguments.trim().is_empty();
            let arguments = if is_blank { "{}".into() } else { call.arguments };
            let call = Call { arguments, ..call };
            self.event(out, "response.function_call_arguments.done", |json| {
                json.key("item_id").text(&id);
                json.key("output_index").number(index as u64);
                json.key("name").text(&call.name);
                json.key("arguments").text(&call.arguments);
            });
            self.end_item(out, index, written(|json| output::call(json, &id, status, &call)));
        }
    }
}

impl EventWriter for ResponsesWriter {
    fn write(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { model, .. } => {
                if let Some(model) = model {
                    self.model.clone_from(model);
                }
                self.response_event(out, "response.created");
                self.response_event(out, "response.in_progress");
            }
            Event::Text(text) => self.say(out, Sort::Text, text),
            Event::Refusal(text) => self.say(out, Sort::Refusal, text),
            Event::Thinking(text) => self.think_on(out, text),
            Event::Signature(signature) => self.sign(out, signature),
            Event::Redacted(data) => self.think_unseen(out, data),
            Event::CallStart { id, name, signature, .. } => {
                let signature = signature.clone().map(Into::into);
                let (id, name) = (id.clone().into(), name.clone().into());
                self.begin_call(out, Call { id, name, arguments: "".into(), signature });
            }
            Event::CallArguments { call, json } => self.call_on(out, *call, json),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Finish { reason, .. } => {
                self.finish = Some(reason.clone());
                self.close_open(out);
                self.close_calls(out);
            }
            Event::End => {
                let kind = match self.status() {
                    Status::Incomplete => "response.incomplete",
                    Status::Completed | Status::InProgress => "response.completed",
                };
                self.response_event(out, kind);
            }
        }
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        output::error_event(&event, self.sequence).unwrap_or(event)
    }
}

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut json = Writer::new();
    write(&mut json);
    json.into_text()
}

fn part_address(json: &mut Writer, id: &str, output_index: usize, content_index: usize) {
    json.key("item_id").text(id);
    json.key("output_index").number(output_index as u64);
    json.key("content_index").number(content_index as u64);
}

/// A thought's summary has one part: the thought.
fn summary_address(json: &mut Writer, id: &str, output_index: usize) {
    json.key("item_id").text(id);
    json.key("output_index").number(output_index as u64);
    json.key("summary_index").raw("0");
}

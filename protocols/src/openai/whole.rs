//! A whole chat answer: what it says of itself, its events, and one written from events.
//!
//! Owns     the reading of a message as one delta that says everything, and the writing of one.
//! Called   [`whole`] for an answer that passes as it is; [`events`] and [`render_answer`] by [`crate::translate`].
//! Bounded  by the body.
//! Fails    with an [`AnswerFault`] where the body is no answer.

use crate::body;
use crate::event::{Event, Finish, Tally, WholeAnswer};
use crate::json::{self, Cursor, JsonFault, Kind, Span, Writer};
use crate::openai::UpstreamErrorBody;
use crate::openai::answer::AnswerFault;
use crate::openai::events::{Delta, Reason, owned};
use crate::openai::writer::{Identity, finish_words, function_call, redacted, thought, usage};
use crate::usage::{self, Usage};

#[cfg(test)]
mod tests;

/// What an answer is besides its choices.
#[derive(Debug, Default)]
struct Answer {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Usage>,
    /// The events of each choice, in the order of the body.
    choices: Vec<Vec<Event>>,
}

/// What a whole answer says of itself; its choices are counted together.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let answer = Answer::read(body)?;
    let mut tally = Tally::default();
    answer.choices.iter().flatten().for_each(|event| tally.take(event));
    Ok(WholeAnswer { usage: answer.usage, counted: tally.counted(), model: answer.model })
}

/// The events of a whole answer's first choice.
///
/// # Errors
/// An [`AnswerFault`] when the body is no answer.
pub fn events(body: &[u8]) -> Result<Vec<Event>, AnswerFault> {
    let Answer { id, model, usage, mut choices } = Answer::read(body)?;
    let mut events = vec![Event::Start { id, model }];
    events.extend(usage.map(Event::Usage));
    events.append(&mut choices.swap_remove(0));
    events.push(Event::End);
    Ok(events)
}

impl Answer {
    fn read(body: &[u8]) -> Result<Self, AnswerFault> {
        let text = json::utf8(body)?;
        let mut cursor = body::answer_in(body)?;
        let mut answer = Self::default();
        let mut is_error = false;
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "id" => answer.id = owned(Some(value)),
                "model" => answer.model = owned(Some(value)),
                "usage" => answer.usage = usage::from_openai(&value),
                "choices" => answer.read_choices(text, value.span)?,
                "error" => is_error |= !value.is_blank(),
                "object" => is_error |= value.raw == "\"error\"",
                _ => {}
            }
        }
        cursor.finish()?;
        match answer.choices.is_empty() {
            _ if is_error => Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body)))),
            true => Err(AnswerFault::NoChoices),
            false => Ok(answer),
        }
    }

    /// Reads the choices that stand at `span` of the body.
    fn read_choices(&mut self, body: &str, span: Span) -> Result<(), JsonFault> {
        let mut cursor = Cursor::within(body, span);
        if cursor.enter_if(Kind::Array)? {
            while cursor.next_element()? {
                self.choices.push(read_choice(body, cursor.value()?.span)?);
            }
        }
        Ok(())
    }
}

fn read_choice(body: &str, span: Span) -> Result<Vec<Event>, JsonFault> {
    let mut events = Vec::new();
    let mut delta = Delta::default();
    let mut reason = Reason::default();
    let mut cursor = Cursor::within(body, span);
    if cursor.enter_if(Kind::Object)? {
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "message" => delta.read(body, value.span, &mut events)?,
                name => reason.take(name, &value),
            }
        }
    }
    delta.finish(&mut events);
    events.push(reason.into_finish(delta.has_calls(), delta.has_refused()));
    Ok(events)
}

/// A message put together from events.
#[derive(Debug, Default)]
struct Message<'e> {
    model: Option<&'e str>,
    text: String,
    refusal: String,
    thoughts: Vec<Thought<'e>>,
    calls: Vec<CalledTool<'e>>,
    usage: Usage,
    finish: Option<(&'e Finish, Option<&'e str>)>,
}

#[derive(Debug)]
enum Thought<'e> {
    Told { text: String, signature: Option<&'e str> },
    Redacted(&'e str),
}

#[derive(Debug)]
struct CalledTool<'e> {
    id: &'e str,
    name: &'e str,
    signature: Option<&'e str>,
    arguments: String,
}

/// A whole answer written from events in order.
pub fn render_answer(events: &[Event], identity: Identity<'_>) -> String {
    let mut message = Message::default();
    events.iter().for_each(|event| message.take(event));
    let mut json = Writer::new();
    json.object(|json| {
        json.key("id").text(identity.id);
        json.key("object").text("chat.completion");
        json.key("created").number(identity.created);
        json.key("model").text(message.model.unwrap_or(identity.model));
        json.key("choices").array(|json| json.object(|json| message.choice(json)));
        usage(json.key("usage"), &message.usage);
    });
    json.into_text()
}

impl<'e> Message<'e> {
    fn take(&mut self, event: &'e Event) {
        match event {
            Event::Start { model, .. } => self.model = model.as_deref(),
            Event::Text(text) => self.text.push_str(text),
            Event::Refusal(text) => self.refusal.push_str(text),
            Event::Thinking(more) => match self.thoughts.last_mut() {
                Some(Thought::Told { text, signature: None }) => text.push_str(more),
                _ => self.thoughts.push(Thought::Told { text: more.clone(), signature: None }),
            },
            Event::Signature(given) => match self.thoughts.last_mut() {
                Some(Thought::Told { signature: signature @ None, .. }) => *signature = Some(given),
                _ => self.thoughts.push(Thought::Told { text: String::new(), signature: Some(given) }),
            },
            Event::Redacted(data) => self.thoughts.push(Thought::Redacted(data)),
            Event::CallStart { id, name, signature, .. } => self.calls.push(CalledTool {
                id,
                name,
                signature: signature.as_deref(),
                arguments: String::new(),
            }),
            Event::CallArguments { call, json } => {
                if let Some(call) = self.calls.get_mut(*call) {
                    call.arguments.push_str(json);
                }
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish { reason, stop_sequence } => self.finish = Some((reason, stop_sequence.as_deref())),
            Event::Ping | Event::End => {}
        }
    }

    fn choice(&self, json: &mut Writer) {
        json.key("index").number(0);
        json.key("message").object(|json| self.members(json));
        json.key("logprobs").null();
        let (reason, stop) = self.finish.unwrap_or((&Finish::Stop, None));
        let (word, native) = finish_words(reason, !self.refusal.is_empty());
        json.key("finish_reason").text(word);
        json.text_member("native_finish_reason", native);
        json.text_member("stop_reason", stop);
    }

    fn members(&self, json: &mut Writer) {
        json.key("role").text("assistant");
        match self.text.is_empty() && (!self.calls.is_empty() || !self.refusal.is_empty()) {
            true => json.key("content").null(),
            false => json.key("content").text(&self.text),
        }
        match self.refusal.is_empty() {
            true => json.key("refusal").null(),
            false => json.key("refusal").text(&self.refusal),
        }
        json.key("annotations").array(|_| {});
        self.reasoning(json);
        if !self.calls.is_empty() {
            json.key("tool_calls").array(|json| {
                for CalledTool { id, name, signature, arguments } in &self.calls {
                    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
                    json.object(|json| function_call(json, id, name, arguments, *signature));
                }
            });
        }
    }

    /// The thoughts in one text, and beside it each with what must come back with it.
    fn reasoning(&self, json: &mut Writer) {
        let told = self.thoughts.iter().filter_map(|thought| match thought {
            Thought::Told { text, .. } => Some(&**text),
            Thought::Redacted(_) => None,
        });
        let told: String = told.collect();
        if !told.is_empty() {
            json.key("reasoning_content").text(&told);
        }
        if !self.thoughts.is_empty() {
            json.key("reasoning_details").array(|json| {
                for (index, detail) in self.thoughts.iter().enumerate() {
                    match detail {
                        Thought::Told { text, signature } => thought(json, index, Some(text), *signature),
                        Thought::Redacted(data) => redacted(json, index, data),
                    }
                }
            });
        }
    }
}

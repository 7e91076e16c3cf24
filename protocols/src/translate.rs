//! One protocol to another, through the neutral form: requests, whole answers, streams.
//!
//! Owns     the choice of reader and writer for each pair.
//! Called   where a client and its upstream speak different protocols. Where they speak the same, bytes pass and none
//!          of this is used, but for a stream of Gemini's that is to become an array.
//! Bounded  by the readers: the body of a request or answer, a frame of a stream.
//! Fails    with a [`TranslateFault`] for a request, with the fault of its reader for an answer.
//!
//! `from` is whoever wrote the bytes and `to` whoever reads them: for a request from client to upstream, for an answer
//! from upstream to client.

use bytes::Bytes;

use crate::conversation::{Conversation, Losses, Target, Untranslatable};
use crate::event::{AnswerFault, AnswerStream, Event, EventReader, EventWriter, WholeAnswer};
use crate::openai::{ChatStream, Identity, RequestFault, StreamOptions};
use crate::responses::{Echoed, ResponsesWriter};
use crate::{anthropic, gemini, openai, responses};

mod continued;
mod mendable;
mod named;
mod passage;
mod translated;

#[cfg(test)]
mod tests;

pub use continued::continued;
pub use mendable::{Mendable, Resume};
use passage::Passage;
pub use translated::Translated;

/// What clients and upstreams speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// Gemini's generateContent.
    Gemini,
    /// OpenAI's responses.
    Responses,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Gemini, Self::Responses];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "OpenAI's chat API",
            Self::Messages => anthropic::DIALECT,
            Self::Gemini => "Gemini's API",
            Self::Responses => "OpenAI's Responses API",
        }
    }
}

/// Why a request is not translated. The text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslateFault {
    /// It is not what its own protocol defines.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// It asks for something that the upstream's protocol has no place for.
    #[error(transparent)]
    Untranslatable(#[from] Untranslatable),
}

/// What a client's answer is called, and how it is to look.
#[derive(Clone, Copy, Debug)]
pub struct AnswerOptions<'a> {
    /// The answer's id.
    pub id: &'a str,
    /// The model, unless the upstream says which.
    pub model: &'a str,
    /// When the answer began, in seconds since the Unix epoch.
    pub created: u64,
    /// Whether a chat stream is to show its usage; other protocols always do.
    pub show_usage: bool,
    /// Whether a stream of Gemini's is to be one JSON array instead of server-sent events.
    pub as_array: bool,
    /// The largest event of the upstream's stream, in bytes.
    pub max_frame_bytes: usize,
    /// The client's own request, of which answers of the Responses API repeat members.
    pub request: &'a Bytes,
}

/// Writes a request in the upstream's protocol. `stream` says whether a stream is asked for, which Gemini's requests do
/// not say themselves. With the body come the members that were left out; unless `is_lenient`, only those by which no
/// answer differs.
///
/// # Errors
/// A [`TranslateFault`] that names the member.
pub fn request(
    from: Protocol,
    to: Protocol,
    body: &Bytes,
    stream: bool,
    target: &Target<'_>,
    is_lenient: bool,
) -> Result<(Bytes, Vec<String>), TranslateFault> {
    let conversation = conversation(from, body, stream)?;
    let mut losses = Losses::new(to.name(), is_lenient);
    conversation.hints.iter().for_each(|hint| losses.name(&**hint));
    if to != Protocol::Messages && conversation.has_cache_marks() {
        losses.name("cache_control");
    }
    if to == Protocol::Gemini && conversation.user.is_some() {
        // Nobody but the upstream's operators reads it.
        losses.name(conversation.user_member);
    }
    let written = match to {
        Protocol::Chat => openai::render_request(&conversation, target, &mut losses),
        Protocol::Messages => anthropic::render_request(&conversation, target, &mut losses),
        Protocol::Gemini => gemini::render_request(&conversation, target, &mut losses),
        Protocol::Responses => responses::render_request(&conversation, target, &mut losses),
    };
    let written = written.map_err(|Untranslatable { member: word, to, .. }| {
        let member = named::by_caller(&word, from, &conversation.extras).to_owned();
        let more = (member != word && word.contains(' ')).then_some(word);
        Untranslatable { member, more, to }
    });
    let dropped = losses.into_dropped().into_iter();
    let named = |word: String| named::by_caller(&word, from, &conversation.extras).to_owned();
    Ok((written?, dropped.map(named).collect()))
}

/// A request in neutral form.
///
/// # Errors
/// A [`RequestFault`] when it is not what its protocol defines.
fn conversation(from: Protocol, body: &Bytes, stream: bool) -> Result<Conversation<'_>, RequestFault> {
    match from {
        Protocol::Chat => openai::conversation(body),
        Protocol::Messages => anthropic::conversation(body),
        Protocol::Gemini => gemini::conversation(body, stream),
        Protocol::Responses => responses::conversation(body),
    }
}

/// The client's stream of an upstream's.
pub fn stream(from: Protocol, to: Protocol, options: &AnswerOptions<'_>) -> Box<dyn AnswerStream> {
    let stream = match from == to {
        true => same(from, options),
        false => Box::new(Translated::new(reader(from, options), writer(to, options))),
    };
    match (to, options.as_array) {
        (Protocol::Gemini, true) => Box::new(gemini::ArrayStream::new(stream, options.max_frame_bytes)),
        _ => stream,
    }
}

/// The same, as a stream that another upstream can go on with. A client of the Responses API gets it translated even
/// from an upstream of its own kind: its events count, and name what they belong to, so that nobody else could go on.
pub fn mendable(from: Protocol, to: Protocol, options: &AnswerOptions<'_>) -> Box<dyn AnswerStream> {
    let passing = (from == to && to != Protocol::Responses).then(|| same(from, options));
    let writer = match (to, &passing) {
        (Protocol::Chat, Some(_)) => Box::new(chat_writer(options).behind_passed()),
        _ => writer(to, options),
    };
    let stream = Box::new(Mendable::new(passing, reader(from, options), writer));
    match (to, options.as_array) {
        (Protocol::Gemini, true) => Box::new(gemini::ArrayStream::new(stream, options.max_frame_bytes)),
        _ => stream,
    }
}

/// Has a stream go on with an upstream that speaks this.
pub fn resume(stream: &mut Mendable, from: Protocol, how: Resume, options: &AnswerOptions<'_>) {
    stream.resume(reader(from, options), how);
}

/// The stream of a client that speaks its upstream's protocol.
fn same(protocol: Protocol, options: &AnswerOptions<'_>) -> Box<dyn AnswerStream> {
    let max_frame_bytes = options.max_frame_bytes;
    match protocol {
        Protocol::Chat => {
            Box::new(ChatStream::new(StreamOptions { show_usage: options.show_usage, max_frame_bytes }))
        }
        Protocol::Messages => Box::new(anthropic::MessagesStream::new(max_frame_bytes)),
        Protocol::Gemini => Box::new(gemini::GenerateStream::new(max_frame_bytes)),
        Protocol::Responses => Box::new(responses::ResponsesStream::new(max_frame_bytes)),
    }
}

fn reader(from: Protocol, options: &AnswerOptions<'_>) -> Box<dyn EventReader> {
    let max_frame_bytes = options.max_frame_bytes;
    match from {
        Protocol::Chat => Box::new(openai::ChatEvents::new(max_frame_bytes)),
        Protocol::Messages => Box::new(anthropic::MessagesEvents::new(max_frame_bytes)),
        Protocol::Gemini => Box::new(gemini::GenerateEvents::new(max_frame_bytes)),
        Protocol::Responses => Box::new(responses::ResponsesEvents::new(max_frame_bytes)),
    }
}

fn writer(to: Protocol, options: &AnswerOptions<'_>) -> Box<dyn EventWriter> {
    let AnswerOptions { id, model, created, .. } = *options;
    match to {
        Protocol::Chat => Box::new(chat_writer(options)),
        Protocol::Messages => Box::new(anthropic::MessagesWriter::new(Identity { id, model, created })),
        Protocol::Gemini => Box::new(gemini::GenerateWriter::new(id, model)),
        Protocol::Responses => Box::new(responses_writer(options)),
    }
}

fn chat_writer(options: &AnswerOptions<'_>) -> openai::ChatWriter {
    let AnswerOptions { id, model, created, show_usage, .. } = *options;
    openai::ChatWriter::new(Identity { id, model, created }, show_usage)
}

/// A request that was translated could be read, so its members are there to be repeated.
fn responses_writer(options: &AnswerOptions<'_>) -> ResponsesWriter {
    let writer = ResponsesWriter::new(options.id, options.model, options.created);
    writer.repeating(Echoed::read(options.request).unwrap_or_default())
}

/// The client's whole answer of an upstream's, and what it says of itself.
///
/// # Errors
/// An [`AnswerFault`] when the body is no answer.
pub fn answer(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    options: &AnswerOptions<'_>,
) -> Result<(Bytes, WholeAnswer), AnswerFault> {
    let read = match from {
        Protocol::Chat => openai::events(body)?,
        Protocol::Messages => anthropic::events(body)?,
        Protocol::Gemini => gemini::events(body)?,
        Protocol::Responses => responses::events(body)?,
    };
    let mut passage = Passage::default();
    let mut events: Vec<Event> = Vec::with_capacity(read.len());
    for event in read {
        passage.pass(event, &mut |event| events.push(event.clone()))?;
    }
    let model = events.iter().find_map(|event| match event {
        Event::Start { model, .. } => model.clone(),
        _ => None,
    });
    let identity = Identity { id: options.id, model: options.model, created: options.created };
    let written = match to {
        Protocol::Chat => openai::render_answer(&events, identity),
        Protocol::Messages => anthropic::render_answer(&events, identity),
        Protocol::Gemini => gemini::render_answer(&events, options.id, options.model),
        Protocol::Responses => responses_writer(options).render(&events),
    };
    let whole = WholeAnswer { usage: passage.usage(), counted: passage.counted(), model, goes_on: false };
    Ok((Bytes::from(written), whole))
}

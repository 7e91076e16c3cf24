//! What the upstream answers, as a test writes it down: a content, and what is wrong with it.
//!
//! ```
//! # use gateway_testkit::Reply; use std::time::Duration;
//! Reply::text("Hello there");                                    // in the request's dialect, streamed or not, as asked
//! Reply::stream(["Hel", "lo"]).gap(Duration::from_millis(20));   // where a stream is asked for: these pieces
//! Reply::error(429).header("retry-after", "7");
//! Reply::openai().gzip().corrupted();
//! Reply::stream(["a", "b", "c"]).stall_after(2);
//! Reply::close();                                                // the request is read, nothing is answered
//! ```
//!
//! **Dialects.** The request's path decides how an answer is written: OpenAI's chat, completions and
//! responses, Anthropic's messages, Gemini's contents and interactions. Content, faults, errors and
//! bills are the same for all of them; `[DONE]`, role and usage events stand for what a dialect has
//! in their place.
//!
//! **Pieces.** `gap`, `has_sent` and the faults *after n pieces* count the parts of an answer that
//! carry something: each event with text, reasoning or a part of a tool call. The role event
//! before the first of them and the finish, usage and `[DONE]` events after the last are none. A
//! body that is not streamed is one piece; of a body given as events each is one. *After 0 pieces*
//! is just before the first.
//!
//! Owns     the description only; `render` makes the plan that a connection writes.
//! Bounded  by what it describes; some describe answers without end.
//! Fails    a fault placed behind more pieces than the answer has panics when it is rendered.

mod compression;
mod delivery;
mod event_stream;
mod faults;
mod freedoms;
mod plan;
mod render;

use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::event_stream::Frame;
pub(crate) use self::plan::{Bill, Ending, FOREVER, Head, Part, Plan};
use crate::answer::{Delta, Finish, Style, ToolCall, words};
use crate::vendor::Checks;
use compression::Compression;
use event_stream::StreamStyle;

pub use self::event_stream::LineEnd;
pub use crate::answer::UsageStyle;

/// What is answered, before faults.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Whatever the real API would answer to this request.
    Real,
    /// A model's answer, in the request's dialect, streamed or not as asked.
    Chat { deltas: Vec<Delta>, finish: Finish },
    /// The `data` of each event; `[DONE]` is added where the dialect has it.
    Events(Vec<String>),
    /// The vendor's error object for this status, as a body.
    Error(u16),
    /// A stream of nothing but the dialect's error event.
    ErrorEvent,
    /// A body as it is.
    Body { content_type: &'static str, parts: Vec<Part> },
    /// The whole answer, head included, as it is.
    Raw(Vec<Part>),
    /// Not a byte.
    Nothing(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    AsAsked,
    Json,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Streams and endless bodies are chunked, others have a length.
    Usual,
    Chunked,
    /// A length that is wrong by so many bytes.
    Length(i64),
    UntilClose,
}

/// What happens to the connection after a complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Kept open, except behind a body that ends with it.
    Usual,
    KeptOpen,
    ClosedSilently,
    ClosedAsAnnounced,
}

#[derive(Clone, Debug)]
enum Insert {
    ErrorEvent,
    MalformedEvent,
    Ping { every: Duration, times: u64 },
    Part(Part),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Head,
    Pieces(usize),
    Byte(usize),
}

#[derive(Clone, Debug, Default)]
struct HeaderEdits {
    /// Usual for this content, beside what every answer has.
    usual: Vec<(&'static str, &'static str)>,
    own: Vec<(String, String)>,
    hidden: Vec<String>,
    bare: bool,
    twice: bool,
}

#[derive(Clone, Debug, Default)]
struct Pace {
    before_head: Duration,
    before_first: Duration,
    gap: Duration,
}

#[derive(Clone, Debug, Default)]
struct Cuts {
    /// Into parts of so many bytes, each a write and under HTTP/1 a chunk.
    every: Option<usize>,
    /// At these offsets of the body.
    at: Vec<usize>,
    /// Into writes of so many bytes, whatever the chunks are.
    writes_of: Option<usize>,
}

/// One answer; a builder whose parts combine.
#[derive(Clone, Debug)]
pub struct Reply {
    content: Content,
    status: Option<u16>,
    headers: HeaderEdits,
    shape: Shape,
    framing: Framing,
    http10: bool,
    after: After,
    pace: Pace,
    style: Style,
    checks: Checks,
    stream: StreamStyle,
    inserts: Vec<(usize, Insert)>,
    end: Option<(Place, Ending)>,
    compression: Compression,
    cuts: Cuts,
}

impl Default for Reply {
    /// [`Reply::real`].
    fn default() -> Self {
        Self::real()
    }
}

/// Contents. How they are delivered is in `delivery`, what goes wrong with them in `faults`.
impl Reply {
    fn of(content: Content) -> Self {
        Self {
            content,
            status: None,
            headers: HeaderEdits::default(),
            shape: Shape::AsAsked,
            framing: Framing::Usual,
            http10: false,
            after: After::Usual,
            pace: Pace::default(),
            style: Style::default(),
            checks: Checks::default(),
            stream: StreamStyle::default(),
            inserts: Vec::new(),
            end: None,
            compression: Compression::default(),
            cuts: Cuts::default(),
        }
    }

    fn chat(deltas: Vec<Delta>, finish: Finish) -> Self {
        Self::of(Content::Chat { deltas, finish })
    }

    /// What the real API at the request's path answers: what a model says, with tools, structured
    /// output, reasoning and several choices; embeddings, images, files and the like; the model
    /// list; or the error that the request deserves. What decides on the model's words:
    /// `use tool NAME {json}` in the question and the like, as the head of `model` says.
    #[must_use]
    pub fn real() -> Self {
        let mut reply = Self::of(Content::Real);
        reply.checks.usual = true;
        reply
    }

    /// [`Reply::real`].
    #[must_use]
    pub fn openai() -> Self {
        Self::real()
    }

    /// An answer with this text, a piece per word where a stream is asked for.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::chat(words(text), Finish::Stop)
    }

    /// An answer in these pieces of text; joined where no stream is asked for.
    #[must_use]
    pub fn stream<T: AsRef<str>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let delta = |piece: T| Delta::text(piece.as_ref());
        Self::chat(pieces.into_iter().map(delta).collect(), Finish::Stop)
    }

    /// As [`Reply::stream`], with each piece written as it stands between JSON's quotes: for lone
    /// surrogates (`\ud83d`) and other escapes that a Rust string can't hold.
    #[must_use]
    pub fn escaped<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let delta = |piece: T| Delta::Text(piece.into());
        Self::chat(pieces.into_iter().map(delta).collect(), Finish::Stop)
    }

    /// An answer that calls these tools: names, and arguments as JSON text that may hold
    /// anything (19-digit numbers, escapes), in pieces of 8 characters.
    #[must_use]
    pub fn tool_calls<T: AsRef<str>>(calls: impl IntoIterator<Item = (T, T)>) -> Self {
        let calls = calls.into_iter();
        let delta = |(name, arguments): (T, T)| Delta::Tool(ToolCall::new(name.as_ref(), arguments.as_ref()));
        Self::chat(calls.map(delta).collect(), Finish::ToolCalls)
    }

    /// An answer by which the model refuses, a piece per word: OpenAI's `refusal`, Anthropic's
    /// `stop_reason` and Gemini's `finishReason` (`SAFETY`).
    #[must_use]
    pub fn refusal(text: &str) -> Self {
        let refused = |delta| match delta {
            Delta::Text(piece) => Delta::Refusal(piece),
            delta => delta,
        };
        Self::chat(words(text).into_iter().map(refused).collect(), Finish::Refusal)
    }

    /// An answer that a filter kept back: no content, and Gemini's `promptFeedback`, OpenAI's
    /// `content_filter`, Anthropic's `refusal`.
    #[must_use]
    pub fn blocked() -> Self {
        Self::chat(Vec::new(), Finish::Blocked)
    }

    /// An answer cut off by the cap on the output, a piece per word.
    #[must_use]
    pub fn cut_by_cap(text: &str) -> Self {
        Self::chat(words(text), Finish::Length)
    }

    /// An answer whose text is one piece of `n` bytes, all `x`, written without being held.
    #[must_use]
    pub fn long_line(n: u64) -> Self {
        Self::chat(vec![Delta::Filler(n)], Finish::Stop)
    }

    /// An answer whose text has no end: a data line, or a JSON body where no stream is asked for.
    #[must_use]
    pub fn endless() -> Self {
        Self::long_line(FOREVER)
    }

    /// An event stream of these `data` payloads, each a piece, then `[DONE]` where the request's
    /// dialect has it. An event is named as its payload's `type` says where the dialect names them.
    #[must_use]
    pub fn events<T: Into<String>>(payloads: impl IntoIterator<Item = T>) -> Self {
        let payloads = payloads.into_iter().map(Into::into).collect();
        Self::of(Content::Events(payloads))
    }

    /// A stream whose first and only event is the dialect's error event, under status 200.
    #[must_use]
    pub fn error_event() -> Self {
        Self::of(Content::ErrorEvent)
    }

    /// A stream of nothing but this comment, every `every`, for ever.
    #[must_use]
    pub fn only_comments(comment: &str, every: Duration) -> Self {
        let comment = Part::aside(format!(": {comment}\n\n")).repeated(FOREVER, every);
        Self::body_of("text/event-stream; charset=utf-8", vec![comment])
    }

    /// An event stream as it is, bytes and line ends included: one piece.
    #[must_use]
    pub fn sse(bytes: impl Into<Bytes>) -> Self {
        Self::body("text/event-stream; charset=utf-8", bytes)
    }

    /// A body as it is: one piece.
    #[must_use]
    pub fn body(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self::body_of(content_type, vec![Part::piece(bytes)])
    }

    fn body_of(content_type: &'static str, parts: Vec<Part>) -> Self {
        Self::of(Content::Body { content_type, parts })
    }

    /// A JSON body as it is.
    #[must_use]
    pub fn json(json: impl ToString) -> Self {
        Self::body("application/json", json.to_string())
    }

    /// The vendor's own error for a status, `retry-after` included where it sends one.
    #[must_use]
    pub fn error(status: u16) -> Self {
        Self::of(Content::Error(status)).status(status)
    }

    /// An error object under status 200: OpenAI's for a server's fault, Anthropic's and Gemini's for
    /// being overloaded.
    #[must_use]
    pub fn error_in_200() -> Self {
        Self::of(Content::Error(529)).status(200)
    }

    /// Status 200 and no body.
    #[must_use]
    pub fn empty() -> Self {
        Self::body("application/json", Bytes::new())
    }

    /// Status 200 and the JSON value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::json("null")
    }

    /// Status 200 and a web page, as captive portals and login walls send it.
    #[must_use]
    pub fn html() -> Self {
        let page = "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>";
        Self::body("text/html; charset=utf-8", page)
    }

    /// A redirect to `location`.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        let reply = Self::body("text/html", "Moved.").status(status);
        reply.header("location", location)
    }

    /// The whole answer as it is, head included; then the connection is closed, unless
    /// [`Reply::keep_open`] says otherwise. HTTP/1 only.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Raw(vec![Part::piece(bytes)]))
    }

    /// A head that never ends.
    #[must_use]
    pub fn header_flood() -> Self {
        let line = format!("x-flood: {}\r\n", "f".repeat(4 << 10));
        let lines = Part::aside(line).repeated(FOREVER, Duration::ZERO);
        let start = Part::aside("HTTP/1.1 200 OK\r\n");
        Self::of(Content::Raw(vec![start, lines]))
    }

    /// The request is read, nothing is ever answered.
    #[must_use]
    pub fn never() -> Self {
        Self::of(Content::Nothing(Ending::Stall))
    }

    /// The request is read, then the connection is closed without a byte.
    #[must_use]
    pub fn close() -> Self {
        Self::of(Content::Nothing(Ending::Close))
    }

    /// The request is read, then the connection is reset (HTTP/2: the stream, `INTERNAL_ERROR`).
    #[must_use]
    pub fn reset() -> Self {
        Self::of(Content::Nothing(Ending::Reset))
    }

    /// HTTP/2: the stream is refused (`REFUSED_STREAM`): nothing of the request was begun.
    #[must_use]
    pub fn refused() -> Self {
        Self::of(Content::Nothing(Ending::Refuse))
    }
}

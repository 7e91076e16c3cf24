//! What a request asks for, in no vendor's words: the middle of every translation of requests.
//!
//! Owns     the vocabulary. A dialect's reader makes a [`Conversation`] of its body, another dialect's writer a
//!          body of it; where both sides speak the same dialect, bytes pass and none of this is used.
//! Called   by the readers and writers of each dialect.
//! Bounded  by the body: texts and raw JSON are borrowed from it wherever they need no decoding.
//! Fails    with [`Untranslatable`] for what has no equal on the other side; see [`Losses`].
//!
//! Numbers, schemas and tool arguments stay JSON text, so that no digit of them changes.

use std::borrow::Cow;

use crate::json::{Cursor, Kind, quoted};
use crate::openai::CapMember;

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation<'a> {
    /// System and developer texts, in order.
    pub system: Vec<Part<'a>>,
    /// What was said; turns of one side may follow each other.
    pub turns: Vec<Turn<'a>>,
    /// Functions the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Which of them it must or must not call.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may call several at once; `None` leaves it to the upstream.
    pub parallel_tool_calls: Option<bool>,
    /// How tokens are chosen.
    pub sampling: Sampling<'a>,
    /// The most output tokens.
    pub max_output: Option<u64>,
    /// Texts at which the answer stops.
    pub stop: Vec<Cow<'a, str>>,
    /// The form of the answer.
    pub format: Option<Format<'a>>,
    /// How much to think first.
    pub reasoning: Option<Reasoning>,
    /// Whether the answer is to come as a stream.
    pub stream: bool,
    /// The caller's name for its own user.
    pub user: Option<Cow<'a, str>>,
    /// The member that names it.
    pub user_member: &'static str,
    /// Members that only the dialect they came in has a place for.
    pub extras: Vec<Extra<'a>>,
    /// Members without a place here by which no answer differs, such as hints for a cache: never refused, but named.
    pub hints: Vec<Cow<'a, str>>,
}

impl Conversation<'_> {
    /// Whether any part or tool is marked for the upstream's cache of prompts.
    pub fn has_cache_marks(&self) -> bool {
        let mut parts = self.turns.iter().flat_map(|turn| &turn.parts).chain(&self.system);
        parts.any(|part| part.cache_control.is_some())
            || self.tools.iter().any(|tool| tool.cache_control.is_some())
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller's side; results of tools are said by it too.
    User,
    /// The model's side.
    Assistant,
}

/// What one side says.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn<'a> {
    /// Which side.
    pub role: Role,
    /// What, in order.
    pub parts: Vec<Part<'a>>,
}

/// One piece of a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// Anthropic's cache marker on it, as JSON.
    pub cache_control: Option<Cow<'a, str>>,
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self { content, cache_control: None }
    }
}

/// What a piece holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// Text. Readers leave out a piece whose text is empty.
    Text(Cow<'a, str>),
    /// A picture; `detail` is OpenAI's `low`, `high` or `auto`.
    Image {
        /// Where it is.
        source: Source<'a>,
        /// How closely to look.
        detail: Option<Cow<'a, str>>,
    },
    /// A document, such as a PDF.
    Document {
        /// Where it is.
        source: Source<'a>,
        /// Its file name or title.
        name: Option<Cow<'a, str>>,
    },
    /// Speech or sound.
    Audio {
        /// Where it is.
        source: Source<'a>,
    },
    /// The model calls a tool.
    Call(Call<'a>),
    /// What a tool gave back.
    Result {
        /// The call's id.
        id: Cow<'a, str>,
        /// The tool's name, where the dialect says it (Gemini) or the call before it did.
        name: Option<Cow<'a, str>>,
        /// Text and pictures.
        parts: Vec<Part<'a>>,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// What the model thought, with the upstream's signature over it.
    Thinking {
        /// The thought.
        text: Cow<'a, str>,
        /// Opaque; must come back as it was.
        signature: Option<Cow<'a, str>>,
    },
    /// A thought that only its upstream can read.
    RedactedThinking {
        /// Opaque; must come back as it was.
        data: Cow<'a, str>,
    },
    /// The model's words of refusal.
    Refusal(Cow<'a, str>),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Its id. Gemini may have none: readers make one of the name and the place.
    pub id: Cow<'a, str>,
    /// The tool's name.
    pub name: Cow<'a, str>,
    /// Its arguments: the text of one JSON object. Readers make `{}` of an empty or blank text.
    pub arguments: Cow<'a, str>,
    /// Gemini's `thoughtSignature` on the call; must come back as it was.
    pub signature: Option<Cow<'a, str>>,
}

impl Call<'_> {
    /// The text of a JSON object for arguments that came as any text: `{}` for a blank one. A text that is no object,
    /// as models write now and then, becomes the one member `INVALID_JSON` of an object, so that the model sees what
    /// it wrote (Anthropic's documentation gives this form, "Fine-grained tool streaming").
    pub fn object_of(arguments: Cow<'_, str>) -> Cow<'_, str> {
        if arguments.trim().is_empty() {
            return Cow::Borrowed("{}");
        }
        let mut cursor = Cursor::new(&arguments);
        let kind = cursor.value().map(|value| value.kind);
        if kind == Ok(Kind::Object) && cursor.finish().is_ok() {
            return arguments;
        }
        Cow::Owned(format!("{{\"INVALID_JSON\":{}}}", quoted(&arguments)))
    }
}

/// Where a picture, document or sound is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// In the request itself.
    Base64 {
        /// Its media type, such as `image/png`.
        media_type: Cow<'a, str>,
        /// The bytes in base64.
        data: Cow<'a, str>,
    },
    /// At an address.
    Url(Cow<'a, str>),
    /// At the upstream, which gave it this id.
    FileId(Cow<'a, str>),
}

/// A function the model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it is for.
    pub description: Option<Cow<'a, str>>,
    /// JSON Schema of its arguments, as JSON.
    pub schema: Option<Cow<'a, str>>,
    /// Whether arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// Anthropic's cache marker on it, as JSON.
    pub cache_control: Option<Cow<'a, str>>,
}

/// Which tools are to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one, whichever.
    Any,
    /// This one.
    Named(Cow<'a, str>),
}

/// How tokens are chosen. Each is a JSON number as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampling<'a> {
    /// `temperature`
    pub temperature: Option<Cow<'a, str>>,
    /// `top_p`
    pub top_p: Option<Cow<'a, str>>,
    /// `top_k`
    pub top_k: Option<Cow<'a, str>>,
    /// `frequency_penalty`
    pub frequency_penalty: Option<Cow<'a, str>>,
    /// `presence_penalty`
    pub presence_penalty: Option<Cow<'a, str>>,
    /// `seed`
    pub seed: Option<Cow<'a, str>>,
}

/// The form of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format<'a> {
    /// Any JSON object.
    Json,
    /// JSON that fits a schema.
    Schema {
        /// The schema's name; empty where the dialect has none.
        name: Cow<'a, str>,
        /// The schema, as JSON.
        schema: Cow<'a, str>,
        /// Whether it must be followed exactly.
        strict: Option<bool>,
    },
}

/// How much to think first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// In words.
    pub effort: Option<Effort>,
    /// In tokens, at most; `Some(0)` is not at all.
    pub budget_tokens: Option<u64>,
    /// Whether the thoughts, or a summary of them, are to be shown.
    pub shown: Option<bool>,
}

/// How hard to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as can be.
    Minimal,
    /// A little.
    Low,
    /// As usual.
    Medium,
    /// A lot.
    High,
    /// As much as can be.
    Highest,
}

impl Effort {
    /// The budget that says the same, in tokens: what Google documents for `reasoning_effort` ("OpenAI
    /// compatibility" in its API guide), and for the most the largest that its models take. None of them but
    /// [`None`](Self::None) is below Anthropic's least budget, which is 1,024.
    pub fn budget_tokens(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1_024,
            Self::Medium => 8_192,
            Self::High => 24_576,
            Self::Highest => 32_768,
        }
    }

    /// The least effort that has room for this budget; at most [`High`](Self::High), since few models know a word
    /// beyond it.
    pub fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=1_024 => Self::Low,
            1_025..=8_192 => Self::Medium,
            8_193.. => Self::High,
        }
    }
}

/// A member without a place in the neutral form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra<'a> {
    /// Its path in the caller's body, such as `logit_bias` or `tools[2]`.
    pub member: Cow<'a, str>,
    /// Its value, as JSON.
    pub value: Cow<'a, str>,
}

/// What a request is written for: the upstream's model and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The model's name at its provider.
    pub model: &'a str,
    /// The most output tokens; `None` leaves the conversation's own.
    pub cap: Option<u64>,
    /// The largest output of the model, for dialects in which a cap must be there.
    pub max_output: u64,
    /// The member that carries the cap in OpenAI's chat dialect.
    pub cap_member: CapMember,
    /// Whether a temperature other than the model's own may be given.
    pub takes_temperature: bool,
    /// Whether a chat stream may be asked for its usage; servers that refuse `stream_options` tell it unasked.
    pub asks_for_usage: bool,
    /// What stands in Gemini's dialect for the signature of a call that has none, where the model insists on one
    /// ([`MISSING_SIGNATURE`](crate::gemini::MISSING_SIGNATURE)); `None` leaves it out, and the upstream refuses the
    /// request with a 400 that names the call.
    pub missing_signature: Option<&'a str>,
}

/// A member that the other side has no equal for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{member}`{} has no equal in {to}, which the model's provider speaks; leave it out, or have the operator set \
     translate = \"lenient\"",
    in_brackets(.more.as_deref())
)]
pub struct Untranslatable {
    /// Its path in the caller's body.
    pub member: String,
    /// What of it, where it is not the whole.
    pub more: Option<String>,
    /// The upstream's dialect, as people call it.
    pub to: &'static str,
}

fn in_brackets(more: Option<&str>) -> String {
    more.map(|more| format!(" ({more})")).unwrap_or_default()
}

/// What a translation could not carry over: refused, or left out and named.
#[derive(Debug)]
pub struct Losses {
    to: &'static str,
    is_lenient: bool,
    dropped: Vec<String>,
}

/// How many dropped members are named; a header has room for no more.
const NAMED_MAX: usize = 64;

impl Losses {
    /// For a translation to this dialect, as people call it.
    pub fn new(to: &'static str, is_lenient: bool) -> Self {
        Self { to, is_lenient, dropped: Vec::new() }
    }

    /// This member is not carried over.
    ///
    /// # Errors
    /// [`Untranslatable`] unless the translation is lenient.
    pub fn lose(&mut self, member: impl Into<String>) -> Result<(), Untranslatable> {
        let member = member.into();
        if !self.is_lenient {
            return Err(Untranslatable { member, more: None, to: self.to });
        }
        self.name(member);
        Ok(())
    }

    /// This member is not carried over, and no answer differs by it.
    pub fn name(&mut self, member: impl Into<String>) {
        let member = member.into();
        if self.dropped.len() < NAMED_MAX && !self.dropped.contains(&member) {
            self.dropped.push(member);
        }
    }

    /// The members that were left out.
    pub fn into_dropped(self) -> Vec<String> {
        self.dropped
    }
}

//! A chat request: one scan for what the gateway reads, exact edits for what it changes.
//!
//! Owns     the body's bytes, the place of each member, and the values the gateway decides by.
//! Called   by the handler of `/v1/chat/completions` before admission ([`ChatRequest::read`]) and
//!          for each target ([`ChatRequest::rewrite`]).
//! Bounded  by [`json::MAX_DEPTH`] and [`json::MAX_MEMBERS`]; a rewrite is one copy of the body, or
//!          none.
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use bytes::Bytes;

use crate::json::{self, Cursor, JsonFault, Key, Kind, Member, Object, Value, quoted};
use crate::splice::Splice;

#[cfg(test)]
mod tests;

/// Why a body is not a chat request that can be sent on. The text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// Nothing but whitespace.
    #[error("the body is empty; send a JSON object")]
    Empty,
    /// Not JSON, not UTF-8, nested too deep or of too many members.
    #[error("the body is not usable JSON: {0}")]
    Json(#[from] JsonFault),
    /// JSON, but no object.
    #[error("the body is {}; send a JSON object", .found.described())]
    NotAnObject {
        /// What the body is.
        found: Kind,
    },
    /// A member that the gateway reads is there twice, in whatever spelling; readers disagree on
    /// which one counts.
    #[error("`{param}` is given twice; give it once")]
    Duplicate {
        /// The member.
        param: &'static str,
    },
    /// A member that must be there is not.
    #[error("`{param}` is missing")]
    Missing {
        /// The member.
        param: &'static str,
    },
    /// A member of another type than the API defines.
    #[error("`{param}` is {}; expected {expected}", .found.described())]
    WrongType {
        /// The member.
        param: &'static str,
        /// What it is.
        found: Kind,
        /// What it should be.
        expected: &'static str,
    },
    /// A count that is zero, negative or not whole.
    #[error("`{param}` must be a whole number of at least 1")]
    NotACount {
        /// The member.
        param: &'static str,
    },
    /// A member, named by its path, that a translation has to understand and cannot.
    #[error("`{member}` is not usable; expected {expected}")]
    Member {
        /// Its path, such as `messages[2].content[0].type`.
        member: String,
        /// What would have been.
        expected: &'static str,
    },
    /// `messages` has no element.
    #[error("`messages` is empty; send at least one message")]
    NoMessages,
}

impl RequestFault {
    /// The member at fault, for the `param` of an error answer.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Empty | Self::Json(_) | Self::NotAnObject { .. } => None,
            Self::Duplicate { param }
            | Self::Missing { param }
            | Self::WrongType { param, .. }
            | Self::NotACount { param } => Some(param),
            Self::Member { member, .. } => Some(member),
            Self::NoMessages => Some(Field::Messages.name()),
        }
    }
}

/// The member that carries the output cap; models take one or the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CapMember {
    /// `max_tokens`, which most compatible servers take.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's newer models insist on.
    MaxCompletionTokens,
}

impl CapMember {
    /// The member's name in a request.
    pub fn as_str(self) -> &'static str {
        self.field().name()
    }

    fn field(self) -> Field {
        match self {
            Self::MaxTokens => Field::MaxTokens,
            Self::MaxCompletionTokens => Field::MaxCompletionTokens,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::MaxTokens => Self::MaxCompletionTokens,
            Self::MaxCompletionTokens => Self::MaxTokens,
        }
    }
}

/// What to change on the way to one target. What already says so is not touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite<'a> {
    /// The upstream's name of the model.
    pub model: Option<&'a str>,
    /// The output cap, under the name that the model takes.
    pub cap: Option<(CapMember, u64)>,
    /// Ask for the usage chunk; only a stream has one.
    pub include_usage: bool,
}

/// The members the gateway reads. Each may stand only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Model,
    Messages,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    N,
    Tools,
    Functions,
    ResponseFormat,
    Prediction,
}

impl Field {
    const ALL: [Self; 11] = [
        Self::Model,
        Self::Messages,
        Self::Stream,
        Self::StreamOptions,
        Self::MaxTokens,
        Self::MaxCompletionTokens,
        Self::N,
        Self::Tools,
        Self::Functions,
        Self::ResponseFormat,
        Self::Prediction,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Messages => "messages",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::N => "n",
            Self::Tools => "tools",
            Self::Functions => "functions",
            Self::ResponseFormat => "response_format",
            Self::Prediction => "prediction",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// Structured or textual members that no model reads. Any other array, object or string counts as
/// prompt, known or not, so that an upstream's own extension (documents, say) cannot escape the
/// estimate.
const NOT_PROMPT: [&str; 11] = [
    "model",
    "stream_options",
    "metadata",
    "logit_bias",
    "stop",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "reasoning_effort",
    "verbosity",
];

/// A chat request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    body: Bytes,
    object: Object,
    /// Where in `object` each field stands.
    places: [Option<usize>; Field::ALL.len()],
    model: Option<String>,
    stream: bool,
    stream_options: Option<StreamOptionsMember>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: u64,
    prompt: Vec<usize>,
}

/// `stream_options`, when it is an object.
#[derive(Clone, Debug)]
struct StreamOptionsMember {
    object: Object,
    include_usage: Option<(usize, bool)>,
}

impl ChatRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied but the model's
    /// name.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let text = json::utf8(body)?;
        if text.trim_ascii().is_empty() {
            return Err(RequestFault::Empty);
        }
        let mut cursor = Cursor::new(text);
        let found = cursor.peek()?;
        if found != Kind::Object {
            cursor.value()?;
            cursor.finish()?;
            return Err(RequestFault::NotAnObject { found });
        }
        let mut request = Self::without_members(body);
        request.object =
            Object::read(&mut cursor, |place, key, value| request.take(text, place, key, value))?;
        cursor.finish()?;
        match request.places[Field::Messages as usize] {
            Some(_) => Ok(request),
            None => Err(RequestFault::Missing { param: Field::Messages.name() }),
        }
    }

    fn without_members(body: &Bytes) -> Self {
        Self {
            body: body.clone(),
            object: Object { span: json::Span { start: 0, end: 0 }, members: Vec::new() },
            places: [None; Field::ALL.len()],
            model: None,
            stream: false,
            stream_options: None,
            max_tokens: None,
            max_completion_tokens: None,
            n: 1,
            prompt: Vec::new(),
        }
    }

    fn take(
        &mut self,
        text: &str,
        place: usize,
        key: &Key<'_>,
        value: &Value<'_>,
    ) -> Result<(), RequestFault> {
        let speaks = matches!(value.kind, Kind::Array | Kind::Object | Kind::String);
        if speaks && !NOT_PROMPT.contains(&&*key.name) {
            self.prompt.push(place);
        }
        let Some(field) = Field::named(&key.name) else { return Ok(()) };
        if self.places[field as usize].replace(place).is_some() {
            return Err(RequestFault::Duplicate { param: field.name() });
        }
        match field {
            Field::Model => self.model = optional_text(field, value)?,
            Field::Messages => check_messages(value)?,
            Field::Stream => self.stream = optional_bool(field.name(), value)?.unwrap_or(false),
            Field::StreamOptions => self.stream_options = stream_options(text, value)?,
            Field::MaxTokens => self.max_tokens = optional_count(field, value)?,
            Field::MaxCompletionTokens => self.max_completion_tokens = optional_count(field, value)?,
            Field::N => self.n = optional_count(field, value)?.unwrap_or(1),
            // Read only to be counted; what they must look like is the upstream's affair.
            Field::Tools | Field::Functions | Field::ResponseFormat | Field::Prediction => {}
        }
        Ok(())
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The model's name; `None` when missing or null.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the answer is to be streamed.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the caller itself asked for the usage chunk.
    pub fn include_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage).is_some_and(|(_, asked)| asked)
    }

    /// `max_tokens`; `None` when missing or null.
    pub fn max_tokens(&self) -> Option<u64> {
        self.max_tokens
    }

    /// `max_completion_tokens`; `None` when missing or null.
    pub fn max_completion_tokens(&self) -> Option<u64> {
        self.max_completion_tokens
    }

    /// The output cap under either name. Given both, the larger: a bound built on it holds
    /// whichever the upstream obeys.
    pub fn output_cap(&self) -> Option<u64> {
        self.max_tokens.max(self.max_completion_tokens)
    }

    /// How many answers are asked for; at least 1.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The `messages` array as written.
    pub fn messages(&self) -> &[u8] {
        self.member(Field::Messages).map_or(&[], |messages| &self.body[messages.value.range()])
    }

    /// Every value that may end up in the prompt, as written: messages, tools, schemas, and
    /// whatever structured member is not known to stay out of it.
    pub fn prompt_parts(&self) -> impl Iterator<Item = &[u8]> {
        let members = self.prompt.iter().filter_map(|place| self.object.members.get(*place));
        members.map(|member| &self.body[member.value.range()])
    }

    /// The body for one target: the named values replaced, everything else byte for byte as it
    /// came. Without a change it is the same handle.
    pub fn rewrite(&self, rewrite: &Rewrite<'_>) -> Bytes {
        let mut splice = Splice::new(&self.body);
        let mut removed = None;
        let mut appended = Vec::new();
        if let Some(model) = rewrite.model
            && self.model() != Some(model)
        {
            match self.member(Field::Model) {
                Some(member) => splice.replace(member.value, quoted(model)),
                None => appended.push(format!("\"model\":{}", quoted(model))),
            }
        }
        if let Some((name, cap)) = rewrite.cap {
            let (this, other) = (name.field(), name.other().field());
            match (self.member(this), self.member(other)) {
                (Some(member), other_member) => {
                    splice.replace(member.value, cap.to_string());
                    // A second cap under the other name would be the one some upstreams obey.
                    let speaks = other_member.is_some_and(|member| member.kind != Kind::Null);
                    removed = self.places[other as usize].filter(|_| speaks);
                }
                (None, Some(member)) => {
                    splice.replace(member.key, format!("\"{}\"", this.name()));
                    splice.replace(member.value, cap.to_string());
                }
                (None, None) => appended.push(format!("\"{}\":{cap}", this.name())),
            }
        }
        if rewrite.include_usage && self.stream {
            self.ask_for_usage(&mut splice, &mut appended);
        }
        let appended = (!appended.is_empty()).then(|| appended.join(","));
        splice.edit_members(&self.object, removed.as_slice(), appended);
        splice.apply_to(&self.body)
    }

    fn ask_for_usage(&self, splice: &mut Splice<'_>, appended: &mut Vec<String>) {
        match (&self.stream_options, self.member(Field::StreamOptions)) {
            (Some(options), _) => match options.include_usage {
                Some((_, true)) => {}
                Some((place, false)) => {
                    splice.replace(options.object.members[place].value, "true");
                }
                None => {
                    let asked = "\"include_usage\":true".to_owned();
                    splice.edit_members(&options.object, &[], Some(asked));
                }
            },
            (None, Some(null)) => splice.replace(null.value, "{\"include_usage\":true}"),
            (None, None) => {
                appended.push("\"stream_options\":{\"include_usage\":true}".to_owned());
            }
        }
    }

    fn member(&self, field: Field) -> Option<&Member> {
        self.places[field as usize].and_then(|place| self.object.members.get(place))
    }
}

fn wrong_type(param: &'static str, value: &Value<'_>, expected: &'static str) -> RequestFault {
    RequestFault::WrongType { param, found: value.kind, expected }
}

fn optional_text(field: Field, value: &Value<'_>) -> Result<Option<String>, RequestFault> {
    match value.kind {
        Kind::Null => Ok(None),
        Kind::String => Ok(value.as_text().map(String::from)),
        _ => Err(wrong_type(field.name(), value, "a string")),
    }
}

fn optional_bool(param: &'static str, value: &Value<'_>) -> Result<Option<bool>, RequestFault> {
    match value.kind {
        Kind::Null | Kind::Bool => Ok(value.as_bool()),
        _ => Err(wrong_type(param, value, "a boolean")),
    }
}

fn optional_count(field: Field, value: &Value<'_>) -> Result<Option<u64>, RequestFault> {
    match (value.kind, value.as_u64()) {
        (Kind::Null, _) => Ok(None),
        (Kind::Number, Some(count @ 1..)) => Ok(Some(count)),
        (Kind::Number, _) => Err(RequestFault::NotACount { param: field.name() }),
        _ => Err(wrong_type(field.name(), value, "a whole number")),
    }
}

fn check_messages(value: &Value<'_>) -> Result<(), RequestFault> {
    match value.kind {
        Kind::Array if value.is_blank() => Err(RequestFault::NoMessages),
        Kind::Array => Ok(()),
        _ => Err(wrong_type(Field::Messages.name(), value, "an array")),
    }
}

fn stream_options(text: &str, value: &Value<'_>) -> Result<Option<StreamOptionsMember>, RequestFault> {
    const INCLUDE_USAGE: &str = "stream_options.include_usage";
    match value.kind {
        Kind::Null => return Ok(None),
        Kind::Object => {}
        _ => return Err(wrong_type(Field::StreamOptions.name(), value, "an object")),
    }
    let mut include_usage = None;
    let mut cursor = Cursor::within(text, value.span);
    let object = Object::read(&mut cursor, |place, key, value| {
        if key.name != "include_usage" {
            return Ok(());
        }
        let asked = optional_bool(INCLUDE_USAGE, value)?.unwrap_or(false);
        match include_usage.replace((place, asked)) {
            Some(_) => Err(RequestFault::Duplicate { param: INCLUDE_USAGE }),
            None => Ok(()),
        }
    })?;
    Ok(Some(StreamOptionsMember { object, include_usage }))
}

//! A request for completions: one scan for what the gateway reads, exact edits for what it changes.
//!
//! Owns     the body's bytes and the values the gateway decides by.
//! Called   by the handler of `/v1/completions` before admission ([`CompletionsRequest::read`]) and for each target
//!          ([`CompletionsRequest::rewrite`]).
//! Bounded  by the scan of a body; a rewrite is one copy, or none.
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use bytes::Bytes;

use crate::body::{self, Body};
use crate::estimate;
use crate::json::{Cursor, Kind, Object, Value, quoted};
use crate::openai::RequestFault;
use crate::prompts::Prompts;
use crate::splice::Splice;

#[cfg(test)]
mod tests;

const MODEL: &str = "model";
const PROMPT: &str = "prompt";
const MAX_TOKENS: &str = "max_tokens";
const N: &str = "n";
const BEST_OF: &str = "best_of";
const STREAM: &str = "stream";
const STREAM_OPTIONS: &str = "stream_options";
const INCLUDE_USAGE: &str = "stream_options.include_usage";

/// The members the gateway reads. Each may stand only once.
const READ: [&str; 7] = [MODEL, PROMPT, MAX_TOKENS, N, BEST_OF, STREAM, STREAM_OPTIONS];

/// Structured or textual members that no model reads beside the prompt. Any other counts as prompt, known or not.
const NOT_PROMPT: [&str; 6] = [MODEL, PROMPT, STREAM_OPTIONS, "logit_bias", "stop", "user"];

/// A request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct CompletionsRequest {
    body: Body,
    said: Said,
}

#[derive(Clone, Debug, Default)]
struct Said {
    model: Option<String>,
    prompt: Option<Prompts>,
    /// Tokens of what stands beside the prompt: a suffix, or a schema that a compatible server takes.
    beside: u64,
    max_tokens: Option<u64>,
    n: Option<u64>,
    best_of: Option<u64>,
    stream: bool,
    /// `stream_options` as written, when it is an object, and what it says.
    stream_options: Option<(String, Option<bool>)>,
}

impl Said {
    fn take(&mut self, name: &'static str, value: &Value<'_>) -> Result<(), RequestFault> {
        match name {
            MODEL => self.model = body::optional_text(name, value)?,
            PROMPT if value.kind == Kind::Null => {}
            PROMPT => self.prompt = Some(Prompts::read(name, value)?),
            // None at all is asked for where the prompt itself is to be scored.
            MAX_TOKENS => self.max_tokens = body::optional_count(name, value, 0)?,
            N => self.n = body::optional_count(name, value, 1)?,
            BEST_OF => self.best_of = body::optional_count(name, value, 0)?,
            STREAM => self.stream = body::optional_bool(name, value)?.unwrap_or(false),
            _ => self.stream_options = stream_options(value)?,
        }
        Ok(())
    }
}

impl CompletionsRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied but names and options.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let mut said = Said::default();
        let mut beside: u64 = 0;
        let body = Body::read(
            body,
            &READ,
            |name, value| said.take(name, value),
            |_, key, value| {
                let speaks = matches!(value.kind, Kind::Array | Kind::Object | Kind::String);
                if speaks && !NOT_PROMPT.contains(&&*key.name) {
                    beside = beside.saturating_add(estimate::prompt_tokens(value.raw.as_bytes()));
                }
            },
        )?;
        said.beside = beside;
        Ok(Self { body, said })
    }

    /// The model's name; `None` when missing or null.
    pub fn model(&self) -> Option<&str> {
        self.said.model.as_deref()
    }

    /// Whether the answer is to be streamed.
    pub fn stream(&self) -> bool {
        self.said.stream
    }

    /// Whether the caller itself asked for the usage chunk.
    pub fn include_usage(&self) -> bool {
        self.said.stream_options.as_ref().is_some_and(|(_, asked)| *asked == Some(true))
    }

    /// `max_tokens` of each completion; `None` when missing or null.
    pub fn output_cap(&self) -> Option<u64> {
        self.said.max_tokens
    }

    /// How many completions are generated, and so paid for: for each prompt as many as are asked for, or are made to
    /// choose the best of.
    pub fn n(&self) -> u64 {
        let each = self.said.n.unwrap_or(1).max(self.said.best_of.unwrap_or(1));
        each.saturating_mul(self.said.prompt.map_or(1, |prompt| prompt.count.max(1)))
    }

    /// The most tokens that all prompts can be together; exact for those that are given as tokens. Without a prompt
    /// the upstream begins with a token of its own.
    pub fn prompt_tokens(&self) -> u64 {
        let prompt = self.said.prompt.map_or(1, |prompt| prompt.tokens);
        prompt.saturating_add(self.said.beside)
    }

    /// The body for one target: the named values replaced, everything else byte for byte as it came. Without a
    /// change it is the same handle. Only a stream has a usage chunk to ask for.
    pub fn rewrite(&self, model: Option<&str>, cap: Option<u64>, include_usage: bool) -> Bytes {
        let mut values = Vec::new();
        if let Some(model) = model.filter(|model| self.model() != Some(model)) {
            values.push((MODEL, quoted(model)));
        }
        values.extend(cap.map(|cap| (MAX_TOKENS, cap.to_string())));
        if include_usage && self.said.stream && !self.include_usage() {
            values.push((STREAM_OPTIONS, self.options_with_usage()));
        }
        self.body.with(&values)
    }

    fn options_with_usage(&self) -> String {
        const ASKED: &str = "\"include_usage\":true";
        let Some((options, _)) = &self.said.stream_options else { return format!("{{{ASKED}}}") };
        let mut splice = Splice::new(options.as_bytes());
        let mut asked = None;
        let listed = Object::read(&mut Cursor::new(options), |_, key, value| {
            asked = asked.or((key.name == "include_usage").then_some(value.span));
            Ok::<(), RequestFault>(())
        });
        match (listed, asked) {
            (_, Some(span)) => splice.replace(span, "true"),
            (Ok(object), None) => splice.edit_members(&object, &[], Some(ASKED.to_owned())),
            // It was listed before, so this does not happen.
            (Err(_), None) => {}
        }
        String::from_utf8(splice.apply()).unwrap_or_else(|_| format!("{{{ASKED}}}"))
    }
}

fn stream_options(value: &Value<'_>) -> Result<Option<(String, Option<bool>)>, RequestFault> {
    match value.kind {
        Kind::Null => return Ok(None),
        Kind::Object => {}
        found => {
            return Err(RequestFault::WrongType { param: STREAM_OPTIONS, found, expected: "an object" });
        }
    }
    let mut include_usage = None;
    let mut cursor = Cursor::new(value.raw);
    Object::read(&mut cursor, |_, key, value| {
        if key.name != "include_usage" {
            return Ok(());
        }
        let asked = body::optional_bool(INCLUDE_USAGE, value)?;
        match include_usage.replace(asked) {
            Some(_) => Err(RequestFault::Duplicate { param: INCLUDE_USAGE }),
            None => Ok(()),
        }
    })?;
    Ok(Some((value.raw.to_owned(), include_usage.flatten())))
}

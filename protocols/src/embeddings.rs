//! OpenAI's embeddings API: same dialect on both sides.
//!
//! Owns     what the gateway reads of a request and of an answer. Numbers, in whatever form they come, pass as they
//!          are.
//! Called   by the handler of `/v1/embeddings`.
//! Bounded  by the scan of a body.
//! Fails    with a [`RequestFault`] or an [`AnswerFault`].

use bytes::Bytes;

use crate::body::{self, Body};
use crate::event::WholeAnswer;
use crate::json::{Kind, Value, quoted};
use crate::openai::{AnswerFault, RequestFault, UpstreamErrorBody};
use crate::prompts::Prompts;
use crate::usage;

#[cfg(test)]
mod tests;

const MODEL: &str = "model";
const INPUT: &str = "input";

/// A request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct EmbeddingsRequest {
    body: Body,
    model: Option<String>,
    input: Prompts,
}

impl EmbeddingsRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied but the model's name.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let mut model = None;
        let mut input = None;
        let take = |name, value: &Value<'_>| {
            match name {
                MODEL => model = body::optional_text(name, value)?,
                _ => input = Some(Prompts::read(name, value)?),
            }
            Ok(())
        };
        let body = Body::read(body, &[MODEL, INPUT], take, |_, _, _| {})?;
        let input = input.ok_or(RequestFault::Missing { param: INPUT })?;
        Ok(Self { body, model, input })
    }

    /// The model's name; `None` when missing or null.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// How many texts are to be embedded.
    pub fn inputs(&self) -> u64 {
        self.input.count
    }

    /// The most tokens the texts can be, all together; exact for those that are given as tokens.
    pub fn prompt_tokens(&self) -> u64 {
        self.input.tokens
    }

    /// The body with this model; without a change it is the same handle.
    pub fn rewrite(&self, model: Option<&str>) -> Bytes {
        let model = model.filter(|model| self.model() != Some(model)).map(quoted);
        self.body.with(&model.map(|model| (MODEL, model)).into_iter().collect::<Vec<_>>())
    }
}

/// Reads a whole answer in one scan. Nothing of it is output: `counted` is zero.
///
/// # Errors
/// An [`AnswerFault`] when the body cannot be given to a client as an answer.
pub fn whole(body: &[u8]) -> Result<WholeAnswer, AnswerFault> {
    let mut cursor = body::answer_in(body)?;
    let mut answer = WholeAnswer::default();
    let mut has_data = false;
    let mut is_error = false;
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        match &*key.name {
            "data" => has_data = value.kind == Kind::Array && !value.is_blank(),
            "usage" => answer.usage = usage::from_openai(&value),
            "model" => answer.model = value.as_text().map(String::from),
            "error" => is_error |= !value.is_blank(),
            "object" => is_error |= value.raw == "\"error\"",
            _ => {}
        }
    }
    cursor.finish()?;
    match has_data {
        _ if is_error => Err(AnswerFault::ErrorObject(Box::new(UpstreamErrorBody::read(body)))),
        // What a chat answer calls its choices.
        false => Err(AnswerFault::NoChoices),
        true => Ok(answer),
    }
}

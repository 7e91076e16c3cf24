//! A client of the grid: one question in its protocol, and what it makes of the answer.

use gateway_testkit::raw_client::{Answer, Request};
use serde_json::{Value, json};

use crate::surfaces::told::Told;

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Chat,
    Messages,
    Gemini,
    Responses,
}

impl Api {
    pub const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Gemini, Self::Responses];

    /// The kind of the primary provider: the client's own protocol, so that its answers pass as they are and those of
    /// the fallback are translated.
    pub fn primary_kind(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses => "openai",
            Self::Messages => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The client's question.
    pub fn question(self, model: &str, stream: bool, prompt: &str) -> Request {
        let (path, mut body) = match self {
            Self::Chat => (
                "/v1/chat/completions".to_owned(),
                json!({"model": model, "messages": [{"role": "user", "content": prompt}]}),
            ),
            Self::Messages => (
                "/v1/messages".to_owned(),
                json!({"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": prompt}]}),
            ),
            Self::Responses => ("/v1/responses".to_owned(), json!({"model": model, "input": prompt})),
            Self::Gemini => {
                let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                (
                    format!("/v1beta/models/{model}:{method}"),
                    json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
                )
            }
        };
        if stream && self != Self::Gemini {
            body["stream"] = true.into();
        }
        if stream && self == Self::Chat {
            body["stream_options"] = json!({"include_usage": true});
        }
        Request::post(&path).header("authorization", "Bearer key-ada").json(&body)
    }
}

/// What a client has in the end.
#[derive(Debug)]
pub enum Got {
    /// A whole answer: its text, its model, and why it ended.
    Answer { text: String, model: String, finish: String },
    /// An error, what it said, and the text that came before it.
    Error { text: String, said: String },
    /// Neither, and why not.
    Broken(String),
}

impl Got {
    /// Reads an answer. A protocol that is broken is a panic of the reader's.
    pub fn of(api: Api, stream: bool, answer: &Answer) -> Self {
        if answer.status != 200 {
            let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return match json["error"]["message"].as_str() {
                Some(said) if answer.complete => Self::Error { text: String::new(), said: said.to_owned() },
                _ => Self::Broken(format!("status {}: {}", answer.status, answer.text())),
            };
        }
        let told = Told::of(api, stream, answer);
        match (told.ended, told.errors.len()) {
            (true, 0) => {
                Self::Answer { text: told.text, model: told.model, finish: told.finish.unwrap_or_default() }
            }
            (false, 1) => Self::Error { text: told.text, said: told.errors[0].to_string() },
            _ => Self::Broken(format!("neither an end nor one error: {told:?}")),
        }
    }

    /// In words, for whoever reads a failed run.
    pub fn told(&self) -> String {
        match self {
            Self::Answer { text, model, finish } => format!("{model} ended with {finish:?}: {text:?}"),
            Self::Error { text, said } => format!("error {said:?} behind {text:?}"),
            Self::Broken(why) => why.clone(),
        }
    }
}

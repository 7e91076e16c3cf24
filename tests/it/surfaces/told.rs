//! What a client makes of an answer, in whichever protocol: read as its strictest SDK would, which gives up over a
//! block that was never opened, an index that comes twice or a member that is not there.
//!
//! Kept apart from the gateway's own readers: a test that read answers with the code under test would share its
//! mistakes.

mod chat;
pub mod gemini;
mod messages;
mod responses;

use gateway_testkit::Billed;
use gateway_testkit::events::{Event, EventReader};
use gateway_testkit::raw_client::Answer;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Api;

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    pub id: String,
    pub name: String,
    /// As they were written, digit for digit.
    pub arguments: String,
    pub signature: Option<String>,
}

/// Tokens as the client is told them; parts are within the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub reasoning: u64,
}

impl Tokens {
    /// What the upstream charges.
    pub fn billed(self) -> Billed {
        Billed { prompt: self.prompt, completion: self.completion }
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    pub id: String,
    pub model: String,
    pub text: String,
    pub thinking: String,
    pub signatures: Vec<String>,
    pub redacted: Vec<String>,
    pub refusal: String,
    pub calls: Vec<Call>,
    /// In the protocol's own word.
    pub finish: Option<String>,
    /// The word of the upstream, where the protocol has no equal.
    pub native_finish: Option<String>,
    pub stop_sequence: Option<String>,
    pub tokens: Option<Tokens>,
    /// Error events.
    pub errors: Vec<Value>,
    /// Comments and pings.
    pub signs_of_life: usize,
    /// Whether the terminal event came.
    pub ended: bool,
}

impl Told {
    /// Reads an answer with status 200.
    pub fn of(api: Api, stream: bool, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{api:?}, stream {stream}: {}", answer.text());
        assert!(answer.complete, "our own framing ends in order: {}", answer.text());
        match (api, stream) {
            (Api::Chat, false) => chat::whole(&answer.body),
            (Api::Messages, false) => messages::whole(&answer.body),
            (Api::Gemini, false) => gemini::whole(&answer.body),
            (Api::Responses, false) => responses::whole(&answer.body),
            (_, true) => Self::of_events(api, &answer.body),
        }
    }

    fn of_events(api: Api, body: &[u8]) -> Self {
        let events = Events::read(body);
        let mut told = match api {
            Api::Chat => chat::stream(&events),
            Api::Messages => messages::stream(&events),
            Api::Gemini => gemini::stream(&events),
            Api::Responses => responses::stream(&events),
        };
        told.signs_of_life += events.comments;
        told
    }

    /// The names and arguments of its calls.
    pub fn called(&self) -> Vec<(&str, &str)> {
        self.calls.iter().map(|call| (&*call.name, &*call.arguments)).collect()
    }

    /// A stream that has ended in one error and nothing behind it.
    pub fn broke(&self) -> &Value {
        assert!(!self.ended && self.errors.len() == 1, "{self:?}");
        &self.errors[0]
    }
}

/// A stream's events: name and data.
pub struct Events {
    messages: Vec<(String, String)>,
    comments: usize,
}

impl Events {
    fn read(body: &[u8]) -> Self {
        let mut reader = EventReader::default();
        reader.push(body);
        let mut events = Self { messages: Vec::new(), comments: 0 };
        while let Some(event) = reader.pop() {
            match event {
                Event::Comment(_) => events.comments += 1,
                Event::Message { name, data } => events.messages.push((name, data)),
            }
        }
        assert!(!reader.holds_a_rest(), "torn: {}", String::from_utf8_lossy(body));
        events
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|fault| panic!("{fault}: {json}"))
}

/// The text of a member that must be one.
#[track_caller]
fn text(json: &Value, member: &str) -> String {
    json[member].as_str().unwrap_or_else(|| panic!("`{member}` is no text: {json}")).to_owned()
}

#[track_caller]
fn count(json: &Value, member: &str) -> u64 {
    json[member].as_u64().unwrap_or_else(|| panic!("`{member}` is no count: {json}"))
}

/// Members that must be there, be it as null.
#[track_caller]
fn has(json: &Value, members: &[&str]) {
    let object = json.as_object().unwrap_or_else(|| panic!("no object: {json}"));
    for member in members {
        assert!(object.contains_key(*member), "`{member}` is missing: {json}");
    }
}

/// A member's JSON as it was written, in an object that is at this pointer of the text.
fn raw(json: &str, path: &[&str]) -> String {
    let mut json = json.to_owned();
    for step in path {
        let at: Result<usize, _> = step.parse();
        let inner = match at {
            Ok(index) => {
                let list: Vec<Box<RawValue>> = serde_json::from_str(&json).unwrap();
                list[index].get().to_owned()
            }
            Err(_) => {
                let object: std::collections::HashMap<String, Box<RawValue>> =
                    serde_json::from_str(&json).unwrap();
                object[*step].get().to_owned()
            }
        };
        json = inner;
    }
    json
}

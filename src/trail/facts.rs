//! The facts of a refusal: what an operator is told of it beyond its word.
//!
//! Made by `fault_facts.rs`, kept in a request's trail; read by the log line, the admin routes and the exporter of
//! traces.
//! Bounded  by the facts of one fault, some five; a name by [`NAME_MAX`].
//! Fails    never. A text that a caller chose is kept only if it could be a name, and without what looks like a key.

use std::fmt;
use std::time::Duration;

use gateway_actors::ClientId;
use gateway_limits::Usd;
use gateway_protocols::openai::mask_keys;
use serde_json::{Map, Value};

use super::shown::usd;

/// The longest name that is kept: a model's may have so many characters.
const NAME_MAX: usize = 256;

/// One fact.
#[derive(Debug, Clone, PartialEq)]
enum Fact {
    /// A fixed word.
    Word(&'static str),
    /// A name, of whoever.
    Name(Box<str>),
    /// A count, a size or a place.
    Number(u64),
    /// Pico-USD.
    Money(u64),
}

/// The facts of one refusal, each under its name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(Vec<(&'static str, Fact)>);

impl Facts {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// With a fixed word.
    pub fn word(self, name: &'static str, word: &'static str) -> Self {
        self.and(name, Fact::Word(word))
    }

    /// With a name of something; without it where that is no name, but any text of a caller's.
    pub fn named(self, name: &'static str, text: &str) -> Self {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-[]".contains(&byte);
        match (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_of_name) {
            true => self.and(name, Fact::Name(mask_keys(text).into())),
            false => self,
        }
    }

    /// With a number.
    pub fn number(self, name: &'static str, number: impl TryInto<u64>) -> Self {
        self.and(name, Fact::Number(number.try_into().unwrap_or(u64::MAX)))
    }

    /// With an amount of pico-dollars.
    pub fn money(self, name: &'static str, pico: u64) -> Self {
        self.and(name, Fact::Money(pico))
    }

    /// With a time in milliseconds, rounded up.
    pub fn time(self, name: &'static str, time: Duration) -> Self {
        self.number(name, time.as_nanos().div_ceil(1_000_000))
    }

    /// With the client whom it concerns.
    pub fn client(self, client: &ClientId) -> Self {
        self.and(CLIENT, Fact::Name(client.as_str().into()))
    }

    fn and(mut self, name: &'static str, fact: Fact) -> Self {
        self.0.push((name, fact));
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The client whom it concerns, where it names one.
    pub fn whose(&self) -> Option<&str> {
        self.0.iter().find_map(|(name, fact)| match fact {
            Fact::Name(id) if *name == CLIENT => Some(&**id),
            _ => None,
        })
    }

    /// As members of an object; money as a number of dollars.
    pub fn members(&self) -> Map<String, Value> {
        let value = |fact: &Fact| match fact {
            Fact::Word(word) => (*word).into(),
            Fact::Name(text) => (&**text).into(),
            Fact::Number(number) => (*number).into(),
            Fact::Money(pico) => usd(*pico),
        };
        self.0.iter().map(|(name, fact)| ((*name).to_owned(), value(fact))).collect()
    }
}

/// The name under which a client stands.
const CLIENT: &str = "client";

/// `max=60 used=60 needed=1`, for the log.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, fact)) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            match fact {
                Fact::Word(word) => write!(f, "{space}{name}={word}")?,
                Fact::Name(text) => write!(f, "{space}{name}={text}")?,
                Fact::Number(number) => write!(f, "{space}{name}={number}")?,
                Fact::Money(pico) => write!(f, "{space}{name}={}", Usd(*pico))?,
            }
        }
        Ok(())
    }
}

//! `GET /admin/usage`: what was used, as the command `usage` tells it.
//!
//! Owns     the places for questions that are being answered: each reads the ledger's file on the blocking pool.
//! Called   by `admin`, behind the admin token.
//! Bounded  by `ANSWERED_AT_ONCE`; a question may go through all that the ledger keeps.
//! Fails    with the parameter that cannot be used, and when there is no place or the file cannot be read. What the
//!          file's trouble is goes to the log: it names paths.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use gateway_actors::client::InvalidClientId;
use gateway_actors::gate::Gate;
use gateway_actors::ledger::{self, UsageQuery};
use gateway_actors::{ClientId, Refusal};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use warp::reply::Response;

use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::respond;
use crate::usage_report::{Format, Question, QuestionFault, UsageReport};

/// Questions that are answered at once: readers share the disk with the accounts' writer, and a question of all
/// that is kept can take a second.
const ANSWERED_AT_ONCE: usize = 2;

/// The most of a parameter's name that an error repeats.
const NAME_SHOWN_MAX: usize = 64;

/// Why a parameter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParameterFault {
    /// Nobody knows it.
    #[error("unknown; the parameters are {known}")]
    Unknown {
        /// Those that are known.
        known: &'static str,
    },
    /// It is there twice.
    #[error("given twice; give it once")]
    Repeated,
    /// The client's name can be nobody's.
    #[error(transparent)]
    Client(#[from] InvalidClientId),
    /// A day or column.
    #[error(transparent)]
    Question(#[from] QuestionFault),
    /// Nobody knows it, where there is one parameter.
    #[error("unknown; the one parameter is limit")]
    NotLimit,
    /// It is no status, nor a class of them.
    #[error("not a status; write one such as 429, or a class such as 5xx")]
    Status,
    /// It is no number, too small or too large.
    #[error("not a number from 1 to {max}")]
    Limit {
        /// The largest.
        max: usize,
    },
    /// The form is none that programs read.
    #[error("unknown form; use json or csv")]
    Format,
}

/// Reads the ledger for questions.
#[derive(Debug)]
pub struct UsageReader {
    ledger: PathBuf,
    places: Arc<Gate>,
}

impl UsageReader {
    /// A reader of the ledger at this path.
    pub fn new(ledger: PathBuf) -> Self {
        Self { ledger, places: Gate::new(ANSWERED_AT_ONCE) }
    }

    async fn read(&self, query: UsageQuery) -> Result<UsageReport, Fault> {
        let place = self.places.enter().ok_or(Fault::UsageBusy { max: self.places.max() })?;
        let path = self.ledger.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Held here, since the reading goes on when whoever asked has left.
            let _place = place;
            ledger::usage(&path, &query).map(|rows| UsageReport::new(query.by, &rows))
        });
        let read = reading.await.map_err(|_| Refusal::Restarting { actor: "the reader of the ledger" })?;
        read.map_err(|fault| {
            tracing::error!(fault = fault.to_string(), "the usage cannot be read");
            Fault::LedgerUnreadable
        })
    }
}

/// Answers one question.
pub async fn answer(front: &Front, exchange: &Exchange) -> Result<Response, Fault> {
    let (question, format) = asked(&exchange.query)?;
    let now_ms = i64::try_from(front.gateway.shared().clock().now().unix_ms).unwrap_or(i64::MAX);
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::MAX);
    let query = question.query(now).map_err(|fault| of_parameter("from", fault.into()))?;
    let mut response = respond::json(front.usage.read(query).await?.render(format));
    if format == Format::Csv {
        let csv = HeaderValue::from_static("text/csv; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, csv);
    }
    Ok(response)
}

/// The question in a query, and the form of its answer.
fn asked(query: &str) -> Result<(Question, Format), Fault> {
    let (mut client, mut from, mut to, mut by, mut format) = (None, None, None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let set = match &*name {
            "client" => {
                ClientId::parse(&value).map_err(ParameterFault::from).and_then(|id| once(&mut client, id))
            }
            "from" => value.parse().map_err(ParameterFault::from).and_then(|day| once(&mut from, day)),
            "to" => value.parse().map_err(ParameterFault::from).and_then(|day| once(&mut to, day)),
            "by" => value.parse().map_err(ParameterFault::from).and_then(|columns| once(&mut by, columns)),
            "format" => form(&value).and_then(|form| once(&mut format, form)),
            _ => Err(ParameterFault::Unknown { known: "client, from, to, by and format" }),
        };
        set.map_err(|fault| of_parameter(&name, fault))?;
    }
    let question = Question { client, from, to, by: by.unwrap_or_default() };
    Ok((question, format.unwrap_or(Format::Json)))
}

/// Takes a parameter's value where none was before.
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), ParameterFault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterFault::Repeated),
    }
}

fn form(written: &str) -> Result<Format, ParameterFault> {
    match Format::from_str(written, false) {
        Ok(format @ (Format::Csv | Format::Json)) => Ok(format),
        Ok(Format::Table) | Err(_) => Err(ParameterFault::Format),
    }
}

/// What is wrong with a parameter of a query; its name is cut to a length that a person reads.
pub(super) fn of_parameter(name: &str, fault: ParameterFault) -> Fault {
    let name = name[..name.floor_char_boundary(NAME_SHOWN_MAX)].to_owned();
    Fault::BadParameter { name, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_without_parameters_is_for_everything() {
        let (question, format) = asked("").unwrap();
        assert_eq!((question, format), (Question::default(), Format::Json));
    }

    #[test]
    fn every_parameter_is_read_as_forms_encode_it() {
        let (question, format) =
            asked("client=a.b&from=2026-11-01&to=today&by=day%2Cmodel&format=csv").unwrap();
        assert_eq!(question.client.as_deref(), Some("a.b"));
        assert_eq!(question.by, "day,model".parse().unwrap());
        assert_eq!((question.from, question.to), ("2026-11-01".parse().ok(), "today".parse().ok()));
        assert_eq!(format, Format::Csv);
    }

    #[test]
    fn a_parameter_that_cannot_be_used_is_named_with_its_cure() {
        let long = format!("{}=1", "ä".repeat(100));
        for (query, told) in [
            (
                "client=a%20b",
                "parameter `client`: a client id is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            ),
            ("client=", "parameter `client`: a client id is 1 to 64 of the characters A-Z a-z 0-9 . _ -"),
            ("from=soon", "parameter `from`: `soon` is not a day; write one such as 2026-11-25"),
            ("to=", "parameter `to`: `` is not a day"),
            ("by=client,key", "parameter `by`: unknown column `key`"),
            ("format=table", "parameter `format`: unknown form; use json or csv"),
            ("format=JSON", "parameter `format`: unknown form; use json or csv"),
            ("to=today&to=today", "parameter `to`: given twice; give it once"),
            ("user=ada", "parameter `user`: unknown; the parameters are client, from, to, by and format"),
            (&long, &format!("parameter `{}`: unknown", "ä".repeat(32))),
        ] {
            let fault = asked(query).unwrap_err().to_string();
            assert!(fault.starts_with(told), "{query}: {fault}");
        }
    }

    #[tokio::test]
    async fn no_more_questions_are_answered_at_once_than_there_are_places() {
        let reader = UsageReader::new(PathBuf::from("/nowhere/ledger.db"));
        let places: Vec<_> = (0..ANSWERED_AT_ONCE).map(|_| reader.places.enter().unwrap()).collect();
        let busy = reader.read(UsageQuery::default()).await.unwrap_err();
        assert!(matches!(busy, Fault::UsageBusy { max: ANSWERED_AT_ONCE }), "{busy}");
        drop(places);
        // There is no ledger, which shows that it looked. Where it looked is not told.
        let looked = reader.read(UsageQuery::default()).await.unwrap_err();
        assert!(matches!(looked, Fault::LedgerUnreadable), "{looked}");
        assert!(!looked.to_string().contains("nowhere"));
        assert_eq!(reader.places.depth(), 0);
    }
}

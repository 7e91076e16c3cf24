//! `GET /admin/requests` and `GET /admin/requests/ID`: the last requests, and why one was answered so.
//!
//! Called   by `admin`, behind the admin token, and by the live view for its summaries.
//! Bounded  by what the request log keeps; a list by [`LIMIT_MAX`].
//! Fails    with the parameter that cannot be used, and for an id that is not kept (any more).

use gateway_actors::ClientId;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::usage::{ParameterFault, of_parameter, once};
use crate::fault::Fault;
use crate::front::Front;
use crate::request_id::RequestId;
use crate::trail::{Facts, Noted, Outline, Record, ms, usage, usd};

/// Requests that are listed when nobody says how many.
const LIMIT_DEFAULT: usize = 100;

/// The most that one answer lists: half a megabyte.
const LIMIT_MAX: usize = 1_000;

/// The parameters of the list, as an error names them.
const PARAMETERS: &str = "client, model, status and limit";

/// Which requests are asked for.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    client: Option<ClientId>,
    model: Option<String>,
    status: Option<Statuses>,
    limit: Option<usize>,
}

/// One status, or all of a class: `429`, `5xx`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Statuses {
    first: u16,
    last: u16,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, Fault> {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let set = match &*name {
                "client" => ClientId::parse(&value)
                    .map_err(ParameterFault::from)
                    .and_then(|id| once(&mut wanted.client, id)),
                "model" => once(&mut wanted.model, value.into_owned()),
                "status" => statuses(&value).and_then(|statuses| once(&mut wanted.status, statuses)),
                "limit" => limit(&value).and_then(|limit| once(&mut wanted.limit, limit)),
                _ => Err(ParameterFault::Unknown { known: PARAMETERS }),
            };
            set.map_err(|fault| of_parameter(&name, fault))?;
        }
        Ok(wanted)
    }

    fn fits(&self, outline: &Outline<'_>) -> bool {
        let is_model = |model: &str| {
            [outline.model, outline.upstream_model].into_iter().flatten().any(|known| known == model)
        };
        let is_status = |statuses: Statuses| {
            outline.status.is_some_and(|status| (statuses.first..=statuses.last).contains(&status))
        };
        // Whoever was refused under a client's name counts as that client's, too: a 401 is looked for so.
        let whose = outline.client.or_else(|| outline.facts?.whose());
        self.client.as_ref().is_none_or(|client| whose == Some(client.as_str()))
            && self.model.as_deref().is_none_or(is_model)
            && self.status.is_none_or(is_status)
    }
}

fn statuses(written: &str) -> Result<Statuses, ParameterFault> {
    let class = written.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
    let range = match (class, written.parse::<u16>()) {
        (Some(class @ 1..=5), _) => Some((class * 100, class * 100 + 99)),
        (None, Ok(status @ 100..=599)) => Some((status, status)),
        _ => None,
    };
    range.map(|(first, last)| Statuses { first, last }).ok_or(ParameterFault::Status)
}

fn limit(written: &str) -> Result<usize, ParameterFault> {
    let limit = written.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or(ParameterFault::Limit { max: LIMIT_MAX })
}

/// The newest requests that fit the query.
///
/// # Errors
/// For a parameter that cannot be used.
pub(super) fn list(front: &Front, query: &str) -> Result<Value, Fault> {
    let wanted = Wanted::read(query)?;
    let fits = |record: &Record| record.outline(|outline| wanted.fits(outline));
    let found = front.observer.requests.newest(wanted.limit.unwrap_or(LIMIT_DEFAULT), fits);
    Ok(json!({ "requests": found.iter().map(|record| summary(record)).collect::<Vec<_>>() }))
}

/// One request with its whole trail.
///
/// # Errors
/// [`Fault::NotFound`] for an id that is none of ours, or not kept any more.
pub(super) fn one(front: &Front, id: &str) -> Result<Value, Fault> {
    let found = RequestId::parse(id).and_then(|number| front.observer.requests.find(number));
    let record = found.ok_or_else(|| Fault::NotFound { what: "request", name: id.to_owned() })?;
    let mut shown = summary(&record);
    let (steps, left_out) =
        record.read(|steps, left_out| (steps.iter().map(noted).collect::<Vec<_>>(), left_out));
    shown["steps"] = steps.into();
    shown["steps_left_out"] = left_out.into();
    Ok(shown)
}

/// A request in one object.
pub(super) fn summary(record: &Record) -> Value {
    let arrived_at = Timestamp::try_from(record.arrived_at()).ok();
    record.outline(|outline| {
        json!({
            "id": record.id().as_str(),
            "client_request_id": record.client_request_id(),
            "arrived_at": arrived_at.map(|at| format!("{at:.3}")),
            "address": record.address().to_string(),
            "client": outline.client,
            "endpoint": outline.endpoint,
            "model": outline.model,
            "stream": outline.stream,
            "provider": outline.provider,
            "key": outline.key,
            "upstream_model": outline.upstream_model,
            "status": outline.status,
            "ending": outline.ending,
            "refused": outline.refused,
            "because": outline.facts.map(Facts::members),
            "attempts": outline.attempts,
            "usage": outline.usage.map(usage),
            "grade": outline.grade,
            "cost_usd": outline.cost.map(usd),
            "overhead_ms": outline.overhead.map(ms),
            "first_token_ms": outline.first_token.map(ms),
            "duration_ms": outline.duration.map(ms),
        })
    })
}

fn noted(Noted { at, step }: &Noted) -> Value {
    let (name, members) = step.named();
    let mut shown = Map::new();
    shown.insert("at_ms".to_owned(), ms(*at).into());
    shown.insert("step".to_owned(), name.into());
    if let Value::Object(members) = members {
        shown.extend(members);
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_for_is_named_with_its_cure() {
        for (query, told) in [
            ("status=abc", "parameter `status`: not a status; write one such as 429, or a class such as 5xx"),
            ("status=9xx", "parameter `status`: not a status"),
            ("limit=0", "parameter `limit`: not a number from 1 to 1000"),
            ("limit=1001", "parameter `limit`: not a number from 1 to 1000"),
            ("client=a%20b", "parameter `client`: a client id is"),
            ("model=a&model=b", "parameter `model`: given twice; give it once"),
            ("user=a", "parameter `user`: unknown; the parameters are client, model, status and limit"),
        ] {
            let fault = Wanted::read(query).unwrap_err().to_string();
            assert!(fault.starts_with(told), "{query}: {fault}");
        }
    }

    #[test]
    fn a_class_of_statuses_is_all_of_it() {
        let wanted = Wanted::read("status=4xx").unwrap();
        let fits = |status| wanted.fits(&Outline { status: Some(status), ..Outline::default() });
        assert_eq!([399, 400, 499, 500].map(fits), [false, true, true, false]);
    }
}

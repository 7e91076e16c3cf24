//! `GET /admin/audit`: the last entries of the audit log.
//!
//! Bounded  by [`LIMIT_MAX`] entries, and by what `audit` reads back of the file.
//! Fails    with the parameter that cannot be used, or when the file cannot be read.

use gateway_actors::Refusal;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::handlers::usage::{ParameterFault, of_parameter};

/// Entries when nobody says how many: what a page shows.
const LIMIT: usize = 100;

/// The most entries of one answer.
const LIMIT_MAX: usize = 1_000;

/// The last entries, the newest first.
pub(super) async fn answer(front: &Front, exchange: &Exchange) -> Result<Value, Fault> {
    let limit = limit(&exchange.query)?;
    let log = front.reloader.audit().clone();
    let reading = tokio::task::spawn_blocking(move || log.tail(limit));
    let entries =
        reading.await.map_err(|_| Refusal::Restarting { actor: "the reader of the audit log" })??;
    Ok(json!({ "audit": entries }))
}

fn limit(query: &str) -> Result<usize, Fault> {
    let mut limit = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let fault = match &*name {
            "limit" if limit.is_some() => Some(ParameterFault::Repeated),
            "limit" => {
                limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit.is_none().then_some(ParameterFault::Limit { max: LIMIT_MAX })
            }
            _ => Some(ParameterFault::NotLimit),
        };
        if let Some(fault) = fault {
            return Err(of_parameter(&name, fault));
        }
    }
    Ok(limit.unwrap_or(LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_entries_and_nothing_else_is_asked() {
        for (query, expected) in [("", LIMIT), ("limit=1", 1), ("limit=1000", LIMIT_MAX)] {
            assert_eq!(limit(query).unwrap(), expected, "{query}");
        }
        for (query, told) in [
            ("limit=0", "parameter `limit`: not a number from 1 to 1000"),
            ("limit=1001", "parameter `limit`: not a number from 1 to 1000"),
            ("limit=all", "parameter `limit`: not a number from 1 to 1000"),
            ("limit=1&limit=2", "parameter `limit`: given twice; give it once"),
            ("client=ada", "parameter `client`: unknown; the one parameter is limit"),
        ] {
            assert_eq!(limit(query).unwrap_err().to_string(), told, "{query}");
        }
    }
}

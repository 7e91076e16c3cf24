//! Attempts that failed: a row each, and by day the sums of those that may be billed.
//!
//! Owns     the statements that write them.
//! Called   by `write`, within its transaction.
//! Bounded  by failures: breakers see to it that an upstream which is down is asked seldom. Sums have at most
//!          [`MODELS_MAX`] models for each day, client and key, as those of calls.
//! Fails    with the transaction.
//!
//! They are so few beside the calls that their sums are written with them, and not once a second as those of calls.

use rusqlite::{Connection, params};

use super::change::FailedAttempt;
use super::head::stored;
use crate::ledger::sums::{MODELS_MAX, OTHER_MODELS};

const INSERT: &str = "\
INSERT INTO failed_attempts (call, attempt, client, provider, key, model, day, failed_ms, took_ms, fault, status, grade,
                             cost, input, cache_read, cache_write, output, reasoning)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
ON CONFLICT DO NOTHING";

// An integer sum that overflows is a REAL in SQLite, and the lesser of it and the largest integer is the integer.
const ADD: &str = "\
INSERT INTO failed_daily (day, client, provider, key, model, attempts, tokens, cost)
VALUES (?1, ?2, ?3, ?4,
        CASE WHEN EXISTS (SELECT 1 FROM failed_daily
                          WHERE (day, client, provider, key, model) = (?1, ?2, ?3, ?4, ?5))
               OR (SELECT count(*) FROM failed_daily WHERE (day, client, provider, key) = (?1, ?2, ?3, ?4)) < ?8
             THEN ?5 ELSE ?9 END,
        1, ?6, ?7)
ON CONFLICT DO UPDATE SET
    attempts = attempts + 1,
    tokens = min(tokens + ?6, 9223372036854775807),
    cost = min(cost + ?7, 9223372036854775807)";

const DAY_MS: u64 = 86_400_000;

/// Writes one, unless it was written before; says whether it did.
pub(super) fn write(conn: &Connection, failed: &FailedAttempt) -> rusqlite::Result<bool> {
    let FailedAttempt { call, attempt, client, target, key, at, took, fault, status, usage, grade, cost } =
        failed;
    let day = at.unix_ms / DAY_MS;
    let rows = conn.prepare_cached(INSERT)?.execute(params![
        stored(call.0),
        attempt,
        client.as_str(),
        &*target.provider,
        &**key,
        &*target.model,
        stored(day),
        stored(at.unix_ms),
        stored(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        fault,
        status,
        grade.as_str(),
        cost.map(stored),
        stored(usage.input),
        stored(usage.cache_read),
        stored(usage.cache_write),
        stored(usage.output),
        stored(usage.reasoning),
    ])?;
    if rows == 0 || usage.total() == 0 {
        // There is nothing to add up: it is known already, or used nothing.
        return Ok(rows == 1);
    }
    conn.prepare_cached(ADD)?.execute(params![
        stored(day),
        client.as_str(),
        &*target.provider,
        &**key,
        &*target.model,
        stored(usage.total()),
        stored(cost.unwrap_or(0)),
        MODELS_MAX,
        OTHER_MODELS,
    ])?;
    Ok(true)
}

#[cfg(test)]
mod tests;

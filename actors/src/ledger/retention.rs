//! How old calls leave the ledger, a few at a time.
//!
//! Owns     the place where the walk over the oldest rows has come to.
//! Called   by `Store::maintain`.
//! Bounded  by [`STEP_ROWS`] rows looked at per step. One walk per UTC day, and one after a start.
//! Fails    with the transaction; the next step does the same again.
//!
//! Only rows of `calls` go, and with them those of their failed attempts. The sums in `daily`, `failed_daily` and
//! `accounts` stay: they are small, hold no request ids, and are
//! what usage shows of older days. Nor does the highest id go, which `state` has. The file does not become
//! smaller; the room is used for new rows.
//!
//! A row goes when it is settled and in the sums, its day is more than `keep_days` before today, *and* the
//! monotonic clock has gone on that far since: a wall clock that is wrong by years deletes nothing.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::store::{Head, stored, stored_mono};

/// Rows per step. Removing that many takes about a millisecond, which commits have to wait for.
const STEP_ROWS: i64 = 500;

const DAY_MS: u64 = 86_400_000;

/// OpenAI keeps a response for 30 days.
const ANSWERS_KEPT_MS: u64 = 30 * DAY_MS;
const DAY: Duration = Duration::from_secs(86_400);

/// The walk over the oldest rows.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// Rows up to this id were looked at.
    walked_to: u64,
    /// The day whose walk is at its end.
    done_on: Option<u64>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) removed: usize,
    pub(super) is_more: bool,
}

impl Step {
    pub(super) const NOTHING: Self = Self { removed: 0, is_more: false };
}

impl Retention {
    /// Looks at the next rows, and removes those that are older than so many days.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        head: &Head,
        unix_ms: u64,
        keep_days: u32,
    ) -> rusqlite::Result<Step> {
        let today = unix_ms / DAY_MS;
        let forgotten = forget_answers(conn, unix_ms)?;
        if forgotten > 0 {
            return Ok(Step { removed: 0, is_more: true });
        }
        if self.done_on == Some(today) {
            return Ok(Step::NOTHING);
        }
        let old_mono = head.latest.mono.checked_sub(DAY.saturating_mul(keep_days));
        let Some(last) = old_mono.map(|old| self.last_of_step(conn, old)).transpose()?.flatten() else {
            *self = Self { walked_to: 0, done_on: Some(today) };
            return Ok(Step::NOTHING);
        };
        let first_day_kept = today.saturating_sub(u64::from(keep_days));
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        let removed = transaction
            .prepare_cached(
                "DELETE FROM calls WHERE id > ?1 AND id <= ?2 AND day < ?3 AND settled_seq <= ?4",
            )?
            .execute(params![
                stored(self.walked_to),
                last,
                stored(first_day_kept),
                stored(head.rolled_up_seq)
            ])?;
        transaction.prepare_cached(FORGET_ATTEMPTS)?.execute(params![stored(self.walked_to), last])?;
        transaction.commit()?;
        self.walked_to = u64::try_from(last).unwrap_or(0);
        Ok(Step { removed, is_more: true })
    }

    /// The last of the next rows that was admitted before `old`, if there is one.
    fn last_of_step(&self, conn: &Connection, old: Duration) -> rusqlite::Result<Option<i64>> {
        conn.prepare_cached(
            "SELECT max(id) FROM (SELECT id, admitted_mono FROM calls WHERE id > ?1 ORDER BY id LIMIT ?2) \
             WHERE admitted_mono < ?3",
        )?
        .query_row(params![stored(self.walked_to), STEP_ROWS, stored_mono(old)], |row| row.get(0))
    }
}

/// Failed attempts at calls that have gone.
const FORGET_ATTEMPTS: &str = "\
    DELETE FROM failed_attempts
    WHERE call > ?1 AND call <= ?2 AND NOT EXISTS (SELECT 1 FROM calls WHERE id = call)";

/// Forgets the oldest answers that an upstream no longer keeps. A clock that is ahead forgets them early, which costs
/// a client the way to an answer that it has had.
fn forget_answers(conn: &Connection, unix_ms: u64) -> rusqlite::Result<usize> {
    conn.prepare_cached(
        "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE made_ms < ?1 ORDER BY made_ms LIMIT ?2)",
    )?
    .execute(params![stored(unix_ms.saturating_sub(ANSWERS_KEPT_MS)), STEP_ROWS])
}

#[cfg(test)]
mod tests;

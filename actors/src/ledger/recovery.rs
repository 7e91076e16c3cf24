//! What a new process begins with.
//!
//! Owns     the reading of a ledger that was just opened: where it stands, what a crash left open, and every
//!          client's account.
//! Called   by `Store::open`, and by each reopening for what a store keeps in memory.
//! Bounded  by the clients, by the calls of the last minute, and by the calls since the oldest one that was open
//!          when the sums were last rolled up; not by the length of the ledger or of the month.
//! Fails    with SQLite's fault, and then nothing starts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use gateway_limits::{AdmissionId, Ask, Now, Outcome, Recent, Saved};
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};

use super::store::{Head, Held, from_stored, stored, stored_mono};
use super::sums::{LatestDay, Pending, client};
use crate::booking::Ending;
use crate::client::ClientId;

/// How far back admissions count in a sliding window.
const WINDOW: Duration = Duration::from_secs(60);

/// Ids are given out before the moment of the admission is taken, so a row may be older than the one before it
/// by as long as a thread can be held up between the two; far less than this.
const OUT_OF_ORDER: Duration = Duration::from_secs(10);

/// What the store keeps in memory, read from the file.
pub(super) fn held(conn: &Connection) -> rusqlite::Result<Held> {
    // One view of the file for all three.
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let head = Head::read(&transaction)?;
    let open = transaction
        .prepare("SELECT id, bound_tokens FROM calls WHERE id >= ?1 AND settled_seq IS NULL")?
        .query_map([stored(head.rolled_up_from)], |row| {
            Ok((row.get(0).map(from_stored)?, row.get(1).map(from_stored)?))
        })?
        .collect::<rusqlite::Result<BTreeMap<u64, u64>>>()?;
    let pending = Pending::read(&transaction)?;
    Ok(Held { head, open, pending })
}

/// Settles at its bound what a process that ended without settling left open. Gives how many calls that were.
pub(super) fn settle_open(conn: &Connection, held: &mut Held, at: Now) -> rusqlite::Result<usize> {
    const SETTLE: &str = "\
        UPDATE calls SET settled_seq = ?2, settled_ms = ?3, settled_mono = ?4, ending = 'crashed', \
                         grade = 'estimated', tokens = bound_tokens, cost = bound_cost, input = 0, \
                         cache_read = 0, cache_write = 0, output = 0, reasoning = 0 \
        WHERE id = ?1";
    if held.open.is_empty() {
        return Ok(0);
    }
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let mut head = held.head;
    for id in held.open.keys() {
        let seq = head.advance(at);
        transaction.prepare_cached(SETTLE)?.execute(params![
            stored(*id),
            stored(seq),
            stored(at.unix_ms),
            stored_mono(at.mono)
        ])?;
    }
    head.write(&transaction)?;
    transaction.commit()?;
    let settled = held.open.len();
    *held = self::held(conn)?;
    Ok(settled)
}

/// Every client's account at `now`, when nothing is open.
pub(super) fn accounts(
    conn: &Connection,
    held: &Held,
    now: Now,
) -> rusqlite::Result<HashMap<ClientId, Saved>> {
    let mut latest_days: HashMap<ClientId, LatestDay> = HashMap::new();
    let mut statement =
        conn.prepare("SELECT client, day, month, tokens, debt, cost, month_cost FROM accounts")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        if let Some(client) = client(row, 0)? {
            latest_days.insert(client, LatestDay::from_row(row, 1)?);
        }
    }
    for (client, sum) in held.pending.iter() {
        match latest_days.get_mut(client) {
            Some(latest_day) => latest_day.add(sum.day, &sum.tally),
            None => latest_days.entry(client.clone()).or_default().add(sum.day, &sum.tally),
        }
    }
    let mut recent = recent(conn, now)?;
    for client in recent.keys() {
        if !latest_days.contains_key(client) {
            latest_days.insert(client.clone(), LatestDay::default());
        }
    }
    let latest = held.head.latest;
    let restored = latest_days.into_iter().map(|(client, latest_day)| {
        let recent = recent.remove(&client).unwrap_or_default();
        let saved = Saved::restored(latest, latest_day.sums(), recent);
        (client, saved)
    });
    Ok(restored.collect())
}

/// The calls whose admissions still count in a sliding window at `now`, newest first.
fn recent(conn: &Connection, now: Now) -> rusqlite::Result<HashMap<ClientId, Vec<Recent>>> {
    const NEWEST_FIRST: &str = "\
        SELECT admitted_mono, client, id, settled_mono, day, bound_tokens, bound_cost, ending, tokens, cost \
        FROM calls ORDER BY id DESC";
    let mut recent: HashMap<ClientId, Vec<Recent>> = HashMap::new();
    let mut statement = conn.prepare(NEWEST_FIRST)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let admitted = Duration::from_nanos(row.get(0).map(from_stored)?);
        let age = now.mono.saturating_sub(admitted);
        if age >= WINDOW + OUT_OF_ORDER {
            break;
        }
        let Some(client) = client(row, 1)? else { continue };
        if age < WINDOW {
            recent.entry(client).or_default().push(recent_of(row, admitted)?);
        }
    }
    Ok(recent)
}

fn recent_of(row: &Row<'_>, admitted: Duration) -> rusqlite::Result<Recent> {
    let number = |index: usize| row.get(index).map(from_stored);
    let money = |index: usize| row.get(index).map(|cost: Option<i64>| cost.map_or(0, from_stored));
    let (tokens, cost) = (number(8)?, money(9)?);
    let outcome = if row.get_ref(7)?.as_str()? == Ending::NeverSent.as_str() {
        Outcome::NeverSent
    } else if (tokens, cost) == (0, 0) {
        // Failed, or spent nothing: they count alike.
        Outcome::Failed
    } else {
        Outcome::Spent { tokens, cost }
    };
    Ok(Recent {
        id: AdmissionId(number(2)?),
        admitted,
        settled: Duration::from_nanos(number(3)?),
        day: number(4)?,
        bound: Ask { tokens: number(5)?, cost: money(6)? },
        outcome,
    })
}

#[cfg(test)]
mod tests;

//! One batch of changes as one transaction.
//!
//! Owns     the two statements that make and complete a call's row.
//! Called   by `Store::commit`.
//! Bounded  by the batch.
//! Fails    whole: the transaction is rolled back, and what is in memory changes only after it is committed.
//!
//! A change that comes again finds its row there, or settled, and changes nothing: so a batch whose end nobody
//! knows can be sent again.

use std::collections::HashMap;

use gateway_limits::{Outcome, Usage};
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::Held;
use super::attempts;
use super::change::{AnswerOwner, Change, KeptAnswer, Reservation, Settlement};
use super::head::{Head, from_stored, stored, stored_mono};
use crate::booking::Ending;
use crate::ledger::sums::Tally;

const INSERT: &str = "\
INSERT INTO calls (id, request_id, client, endpoint, provider, model, day, admitted_ms, admitted_mono,
                   bound_tokens, bound_cost, settled_seq, settled_ms, settled_mono, ending, grade, tokens, cost,
                   input, cache_read, cache_write, output, reasoning, attempts, key)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25)
ON CONFLICT DO NOTHING";

const INSERT_OPEN: &str = "\
INSERT INTO calls (id, request_id, client, endpoint, provider, model, day, admitted_ms, admitted_mono,
                   bound_tokens, bound_cost)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT DO NOTHING";

const SETTLE: &str = "\
UPDATE calls SET provider = ?2, model = ?3, day = ?4, settled_seq = ?5, settled_ms = ?6, settled_mono = ?7,
                 ending = ?8, grade = ?9, tokens = ?10, cost = ?11, input = ?12, cache_read = ?13,
                 cache_write = ?14, output = ?15, reasoning = ?16, attempts = ?17, key = ?18
WHERE id = ?1 AND settled_seq IS NULL";

/// What a batch changed.
#[derive(Default)]
struct Changed<'a> {
    opened: Vec<&'a Reservation>,
    /// With the tokens of their bounds.
    settled: Vec<(&'a Settlement, u64)>,
}

/// Commits a batch.
pub(super) fn commit(conn: &Connection, held: &mut Held, batch: &[Change]) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let mut head = held.head;
    let changed = write(&transaction, held, &mut head, batch)?;
    if head == held.head {
        // Everything was there before.
        return Ok(());
    }
    head.write(&transaction)?;
    transaction.commit()?;
    held.head = head;
    for reservation in changed.opened {
        held.open.insert(reservation.id.0, reservation.ask.tokens);
    }
    for (settlement, bound_tokens) in changed.settled {
        held.open.remove(&settlement.id.0);
        if let Some(tally) = tally(settlement, bound_tokens) {
            held.pending.add(&settlement.client, settlement.day, &settlement.target, &tally);
        }
    }
    Ok(())
}

fn write<'a>(
    conn: &Connection,
    held: &Held,
    head: &mut Head,
    batch: &'a [Change],
) -> rusqlite::Result<Changed<'a>> {
    // A call whose reservation is in this batch too becomes a row at once.
    let mut ends: HashMap<u64, &Settlement> = HashMap::new();
    for change in batch {
        if let Change::Settled(settlement) = change {
            ends.entry(settlement.id.0).or_insert(settlement);
        }
    }
    let mut insert = conn.prepare_cached(INSERT)?;
    let mut insert_open = conn.prepare_cached(INSERT_OPEN)?;
    let mut settle = conn.prepare_cached(SETTLE)?;
    let mut changed = Changed::default();
    for change in batch {
        match change {
            Change::Reserved(reservation) => match ends.get(&reservation.id.0) {
                Some(settlement) => {
                    if insert_whole(&mut insert, reservation, settlement, head.seq.saturating_add(2))? {
                        head.reserved(reservation.id, reservation.at);
                        head.advance(settlement.at);
                        changed.settled.push((settlement, reservation.ask.tokens));
                    }
                }
                None => {
                    if insert_half(&mut insert_open, reservation)? {
                        head.reserved(reservation.id, reservation.at);
                        changed.opened.push(reservation);
                    }
                }
            },
            Change::Kept(kept) => {
                if keep(conn, kept)? {
                    head.advance(kept.at);
                }
            }
            Change::AttemptFailed(failed) => {
                if attempts::write(conn, failed)? {
                    head.advance(failed.at);
                }
            }
            Change::Settled(settlement) => {
                if let Some(bound_tokens) = held.open.get(&settlement.id.0)
                    && complete(&mut settle, settlement, head.seq.saturating_add(1))?
                {
                    head.advance(settlement.at);
                    changed.settled.push((settlement, *bound_tokens));
                }
            }
        }
    }
    Ok(changed)
}

/// Each of these says whether it changed anything.
fn insert_half(statement: &mut CachedStatement<'_>, reservation: &Reservation) -> rusqlite::Result<bool> {
    let Reservation { id, client, at, day, ask, memo, target, .. } = reservation;
    let rows = statement.execute(params![
        stored(id.0),
        &*memo.request_id,
        client.as_str(),
        memo.endpoint,
        &*target.provider,
        &*target.model,
        stored(*day),
        stored(at.unix_ms),
        stored_mono(at.mono),
        stored(ask.tokens),
        bound_cost(reservation),
    ])?;
    Ok(rows == 1)
}

fn insert_whole(
    statement: &mut CachedStatement<'_>,
    reservation: &Reservation,
    settlement: &Settlement,
    seq: u64,
) -> rusqlite::Result<bool> {
    let Reservation { id, client, at, ask, memo, .. } = reservation;
    let Settlement { at: settled_at, booking, outcome, target, .. } = settlement;
    let usage = charged_usage(settlement);
    let rows = statement.execute(params![
        stored(id.0),
        &*memo.request_id,
        client.as_str(),
        memo.endpoint,
        &*target.provider,
        &*target.model,
        stored(settlement.day),
        stored(at.unix_ms),
        stored_mono(at.mono),
        stored(ask.tokens),
        bound_cost(reservation),
        stored(seq),
        stored(settled_at.unix_ms),
        stored_mono(settled_at.mono),
        booking.ending.as_str(),
        booking.grade.as_str(),
        stored(outcome.tokens()),
        cost(settlement).map(stored),
        stored(usage.input),
        stored(usage.cache_read),
        stored(usage.cache_write),
        stored(usage.output),
        stored(usage.reasoning),
        booking.attempts,
        settlement.key.as_deref(),
    ])?;
    Ok(rows == 1)
}

fn complete(
    statement: &mut CachedStatement<'_>,
    settlement: &Settlement,
    seq: u64,
) -> rusqlite::Result<bool> {
    let Settlement { id, at, day, booking, outcome, target, .. } = settlement;
    let usage = charged_usage(settlement);
    let rows = statement.execute(params![
        stored(id.0),
        &*target.provider,
        &*target.model,
        stored(*day),
        stored(seq),
        stored(at.unix_ms),
        stored_mono(at.mono),
        booking.ending.as_str(),
        booking.grade.as_str(),
        stored(outcome.tokens()),
        cost(settlement).map(stored),
        stored(usage.input),
        stored(usage.cache_read),
        stored(usage.cache_write),
        stored(usage.output),
        stored(usage.reasoning),
        booking.attempts,
        settlement.key.as_deref(),
    ])?;
    Ok(rows == 1)
}

/// An id that comes again stays with the client that had it first.
fn keep(conn: &Connection, kept: &KeptAnswer) -> rusqlite::Result<bool> {
    const KEEP: &str = "INSERT INTO answers (id, client, provider, key, made_ms) VALUES (?1, ?2, ?3, ?4, ?5) \
                        ON CONFLICT DO NOTHING";
    let KeptAnswer { id, owner, at } = kept;
    let AnswerOwner { client, provider, key } = owner;
    let rows = conn.prepare_cached(KEEP)?.execute(params![
        &**id,
        client.as_str(),
        &**provider,
        &**key,
        stored(at.unix_ms)
    ])?;
    Ok(rows == 1)
}

fn bound_cost(reservation: &Reservation) -> Option<i64> {
    let Reservation { ask, cost_known, .. } = reservation;
    (*cost_known || ask.cost > 0).then(|| stored(ask.cost))
}

/// What is charged; `None` when tokens are, and nobody knows what they cost.
fn cost(settlement: &Settlement) -> Option<u64> {
    let is_unknown = !settlement.cost_known && matches!(settlement.outcome, Outcome::Spent { cost: 0, .. });
    (!is_unknown).then(|| settlement.outcome.cost())
}

/// The parts of what is charged.
fn charged_usage(settlement: &Settlement) -> Usage {
    match settlement.outcome {
        Outcome::Spent { .. } => settlement.booking.usage,
        Outcome::Failed | Outcome::NeverSent => Usage::default(),
    }
}

/// What the settlement adds to the day's sums: what the view `settled_since` makes of its row.
fn tally(settlement: &Settlement, bound_tokens: u64) -> Option<Tally> {
    let tokens = kept(settlement.outcome.tokens());
    let cost = cost(settlement);
    let ending = settlement.booking.ending;
    let usage = charged_usage(settlement);
    (ending != Ending::NeverSent).then(|| Tally {
        requests: 1,
        failed: u64::from(matches!(ending, Ending::Refused | Ending::Failed)),
        tokens,
        debt: tokens.saturating_sub(kept(bound_tokens)),
        cost: cost.map_or(0, kept),
        unpriced_requests: u64::from(cost.is_none()),
        usage: Usage {
            input: kept(usage.input),
            cache_read: kept(usage.cache_read),
            cache_write: kept(usage.cache_write),
            output: kept(usage.output),
            reasoning: kept(usage.reasoning),
        },
    })
}

/// The number as the file has it.
fn kept(number: u64) -> u64 {
    from_stored(stored(number))
}

//! The daily sums: gathered in memory, added to the file about once a second.
//!
//! Writing them with each call would double the cost of a commit. So the file's sums lag behind its calls, and
//! `state` says by how much; what is in memory is what the view `settled_since` gives, and is made from it again
//! when the ledger opens.
//!
//! Owns     [`Pending`], the sums that the file does not have yet, and [`Tally`], one of them.
//! Called   by the store: after each commit, and when it is time to roll up.
//! Bounded  in memory by the clients that called since the last time, times the targets that they called; in the file
//!          by [`MODELS_MAX`] for each day, client and provider.
//! Fails    with the transaction it is part of; the sums in memory are given up only when that is committed.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_limits::Usage;
use rusqlite::{Connection, Row, params};

use super::store::{from_stored, stored};
use crate::client::ClientId;
use crate::job::Target;

/// No sum is larger, in memory as in the file, so that it does not matter where it was made.
const SUM_MAX: u64 = i64::MAX as u64;

/// Models of one provider that have sums of their own, per client and day: whoever may ask for any model can make names
/// up, and sums never go. As many as have metrics of their own.
pub(super) const MODELS_MAX: u32 = 200;

/// What stands for the models beyond them. No model has such a name.
pub(super) const OTHER_MODELS: &str = "(other)";

/// Sums over settled calls. Those that were never sent are in none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    /// Of the requests, those that ended refused or failed.
    pub(super) failed: u64,
    pub(super) tokens: u64,
    /// Of the tokens, those by which settlements went above their bounds.
    pub(super) debt: u64,
    /// Pico-USD.
    pub(super) cost: u64,
    /// Of the requests, those whose cost nobody knows.
    pub(super) unpriced_requests: u64,
    pub(super) usage: Usage,
}

impl Tally {
    /// Column names, in the order in which [`Tally::from_row`] reads them.
    pub(super) const COLUMNS: &str = "requests, failed, tokens, debt, cost, unpriced_requests, input, cache_read, \
                                      cache_write, output, reasoning";

    /// Reads [`Tally::COLUMNS`] that begin at this index.
    pub(super) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let number = |index: usize| row.get(first + index).map(from_stored);
        Ok(Self {
            requests: number(0)?,
            failed: number(1)?,
            tokens: number(2)?,
            debt: number(3)?,
            cost: number(4)?,
            unpriced_requests: number(5)?,
            usage: Usage {
                input: number(6)?,
                cache_read: number(7)?,
                cache_write: number(8)?,
                output: number(9)?,
                reasoning: number(10)?,
            },
        })
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, addend) in [
            (&mut self.requests, other.requests),
            (&mut self.failed, other.failed),
            (&mut self.tokens, other.tokens),
            (&mut self.debt, other.debt),
            (&mut self.cost, other.cost),
            (&mut self.unpriced_requests, other.unpriced_requests),
            (&mut self.usage.input, other.usage.input),
            (&mut self.usage.cache_read, other.usage.cache_read),
            (&mut self.usage.cache_write, other.usage.cache_write),
            (&mut self.usage.output, other.usage.output),
            (&mut self.usage.reasoning, other.usage.reasoning),
        ] {
            *sum = sum.saturating_add(addend).min(SUM_MAX);
        }
    }
}

/// The sum of one client's calls of one day to one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaySum {
    pub(super) day: u64,
    pub(super) target: Target,
    pub(super) tally: Tally,
}

/// The sums that the file does not have yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// A client has few: as many as it called targets in a second.
    by_client: HashMap<ClientId, Vec<DaySum>>,
}

impl Pending {
    /// What the file has in its calls and not in its sums.
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let sql = format!("SELECT client, day, provider, model, {} FROM settled_since", Tally::COLUMNS);
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query(())?;
        let mut pending = Self::default();
        while let Some(row) = rows.next()? {
            let Some(client) = client(row, 0)? else { continue };
            let target = Target { provider: text(row, 2)?, model: text(row, 3)? };
            pending.add(&client, row.get(1).map(from_stored)?, &target, &Tally::from_row(row, 4)?);
        }
        Ok(pending)
    }

    pub(super) fn add(&mut self, client: &ClientId, day: u64, target: &Target, tally: &Tally) {
        let sums = match self.by_client.get_mut(client) {
            Some(sums) => sums,
            None => self.by_client.entry(client.clone()).or_default(),
        };
        match sums.iter_mut().find(|sum| sum.day == day && sum.target == *target) {
            Some(sum) => sum.tally.add(tally),
            None => sums.push(DaySum { day, target: target.clone(), tally: *tally }),
        }
    }

    pub(super) fn clear(&mut self) {
        // A burst of clients must not hold its memory for ever.
        self.by_client = HashMap::new();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ClientId, &DaySum)> {
        self.by_client.iter().flat_map(|(client, sums)| sums.iter().map(move |sum| (client, sum)))
    }

    /// Adds these sums to those of the file.
    pub(super) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut daily = conn.prepare_cached(ADD_TO_DAILY)?;
        let mut accounts = conn.prepare_cached(ADD_TO_ACCOUNTS)?;
        for (client, DaySum { day, target, tally }) in self.iter() {
            daily.execute(params![
                stored(*day),
                client.as_str(),
                &*target.provider,
                &*target.model,
                stored(tally.requests),
                stored(tally.failed),
                stored(tally.tokens),
                stored(tally.debt),
                stored(tally.cost),
                stored(tally.unpriced_requests),
                stored(tally.usage.input),
                stored(tally.usage.cache_read),
                stored(tally.usage.cache_write),
                stored(tally.usage.output),
                stored(tally.usage.reasoning),
                MODELS_MAX,
                OTHER_MODELS,
            ])?;
            accounts.execute(params![
                client.as_str(),
                stored(*day),
                stored(month_of(*day)),
                stored(tally.tokens),
                stored(tally.debt),
                stored(tally.cost),
            ])?;
        }
        Ok(())
    }
}

// An integer sum that overflows is a REAL in SQLite, and the lesser of it and the largest integer is the integer.
const ADD_TO_DAILY: &str = "\
INSERT INTO daily (day, client, provider, model, requests, failed, tokens, debt, cost, unpriced_requests,
                   input, cache_read, cache_write, output, reasoning)
VALUES (?1, ?2, ?3,
        CASE WHEN EXISTS (SELECT 1 FROM daily WHERE (day, client, provider, model) = (?1, ?2, ?3, ?4))
               OR (SELECT count(*) FROM daily WHERE (day, client, provider) = (?1, ?2, ?3)) < ?16
             THEN ?4 ELSE ?17 END,
        ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT DO UPDATE SET
    requests = min(requests + ?5, 9223372036854775807),
    failed = min(failed + ?6, 9223372036854775807),
    tokens = min(tokens + ?7, 9223372036854775807),
    debt = min(debt + ?8, 9223372036854775807),
    cost = min(cost + ?9, 9223372036854775807),
    unpriced_requests = min(unpriced_requests + ?10, 9223372036854775807),
    input = min(input + ?11, 9223372036854775807),
    cache_read = min(cache_read + ?12, 9223372036854775807),
    cache_write = min(cache_write + ?13, 9223372036854775807),
    output = min(output + ?14, 9223372036854775807),
    reasoning = min(reasoning + ?15, 9223372036854775807)";

// A later day or month begins anew; what is settled into an earlier one is not added any more.
const ADD_TO_ACCOUNTS: &str = "\
INSERT INTO accounts (client, day, month, tokens, debt, cost, month_cost)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
ON CONFLICT DO UPDATE SET
    tokens = CASE WHEN ?2 > day THEN ?4 WHEN ?2 = day THEN min(tokens + ?4, 9223372036854775807) ELSE tokens END,
    debt = CASE WHEN ?2 > day THEN ?5 WHEN ?2 = day THEN min(debt + ?5, 9223372036854775807) ELSE debt END,
    cost = CASE WHEN ?2 > day THEN ?6 WHEN ?2 = day THEN min(cost + ?6, 9223372036854775807) ELSE cost END,
    month_cost = CASE WHEN ?3 > month THEN ?6
                      WHEN ?3 = month THEN min(month_cost + ?6, 9223372036854775807)
                      ELSE month_cost END,
    day = max(day, ?2),
    month = max(month, ?3)";

/// One client's latest day with entries, and that day's month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LatestDay {
    month: u64,
    sums: gateway_limits::Sums,
}

impl Default for LatestDay {
    /// Nothing was used, in the first of all days.
    fn default() -> Self {
        Self { month: month_of(0), sums: gateway_limits::Sums::default() }
    }
}

impl LatestDay {
    /// Reads `day, month, tokens, debt, cost, month_cost` from this index on.
    pub(super) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let number = |index: usize| row.get(first + index).map(from_stored);
        let sums = gateway_limits::Sums {
            day: number(0)?,
            tokens: number(2)?,
            debt: number(3)?,
            cost: number(4)?,
            month_cost: number(5)?,
        };
        Ok(Self { month: number(1)?, sums })
    }

    /// The same rule as when sums are added to `accounts`.
    pub(super) fn add(&mut self, day: u64, tally: &Tally) {
        let sums = &mut self.sums;
        if day > sums.day {
            (sums.day, sums.tokens, sums.debt, sums.cost) = (day, 0, 0, 0);
            if month_of(day) > self.month {
                (self.month, sums.month_cost) = (month_of(day), 0);
            }
        }
        if day == sums.day {
            sums.tokens = sums.tokens.saturating_add(tally.tokens).min(SUM_MAX);
            sums.debt = sums.debt.saturating_add(tally.debt).min(SUM_MAX);
            sums.cost = sums.cost.saturating_add(tally.cost).min(SUM_MAX);
        }
        if month_of(day) == self.month {
            sums.month_cost = sums.month_cost.saturating_add(tally.cost).min(SUM_MAX);
        }
    }

    pub(super) fn sums(&self) -> gateway_limits::Sums {
        self.sums
    }
}

/// Names the month of a day: months since March of the year 0. Counted from March a leap day is the last of its
/// year, and five months after it always have 153 days (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn month_of(day: u64) -> u64 {
    const DAYS_UNTIL_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let day = day.saturating_add(DAYS_UNTIL_1970);
    let (cycle, day) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    (cycle * 400 + year) * 12 + (5 * day_of_year + 2) / 153
}

/// The client in a column; `None` for one that somebody else wrote, as no client can have that id.
pub(super) fn client(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<ClientId>> {
    Ok(ClientId::parse(row.get_ref(index)?.as_str()?).ok())
}

pub(super) fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<Arc<str>> {
    Ok(row.get_ref(index)?.as_str()?.into())
}

#[cfg(test)]
mod tests;

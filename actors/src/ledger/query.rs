//! What was used, read from the file by whoever asks, beside the gateway that writes it.
//!
//! Owns     the question ([`UsageQuery`]), the answer's rows ([`UsageRow`]), and the reading.
//! Called   by the command line and the admin surface, from any process and on a blocking thread.
//! Bounded  by `READ_MAX`: while a reader reads, the write-ahead log can only grow.
//! Fails    with a [`StoreFault`]; nothing is written, and no ledger is made where there is none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};

use super::fault::StoreFault;
use super::schema::{self, Kind, MIGRATIONS};
use super::store::{AnswerOwner, from_stored, stored};
use super::sums::{Tally, client as row_client, text};
use crate::client::ClientId;

/// How long a reader may take. 90 days of 10,000 clients and 2 models, 1.8 million sums, take 1 s.
const READ_MAX: Duration = Duration::from_secs(5);

/// How long a reader waits for a writer that recovers the log, the only time when it has to.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// SQLite's instructions between two looks at the clock: about a millisecond.
const INSTRUCTIONS: i32 = 100_000;

/// What usage is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// Who called.
    Client,
    /// The model's name at its provider.
    Model,
    /// The provider's name in the configuration.
    Provider,
    /// The UTC day.
    Day,
}

/// Which usage, and how told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of this client only.
    pub client: Option<ClientId>,
    /// From this day on, in days since 1970-01-01.
    pub from: Option<u64>,
    /// Until the end of this day.
    pub to: Option<u64>,
    /// One row for each combination of these, in their order. With none there is one row of all.
    pub by: Vec<Column>,
}

/// The usage of one combination. A text or day is there if the query names its column. All sums stop at
/// `u64::MAX`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// Who called.
    pub client: Option<Arc<str>>,
    /// The model's name at its provider.
    pub model: Option<Arc<str>>,
    /// The provider's name in the configuration.
    pub provider: Option<Arc<str>>,
    /// The UTC day, in days since 1970-01-01.
    pub day: Option<u64>,
    /// Calls that have ended, and were sent to an upstream.
    pub requests: u64,
    /// Of them, those that an upstream refused or failed.
    pub failed: u64,
    /// Prompt tokens at the full price.
    pub input: u64,
    /// Prompt tokens found in the upstream's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the upstream's cache.
    pub cache_write: u64,
    /// Tokens of the visible answers.
    pub output: u64,
    /// Tokens of reasoning.
    pub reasoning: u64,
    /// All tokens that were charged. More than the parts above by the bounds of calls that a crash cut off: nobody
    /// knows of what they consist.
    pub tokens: u64,
    /// What was charged for it, in pico-USD.
    pub cost_pico: u64,
    /// Of the requests, those for which a model has no price: what they cost is not in the sum.
    pub unpriced_requests: u64,
    /// Attempts that upstreams failed and may bill, whatever became of their requests: each counts where it failed.
    pub failed_attempts: u64,
    /// Tokens that upstreams may have used for these. No client is charged for them, but for the beginning of a
    /// stream that nobody ended.
    pub failed_attempt_tokens: u64,
    /// What these may be billed, in pico-USD, as far as models have prices.
    pub failed_attempt_cost_pico: u64,
}

/// Reads usage from the ledger at `path`: each call that is settled by now is in it.
///
/// # Errors
/// When there is no ledger, it cannot be read, or reading takes more than 5 s: see [`StoreFault`].
pub fn usage(path: &Path, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreFault> {
    usage_within(path, query, READ_MAX)
}

/// Whose the answers are that upstreams keep under these ids, in their order; `None` for one that was never asked for
/// here, or more than 30 days ago. The file is opened once, however many there are.
///
/// # Errors
/// As [`usage`].
pub fn answer_owners<I: AsRef<str>>(path: &Path, ids: &[I]) -> Result<Vec<Option<AnswerOwner>>, StoreFault> {
    const OWNER: &str = "SELECT client, provider, key FROM answers WHERE id = ?1";
    let conn = open_current(path, READ_MAX)?;
    let owners = || -> rusqlite::Result<Vec<Option<AnswerOwner>>> {
        let mut statement = conn.prepare(OWNER)?;
        let owner = |row: &Row<'_>| {
            let (provider, key) = (text(row, 1)?, text(row, 2)?);
            Ok(row_client(row, 0)?.map(|client| AnswerOwner { client, provider, key }))
        };
        ids.iter().map(|id| Ok(statement.query_row([id.as_ref()], owner).optional()?.flatten())).collect()
    };
    owners().map_err(|error| fault(path, error, READ_MAX))
}

fn usage_within(path: &Path, query: &UsageQuery, limit: Duration) -> Result<Vec<UsageRow>, StoreFault> {
    let conn = open_current(path, limit)?;
    sums(&conn, query).map_err(|error| fault(path, error, limit))
}

fn fault(path: &Path, error: rusqlite::Error, limit: Duration) -> StoreFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => StoreFault::ReadTooLong { path: path.to_owned(), limit },
        _ => StoreFault::of(path, error),
    }
}

/// Opens a ledger of this version's schema.
fn open_current(path: &Path, limit: Duration) -> Result<Connection, StoreFault> {
    let conn = open(path, limit)?;
    match schema::look(&conn, path, MIGRATIONS)? {
        Kind::New => Err(StoreFault::NoLedger { path: path.to_owned() }),
        Kind::Ledger { version } if version < MIGRATIONS.len() => Err(StoreFault::OtherSchema {
            path: path.to_owned(),
            found: i64::try_from(version).unwrap_or(i64::MAX),
            known: MIGRATIONS.len(),
        }),
        Kind::Ledger { .. } => Ok(conn),
    }
}

fn open(path: &Path, limit: Duration) -> Result<Connection, StoreFault> {
    if matches!(path.try_exists(), Ok(false)) {
        return Err(StoreFault::NoLedger { path: path.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let mut conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        let begun = Instant::now();
        conn.progress_handler(INSTRUCTIONS, Some(move || begun.elapsed() > limit))?;
        Ok(conn)
    };
    open().map_err(|error| StoreFault::of(path, error))
}

/// One transaction, so it sees one moment of the ledger. The adding is done here, as SQLite's own ends in an error
/// where a sum becomes too large.
fn sums(conn: &Connection, query: &UsageQuery) -> rusqlite::Result<Vec<UsageRow>> {
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    let mut sums = BTreeMap::new();
    let of_calls = |row: &Row<'_>, sum: &mut UsageRow| Tally::from_row(row, 4).map(|tally| sum.add(&tally));
    add_up(&transaction, query, ("usage_by_day", Tally::COLUMNS), of_calls, &mut sums)?;
    let of_attempts = |row: &Row<'_>, sum: &mut UsageRow| {
        for (index, sum) in [
            (4, &mut sum.failed_attempts),
            (5, &mut sum.failed_attempt_tokens),
            (6, &mut sum.failed_attempt_cost_pico),
        ] {
            *sum = sum.saturating_add(row.get(index).map(from_stored)?);
        }
        Ok(())
    };
    add_up(&transaction, query, ("failed_daily", "attempts, tokens, cost"), of_attempts, &mut sums)?;
    let named = sums.into_iter().map(|(parts, mut row): (Vec<Part>, UsageRow)| {
        parts.into_iter().for_each(|part| part.name(&mut row));
        row
    });
    Ok(named.collect())
}

/// Adds the rows of a table, of which these columns come fifth, to the sums of a question.
fn add_up(
    conn: &Connection,
    query: &UsageQuery,
    (table, columns): (&str, &str),
    mut add: impl FnMut(&Row<'_>, &mut UsageRow) -> rusqlite::Result<()>,
    sums: &mut BTreeMap<Vec<Part>, UsageRow>,
) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT client, model, provider, day, {columns} FROM {table} \
         WHERE (?1 IS NULL OR client = ?1) AND day BETWEEN ?2 AND ?3"
    );
    let mut statement = conn.prepare(&sql)?;
    let from = stored(query.from.unwrap_or(0));
    let to = stored(query.to.unwrap_or(u64::MAX));
    let mut rows = statement.query(params![query.client.as_deref(), from, to])?;
    while let Some(row) = rows.next()? {
        let parts = query.by.iter().map(|column| Part::of(row, *column)).collect::<rusqlite::Result<_>>()?;
        add(row, sums.entry(parts).or_default())?;
    }
    Ok(())
}

/// A row's value of one column.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Client(Arc<str>),
    Model(Arc<str>),
    Provider(Arc<str>),
    Day(u64),
}

impl Part {
    fn of(row: &Row<'_>, column: Column) -> rusqlite::Result<Self> {
        match column {
            Column::Client => text(row, 0).map(Self::Client),
            Column::Model => text(row, 1).map(Self::Model),
            Column::Provider => text(row, 2).map(Self::Provider),
            Column::Day => row.get(3).map(|day| Self::Day(from_stored(day))),
        }
    }

    fn name(self, row: &mut UsageRow) {
        match self {
            Self::Client(client) => row.client = Some(client),
            Self::Model(model) => row.model = Some(model),
            Self::Provider(provider) => row.provider = Some(provider),
            Self::Day(day) => row.day = Some(day),
        }
    }
}

impl UsageRow {
    fn add(&mut self, tally: &Tally) {
        for (sum, addend) in [
            (&mut self.requests, tally.requests),
            (&mut self.failed, tally.failed),
            (&mut self.input, tally.usage.input),
            (&mut self.cache_read, tally.usage.cache_read),
            (&mut self.cache_write, tally.usage.cache_write),
            (&mut self.output, tally.usage.output),
            (&mut self.reasoning, tally.usage.reasoning),
            (&mut self.tokens, tally.tokens),
            (&mut self.cost_pico, tally.cost),
            (&mut self.unpriced_requests, tally.unpriced_requests),
        ] {
            *sum = sum.saturating_add(addend);
        }
    }
}

#[cfg(test)]
mod tests;

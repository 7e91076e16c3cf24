//! The store: one SQLite file that says what every client was admitted for and what it used.
//!
//! Owns     the file and the two beside it: the lock (one gateway per ledger) and the mark (how far it went).
//! Called   by the ledger's writer, which alone has it: [`Store::commit`] for what has happened,
//!          [`Store::maintain`] about once a second. Others read the file with [`super::usage`] or `sqlite3`.
//! Bounded  in memory by the calls in flight and the clients of a second; on the disk the calls by `keep_days`, and
//!          the sums, which stay for ever, by 200 models a day for each client and provider (`sums.rs`); the
//!          write-ahead log by 16 MiB as long as no reader stays.
//! Fails    with a [`StoreFault`]; nothing of the failed batch is in the file then, or all of it. The connection
//!          is given up. The next call opens the file anew, reads from it what is true, and goes on: the same
//!          batch again changes only what is not there yet.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use gateway_limits::{Now, Saved, resumed};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use self::place::{Opened, Place};
use super::fault::StoreFault;
use super::recovery;
use super::retention::{Retention, Step};
use super::sums::Pending;
use crate::client::ClientId;

mod attempts;
mod change;
mod head;
mod place;
mod write;

pub use change::{AnswerOwner, Change, FailedAttempt, KeptAnswer, Reservation, Settlement};
pub(super) use head::{Head, from_stored, stored, stored_mono};

/// What a commit survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, whatever way. A power failure may cost what was committed since the last
    /// checkpoint, a second or so.
    #[default]
    Process,
    /// A power failure too. Each commit waits for the disk.
    Disk,
}

impl Durability {
    /// The name in the configuration: `process` or `disk`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Disk => "disk",
        }
    }

    /// The durability of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Process, Self::Disk].into_iter().find(|durability| durability.as_str() == name)
    }
}

/// Where a ledger is and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// The file.
    pub path: PathBuf,
    /// What a commit survives.
    pub durability: Durability,
    /// Days before today whose calls stay. Sums stay for ever.
    pub keep_days: u32,
}

/// What a gateway begins with: what was found in its ledger, or, by default, nothing.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Every client's account.
    pub accounts: HashMap<ClientId, Saved>,
    /// The next admission's id.
    pub next_id: u64,
    /// Where the monotonic clock goes on.
    pub clock_base: Duration,
    /// Calls that were in flight when the last process ended, and are now booked at their bounds.
    pub settled_at_bound: usize,
    /// What whoever runs the gateway should know.
    pub warnings: Vec<String>,
}

/// What [`Store::maintain`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Calls that were removed for their age.
    pub removed: usize,
    /// Whether there is more to do soon, not in a second.
    pub is_more: bool,
}

/// What is true of the file, in memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) head: Head,
    /// Calls that are not settled, with the tokens of their bounds.
    pub(super) open: BTreeMap<u64, u64>,
    pub(super) pending: Pending,
}

/// The open ledger.
#[derive(Debug)]
pub struct Store {
    /// Before `place`, so that the file is closed while the lock is still held. Missing after a fault.
    conn: Option<Connection>,
    held: Held,
    retention: Retention,
    place: Place,
}

impl Store {
    /// Opens the ledger, or makes a new one where there was none. `unix_ms` is the wall clock.
    ///
    /// # Errors
    /// When the file cannot be used or must not be: see [`StoreFault`]. The file is left as it was.
    pub fn open(settings: StoreSettings, unix_ms: u64) -> Result<(Self, Recovered), StoreFault> {
        let (mut place, Opened { conn, mut held, warnings }) = Place::take(settings)?;
        let recovered = recover(&conn, &mut held, unix_ms, warnings).map_err(|error| place.fault(error))?;
        place.mark.set(held.head.seq);
        let mut store = Self { conn: Some(conn), held, retention: Retention::default(), place };
        store.checkpoint()?;
        Ok((store, recovered))
    }

    /// Commits a batch as one transaction.
    ///
    /// # Errors
    /// When it is not known to be committed: try the same batch again, before any later one.
    pub fn commit(&mut self, batch: &[Change]) -> Result<(), StoreFault> {
        self.work(|conn, held| write::commit(conn, held, batch))?;
        self.place.mark.set(self.held.head.seq);
        Ok(())
    }

    /// Opens the file anew, as after a failed commit.
    ///
    /// # Errors
    /// When that is not possible yet.
    pub fn reopen(&mut self) -> Result<(), StoreFault> {
        self.forsake();
        self.work(|_, _| Ok(()))
    }

    /// Does one small step of the store's own work: adds up the daily sums, removes up to 500 old calls, and
    /// brings the write-ahead log into the file. `unix_ms` is the wall clock.
    ///
    /// # Errors
    /// When the file or its mark cannot be written, or the file was removed.
    pub fn maintain(&mut self, unix_ms: u64) -> Result<Maintained, StoreFault> {
        if !self.place.is_as_it_was() {
            self.forsake();
        }
        self.work(roll_up)?;
        let Step { removed, is_more } = self.remove_old(unix_ms)?;
        if !is_more {
            self.checkpoint()?;
        }
        self.place.mark.write()?;
        Ok(Maintained { removed, is_more })
    }

    fn remove_old(&mut self, unix_ms: u64) -> Result<Step, StoreFault> {
        let keep_days = self.place.settings.keep_days;
        // Taken out for the step, which has the rest of the store; a step that fails begins the walk again.
        let mut retention = std::mem::take(&mut self.retention);
        let step = self.work(|conn, held| retention.step(conn, &held.head, unix_ms, keep_days))?;
        self.retention = retention;
        Ok(step)
    }

    /// Brings what is committed from the write-ahead log into the file and onto the disk, as far as readers let
    /// us.
    fn checkpoint(&mut self) -> Result<(), StoreFault> {
        if self.place.mark.is_safe() {
            return Ok(());
        }
        let is_whole = self.work(|conn, _| checkpoint(conn))?;
        if is_whole { self.place.mark.set_safe() } else { Ok(()) }
    }

    /// Works on the open file. After a fault nothing in memory is relied upon: what is true is in the file.
    fn work<T>(
        &mut self,
        step: impl FnOnce(&Connection, &mut Held) -> rusqlite::Result<T>,
    ) -> Result<T, StoreFault> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            gone => {
                let Opened { conn, held, .. } = self.place.connect()?;
                self.held = held;
                gone.insert(conn)
            }
        };
        step(conn, &mut self.held).map_err(|error| {
            self.forsake();
            self.place.fault(error)
        })
    }

    /// Gives up the connection, and with it a transaction that may be open.
    fn forsake(&mut self) {
        self.conn = None;
    }
}

impl Drop for Store {
    /// Leaves a file that needs no recovery. What cannot be done now is done at the next start.
    fn drop(&mut self) {
        if self.conn.is_some() {
            let _ = self.work(roll_up).and_then(|()| self.checkpoint());
        }
    }
}

fn recover(
    conn: &Connection,
    held: &mut Held,
    unix_ms: u64,
    warnings: Vec<String>,
) -> rusqlite::Result<Recovered> {
    // Before the first change there is no clock to go on from.
    let clock_base = if held.head.seq == 0 { Duration::ZERO } else { resumed(held.head.latest, unix_ms) };
    let now = Now { mono: clock_base, unix_ms };
    let settled_at_bound = recovery::settle_open(conn, held, now)?;
    Ok(Recovered {
        accounts: recovery::accounts(conn, held, now)?,
        next_id: held.head.last_id.saturating_add(1),
        clock_base,
        settled_at_bound,
        warnings,
    })
}

/// Adds the sums in memory to those in the file.
fn roll_up(conn: &Connection, held: &mut Held) -> rusqlite::Result<()> {
    if held.head.rolled_up_seq == held.head.seq {
        return Ok(());
    }
    let mut head = held.head;
    head.rolled_up_seq = head.seq;
    head.rolled_up_from = held.open.first_key_value().map_or(head.last_id.saturating_add(1), |(id, _)| *id);
    let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    held.pending.write(&transaction)?;
    head.write(&transaction)?;
    transaction.commit()?;
    held.head = head;
    held.pending.clear();
    Ok(())
}

/// Says whether all that is committed is in the file now.
fn checkpoint(conn: &Connection) -> rusqlite::Result<bool> {
    match conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
        Ok((pages, moved)) => Ok(pages == moved),
        // Another program makes one.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;

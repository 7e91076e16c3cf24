//! Where the ledger stands: the one row of `state`, as it is in memory.
//!
//! Owns     the numbers that go up with each commit, and how the ledger's numbers are kept in SQLite's.
//! Called   by whatever writes to the file; a step changes a copy, which takes the old one's place when its
//!          transaction is committed.
//! Bounded  by SQLite's integers, which have a sign: a larger number counts as `i64::MAX`. That is 9.2 million
//!          USD for one call or one row of sums, and 292 years for the monotonic clock.
//! Fails    never.

use std::time::Duration;

use gateway_limits::{AdmissionId, Now};
use rusqlite::{Connection, params};

/// The row of `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Head {
    /// Changes committed ever; the last one's number.
    pub(in super::super) seq: u64,
    /// The highest id ever.
    pub(in super::super) last_id: u64,
    /// The latest moment of any change.
    pub(in super::super) latest: Now,
    /// The sums in the file have the settlements up to this one.
    pub(in super::super) rolled_up_seq: u64,
    /// Calls that the sums in the file do not have, settled or not, have at least this id.
    pub(in super::super) rolled_up_from: u64,
}

impl Head {
    pub(in super::super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        const READ: &str =
            "SELECT seq, last_id, latest_ms, latest_mono, rolled_up_seq, rolled_up_from FROM state";
        conn.query_row(READ, (), |row| {
            let number = |index| row.get(index).map(from_stored);
            Ok(Self {
                seq: number(0)?,
                last_id: number(1)?,
                latest: Now { unix_ms: number(2)?, mono: Duration::from_nanos(number(3)?) },
                rolled_up_seq: number(4)?,
                rolled_up_from: number(5)?,
            })
        })
    }

    pub(in super::super) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        const WRITE: &str = "UPDATE state SET seq = ?1, last_id = ?2, latest_ms = ?3, latest_mono = ?4, \
                             rolled_up_seq = ?5, rolled_up_from = ?6";
        conn.prepare_cached(WRITE)?.execute(params![
            stored(self.seq),
            stored(self.last_id),
            stored(self.latest.unix_ms),
            stored_mono(self.latest.mono),
            stored(self.rolled_up_seq),
            stored(self.rolled_up_from),
        ])?;
        Ok(())
    }

    /// A call was admitted. Ids come nearly in order: two limiters may tell of theirs the other way round.
    pub(in super::super) fn reserved(&mut self, id: AdmissionId, at: Now) {
        self.last_id = self.last_id.max(id.0);
        self.rolled_up_from = self.rolled_up_from.min(id.0);
        self.advance(at);
    }

    /// One more change, made at this moment; gives its number.
    pub(in super::super) fn advance(&mut self, at: Now) -> u64 {
        if at.mono >= self.latest.mono {
            self.latest = at;
        }
        self.seq = self.seq.saturating_add(1);
        self.seq
    }
}

/// A number as SQLite keeps it.
pub(in super::super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A moment of the monotonic clock as SQLite keeps it, in nanoseconds.
pub(in super::super) fn stored_mono(mono: Duration) -> i64 {
    i64::try_from(mono.as_nanos()).unwrap_or(i64::MAX)
}

/// A number that [`stored`] made.
pub(in super::super) fn from_stored(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

//! Changes and folders that the tests of the store share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_limits::{AdmissionId, Ask, Grade, Now, Outcome, Price, Usage};
use rusqlite::Connection;

use super::{Change, Durability, Recovered, Reservation, Settlement, Store, StoreSettings};
use crate::booking::{Booking, Ending};
use crate::client::ClientId;
use crate::job::{Memo, Target};

/// 2026-01-01T00:00:00Z, the day number [`DAY`].
pub(in crate::ledger) const START_MS: u64 = 1_767_225_600_000;
pub(in crate::ledger) const DAY_MS: u64 = 86_400_000;
pub(in crate::ledger) const DAY: u64 = START_MS / DAY_MS;

/// So many milliseconds after the beginning, on both clocks.
pub(in crate::ledger) fn at(ms: u64) -> Now {
    Now { mono: Duration::from_millis(ms), unix_ms: START_MS + ms }
}

pub(in crate::ledger) fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

pub(in crate::ledger) fn target(model: &str) -> Target {
    Target { provider: "openai".into(), model: model.into() }
}

/// 10 pico-USD a token.
pub(in crate::ledger) const PRICE: Price = Price { input: 10, output: 10, ..Price::FREE };

/// A call of at most 100 tokens and 1,000 pico-USD.
pub(in crate::ledger) fn reserved(id: u64, name: &str, ms: u64) -> Reservation {
    Reservation {
        id: AdmissionId(id),
        client: client(name),
        at: at(ms),
        day: at(ms).unix_ms / DAY_MS,
        ask: Ask { tokens: 100, cost: 1_000 },
        memo: Memo { request_id: format!("req_{id}").into(), endpoint: "chat/completions" },
        cost_known: true,
        target: target("nano"),
    }
}

/// The end of this call, which used so many tokens at 10 pico-USD each.
pub(in crate::ledger) fn settled(reservation: &Reservation, ms: u64, tokens: u64) -> Settlement {
    let usage = Usage { input: tokens - tokens / 4, output: tokens / 4, ..Usage::default() };
    Settlement {
        id: reservation.id,
        client: reservation.client.clone(),
        at: at(ms),
        day: reservation.day,
        booking: Booking { ending: Ending::Answered, usage, grade: Grade::Reported, attempts: 1 },
        outcome: Outcome::Spent { tokens, cost: tokens * 10 },
        cost_known: true,
        target: reservation.target.clone(),
        key: Some("default".into()),
    }
}

/// The end of this call without a usage.
pub(in crate::ledger) fn ended(reservation: &Reservation, ms: u64, ending: Ending) -> Settlement {
    let booking = Booking::without_usage(ending, 1);
    Settlement { outcome: booking.outcome(None), booking, ..settled(reservation, ms, 0) }
}

impl From<Reservation> for Change {
    fn from(reservation: Reservation) -> Self {
        Self::Reserved(reservation)
    }
}

impl From<Settlement> for Change {
    fn from(settlement: Settlement) -> Self {
        Self::Settled(settlement)
    }
}

/// A folder for one ledger, and for copies of it.
pub(in crate::ledger) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(in crate::ledger) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(in crate::ledger) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// A file beside the ledger.
    pub(in crate::ledger) fn beside(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("ledger.db{suffix}"))
    }

    pub(in crate::ledger) fn settings(&self) -> StoreSettings {
        StoreSettings { path: self.path(), durability: Durability::Process, keep_days: 90 }
    }

    /// Opens the ledger so many milliseconds after the beginning.
    pub(in crate::ledger) fn open(&self, ms: u64) -> (Store, Recovered) {
        Store::open(self.settings(), START_MS + ms).unwrap()
    }

    /// What a process that is killed now would leave: the files as they are, whoever has them open.
    pub(in crate::ledger) fn as_after_a_kill(&self) -> Self {
        let copy = Self::new();
        for suffix in ["", "-wal", ".mark", ".lock"] {
            if self.beside(suffix).exists() {
                std::fs::copy(self.beside(suffix), copy.beside(suffix)).unwrap();
            }
        }
        copy
    }

    /// Reads with a connection of its own.
    pub(in crate::ledger) fn sqlite(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

/// One number that a query gives.
pub(in crate::ledger) fn number(conn: &Connection, sql: &str) -> i64 {
    conn.query_row(sql, (), |row| row.get(0)).unwrap()
}

/// All files of a folder with what is in them, to see that nothing was touched.
pub(in crate::ledger) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

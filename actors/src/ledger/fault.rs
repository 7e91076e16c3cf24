//! Why the ledger's file cannot be used, in words for whoever runs the gateway.
//!
//! Owns     [`StoreFault`] and the one mapping from SQLite's result codes.
//! Called   by every file of the store; shown by the log, the tree and the command line.
//! Fails    never.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

/// Why a ledger cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The file system or a quota is used up.
    #[error("no space left for {}: free some; the gateway goes on by itself", path.display())]
    Full {
        /// The ledger.
        path: PathBuf,
    },
    /// The file, its folder or its file system does not let us write.
    #[error(
        "{path} cannot be written: give the gateway's user the right to write the file and its folder, and \
         {path}-wal and {path}-shm where they are there; it goes on by itself",
        path = path.display()
    )]
    ReadOnly {
        /// The ledger.
        path: PathBuf,
    },
    /// SQLite could not open the file, or one of the two that it keeps beside it.
    #[error(
        "{path} cannot be opened: see that its folder exists and that the gateway's user may use it, and \
         {path}-wal and {path}-shm where they are there",
        path = path.display()
    )]
    CannotOpen {
        /// The ledger.
        path: PathBuf,
    },
    /// Another program holds a lock on the file.
    #[error("{} is locked by another program: end what writes to it; the gateway goes on by itself", path.display())]
    Busy {
        /// The ledger.
        path: PathBuf,
    },
    /// The disk does not do what it should. A quota that is used up also shows like this.
    #[error(
        "the disk below {} does not read or write (SQLite's code {code}): look at it, its mount and its quota; \
         the gateway goes on by itself",
        path.display()
    )]
    Disk {
        /// The ledger.
        path: PathBuf,
        /// SQLite's extended result code.
        code: i32,
    },
    /// What was read contradicts itself.
    #[error("{} is damaged: {}", path.display(), StartAnew(path))]
    Damaged {
        /// The ledger.
        path: PathBuf,
    },
    /// The file is something else altogether.
    #[error("{} is no SQLite database: {}", path.display(), StartAnew(path))]
    NotADatabase {
        /// The ledger.
        path: PathBuf,
    },
    /// A database, but somebody else's.
    #[error(
        "{} is a database of another program (application id {application_id}): name another file as [ledger] \
         path in gateway.toml",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// Who made it, as its header says.
        application_id: i32,
    },
    /// Written by a version of the gateway with another schema.
    #[error(
        "{} has schema {found}, this version of the gateway knows schema {known}: use the version that wrote it, \
         or a later one",
        path.display()
    )]
    OtherSchema {
        /// The ledger.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: usize,
    },
    /// There is no ledger to read.
    #[error("there is no ledger at {}: start the gateway once, or name its folder with --data", path.display())]
    NoLedger {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The ledger has gone while its mark is still there.
    #[error(
        "{path} is missing or empty, but it was there before: put it back or restore a backup; to start with \
         empty accounts, move {mark} and {path}-wal aside, which gives every client its quota of today and its \
         budget of this month again",
        path = path.display(),
        mark = mark.display()
    )]
    Missing {
        /// The ledger.
        path: PathBuf,
        /// What tells that it was there.
        mark: PathBuf,
    },
    /// Changes that were committed are not there.
    #[error(
        "{path} ends with change {found}, but change {committed} was committed: it is an old copy, or {path}-wal \
         is damaged or missing; restore the newest copy of both; to go on without what is lost, move {mark} \
         aside, which gives clients back what the lost calls used",
        path = path.display(),
        mark = mark.display()
    )]
    Behind {
        /// The ledger.
        path: PathBuf,
        /// What tells how far it went.
        mark: PathBuf,
        /// The last change that is there.
        found: u64,
        /// The last change that should be.
        committed: u64,
    },
    /// The file system cannot do what SQLite's write-ahead log needs.
    #[error(
        "{} is on a file system without shared memory or locks, as network drives are: name a file on a local \
         disk as [ledger] path in gateway.toml",
        path.display()
    )]
    NoWriteAheadLog {
        /// The ledger.
        path: PathBuf,
    },
    /// Another gateway has the ledger.
    #[error(
        "{} is in use by another gateway{}: a ledger has one; stop that one, or give this one its own folder \
         with --data",
        path.display(),
        Holder(*holder)
    )]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The process, where it can be known.
        holder: Option<u32>,
    },
    /// A file beside the ledger cannot be used.
    #[error("{} cannot be used: {source}; the gateway's user must be able to write it", path.display())]
    Beside {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A reader took longer than it may: while it reads, the write-ahead log can only grow.
    #[error("reading {} took more than {}s: ask for fewer days with --from and --to", path.display(), limit.as_secs())]
    ReadTooLong {
        /// The ledger.
        path: PathBuf,
        /// How long it may take.
        limit: Duration,
    },
    /// Anything that SQLite refuses beside this: memory that ran out, a table that somebody changed by hand.
    #[error("SQLite cannot go on with {}: {source}", path.display())]
    Refused {
        /// The ledger.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

impl StoreFault {
    /// What a result code of SQLite means for the ledger at `path`.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let rusqlite::Error::SqliteFailure(error, _) = &source else {
            return Self::Refused { path, source };
        };
        match error.code {
            ErrorCode::DiskFull => Self::Full { path },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly { path },
            ErrorCode::CannotOpen => Self::CannotOpen { path },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                Self::Busy { path }
            }
            ErrorCode::SystemIoFailure => Self::Disk { path, code: error.extended_code },
            ErrorCode::DatabaseCorrupt => Self::Damaged { path },
            ErrorCode::NotADatabase => Self::NotADatabase { path },
            _ => Self::Refused { path, source },
        }
    }
}

/// What to do about a ledger that cannot be trusted.
struct StartAnew<'a>(&'a Path);

impl std::fmt::Display for StartAnew<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.0.display();
        write!(
            f,
            "restore a backup; to start with empty accounts, move {path}, {path}-wal, {path}-shm and {path}.mark \
             aside, which gives every client its quota of today and its budget of this month again"
        )
    }
}

struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}

#[cfg(test)]
mod tests;

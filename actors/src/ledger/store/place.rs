//! Where a ledger is kept, and the way to an open connection.
//!
//! Owns     the lock and the mark beside the file, and SQLite's settings.
//! Called   by `Store`: at the start, and again after each fault.
//! Bounded  by [`BUSY_TIMEOUT`] where another program has the file.
//! Fails    with the file left as it was: until all checks have passed nothing is written, also not when the
//!          connection is closed, as a checkpoint then would destroy what can be saved of a damaged log.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{Durability, Head, Held, StoreSettings};
use crate::ledger::fault::StoreFault;
use crate::ledger::lock::Lock;
use crate::ledger::mark::Mark;
use crate::ledger::private;
use crate::ledger::recovery;
use crate::ledger::schema::{self, Kind, MIGRATIONS};

/// How long a write waits for another program, as `sqlite3` on the same file, before it is a fault.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Pages of 4 KiB in the write-ahead log after which a commit makes a checkpoint: 16 MiB. `maintain` makes one
/// each second, which at full load comes first, so commits seldom do.
const WAL_PAGES: u32 = 4_000;

/// What a write-ahead log that has become larger, for a reader's sake, is cut to.
const WAL_BYTES: u32 = 64 << 20;

/// SQLite's page cache in KiB, as a negative number of pages: the sums of 10,000 clients' day and the pages of
/// the running calls are in it.
const CACHE_KIB: i32 = -(16 << 10);

/// Where a ledger is kept: its file and the two beside it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) settings: StoreSettings,
    pub(super) mark: Mark,
    /// Which file the path named when it was opened last.
    file: FileId,
    _lock: Lock,
}

/// An open ledger.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) held: Held,
    pub(super) warnings: Vec<String>,
}

impl Place {
    /// Takes the ledger of these settings for this process; a new one is made where there was none.
    pub(super) fn take(settings: StoreSettings) -> Result<(Self, Opened), StoreFault> {
        let path = &settings.path;
        if let Some(folder) = path.parent() {
            let unusable = |source| StoreFault::Beside { path: folder.to_owned(), source };
            private::make_folder(folder).map_err(unusable)?;
        }
        let lock = Lock::take(&beside(path, ".lock"), path)?;
        let mark = Mark::open(&beside(path, ".mark"), settings.durability)?;
        let is_new = is_absent(path) && is_absent(&beside(path, "-wal")) && !mark.expects_a_ledger();
        let mut place = Self { file: FileId::Absent, settings, mark, _lock: lock };
        let opened = place.open(is_new)?;
        Ok((place, opened))
    }

    /// Opens the ledger that was taken, again.
    pub(super) fn connect(&mut self) -> Result<Opened, StoreFault> {
        self.open(false)
    }

    /// Whether the path still names the file that is open. Who removes or replaces an open file sees no error,
    /// and what is written to it goes with the process.
    pub(super) fn is_as_it_was(&self) -> bool {
        FileId::of(&self.settings.path) == self.file
    }

    fn open(&mut self, is_new: bool) -> Result<Opened, StoreFault> {
        let path = &self.settings.path;
        if !is_new && is_absent(path) {
            return Err(StoreFault::Missing { path: path.clone(), mark: beside(path, ".mark") });
        }
        if is_new {
            // SQLite would let all of the machine read it; what it puts beside the file has the file's rights.
            let made = private::new_file().write(true).create(true).truncate(false).open(path);
            made.map_err(|source| StoreFault::Beside { path: path.clone(), source })?;
        }
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, is_new);
        let conn = Connection::open_with_flags(path, flags).map_err(|error| self.fault(error))?;
        let close_untouched = |yes| {
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes)
                .map(drop)
                .map_err(|error| self.fault(error))
        };
        close_untouched(true)?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(|error| self.fault(error))?;
        let kind = schema::look(&conn, path, MIGRATIONS)?;
        let seq = match kind {
            Kind::New => 0,
            Kind::Ledger { .. } => Head::read(&conn).map_err(|error| self.fault(error))?.seq,
        };
        let mut warnings: Vec<String> = self.mark.check(path, seq)?.into_iter().collect();
        if kind == Kind::New {
            warnings.push(format!(
                "there was no ledger at {}: made a new one, in which no client has used anything",
                path.display()
            ));
        }
        self.configure(&conn)?;
        schema::migrate(&conn, kind, MIGRATIONS).map_err(|error| self.fault(error))?;
        let held = recovery::held(&conn).map_err(|error| self.fault(error))?;
        close_untouched(false)?;
        self.file = FileId::of(path);
        Ok(Opened { conn, held, warnings })
    }

    fn configure(&self, conn: &Connection) -> Result<(), StoreFault> {
        let mode: String = conn
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(|error| self.fault(error))?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(StoreFault::NoWriteAheadLog { path: self.settings.path.clone() });
        }
        let synchronous = match self.settings.durability {
            Durability::Process => "NORMAL",
            Durability::Disk => "FULL",
        };
        conn.pragma_update(None, "synchronous", synchronous)
            .and_then(|()| conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES))
            .and_then(|()| conn.pragma_update(None, "journal_size_limit", WAL_BYTES))
            .and_then(|()| conn.pragma_update(None, "cache_size", CACHE_KIB))
            .map_err(|error| self.fault(error))
    }

    pub(super) fn fault(&self, error: rusqlite::Error) -> StoreFault {
        StoreFault::of(&self.settings.path, error)
    }
}

/// Which file a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileId {
    Absent,
    #[cfg(unix)]
    Inode {
        device: u64,
        inode: u64,
    },
    /// Some file: this system does not say which.
    #[cfg(not(unix))]
    Present,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path)
            .map_or(Self::Absent, |file| Self::Inode { device: file.dev(), inode: file.ino() })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> Self {
        std::fs::metadata(path).map_or(Self::Absent, |_| Self::Present)
    }
}

/// The file whose name is the ledger's and then this.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether there is nothing at the path: no file, or an empty one, which SQLite takes for a new database.
fn is_absent(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() == 0) || matches!(path.try_exists(), Ok(false))
}

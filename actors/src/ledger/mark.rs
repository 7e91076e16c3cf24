//! How far the ledger went, kept outside of it.
//!
//! SQLite checks each frame of its write-ahead log when it opens a database, and drops everything behind the first
//! bad one without a word; and a database that is missing is made anew. Either would give clients back what they
//! have used. So after each commit its last change's number is written to `ledger.db.mark`, one line of text in
//! place, and a ledger that ends before its mark is not used.
//!
//! Owns     that file and the verdict.
//! Called   by `Store`: [`Mark::open`] and [`Mark::check`] when the ledger opens, [`Mark::set`] after commits.
//! Fails    open: a mark that cannot be read is a warning when the ledger is there. A mark that cannot be written
//!          is tried again, and then reported by `Store::maintain`.
//!
//! With [`Durability::Process`] a power failure may lose the commits since the last checkpoint, which the mark may
//! have survived. So it also tells the machine's boot, and up to which change a checkpoint has everything on the
//! disk: within these limits a loss is what that setting allows, and a warning.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::fault::StoreFault;
use super::private;
use super::store::Durability;

/// Where Linux tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A boot that cannot be told from another: then no loss is excused.
const UNKNOWN_BOOT: &str = "unknown";

/// No mark is longer: two numbers and two words of at most 36 letters.
const MARK_BYTES_MAX: u64 = 256;

/// The mark of an open ledger.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    file: File,
    boot: String,
    durability: Durability,
    /// What was found when it was opened.
    found: Found,
    /// The last change that is committed.
    seq: u64,
    /// The last change that a checkpoint has put on the disk.
    safe_seq: u64,
    /// Whether the file says so.
    is_written: bool,
}

/// What a mark's file said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    Unreadable,
    Line { seq: u64, safe_seq: u64, durability: Durability, boot: String },
}

impl Mark {
    /// Opens or makes the mark at `path`.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, StoreFault> {
        let boot = std::fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned());
        Self::open_at_boot(path, durability, boot.unwrap_or_else(|_| UNKNOWN_BOOT.to_owned()))
    }

    fn open_at_boot(path: &Path, durability: Durability, boot: String) -> Result<Self, StoreFault> {
        let unusable = |source| StoreFault::Beside { path: path.to_owned(), source };
        let mut file = private::new_file()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unusable)?;
        let mut line = Vec::new();
        Read::by_ref(&mut file).take(MARK_BYTES_MAX).read_to_end(&mut line).map_err(unusable)?;
        let found = Found::parse(&line);
        Ok(Self {
            path: path.to_owned(),
            file,
            boot,
            durability,
            found,
            seq: 0,
            safe_seq: 0,
            is_written: false,
        })
    }

    /// Whether the mark tells of a ledger that has entries, or may have.
    pub(super) fn expects_a_ledger(&self) -> bool {
        match self.found {
            Found::Nothing => false,
            Found::Unreadable => true,
            Found::Line { seq, .. } => seq > 0,
        }
    }

    /// What to say of a ledger that is there and ends with change `seq`: nothing, or a warning.
    ///
    /// # Errors
    /// [`StoreFault::Behind`] when changes are missing that cannot be missing by any power failure.
    pub(super) fn check(&self, ledger: &Path, seq: u64) -> Result<Option<String>, StoreFault> {
        let path = self.path.display();
        let behind = |committed| StoreFault::Behind {
            path: ledger.to_owned(),
            mark: self.path.clone(),
            found: seq,
            committed,
        };
        if seq < self.seq {
            return Err(behind(self.seq));
        }
        match &self.found {
            Found::Nothing if seq == 0 => Ok(None),
            Found::Nothing => Ok(Some(format!(
                "{path} was not there, so lost changes of the ledger would not have been noticed this time"
            ))),
            Found::Unreadable => Ok(Some(format!(
                "{path} could not be read, so lost changes of the ledger would not have been noticed this time"
            ))),
            Found::Line { seq: committed, .. } if seq >= *committed => Ok(None),
            Found::Line { seq: committed, safe_seq, durability: Durability::Process, boot }
                if seq >= *safe_seq && self.is_other_boot(boot) =>
            {
                Ok(Some(format!(
                    "the machine went down without warning and the ledger lost its last {} changes: clients \
                     have back what they used in them; durability = \"disk\" prevents this",
                    committed - seq
                )))
            }
            Found::Line { seq: committed, .. } => Err(behind(*committed)),
        }
    }

    fn is_other_boot(&self, boot: &str) -> bool {
        boot != self.boot && boot != UNKNOWN_BOOT && self.boot != UNKNOWN_BOOT
    }

    /// Change `seq` is committed. That the mark cannot be written now is no fault of the commit.
    pub(super) fn set(&mut self, seq: u64) {
        self.is_written &= seq == self.seq;
        self.seq = seq;
        let _ = self.write();
    }

    /// All that is committed is on the disk too.
    pub(super) fn set_safe(&mut self) -> Result<(), StoreFault> {
        self.is_written &= self.is_safe();
        self.safe_seq = self.seq;
        self.write()
    }

    /// Whether all that is committed is on the disk.
    pub(super) fn is_safe(&self) -> bool {
        self.safe_seq == self.seq
    }

    /// Writes the mark unless its file has it.
    ///
    /// # Errors
    /// [`StoreFault::Beside`] when the system does not let us.
    pub(super) fn write(&mut self) -> Result<(), StoreFault> {
        if self.is_written {
            return Ok(());
        }
        self.overwrite().map_err(|source| StoreFault::Beside { path: self.path.clone(), source })?;
        self.is_written = true;
        Ok(())
    }

    fn overwrite(&mut self) -> io::Result<()> {
        // Numbers have their full width, so that a line always covers the one before.
        let line = format!(
            "change {:020} safe {:020} durability {:7} boot {}\n",
            self.seq,
            self.safe_seq,
            self.durability.as_str(),
            self.boot
        );
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(line.as_bytes())
    }
}

impl Found {
    fn parse(line: &[u8]) -> Self {
        if line.is_empty() {
            return Self::Nothing;
        }
        Self::parse_line(line).unwrap_or(Self::Unreadable)
    }

    fn parse_line(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let words: Vec<&str> = line.lines().next()?.split_whitespace().collect();
        let ["change", seq, "safe", safe_seq, "durability", durability, "boot", boot] = words[..] else {
            return None;
        };
        Some(Self::Line {
            seq: seq.parse().ok()?,
            safe_seq: safe_seq.parse().ok()?,
            durability: Durability::parse(durability)?,
            boot: boot.to_owned(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;

//! One gateway per ledger.
//!
//! Owns     the lock on `ledger.db.lock`, for as long as the process lives: the system lets go of it whatever way
//!          that ends. The file stays, and holds the process's number for whoever looks.
//! Called   by `Store::open`, before it looks at anything else.
//! Fails    with [`StoreFault::InUse`] when another process has it. `sqlite3` and readers of usage do not ask
//!          for it.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::fault::StoreFault;
use super::private;

/// The right to write one ledger.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path` of the ledger at `ledger`; does not wait.
    pub(super) fn take(path: &Path, ledger: &Path) -> Result<Self, StoreFault> {
        let unusable = |source| StoreFault::Beside { path: path.to_owned(), source };
        let mut file = private::new_file()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreFault::InUse { path: ledger.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // For people only, so a full disk does not matter here.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Who has the lock, where the system lets us read a locked file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

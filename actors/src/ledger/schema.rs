//! The ledger's tables, and how an older file becomes one of today.
//!
//! Owns     the numbered list of migrations; the file's `user_version` says how many of them it has had.
//! Called   by `Store::open`, by each reopening, and by readers, which only look.
//! Bounded  by one transaction per migration: a process that dies in one leaves the file as it was before.
//! Fails    with a fault that says what the file is instead; a file that is not ours is not written to.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::StoreFault;

/// `DSPL` in ASCII: what `file ledger.db` and we know a ledger by.
pub(super) const APPLICATION_ID: i32 = 0x4453_504C;

/// Each takes the file from the version of its index to the next. One that has been released is never changed.
/// The columns of `state` that `Head` reads are in all versions.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema/version_1.sql"),
    include_str!("schema/version_2.sql"),
    include_str!("schema/version_3.sql"),
];

/// What a file is before anything is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is in it.
    New,
    /// A ledger that has had so many migrations.
    Ledger { version: usize },
}

/// Looks at a file with these migrations.
///
/// # Errors
/// When it is a database of another program, or of a later version of this one.
pub(super) fn look(conn: &Connection, path: &Path, migrations: &[&str]) -> Result<Kind, StoreFault> {
    let number = |sql| conn.query_row(sql, (), |row| row.get::<_, i64>(0));
    let fault = |error| StoreFault::of(path, error);
    let application_id =
        conn.query_row("PRAGMA application_id", (), |row| row.get::<_, i32>(0)).map_err(fault)?;
    let version = number("PRAGMA user_version").map_err(fault)?;
    if application_id != APPLICATION_ID {
        let tables = number("SELECT count(*) FROM sqlite_schema").map_err(fault)?;
        return if (application_id, version, tables) == (0, 0, 0) {
            Ok(Kind::New)
        } else {
            Err(StoreFault::NotALedger { path: path.to_owned(), application_id })
        };
    }
    match usize::try_from(version) {
        Ok(version) if (1..=migrations.len()).contains(&version) => Ok(Kind::Ledger { version }),
        _ => Err(StoreFault::OtherSchema { path: path.to_owned(), found: version, known: migrations.len() }),
    }
}

/// Brings a file of this kind up to date.
pub(super) fn migrate(conn: &Connection, kind: Kind, migrations: &[&str]) -> rusqlite::Result<()> {
    let done = match kind {
        Kind::New => 0,
        Kind::Ledger { version } => version,
    };
    for (index, sql) in migrations.iter().enumerate().skip(done) {
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

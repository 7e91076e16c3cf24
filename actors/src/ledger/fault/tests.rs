//! What SQLite's codes are called, and that each message can be acted upon.

use rusqlite::ffi;

use super::*;

fn fault(code: i32) -> StoreFault {
    let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("what SQLite says".to_owned()));
    StoreFault::of(Path::new("/data/ledger.db"), error)
}

#[test]
fn each_trouble_of_a_disk_has_its_name() {
    assert!(matches!(fault(ffi::SQLITE_FULL), StoreFault::Full { .. }));
    assert!(matches!(fault(ffi::SQLITE_READONLY), StoreFault::ReadOnly { .. }));
    assert!(matches!(fault(ffi::SQLITE_READONLY_DBMOVED), StoreFault::ReadOnly { .. }));
    assert!(matches!(fault(ffi::SQLITE_PERM), StoreFault::ReadOnly { .. }));
    assert!(matches!(fault(ffi::SQLITE_CANTOPEN), StoreFault::CannotOpen { .. }));
    assert!(matches!(fault(ffi::SQLITE_BUSY), StoreFault::Busy { .. }));
    assert!(matches!(fault(ffi::SQLITE_LOCKED), StoreFault::Busy { .. }));
    assert!(matches!(fault(ffi::SQLITE_IOERR_WRITE), StoreFault::Disk { code: ffi::SQLITE_IOERR_WRITE, .. }));
    assert!(matches!(fault(ffi::SQLITE_CORRUPT), StoreFault::Damaged { .. }));
    assert!(matches!(fault(ffi::SQLITE_NOTADB), StoreFault::NotADatabase { .. }));
    assert!(matches!(fault(ffi::SQLITE_NOMEM), StoreFault::Refused { .. }));
}

#[test]
fn a_message_says_what_where_and_what_to_do() {
    assert_eq!(
        fault(ffi::SQLITE_FULL).to_string(),
        "no space left for /data/ledger.db: free some; the gateway goes on by itself"
    );
    assert_eq!(
        fault(ffi::SQLITE_CORRUPT).to_string(),
        "/data/ledger.db is damaged: restore a backup; to start with empty accounts, move /data/ledger.db, \
         /data/ledger.db-wal, /data/ledger.db-shm and /data/ledger.db.mark aside, which gives every client its \
         quota of today and its budget of this month again"
    );
    let in_use = |holder| StoreFault::InUse { path: "/data/ledger.db".into(), holder }.to_string();
    assert!(in_use(Some(71)).starts_with("/data/ledger.db is in use by another gateway (process 71): "));
    assert!(in_use(None).starts_with("/data/ledger.db is in use by another gateway: "));
}

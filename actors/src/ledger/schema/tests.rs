//! What a file may be, and how it becomes a ledger of today.

use super::*;
use crate::ledger::store::sample::{Folder, START_MS, number, reserved};
use crate::ledger::store::{Change, Store};

fn later() -> Vec<&'static str> {
    let mut migrations = MIGRATIONS.to_vec();
    migrations.push("ALTER TABLE calls ADD COLUMN region TEXT NOT NULL DEFAULT 'unknown'");
    migrations.push("CREATE INDEX calls_by_region ON calls (region)");
    migrations
}

/// A ledger with one call.
fn ledger() -> Folder {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[Change::Reserved(reserved(1, "ada", 0))]).unwrap();
    folder
}

#[test]
fn an_older_ledger_is_brought_up_to_date_with_its_calls_kept() {
    let folder = ledger();
    let conn = folder.sqlite();
    let kind = look(&conn, &folder.path(), &later()).unwrap();
    assert_eq!(kind, Kind::Ledger { version: MIGRATIONS.len() });
    migrate(&conn, kind, &later()).unwrap();
    assert_eq!(
        look(&conn, &folder.path(), &later()).unwrap(),
        Kind::Ledger { version: MIGRATIONS.len() + 2 }
    );
    assert_eq!(number(&conn, "SELECT count(*) FROM calls WHERE region = 'unknown'"), 1);
    // Once is enough.
    migrate(&conn, Kind::Ledger { version: MIGRATIONS.len() + 2 }, &later()).unwrap();
}

#[test]
fn a_ledger_of_any_version_before_is_opened_and_goes_on() {
    for version in 1..MIGRATIONS.len() {
        let folder = Folder::new();
        let conn = folder.sqlite();
        migrate(&conn, Kind::New, &MIGRATIONS[..version]).unwrap();
        conn.execute_batch(
            "INSERT INTO calls (id, request_id, client, endpoint, provider, model, day, admitted_ms, admitted_mono,
                                bound_tokens) VALUES (1, 'req_1', 'ada', 'generate', 'openai', 'nano', 20454, 0, 0, 5);
             UPDATE state SET seq = 1, last_id = 1",
        )
        .unwrap();
        drop(conn);
        let (mut store, recovered) = folder.open(0);
        assert_eq!((recovered.settled_at_bound, recovered.next_id), (1, 2), "version {version}");
        store.commit(&[Change::Reserved(reserved(2, "ada", 0))]).unwrap();
        assert_eq!(number(&folder.sqlite(), "SELECT count(*) FROM calls WHERE key IS NULL"), 2);
    }
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let folder = ledger();
    let conn = folder.sqlite();
    let mut migrations = MIGRATIONS.to_vec();
    migrations.push("ALTER TABLE calls ADD COLUMN region TEXT; SELECT no_such_function()");
    assert!(migrate(&conn, Kind::Ledger { version: MIGRATIONS.len() }, &migrations).is_err());
    assert_eq!(look(&conn, &folder.path(), MIGRATIONS).unwrap(), Kind::Ledger { version: MIGRATIONS.len() });
    assert_eq!(number(&conn, "SELECT count(*) FROM pragma_table_info('calls') WHERE name = 'region'"), 0);
}

#[test]
fn a_ledger_of_a_later_version_is_refused_and_left_alone() {
    let folder = ledger();
    migrate(&folder.sqlite(), Kind::Ledger { version: MIGRATIONS.len() }, &later()).unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let fault = Store::open(folder.settings(), START_MS).unwrap_err();
    assert!(matches!(fault, StoreFault::OtherSchema { found: 5, known: 3, .. }), "{fault}");
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = Folder::new();
    folder.sqlite().execute_batch("CREATE TABLE bookmarks (url TEXT); PRAGMA application_id = 42").unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let fault = Store::open(folder.settings(), START_MS).unwrap_err();
    assert!(matches!(fault, StoreFault::NotALedger { application_id: 42, .. }), "{fault}");
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let text = "these are my notes, and not a ledger\n".repeat(200);
    std::fs::write(folder.path(), &text).unwrap();
    let fault = Store::open(folder.settings(), START_MS).unwrap_err();
    assert!(matches!(fault, StoreFault::NotADatabase { .. }), "{fault}");
    assert!(fault.to_string().contains("its quota of today"), "{fault}");
    assert_eq!(std::fs::read_to_string(folder.path()).unwrap(), text);
}

#[test]
fn a_ledger_that_died_while_it_was_made_is_made_again() {
    let folder = Folder::new();
    // What SQLite has written when the journal's mode is set and no table is there yet.
    folder.sqlite().pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    let (_, recovered) = folder.open(0);
    assert_eq!(recovered.next_id, 1);
    assert!(
        recovered.warnings.iter().any(|warning| warning.contains("no ledger")),
        "{:?}",
        recovered.warnings
    );
}

//! What the store promises its writer.

use rusqlite::Connection;

use super::sample::{DAY_MS, Folder, START_MS, at, client, ended, number, reserved, settled, target};
use super::*;
use crate::booking::Ending;
use crate::ledger::mark::tests::boot_of;

fn store_conn(store: &Store) -> &Connection {
    store.conn.as_ref().unwrap()
}

/// Everything in the file, as text.
fn dump(conn: &Connection) -> Vec<String> {
    ["SELECT * FROM calls ORDER BY id", "SELECT * FROM usage_by_day ORDER BY day, client, model"]
        .iter()
        .flat_map(|sql| {
            let mut statement = conn.prepare(sql).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map((), |row| {
                (0..columns).map(|index| row.get_ref(index).map(|value| format!("{value:?} "))).collect()
            });
            rows.unwrap().collect::<rusqlite::Result<Vec<String>>>().unwrap()
        })
        .collect()
}

#[test]
fn a_batch_that_comes_again_changes_nothing() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (first, second) = (reserved(1, "ada", 0), reserved(2, "ada", 1));
    let batch = [first.clone().into(), second.clone().into(), settled(&first, 5, 40).into()];
    store.commit(&batch).unwrap();
    let before = (dump(store_conn(&store)), store.held.head);

    store.commit(&batch).unwrap();
    store.commit(&[settled(&first, 9, 77).into(), settled(&first, 9, 78).into()]).unwrap();

    assert_eq!((dump(store_conn(&store)), store.held.head), before);
    store.maintain(START_MS).unwrap();
    store.commit(&batch).unwrap();
    assert_eq!(number(store_conn(&store), "SELECT tokens FROM daily"), 40);
    assert_eq!(store.held.open.len(), 1);
}

#[test]
fn a_call_is_the_same_in_one_batch_and_in_two() {
    let call = reserved(7, "ada", 3);
    // Another model answered than was asked first.
    let end = Settlement { target: target("mini"), ..settled(&call, 9, 140) };
    let folder_one = Folder::new();
    let (mut one, _) = folder_one.open(0);
    one.commit(&[call.clone().into(), end.clone().into()]).unwrap();
    let folder_two = Folder::new();
    let (mut two, _) = folder_two.open(0);
    two.commit(&[call.into()]).unwrap();
    two.commit(&[end.into()]).unwrap();

    assert_eq!(dump(store_conn(&one)), dump(store_conn(&two)));
    assert_eq!(one.held.head, two.held.head);
    for store in [&mut one, &mut two] {
        store.maintain(START_MS).unwrap();
        let conn = store_conn(store);
        assert_eq!(number(conn, "SELECT debt FROM daily WHERE model = 'mini'"), 40);
        assert_eq!(number(conn, "SELECT month_cost FROM accounts"), 1_400);
    }
}

#[test]
fn an_end_without_a_beginning_is_ignored() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[settled(&reserved(1, "ada", 0), 5, 40).into()]).unwrap();
    assert_eq!(dump(store_conn(&store)), Vec::<String>::new());
    assert_eq!(store.held.head.seq, 0);
}

#[test]
fn ids_that_come_the_wrong_way_round_are_not_left_out_of_the_sums() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (early, late) = (reserved(4, "ada", 0), reserved(5, "bob", 0));
    store.commit(&[late.clone().into(), settled(&late, 1, 10).into()]).unwrap();
    store.maintain(START_MS).unwrap();
    store.commit(&[early.clone().into()]).unwrap();
    store.commit(&[settled(&early, 2, 20).into()]).unwrap();
    let sum = "SELECT sum(tokens) FROM usage_by_day";
    assert_eq!(number(store_conn(&store), sum), 30);
    store.reopen().unwrap();
    store.maintain(START_MS).unwrap();
    assert_eq!(number(store_conn(&store), sum), 30);
    assert_eq!(number(store_conn(&store), "SELECT sum(tokens) FROM daily"), 30);
}

#[test]
fn what_has_no_price_costs_nobody_knows_what() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let mut call = reserved(1, "ada", 0);
    (call.cost_known, call.ask.cost) = (false, 0);
    let end = Settlement {
        outcome: gateway_limits::Outcome::Spent { tokens: 40, cost: 0 },
        ..settled(&call, 1, 40)
    };
    let failed = reserved(2, "ada", 0);
    store
        .commit(&[
            call.into(),
            Settlement { cost_known: false, ..end }.into(),
            failed.clone().into(),
            Settlement { cost_known: false, ..ended(&failed, 1, Ending::Failed) }.into(),
        ])
        .unwrap();
    let conn = store_conn(&store);
    assert_eq!(number(conn, "SELECT count(*) FROM calls WHERE cost IS NULL AND bound_cost IS NULL"), 1);
    assert_eq!(number(conn, "SELECT sum(unpriced_requests) FROM usage_by_day"), 1);
    assert_eq!(number(conn, "SELECT sum(failed) FROM usage_by_day"), 1);
}

#[test]
fn numbers_that_sqlite_cannot_hold_count_as_the_largest() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    for id in [1, 2] {
        let mut call = reserved(id, "ada", 0);
        call.ask = gateway_limits::Ask { tokens: u64::MAX, cost: u64::MAX };
        let mut end = settled(&call, 1, 100);
        end.outcome = gateway_limits::Outcome::Spent { tokens: u64::MAX, cost: u64::MAX };
        store.commit(&[call.into(), end.into()]).unwrap();
        store.maintain(START_MS).unwrap();
    }
    for sql in ["SELECT tokens FROM daily", "SELECT tokens FROM accounts", "SELECT month_cost FROM accounts"]
    {
        assert_eq!(number(store_conn(&store), sql), i64::MAX, "{sql}");
    }
}

#[test]
fn a_second_gateway_is_refused_and_told_who_has_the_ledger() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let fault = Store::open(folder.settings(), START_MS).unwrap_err();
    assert!(
        matches!(&fault, StoreFault::InUse { holder: Some(pid), .. } if *pid == std::process::id()),
        "{fault}"
    );
    // The refused one has broken nothing.
    store.commit(&[reserved(1, "ada", 0).into()]).unwrap();
    drop(store);
    assert_eq!(folder.open(1).1.settled_at_bound, 1);
}

#[test]
fn a_ledger_that_was_closed_needs_no_recovery() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let call = reserved(1, "ada", 0);
    store.commit(&[call.clone().into(), settled(&call, 5, 40).into()]).unwrap();
    drop(store);
    assert!(!folder.beside("-wal").exists());
    let (store, recovered) = folder.open(10);
    assert_eq!(recovered.warnings, Vec::<String>::new());
    assert_eq!((recovered.next_id, recovered.settled_at_bound), (2, 0));
    assert_eq!(number(store_conn(&store), "SELECT tokens FROM daily"), 40);
}

/// The first batch fits, the second one does not.
#[test]
fn after_a_full_disk_the_same_batch_goes_through_once() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let first = reserved(1, "ada", 0);
    store.commit(&[first.clone().into()]).unwrap();
    let pages = number(store_conn(&store), "PRAGMA page_count");
    store_conn(&store).pragma_update(None, "max_page_count", pages).unwrap();
    let calls: Vec<_> = (2..500).map(|id| reserved(id, "ada", id)).collect();
    let mut batch: Vec<Change> = calls.iter().cloned().map(Change::Reserved).collect();
    batch.push(settled(&first, 9, 40).into());
    batch.extend(calls.iter().map(|call| settled(call, 600, 10).into()));

    let fault = store.commit(&batch).unwrap_err();
    assert!(matches!(fault, StoreFault::Full { .. }), "{fault}");
    assert!(fault.to_string().contains("no space left"), "{fault}");
    assert_eq!(number(&folder.sqlite(), "SELECT count(*) FROM calls"), 1);

    // There is room again.
    store.reopen().unwrap();
    store.commit(&batch).unwrap();
    store.commit(&batch).unwrap();
    store.maintain(START_MS).unwrap();
    assert_eq!(number(store_conn(&store), "SELECT sum(tokens) FROM usage_by_day"), 40 + 498 * 10);
    assert_eq!(number(store_conn(&store), "SELECT tokens FROM accounts"), 40 + 498 * 10);
    assert_eq!(store.held.open.len(), 0);
}

/// The disk takes a commit and then reports a failure: the batch is in the file, and the store does not know.
#[test]
fn a_batch_that_was_committed_without_our_knowing_counts_once() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (first, second) = (reserved(1, "ada", 0), reserved(2, "ada", 1));
    store.commit(&[first.clone().into()]).unwrap();
    let before = recovery::held(store_conn(&store)).unwrap();
    let batch = [settled(&first, 5, 40).into(), second.clone().into(), settled(&second, 6, 30).into()];
    store.commit(&batch).unwrap();
    store.held = before;

    store.reopen().unwrap();
    store.commit(&batch).unwrap();
    store.maintain(START_MS).unwrap();
    store.commit(&batch).unwrap();
    assert_eq!(number(store_conn(&store), "SELECT sum(tokens) FROM usage_by_day"), 70);
    assert_eq!(number(store_conn(&store), "SELECT tokens FROM accounts"), 70);
    assert_eq!((store.held.head.seq, store.held.open.len()), (4, 0));
}

#[test]
fn a_file_that_cannot_be_written_is_a_fault_until_it_can() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store_conn(&store).pragma_update(None, "query_only", true).unwrap();
    let batch = [reserved(1, "ada", 0).into()];
    let fault = store.commit(&batch).unwrap_err();
    assert!(matches!(fault, StoreFault::ReadOnly { .. }), "{fault}");
    // Without being asked to, it opens the file anew.
    store.commit(&batch).unwrap();
    assert_eq!(number(store_conn(&store), "SELECT count(*) FROM calls"), 1);
}

#[test]
fn a_file_that_another_program_writes_to_is_a_fault_until_it_ends() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store_conn(&store).pragma_update(None, "busy_timeout", 0).unwrap();
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = [reserved(1, "ada", 0).into()];
    let fault = store.commit(&batch).unwrap_err();
    assert!(matches!(fault, StoreFault::Busy { .. }), "{fault}");
    other.execute_batch("ROLLBACK").unwrap();
    store.reopen().unwrap();
    store.commit(&batch).unwrap();
}

#[test]
fn a_reader_that_stays_stops_neither_commits_nor_checkpoints() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[reserved(1, "ada", 0).into()]).unwrap();
    let reader = folder.sqlite();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM calls"), 1);
    store.commit(&[reserved(2, "ada", 0).into()]).unwrap();
    store.maintain(START_MS).unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM calls"), 1);
    drop(reader);
    assert_eq!(number(&folder.sqlite(), "SELECT count(*) FROM calls"), 2);
}

#[test]
fn a_path_that_cannot_be_is_a_fault() {
    let folder = Folder::new();
    std::fs::write(folder.beside("x"), "a file").unwrap();
    let path = folder.beside("x").join("ledger.db");
    let fault = Store::open(StoreSettings { path, ..folder.settings() }, 0).unwrap_err();
    assert!(matches!(fault, StoreFault::Beside { .. }), "{fault}");
    // A folder in the place of the file.
    std::fs::create_dir(folder.path()).unwrap();
    let fault = Store::open(folder.settings(), 0).unwrap_err();
    assert!(matches!(fault, StoreFault::CannotOpen { .. } | StoreFault::Disk { .. }), "{fault}");
}

#[cfg(unix)]
#[test]
fn a_ledger_that_is_removed_while_it_is_open_is_noticed() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[reserved(1, "ada", 0).into()]).unwrap();
    let old = folder.as_after_a_kill();
    let first = settled(&reserved(1, "ada", 0), 1, 40);
    store.commit(&[first.clone().into()]).unwrap();
    let aside = folder.beside(".aside");
    std::fs::rename(folder.path(), &aside).unwrap();

    let fault = store.maintain(START_MS).unwrap_err();
    assert!(matches!(fault, StoreFault::Missing { .. }), "{fault}");
    let fault = store.commit(&[reserved(2, "ada", 2).into()]).unwrap_err();
    assert!(matches!(fault, StoreFault::Missing { .. }), "{fault}");
    assert!(!folder.path().exists());

    // An older copy does not have what was committed since.
    assert_eq!(number(&old.sqlite(), "SELECT seq FROM state"), 1);
    std::fs::copy(old.path(), folder.path()).unwrap();
    std::fs::remove_file(folder.beside("-wal")).unwrap();
    let fault = store.reopen().unwrap_err();
    assert!(matches!(fault, StoreFault::Behind { .. }), "{fault}");
}

#[cfg(unix)]
#[test]
fn a_ledger_that_is_put_back_is_gone_on_with() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[reserved(1, "ada", 0).into()]).unwrap();
    let aside = folder.beside(".aside");
    std::fs::rename(folder.path(), &aside).unwrap();
    assert!(store.maintain(START_MS).is_err());
    std::fs::rename(&aside, folder.path()).unwrap();
    store.maintain(START_MS).unwrap();
    store.commit(&[settled(&reserved(1, "ada", 0), 1, 40).into()]).unwrap();
    assert_eq!(number(store_conn(&store), "SELECT sum(tokens) FROM usage_by_day"), 40);
}

#[test]
fn the_mark_follows_the_commits_and_the_checkpoints() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let mark = || std::fs::read_to_string(folder.beside(".mark")).unwrap();
    store.commit(&[reserved(1, "ada", 0).into(), reserved(2, "bob", 0).into()]).unwrap();
    assert!(mark().starts_with("change 00000000000000000002 safe 00000000000000000000 "), "{}", mark());
    store.maintain(START_MS).unwrap();
    assert!(mark().starts_with("change 00000000000000000002 safe 00000000000000000002 "), "{}", mark());
    assert!(!boot_of(&mark()).is_empty());
}

#[test]
fn a_ledger_holds_no_column_for_text_of_prompts_or_answers() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let call = reserved(1, "ada", 0);
    store.commit(&[call.clone().into(), settled(&call, 1, 40).into()]).unwrap();
    let conn = store_conn(&store);
    let texts = |table: &str| -> Vec<String> {
        let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT'");
        let mut statement = conn.prepare(&sql).unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    assert_eq!(texts("failed_attempts"), ["client", "provider", "key", "model", "fault", "grade"]);
    assert_eq!(
        texts("calls"),
        ["request_id", "client", "endpoint", "provider", "model", "ending", "grade", "key"]
    );
}

#[test]
fn people_read_calls_with_times_and_usd() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let call = reserved(1, "ada", 1_500);
    let mut end = settled(&call, 2_750, 40);
    end.outcome = gateway_limits::Outcome::Spent { tokens: 40, cost: 123_000_000 };
    store.commit(&[call.into(), end.into(), reserved(2, "ada", 3_000).into()]).unwrap();
    let conn = store_conn(&store);
    let read = |sql: &str| conn.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(read("SELECT day FROM calls_readable"), "2026-01-01");
    assert_eq!(read("SELECT settled FROM calls_readable"), "2026-01-01T00:00:02.750Z");
    assert_eq!(read("SELECT CAST(usd AS TEXT) FROM calls_readable"), "0.000123");
    assert_eq!(read("SELECT ending FROM calls_readable WHERE id = 2"), "open");
}

#[test]
fn the_latest_moment_is_the_one_of_the_clock_that_never_goes_back() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let mut stepped = reserved(2, "ada", 10);
    stepped.at.unix_ms = START_MS - 5_000;
    store.commit(&[stepped.clone().into(), reserved(1, "bob", 3).into()]).unwrap();
    assert_eq!(store.held.head.latest, stepped.at);
    assert!(at(3).mono < stepped.at.mono);
    assert_eq!(client("ada"), stepped.client);
}

#[test]
fn a_kept_answer_stays_with_the_client_that_had_it_first() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let kept = |name: &str, ms| {
        let owner = AnswerOwner { client: client(name), provider: "openai".into(), key: "eu".into() };
        Change::Kept(KeptAnswer { id: "resp_1".into(), owner, at: at(ms) })
    };
    store.commit(&[kept("ada", 0)]).unwrap();
    store.commit(&[kept("bob", 1), kept("ada", 2)]).unwrap();
    let owner = |id: &str| crate::ledger::answer_owners(&folder.path(), &[id]).unwrap().pop().unwrap();
    assert_eq!(owner("resp_1").map(|owner| (owner.client, owner.key)), Some((client("ada"), "eu".into())));
    assert_eq!(owner("resp_2"), None);
    let owners = crate::ledger::answer_owners(&folder.path(), &["resp_2", "resp_1", "resp_2"]).unwrap();
    assert_eq!(owners.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);

    store.maintain(START_MS + 29 * DAY_MS).unwrap();
    assert!(owner("resp_1").is_some());
    store.maintain(START_MS + 31 * DAY_MS).unwrap();
    assert_eq!(owner("resp_1"), None);
}

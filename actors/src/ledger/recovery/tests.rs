//! What a new process begins with, after all that can happen to the one before.

use gateway_limits::{Account, Limits, Record, View};

use super::*;
use crate::ledger::fault::StoreFault;
use crate::ledger::store::sample::{
    DAY, DAY_MS, Folder, START_MS, at, client, ended, files, number, reserved, settled,
};
use crate::ledger::store::{Change, Recovered, Reservation, Settlement, Store};

fn all_limits() -> Limits {
    Limits {
        requests_per_minute: Some(1_000),
        tokens_per_minute: Some(100_000),
        tokens_per_day: Some(1_000_000),
        usd_per_day: Some(1_000_000),
        usd_per_month: Some(1_000_000),
        concurrent_requests: Some(10),
        ..Limits::default()
    }
}

/// Tokens of the day, money of the day and money of the month.
fn used(recovered: &Recovered, name: &str, now: Now) -> [u64; 3] {
    let saved = recovered.accounts.get(name).cloned().unwrap_or_default();
    let view = Account::restore(all_limits(), &saved, now).view(now);
    [view.tokens_per_day, view.usd_per_day, view.usd_per_month].map(|meter| meter.unwrap().used)
}

fn record(change: &Change) -> Record {
    match change {
        Change::Reserved(Reservation { id, at, ask, .. }) => {
            Record::Reserved { id: *id, at: *at, tokens: ask.tokens, cost: ask.cost }
        }
        Change::Settled(Settlement { id, at, outcome, .. }) => {
            Record::Settled { id: *id, at: *at, outcome: *outcome }
        }
        Change::Kept(_) | Change::AttemptFailed(_) => panic!("an account has no record of {change:?}"),
    }
}

#[test]
fn a_kill_books_what_was_open_at_its_bound_and_loses_nothing() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (done, open) = (reserved(1, "ada", 10), reserved(2, "ada", 20));
    store.commit(&[done.clone().into(), settled(&done, 30, 40).into()]).unwrap();
    store.maintain(START_MS).unwrap();
    store.commit(&[open.clone().into(), reserved(3, "bob", 40).into()]).unwrap();

    let killed = folder.as_after_a_kill();
    let (store, recovered) = killed.open(5_000);
    assert_eq!((recovered.settled_at_bound, recovered.next_id), (2, 4));
    assert_eq!(recovered.warnings, Vec::<String>::new());
    assert_eq!(used(&recovered, "ada", at(5_000)), [140, 1_400, 1_400]);
    assert_eq!(used(&recovered, "bob", at(5_000)), [100, 1_000, 1_000]);
    let booked = "SELECT count(*) FROM calls WHERE ending = 'crashed' AND grade = 'estimated' AND tokens = 100 \
                  AND cost = 1000 AND settled_ms = 1767225605000";
    assert_eq!(number(&killed.sqlite(), booked), 2);

    // Killed again, they are booked no second time; nor does a late end of a call from before the crash count.
    let again = killed.as_after_a_kill();
    drop(store);
    let (mut store, recovered) = again.open(9_000);
    assert_eq!(recovered.settled_at_bound, 0);
    store.commit(&[settled(&open, 9_100, 1).into()]).unwrap();
    assert_eq!(used(&recovered, "ada", at(9_000)), [140, 1_400, 1_400]);
    assert_eq!(number(&again.sqlite(), "SELECT sum(tokens) FROM usage_by_day"), 240);
}

/// What a limiter would have known had the process lived on.
#[test]
fn an_account_comes_back_as_it_was() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let mut live = Saved::default();
    let calls: Vec<_> = (1..=5).map(|id| reserved(id, "ada", id * 20_000)).collect();
    let ends = [
        settled(&calls[0], 110_000, 40),
        settled(&calls[2], 120_000, 180),
        ended(&calls[3], 121_000, Ending::NeverSent),
        ended(&calls[1], 122_000, Ending::Failed),
        settled(&calls[4], 123_000, 77),
    ];
    let changes: Vec<Change> =
        calls.into_iter().map(Change::Reserved).chain(ends.into_iter().map(Change::Settled)).collect();
    for change in &changes {
        store.commit(std::slice::from_ref(change)).unwrap();
        live.apply(&record(change), at(0));
    }
    let (_, recovered) = folder.as_after_a_kill().open(130_000);
    let now = at(130_000);
    let views = [&live, &recovered.accounts[&client("ada")]]
        .map(|saved| Account::restore(all_limits(), saved, now).view(now))
        // The one number that is not kept apart over a restart; it is in what is used.
        .map(|view| View { cost_debt: 0, ..view });
    assert_eq!(views[0], views[1]);
    assert_eq!(views[1].tokens_per_day.unwrap().used, 40 + 180 + 77);
    assert_eq!(views[1].requests_per_minute.unwrap().used, 1, "one of the last minute was sent: {views:?}");
}

#[test]
fn the_clock_goes_on_and_windows_with_it() {
    let folder = Folder::new();
    let (mut store, recovered) = folder.open(0);
    assert_eq!(recovered.clock_base, Duration::ZERO);
    let call = reserved(1, "ada", 1_000);
    store.commit(&[call.clone().into(), settled(&call, 2_000, 40).into()]).unwrap();
    drop(store);
    // The wall clock is a millisecond coarse, so one less may have passed.
    let (store, recovered) = folder.open(32_000);
    assert_eq!(recovered.clock_base, Duration::from_millis(31_999));
    let minute = |recovered: &Recovered, ms| {
        let saved = &recovered.accounts[&client("ada")];
        Account::restore(all_limits(), saved, at(ms)).view(at(ms)).tokens_per_minute.unwrap().used
    };
    assert_eq!(minute(&recovered, 60_999), 40);
    assert_eq!(minute(&recovered, 61_000), 0);
    drop(store);
    let (store, recovered) = folder.open(62_000);
    assert_eq!(minute(&recovered, 62_000), 0);
    drop(store);
    // A wall clock that stepped back lets no time pass.
    let (_, recovered) = Store::open(folder.settings(), START_MS - DAY_MS).unwrap();
    assert_eq!(recovered.clock_base, Duration::from_secs(2));
}

#[test]
fn the_latest_day_and_its_month_come_back() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    // From 1 January on: two days of the month, then a call of the day before that ends late.
    for (id, day) in [(1, 0), (2, 9), (3, 10), (4, 9)] {
        let call = reserved(id, "ada", day * DAY_MS);
        store.commit(&[call.clone().into(), settled(&call, 10 * DAY_MS + id, 10 * id).into()]).unwrap();
        store.maintain(START_MS).unwrap();
    }
    let now = at(10 * DAY_MS + 9);
    let (store, recovered) = folder.as_after_a_kill().open(10 * DAY_MS + 9);
    assert_eq!(used(&recovered, "ada", now), [30, 300, 1_000]);
    drop(store);

    // In February the month begins anew, also for what is not rolled up yet.
    let call = reserved(5, "ada", 31 * DAY_MS);
    let mut batch = vec![Change::from(call.clone())];
    let (_, recovered) = {
        let folder = folder.as_after_a_kill();
        let (mut store, _) = folder.open(11 * DAY_MS);
        batch.push(settled(&call, 31 * DAY_MS + 5, 7).into());
        store.commit(&batch).unwrap();
        folder.as_after_a_kill().open(31 * DAY_MS + 10)
    };
    assert_eq!(used(&recovered, "ada", at(31 * DAY_MS + 10)), [7, 70, 70]);
    assert_eq!(DAY, 20_454);
}

#[test]
fn a_damaged_log_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    for id in 1..=200 {
        store.commit(&[reserved(id, "ada", id).into()]).unwrap();
    }
    let killed = folder.as_after_a_kill();
    let mut log = std::fs::read(killed.beside("-wal")).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 0x10;
    std::fs::write(killed.beside("-wal"), &log).unwrap();
    let touched =
        |killed: &Folder| ["", "-wal", ".mark"].map(|suffix| std::fs::read(killed.beside(suffix)).unwrap());
    let before = touched(&killed);

    for _ in 0..2 {
        let fault = Store::open(killed.settings(), START_MS + 300).unwrap_err();
        assert!(matches!(fault, StoreFault::Behind { committed: 200, found: 1..200, .. }), "{fault}");
        assert_eq!(touched(&killed), before);
    }

    // As the message says: with the mark aside it goes on, and says that it cannot know.
    std::fs::remove_file(killed.beside(".mark")).unwrap();
    let (_, recovered) = killed.open(400);
    assert!(recovered.next_id < 201);
    assert_eq!(recovered.warnings.len(), 1, "{:?}", recovered.warnings);
}

#[test]
fn a_power_failure_that_costs_the_log_is_a_warning_only_with_durability_process() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[reserved(1, "ada", 1).into()]).unwrap();
    store.maintain(START_MS).unwrap();
    store.commit(&[reserved(2, "ada", 2).into()]).unwrap();
    let failed = folder.as_after_a_kill();
    std::fs::remove_file(failed.beside("-wal")).unwrap();
    let fault = Store::open(failed.settings(), START_MS).unwrap_err();
    assert!(matches!(fault, StoreFault::Behind { found: 1, committed: 2, .. }), "{fault}");

    let mark = std::fs::read_to_string(failed.beside(".mark")).unwrap();
    let boot = mark.split_whitespace().last().unwrap();
    if boot == "unknown" {
        return;
    }
    let other_boot = mark.replace(boot, "another-boot");
    std::fs::write(failed.beside(".mark"), other_boot.replace(" process ", " disk ")).unwrap();
    assert!(Store::open(failed.settings(), START_MS).is_err());
    std::fs::write(failed.beside(".mark"), other_boot).unwrap();
    let (_, recovered) = failed.open(10);
    assert!(recovered.warnings[0].contains("lost its last 1 changes"), "{:?}", recovered.warnings);
}

#[test]
fn a_ledger_that_is_missing_is_refused_and_none_is_made() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    store.commit(&[reserved(1, "ada", 1).into()]).unwrap();
    let killed = folder.as_after_a_kill();

    std::fs::remove_file(killed.path()).unwrap();
    for _ in 0..2 {
        let fault = Store::open(killed.settings(), START_MS).unwrap_err();
        assert!(matches!(fault, StoreFault::Missing { .. }), "{fault}");
        assert!(fault.to_string().contains("its quota of today"), "{fault}");
        assert!(!killed.path().exists());
    }
    // The log alone tells too, and so does an empty file.
    std::fs::remove_file(killed.beside(".mark")).unwrap();
    std::fs::write(killed.path(), "").unwrap();
    let fault = Store::open(killed.settings(), START_MS).unwrap_err();
    assert!(matches!(fault, StoreFault::Missing { .. }), "{fault}");
    assert!(std::fs::metadata(killed.beside("-wal")).unwrap().len() > 0);

    // As the message says.
    std::fs::remove_file(killed.beside("-wal")).unwrap();
    let (_, recovered) = killed.open(10);
    assert_eq!(recovered.next_id, 1);
    assert!(recovered.warnings[0].contains("made a new one"), "{:?}", recovered.warnings);
}

#[test]
fn a_damaged_table_is_refused() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    for id in 1..=200 {
        let call = reserved(id, "ada", id);
        store.commit(&[call.clone().into(), settled(&call, id, 3).into()]).unwrap();
    }
    drop(store);
    let conn = folder.sqlite();
    let page =
        |table: &str| number(&conn, &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'"));
    let roots = [page("calls"), page("accounts"), page("state")];
    drop(conn);
    let whole = std::fs::read(folder.path()).unwrap();
    for root in roots {
        let mut damaged = whole.clone();
        let begin = usize::try_from(root - 1).unwrap() * 4_096;
        damaged[begin..begin + 64].fill(0xEE);
        std::fs::write(folder.path(), &damaged).unwrap();
        let fault = Store::open(folder.settings(), START_MS + 300).unwrap_err();
        assert!(matches!(fault, StoreFault::Damaged { .. }), "page {root}: {fault}");
        assert!(fault.to_string().contains("restore a backup"), "{fault}");
    }
    std::fs::write(folder.path(), whole).unwrap();
    assert_eq!(folder.open(400).1.next_id, 201);
}

#[test]
fn a_client_of_whom_there_is_only_a_call_that_was_never_sent_has_used_nothing() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let call = reserved(1, "ada", 1);
    store.commit(&[call.clone().into(), ended(&call, 2, Ending::NeverSent).into()]).unwrap();
    let (_, recovered) = folder.as_after_a_kill().open(10);
    assert_eq!(used(&recovered, "ada", at(10)), [0, 0, 0]);
    assert_eq!(number(&folder.sqlite(), "SELECT count(*) FROM usage_by_day"), 0);
}

#[test]
fn a_folder_is_left_with_the_ledger_its_lock_and_its_mark() {
    let folder = Folder::new();
    drop(folder.open(0));
    let names: Vec<_> = files(folder.path().parent().unwrap())
        .into_iter()
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["ledger.db", "ledger.db.lock", "ledger.db.mark"]);
}

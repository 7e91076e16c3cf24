//! What goes, when, and what stays.

use crate::ledger::store::sample::{DAY, DAY_MS as DAY_IN_MS, Folder, START_MS, number, reserved, settled};
use crate::ledger::store::{Change, Maintained, Store, StoreSettings};

const KEEP_DAYS: u32 = 30;

fn open(folder: &Folder, ms: u64) -> Store {
    let settings = StoreSettings { keep_days: KEEP_DAYS, ..folder.settings() };
    Store::open(settings, START_MS + ms).unwrap().0
}

/// So many calls of this day, each settled.
fn calls(first_id: u64, count: u64, day: u64) -> Vec<Change> {
    (first_id..first_id + count)
        .flat_map(|id| {
            let call = reserved(id, "ada", day * DAY_IN_MS + id);
            [call.clone().into(), settled(&call, day * DAY_IN_MS + id, 10).into()]
        })
        .collect()
}

#[test]
fn old_calls_go_in_steps_and_their_sums_stay() {
    let folder = Folder::new();
    let mut store = open(&folder, 0);
    store.commit(&calls(1, 1_200, 0)).unwrap();
    store.commit(&calls(1_201, 10, 1)).unwrap();
    store.commit(&calls(1_211, 10, 32)).unwrap();
    let today = START_MS + 31 * DAY_IN_MS;
    let mut removed = Vec::new();
    loop {
        let Maintained { removed: now, is_more } = store.maintain(today).unwrap();
        removed.push(now);
        if !is_more {
            break;
        }
    }
    assert_eq!(removed, [500, 500, 200, 0]);
    let conn = folder.sqlite();
    assert_eq!(number(&conn, "SELECT count(*) FROM calls"), 20);
    assert_eq!(number(&conn, &format!("SELECT requests FROM daily WHERE day = {DAY}")), 1_200);
    assert_eq!(number(&conn, "SELECT sum(tokens) FROM usage_by_day"), 12_200);
    // The walk is done for the day; the next day has its own.
    assert_eq!(store.maintain(today).unwrap().removed, 0);
    assert_eq!(store.maintain(today + DAY_IN_MS).unwrap().removed, 10);
}

#[test]
fn a_call_that_is_not_settled_does_not_go() {
    let folder = Folder::new();
    let mut store = open(&folder, 0);
    store.commit(&[reserved(1, "ada", 0).into()]).unwrap();
    store.commit(&calls(2, 3, 0)).unwrap();
    store.commit(&calls(5, 1, 40)).unwrap();
    assert_eq!(store.maintain(START_MS + 40 * DAY_IN_MS).unwrap().removed, 3);
    assert_eq!(number(&folder.sqlite(), "SELECT min(id) FROM calls"), 1);
}

#[test]
fn a_wall_clock_that_is_wrong_by_years_deletes_nothing() {
    let folder = Folder::new();
    let mut store = open(&folder, 0);
    store.commit(&calls(1, 100, 0)).unwrap();
    store.commit(&calls(101, 1, 2)).unwrap();
    assert_eq!(store.maintain(START_MS + 4_000 * DAY_IN_MS).unwrap().removed, 0);
    assert_eq!(store.maintain(0).unwrap().removed, 0);
    assert_eq!(number(&folder.sqlite(), "SELECT count(*) FROM calls"), 101);
}

#[test]
fn the_last_id_does_not_go_back_when_all_calls_are_gone() {
    let folder = Folder::new();
    let mut store = open(&folder, 0);
    store.commit(&calls(1, 5, 0)).unwrap();
    drop(store);
    let later = 60 * DAY_IN_MS;
    let mut store = open(&folder, later);
    // Nothing came since, so the ledger's own clock has not gone on.
    assert_eq!(store.maintain(START_MS + later).unwrap().removed, 0);
    store.commit(&calls(6, 1, 60)).unwrap();
    drop(store);
    let mut store = open(&folder, 2 * later);
    store.commit(&calls(7, 1, 120)).unwrap();
    assert_eq!(store.maintain(START_MS + 2 * later).unwrap().removed, 6);
    drop(store);
    folder.sqlite().execute("DELETE FROM calls", ()).unwrap();
    let (_, recovered) = folder.open(2 * later + 1);
    assert_eq!(recovered.next_id, 8);
}

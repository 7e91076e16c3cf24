//! What a reader sees, and what it must not do.

use super::*;
use crate::booking::Ending;
use crate::ledger::store::sample::{
    DAY, DAY_MS, Folder, START_MS, client, ended, files, reserved, settled, target,
};
use crate::ledger::store::{Change, Settlement, Store};

fn everything() -> UsageQuery {
    UsageQuery::default()
}

/// Calls of two clients on two days to two models: 10, 20, 30 … tokens.
fn calls() -> Vec<Change> {
    (0..8_u64)
        .flat_map(|n| {
            let name = if n % 2 == 0 { "ada" } else { "bob" };
            let mut call = reserved(n + 1, name, n / 4 * DAY_MS + n);
            call.target = target(if n % 4 < 2 { "nano" } else { "mini" });
            [call.clone().into(), settled(&call, DAY_MS + 10, (n + 1) * 10).into()]
        })
        .collect()
}

fn filled(folder: &Folder) -> Store {
    let (mut store, _) = folder.open(0);
    store.commit(&calls()).unwrap();
    store
}

#[test]
fn usage_is_seen_at_once_and_also_when_no_gateway_runs() {
    let folder = Folder::new();
    let mut store = filled(&folder);
    let path = folder.path();
    let expected = usage(&path, &everything()).unwrap();
    assert_eq!((expected.len(), expected[0].requests, expected[0].tokens), (1, 8, 360));
    assert_eq!(expected[0].cost_pico, 3_600);
    assert_eq!(expected[0].input + expected[0].output, 360);
    store.maintain(START_MS).unwrap();
    assert_eq!(usage(&path, &everything()).unwrap(), expected);
    drop(store);
    assert_eq!(usage(&path, &everything()).unwrap(), expected);
    // A reader does not stand in a gateway's way.
    drop(folder.open(100));
}

#[test]
fn a_reader_does_not_wait_for_a_writer_in_its_transaction() {
    let folder = Folder::new();
    let store = filled(&folder);
    let writer = folder.sqlite();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM calls").unwrap();
    assert_eq!(usage(&folder.path(), &everything()).unwrap()[0].requests, 8);
    drop(store);
}

#[test]
fn usage_is_told_apart_by_columns_and_in_their_order() {
    let folder = Folder::new();
    let _store = filled(&folder);
    let by = |by: &[Column]| {
        let query = UsageQuery { by: by.to_vec(), ..everything() };
        usage(&folder.path(), &query).unwrap()
    };
    let days: Vec<_> = by(&[Column::Day]).iter().map(|row| (row.day, row.tokens)).collect();
    assert_eq!(days, [(Some(DAY), 100), (Some(DAY + 1), 260)]);
    let rows: Vec<_> = by(&[Column::Model, Column::Client])
        .iter()
        .map(|row| (row.model.clone().unwrap(), row.client.clone().unwrap(), row.tokens))
        .collect();
    let expected =
        [("mini", "ada", 30 + 70), ("mini", "bob", 40 + 80), ("nano", "ada", 60), ("nano", "bob", 80)];
    assert_eq!(rows, expected.map(|(model, client, tokens)| (model.into(), client.into(), tokens)));
    let row = &by(&[Column::Provider])[0];
    assert_eq!((row.provider.as_deref(), &row.client, row.day), (Some("openai"), &None, None));
}

#[test]
fn usage_is_of_one_client_and_of_some_days_if_asked_so() {
    let folder = Folder::new();
    let _store = filled(&folder);
    let tokens = |query: UsageQuery| usage(&folder.path(), &query).unwrap().first().map(|row| row.tokens);
    assert_eq!(tokens(UsageQuery { client: Some(client("ada")), ..everything() }), Some(160));
    assert_eq!(tokens(UsageQuery { client: Some(client("eve")), ..everything() }), None);
    assert_eq!(tokens(UsageQuery { from: Some(DAY + 1), ..everything() }), Some(260));
    assert_eq!(tokens(UsageQuery { to: Some(DAY), ..everything() }), Some(100));
    assert_eq!(tokens(UsageQuery { from: Some(DAY + 1), to: Some(DAY), ..everything() }), None);
}

#[test]
fn requests_are_those_that_were_sent() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let endings = [Ending::Refused, Ending::Failed, Ending::NeverSent];
    for (id, ending) in (1..).zip(endings) {
        let call = reserved(id, "ada", 0);
        store.commit(&[call.clone().into(), ended(&call, 1, ending).into()]).unwrap();
    }
    let call = reserved(4, "ada", 0);
    let left = Settlement { cost_known: false, ..settled(&call, 1, 0) };
    store.commit(&[call.into(), left.into(), reserved(5, "ada", 0).into()]).unwrap();
    let row = usage(&folder.path(), &everything()).unwrap().remove(0);
    assert_eq!((row.requests, row.failed, row.unpriced_requests, row.tokens), (3, 2, 1, 0));
}

#[test]
fn sums_beyond_what_sqlite_adds_up_are_read() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    for id in 1..=3 {
        let call = reserved(id, &format!("client-{id}"), 0);
        let mut end = settled(&call, 1, 10);
        end.outcome = gateway_limits::Outcome::Spent { tokens: u64::MAX, cost: u64::MAX };
        store.commit(&[call.into(), end.into()]).unwrap();
    }
    assert_eq!(usage(&folder.path(), &everything()).unwrap()[0].tokens, u64::MAX);
}

#[test]
fn where_there_is_no_ledger_none_is_made() {
    let folder = Folder::new();
    let fault = usage(&folder.path(), &everything()).unwrap_err();
    assert!(matches!(fault, StoreFault::NoLedger { .. }), "{fault}");
    assert_eq!(files(folder.path().parent().unwrap()), []);
    std::fs::write(folder.path(), "").unwrap();
    let fault = usage(&folder.path(), &everything()).unwrap_err();
    assert!(matches!(fault, StoreFault::NoLedger { .. }), "{fault}");
    std::fs::write(folder.path(), "no database".repeat(100)).unwrap();
    let fault = usage(&folder.path(), &everything()).unwrap_err();
    assert!(matches!(fault, StoreFault::NotADatabase { .. }), "{fault}");
}

#[test]
fn a_reader_that_takes_too_long_is_ended() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let batch: Vec<Change> = (1..=10_000)
        .flat_map(|id| {
            let call = reserved(id, "ada", 0);
            [call.clone().into(), settled(&call, 1, 10).into()]
        })
        .collect();
    store.commit(&batch).unwrap();
    let fault = usage_within(&folder.path(), &everything(), Duration::ZERO).unwrap_err();
    assert!(matches!(fault, StoreFault::ReadTooLong { .. }), "{fault}");
    assert_eq!(usage(&folder.path(), &everything()).unwrap()[0].requests, 10_000);
}

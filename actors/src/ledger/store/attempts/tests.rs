//! What the file says of attempts that failed.

use std::time::Duration;

use gateway_limits::{Grade, Usage};

use super::*;
use crate::booking::Ending;
use crate::ledger::query::{Column, UsageQuery, usage};
use crate::ledger::store::Change;
use crate::ledger::store::sample::{
    DAY_MS as DAY_IN_MS, Folder, START_MS, at, ended, number, reserved, settled, target,
};
use crate::ledger::store::{Reservation, Settlement};

/// The failure of this attempt, for which 60 tokens may be billed.
fn failed(call: &Reservation, attempt: u32, model: &str) -> Change {
    Change::AttemptFailed(Box::new(FailedAttempt {
        call: call.id,
        attempt,
        client: call.client.clone(),
        target: target(model),
        key: "eu".into(),
        at: at(20),
        took: Duration::from_millis(1_500),
        fault: "broken stream",
        status: None,
        usage: Usage { input: 40, output: 20, ..Usage::default() },
        grade: Grade::Counted,
        cost: (model == "nano").then_some(600),
    }))
}

/// A call that was asked for twice, of which the second attempt was answered.
fn mended() -> (Reservation, Vec<Change>) {
    let call = reserved(1, "ada", 0);
    let end = Settlement { target: target("mini"), ..settled(&call, 30, 80) };
    let end = Settlement { booking: crate::booking::Booking { attempts: 2, ..end.booking }, ..end };
    (call.clone(), vec![call.clone().into(), failed(&call, 1, "nano"), end.into()])
}

#[test]
fn a_failed_attempt_is_written_once_and_charged_to_nobody() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (_, batch) = mended();
    store.commit(&batch).unwrap();
    store.commit(&batch).unwrap();
    store.commit(&batch[1..2]).unwrap();
    let by = vec![Column::Client, Column::Model];
    let rows = usage(&folder.path(), &UsageQuery { by, ..UsageQuery::default() }).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.model.as_deref().unwrap(), row.requests, row.tokens, row.failed_attempt_tokens))
        .collect();
    assert_eq!(told, [("mini", 1, 80, 0), ("nano", 0, 0, 60)]);
    assert_eq!((rows[1].failed_attempts, rows[1].failed_attempt_cost_pico), (1, 600));
    let total = &usage(&folder.path(), &UsageQuery::default()).unwrap()[0];
    assert_eq!((total.tokens, total.cost_pico, total.failed_attempt_cost_pico), (80, 800, 600));
    drop(store);
    let (_, recovered) = folder.open(100);
    assert_eq!(recovered.accounts.len(), 1);
    assert_eq!(number(&folder.sqlite(), "SELECT tokens FROM accounts"), 80);
}

#[test]
fn people_see_every_attempt_of_a_call_once() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (_, batch) = mended();
    store.commit(&batch).unwrap();
    // Its only attempt failed; and one that was answered at once.
    let (lost, plain) = (reserved(2, "bob", 5), reserved(3, "bob", 6));
    let batch = [
        lost.clone().into(),
        failed(&lost, 1, "mini"),
        ended(&lost, 9, Ending::Failed).into(),
        plain.clone().into(),
        settled(&plain, 10, 12).into(),
    ];
    store.commit(&batch).unwrap();
    let conn = folder.sqlite();
    let mut statement = conn
        .prepare(
            "SELECT request_id || ' ' || attempt || ' ' || model || ' ' || key || ' ' || ending || ' ' || \
             (input + output) FROM attempts_readable ORDER BY 1",
        )
        .unwrap();
    let rows: Vec<String> =
        statement.query_map((), |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let expected = [
        "req_1 1 nano eu broken stream 60",
        "req_1 2 mini default answered 80",
        "req_2 1 mini eu broken stream 60",
        "req_3 1 nano default answered 12",
    ];
    assert_eq!(rows, expected);
    assert_eq!(number(&conn, "SELECT count(*) FROM attempts_readable WHERE usd IS NULL"), 1);
}

#[test]
fn they_go_with_their_call_and_their_sums_stay() {
    let folder = Folder::new();
    let (mut store, _) = folder.open(0);
    let (_, batch) = mended();
    store.commit(&batch).unwrap();
    let late = reserved(2, "ada", 100 * DAY_IN_MS);
    store.commit(&[late.clone().into(), failed(&late, 1, "nano")]).unwrap();
    while store.maintain(START_MS + 100 * DAY_IN_MS).unwrap().is_more {}
    let conn = folder.sqlite();
    assert_eq!(number(&conn, "SELECT count(*) FROM calls"), 1);
    assert_eq!(number(&conn, "SELECT sum(call) FROM failed_attempts"), 2);
    assert_eq!(number(&conn, "SELECT sum(attempts) FROM failed_daily"), 2);
}

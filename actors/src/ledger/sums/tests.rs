//! The calendar behind the sums, and their two homes.

use proptest::prelude::*;

use super::*;
use crate::ledger::schema::{Kind, MIGRATIONS, migrate};
use crate::ledger::store::sample::{client as named, target};

#[test]
fn months_begin_where_the_calendar_says() {
    // Days since 1970-01-01 of the first day of each month, and how many days it has.
    let mut first = 0;
    for year in 1970_u64..2500 {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if is_leap { 29 } else { 28 };
        for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            assert_eq!(month_of(first), month_of(first + days - 1), "{year}, day {first}");
            assert_eq!(month_of(first) + 1, month_of(first + days), "{year}, day {first}");
            first += days;
        }
    }
    assert!(month_of(u64::MAX) > month_of(first));
}

#[test]
fn names_that_a_client_makes_up_do_not_grow_the_file_for_ever() {
    let conn = Connection::open_in_memory().unwrap();
    migrate(&conn, Kind::New, MIGRATIONS).unwrap();
    let (ada, bob) = (named("ada"), named("bob"));
    let tally = Tally { requests: 1, failed: 1, ..Tally::default() };
    let rows = |client: &str| {
        conn.query_row("SELECT count(*), sum(requests) FROM daily WHERE client = ?1", [client], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?))
        })
        .unwrap()
    };
    for round in 0..3 {
        let mut pending = Pending::default();
        for n in 0..300 {
            pending.add(&ada, 1, &target(&format!("made-up-{round}-{n}")), &tally);
        }
        // A model that has its row keeps it.
        pending.add(&ada, 1, &target("made-up-0-0"), &tally);
        pending.add(&bob, 1, &target("nano"), &tally);
        pending.write(&conn).unwrap();
    }
    assert_eq!(rows("ada"), (MODELS_MAX + 1, 903));
    assert_eq!(rows("bob"), (1, 3));
    let requests = |model: &str| -> u32 {
        let sql = "SELECT requests FROM daily WHERE client = 'ada' AND model = ?1";
        conn.query_row(sql, [model], |row| row.get(0)).unwrap()
    };
    assert_eq!((requests("made-up-0-0"), requests(OTHER_MODELS)), (4, 700));
    // The next day begins anew.
    let mut pending = Pending::default();
    pending.add(&ada, 2, &target("nano"), &tally);
    pending.write(&conn).unwrap();
    assert_eq!(rows("ada"), (MODELS_MAX + 2, 904));
}

proptest! {
    /// The account in memory and the one in the file follow the same rule.
    #[test]
    fn an_account_is_the_same_in_memory_and_in_the_file(
        entries in prop::collection::vec((0_u64..70, 0_u64..1_000, 0_u64..50, prop::bool::weighted(0.1)), 1..20)
    ) {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn, Kind::New, MIGRATIONS).unwrap();
        let ada = named("ada");
        let mut in_memory = LatestDay::default();
        for (day, tokens, debt, is_huge) in entries {
            let cost = if is_huge { i64::MAX as u64 } else { tokens * 3 };
            let tally = Tally { requests: 1, tokens, debt, cost, ..Tally::default() };
            let mut pending = Pending::default();
            pending.add(&ada, day, &target("nano"), &tally);
            pending.write(&conn).unwrap();
            in_memory.add(day, &tally);
            let in_file = conn
                .query_row("SELECT day, month, tokens, debt, cost, month_cost FROM accounts", (), |row| {
                    LatestDay::from_row(row, 0)
                })
                .unwrap();
            prop_assert_eq!(in_memory, in_file);
        }
    }
}

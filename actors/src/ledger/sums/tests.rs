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

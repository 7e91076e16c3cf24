//! The calendar's arithmetic against one that turns its leaves day by day.

use super::*;
use proptest::prelude::*;

/// 2026-01-01 in days since 1970-01-01.
const NEW_YEAR_2026: u64 = 20_454;

fn length(year: u64, month: usize) -> u64 {
    match month {
        2 => match (year % 4, year % 100, year % 400) {
            (_, _, 0) => 29,
            (_, 0, _) => 28,
            (0, _, _) => 29,
            _ => 28,
        },
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[test]
fn every_day_of_the_calendars_whole_cycle_lies_in_its_month() {
    let (mut year, mut month, mut begins) = (1970, 1, 0);
    while begins <= DAYS_IN_400_YEARS {
        let days = begins..begins + length(year, month);
        for day in days.clone() {
            assert_eq!(month_of(day), days, "day {day} in {year}-{month:02}");
        }
        begins = days.end;
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
}

#[test]
fn february_has_29_days_in_leap_years_only() {
    let february = |year: u64| month_of(new_year(year) + 31);
    assert_eq!(february(2026), NEW_YEAR_2026 + 31..NEW_YEAR_2026 + 59);
    let days = [2027, 2028, 2100, 2400].map(|year| february(year).count());
    assert_eq!(days, [28, 29, 28, 29]);
}

#[test]
fn a_day_beyond_the_clock_counts_as_the_last_one() {
    assert_eq!(day_of(u64::MAX), day_of(LAST_DAY));
    assert_eq!(month_of(u64::MAX), month_of(LAST_DAY));
    assert!(month_of(LAST_DAY).contains(&LAST_DAY));
    assert_eq!(Period::new(month_of(u64::MAX)).ends_in(0), Duration::from_millis(u64::MAX));
}

proptest! {
    /// Together with the test of one cycle: every day there is lies in its month.
    #[test]
    fn each_cycle_of_400_years_repeats_the_first(
        day in 0..DAYS_IN_400_YEARS,
        cycles in 0..LAST_DAY / DAYS_IN_400_YEARS - 1,
    ) {
        let (first, shift) = (month_of(day), cycles * DAYS_IN_400_YEARS);
        prop_assert_eq!(month_of(day + shift), first.start + shift..first.end + shift);
    }

    #[test]
    fn sums_of_a_period_saturate_and_never_wrap(
        amounts in prop::collection::vec((any::<u64>(), any::<u64>()), 0..8),
    ) {
        let mut period = Period::new(day_of(NEW_YEAR_2026));
        for &(bound, _) in &amounts {
            period.reserve(bound);
        }
        for &(bound, spent) in &amounts {
            period.settle(NEW_YEAR_2026, bound, spent);
        }
        let exactly: u128 = amounts.iter().map(|&(_, spent)| u128::from(spent)).sum();
        prop_assert_eq!(period.reserved(), 0);
        prop_assert_eq!(u128::from(period.used()), exactly.min(u128::from(u64::MAX)));
    }
}

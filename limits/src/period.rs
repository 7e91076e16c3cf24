//! Stretches of UTC calendar time, and what was used in the one that runs.
//!
//! Owns     `Period`, the counters of one UTC day or month, and the calendar's arithmetic.
//! Called   by `Calendar`, which holds a client's three periods.
//! Bounded  by one period: its counters are dropped with it.
//! Fails    never: all arithmetic saturates, and a day beyond what the wall clock can tell counts
//!          as the last it can.

use std::ops::Range;
use std::time::Duration;

pub(crate) const DAY_MS: u64 = 86_400_000;

/// The last day that a clock of milliseconds in a `u64` can tell.
const LAST_DAY: u64 = u64::MAX / DAY_MS;

/// A year is this many days in the mean of the Gregorian calendar's cycle of 400 years.
const DAYS_IN_400_YEARS: u64 = 146_097;

/// The counters of one stretch of days, of tokens or of pico-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Period {
    /// Its first day, in days since 1970-01-01.
    begins: u64,
    /// The first day after it.
    ends: u64,
    used: u64,
    /// Wider than an amount, so that a sum of bounds is exact whatever the bounds are.
    reserved: u128,
    debt: u64,
}

impl Period {
    /// A period in which nothing was used yet.
    pub(crate) fn new(days: Range<u64>) -> Self {
        Self { begins: days.start, ends: days.end, ..Self::default() }
    }

    /// A period of which this much is used, this much of it above the bounds.
    pub(crate) fn with(self, used: u64, debt: u64) -> Self {
        Self { used, debt, ..self }
    }

    pub(crate) fn begins(self) -> u64 {
        self.begins
    }

    /// Whether `day` lies behind it.
    pub(crate) fn is_over(self, day: u64) -> bool {
        day >= self.ends
    }

    pub(crate) fn used(self) -> u64 {
        self.used
    }

    pub(crate) fn reserved(self) -> u128 {
        self.reserved
    }

    pub(crate) fn debt(self) -> u64 {
        self.debt
    }

    pub(crate) fn is_untouched(self) -> bool {
        self.used == 0 && self.reserved == 0
    }

    pub(crate) fn reserve(&mut self, bound: u64) {
        self.reserved = self.reserved.saturating_add(u128::from(bound));
    }

    /// Puts `spent` in the place of `bound`, which was reserved on day `admitted_on`. What was
    /// reserved in a period that is over changes nothing any more.
    pub(crate) fn settle(&mut self, admitted_on: u64, bound: u64, spent: u64) {
        if admitted_on >= self.begins {
            self.reserved = self.reserved.saturating_sub(u128::from(bound));
            self.used = self.used.saturating_add(spent);
            self.debt = self.debt.saturating_add(spent.saturating_sub(bound));
        }
    }

    /// From `unix_ms` until the next period begins.
    pub(crate) fn ends_in(self, unix_ms: u64) -> Duration {
        Duration::from_millis(self.ends.saturating_mul(DAY_MS).saturating_sub(unix_ms))
    }
}

/// The day itself, as a period's days.
pub(crate) fn day_of(day: u64) -> Range<u64> {
    let day = day.min(LAST_DAY);
    day..day + 1
}

/// The days of the month in which `day` lies.
pub(crate) fn month_of(day: u64) -> Range<u64> {
    let day = day.min(LAST_DAY);
    // By the mean length of a year the guess is at most one off.
    let mut year = 1970 + day * 400 / DAYS_IN_400_YEARS;
    if new_year(year) > day {
        year -= 1;
    } else if new_year(year + 1) <= day {
        year += 1;
    }
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let january = new_year(year);
    let mut month = january..january + 31;
    for length in [if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < month.end {
            break;
        }
        month = month.end..month.end + length;
    }
    month
}

/// The first of January of `year` in days since 1970-01-01, for years from 1970 on.
fn new_year(year: u64) -> u64 {
    let leap_days_until = |year: u64| year / 4 - year / 100 + year / 400;
    365 * (year - 1970) + leap_days_until(year - 1) - leap_days_until(1969)
}

#[cfg(test)]
mod tests;

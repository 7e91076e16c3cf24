//! The tokens of one UTC calendar day.
//!
//! Owns     the day's number and its counters.
//! Called   by `Account` and `Saved`, which so count alike.
//! Bounded  by one day: when the next one begins, the counters of the last are dropped, and what
//!          was reserved in it is settled into nothing.
//! Fails    never. A wall clock that steps back stays on the day already reached, so that nothing
//!          spent becomes free again; one that steps forward by mistake holds that later day until
//!          the clock has caught up.

use std::time::Duration;

const DAY_MS: u64 = 86_400_000;

/// One day's counters. The day only moves when something is admitted or settled: a refused call
/// leaves no trace, so the counters are a function of what a ledger records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    /// Days since 1970-01-01.
    number: u64,
    used: u64,
    /// Wider than a count of tokens, so that a sum of bounds is exact whatever the bounds are.
    reserved: u128,
    debt: u64,
}

impl Day {
    /// These counters as they stand at `unix_ms`: themselves, or those of a new day.
    pub(crate) fn on(self, unix_ms: u64) -> Self {
        let number = unix_ms / DAY_MS;
        if number > self.number { Self { number, ..Self::default() } } else { self }
    }

    pub(crate) fn number(self) -> u64 {
        self.number
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

    pub(crate) fn reserve(&mut self, tokens: u64) {
        self.reserved = self.reserved.saturating_add(u128::from(tokens));
    }

    /// Puts `tokens` in the place of `bound`, which was reserved on day `admitted_on`. A day that
    /// is over is not changed any more.
    pub(crate) fn settle(&mut self, admitted_on: u64, bound: u64, tokens: u64) {
        if admitted_on == self.number {
            self.reserved = self.reserved.saturating_sub(u128::from(bound));
            self.used = self.used.saturating_add(tokens);
            self.debt = self.debt.saturating_add(tokens.saturating_sub(bound));
        }
    }

    /// From `unix_ms` until the next day begins.
    pub(crate) fn ends_in(self, unix_ms: u64) -> Duration {
        let end_ms = self.number.saturating_add(1).saturating_mul(DAY_MS);
        Duration::from_millis(end_ms.saturating_sub(unix_ms))
    }
}

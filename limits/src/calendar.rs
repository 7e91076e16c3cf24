//! What a client used in the UTC day and month that run: tokens of the day, money of both.
//!
//! Owns     the three periods, which move on together.
//! Called   by `Account` and `Saved`, which so count alike.
//! Bounded  by the periods that run: when the next begins, the counters of the last are dropped,
//!          and what was reserved in it is settled into nothing.
//! Fails    never. A wall clock that steps back stays in the day already reached, so that nothing
//!          spent becomes free again; one that steps forward by mistake holds that later day until
//!          the clock has caught up.

use crate::period::{DAY_MS, Period, day_of, month_of};
use crate::{Ask, Outcome, Sums};

/// The periods of one client. They only move when something is admitted or settled: a refused call
/// leaves no trace, so the counters are a function of what a ledger records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) tokens_today: Period,
    pub(crate) cost_today: Period,
    pub(crate) cost_this_month: Period,
}

impl Default for Calendar {
    /// Nothing was used, in the first of all days.
    fn default() -> Self {
        Self::restored(Sums::default())
    }
}

impl Calendar {
    /// The day and month of `sums`, in which nothing is reserved.
    pub(crate) fn restored(sums: Sums) -> Self {
        let today = Period::new(day_of(sums.day));
        Self {
            tokens_today: today.with(sums.tokens, sums.debt),
            cost_today: today.with(sums.cost, 0),
            cost_this_month: Period::new(month_of(sums.day)).with(sums.month_cost, 0),
        }
    }

    /// The periods as they stand at `unix_ms`: those that are over begin anew.
    pub(crate) fn on(mut self, unix_ms: u64) -> Self {
        let day = unix_ms / DAY_MS;
        if self.tokens_today.is_over(day) {
            let today = Period::new(day_of(day));
            (self.tokens_today, self.cost_today) = (today, today);
            if self.cost_this_month.is_over(day) {
                self.cost_this_month = Period::new(month_of(day));
            }
        }
        self
    }

    /// The day that runs, in days since 1970-01-01.
    pub(crate) fn day(self) -> u64 {
        self.tokens_today.begins()
    }

    pub(crate) fn reserve(&mut self, ask: Ask) {
        self.tokens_today.reserve(ask.tokens);
        self.cost_today.reserve(ask.cost);
        self.cost_this_month.reserve(ask.cost);
    }

    /// Puts what was spent in the place of `bound`, which was reserved on day `admitted_on`.
    pub(crate) fn settle(&mut self, admitted_on: u64, bound: Ask, outcome: Outcome) {
        self.tokens_today.settle(admitted_on, bound.tokens, outcome.tokens());
        self.cost_today.settle(admitted_on, bound.cost, outcome.cost());
        self.cost_this_month.settle(admitted_on, bound.cost, outcome.cost());
    }
}

//! An account as headers and the admin page show it.
//!
//! Owns     `View` and `Meter`: numbers at one moment, without a link to the account.
//! Called   by `Account::view`, for every admitted request: `Copy`, nothing is allocated.
//! Bounded  by six meters, one per limit.
//! Fails    never: plain values.

use crate::LimitName;
use std::time::Duration;

/// One limit's numbers at one moment: requests, tokens, calls, or pico-USD where
/// [`LimitName::is_money`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The limit.
    pub name: LimitName,
    /// Its value.
    pub max: u64,
    /// Counted for good. Requests count as used from their admission on.
    pub used: u64,
    /// Held for calls in flight: what they may use and have not been charged yet.
    pub reserved: u64,
    /// What is left: `max - used - reserved`, or 0 when more than the limit counts.
    pub remaining: u64,
    /// Time until `remaining` is back at `max` if nothing more is admitted; zero if it is there
    /// now. For open calls, which end when they end, a hint of one second.
    pub reset: Duration,
}

impl Meter {
    pub(crate) fn new(name: LimitName, max: u64, used: u128, reserved: u128, reset: Duration) -> Self {
        let narrow = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            name,
            max,
            used: narrow(used),
            reserved: narrow(reserved),
            remaining: max.saturating_sub(narrow(used.saturating_add(reserved))),
            reset,
        }
    }
}

/// All limits that are set, and what was used whether limited or not, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Requests admitted in the last 60 seconds.
    pub requests_per_minute: Option<Meter>,
    /// Tokens of the requests admitted in the last 60 seconds.
    pub tokens_per_minute: Option<Meter>,
    /// Tokens of the requests admitted in this UTC day.
    pub tokens_per_day: Option<Meter>,
    /// Pico-USD of the requests admitted in this UTC day.
    pub usd_per_day: Option<Meter>,
    /// Pico-USD of the requests admitted in this UTC month.
    pub usd_per_month: Option<Meter>,
    /// Open calls.
    pub concurrent_requests: Option<Meter>,
    /// Open calls, whether limited or not.
    pub in_flight: u64,
    /// Tokens used in this UTC day, whether limited or not; nothing that is only reserved.
    pub tokens_today: u64,
    /// Pico-USD used in this UTC day, whether limited or not; nothing that is only reserved.
    pub cost_today: u64,
    /// Pico-USD used in this UTC month, whether limited or not; nothing that is only reserved.
    pub cost_this_month: u64,
    /// Tokens by which settlements of this UTC day went above their bounds. They are part of the
    /// day's `used`, which may so exceed the limit; calls are refused until there is room again.
    pub debt: u64,
    /// The same in pico-USD of this UTC day, as far as this process has seen it: a restart leaves
    /// it in `used` and no longer tells it apart.
    pub cost_debt: u64,
}

impl View {
    /// The meters of the limits that are set.
    pub fn meters(&self) -> impl Iterator<Item = Meter> {
        [
            self.requests_per_minute,
            self.tokens_per_minute,
            self.tokens_per_day,
            self.usd_per_day,
            self.usd_per_month,
            self.concurrent_requests,
        ]
        .into_iter()
        .flatten()
    }

    /// The token limit that will refuse first: the one with fewer tokens remaining, and of two
    /// equal ones that which takes longer to reset.
    pub fn tokens(&self) -> Option<Meter> {
        [self.tokens_per_minute, self.tokens_per_day]
            .into_iter()
            .flatten()
            .min_by_key(|meter| (meter.remaining, std::cmp::Reverse(meter.reset)))
    }
}

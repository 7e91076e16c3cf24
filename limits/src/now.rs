//! The two clocks an account is told: one that only goes forward, one that people read.
//!
//! Owns     `Now`, which callers hand in, and `Moment`, the account's own signed form of it.
//! Called   by every other file of the crate; nothing here reads a clock.
//! Bounded  by 292 years of monotonic time; a later moment counts as that one.
//! Fails    never: all arithmetic saturates.

use std::time::Duration;

/// One minute, the length of the sliding windows.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const MINUTE_NS: i64 = 60_000_000_000;

/// Width of the steps of a window that is too full to be kept entry by entry.
const STEP_NS: i64 = 100_000_000;

/// The last moment that can be told. A window's length short of the end of `i64`, so that an entry
/// made at this moment still has a moment of leaving that lies behind it.
const LATEST_NS: i64 = i64::MAX - 2 * MINUTE_NS;

/// The time of one call, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since an arbitrary epoch of this process. It never goes back; should a caller give an
    /// earlier one all the same, the latest one seen counts.
    pub mono: Duration,
    /// The wall clock in milliseconds since 1970-01-01T00:00:00Z. It may step either way.
    pub unix_ms: u64,
}

/// A place on the monotonic clock in nanoseconds. Signed, because after a restart of the process
/// admissions of the last minute lie before the new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

impl Moment {
    /// Before everything: where a clock stands that was never told the time.
    pub(crate) const EARLIEST: Self = Self(i64::MIN);

    pub(crate) fn of(now: Now) -> Self {
        Self(nanoseconds(now.mono).min(LATEST_NS))
    }

    /// When an entry made at this moment leaves its sliding window. The window is half-open: at
    /// this very moment the entry no longer counts.
    pub(crate) fn leaves(self) -> Self {
        Self(self.0.saturating_add(MINUTE_NS))
    }

    /// The end of the step this moment lies in. Rounding up keeps an entry longer than its time
    /// and never shorter, so a window kept in steps admits no more than an exact one.
    pub(crate) fn step_end(self) -> Self {
        let past = self.0.rem_euclid(STEP_NS);
        if past == 0 { self } else { Self(self.0.saturating_add(STEP_NS - past)) }
    }

    /// The time from here until `later`, zero if that is past.
    pub(crate) fn until(self, later: Self) -> Duration {
        u64::try_from(later.0.saturating_sub(self.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    pub(crate) fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(age)))
    }

    /// This moment on a clock on which `old` is called `new`.
    pub(crate) fn moved(self, old: Self, new: Self) -> Self {
        Self(self.0.saturating_add(new.0.saturating_sub(old.0)).min(LATEST_NS))
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

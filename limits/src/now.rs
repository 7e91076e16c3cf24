//! The two clocks an account is told: one that only goes forward, one that people read.
//!
//! Owns     `Now`, which callers hand in; `Moment`, the account's own form of it; and the rule by
//!          which the first clock goes on over a restart of the process.
//! Called   by every other file of the crate; nothing here reads a clock.
//! Bounded  by 584 years of monotonic time; a later moment counts as that one.
//! Fails    never: all arithmetic saturates.

use std::time::Duration;

/// One minute, the length of the sliding windows.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const MINUTE_NS: u64 = 60_000_000_000;

/// Width of the steps of a window that is too full to be kept entry by entry.
const STEP_NS: u64 = 100_000_000;

/// The last moment that can be told. A window's length short of the end of `u64`, so that an entry
/// made at this moment still has a moment of leaving that lies behind it.
const LATEST_NS: u64 = u64::MAX - 2 * MINUTE_NS;

/// The time of one call, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since an arbitrary epoch, the same one for all processes that share a ledger, see
    /// [`resumed`]. It never goes back; should a caller give an earlier one all the same, the
    /// latest one seen counts.
    pub mono: Duration,
    /// The wall clock in milliseconds since 1970-01-01T00:00:00Z. It may step either way.
    pub unix_ms: u64,
}

/// Where the monotonic clock of a new process begins, so that it goes on from that of the process
/// before: `latest` is the latest moment which that one recorded, `unix_ms` the wall clock now.
///
/// Between two processes only the wall clock tells how much time passed, so what it says is
/// believed, less a millisecond because it was rounded. A wall clock that was set back meanwhile
/// makes all that was recorded younger than it is: windows stay full for longer, at most their
/// length. One that was set forward by mistake makes it older, by no more than the step, so
/// windows may be empty too early; days and months are not touched by it.
pub fn resumed(latest: Now, unix_ms: u64) -> Duration {
    let passed_ms = unix_ms.saturating_sub(latest.unix_ms).saturating_sub(1);
    latest.mono.saturating_add(Duration::from_millis(passed_ms))
}

/// A place on the monotonic clock, in nanoseconds. The default is the earliest: where a clock
/// stands that was never told the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn of(mono: Duration) -> Self {
        Self(u64::try_from(mono.as_nanos()).map_or(LATEST_NS, |ns| ns.min(LATEST_NS)))
    }

    /// When an entry made at this moment leaves its sliding window. The window is half-open: at
    /// this very moment the entry no longer counts.
    pub(crate) fn leaves(self) -> Self {
        Self(self.0.saturating_add(MINUTE_NS))
    }

    /// The end of the step this moment lies in. Rounding up keeps an entry longer than its time
    /// and never shorter, so a window kept in steps admits no more than an exact one.
    pub(crate) fn step_end(self) -> Self {
        Self(self.0.checked_next_multiple_of(STEP_NS).unwrap_or(u64::MAX))
    }

    /// The time from here until `later`, zero if that is past.
    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

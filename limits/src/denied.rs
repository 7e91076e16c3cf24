//! Why a call was not admitted, and when it may be.
//!
//! Owns     `Denied`, the crate's one refusal, and its sentence for people.
//! Called   by `Account::admit`; read by whoever turns it into a status and headers.
//! Bounded  by nothing: a plain value.
//! Fails    never.

use crate::{LimitName, Now, Usd};
use std::fmt;
use std::time::Duration;

/// A call was not admitted. Nothing was taken from any limit.
///
/// When several limits refuse, this is the one that matters most: first one that no waiting cures,
/// then the one with the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The limit that refuses.
    pub limit: LimitName,
    /// Its value, in pico-USD where [`LimitName::is_money`].
    pub max: u64,
    /// How much of it counts now, reservations of calls in flight included.
    pub used: u64,
    /// How much of it the call would have taken.
    pub needed: u64,
    /// How long to wait. For [`DenyReason::Window`] and [`DenyReason::Spent`] exactly this long is
    /// enough if nothing else is admitted meanwhile; otherwise it is a hint.
    pub retry_after: Duration,
    /// The same on the wall clock: milliseconds since 1970, rounded up.
    pub reset_unix_ms: u64,
    /// What kind of refusal it is.
    pub reason: DenyReason,
}

/// The kinds of refusal, told apart because callers do different things about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// The call alone is above the limit: no waiting helps. `retry_after` is one period of it.
    NeverFits,
    /// The limit is 0: no waiting helps. `retry_after` is one period of it.
    Blocked,
    /// The day or month is used up, as far as this call goes.
    Spent,
    /// The day or month would have room if the calls in flight gave all their reservations back.
    Reserved,
    /// The last 60 seconds are full.
    Window,
    /// As many calls are open as may be.
    Busy,
}

impl DenyReason {
    /// Orders refusals by how little waiting helps.
    pub(crate) fn permanence(self) -> u8 {
        match self {
            Self::Blocked => 2,
            Self::NeverFits => 1,
            Self::Spent | Self::Reserved | Self::Window | Self::Busy => 0,
        }
    }
}

impl Denied {
    pub(crate) fn new(
        limit: LimitName,
        max: u64,
        used: u128,
        needed: u64,
        reason: DenyReason,
        retry_after: Duration,
        now: Now,
    ) -> Self {
        let wait_ms = u64::try_from(retry_after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self {
            limit,
            max,
            used: u64::try_from(used).unwrap_or(u64::MAX),
            needed,
            retry_after,
            reset_unix_ms: now.unix_ms.saturating_add(wait_ms),
            reason,
        }
    }
}

/// A number of a limit as people read it.
struct Amount(LimitName, u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(limit, amount) = *self;
        if limit.is_money() { Usd(amount).fmt(f) } else { amount.fmt(f) }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        let (max, used) = (Amount(limit, self.max), Amount(limit, self.used));
        let seconds = self.retry_after.as_nanos().div_ceil(1_000_000_000);
        match self.reason {
            DenyReason::NeverFits => {
                write!(
                    f,
                    "the request alone is above {limit} ({max}); shorten the prompt or ask for fewer output tokens"
                )
            }
            DenyReason::Blocked => {
                write!(f, "{limit} is 0 for this client; it may send nothing until the limit is raised")
            }
            DenyReason::Spent => {
                write!(
                    f,
                    "{limit} has too little left: {used} of {max} are taken; it starts anew in {seconds} s"
                )
            }
            DenyReason::Reserved => {
                write!(
                    f,
                    "{limit} is held by calls in flight: {used} of {max} are used or reserved; try again in {seconds} s"
                )
            }
            DenyReason::Window => {
                write!(
                    f,
                    "{limit} has too little left: {used} of {max} in the last minute; try again in {seconds} s"
                )
            }
            DenyReason::Busy => {
                write!(f, "{limit} is reached: {used} of {max} calls are open; try again when one has ended")
            }
        }
    }
}

impl std::error::Error for Denied {}

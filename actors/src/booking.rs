//! How a call ended, as its client's account and the ledger book it.
//!
//! Owns     the words of the ledger (`answered`, `left`, …), the rule which endings cost something, and what is noted of
//!          an attempt that failed on the way there.
//! Called   by whoever settles an admission; by limiters and the ledger.
//! Fails    never: plain values.

use std::time::Duration;

use gateway_limits::{Grade, Outcome, Price, Usage};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The upstream's answer went out whole.
    Answered,
    /// The client left first.
    Left,
    /// The upstream failed in the middle of its answer.
    Cut,
    /// The upstream refused the request for what it says.
    Refused,
    /// The upstream failed before any of its answer went out.
    Failed,
    /// Nothing was sent to any upstream.
    NeverSent,
    /// The process ended with the call in flight: booked at its bound by the next one.
    Crashed,
}

impl Ending {
    /// All endings.
    pub const ALL: [Self; 7] =
        [Self::Answered, Self::Left, Self::Cut, Self::Refused, Self::Failed, Self::NeverSent, Self::Crashed];

    /// The word in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Left => "left",
            Self::Cut => "cut",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NeverSent => "never_sent",
            Self::Crashed => "crashed",
        }
    }
}

/// What is booked for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booking {
    /// How it ended.
    pub ending: Ending,
    /// What it used; nothing is charged of it when the upstream refused or failed.
    pub usage: Usage,
    /// How the usage came to be known.
    pub grade: Grade,
    /// How many upstreams were asked.
    pub attempts: u32,
}

impl Booking {
    /// Nothing was sent, so nothing is charged.
    pub const NEVER_SENT: Self = Self::without_usage(Ending::NeverSent, 0);

    /// An ending of which nothing is charged.
    pub const fn without_usage(ending: Ending, attempts: u32) -> Self {
        let usage = Usage { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0 };
        Self { ending, usage, grade: Grade::Counted, attempts }
    }

    /// One call, answered, whose usage the upstream reported.
    pub const fn reported(usage: Usage) -> Self {
        Self { ending: Ending::Answered, usage, grade: Grade::Reported, attempts: 1 }
    }

    /// One call, answered, whose usage was counted from what was relayed.
    pub const fn counted(usage: Usage) -> Self {
        Self { ending: Ending::Answered, usage, grade: Grade::Counted, attempts: 1 }
    }

    /// What the client's account is charged; without a price the cost is 0.
    pub fn outcome(&self, price: Option<&Price>) -> Outcome {
        match self.ending {
            Ending::Answered | Ending::Left | Ending::Cut | Ending::Crashed => Outcome::Spent {
                tokens: self.usage.total(),
                cost: price.map_or(0, |price| price.cost(&self.usage)),
            },
            Ending::Refused | Ending::Failed => Outcome::Failed,
            Ending::NeverSent => Outcome::NeverSent,
        }
    }
}

/// How an attempt failed, and what is known or guessed of what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// In a fixed word.
    pub fault: &'static str,
    /// The upstream's status, where it gave one.
    pub status: Option<u16>,
    /// From sending until it failed.
    pub took: Duration,
    /// What the upstream may have used for it.
    pub usage: Usage,
    /// How that is known.
    pub grade: Grade,
}

//! One admission from its beginning to its end: what is asked, what came of it.
//!
//! Owns     the values that go into `Account::admit` and `Account::settle`.
//! Called   by `Account` and `Saved`, which must charge an outcome alike, so the rule is here.
//! Bounded  by `u64` tokens.
//! Fails    never: plain values.

/// Names one admission. Whoever hands them out counts up and never uses one twice for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdmissionId(pub u64);

/// What a call wants to be let in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The most tokens the call can use, prompt and output together.
    pub tokens: u64,
}

/// How an admitted call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It used this many tokens. More than its bound is accepted, see [`crate::View::debt`].
    Spent {
        /// Prompt and output together.
        tokens: u64,
    },
    /// The upstream failed: the tokens come back, the request stays counted.
    Failed,
    /// Nothing was sent to any upstream: tokens and request come back.
    NeverSent,
}

impl Outcome {
    /// How many requests stay in the window.
    pub(crate) fn requests(self) -> u64 {
        match self {
            Self::Spent { .. } | Self::Failed => 1,
            Self::NeverSent => 0,
        }
    }

    /// How many tokens stay in the window and the day.
    pub(crate) fn tokens(self) -> u64 {
        match self {
            Self::Spent { tokens } => tokens,
            Self::Failed | Self::NeverSent => 0,
        }
    }
}

/// What a settlement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What had been reserved.
    pub bound: u64,
    /// What is charged in its place. Above `bound`, the bound was wrong.
    pub tokens: u64,
}

//! One admission from its beginning to its end: what is asked, what came of it.
//!
//! Owns     the values that go into `Account::admit` and `Account::settle`.
//! Called   by `Account` and `Saved`, which must charge an outcome alike, so the rule is here.
//! Bounded  by `u64` tokens and pico-USD.
//! Fails    never: plain values.

/// Names one admission. Whoever hands them out counts up and never uses one twice for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdmissionId(pub u64);

/// What a call wants to be let in with: the most it can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Tokens, prompt and output together.
    pub tokens: u64,
    /// Pico-USD. 0 for a model without a price, which whoever knows of budgets refuses before.
    pub cost: u64,
}

impl From<u64> for Ask {
    /// So many tokens that cost nothing.
    fn from(tokens: u64) -> Self {
        Self { tokens, cost: 0 }
    }
}

/// How an admitted call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It used this much. More than its bound is accepted, see [`crate::View::debt`].
    Spent {
        /// Prompt and output together.
        tokens: u64,
        /// Pico-USD.
        cost: u64,
    },
    /// The upstream failed: tokens and money come back, the request stays counted.
    Failed,
    /// Nothing was sent to any upstream: tokens, money and request come back.
    NeverSent,
}

impl Outcome {
    /// How many requests stay in the window.
    pub const fn requests(self) -> u64 {
        match self {
            Self::Spent { .. } | Self::Failed => 1,
            Self::NeverSent => 0,
        }
    }

    /// How many tokens stay in the window and the day.
    pub const fn tokens(self) -> u64 {
        match self {
            Self::Spent { tokens, .. } => tokens,
            Self::Failed | Self::NeverSent => 0,
        }
    }

    /// How many pico-USD stay in the day and the month.
    pub const fn cost(self) -> u64 {
        match self {
            Self::Spent { cost, .. } => cost,
            Self::Failed | Self::NeverSent => 0,
        }
    }
}

/// What a settlement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What had been reserved.
    pub bound: Ask,
    /// The tokens charged in its place. Above the bound, the bound was wrong.
    pub tokens: u64,
    /// The pico-USD charged in its place. Above the bound, the bound was wrong.
    pub cost: u64,
}

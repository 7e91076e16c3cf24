//! What a client is allowed, and the names its limits go by in configuration, headers and errors.
//!
//! Owns     `Limits`, their `Mode`, and `LimitName`.
//! Called   by whoever reads a client's configuration, and by `Account`.
//! Bounded  by `u64`; a limit that is not set is not a number but `None`.
//! Fails    never: plain values.

use std::fmt;

/// The limits of one client. `None` is unlimited; `Some(0)` blocks the client altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests admitted in any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens of the requests admitted in any 60 seconds.
    pub tokens_per_minute: Option<u64>,
    /// Tokens of the requests admitted in one UTC calendar day.
    pub tokens_per_day: Option<u64>,
    /// Pico-USD of the requests admitted in one UTC calendar day.
    pub usd_per_day: Option<u64>,
    /// Pico-USD of the requests admitted in one UTC calendar month.
    pub usd_per_month: Option<u64>,
    /// Calls open at the same time.
    pub concurrent_requests: Option<u64>,
    /// What is done about a call that they refuse.
    pub mode: Mode,
}

/// What is done about a call that a limit refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is let in, counted like any other, and told of: so limits can be tried out before they hurt.
    Shadow,
}

impl Mode {
    /// The word as a client's configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

impl Limits {
    /// Whether money is limited.
    pub const fn has_budget(&self) -> bool {
        self.usd_per_day.is_some() || self.usd_per_month.is_some()
    }
}

/// Which limit a number or a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitName {
    /// [`Limits::requests_per_minute`]
    RequestsPerMinute,
    /// [`Limits::tokens_per_minute`]
    TokensPerMinute,
    /// [`Limits::tokens_per_day`]
    TokensPerDay,
    /// [`Limits::usd_per_day`]
    UsdPerDay,
    /// [`Limits::usd_per_month`]
    UsdPerMonth,
    /// [`Limits::concurrent_requests`]
    ConcurrentRequests,
}

impl LimitName {
    /// The name as a client's configuration writes it, for example `requests_per_minute`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requests_per_minute",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::TokensPerDay => "tokens_per_day",
            Self::UsdPerDay => "usd_per_day",
            Self::UsdPerMonth => "usd_per_month",
            Self::ConcurrentRequests => "concurrent_requests",
        }
    }

    /// Whether the limit's numbers are pico-USD.
    pub const fn is_money(self) -> bool {
        match self {
            Self::UsdPerDay | Self::UsdPerMonth => true,
            Self::RequestsPerMinute
            | Self::TokensPerMinute
            | Self::TokensPerDay
            | Self::ConcurrentRequests => false,
        }
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

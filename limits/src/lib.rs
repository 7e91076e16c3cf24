//! The arithmetic of one client's limits.
//!
//! An [`Account`] answers one question, *may this call be made now?*, and keeps it true for every
//! limit of the client at once: requests and tokens per minute, tokens per day, money per day and
//! month, calls at the same time. What is admitted reserves the most it can use ([`Ask`]) and is
//! settled to what it did use ([`Outcome`]). Between the two, `used + reserved` stays within the
//! limit.
//!
//! Tokens come in disjoint parts ([`Usage`]), each with a price of its own ([`Price`]). Money is
//! whole pico-USD: nothing is rounded, and sums are exact.
//!
//! The crate knows no runtime, no I/O and no clock: the time is an argument ([`Now`]). An account
//! is plain single-owner state, so a decision is one uninterrupted step and two calls can never
//! both take the last token.
//!
//! An account may be lost at any moment. [`Saved`] is what a ledger keeps to build it again: a
//! fold over one [`Record`] per admission and one per settlement. A new process begins with
//! [`Saved::restored`] and the clock that [`resumed`] gives it.
//!
//! ```
//! use gateway_limits::{Account, AdmissionId, Ask, LimitName, Limits, Now, Outcome};
//! use gateway_limits::{PICO_PER_USD, Price, Usage, Usd};
//! use std::time::Duration;
//!
//! // At most a cent a day, for a model at 2 USD per million prompt tokens and 8 USD for output.
//! let limits = Limits { usd_per_day: Some(PICO_PER_USD / 100), ..Limits::default() };
//! let price = Price { input: 2_000_000, output: 8_000_000, ..Price::FREE };
//! let mut account = Account::new(limits);
//! let now = Now { mono: Duration::from_secs(5), unix_ms: 1_767_225_600_000 };
//!
//! // 100 tokens of prompt and up to 1,000 of output: admitted, and reserved until the call ends.
//! let ask = Ask { tokens: 1_100, cost: price.bound(100, 1_000) };
//! assert_eq!(Usd(ask.cost).to_string(), "0.0082");
//! assert!(account.admit(now, AdmissionId(1), ask).is_ok());
//!
//! // Another such call does not fit beside it. The refusal took nothing.
//! let denied = account.admit(now, AdmissionId(2), ask).err();
//! assert_eq!(denied.map(|denied| denied.limit), Some(LimitName::UsdPerDay));
//!
//! // The first call wrote 20 tokens, so the rest of what it held is free again.
//! let usage = Usage { input: 100, output: 20, ..Usage::default() };
//! let spent = Outcome::Spent { tokens: usage.total(), cost: price.cost(&usage) };
//! account.settle(now, AdmissionId(1), spent);
//! assert!(account.admit(now, AdmissionId(2), ask).is_ok());
//! ```

mod account;
mod admission;
mod calendar;
mod denied;
mod limits;
mod money;
mod now;
mod period;
mod saved;
mod usage;
mod view;
mod window;

pub use account::Account;
pub use admission::{AdmissionId, Ask, Outcome, Settled};
pub use denied::{Denied, DenyReason};
pub use limits::{LimitName, Limits, Mode};
pub use money::{PICO_PER_USD, Price, Usd};
pub use now::{Now, resumed};
pub use saved::{Recent, Record, Saved, Sums};
pub use usage::{Grade, Usage};
pub use view::{Meter, View};

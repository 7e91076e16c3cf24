//! The arithmetic of one client's limits.
//!
//! An [`Account`] answers one question, *may this call be made now?*, and keeps it true for every
//! limit of the client at once: requests per minute, tokens per minute, tokens per day, calls at
//! the same time. What is admitted reserves the most it can use ([`Ask`]) and is settled to what
//! it did use ([`Outcome`]). Between the two, `used + reserved` stays within the limit.
//!
//! The crate knows no runtime, no I/O and no clock: the time is an argument ([`Now`]). An account
//! is plain single-owner state, so a decision is one uninterrupted step and two calls can never
//! both take the last token.
//!
//! An account may be lost at any moment. [`Saved`] is what a ledger keeps to build it again: a
//! fold over one [`Record`] per admission and one per settlement.
//!
//! ```
//! use gateway_limits::{Account, AdmissionId, Ask, LimitName, Limits, Now, Outcome};
//! use std::time::Duration;
//!
//! let limits = Limits { tokens_per_day: Some(1_000), ..Limits::default() };
//! let mut account = Account::new(limits);
//! let now = Now { mono: Duration::from_secs(5), unix_ms: 1_767_225_600_000 };
//!
//! // 900 tokens at most: admitted, and reserved until the call has ended.
//! assert!(account.admit(now, AdmissionId(1), Ask { tokens: 900 }).is_ok());
//!
//! // Another 900 do not fit beside them. The refusal took nothing.
//! let denied = account.admit(now, AdmissionId(2), Ask { tokens: 900 }).err();
//! assert_eq!(denied.map(|denied| denied.limit), Some(LimitName::TokensPerDay));
//!
//! // The first call used 40, so the other 860 are free again.
//! account.settle(now, AdmissionId(1), Outcome::Spent { tokens: 40 });
//! assert!(account.admit(now, AdmissionId(2), Ask { tokens: 900 }).is_ok());
//! ```

mod account;
mod admission;
mod day;
mod denied;
mod limits;
mod now;
mod saved;
mod view;
mod window;

pub use account::Account;
pub use admission::{AdmissionId, Ask, Outcome, Settled};
pub use denied::{Denied, DenyReason};
pub use limits::{LimitName, Limits};
pub use now::Now;
pub use saved::{Record, Saved};
pub use view::{Meter, View};

//! How often a failed call is tried again.
//!
//! Owns     the settings of `[retries]`.
//! Called   by `Settings`; read where calls are made.
//! Bounded  by [`ATTEMPTS_MAX`].
//! Fails    in the report only.

use crate::config::{Report, Section, values};

/// The most attempts that can be asked for: beyond it one request of ours is a storm upstream.
const ATTEMPTS_MAX: u32 = 20;

/// `[retries]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    /// Attempts over all providers and keys, the first included.
    pub max_attempts: u32,
    /// Retries at most this share of requests, per failing provider.
    pub budget_ratio: f64,
    /// Retries that are always allowed, per 10 s.
    pub budget_floor: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { max_attempts: 3, budget_ratio: 0.2, budget_floor: 10 }
    }
}

impl Retries {
    pub(crate) fn read(mut section: Section<'_>, report: &mut Report) -> Self {
        let default = Self::default();
        let max_attempts = section.get("max_attempts", values::whole_u32(1, ATTEMPTS_MAX), report);
        let budget_ratio = section.get("budget_ratio", values::share, report);
        let budget_floor = section.get("budget_floor", values::whole_u32(0, u32::MAX), report);
        section.finish(report);
        Self {
            max_attempts: max_attempts.unwrap_or(default.max_attempts),
            budget_ratio: budget_ratio.unwrap_or(default.budget_ratio),
            budget_floor: budget_floor.unwrap_or(default.budget_floor),
        }
    }
}

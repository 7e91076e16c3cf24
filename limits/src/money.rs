//! Money as whole pico-USD, and what a call costs.
//!
//! Owns     `Price`, a model's price list, and `Usd`, an amount as people read it.
//! Called   by whoever turns tokens into money: before a call for its bound, after it for its cost.
//! Bounded  by `u64`: 18.4 million USD. A sum above that counts as that and never wraps.
//! Fails    never. There is no rounding either: a pico-USD is 10^-12 USD, and a price of 1 USD per
//!          million tokens is a million of them per token, so prices with up to six decimals per
//!          million tokens are whole numbers.

use crate::Usage;
use std::fmt;

/// Pico-USD in one USD.
pub const PICO_PER_USD: u64 = 1_000_000_000_000;

/// Digits behind the point of an amount in USD that is a whole number of pico-USD.
const DECIMALS: usize = 12;

/// Decimals of USD that are always shown: cents.
const DECIMALS_MIN: usize = 2;

/// What a model's tokens cost, in pico-USD per token: 1 USD per million tokens is 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Price {
    /// Per token of [`Usage::input`].
    pub input: u64,
    /// Per token of [`Usage::cache_read`].
    pub cache_read: u64,
    /// Per token of [`Usage::cache_write`].
    pub cache_write: u64,
    /// Per token of [`Usage::output`].
    pub output: u64,
    /// Per token of [`Usage::reasoning`].
    pub reasoning: u64,
}

impl Price {
    /// Nothing costs anything.
    pub const FREE: Self = Self { input: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0 };

    /// What `usage` costs, in pico-USD. Each token is paid once, as the parts do not overlap.
    pub fn cost(&self, usage: &Usage) -> u64 {
        [
            (self.input, usage.input),
            (self.cache_read, usage.cache_read),
            (self.cache_write, usage.cache_write),
            (self.output, usage.output),
            (self.reasoning, usage.reasoning),
        ]
        .into_iter()
        .fold(0, |sum, (price, tokens)| sum.saturating_add(price.saturating_mul(tokens)))
    }

    /// The most that a call can cost, in pico-USD, when all of its `prompt` and `output` tokens are
    /// counted in the dearest way: nobody knows before the call what is cached or reasoned.
    pub fn bound(&self, prompt: u64, output: u64) -> u64 {
        let of_prompt = self.input.max(self.cache_read).max(self.cache_write);
        let of_output = self.output.max(self.reasoning);
        of_prompt.saturating_mul(prompt).saturating_add(of_output.saturating_mul(output))
    }
}

/// An amount of pico-USD that shows itself in USD: exactly, with at least two decimals and no
/// zeros behind those that matter (`5.00`, `0.000123`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(pub u64);

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut decimals) = (self.0 % PICO_PER_USD, DECIMALS);
        while decimals > DECIMALS_MIN && rest.is_multiple_of(10) {
            rest /= 10;
            decimals -= 1;
        }
        f.pad(&format!("{}.{rest:0decimals$}", self.0 / PICO_PER_USD))
    }
}

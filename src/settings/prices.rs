//! What a model charges, as a row of models.toml says it.
//!
//! Owns     the price members of a row, what stands in for those that are left out, and the row's name.
//! Called   by `capabilities`; by whoever tells a person which row is missing.
//! Bounded  by `values::price`: six decimals, so that a token costs a whole number of pico-dollars.
//! Fails    in the report only. A model of which the price of input or output is not known has no price.

use gateway_limits::Price;

use crate::config::{Report, Section, values};

/// The prices of one row, in pico-dollars per token; `None` where it says none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Prices {
    input: Option<u64>,
    cached_input: Option<u64>,
    cache_write: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Prices {
    pub(super) fn read(section: &mut Section<'_>, report: &mut Report) -> Self {
        let mut price = |key| section.get(key, values::price, report);
        Self {
            input: price("input"),
            cached_input: price("cached_input"),
            cache_write: price("cache_write"),
            output: price("output"),
            reasoning: price("reasoning"),
        }
    }

    /// These prices, with others where these say nothing.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            input: self.input.or(others.input),
            cached_input: self.cached_input.or(others.cached_input),
            cache_write: self.cache_write.or(others.cache_write),
            output: self.output.or(others.output),
            reasoning: self.reasoning.or(others.reasoning),
        }
    }

    /// The price of every kind of token: what is left out costs as much as plain input or output.
    pub(super) fn whole(self) -> Option<Price> {
        let (input, output) = (self.input?, self.output?);
        Some(Price {
            input,
            cache_read: self.cached_input.unwrap_or(input),
            cache_write: self.cache_write.unwrap_or(input),
            output,
            reasoning: self.reasoning.unwrap_or(output),
        })
    }
}

/// The head of the row in models.toml that is about one model alone, such as `[openai."gpt-4o"]`.
pub fn row_of(provider: &str, model: &str) -> String {
    // Of the characters of a provider's name only the dot means something else in TOML.
    let quote = if provider.contains('.') { "\"" } else { "" };
    format!("[{quote}{provider}{quote}.\"{model}\"]")
}

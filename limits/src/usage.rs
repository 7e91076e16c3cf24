//! The tokens of one call as disjoint parts that add up, and how surely they are known.
//!
//! Owns     `Usage` and `Grade`, the words in which readers of answers, prices and ledgers agree.
//! Called   by whoever reads an upstream's answer, and by [`crate::Price`], which takes the parts.
//! Bounded  by saturation: sums stop at `u64::MAX`.
//! Fails    never: plain values.

/// The tokens of one call, in parts that do not overlap. Units: tokens of the upstream's own
/// tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Prompt tokens read at the full price.
    pub input: u64,
    /// Prompt tokens found in the upstream's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the upstream's cache.
    pub cache_write: u64,
    /// Tokens of the visible answer, tool calls included.
    pub output: u64,
    /// Tokens spent on reasoning, whether shown or not.
    pub reasoning: u64,
}

impl Usage {
    /// All parts together.
    pub fn total(&self) -> u64 {
        self.prompt_tokens().saturating_add(self.completion_tokens())
    }

    /// OpenAI's `prompt_tokens`: cached ones included.
    pub fn prompt_tokens(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// OpenAI's `completion_tokens`: reasoning included.
    pub fn completion_tokens(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }
}

/// How a [`Usage`] came to be known, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// The upstream said so.
    Reported,
    /// Counted from what was relayed.
    Counted,
    /// Neither: the bound that was reserved.
    Estimated,
}

impl Grade {
    /// The name used in ledgers and answers: `reported`, `counted` or `estimated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::Estimated => "estimated",
        }
    }

    /// The grade of that name, as [`Grade::as_str`] writes it.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Reported, Self::Counted, Self::Estimated].into_iter().find(|grade| grade.as_str() == name)
    }
}

//! How OpenAI-compatible upstreams report tokens, read into disjoint parts that add up.
//!
//! Owns     the arithmetic between what an upstream writes and what is booked.
//! Called   by the readers of answers and streams; limits and prices take the parts.
//! Bounded  by saturation: sums stop at `u64::MAX`, differences at zero.
//! Fails    never; a report that says nothing usable is `None`.

use crate::json::{Cursor, JsonFault, Kind, Value};

pub use gateway_limits::{Grade, Usage};

mod anthropic;
mod gemini;
mod responses;
#[cfg(test)]
mod tests;

pub(crate) use anthropic::AnthropicReport;
pub use anthropic::from_anthropic;
pub use gemini::from_gemini;
pub use responses::from_responses;

/// Reads a `usage` object of the chat API; `None` when it counts nothing.
///
/// OpenAI counts cached tokens inside `prompt_tokens` and reasoning inside `completion_tokens`,
/// and details both in `…_tokens_details`. DeepSeek says `prompt_cache_hit_tokens` instead (its
/// "miss" is plain input). xAI leaves reasoning out of `completion_tokens`, Gemini's compatible
/// surface does the same without saying how much: what `total_tokens` has beyond prompt and
/// completion is therefore reasoning too. Members may be null, missing, or written as floats.
pub fn from_openai(usage: &Value<'_>) -> Option<Usage> {
    if usage.kind != Kind::Object {
        return None;
    }
    // The value was scanned before, so a fault here cannot happen; it would mean "no usage".
    Report::read(usage.raw).ok()?.settled()
}

/// The members of a report as they were written.
#[derive(Default)]
struct Report {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
}

impl Report {
    fn read(raw: &str) -> Result<Self, JsonFault> {
        let mut report = Self::default();
        let mut cursor = Cursor::new(raw);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            match &*key.name {
                "prompt_tokens" => report.prompt = cursor.value()?.as_count(),
                "completion_tokens" => report.completion = cursor.value()?.as_count(),
                "total_tokens" => report.total = cursor.value()?.as_count(),
                "prompt_cache_hit_tokens" => raise(&mut report.cache_read, &cursor.value()?),
                "prompt_tokens_details" | "completion_tokens_details" => {
                    report.read_details(&mut cursor)?;
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(report)
    }

    fn read_details(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        while let Some(key) = cursor.next_key()? {
            let value = cursor.value()?;
            match &*key.name {
                "cached_tokens" => raise(&mut self.cache_read, &value),
                "cache_write_tokens" => raise(&mut self.cache_write, &value),
                "reasoning_tokens" => raise(&mut self.reasoning, &value),
                _ => {}
            }
        }
        Ok(())
    }

    /// The report as disjoint parts.
    fn settled(self) -> Option<Usage> {
        if self.prompt.is_none() && self.completion.is_none() {
            return None;
        }
        let prompt = self.prompt.unwrap_or(0);
        let completion = self.completion.unwrap_or(0);
        let counted = prompt.saturating_add(completion);
        let reasoning_outside = match self.total {
            Some(total) => total.saturating_sub(counted),
            None if self.reasoning > completion => self.reasoning,
            None => 0,
        };
        let reasoning_inside = self.reasoning.saturating_sub(reasoning_outside).min(completion);
        let cache_read = self.cache_read.min(prompt);
        let cache_write = self.cache_write.min(prompt - cache_read);
        Some(Usage {
            input: prompt - cache_read - cache_write,
            cache_read,
            cache_write,
            output: completion - reasoning_inside,
            reasoning: reasoning_outside.saturating_add(reasoning_inside),
        })
    }
}

/// The same count may be written in two places; the larger one is it.
fn raise(count: &mut u64, value: &Value<'_>) {
    *count = (*count).max(value.as_count().unwrap_or(0));
}

//! How Anthropic's Messages API reports tokens: whole answers, and running totals in a stream.
//!
//! Owns     the sums of one report, and of the reports of one stream together.
//! Called   by the readers of Anthropic's answers.
//! Bounded  by saturation, as every sum of [`super`].
//! Fails    never; a report that says nothing usable is `None`.

use super::Usage;
use crate::json::{Cursor, JsonFault, Kind, Value};

/// Reads a `usage` object of the Messages API; `None` when it counts nothing.
///
/// `input_tokens` leaves out what was read from the cache (`cache_read_input_tokens`) and what was written to it
/// (`cache_creation_input_tokens`, told apart by lifetime in `cache_creation`). `output_tokens` includes thinking,
/// which newer models detail in `output_tokens_details.thinking_tokens`.
pub fn from_anthropic(usage: &Value<'_>) -> Option<Usage> {
    let mut report = AnthropicReport::default();
    report.take(usage);
    report.usage()
}

/// What the reports of one answer say together.
///
/// A stream reports the prompt at its start and the totals so far at its end, and each may leave out or write as zero
/// what the other says. The numbers only grow, so the largest is the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnthropicReport {
    input: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    output: Option<u64>,
    thinking: u64,
}

impl AnthropicReport {
    /// Adds a `usage` object; anything else says nothing.
    pub fn take(&mut self, usage: &Value<'_>) {
        if usage.kind == Kind::Object {
            // The value was scanned before, so a fault here cannot happen; what was read until then counts.
            let _ = self.read(usage.raw);
        }
    }

    /// The parts; `None` when neither the prompt nor the answer was counted.
    pub fn usage(&self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let output = self.output.unwrap_or(0);
        let reasoning = self.thinking.min(output);
        Some(Usage {
            input: self.input.unwrap_or(0),
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            output: output - reasoning,
            reasoning,
        })
    }

    fn read(&mut self, raw: &str) -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(raw);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            match &*key.name {
                "input_tokens" => self.input = self.input.max(cursor.value()?.as_count()),
                "output_tokens" => self.output = self.output.max(cursor.value()?.as_count()),
                "cache_read_input_tokens" => raise(&mut self.cache_read, cursor.value()?.as_count()),
                "cache_creation_input_tokens" => raise(&mut self.cache_write, cursor.value()?.as_count()),
                // By lifetime: five minutes and an hour, which the member above counts together.
                "cache_creation" => {
                    let by_lifetime = sum(&mut cursor, |name| name.ends_with("_input_tokens"))?;
                    raise(&mut self.cache_write, by_lifetime);
                }
                "output_tokens_details" => {
                    let thinking = sum(&mut cursor, |name| name == "thinking_tokens")?;
                    raise(&mut self.thinking, thinking);
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
        Ok(())
    }
}

fn raise(count: &mut u64, reported: Option<u64>) {
    *count = (*count).max(reported.unwrap_or(0));
}

/// The counts of an object's members whose names are asked for, together.
fn sum(cursor: &mut Cursor<'_>, is_counted: impl Fn(&str) -> bool) -> Result<Option<u64>, JsonFault> {
    if !cursor.enter_if(Kind::Object)? {
        return Ok(None);
    }
    let mut sum = 0_u64;
    while let Some(key) = cursor.next_key()? {
        let count = cursor.value()?.as_count();
        if is_counted(&key.name) {
            sum = sum.saturating_add(count.unwrap_or(0));
        }
    }
    Ok(Some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value<'_> {
        Cursor::new(json).value().unwrap()
    }

    #[test]
    fn cached_tokens_stand_beside_the_input() {
        let json = r#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,
            "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},
            "output_tokens":40,"output_tokens_details":{"thinking_tokens":15},"service_tier":"standard"}"#;
        let expected = Usage { input: 10, cache_read: 3000, cache_write: 200, output: 25, reasoning: 15 };
        assert_eq!(from_anthropic(&value(json)), Some(expected));
    }

    #[test]
    fn what_was_written_to_the_cache_may_be_told_by_lifetime_alone() {
        let json = r#"{"input_tokens":1,"output_tokens":2,
            "cache_creation":{"ephemeral_5m_input_tokens":7,"ephemeral_1h_input_tokens":5}}"#;
        assert_eq!(from_anthropic(&value(json)).unwrap().cache_write, 12);
    }

    #[test]
    fn nulls_and_floats_are_read_and_nothing_counted_is_nothing_reported() {
        let json = r#"{"input_tokens":3.0,"output_tokens":null,"cache_read_input_tokens":null,"cache_creation":null}"#;
        assert_eq!(from_anthropic(&value(json)), Some(Usage { input: 3, ..Usage::default() }));
        for nothing in ["{}", "null", "[1]", r#"{"input_tokens":null}"#, r#"{"cache_read_input_tokens":4}"#] {
            assert_eq!(from_anthropic(&value(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn the_reports_of_a_stream_are_totals_so_far() {
        let mut report = AnthropicReport::default();
        report.take(&value(r#"{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":1}"#));
        report.take(&value(r#"{"input_tokens":0,"output_tokens":30}"#));
        report.take(&value(r#"{"output_tokens":12}"#));
        let expected = Usage { input: 9, cache_read: 4, output: 30, ..Usage::default() };
        assert_eq!(report.usage(), Some(expected));
    }
}

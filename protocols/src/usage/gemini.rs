//! How Gemini reports tokens.
//!
//! Owns     the arithmetic between a `usageMetadata`, or an interaction's `usage`, and what is booked.
//! Called   by the readers of Gemini's answers and streams.
//! Bounded  by saturation, as in [`super::from_openai`].
//! Fails    never; a report that says nothing usable is `None`.

use crate::json::{Cursor, JsonFault, Kind, Value};
use crate::usage::Usage;

/// Reads a `usageMetadata` of the Gemini API; `None` when it counts nothing.
///
/// `promptTokenCount` holds the cached tokens (`cachedContentTokenCount`) too. What the results of the upstream's own
/// tools added to the prompt (`toolUsePromptTokenCount`) and the thoughts (`thoughtsTokenCount`) stand beside prompt
/// and candidates; `totalTokenCount` is the sum of all four. What it has beyond those that are given is thought.
///
/// An interaction counts the same under names of its own (`total_input_tokens` and so on).
pub fn from_gemini(usage: &Value<'_>) -> Option<Usage> {
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
    candidates: Option<u64>,
    total: Option<u64>,
    cached: u64,
    tool_use: u64,
    thoughts: Option<u64>,
}

impl Report {
    fn read(raw: &str) -> Result<Self, JsonFault> {
        let mut report = Self::default();
        let mut cursor = Cursor::new(raw);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            let count = cursor.value()?.as_count();
            match &*key.name {
                "promptTokenCount" | "total_input_tokens" => report.prompt = count,
                "candidatesTokenCount" | "total_output_tokens" => report.candidates = count,
                "totalTokenCount" | "total_tokens" => report.total = count,
                "cachedContentTokenCount" | "total_cached_tokens" => report.cached = count.unwrap_or(0),
                "toolUsePromptTokenCount" | "total_tool_use_tokens" => report.tool_use = count.unwrap_or(0),
                "thoughtsTokenCount" | "total_thought_tokens" => report.thoughts = count,
                _ => {}
            }
        }
        Ok(report)
    }

    /// The report as disjoint parts.
    fn settled(self) -> Option<Usage> {
        if self.prompt.is_none() && self.candidates.is_none() {
            return None;
        }
        let prompt = self.prompt.unwrap_or(0);
        let output = self.candidates.unwrap_or(0);
        let counted = prompt.saturating_add(self.tool_use).saturating_add(output);
        let beyond = self.total.unwrap_or(0).saturating_sub(counted);
        let cache_read = self.cached.min(prompt);
        Some(Usage {
            input: (prompt - cache_read).saturating_add(self.tool_use),
            cache_read,
            cache_write: 0,
            output,
            reasoning: self.thoughts.unwrap_or(beyond),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Usage> {
        from_gemini(&Cursor::new(json).value().unwrap())
    }

    fn usage(input: u64, cache_read: u64, output: u64, reasoning: u64) -> Option<Usage> {
        Some(Usage { input, cache_read, cache_write: 0, output, reasoning })
    }

    #[test]
    fn the_prompt_holds_the_cached_tokens_and_the_thoughts_stand_beside_the_candidates() {
        let json = r#"{"promptTokenCount":100,"cachedContentTokenCount":80,"candidatesTokenCount":20,
            "thoughtsTokenCount":300,"totalTokenCount":420,"promptTokensDetails":[{"modality":"TEXT","tokenCount":100}]}"#;
        assert_eq!(read(json), usage(20, 80, 20, 300));
        assert_eq!(read(json).unwrap().total(), 420);
    }

    #[test]
    fn an_interaction_counts_the_same_under_names_of_its_own() {
        let json = r#"{"total_input_tokens":100,"total_cached_tokens":80,"total_output_tokens":20,
            "total_thought_tokens":300,"total_tool_use_tokens":5,"total_tokens":425}"#;
        assert_eq!(read(json), usage(25, 80, 20, 300));
    }

    #[test]
    fn results_of_the_upstreams_own_tools_are_input() {
        let json = r#"{"promptTokenCount":10,"toolUsePromptTokenCount":90,"candidatesTokenCount":5,"totalTokenCount":105}"#;
        assert_eq!(read(json), usage(100, 0, 5, 0));
    }

    #[test]
    fn thoughts_that_only_the_total_counts_are_booked() {
        assert_eq!(
            read(r#"{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":65}"#),
            usage(10, 0, 5, 50)
        );
    }

    #[test]
    fn an_early_report_has_the_prompt_alone() {
        assert_eq!(read(r#"{"promptTokenCount":10,"totalTokenCount":10}"#), usage(10, 0, 0, 0));
    }

    #[test]
    fn nulls_and_absurd_counts_never_underflow() {
        let json = r#"{"promptTokenCount":1,"cachedContentTokenCount":9,"candidatesTokenCount":null,"totalTokenCount":null}"#;
        assert_eq!(read(json), usage(0, 1, 0, 0));
        let json =
            r#"{"promptTokenCount":99999999999999999999,"toolUsePromptTokenCount":99999999999999999999}"#;
        assert_eq!(read(json).unwrap().total(), u64::MAX);
    }

    #[test]
    fn a_report_without_counts_is_none() {
        for json in ["null", "{}", "[]", r#"{"trafficType":"ON_DEMAND"}"#, r#"{"totalTokenCount":7}"#] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}

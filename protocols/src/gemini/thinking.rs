//! How much to think, as Gemini's models are told.
//!
//! Owns     the two ways of telling, and which model takes which: up to Gemini 2.5 a budget in tokens, later a level
//!          ("Gemini thinking" in Google's API guide).
//! Called   by the writer of requests.
//! Bounded  by the model's range of budgets.
//! Fails    with [`Untranslatable`] where a model that cannot stop thinking is told to, unless that may be left out.

use crate::conversation::{Effort, Losses, Reasoning, Untranslatable};
use crate::json::Writer;

/// Generations of models that are asked in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    /// Gemini 1 and 2.
    UpTo2,
    /// Gemini 3 and later, and names that say no number: they stand for the newest.
    Later,
}

impl Series {
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or_default();
        if name.starts_with("gemini-1") || name.starts_with("gemini-2") { Self::UpTo2 } else { Self::Later }
    }
}

/// The least and the largest budget of a model but 0. Pro models cannot stop thinking.
fn budgets(model: &str) -> (u64, u64) {
    if model.contains("pro") {
        (128, 32_768)
    } else if model.contains("lite") {
        (512, 24_576)
    } else {
        (1, 24_576)
    }
}

/// The `thinkingConfig` for a model, or `None` where nothing need be said.
pub(super) fn config(
    reasoning: Reasoning,
    model: &str,
    losses: &mut Losses,
) -> Result<Option<String>, Untranslatable> {
    let must_think = model.contains("pro");
    let told_not_to = reasoning.budget_tokens == Some(0)
        || reasoning.effort == Some(Effort::None) && reasoning.budget_tokens.is_none();
    if told_not_to && must_think {
        losses.lose("reasoning_effort")?;
    }
    let (least, most) = budgets(model);
    let budget = |tokens: u64| match tokens {
        0 if !must_think => 0,
        tokens => tokens.clamp(least, most),
    };
    let (tokens, level) = match (Series::of(model), reasoning.effort, reasoning.budget_tokens) {
        (_, None, None) => (None, None),
        (Series::UpTo2, _, Some(tokens)) => (Some(budget(tokens)), None),
        (Series::UpTo2, Some(effort), None) => (Some(budget(effort.budget_tokens())), None),
        (Series::Later, Some(effort), _) => (None, Some(level(effort, must_think))),
        (Series::Later, None, Some(0)) => (None, Some(level(Effort::None, must_think))),
        // Still taken, and a caller that counts tokens means them.
        (Series::Later, None, Some(tokens)) => (Some(budget(tokens)), None),
    };
    if tokens.is_none() && level.is_none() && reasoning.shown.is_none() {
        return Ok(None);
    }
    let mut json = Writer::new();
    json.object(|json| {
        if let Some(tokens) = tokens {
            json.key("thinkingBudget").number(tokens);
        }
        json.text_member("thinkingLevel", level);
        if let Some(shown) = reasoning.shown {
            json.key("includeThoughts").bool(shown);
        }
    });
    Ok(Some(json.into_text()))
}

/// The word for an effort. The least one is as good as none, by Google's guide; pro models begin above it.
fn level(effort: Effort, must_think: bool) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal if !must_think => "minimal",
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Highest => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        effort: Option<Effort>,
        budget_tokens: Option<u64>,
        model: &str,
    ) -> Result<Option<String>, Untranslatable> {
        config(Reasoning { effort, budget_tokens, shown: None }, model, &mut Losses::new("Gemini", false))
    }

    #[test]
    fn budgets_are_for_models_up_to_2_and_levels_for_later_ones() {
        let efforts =
            [Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::Highest];
        let told = |model| efforts.map(|effort| written(Some(effort), None, model).unwrap().unwrap());
        let budget = |tokens: u64| format!(r#"{{"thinkingBudget":{tokens}}}"#);
        assert_eq!(told("gemini-2.5-flash"), [0, 1_024, 1_024, 8_192, 24_576, 24_576].map(budget));
        let level = |word: &str| format!(r#"{{"thinkingLevel":"{word}"}}"#);
        let levels = ["minimal", "minimal", "low", "medium", "high", "high"].map(level);
        assert_eq!(told("gemini-3-flash-preview"), levels);
    }

    #[test]
    fn a_budget_stays_in_the_models_range() {
        let budget = |tokens, model| written(None, Some(tokens), model).unwrap().unwrap();
        assert_eq!(budget(100_000, "gemini-2.5-flash"), r#"{"thinkingBudget":24576}"#);
        assert_eq!(budget(100_000, "gemini-2.5-pro"), r#"{"thinkingBudget":32768}"#);
        assert_eq!(budget(100, "gemini-2.5-flash-lite"), r#"{"thinkingBudget":512}"#);
        assert_eq!(budget(2_000, "gemini-3-pro"), r#"{"thinkingBudget":2000}"#);
        assert_eq!(budget(0, "gemini-flash-latest"), r#"{"thinkingLevel":"minimal"}"#);
    }

    #[test]
    fn a_model_that_cannot_stop_thinking_says_so() {
        for model in ["gemini-2.5-pro", "gemini-3.1-pro-preview"] {
            assert_eq!(written(Some(Effort::None), None, model).unwrap_err().member, "reasoning_effort");
            assert_eq!(written(None, Some(0), model).unwrap_err().member, "reasoning_effort");
            let mut losses = Losses::new("Gemini", true);
            let reasoning = Reasoning { effort: Some(Effort::None), ..Reasoning::default() };
            assert!(config(reasoning, model, &mut losses).unwrap().is_some());
            assert_eq!(losses.into_dropped(), ["reasoning_effort"]);
        }
    }

    #[test]
    fn nothing_asked_is_nothing_said() {
        assert_eq!(written(None, None, "gemini-3-flash"), Ok(None));
        let shown = Reasoning { shown: Some(true), ..Reasoning::default() };
        let told = config(shown, "gemini-3-flash", &mut Losses::new("Gemini", false)).unwrap();
        assert_eq!(told.as_deref(), Some(r#"{"includeThoughts":true}"#));
    }
}

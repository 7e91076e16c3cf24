//! How a model is asked to think: which of Anthropic's two ways it takes, and what thinking excludes.
//!
//! Owns     the table of model families, as of autumn 2026 ("Thinking", "Extended thinking", "Effort" and the migration
//!          guides in Anthropic's documentation).
//! Called   by [`super::render_request`], once.
//! Bounded  by the table.
//! Fails    with [`Untranslatable`] where the model, the tool choice or the cap leaves no thought.
//!
//! Up to Claude 4.5 a budget of tokens is given (`enabled`), which must be below `max_tokens`; from 4.6 on the model
//! decides how long it thinks (`adaptive`), and an effort says how hard. Neither may be given with a forced tool
//! choice; an effort may.

use crate::conversation::{Conversation, Effort, Losses, Reasoning, ToolChoice, Untranslatable};
use crate::json::Writer;

/// The least budget ("budget_tokens" in Anthropic's API reference).
const BUDGET_MIN: u64 = 1_024;

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It cannot.
    Never,
    /// With a budget.
    Budget,
    /// With an effort.
    Adaptive,
}

/// How a model is asked not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Off {
    /// It does not unless asked.
    Unasked,
    /// `disabled`
    Disabled,
    /// `between_tools`, the least it can do.
    BetweenTools,
    /// It always thinks; the lowest effort is the least.
    LowestEffort,
}

/// Families by the start of their names. The longest that fits counts.
const FAMILIES: [(&str, Way, Off); 17] = [
    ("claude-2", Way::Never, Off::Unasked),
    ("claude-instant", Way::Never, Off::Unasked),
    ("claude-3", Way::Never, Off::Unasked),
    ("claude-3-7", Way::Budget, Off::Unasked),
    ("claude-haiku-4", Way::Budget, Off::Unasked),
    ("claude-sonnet-4", Way::Budget, Off::Unasked),
    ("claude-sonnet-4-6", Way::Adaptive, Off::Unasked),
    ("claude-opus-4", Way::Budget, Off::Unasked),
    ("claude-opus-4-6", Way::Adaptive, Off::Unasked),
    ("claude-opus-4-7", Way::Adaptive, Off::Unasked),
    ("claude-opus-4-8", Way::Adaptive, Off::Unasked),
    ("claude-haiku-5", Way::Adaptive, Off::Disabled),
    ("claude-sonnet-5", Way::Adaptive, Off::Disabled),
    ("claude-sonnet-5-5", Way::Adaptive, Off::BetweenTools),
    ("claude-opus-5", Way::Adaptive, Off::Disabled),
    ("claude-opus-5-5", Way::Adaptive, Off::LowestEffort),
    ("claude-", Way::Adaptive, Off::LowestEffort),
];

/// Other vendors' models behind this dialect take its older way.
const OTHER: (Way, Off) = (Way::Budget, Off::Disabled);

fn family(model: &str) -> (Way, Off) {
    // Some platforms write the vendor before the name.
    let name = model.find("claude-").and_then(|at| model.get(at..)).unwrap_or_default();
    let fitting = FAMILIES.iter().filter(|(start, ..)| name.starts_with(start));
    fitting.max_by_key(|(start, ..)| start.len()).map_or(OTHER, |(_, way, off)| (*way, *off))
}

/// What is written of thinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    thinking: Option<Thinking>,
    effort: Option<&'static str>,
    /// Whether thoughts are to be shown, where somebody said so.
    shown: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thinking {
    Enabled { budget_tokens: u64 },
    Adaptive,
    Disabled,
    BetweenTools,
}

impl Plan {
    pub(super) fn new(
        conversation: &Conversation<'_>,
        model: &str,
        max_tokens: u64,
        losses: &mut Losses,
    ) -> Result<Self, Untranslatable> {
        let Some(Reasoning { effort, budget_tokens, shown }) = conversation.reasoning else {
            return Ok(Self::default());
        };
        let (way, off) = family(model);
        let Some(effort) = effort.or(budget_tokens.map(Effort::of_budget)) else {
            // Nothing is said but whether thoughts are shown: adaptive models decide by themselves then.
            let asked = way == Way::Adaptive && shown == Some(true) && !is_forced(conversation);
            return Ok(Self { thinking: asked.then_some(Thinking::Adaptive), effort: None, shown });
        };
        let mut plan = Self { shown, ..Self::default() };
        match (effort, way) {
            (Effort::None, _) => plan.turn_off(off),
            (_, Way::Never) => losses.lose("reasoning by a model that cannot")?,
            (_, Way::Adaptive) => {
                plan.thinking = (!is_forced(conversation)).then_some(Thinking::Adaptive);
                plan.effort = Some(effort_word(effort));
            }
            (_, Way::Budget) if is_forced(conversation) => {
                losses.lose("reasoning beside a forced tool choice")?;
            }
            (_, Way::Budget) => {
                let wanted = budget_tokens.unwrap_or(effort.budget_tokens()).max(BUDGET_MIN);
                match wanted.min(max_tokens.saturating_sub(1)) {
                    budget_tokens @ BUDGET_MIN.. => {
                        plan.thinking = Some(Thinking::Enabled { budget_tokens });
                    }
                    _ => losses.lose(format!("reasoning within {max_tokens} output tokens"))?,
                }
            }
        }
        Ok(plan)
    }

    fn turn_off(&mut self, off: Off) {
        match off {
            Off::Unasked => {}
            Off::Disabled => self.thinking = Some(Thinking::Disabled),
            Off::BetweenTools => self.thinking = Some(Thinking::BetweenTools),
            Off::LowestEffort => self.effort = Some(effort_word(Effort::Low)),
        }
    }

    /// Whether thoughts are asked for, beside which sampling is not free.
    pub(super) fn thinks(&self) -> bool {
        matches!(self.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive))
    }

    pub(super) fn effort(&self) -> Option<&'static str> {
        self.effort
    }

    pub(super) fn write_thinking(&self, json: &mut Writer) {
        let Some(thinking) = self.thinking else { return };
        json.key("thinking").object(|json| {
            json.key("type").text(match thinking {
                Thinking::Enabled { .. } => "enabled",
                Thinking::Adaptive => "adaptive",
                Thinking::Disabled => "disabled",
                Thinking::BetweenTools => "between_tools",
            });
            if let Thinking::Enabled { budget_tokens } = thinking {
                json.key("budget_tokens").number(budget_tokens);
            }
            if let Some(shown) = self.shown.filter(|_| self.thinks()) {
                json.key("display").text(if shown { "summarized" } else { "omitted" });
            }
        });
    }
}

/// Whether a tool must be called.
fn is_forced(conversation: &Conversation<'_>) -> bool {
    matches!(conversation.tool_choice, Some(ToolChoice::Any | ToolChoice::Named(_)))
}

/// Anthropic's word for an effort. `max` is taken by all that take an effort and think adaptively, `xhigh` by some.
fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Highest => "max",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(model: &str, reasoning: Reasoning, max_tokens: u64) -> Option<Plan> {
        let conversation = Conversation { reasoning: Some(reasoning), ..Conversation::default() };
        Plan::new(&conversation, model, max_tokens, &mut Losses::new("", false)).ok()
    }

    fn effort(effort: Effort) -> Reasoning {
        Reasoning { effort: Some(effort), ..Reasoning::default() }
    }

    #[test]
    fn older_models_get_a_budget_below_the_cap() {
        let thinking = |max_tokens| {
            let plan = plan("claude-sonnet-4-5-20250929", effort(Effort::Medium), max_tokens);
            plan.map(|plan| plan.thinking)
        };
        assert_eq!(thinking(64_000), Some(Some(Thinking::Enabled { budget_tokens: 8_192 })));
        assert_eq!(thinking(2_000), Some(Some(Thinking::Enabled { budget_tokens: 1_999 })));
        assert_eq!(thinking(1_025), Some(Some(Thinking::Enabled { budget_tokens: 1_024 })));
        assert_eq!(thinking(1_024), None);
        assert_eq!(thinking(0), None);
    }

    #[test]
    fn a_budget_is_kept_by_models_that_take_one_and_an_effort_for_others() {
        let budget = Reasoning { budget_tokens: Some(5_000), ..Reasoning::default() };
        let older = plan("claude-3-7-sonnet-latest", budget, 9_000).unwrap();
        assert_eq!(older.thinking, Some(Thinking::Enabled { budget_tokens: 5_000 }));
        let newer = plan("claude-opus-4-7", budget, 9_000).unwrap();
        assert_eq!((newer.thinking, newer.effort), (Some(Thinking::Adaptive), Some("medium")));
        let tiny = Reasoning { budget_tokens: Some(1), ..Reasoning::default() };
        let raised = plan("deepseek-chat", tiny, 9_000).unwrap();
        assert_eq!(raised.thinking, Some(Thinking::Enabled { budget_tokens: BUDGET_MIN }));
    }

    #[test]
    fn each_family_is_turned_off_in_its_way() {
        for reasoning in [effort(Effort::None), Reasoning { budget_tokens: Some(0), ..Reasoning::default() }]
        {
            let off = |model| plan(model, reasoning, 100).map(|plan| (plan.thinking, plan.effort)).unwrap();
            assert_eq!(off("claude-3-5-haiku-latest"), (None, None));
            assert_eq!(off("claude-sonnet-4-6"), (None, None));
            assert_eq!(off("anthropic.claude-opus-5"), (Some(Thinking::Disabled), None));
            assert_eq!(off("claude-sonnet-5-5"), (Some(Thinking::BetweenTools), None));
            assert_eq!(off("claude-opus-5-5"), (None, Some("low")));
            assert_eq!(off("claude-unheard-of-9"), (None, Some("low")));
        }
    }

    #[test]
    fn a_model_that_cannot_think_is_not_asked_silently() {
        assert_eq!(plan("claude-3-5-sonnet-20241022", effort(Effort::Low), 8_000), None);
    }

    #[test]
    fn a_forced_tool_choice_leaves_an_effort_but_no_thoughts() {
        let conversation = Conversation {
            reasoning: Some(effort(Effort::High)),
            tool_choice: Some(ToolChoice::Any),
            ..Conversation::default()
        };
        let plan = |model| Plan::new(&conversation, model, 50_000, &mut Losses::new("", false));
        assert!(plan("claude-haiku-4-5").is_err());
        let newer = plan("claude-sonnet-5").unwrap();
        assert_eq!((newer.thinking, newer.effort), (None, Some("high")));
    }
}

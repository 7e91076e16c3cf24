//! What a request may use at the most, in tokens and money, at the dearest of its targets.
//!
//! Owns     the rule what is reserved for a call of which its request does not show what it comes to.
//! Called   by `dispatch`, before the admission.
//! Bounded  by the targets.
//! Fails    never. What nothing bounds is reserved as far as the client's limits have room, so that such calls come one
//!          after the other; where nothing limits a client, it is not looked for.

use gateway_actors::Client;
use gateway_limits::{Ask, Price};

use super::Asking;
use crate::charge::Bound;
use crate::resolve::Leg;

/// What a call may use beyond what its request shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    /// What its prompt may be more.
    pub(super) prompt: More,
    /// How many answers nothing bounds but the model itself: no cap can be sent.
    pub(super) answers: u64,
    /// Whether an answer that tells nothing of its tokens is charged at its bound.
    pub(super) is_charged_untold: bool,
}

/// What a prompt may be more than is estimated of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum More {
    /// Nothing.
    #[default]
    Nothing,
    /// Whatever the upstream adds of what it keeps: as much as the model takes.
    Kept,
    /// A form's files, as far as the model takes them.
    Files(u64),
}

impl Beyond {
    /// Of a request that goes to one key since that has what it refers to.
    pub(super) fn of_pinned(is_pinned: bool) -> Self {
        let prompt = if is_pinned { More::Kept } else { More::Nothing };
        Self { prompt, ..Self::default() }
    }

    /// The prompt and the answer at this target; `u64::MAX` is no bound.
    fn at(&self, leg: &Leg, prompt: u64, output: u64) -> (u64, u64) {
        let context = leg.capability.context;
        let prompt = match self.prompt {
            More::Nothing => prompt,
            More::Kept => context.map_or(u64::MAX, |context| context.max(prompt)),
            More::Files(files) => {
                let all = prompt.saturating_add(files);
                context.map_or(all, |context| all.min(context).max(prompt))
            }
        };
        let output = match self.answers {
            0 => output,
            n => {
                let each = leg.capability.max_output.or(context).unwrap_or(u64::MAX);
                each.saturating_mul(n).max(output)
            }
        };
        (prompt, output)
    }
}

/// What is reserved for a request.
pub(super) struct Reserved {
    /// At the least: what the request shows.
    pub(super) ask: Ask,
    /// As far as there is room, where that is not all.
    pub(super) most: Option<Ask>,
    /// The same as parts, in tokens.
    pub(super) bound: Bound,
}

/// What is reserved for a request to these targets.
pub(super) fn reserved(client: &Client, legs: &[Leg], asking: &Asking<'_>, beyond: Beyond) -> Reserved {
    let mut reserved = Reserved {
        ask: Ask::default(),
        most: None,
        bound: Bound {
            prompt: asking.prompt_tokens,
            prompt_most: asking.prompt_tokens,
            output: 0,
            is_charged_untold: beyond.is_charged_untold,
        },
    };
    let mut most = Ask::default();
    for (at, leg) in legs.iter().enumerate() {
        let price = asking.price(leg);
        let prompt = asking.prompt_tokens;
        let output =
            asking.output_tokens.get(at).or(asking.output_tokens.last()).copied().unwrap_or_default();
        raise(&mut reserved.ask, price, prompt, output);
        reserved.bound.output = reserved.bound.output.max(output);
        let (prompt, output) = beyond.at(leg, prompt, output);
        raise(&mut most, price, prompt, output);
        if prompt < u64::MAX {
            reserved.bound.prompt_most = reserved.bound.prompt_most.max(prompt);
        }
    }
    let limits = &client.limits;
    let is_limited =
        limits.has_budget() || limits.tokens_per_minute.is_some() || limits.tokens_per_day.is_some();
    reserved.most = Some(most).filter(|most| is_limited && *most != reserved.ask);
    reserved
}

fn raise(ask: &mut Ask, price: Option<Price>, prompt: u64, output: u64) {
    ask.tokens = ask.tokens.max(prompt.saturating_add(output));
    ask.cost = ask.cost.max(price.map_or(0, |price| price.bound(prompt, output)));
}

//! One client's account: decides admissions, holds reservations, settles what was used.
//!
//! Owns     the client's windows, its day and month, and its open admissions; nothing else changes
//!          them.
//! Called   by the client's one rate limiter, a call at a time.
//! Bounded  by its limits: open admissions by `concurrent_requests`, windows as `window` says. A
//!          client without those limits, or with limits in shadow, is bounded by whoever bounds the
//!          calls as a whole.
//! Fails    never; lost with its owner, it is rebuilt by [`Account::restore`].
//!
//! A settlement above its bound is accepted as it is. In the minute it counts at the place of its
//! admission until that leaves the window, in the day until midnight UTC, in the month until its
//! end; `used` may so be above the limit, and calls are refused until there is room. [`View::debt`]
//! and [`View::cost_debt`] tell how much it was.
//!
//! [`Account::admit_in_shadow`] lets in what the limits refuse. It is counted as all else is, so
//! `used` may be above a limit here too; a return to [`Account::admit`] refuses until there is room.

use crate::calendar::Calendar;
use crate::now::{MINUTE, Moment};
use crate::period::Period;
use crate::window::Window;
use crate::{
    AdmissionId, Ask, Denied, DenyReason, LimitName, Limits, Meter, Now, Outcome, Saved, Settled, View,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long to wait for something that calls in flight must give back. They end when they end, so
/// this is a hint: short against most calls, long against a busy loop.
const HINT: Duration = Duration::from_secs(1);

/// One client's state under its limits.
#[derive(Clone, Debug)]
pub struct Account {
    limits: Limits,
    /// The latest moment seen, below which the monotonic clock does not fall.
    latest: Moment,
    requests: Window,
    tokens: Window,
    calendar: Calendar,
    open: BTreeMap<AdmissionId, Open>,
    /// How many of them hold no slot any more.
    slotless: u64,
}

/// Where an open admission's reservations lie.
#[derive(Clone, Copy, Debug)]
struct Open {
    bound: Ask,
    day: u64,
    request_at: Moment,
    tokens_at: Moment,
    holds_slot: bool,
}

impl Account {
    /// An account on which nothing was ever done.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            latest: Moment::default(),
            requests: Window::default(),
            tokens: Window::default(),
            calendar: Calendar::default(),
            open: BTreeMap::new(),
            slotless: 0,
        }
    }

    /// The account whose records `saved` has folded, open admissions included: it goes on as if it
    /// had never been lost. Over a restart of the process too, see [`crate::resumed`].
    pub fn restore(limits: Limits, saved: &Saved, now: Now) -> Self {
        let mut account = Self::new(limits);
        account.calendar = saved.calendar();
        account.latest = saved.latest();
        for kept in saved.kept() {
            // What is settled enters with its outcome; what is open enters with its bound.
            let (requests, tokens) =
                kept.outcome.map_or((1, kept.bound.tokens), |outcome| (outcome.requests(), outcome.tokens()));
            let request_at = account.requests.reserve(kept.at, requests);
            let tokens_at = account.tokens.reserve(kept.at, tokens);
            if kept.outcome.is_some() {
                account.requests.settle(request_at, requests, requests);
                account.tokens.settle(tokens_at, tokens, tokens);
            } else {
                let (bound, day) = (kept.bound, kept.day);
                account.open.insert(kept.id, Open { bound, day, request_at, tokens_at, holds_slot: true });
            }
        }
        account.advance(now);
        account
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Puts other limits in force. What was counted stays counted: a limit that is new or lower
    /// applies to the last minute, the day and the month as they were.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What to reserve for a call of which nobody knows what it comes to: `most`, or what its limits have left if that is
    /// less, and never less than `least`. So such calls come one after the other where together they might not fit; a
    /// single one may still settle above. In `most`, `u64::MAX` is no bound at all: where no limit is set either, `least`
    /// is reserved.
    pub fn fitted(&mut self, now: Now, least: Ask, most: Ask) -> Ask {
        let at = self.advance(now);
        let Limits { tokens_per_minute, tokens_per_day, usd_per_day, usd_per_month, .. } = self.limits;
        let Calendar { tokens_today, cost_today, cost_this_month } = self.calendar.on(now.unix_ms);
        let left =
            |max: u64, taken: u128| u64::try_from(u128::from(max).saturating_sub(taken)).unwrap_or(u64::MAX);
        let in_period = |max: Option<u64>, period: Period| {
            max.map(|max| left(max, u128::from(period.used()).saturating_add(period.reserved())))
        };
        let in_minute = tokens_per_minute.map(|max| left(max, self.tokens.count(at).total()));
        Ask {
            tokens: fit(least.tokens, most.tokens, [in_minute, in_period(tokens_per_day, tokens_today)]),
            cost: fit(
                least.cost,
                most.cost,
                [in_period(usd_per_day, cost_today), in_period(usd_per_month, cost_this_month)],
            ),
        }
    }

    /// Lets a call in, or says why not. All or nothing: a call that one limit refuses takes
    /// nothing from any other. An id that is already open is let in again and takes nothing more.
    ///
    /// # Errors
    /// [`Denied`] names the limit that refuses.
    pub fn admit(&mut self, now: Now, id: AdmissionId, ask: Ask) -> Result<(), Denied> {
        let at = self.advance(now);
        if self.open.contains_key(&id) {
            return Ok(());
        }
        if let Some(denied) = self.refusal(at, now, ask) {
            return Err(denied);
        }
        self.reserve(at, now, id, ask);
        Ok(())
    }

    /// Lets a call in whatever the limits say, and tells what [`Account::admit`] would have said
    /// instead. It reserves and counts as a call does that the limits let in. `None` also for an id
    /// that is already open, which takes nothing more.
    pub fn admit_in_shadow(&mut self, now: Now, id: AdmissionId, ask: Ask) -> Option<Denied> {
        let at = self.advance(now);
        if self.open.contains_key(&id) {
            return None;
        }
        let denied = self.refusal(at, now, ask);
        self.reserve(at, now, id, ask);
        denied
    }

    fn reserve(&mut self, at: Moment, now: Now, id: AdmissionId, ask: Ask) {
        self.calendar = self.calendar.on(now.unix_ms);
        self.calendar.reserve(ask);
        let open = Open {
            bound: ask,
            day: self.calendar.day(),
            request_at: self.requests.reserve(at, 1),
            tokens_at: self.tokens.reserve(at, ask.tokens),
            holds_slot: true,
        };
        self.open.insert(id, open);
    }

    /// Ends an admission: frees its slot and puts what it used in the place of its reservation, in
    /// the minute, the day and the month of its admission. `None` if the id is not open, which is
    /// how a second settlement of the same call ends; nothing changes then.
    pub fn settle(&mut self, now: Now, id: AdmissionId, outcome: Outcome) -> Option<Settled> {
        let Open { bound, day, request_at, tokens_at, holds_slot } = self.open.remove(&id)?;
        self.slotless -= u64::from(!holds_slot);
        self.advance(now);
        self.requests.settle(request_at, 1, outcome.requests());
        self.tokens.settle(tokens_at, bound.tokens, outcome.tokens());
        self.calendar = self.calendar.on(now.unix_ms);
        self.calendar.settle(day, bound, outcome);
        Some(Settled { bound, tokens: outcome.tokens(), cost: outcome.cost() })
    }

    /// Frees the slot of an open admission whose call goes on without its client. What it has reserved stays so until it
    /// is settled. An account that is restored counts it with the others again.
    pub fn free_slot(&mut self, id: AdmissionId) {
        if let Some(open) = self.open.get_mut(&id) {
            self.slotless += u64::from(std::mem::replace(&mut open.holds_slot, false));
        }
    }

    /// The numbers of all limits. Allocates nothing, and takes the same time for every account
    /// right after an `admit` or `settle`; later it steps over what has left the windows since.
    pub fn view(&self, now: Now) -> View {
        let at = self.latest.max(Moment::of(now.mono));
        let Calendar { tokens_today, cost_today, cost_this_month } = self.calendar.on(now.unix_ms);
        let (requests, tokens) = (self.requests.count(at), self.tokens.count(at));
        let in_flight = self.in_flight();
        let slot_reset = if in_flight == 0 { Duration::ZERO } else { HINT };
        let of_period = |name: LimitName, max: Option<u64>, period: Period| {
            let reset = if period.is_untouched() { Duration::ZERO } else { period.ends_in(now.unix_ms) };
            max.map(|max| Meter::new(name, max, period.used().into(), period.reserved(), reset))
        };
        View {
            requests_per_minute: self.limits.requests_per_minute.map(|max| {
                let reset = self.requests.empty_in(at);
                Meter::new(LimitName::RequestsPerMinute, max, requests.total(), 0, reset)
            }),
            tokens_per_minute: self.limits.tokens_per_minute.map(|max| {
                let reset = self.tokens.empty_in(at);
                Meter::new(LimitName::TokensPerMinute, max, tokens.spent, tokens.reserved, reset)
            }),
            tokens_per_day: of_period(LimitName::TokensPerDay, self.limits.tokens_per_day, tokens_today),
            usd_per_day: of_period(LimitName::UsdPerDay, self.limits.usd_per_day, cost_today),
            usd_per_month: of_period(LimitName::UsdPerMonth, self.limits.usd_per_month, cost_this_month),
            concurrent_requests: self
                .limits
                .concurrent_requests
                .map(|max| Meter::new(LimitName::ConcurrentRequests, max, in_flight.into(), 0, slot_reset)),
            in_flight,
            tokens_today: tokens_today.used(),
            cost_today: cost_today.used(),
            cost_this_month: cost_this_month.used(),
            debt: tokens_today.debt(),
            cost_debt: cost_today.debt(),
        }
    }

    /// Nothing is open and nothing was admitted in the last minute: what is left is the day and
    /// the month, which [`Saved`] holds as well, so the account may be let go.
    pub fn is_idle(&self, now: Now) -> bool {
        let at = self.latest.max(Moment::of(now.mono));
        self.open.is_empty() && self.requests.count(at).total() == 0
    }

    /// The admissions that are not settled, the lowest id first.
    pub fn open(&self) -> impl Iterator<Item = AdmissionId> {
        self.open.keys().copied()
    }

    /// What an open admission has reserved: the amount to settle it at when nobody can tell what
    /// it used.
    pub fn bound(&self, id: AdmissionId) -> Option<Ask> {
        self.open.get(&id).map(|open| open.bound)
    }

    fn in_flight(&self) -> u64 {
        u64::try_from(self.open.len()).unwrap_or(u64::MAX).saturating_sub(self.slotless)
    }

    fn advance(&mut self, now: Now) -> Moment {
        self.latest = self.latest.max(Moment::of(now.mono));
        self.requests.advance(self.latest);
        self.tokens.advance(self.latest);
        self.latest
    }

    /// Of the limits that refuse, the one that matters most to the caller; of equals the first.
    fn refusal(&self, at: Moment, now: Now, ask: Ask) -> Option<Denied> {
        let Limits {
            requests_per_minute, tokens_per_minute, tokens_per_day, usd_per_day, usd_per_month, ..
        } = self.limits;
        let Calendar { tokens_today, cost_today, cost_this_month } = self.calendar.on(now.unix_ms);
        let Ask { tokens, cost } = ask;
        [
            window_refusal(LimitName::RequestsPerMinute, requests_per_minute, &self.requests, 1, at, now),
            window_refusal(LimitName::TokensPerMinute, tokens_per_minute, &self.tokens, tokens, at, now),
            period_refusal(LimitName::TokensPerDay, tokens_per_day, tokens_today, tokens, now),
            period_refusal(LimitName::UsdPerDay, usd_per_day, cost_today, cost, now),
            period_refusal(LimitName::UsdPerMonth, usd_per_month, cost_this_month, cost, now),
            self.slot_refusal(now),
        ]
        .into_iter()
        .flatten()
        .rev()
        .max_by_key(|denied| (denied.reason.permanence(), denied.retry_after))
    }

    fn slot_refusal(&self, now: Now) -> Option<Denied> {
        let max = self.limits.concurrent_requests?;
        let in_flight = self.in_flight();
        let (reason, wait) = if max == 0 {
            (DenyReason::Blocked, MINUTE)
        } else if in_flight >= max {
            (DenyReason::Busy, HINT)
        } else {
            return None;
        };
        Some(Denied::new(LimitName::ConcurrentRequests, max, in_flight.into(), 1, reason, wait, now))
    }
}

/// Between the least and the most, what these limits have left.
fn fit(least: u64, most: u64, left: [Option<u64>; 2]) -> u64 {
    // Where nothing is left, a call of unknown size must not fit.
    let least = least.max(u64::from(most > 0));
    match left.into_iter().flatten().min() {
        Some(left) => least.max(most.min(left)),
        None if most == u64::MAX => least,
        None => least.max(most),
    }
}

fn window_refusal(
    limit: LimitName,
    max: Option<u64>,
    window: &Window,
    amount: u64,
    at: Moment,
    now: Now,
) -> Option<Denied> {
    let max = max?;
    let used = window.count(at).total();
    let over = used.saturating_add(u128::from(amount)).saturating_sub(u128::from(max));
    let (reason, wait) = if max == 0 {
        (DenyReason::Blocked, MINUTE)
    } else if amount > max {
        (DenyReason::NeverFits, MINUTE)
    } else if over > 0 {
        (DenyReason::Window, window.wait_for(at, over))
    } else {
        return None;
    };
    Some(Denied::new(limit, max, used, amount, reason, wait, now))
}

fn period_refusal(
    limit: LimitName,
    max: Option<u64>,
    period: Period,
    amount: u64,
    now: Now,
) -> Option<Denied> {
    let max = max?;
    let (used, asked, room) = (u128::from(period.used()), u128::from(amount), u128::from(max));
    let taken = used.saturating_add(period.reserved());
    let (reason, wait) = if max == 0 {
        (DenyReason::Blocked, period.ends_in(now.unix_ms))
    } else if asked > room {
        (DenyReason::NeverFits, period.ends_in(now.unix_ms))
    } else if used.saturating_add(asked) > room {
        (DenyReason::Spent, period.ends_in(now.unix_ms))
    } else if taken.saturating_add(asked) > room {
        (DenyReason::Reserved, HINT)
    } else {
        return None;
    };
    Some(Denied::new(limit, max, taken, amount, reason, wait, now))
}

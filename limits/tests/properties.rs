//! Promises that hold for every history.

use gateway_limits::{
    Account, AdmissionId, Ask, DenyReason, Limits, Mode, Now, Outcome, Recent, Record, Saved, Sums, resumed,
};
use proptest::prelude::*;
use std::time::Duration;

/// 2026-01-01T00:00:00Z.
const MIDNIGHT_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;
/// Histories begin two minutes before midnight and a month's end, so that many of them cross it.
const START_MS: u64 = MIDNIGHT_MS - 120_000;

/// So many nanoseconds after the beginning of a history.
fn at_ns(ns: u64) -> Now {
    Now { mono: Duration::from_nanos(ns), unix_ms: START_MS + ns / 1_000_000 }
}

#[derive(Clone, Debug)]
enum Step {
    Admit { ask: Ask },
    Settle { which: usize, outcome: Outcome },
    Pass { ms: u64 },
    Limit { limits: Limits },
}

fn limit(largest: u64) -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 4 => (0..=largest).prop_map(Some)]
}

fn limits() -> impl Strategy<Value = Limits> {
    (limit(8), limit(200), limit(600), limit(5_000), limit(9_000), limit(5)).prop_map(
        |(requests_per_minute, tokens_per_minute, tokens_per_day, usd_per_day, usd_per_month, calls)| {
            Limits {
                requests_per_minute,
                tokens_per_minute,
                tokens_per_day,
                usd_per_day,
                usd_per_month,
                concurrent_requests: calls,
                mode: Mode::Enforce,
            }
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    (0..120_u64, 0..1_200_u64).prop_map(|(tokens, cost)| Ask { tokens, cost })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => (0..150_u64, 0..1_500_u64).prop_map(|(tokens, cost)| Outcome::Spent { tokens, cost }),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::NeverSent),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => ask().prop_map(|ask| Step::Admit { ask }),
        4 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        3 => pass(),
        1 => limits().prop_map(|limits| Step::Limit { limits }),
    ]
}

fn pass() -> impl Strategy<Value = Step> {
    prop_oneof![6 => 0..20_000_u64, 2 => Just(60_000), 2 => 0..DAY_MS, 1 => 0..40 * DAY_MS]
        .prop_map(|ms| Step::Pass { ms })
}

fn history() -> impl Strategy<Value = (Limits, Vec<Step>)> {
    (limits(), prop::collection::vec(step(), 0..60))
}

/// A client whose every change is recorded.
struct Recorded {
    limits: Limits,
    account: Account,
    saved: Saved,
    last_record: Option<Record>,
    ns: u64,
    next_id: u64,
}

impl Recorded {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            account: Account::new(limits),
            saved: Saved::default(),
            last_record: None,
            ns: 0,
            next_id: 0,
        }
    }

    fn record(&mut self, record: Record) {
        let now = at_ns(self.ns);
        self.saved.apply(&record, now);
        self.last_record = Some(record);
    }

    fn take(&mut self, step: &Step) {
        let at = at_ns(self.ns);
        match *step {
            Step::Admit { ask } => {
                let id = AdmissionId(self.next_id);
                self.next_id += 1;
                if self.account.admit(at, id, ask).is_ok() {
                    self.record(Record::Reserved { id, at, tokens: ask.tokens, cost: ask.cost });
                }
            }
            Step::Settle { which, outcome } => {
                let open: Vec<_> = self.account.open().collect();
                if let Some(&id) = open.get(which % open.len().max(1)) {
                    self.account.settle(at, id, outcome);
                    self.record(Record::Settled { id, at, outcome });
                }
            }
            Step::Pass { ms } => {
                self.ns += ms * 1_000_000;
                // A ledger that is not sure whether it wrote sends again.
                if let Some(record) = self.last_record {
                    self.saved.apply(&record, at_ns(self.ns));
                }
            }
            Step::Limit { limits } => {
                self.limits = limits;
                self.account.set_limits(limits);
            }
        }
    }
}

/// What can be seen of an account: its numbers, its open calls, and what it says to any ask.
fn assert_alike(left: &Account, right: &Account, ns: u64) -> Result<(), TestCaseError> {
    for later_ns in [0, 1, 30_000_000_000, 59_999_999_999, 60_000_000_000] {
        let now = at_ns(ns + later_ns);
        prop_assert_eq!(left.view(now), right.view(now));
        prop_assert_eq!(left.is_idle(now), right.is_idle(now));
        for (tokens, cost) in [(0, 0), (1, 1), (50, 0), (0, 500), (150, 2_000)] {
            let (mut left, mut right) = (left.clone(), right.clone());
            let (id, ask) = (AdmissionId(u64::MAX), Ask { tokens, cost });
            prop_assert_eq!(left.admit(now, id, ask), right.admit(now, id, ask));
        }
    }
    prop_assert!(left.open().eq(right.open()));
    for id in left.open() {
        prop_assert_eq!(left.bound(id), right.bound(id));
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_account_rebuilt_from_its_records_is_the_account(
        (limits, before) in history(),
        after in prop::collection::vec(step(), 0..30),
    ) {
        let mut client = Recorded::new(limits);
        for step in &before {
            client.take(step);
        }
        let mut live = client.account.clone();
        client.account = Account::restore(client.limits, &client.saved, at_ns(client.ns));
        assert_alike(&client.account, &live, client.ns)?;
        // It also goes on like the one that was lost.
        let mut other = Recorded { account: live, saved: client.saved.clone(), ..client };
        for step in &after {
            client.take(step);
            other.take(step);
        }
        live = other.account;
        assert_alike(&client.account, &live, client.ns)?;
    }

    #[test]
    fn a_refused_call_leaves_no_trace(
        (limits, steps) in history(),
        tokens in 0..250_u64,
        cost in 0..3_000_u64,
    ) {
        let mut client = Recorded::new(limits);
        for step in &steps {
            client.take(step);
        }
        let before = client.account.clone();
        if client.account.admit(at_ns(client.ns), AdmissionId(u64::MAX), Ask { tokens, cost }).is_err() {
            assert_alike(&client.account, &before, client.ns)?;
        }
    }

    #[test]
    fn waiting_exactly_as_long_as_told_is_enough_and_a_nanosecond_less_is_not(
        (limits, steps) in history(),
        tokens in 0..250_u64,
        cost in 0..3_000_u64,
    ) {
        let mut client = Recorded::new(limits);
        for step in &steps {
            client.take(step);
        }
        let (id, ask) = (AdmissionId(u64::MAX), Ask { tokens, cost });
        let Err(denied) = client.account.admit(at_ns(client.ns), id, ask) else { return Ok(()) };
        if !matches!(denied.reason, DenyReason::Window | DenyReason::Spent) {
            return Ok(());
        }
        let then_ns = client.ns + denied.retry_after.as_nanos() as u64;
        prop_assert_eq!(denied.reset_unix_ms, at_ns(then_ns).unix_ms);
        let mut early = client.account.clone();
        prop_assert!(early.admit(at_ns(then_ns - 1), id, ask).is_err());
        // What still stands in the way can only be a call that has not ended.
        let mut in_time = client.account.clone();
        if let Err(other) = in_time.admit(at_ns(then_ns), id, ask) {
            prop_assert!(matches!(other.reason, DenyReason::Busy | DenyReason::Reserved), "{}", other);
        }
        for open in client.account.open().collect::<Vec<_>>() {
            client.account.settle(at_ns(then_ns), open, Outcome::Failed);
        }
        prop_assert_eq!(client.account.admit(at_ns(then_ns), id, ask), Ok(()));
    }

    #[test]
    fn a_client_that_sends_its_requests_evenly_is_never_refused(
        per_minute in prop_oneof![1..100_u64, 1..3_000_u64],
        start_ns in 0..10_000_000_000_u64,
    ) {
        let limits = Limits { requests_per_minute: Some(per_minute), ..Limits::default() };
        let mut account = Account::new(limits);
        for number in 0..per_minute * 2 + 10 {
            let at = at_ns(start_ns + number * 60_000_000_000 / per_minute);
            let id = AdmissionId(number);
            prop_assert_eq!(account.admit(at, id, Ask::from(1)), Ok(()));
            account.settle(at, id, Outcome::Spent { tokens: 1, cost: 0 });
        }
    }

    /// An account that was never limited shows how each call must have been counted.
    #[test]
    fn limits_in_shadow_tell_what_they_would_refuse_and_count_as_if_they_were_not_there(
        (limits, steps) in history(),
    ) {
        let mut shadow = Account::new(Limits { mode: Mode::Shadow, ..limits });
        let mut unlimited = Account::new(Limits::default());
        let (mut in_force, mut ns) = (limits, 0);
        for (number, step) in steps.iter().enumerate() {
            let at = at_ns(ns);
            match *step {
                Step::Admit { ask } => {
                    let id = AdmissionId(number as u64);
                    let would_say = shadow.clone().admit(at, id, ask);
                    prop_assert_eq!(shadow.admit_in_shadow(at, id, ask), would_say.err());
                    prop_assert_eq!(shadow.admit_in_shadow(at, id, ask), None);
                    prop_assert_eq!(unlimited.admit(at, id, ask), Ok(()));
                }
                Step::Settle { which, outcome } => {
                    let open: Vec<_> = shadow.open().collect();
                    if let Some(&id) = open.get(which % open.len().max(1)) {
                        prop_assert_eq!(shadow.settle(at, id, outcome), unlimited.settle(at, id, outcome));
                    }
                }
                Step::Pass { ms } => ns += ms * 1_000_000,
                Step::Limit { limits } => {
                    in_force = limits;
                    shadow.set_limits(Limits { mode: Mode::Shadow, ..limits });
                }
            }
            for meter in shadow.view(at_ns(ns)).meters() {
                let taken = u128::from(meter.used) + u128::from(meter.reserved);
                prop_assert_eq!(u128::from(meter.remaining), u128::from(meter.max).saturating_sub(taken));
            }
        }
        // Enforced from now on, both say the same, and nobody gets in before there is room.
        shadow.set_limits(in_force);
        unlimited.set_limits(in_force);
        assert_alike(&shadow, &unlimited, ns)?;
    }

    /// As long as no settlement is above its bound, for money as for tokens.
    #[test]
    fn used_and_reserved_together_never_pass_a_limit((limits, steps) in history()) {
        let mut client = Recorded::new(limits);
        for step in &steps {
            match *step {
                Step::Limit { .. } => {}
                Step::Settle { which, outcome: Outcome::Spent { tokens, cost } } => {
                    let open: Vec<_> = client.account.open().collect();
                    let bound = open.get(which % open.len().max(1)).and_then(|&id| client.account.bound(id));
                    let bound = bound.unwrap_or_default();
                    let (tokens, cost) = (tokens.min(bound.tokens), cost.min(bound.cost));
                    client.take(&Step::Settle { which, outcome: Outcome::Spent { tokens, cost } });
                }
                _ => client.take(step),
            }
            let view = client.account.view(at_ns(client.ns));
            for meter in view.meters() {
                prop_assert!(meter.used + meter.reserved <= meter.max, "{:?}", meter);
                prop_assert_eq!(meter.remaining, meter.max - meter.used - meter.reserved);
            }
            prop_assert_eq!((view.debt, view.cost_debt), (0, 0));
        }
    }

    #[test]
    fn a_settlement_lands_in_the_day_and_month_of_its_admission(
        start_days in 0..1_000_u64,
        start_ms in 0..DAY_MS,
        runs_ms in prop_oneof![0..2 * DAY_MS, 0..70 * DAY_MS],
        ask in ask(),
    ) {
        let at_ms = |ms: u64| Now { mono: Duration::from_millis(ms), unix_ms: MIDNIGHT_MS + ms };
        let (began_ms, id) = (start_days * DAY_MS + start_ms, AdmissionId(1));
        let ended_ms = began_ms + runs_ms;
        let mut account = Account::new(Limits::default());
        prop_assert_eq!(account.admit(at_ms(began_ms), id, ask), Ok(()));
        account.settle(at_ms(ended_ms), id, Outcome::Spent { tokens: ask.tokens, cost: ask.cost });
        let (began, ended) = (date(began_ms / DAY_MS), date(ended_ms / DAY_MS));
        let view = account.view(at_ms(ended_ms));
        let if_same = |is_same: bool, amount: u64| if is_same { amount } else { 0 };
        prop_assert_eq!(view.tokens_today, if_same(began == ended, ask.tokens));
        prop_assert_eq!(view.cost_today, if_same(began == ended, ask.cost));
        let is_same_month = (began.0, began.1) == (ended.0, ended.1);
        prop_assert_eq!(view.cost_this_month, if_same(is_same_month, ask.cost));
    }

    #[test]
    fn nothing_overflows_at_any_number(
        moves in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..40),
        max in prop_oneof![Just(None), any::<u64>().prop_map(Some), Just(Some(u64::MAX))],
    ) {
        let limits = Limits {
            requests_per_minute: max,
            tokens_per_minute: max,
            tokens_per_day: max,
            usd_per_day: max,
            usd_per_month: max,
            concurrent_requests: max,
            mode: Mode::Enforce,
        };
        let mut account = Account::new(limits);
        let mut saved = Saved::default();
        for (number, (seconds, unix_ms, bound, spent)) in moves.into_iter().enumerate() {
            let at = Now { mono: Duration::new(seconds, 0), unix_ms };
            let id = AdmissionId(number as u64);
            if account.admit(at, id, Ask { tokens: bound, cost: spent }).is_ok() {
                saved.apply(&Record::Reserved { id, at, tokens: bound, cost: spent }, at);
                let outcome = Outcome::Spent { tokens: spent, cost: bound };
                account.settle(at, id, outcome);
                saved.apply(&Record::Settled { id, at, outcome }, at);
            }
            for meter in account.view(at).meters() {
                prop_assert!(meter.remaining <= meter.max);
            }
            let mono = resumed(at, spent);
            prop_assert!(mono >= at.mono);
            let sums = Sums { day: bound, tokens: spent, debt: spent, cost: bound, month_cost: spent };
            let outcome = Outcome::Spent { tokens: spent, cost: bound };
            let bound = Ask { tokens: bound, cost: bound };
            let recent = Recent { id, admitted: mono, settled: at.mono, day: unix_ms, bound, outcome };
            let found = Saved::restored(at, sums, [recent, recent]);
            for meter in Account::restore(limits, &found, at).view(at).meters() {
                prop_assert!(meter.remaining <= meter.max);
            }
        }
        let end = Now { mono: Duration::MAX, unix_ms: u64::MAX };
        prop_assert_eq!(Account::restore(Limits::default(), &saved, end).view(end).in_flight, 0);
    }
}

/// Year, month and day of the month of a day that is so many days after 2026-01-01: counted day by
/// day, without any of the arithmetic that the crate uses.
fn date(days: u64) -> (u64, u64, u64) {
    let (mut year, mut month, mut day) = (2026, 1, 1);
    for _ in 0..days {
        let length = match month {
            2 if year % 4 == 0 => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (year, month, day) = match (month, day) {
            (12, 31) => (year + 1, 1, 1),
            (_, day) if day == length => (year, month + 1, 1),
            _ => (year, month, day + 1),
        };
    }
    (year, month, day)
}

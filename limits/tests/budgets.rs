//! What an account promises about money, one sentence at a time.

use gateway_limits::{
    Account, AdmissionId, Ask, Denied, DenyReason, LimitName, Limits, Meter, Now, Outcome, PICO_PER_USD,
    Settled,
};
use std::time::Duration;

/// 2026-01-01T00:00:00Z, a Thursday, and the first day of a month.
const NEW_YEAR_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;
const CENT: u64 = PICO_PER_USD / 100;

/// So many milliseconds after midnight of day `day` of 2026, the first of January being day 0.
fn at(day: u64, ms: u64) -> Now {
    let ms = day * DAY_MS + ms;
    Now { mono: Duration::from_millis(ms), unix_ms: NEW_YEAR_MS + ms }
}

fn id(number: u64) -> AdmissionId {
    AdmissionId(number)
}

/// A call of a few tokens that may cost so many cents.
fn cents(cents: u64) -> Ask {
    Ask { tokens: 10, cost: cents * CENT }
}

fn paid(cents: u64) -> Outcome {
    Outcome::Spent { tokens: 10, cost: cents * CENT }
}

fn a_day(cents: u64) -> Limits {
    Limits { usd_per_day: Some(cents * CENT), ..Limits::default() }
}

fn a_month(cents: u64) -> Limits {
    Limits { usd_per_month: Some(cents * CENT), ..Limits::default() }
}

/// A client that has paid so many cents at `now`.
fn having_paid(limits: Limits, now: Now, amount: u64) -> Account {
    let mut account = Account::new(limits);
    assert_eq!(account.admit(now, id(0), cents(amount)), Ok(()));
    account.settle(now, id(0), paid(amount));
    account
}

#[expect(clippy::expect_used, reason = "a test whose call is admitted ends here")]
fn refused(result: Result<(), Denied>) -> Denied {
    result.expect_err("refused")
}

/// Used, reserved and remaining, in cents.
fn in_cents(meter: Option<Meter>) -> Option<(u64, u64, u64)> {
    meter.map(|meter| (meter.used / CENT, meter.reserved / CENT, meter.remaining / CENT))
}

#[test]
fn a_call_reserves_its_bound_and_pays_what_it_cost() {
    let mut account = Account::new(Limits { usd_per_month: Some(900 * CENT), ..a_day(500) });
    assert_eq!(account.admit(at(0, 0), id(1), cents(400)), Ok(()));
    let view = account.view(at(0, 0));
    assert_eq!(in_cents(view.usd_per_day), Some((0, 400, 100)));
    assert_eq!(in_cents(view.usd_per_month), Some((0, 400, 500)));
    let settled = Settled { bound: cents(400), tokens: 10, cost: 30 * CENT };
    assert_eq!(account.settle(at(0, 1), id(1), paid(30)), Some(settled));
    let view = account.view(at(0, 1));
    assert_eq!(in_cents(view.usd_per_day), Some((30, 0, 470)));
    assert_eq!(in_cents(view.usd_per_month), Some((30, 0, 870)));
}

#[test]
fn two_calls_at_once_never_share_the_last_cent() {
    let mut account = Account::new(a_day(100));
    assert_eq!(account.admit(at(0, 0), id(1), cents(60)), Ok(()));
    let denied = refused(account.admit(at(0, 0), id(2), cents(60)));
    assert_eq!((denied.limit, denied.reason), (LimitName::UsdPerDay, DenyReason::Reserved));
    assert_eq!(denied.retry_after, Duration::from_secs(1));
    assert_eq!(account.admit(at(0, 0), id(2), cents(40)), Ok(()));
}

#[test]
fn a_call_that_failed_or_was_never_sent_gets_its_money_back() {
    let mut account = Account::new(Limits { usd_per_month: Some(100 * CENT), ..a_day(100) });
    for (number, outcome) in [(1, Outcome::Failed), (2, Outcome::NeverSent)] {
        assert_eq!(account.admit(at(0, 0), id(number), cents(100)), Ok(()));
        account.settle(at(0, 0), id(number), outcome);
    }
    assert_eq!(account.admit(at(0, 0), id(3), cents(100)), Ok(()));
}

#[test]
fn money_refuses_by_the_same_rules_as_tokens() {
    let now = at(0, 0);
    for (limits, limit, period) in
        [(a_day(10), LimitName::UsdPerDay, DAY_MS), (a_month(10), LimitName::UsdPerMonth, 31 * DAY_MS)]
    {
        let too_much = refused(Account::new(limits).admit(now, id(1), cents(11)));
        assert_eq!((too_much.limit, too_much.reason), (limit, DenyReason::NeverFits));
        let spent = refused(having_paid(limits, now, 9).admit(now, id(1), cents(2)));
        assert_eq!((spent.reason, spent.max, spent.used), (DenyReason::Spent, 10 * CENT, 9 * CENT));
        assert_eq!(spent.retry_after, Duration::from_millis(period));
        assert_eq!(spent.reset_unix_ms, NEW_YEAR_MS + period);
    }
    for limits in [a_day(0), a_month(0)] {
        let blocked = refused(Account::new(limits).admit(now, id(1), Ask::from(1)));
        assert_eq!(blocked.reason, DenyReason::Blocked, "even where nothing would be paid");
    }
}

#[test]
fn when_day_and_month_both_refuse_the_month_is_told_as_it_takes_longer() {
    let mut account = having_paid(Limits { usd_per_month: Some(100 * CENT), ..a_day(100) }, at(0, 0), 100);
    assert_eq!(refused(account.admit(at(0, 1), id(1), cents(1))).limit, LimitName::UsdPerMonth);
    // On the month's last day both end at the same midnight, and the first in the list is told.
    account = having_paid(Limits { usd_per_month: Some(100 * CENT), ..a_day(100) }, at(30, 0), 100);
    assert_eq!(refused(account.admit(at(30, 1), id(1), cents(1))).limit, LimitName::UsdPerDay);
}

#[test]
fn a_day_is_over_at_midnight_and_its_month_goes_on() {
    let mut account = having_paid(Limits { usd_per_month: Some(150 * CENT), ..a_day(100) }, at(0, 0), 100);
    refused(account.admit(at(0, DAY_MS - 1), id(1), cents(1)));
    assert_eq!(account.admit(at(1, 0), id(1), cents(50)), Ok(()));
    let denied = refused(account.admit(at(1, 0), id(2), cents(1)));
    assert_eq!((denied.limit, denied.reason), (LimitName::UsdPerMonth, DenyReason::Reserved));
}

#[test]
fn a_call_over_midnight_is_paid_by_the_day_that_admitted_it_and_by_their_month() {
    let mut account = Account::new(Limits { usd_per_month: Some(500 * CENT), ..a_day(100) });
    assert_eq!(account.admit(at(0, DAY_MS - 1), id(1), cents(60)), Ok(()));
    assert_eq!(account.admit(at(1, 0), id(2), cents(60)), Ok(()));
    account.settle(at(1, 1), id(1), paid(50));
    let view = account.view(at(1, 1));
    assert_eq!(in_cents(view.usd_per_day), Some((0, 60, 40)));
    assert_eq!(in_cents(view.usd_per_month), Some((50, 60, 390)));
}

#[test]
fn a_call_over_the_months_end_is_paid_by_the_month_that_admitted_it() {
    let mut account = Account::new(a_month(100));
    assert_eq!(account.admit(at(30, DAY_MS - 1), id(1), cents(100)), Ok(()));
    refused(account.admit(at(30, DAY_MS - 1), id(2), cents(1)));
    assert_eq!(account.admit(at(31, 0), id(2), cents(70)), Ok(()));
    account.settle(at(31, 1), id(1), paid(100));
    assert_eq!(in_cents(account.view(at(31, 1)).usd_per_month), Some((0, 70, 30)));
}

#[test]
fn a_month_ends_when_the_calendar_says_so() {
    // The last day of a month in days from 2026-01-01, and how many days the month after it has.
    let february_2026 = (30, 28);
    let february_2027 = (365 + 30, 28);
    let february_2028 = (2 * 365 + 30, 29);
    let march_2028 = (2 * 365 + 59, 31);
    let april_2028 = (2 * 365 + 59 + 31, 30);
    for (day_before, length) in [february_2026, february_2027, february_2028, march_2028, april_2028] {
        let mut account = having_paid(a_month(100), at(day_before, 0), 100);
        assert_eq!(account.admit(at(day_before + 1, 0), id(1), cents(100)), Ok(()));
        account.settle(at(day_before + 1, 0), id(1), paid(100));
        let denied = refused(account.admit(at(day_before + 1, 0), id(2), cents(1)));
        assert_eq!(denied.retry_after, Duration::from_millis(length * DAY_MS));
        refused(account.admit(at(day_before + length, DAY_MS - 1), id(2), cents(1)));
        assert_eq!(account.admit(at(day_before + length + 1, 0), id(2), cents(100)), Ok(()));
    }
}

#[test]
fn a_clock_stepped_back_opens_no_day_and_no_month_again() {
    let mut account = having_paid(Limits { usd_per_month: Some(100 * CENT), ..a_day(100) }, at(31, 5), 100);
    let stepped_back = Now { unix_ms: at(20, 0).unix_ms, ..at(31, 6) };
    let denied = refused(account.admit(stepped_back, id(1), cents(1)));
    assert_eq!((denied.limit, denied.used), (LimitName::UsdPerMonth, 100 * CENT));
    assert_eq!(denied.reset_unix_ms, at(31 + 28, 0).unix_ms);
    // Nor does it begin a month a second time.
    account.set_limits(a_month(150));
    assert_eq!(account.admit(stepped_back, id(1), cents(50)), Ok(()));
    refused(account.admit(at(31, 7), id(2), cents(1)));
}

#[test]
fn a_clock_stepped_forward_by_mistake_holds_the_later_month_and_forgets_nothing_in_it() {
    let mut account = having_paid(a_month(100), at(5, 0), 100);
    let stepped_forward = Now { unix_ms: at(40, 0).unix_ms, ..at(5, 1) };
    assert_eq!(account.admit(stepped_forward, id(1), cents(100)), Ok(()));
    account.settle(stepped_forward, id(1), paid(100));
    let denied = refused(account.admit(at(5, 2), id(2), cents(1)));
    assert_eq!(denied.reset_unix_ms, at(31 + 28, 0).unix_ms);
    assert_eq!(account.admit(at(31 + 28, 0), id(2), cents(100)), Ok(()));
}

#[test]
fn more_paid_than_bounded_is_shown_as_debt_and_must_be_made_up_for() {
    let mut account = Account::new(Limits { usd_per_month: Some(120 * CENT), ..a_day(100) });
    assert_eq!(account.admit(at(0, 0), id(1), cents(10)), Ok(()));
    account.settle(at(0, 1), id(1), paid(130));
    let view = account.view(at(0, 1));
    assert_eq!((view.debt, view.cost_debt), (0, 120 * CENT));
    assert_eq!(in_cents(view.usd_per_day), Some((130, 0, 0)));
    refused(account.admit(at(0, 2), id(2), cents(0)));
    assert_eq!(refused(account.admit(at(1, 0), id(2), cents(1))).limit, LimitName::UsdPerMonth);
    assert_eq!(account.view(at(1, 0)).cost_debt, 0);
    assert_eq!(account.admit(at(31, 0), id(2), cents(1)), Ok(()));
}

#[test]
fn what_was_used_is_shown_without_limits_too() {
    let mut account = having_paid(Limits::default(), at(0, 0), 70);
    assert_eq!(account.admit(at(1, 0), id(1), cents(50)), Ok(()));
    account.settle(at(1, 1), id(1), paid(20));
    assert_eq!(account.admit(at(1, 2), id(2), cents(50)), Ok(()));
    let view = account.view(at(1, 2));
    assert_eq!(view.meters().count(), 0);
    assert_eq!(
        (view.tokens_today, view.cost_today, view.cost_this_month),
        (10, 20 * CENT, 90 * CENT),
        "what is only reserved is not used"
    );
}

#[test]
fn a_budget_set_later_counts_what_was_paid_before_it() {
    let mut account = having_paid(Limits::default(), at(0, 0), 70);
    account.set_limits(a_month(100));
    assert_eq!(refused(account.admit(at(1, 0), id(1), cents(31))).used, 70 * CENT);
    assert_eq!(account.admit(at(1, 0), id(1), cents(30)), Ok(()));
}

#[test]
fn a_meter_of_money_tells_when_its_period_ends() {
    let limits = Limits { usd_per_month: Some(100 * CENT), ..a_day(100) };
    let untouched = Account::new(limits).view(at(3, 0));
    assert!(untouched.meters().all(|meter| meter.reset.is_zero() && meter.remaining == meter.max));
    let resets: Vec<Duration> =
        having_paid(limits, at(3, 0), 1).view(at(3, 0)).meters().map(|meter| meter.reset).collect();
    assert_eq!(resets, [1, 28].map(|days| Duration::from_millis(days * DAY_MS)));
}

#[test]
fn a_refusal_for_money_speaks_of_usd() {
    let limits = Limits { usd_per_day: Some(5 * PICO_PER_USD), ..Limits::default() };
    let denied = refused(having_paid(limits, at(0, DAY_MS - 60_000), 499).admit(
        at(0, DAY_MS - 60_000),
        id(1),
        cents(2),
    ));
    assert_eq!(
        denied.to_string(),
        "usd_per_day has too little left: 4.99 of 5.00 are taken; it starts anew in 60 s"
    );
    assert_eq!(
        refused(Account::new(limits).admit(at(0, 0), id(1), cents(501))).to_string(),
        "the request alone is above usd_per_day (5.00); shorten the prompt or ask for fewer output tokens"
    );
}

//! What an account promises, one sentence at a time.

use gateway_limits::{
    Account, AdmissionId, Ask, Denied, DenyReason, LimitName, Limits, Meter, Mode, Now, Outcome, Settled,
};
use std::time::Duration;

/// 2026-01-01T00:00:00Z.
const MIDNIGHT_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;

/// So many milliseconds after midnight and after the process's start.
fn at_ms(ms: u64) -> Now {
    Now { mono: Duration::from_millis(ms), unix_ms: MIDNIGHT_MS + ms }
}

fn id(number: u64) -> AdmissionId {
    AdmissionId(number)
}

fn tokens(tokens: u64) -> Ask {
    Ask::from(tokens)
}

fn spent(tokens: u64) -> Outcome {
    Outcome::Spent { tokens, cost: 0 }
}

fn per_minute(requests: u64) -> Limits {
    Limits { requests_per_minute: Some(requests), ..Limits::default() }
}

fn tokens_per_minute(tokens: u64) -> Limits {
    Limits { tokens_per_minute: Some(tokens), ..Limits::default() }
}

fn per_day(tokens: u64) -> Limits {
    Limits { tokens_per_day: Some(tokens), ..Limits::default() }
}

fn concurrent(calls: u64) -> Limits {
    Limits { concurrent_requests: Some(calls), ..Limits::default() }
}

#[expect(clippy::expect_used, reason = "a test whose call is admitted ends here")]
fn refused(result: Result<(), Denied>) -> Denied {
    result.expect_err("refused")
}

#[test]
fn without_limits_everything_is_admitted() {
    let mut account = Account::new(Limits::default());
    for number in 0..1_000 {
        assert_eq!(account.admit(at_ms(0), id(number), tokens(u64::MAX)), Ok(()));
    }
    assert_eq!(account.view(at_ms(0)).meters().count(), 0);
    assert_eq!(account.view(at_ms(0)).in_flight, 1_000);
}

#[test]
fn a_full_minute_refuses_until_its_first_request_is_a_minute_old() {
    let mut account = Account::new(per_minute(2));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(1)), Ok(()));
    assert_eq!(account.admit(at_ms(10_000), id(2), tokens(1)), Ok(()));
    let denied = refused(account.admit(at_ms(20_000), id(3), tokens(1)));
    assert_eq!(
        denied,
        Denied {
            limit: LimitName::RequestsPerMinute,
            max: 2,
            used: 2,
            needed: 1,
            retry_after: Duration::from_secs(40),
            reset_unix_ms: MIDNIGHT_MS + 60_000,
            reason: DenyReason::Window,
        }
    );
    refused(account.admit(at_ms(59_999), id(3), tokens(1)));
    assert_eq!(account.admit(at_ms(60_000), id(3), tokens(1)), Ok(()));
    let denied = refused(account.admit(at_ms(60_000), id(4), tokens(1)));
    assert_eq!(denied.retry_after, Duration::from_secs(10), "until the second one leaves");
}

#[test]
fn a_lowered_limit_waits_for_as_many_requests_as_are_too_many() {
    let mut account = Account::new(per_minute(3));
    for number in 0..3 {
        assert_eq!(account.admit(at_ms(number * 1_000), id(number), tokens(1)), Ok(()));
    }
    account.set_limits(per_minute(1));
    let denied = refused(account.admit(at_ms(2_000), id(3), tokens(1)));
    assert_eq!((denied.used, denied.retry_after), (3, Duration::from_secs(60)));
}

#[test]
fn a_limit_set_later_counts_what_came_before_it() {
    let mut account = Account::new(Limits::default());
    assert_eq!(account.admit(at_ms(0), id(1), tokens(70)), Ok(()));
    account.set_limits(Limits {
        requests_per_minute: Some(5),
        tokens_per_minute: Some(100),
        tokens_per_day: Some(100),
        concurrent_requests: Some(5),
        ..Limits::default()
    });
    let left: Vec<u64> = account.view(at_ms(0)).meters().map(|meter| meter.remaining).collect();
    assert_eq!(left, [4, 30, 30, 4]);
}

#[test]
fn a_call_that_was_never_sent_gets_its_request_and_its_tokens_back() {
    let mut account =
        Account::new(Limits { tokens_per_minute: Some(10), tokens_per_day: Some(10), ..per_minute(1) });
    assert_eq!(account.admit(at_ms(0), id(1), tokens(10)), Ok(()));
    assert_eq!(
        account.settle(at_ms(1), id(1), Outcome::NeverSent),
        Some(Settled { bound: tokens(10), tokens: 0, cost: 0 })
    );
    assert_eq!(account.admit(at_ms(1), id(2), tokens(10)), Ok(()));
}

#[test]
fn a_call_that_failed_gets_its_tokens_back_but_not_its_request() {
    let mut account = Account::new(Limits { tokens_per_day: Some(10), ..per_minute(2) });
    assert_eq!(account.admit(at_ms(0), id(1), tokens(10)), Ok(()));
    account.settle(at_ms(1), id(1), Outcome::Failed);
    assert_eq!(account.admit(at_ms(1), id(2), tokens(10)), Ok(()));
    account.settle(at_ms(2), id(2), Outcome::Failed);
    assert_eq!(refused(account.admit(at_ms(2), id(3), tokens(10))).limit, LimitName::RequestsPerMinute);
}

#[test]
fn the_minute_of_tokens_is_told_how_long_until_this_ask_fits() {
    let mut account = Account::new(tokens_per_minute(100));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(50)), Ok(()));
    assert_eq!(account.admit(at_ms(10_000), id(2), tokens(50)), Ok(()));
    account.settle(at_ms(20_000), id(1), spent(20));
    // 20 leave at 60 s, the 50 still reserved at 70 s.
    let small = refused(account.admit(at_ms(20_000), id(3), tokens(50)));
    assert_eq!((small.used, small.retry_after), (70, Duration::from_secs(40)));
    let large = refused(account.admit(at_ms(20_000), id(3), tokens(51)));
    assert_eq!((large.reason, large.retry_after), (DenyReason::Window, Duration::from_secs(50)));
    assert_eq!(account.admit(at_ms(20_000), id(3), tokens(30)), Ok(()));
}

#[test]
fn a_settlement_corrects_the_minute_of_its_admission_and_no_later_one() {
    let mut account = Account::new(tokens_per_minute(100));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(60)), Ok(()));
    assert_eq!(account.admit(at_ms(30_000), id(2), tokens(10)), Ok(()));
    account.settle(at_ms(50_000), id(1), spent(40));
    assert_eq!(refused(account.admit(at_ms(59_999), id(3), tokens(51))).used, 50);
    assert_eq!(account.admit(at_ms(60_000), id(3), tokens(90)), Ok(()));
    // The second one has left the window by now: nothing of it enters again.
    account.settle(at_ms(95_000), id(2), spent(10));
    assert_eq!(account.view(at_ms(95_000)).tokens_per_minute.map(|meter| meter.remaining), Some(10));
}

#[test]
fn a_call_that_runs_for_long_leaves_the_minute_but_keeps_its_slot_and_its_day() {
    let limits = Limits { tokens_per_minute: Some(10), concurrent_requests: Some(1), ..per_day(10) };
    let mut account = Account::new(limits);
    assert_eq!(account.admit(at_ms(0), id(1), tokens(10)), Ok(()));
    let view = account.view(at_ms(60_000));
    assert_eq!(view.tokens_per_minute.map(|meter| (meter.used, meter.reserved)), Some((0, 0)));
    assert_eq!(view.tokens_per_day.map(|meter| (meter.used, meter.reserved)), Some((0, 10)));
    assert_eq!(view.in_flight, 1);
    assert!(!account.is_idle(at_ms(60_000)));
}

#[test]
fn a_day_is_over_at_midnight_utc() {
    let mut account = Account::new(per_day(100));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(100)), Ok(()));
    account.settle(at_ms(1), id(1), spent(95));
    let denied = refused(account.admit(at_ms(3_600_000), id(2), tokens(10)));
    assert_eq!((denied.reason, denied.used), (DenyReason::Spent, 95));
    assert_eq!(denied.retry_after, Duration::from_secs(23 * 3_600));
    assert_eq!(denied.reset_unix_ms, MIDNIGHT_MS + DAY_MS);
    assert_eq!(account.admit(at_ms(DAY_MS), id(2), tokens(10)), Ok(()));
}

#[test]
fn a_day_that_is_only_reserved_asks_to_come_back_in_a_second() {
    let mut account = Account::new(per_day(100));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(90)), Ok(()));
    let denied = refused(account.admit(at_ms(0), id(2), tokens(20)));
    assert_eq!((denied.reason, denied.used), (DenyReason::Reserved, 90));
    assert_eq!(denied.retry_after, Duration::from_secs(1));
}

#[test]
fn a_call_over_midnight_is_charged_to_the_day_that_admitted_it() {
    let mut account = Account::new(per_day(100));
    assert_eq!(account.admit(at_ms(DAY_MS - 1), id(1), tokens(60)), Ok(()));
    assert_eq!(account.admit(at_ms(DAY_MS), id(2), tokens(60)), Ok(()));
    account.settle(at_ms(DAY_MS + 1), id(1), spent(60));
    let meter = account.view(at_ms(DAY_MS + 1)).tokens_per_day.expect("limited");
    assert_eq!((meter.used, meter.reserved, meter.remaining), (0, 60, 40));
}

#[test]
fn a_clock_stepped_back_opens_nothing_again() {
    let mut account = Account::new(per_day(100));
    let tomorrow = at_ms(DAY_MS + 1_000);
    assert_eq!(account.admit(tomorrow, id(1), tokens(100)), Ok(()));
    account.settle(tomorrow, id(1), spent(100));
    let stepped_back = Now { unix_ms: MIDNIGHT_MS, ..at_ms(DAY_MS + 2_000) };
    let denied = refused(account.admit(stepped_back, id(2), tokens(1)));
    assert_eq!(denied.reason, DenyReason::Spent);
    assert_eq!(denied.retry_after, Duration::from_millis(2 * DAY_MS));
}

#[test]
fn a_refused_call_does_not_move_the_day() {
    let mut account = Account::new(Limits { concurrent_requests: Some(1), ..per_day(100) });
    assert_eq!(account.admit(at_ms(0), id(1), tokens(70)), Ok(()));
    let jumped = Now { unix_ms: MIDNIGHT_MS + DAY_MS, ..at_ms(1) };
    assert_eq!(refused(account.admit(jumped, id(2), tokens(1))).limit, LimitName::ConcurrentRequests);
    let corrected = at_ms(2);
    assert_eq!(account.view(corrected).tokens_per_day.map(|meter| meter.reserved), Some(70));
}

#[test]
fn a_monotonic_clock_given_an_earlier_time_stands_still() {
    let mut account = Account::new(per_minute(1));
    assert_eq!(account.admit(at_ms(100_000), id(1), tokens(1)), Ok(()));
    let denied = refused(account.admit(at_ms(5_000), id(2), tokens(1)));
    assert_eq!(denied.retry_after, Duration::from_secs(60));
}

#[test]
fn a_slot_is_held_until_its_call_is_settled() {
    let mut account = Account::new(concurrent(1));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(1)), Ok(()));
    let denied = refused(account.admit(at_ms(3_600_000), id(2), tokens(1)));
    assert_eq!((denied.reason, denied.used), (DenyReason::Busy, 1));
    assert_eq!(denied.retry_after, Duration::from_secs(1));
    account.settle(at_ms(3_600_000), id(1), spent(1));
    assert_eq!(account.admit(at_ms(3_600_000), id(2), tokens(1)), Ok(()));
}

#[test]
fn a_call_above_the_limit_never_fits_however_empty_it_is() {
    for limits in [tokens_per_minute(10), per_day(10)] {
        let denied = refused(Account::new(limits).admit(at_ms(0), id(1), tokens(11)));
        assert_eq!((denied.reason, denied.max, denied.used), (DenyReason::NeverFits, 10, 0));
    }
}

#[test]
fn a_limit_of_zero_blocks_even_a_call_that_takes_nothing() {
    for limits in [per_minute(0), tokens_per_minute(0), per_day(0), concurrent(0)] {
        let denied = refused(Account::new(limits).admit(at_ms(0), id(1), tokens(0)));
        assert_eq!(denied.reason, DenyReason::Blocked);
        assert!(denied.retry_after >= Duration::from_secs(60), "no busy loop against a closed door");
    }
}

#[test]
fn of_several_refusals_the_incurable_one_is_told_then_the_longest() {
    let mut account = Account::new(Limits { concurrent_requests: Some(1), ..per_minute(1) });
    assert_eq!(account.admit(at_ms(0), id(1), tokens(1)), Ok(()));
    assert_eq!(refused(account.admit(at_ms(0), id(2), tokens(1))).limit, LimitName::RequestsPerMinute);
    assert_eq!(refused(account.admit(at_ms(59_500), id(2), tokens(1))).limit, LimitName::ConcurrentRequests);
    account.set_limits(Limits { tokens_per_minute: Some(5), ..per_minute(1) });
    assert_eq!(refused(account.admit(at_ms(0), id(2), tokens(6))).reason, DenyReason::NeverFits);
    account.set_limits(Limits { tokens_per_minute: Some(5), concurrent_requests: Some(0), ..per_minute(1) });
    assert_eq!(refused(account.admit(at_ms(0), id(2), tokens(6))).reason, DenyReason::Blocked);
    let blocked = Limits { tokens_per_day: Some(0), ..tokens_per_minute(0) };
    account.set_limits(Limits { requests_per_minute: Some(0), concurrent_requests: Some(0), ..blocked });
    // A minute before midnight all four have the same wait: the order of their listing decides.
    let denied = refused(account.admit(at_ms(DAY_MS - 60_000), id(2), tokens(6)));
    assert_eq!(denied.limit, LimitName::RequestsPerMinute);
}

#[test]
fn more_spent_than_bounded_is_shown_as_debt_and_must_be_made_up_for() {
    let mut account = Account::new(Limits { tokens_per_minute: Some(100), ..per_day(1_000) });
    assert_eq!(account.admit(at_ms(0), id(1), tokens(10)), Ok(()));
    assert_eq!(
        account.settle(at_ms(1), id(1), spent(1_500)),
        Some(Settled { bound: tokens(10), tokens: 1_500, cost: 0 })
    );
    let view = account.view(at_ms(1));
    assert_eq!(view.debt, 1_490);
    assert_eq!(view.tokens_per_day.map(|meter| (meter.used, meter.remaining)), Some((1_500, 0)));
    assert_eq!(refused(account.admit(at_ms(60_000), id(2), tokens(1))).limit, LimitName::TokensPerDay);
    assert_eq!(account.admit(at_ms(DAY_MS), id(2), tokens(1)), Ok(()));
    assert_eq!(account.view(at_ms(DAY_MS)).debt, 0);
}

#[test]
fn a_call_bounded_at_nothing_is_charged_all_the_same() {
    let mut account = Account::new(tokens_per_minute(100));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(0)), Ok(()));
    assert_eq!(account.admit(at_ms(1), id(2), tokens(10)), Ok(()));
    account.settle(at_ms(2), id(1), spent(50));
    let meter = account.view(at_ms(2)).tokens_per_minute.expect("limited");
    assert_eq!((meter.used, meter.reserved), (50, 10));
    assert_eq!(account.view(at_ms(60_000)).tokens_per_minute.map(|meter| meter.used), Some(0));
}

#[test]
fn only_the_first_settlement_of_a_call_counts() {
    let mut account = Account::new(per_day(100));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(50)), Ok(()));
    assert_eq!(
        account.settle(at_ms(1), id(1), spent(20)),
        Some(Settled { bound: tokens(50), tokens: 20, cost: 0 })
    );
    assert_eq!(account.settle(at_ms(2), id(1), spent(20)), None);
    assert_eq!(account.settle(at_ms(2), id(7), spent(20)), None);
    assert_eq!(account.view(at_ms(2)).tokens_per_day.map(|meter| meter.used), Some(20));
}

#[test]
fn the_same_admission_asked_for_twice_is_taken_once() {
    let mut account = Account::new(concurrent(1));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(5)), Ok(()));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(5)), Ok(()));
    assert_eq!(account.view(at_ms(0)).in_flight, 1);
    assert_eq!((account.bound(id(1)), account.bound(id(2))), (Some(tokens(5)), None));
}

#[test]
fn a_view_tells_what_headers_need() {
    let limits = Limits {
        requests_per_minute: Some(60),
        tokens_per_minute: Some(1_000),
        tokens_per_day: Some(1_500),
        concurrent_requests: Some(8),
        ..Limits::default()
    };
    let mut account = Account::new(limits);
    assert!(
        account.view(at_ms(0)).meters().all(|meter| meter.reset.is_zero() && meter.remaining == meter.max)
    );
    assert_eq!(account.admit(at_ms(0), id(1), tokens(400)), Ok(()));
    account.settle(at_ms(0), id(1), spent(300));
    assert_eq!(account.admit(at_ms(15_000), id(2), tokens(100)), Ok(()));
    let meter = |name, max, used, reserved, remaining, reset_s| Meter {
        name,
        max,
        used,
        reserved,
        remaining,
        reset: Duration::from_secs(reset_s),
    };
    let view = account.view(at_ms(45_000));
    let until_midnight = 86_400 - 45;
    assert_eq!(
        view.meters().collect::<Vec<_>>(),
        [
            meter(LimitName::RequestsPerMinute, 60, 2, 0, 58, 30),
            meter(LimitName::TokensPerMinute, 1_000, 300, 100, 600, 30),
            meter(LimitName::TokensPerDay, 1_500, 300, 100, 1_100, until_midnight),
            meter(LimitName::ConcurrentRequests, 8, 1, 0, 7, 1),
        ]
    );
    assert_eq!(view.tokens().map(|meter| meter.name), Some(LimitName::TokensPerMinute));
    assert_eq!(
        account.view(at_ms(75_000)).tokens().map(|meter| meter.name),
        Some(LimitName::TokensPerMinute)
    );
}

#[test]
fn the_tighter_token_limit_is_the_one_with_less_remaining() {
    let mut account = Account::new(Limits { tokens_per_day: Some(100), ..tokens_per_minute(90) });
    assert_eq!(account.admit(at_ms(0), id(1), tokens(80)), Ok(()));
    assert_eq!(account.view(at_ms(0)).tokens().map(|meter| meter.remaining), Some(10));
    assert_eq!(account.view(at_ms(60_000)).tokens().map(|meter| meter.remaining), Some(20));
    account.set_limits(Limits { tokens_per_day: Some(100), ..tokens_per_minute(100) });
    let of_two_equal_ones = account.view(at_ms(0)).tokens();
    assert_eq!(of_two_equal_ones.map(|meter| meter.name), Some(LimitName::TokensPerDay), "it resets later");
}

#[test]
fn an_account_is_idle_when_nothing_is_open_and_its_minute_is_empty() {
    let mut account = Account::new(Limits::default());
    assert!(account.is_idle(at_ms(0)));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(5)), Ok(()));
    account.settle(at_ms(10), id(1), spent(5));
    assert!(!account.is_idle(at_ms(59_999)));
    assert!(account.is_idle(at_ms(60_000)));
}

#[test]
fn numbers_at_the_end_of_their_range_are_counted_without_overflow() {
    let end = Now { mono: Duration::MAX, unix_ms: u64::MAX };
    let (max, most) = (Some(u64::MAX), Ask { tokens: u64::MAX, cost: u64::MAX });
    let mut account = Account::new(Limits {
        requests_per_minute: max,
        tokens_per_minute: max,
        tokens_per_day: max,
        usd_per_day: max,
        usd_per_month: max,
        concurrent_requests: max,
        mode: Mode::Enforce,
    });
    assert_eq!(account.admit(end, id(u64::MAX), most), Ok(()));
    assert_eq!(refused(account.admit(end, id(0), tokens(1))).used, u64::MAX);
    account.settle(end, id(u64::MAX), Outcome::Spent { tokens: u64::MAX, cost: u64::MAX });
    assert_eq!(refused(account.admit(end, id(0), most)).used, u64::MAX);
    assert_eq!(account.view(end).meters().map(|meter| meter.remaining).min(), Some(0));
}

#[test]
fn a_refusal_says_what_was_wrong_and_what_to_do() {
    let mut account = Account::new(per_minute(1));
    assert_eq!(account.admit(at_ms(0), id(1), tokens(1)), Ok(()));
    assert_eq!(
        refused(account.admit(at_ms(1_500), id(2), tokens(1))).to_string(),
        "requests_per_minute has too little left: 1 of 1 in the last minute; try again in 59 s"
    );
    assert_eq!(
        refused(Account::new(per_day(10)).admit(at_ms(0), id(1), tokens(11))).to_string(),
        "the request alone is above tokens_per_day (10); shorten the prompt or ask for fewer output tokens"
    );
}

#[test]
fn limits_in_shadow_let_everything_in_and_tell_what_they_would_have_refused() {
    let mut account = Account::new(Limits { mode: Mode::Shadow, tokens_per_day: Some(10), ..per_minute(1) });
    assert_eq!(account.admit_in_shadow(at_ms(0), id(1), tokens(5)), None);
    let denied = account.admit_in_shadow(at_ms(1), id(2), tokens(50)).unwrap();
    assert_eq!((denied.limit, denied.reason), (LimitName::TokensPerDay, DenyReason::NeverFits));
    let denied = account.admit_in_shadow(at_ms(2), id(3), tokens(1)).unwrap();
    assert_eq!((denied.limit, denied.max, denied.used), (LimitName::RequestsPerMinute, 1, 2));
    let view = account.view(at_ms(2));
    let (requests, day) = (view.requests_per_minute.unwrap(), view.tokens_per_day.unwrap());
    assert_eq!((requests.used, requests.remaining), (3, 0));
    assert_eq!((day.reserved, day.remaining, view.in_flight), (56, 0, 3));
}

#[test]
fn limits_that_are_enforced_after_a_time_in_shadow_refuse_until_there_is_room() {
    let mut account = Account::new(Limits { mode: Mode::Shadow, ..per_minute(1) });
    for number in 0..3 {
        account.admit_in_shadow(at_ms(number * 1_000), id(number), tokens(1));
        account.settle(at_ms(number * 1_000), id(number), Outcome::Spent { tokens: 1, cost: 0 });
    }
    account.set_limits(per_minute(1));
    let denied = account.admit(at_ms(3_000), id(3), tokens(1)).unwrap_err();
    assert_eq!((denied.used, denied.retry_after), (3, Duration::from_secs(59)));
    assert_eq!(account.admit(at_ms(62_000), id(3), tokens(1)), Ok(()));
}

#[test]
fn a_client_that_is_blocked_in_shadow_is_let_in() {
    let blocked = Limits { concurrent_requests: Some(0), tokens_per_minute: Some(0), ..per_minute(0) };
    let mut account = Account::new(Limits { mode: Mode::Shadow, ..blocked });
    let denied = account.admit_in_shadow(at_ms(0), id(1), tokens(1)).unwrap();
    assert_eq!((denied.limit, denied.reason), (LimitName::RequestsPerMinute, DenyReason::Blocked));
    assert_eq!(account.view(at_ms(0)).in_flight, 1);
}

#[test]
fn a_call_that_goes_on_without_its_client_frees_its_slot_and_keeps_what_it_reserved() {
    let limits = Limits { concurrent_requests: Some(1), tokens_per_day: Some(100), ..Limits::default() };
    let mut account = Account::new(limits);
    assert_eq!(account.admit(at_ms(0), id(1), tokens(40)), Ok(()));
    assert_eq!(refused(account.admit(at_ms(0), id(2), tokens(40))).limit, LimitName::ConcurrentRequests);
    for _ in 0..2 {
        account.free_slot(id(1));
        account.free_slot(id(9));
        assert_eq!(account.view(at_ms(0)).in_flight, 0);
    }
    assert_eq!(account.admit(at_ms(0), id(2), tokens(40)), Ok(()));
    let denied = refused(account.admit(at_ms(0), id(3), tokens(40)));
    assert_eq!(denied.limit, LimitName::TokensPerDay, "what is reserved stays so");
    assert!(account.settle(at_ms(1), id(1), spent(30)).is_some());
    assert_eq!(account.view(at_ms(1)).in_flight, 1);
    assert!(account.settle(at_ms(1), id(2), spent(30)).is_some());
    let view = account.view(at_ms(1));
    assert_eq!((view.in_flight, view.tokens_today), (0, 60));
}

#[test]
fn a_call_of_unknown_size_reserves_what_is_left_and_the_next_one_waits() {
    let limits = Limits { tokens_per_day: Some(1_000), usd_per_month: Some(50), ..Limits::default() };
    let mut account = Account::new(limits);
    let (least, unknown) = (Ask { tokens: 100, cost: 5 }, Ask { tokens: u64::MAX, cost: u64::MAX });
    assert_eq!(account.fitted(at_ms(0), least, unknown), Ask { tokens: 1_000, cost: 50 });
    // What is known to be enough is enough.
    assert_eq!(account.fitted(at_ms(0), least, Ask { tokens: 400, cost: 20 }), Ask { tokens: 400, cost: 20 });
    account.admit(at_ms(0), id(1), Ask { tokens: 300, cost: 10 }).unwrap();
    let fitted = account.fitted(at_ms(1), least, unknown);
    assert_eq!(fitted, Ask { tokens: 700, cost: 40 });
    account.admit(at_ms(1), id(2), fitted).unwrap();
    // Nothing is left: the least is asked for, and waits.
    assert_eq!(account.fitted(at_ms(2), least, unknown), least);
    assert_eq!(account.admit(at_ms(2), id(3), least).unwrap_err().reason, DenyReason::Reserved);
    assert_eq!(account.fitted(at_ms(2), Ask::default(), unknown), Ask { tokens: 1, cost: 1 });
    account.settle(at_ms(3), id(2), Outcome::Spent { tokens: 200, cost: 7 });
    assert_eq!(account.fitted(at_ms(4), least, unknown), Ask { tokens: 500, cost: 33 });
}

#[test]
fn a_call_of_unknown_size_reserves_the_least_where_nothing_is_limited() {
    let mut account = Account::new(tokens_per_minute(1_000));
    let (least, unknown) = (Ask { tokens: 100, cost: 5 }, Ask { tokens: u64::MAX, cost: u64::MAX });
    assert_eq!(account.fitted(at_ms(0), least, unknown), Ask { tokens: 1_000, cost: 5 });
    assert_eq!(account.fitted(at_ms(0), least, Ask { tokens: 200, cost: 9 }), Ask { tokens: 200, cost: 9 });
}

//! What is left of an account when its limiter or its process died, one sentence at a time.

use gateway_limits::{
    Account, AdmissionId, Ask, Denied, Limits, Now, Outcome, Recent, Record, Saved, Sums, resumed,
};
use std::time::Duration;

/// 2026-01-01T00:00:00Z, and the same in days since 1970-01-01.
const MIDNIGHT_MS: u64 = 1_767_225_600_000;
const NEW_YEAR: u64 = 20_454;
const DAY_MS: u64 = 86_400_000;

/// So many milliseconds after midnight and after the monotonic clock's epoch.
fn at_ms(ms: u64) -> Now {
    Now { mono: Duration::from_millis(ms), unix_ms: MIDNIGHT_MS + ms }
}

fn id(number: u64) -> AdmissionId {
    AdmissionId(number)
}

fn reserved(number: u64, at: Now, tokens: u64, cost: u64) -> Record {
    Record::Reserved { id: id(number), at, tokens, cost }
}

fn settled(number: u64, at: Now, outcome: Outcome) -> Record {
    Record::Settled { id: id(number), at, outcome }
}

fn per_minute(requests: u64) -> Limits {
    Limits { requests_per_minute: Some(requests), ..Limits::default() }
}

#[expect(clippy::expect_used, reason = "a test whose call is admitted ends here")]
fn refused(result: Result<(), Denied>) -> Denied {
    result.expect_err("refused")
}

#[test]
fn a_limiter_that_died_finds_its_open_calls_and_what_was_used() {
    let mut saved = Saved::default();
    saved.apply(&reserved(1, at_ms(0), 100, 1_000), at_ms(0));
    saved.apply(&settled(1, at_ms(10), Outcome::Spent { tokens: 60, cost: 500 }), at_ms(10));
    saved.apply(&reserved(2, at_ms(20), 30, 300), at_ms(20));
    let limits = Limits { tokens_per_day: Some(1_000), usd_per_month: Some(10_000), ..per_minute(5) };
    let mut account = Account::restore(limits, &saved, at_ms(30));
    assert_eq!(account.open().collect::<Vec<_>>(), [id(2)]);
    assert_eq!(account.bound(id(2)), Some(Ask { tokens: 30, cost: 300 }));
    let view = account.view(at_ms(30));
    assert_eq!(view.tokens_per_day.map(|meter| (meter.used, meter.reserved)), Some((60, 30)));
    assert_eq!(view.usd_per_month.map(|meter| (meter.used, meter.reserved)), Some((500, 300)));
    account.settle(at_ms(40), id(2), Outcome::Spent { tokens: 30, cost: 300 });
    assert_eq!(account.view(at_ms(40)).cost_today, 800);
}

#[test]
fn a_record_tells_the_day_of_the_admission_it_is_about_and_nothing_when_it_comes_twice() {
    let mut saved = Saved::default();
    let (evening, morning) = (at_ms(DAY_MS - 1), at_ms(DAY_MS + 1));
    assert_eq!(saved.apply(&reserved(1, evening, 1, 1), evening), Some(NEW_YEAR));
    assert_eq!(saved.apply(&reserved(1, evening, 1, 1), evening), None);
    assert_eq!(saved.apply(&reserved(2, morning, 1, 1), morning), Some(NEW_YEAR + 1));
    assert_eq!(saved.apply(&settled(1, morning, Outcome::Failed), morning), Some(NEW_YEAR));
    assert_eq!(saved.apply(&settled(1, morning, Outcome::Failed), morning), None);
    assert_eq!(saved.apply(&settled(7, morning, Outcome::Failed), morning), None);
    let stepped_back = Now { unix_ms: MIDNIGHT_MS, ..at_ms(DAY_MS + 2) };
    assert_eq!(saved.apply(&reserved(3, stepped_back, 1, 1), stepped_back), Some(NEW_YEAR + 1));
}

#[test]
fn a_saved_clock_given_an_earlier_time_stands_still() {
    let mut saved = Saved::default();
    for (number, ms) in [(1, 100_000), (2, 5_000)] {
        saved.apply(&reserved(number, at_ms(ms), 1, 0), at_ms(ms));
        saved.apply(&settled(number, at_ms(ms), Outcome::NeverSent), at_ms(ms));
    }
    saved.apply(&reserved(3, at_ms(5_000), 1, 0), at_ms(5_000));
    let mut account = Account::restore(per_minute(1), &saved, at_ms(5_000));
    let denied = refused(account.admit(at_ms(130_000), id(4), Ask::from(1)));
    assert_eq!(denied.retry_after, Duration::from_secs(30));

    saved.apply(&settled(3, at_ms(130_000), Outcome::NeverSent), at_ms(130_000));
    let mut account = Account::restore(per_minute(1), &saved, at_ms(5_000));
    assert_eq!(account.admit(at_ms(5_000), id(5), Ask::from(1)), Ok(()));
    assert_eq!(
        account.view(at_ms(150_000)).requests_per_minute.map(|meter| meter.reset),
        Some(Duration::from_secs(40))
    );
}

#[test]
fn after_a_restart_of_the_process_the_last_minute_the_day_and_the_month_still_count() {
    let latest = Now { mono: Duration::from_secs(520), unix_ms: MIDNIGHT_MS + 20_000 };
    let sums = Sums { day: NEW_YEAR, tokens: 900, debt: 40, cost: 7_000, month_cost: 9_000 };
    let recent = |number, admitted_s, settled_s| Recent {
        id: id(number),
        admitted: Duration::from_secs(admitted_s),
        settled: Duration::from_secs(settled_s),
        day: NEW_YEAR,
        bound: Ask::from(50),
        outcome: Outcome::Spent { tokens: 30, cost: 0 },
    };
    // In any order: a ledger reads them as they come.
    let saved = Saved::restored(latest, sums, [recent(2, 519, 520), recent(1, 500, 505)]);
    // The new process starts 10 s after the latest record.
    let started = at_ms(30_000);
    let started = Now { mono: resumed(latest, started.unix_ms), ..started };
    let limits = Limits { tokens_per_minute: Some(1_000), tokens_per_day: Some(1_000), ..per_minute(2) };
    let mut account = Account::restore(limits, &saved, started);
    let view = account.view(started);
    assert_eq!(view.in_flight, 0);
    assert_eq!(view.tokens_per_minute.map(|meter| (meter.used, meter.reserved)), Some((60, 0)));
    assert_eq!(view.tokens_per_day.map(|meter| (meter.used, meter.reserved)), Some((900, 0)));
    assert_eq!((view.debt, view.cost_today, view.cost_this_month), (40, 7_000, 9_000));
    let denied = refused(account.admit(started, id(3), Ask::from(1)));
    assert_eq!(denied.retry_after, Duration::from_millis(30_001), "a millisecond more for what was rounded");
    // What was settled is known: sent again, it changes nothing.
    let mut again = saved.clone();
    assert_eq!(again.apply(&reserved(2, latest, 50, 0), latest), None);
    assert_eq!(again, saved);
}

#[test]
fn a_day_and_a_month_found_after_their_end_are_over() {
    let latest = at_ms(0);
    let sums = Sums { day: NEW_YEAR, tokens: 90, debt: 5, cost: 70, month_cost: 80 };
    let saved = Saved::restored(latest, sums, []);
    let seen = |days: u64| {
        let now = at_ms(days * DAY_MS);
        let view = Account::restore(Limits::default(), &saved, now).view(now);
        (view.tokens_today, view.debt, view.cost_today, view.cost_this_month)
    };
    assert_eq!(seen(0), (90, 5, 70, 80));
    assert_eq!(seen(1), (0, 0, 0, 80));
    assert_eq!(seen(30), (0, 0, 0, 80));
    assert_eq!(seen(31), (0, 0, 0, 0));
}

#[test]
fn the_monotonic_clock_goes_on_by_what_the_wall_clock_says_has_passed() {
    let latest = Now { mono: Duration::from_secs(500), unix_ms: MIDNIGHT_MS };
    assert_eq!(resumed(latest, MIDNIGHT_MS + 10_000), Duration::from_millis(509_999));
    assert_eq!(resumed(latest, MIDNIGHT_MS), latest.mono);
    assert_eq!(resumed(Now { mono: Duration::MAX, unix_ms: 0 }, u64::MAX), Duration::MAX);
}

#[test]
fn a_wall_clock_set_back_over_a_restart_makes_nothing_older() {
    let before = Now { mono: Duration::from_secs(500), unix_ms: MIDNIGHT_MS + 50_000 };
    let mut saved = Saved::default();
    saved.apply(&reserved(1, before, 1, 0), before);
    let started = Now { mono: resumed(before, MIDNIGHT_MS), unix_ms: MIDNIGHT_MS };
    let mut account = Account::restore(per_minute(1), &saved, started);
    let denied = refused(account.admit(started, id(2), Ask::from(1)));
    assert_eq!(denied.retry_after, Duration::from_secs(60));
}

#[test]
fn a_wall_clock_set_forward_over_a_restart_makes_things_older_by_the_step_alone() {
    let before = Now { mono: Duration::from_secs(500), unix_ms: MIDNIGHT_MS };
    let mut saved = Saved::default();
    saved.apply(&reserved(1, before, 1, 0), before);
    // 5 s pass and the clock is set 20 s forward.
    let unix_ms = MIDNIGHT_MS + 25_001;
    let started = Now { mono: resumed(before, unix_ms), unix_ms };
    let mut account = Account::restore(per_minute(1), &saved, started);
    let denied = refused(account.admit(started, id(2), Ask::from(1)));
    assert_eq!(denied.retry_after, Duration::from_secs(35));
}

#[test]
fn what_was_settled_a_minute_ago_is_let_go_and_what_is_open_is_kept() {
    let mut saved = Saved::default();
    saved.apply(&reserved(1, at_ms(0), 1, 0), at_ms(0));
    saved.apply(&reserved(2, at_ms(5), 1, 0), at_ms(5));
    saved.apply(&settled(1, at_ms(10), Outcome::Spent { tokens: 1, cost: 0 }), at_ms(10));
    // Asked for a moment at which both would still count.
    let counted = |saved: &Saved| {
        let view = Account::restore(per_minute(5), saved, at_ms(10)).view(at_ms(10));
        view.requests_per_minute.map(|meter| meter.used)
    };
    saved.forget(at_ms(60_009));
    assert_eq!(counted(&saved), Some(2));
    saved.forget(at_ms(60_010));
    assert_eq!(counted(&saved), Some(1));
}

#[test]
fn a_later_record_lets_go_of_what_is_over() {
    let mut saved = Saved::default();
    saved.apply(&reserved(1, at_ms(0), 1, 1), at_ms(0));
    saved.apply(&settled(1, at_ms(10), Outcome::Failed), at_ms(10));
    let later = reserved(2, at_ms(60_010), 1, 1);
    saved.apply(&later, at_ms(60_010));
    let mut never_had_it = Saved::default();
    never_had_it.apply(&later, at_ms(60_010));
    assert_eq!(saved, never_had_it);
}

#[test]
fn what_an_earlier_process_settled_is_let_go_in_the_order_of_settlement() {
    let recent = |number, settled_s| Recent {
        id: id(number),
        admitted: Duration::from_secs(100),
        settled: Duration::from_secs(settled_s),
        day: NEW_YEAR,
        bound: Ask::from(1),
        outcome: Outcome::Failed,
    };
    let latest = Now { mono: Duration::from_secs(130), unix_ms: MIDNIGHT_MS };
    let sums = Sums { day: NEW_YEAR, ..Sums::default() };
    let mut saved = Saved::restored(latest, sums, [recent(1, 130), recent(2, 110)]);
    saved.forget(Now { mono: Duration::from_secs(170), ..latest });
    assert_eq!(saved, Saved::restored(latest, sums, [recent(1, 130)]));
    saved.forget(Now { mono: Duration::from_secs(190), ..latest });
    assert_eq!(saved, Saved::restored(latest, sums, []));
}

use proptest::prelude::*;

use super::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    consecutive: 5,
    rate: 0.5,
    calls_min: 20,
    window: Duration::from_secs(10),
    cooling: Duration::from_secs(1),
    cooling_max: Duration::from_secs(15),
};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn fail(breaker: &mut Breaker, ms: u64, answered: u64) -> Option<Duration> {
    breaker.failed(at(ms), Blame::Upstream, answered, false, &SETTINGS)
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    let mut breaker = Breaker::default();
    for ms in 0..4 {
        assert_eq!(fail(&mut breaker, ms, 0), None);
    }
    assert_eq!(fail(&mut breaker, 4, 0), Some(Duration::from_secs(1)));
}

#[test]
fn a_success_begins_the_row_anew() {
    let mut breaker = Breaker::default();
    for ms in 0..4 {
        fail(&mut breaker, ms, 0);
    }
    breaker.succeeded();
    for ms in 4..8 {
        assert_eq!(fail(&mut breaker, ms, 1), None);
    }
}

#[test]
fn half_of_twenty_calls_open_it_though_no_two_failures_follow_each_other() {
    let mut breaker = Breaker::default();
    for call in 0..10 {
        assert_eq!(fail(&mut breaker, call, call), None);
        breaker.succeeded();
    }
    assert_eq!(fail(&mut breaker, 10, 10), Some(Duration::from_secs(1)));
}

#[test]
fn failures_that_lie_further_apart_than_the_window_do_not_add_up() {
    let mut breaker = Breaker::default();
    for call in 0..100 {
        assert_eq!(fail(&mut breaker, call * 10_000, call), None);
        breaker.succeeded();
    }
}

#[test]
fn a_failed_trial_opens_it_again_for_twice_as_long_and_never_longer_than_the_cap() {
    let mut breaker = Breaker::default();
    for ms in 0..5 {
        fail(&mut breaker, ms, 0);
    }
    let rests: Vec<_> = (0..5)
        .map(|n| breaker.failed(at(100 + n), Blame::Upstream, 0, true, &SETTINGS).unwrap().as_secs())
        .collect();
    assert_eq!(rests, [2, 4, 8, 15, 15]);
}

#[test]
fn an_upstream_that_is_too_busy_rests_as_long_as_it_asks_for_up_to_the_cap() {
    let mut breaker = Breaker::default();
    let limited = |seconds| Blame::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
    let rest = breaker.failed(at(0), limited(7), 0, false, &SETTINGS);
    assert_eq!(rest, Some(Duration::from_secs(7)));
    let day = breaker.failed(at(0), limited(86_400), 0, false, &SETTINGS);
    assert_eq!(day, Some(SETTINGS.cooling_max));
    assert_eq!(breaker.consecutive(), 0, "it is no failure of the upstream");
}

proptest! {
    #[test]
    fn no_rest_is_longer_than_the_cap_or_without_a_failure(
        calls in prop::collection::vec((0..3_u8, 0..2_000_u64, any::<bool>()), 1..200),
    ) {
        let mut breaker = Breaker::default();
        let (mut now, mut answered) = (0, 0);
        for (what, pause, is_trial) in calls {
            now += pause;
            match what {
                0 => {
                    answered += 1;
                    breaker.succeeded();
                    prop_assert_eq!(breaker.consecutive(), 0);
                }
                1 => {
                    let rest = breaker.failed(at(now), Blame::Upstream, answered, is_trial, &SETTINGS);
                    prop_assert!(rest.is_none_or(|rest| rest <= SETTINGS.cooling_max));
                    prop_assert!(!is_trial || rest.is_some());
                }
                _ => {
                    let blame = Blame::RateLimited { retry_after: None };
                    let rest = breaker.failed(at(now), blame, answered, is_trial, &SETTINGS);
                    prop_assert!(rest.is_some_and(|rest| rest <= SETTINGS.cooling_max));
                }
            }
        }
    }
}

//! The window against a list that remembers everything.

use super::{Count, Window};
use crate::now::Moment;
use proptest::prelude::*;
use std::time::Duration;

const MINUTE_NS: u64 = 60_000_000_000;

fn moment(ns: u64) -> Moment {
    Moment::of(Duration::from_nanos(ns))
}

/// What a test remembers of an entry: when it was made, when it leaves, what it holds.
#[derive(Debug)]
struct Remembered {
    at_ns: u64,
    place: Moment,
    spent: u64,
    reserved: u64,
}

fn exactly(remembered: &[Remembered], now_ns: u64) -> u64 {
    let counts = |entry: &&Remembered| entry.at_ns + MINUTE_NS > now_ns;
    remembered.iter().filter(counts).map(|entry| entry.spent + entry.reserved).sum()
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { amount: u64 },
    Settle { which: usize, spent: u64 },
    Pass { ns: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let near_a_minute = MINUTE_NS - 200_000_000..MINUTE_NS + 200_000_000;
    prop_oneof![
        3 => (0..5_u64).prop_map(|amount| Step::Reserve { amount }),
        2 => (any::<usize>(), 0..8_u64).prop_map(|(which, spent)| Step::Settle { which, spent }),
        2 => prop_oneof![0..3_u64, 0..300_000_000_u64, 0..=MINUTE_NS, near_a_minute].prop_map(|ns| Step::Pass { ns }),
    ]
}

/// Runs `steps` and hands each state to `check`.
fn run<const EXACT: usize>(
    steps: Vec<Step>,
    mut check: impl FnMut(&mut Window<EXACT>, &[Remembered], u64) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut window, mut remembered, mut now_ns) = (Window::<EXACT>::default(), Vec::new(), 0);
    for step in steps {
        let now = moment(now_ns);
        window.advance(now);
        match step {
            Step::Reserve { amount } => {
                let place = window.reserve(now, amount);
                remembered.push(Remembered { at_ns: now_ns, place, spent: 0, reserved: amount });
            }
            Step::Settle { which, spent } => {
                let entries = remembered.len().max(1);
                if let Some(entry) = remembered.get_mut(which % entries) {
                    window.settle(entry.place, entry.reserved, spent);
                    entry.spent += spent;
                    entry.reserved = 0;
                }
            }
            Step::Pass { ns } => now_ns += ns,
        }
        check(&mut window, &remembered, now_ns)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_exact_window_counts_what_the_last_minute_holds(steps in prop::collection::vec(step(), 0..80)) {
        run::<1_000>(steps, |window, remembered, now_ns| {
            prop_assert_eq!(window.count(moment(now_ns)).total(), u128::from(exactly(remembered, now_ns)));
            Ok(())
        })?;
    }

    #[test]
    fn a_window_kept_in_steps_never_counts_less_and_holds_nothing_over_a_step_too_long(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        run::<3>(steps, |window, remembered, now_ns| {
            let counted = window.count(moment(now_ns)).total();
            prop_assert!(counted >= u128::from(exactly(remembered, now_ns)));
            let a_step_ago = now_ns.saturating_sub(100_000_000);
            prop_assert!(counted <= u128::from(exactly(remembered, a_step_ago)));
            Ok(())
        })?;
    }

    #[test]
    fn waiting_as_long_as_told_frees_the_amount_and_a_nanosecond_less_does_not(
        steps in prop::collection::vec(step(), 0..80),
        part in 0.0..=1.0_f64,
    ) {
        run::<8>(steps, |window, _, now_ns| {
            window.advance(moment(now_ns));
            let counted = window.count(moment(now_ns)).total();
            let wanted = (counted as f64 * part).ceil() as u128;
            let wait_ns = window.wait_for(moment(now_ns), wanted).as_nanos() as u64;
            prop_assert!(window.count(moment(now_ns + wait_ns)).total() + wanted <= counted);
            if wait_ns > 0 {
                prop_assert!(window.count(moment(now_ns + wait_ns - 1)).total() + wanted > counted);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_window_is_empty_exactly_when_it_says(steps in prop::collection::vec(step(), 0..80)) {
        run::<8>(steps, |window, _, now_ns| {
            let wait_ns = window.empty_in(moment(now_ns)).as_nanos() as u64;
            prop_assert_eq!(window.count(moment(now_ns + wait_ns)), Count::default());
            if wait_ns > 0 {
                prop_assert!(window.count(moment(now_ns + wait_ns - 1)).total() > 0);
            }
            Ok(())
        })?;
    }
}

#[test]
fn however_much_comes_the_log_stays_bounded() {
    let mut window = Window::<10>::default();
    for ms in 0..180_000 {
        let now = moment(ms * 1_000_000);
        window.advance(now);
        window.reserve(now, 1);
        assert!(window.entries.len() <= 10 + 601);
    }
    assert!(window.count.total() >= 60_000);
}

#[test]
fn in_steps_an_even_sender_gets_at_least_600_of_601_requests_in() {
    let mut window = Window::<10>::default();
    let mut admitted = 0_u64;
    for ms in 0..600_000 {
        let now = moment(ms * 1_000_000);
        window.advance(now);
        if window.count(now).total() < 60_000 {
            window.reserve(now, 1);
            admitted += 1;
        }
    }
    assert!(admitted * 601 >= 600_000 * 600, "{admitted} of 600000");
}

#[test]
fn entries_that_were_taken_back_do_not_pile_up() {
    let mut window = Window::<1_000>::default();
    for ns in 0..10_000 {
        let place = window.reserve(moment(ns), 1);
        window.settle(place, 1, 0);
    }
    assert!(window.entries.is_empty());
}

#[test]
fn amounts_at_the_end_of_the_number_range_saturate() {
    let mut window = Window::<1_000>::default();
    let place = window.reserve(moment(0), u64::MAX);
    window.reserve(moment(0), u64::MAX);
    window.settle(place, u64::MAX, u64::MAX);
    window.settle(place, u64::MAX, u64::MAX);
    let end = Moment::of(Duration::MAX);
    window.advance(end);
    window.reserve(end, u64::MAX);
    assert_eq!(window.count(end).total(), u128::from(u64::MAX), "a clock at its end lets nothing expire");
}

//! What tokens cost, and how amounts and grades are written.

use gateway_limits::{Grade, PICO_PER_USD, Price, Usage, Usd};
use proptest::prelude::*;

/// 2.50, 1.25, 3.00, 10.00 and 12.00 USD per million tokens.
const PRICE: Price = Price {
    input: 2_500_000,
    cache_read: 1_250_000,
    cache_write: 3_000_000,
    output: 10_000_000,
    reasoning: 12_000_000,
};

#[test]
fn each_part_of_a_usage_is_paid_once_at_its_own_price() {
    let usage = Usage { input: 1_000, cache_read: 200, cache_write: 30, output: 4, reasoning: 5 };
    let micro_usd = 2_500 + 250 + 90 + 40 + 60;
    assert_eq!(PRICE.cost(&usage), micro_usd * 1_000_000);
    assert_eq!(Price::FREE.cost(&usage), 0);
}

#[test]
fn a_bound_counts_each_side_in_its_dearest_way() {
    assert_eq!(PRICE.bound(100, 0), 100 * 3_000_000);
    assert_eq!(PRICE.bound(0, 100), 100 * 12_000_000);
    assert_eq!(Price { cache_write: 0, reasoning: 0, ..PRICE }.bound(1, 1), 2_500_000 + 10_000_000);
    assert_eq!(Price { input: 0, cache_write: 0, ..PRICE }.bound(1, 0), 1_250_000);
    assert_eq!(Price::FREE.bound(u64::MAX, u64::MAX), 0);
}

#[test]
fn an_absurd_cost_is_the_largest_and_never_a_small_one() {
    let usage = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
    assert_eq!(PRICE.cost(&usage), u64::MAX);
    assert_eq!(PRICE.bound(u64::MAX, 1), u64::MAX);
    assert_eq!((usage.total(), usage.prompt_tokens()), (u64::MAX, u64::MAX));
}

#[test]
fn usd_are_written_exactly_with_cents_and_without_zeros_that_say_nothing() {
    let shown = |pico: u64| Usd(pico).to_string();
    assert_eq!(shown(0), "0.00");
    assert_eq!(shown(5 * PICO_PER_USD), "5.00");
    assert_eq!(shown(PICO_PER_USD / 2), "0.50");
    assert_eq!(shown(123_000_000), "0.000123");
    assert_eq!(shown(1), "0.000000000001");
    assert_eq!(shown(12 * PICO_PER_USD + 340_000_000_000), "12.34");
    assert_eq!(shown(u64::MAX), "18446744.073709551615");
    assert_eq!(format!("{:>8}|{:<6}|", Usd(PICO_PER_USD), Usd(0)), "    1.00|0.00  |");
}

#[test]
fn a_grade_is_read_by_the_name_it_is_written_with() {
    for grade in [Grade::Reported, Grade::Counted, Grade::Estimated] {
        assert_eq!(Grade::parse(grade.as_str()), Some(grade));
    }
    assert_eq!(Grade::parse("Reported"), None);
}

fn price() -> impl Strategy<Value = Price> {
    let per_token = || prop_oneof![Just(0), 1..200_000_000_u64];
    (per_token(), per_token(), per_token(), per_token(), per_token()).prop_map(
        |(input, cache_read, cache_write, output, reasoning)| Price {
            input,
            cache_read,
            cache_write,
            output,
            reasoning,
        },
    )
}

fn usage() -> impl Strategy<Value = Usage> {
    let tokens = || 0..2_000_u64;
    (tokens(), tokens(), tokens(), tokens(), tokens()).prop_map(
        |(input, cache_read, cache_write, output, reasoning)| Usage {
            input,
            cache_read,
            cache_write,
            output,
            reasoning,
        },
    )
}

proptest! {
    #[test]
    fn an_amount_read_back_is_the_same(pico in prop_oneof![any::<u64>(), 0..PICO_PER_USD]) {
        let text = Usd(pico).to_string();
        let (whole, decimals) = text.split_once('.').expect("a point");
        prop_assert!(decimals.len() >= 2 && (decimals.len() == 2 || !decimals.ends_with('0')), "{}", text);
        let read_back: u64 = format!("{whole}{decimals:0<12}").parse().expect("digits");
        prop_assert_eq!(read_back, pico);
    }

    #[test]
    fn the_cost_of_two_disjoint_parts_is_the_sum_of_their_costs(
        price in price(),
        one in usage(),
        other in usage(),
    ) {
        let both = Usage {
            input: one.input + other.input,
            cache_read: one.cache_read + other.cache_read,
            cache_write: one.cache_write + other.cache_write,
            output: one.output + other.output,
            reasoning: one.reasoning + other.reasoning,
        };
        prop_assert_eq!(price.cost(&both), price.cost(&one) + price.cost(&other));
        prop_assert_eq!(both.total(), one.total() + other.total());
    }

    #[test]
    fn no_usage_within_its_bound_costs_more_than_the_bound(
        price in price(),
        usage in usage(),
        more in (0..50_u64, 0..50_u64),
    ) {
        let bound = price.bound(usage.prompt_tokens() + more.0, usage.completion_tokens() + more.1);
        prop_assert!(price.cost(&usage) <= bound);
    }
}

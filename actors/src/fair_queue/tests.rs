use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Queue = FairQueue<&'static str, (&'static str, u64)>;

fn push(queue: &mut Queue, client: &'static str, weight: u32, cost: u64) {
    assert_eq!(queue.push(client, weight, cost, (client, cost), usize::MAX), None);
}

/// Tokens served to each client by so many pops.
fn served(queue: &mut Queue, pops: usize) -> BTreeMap<&'static str, u64> {
    let mut served = BTreeMap::new();
    for (client, cost) in std::iter::from_fn(|| queue.pop()).take(pops) {
        *served.entry(client).or_default() += cost;
    }
    served
}

#[test]
fn a_client_that_floods_is_served_no_more_than_another() {
    let mut queue = Queue::default();
    (0..1_000).for_each(|_| push(&mut queue, "flood", 1, 500));
    (0..20).for_each(|_| push(&mut queue, "ada", 1, 500));
    let served = served(&mut queue, 40);
    assert_eq!((served["ada"], served["flood"]), (10_000, 10_000));
}

#[test]
fn large_jobs_are_served_more_rarely() {
    let mut queue = Queue::default();
    (0..100).for_each(|_| push(&mut queue, "large", 1, 10_000));
    (0..1_000).for_each(|_| push(&mut queue, "small", 1, 1_000));
    let served = served(&mut queue, 220);
    assert_eq!((served["large"], served["small"]), (200_000, 200_000));
}

#[test]
fn a_weight_of_three_is_served_three_times_as_much() {
    let mut queue = Queue::default();
    (0..500).for_each(|_| push(&mut queue, "one", 1, 1_000));
    (0..500).for_each(|_| push(&mut queue, "three", 3, 1_000));
    let served = served(&mut queue, 400);
    assert_eq!((served["one"], served["three"]), (100_000, 300_000));
}

#[test]
fn a_full_queue_turns_away_the_one_that_fills_it() {
    let mut queue = Queue::default();
    for n in 0..10 {
        assert_eq!(queue.push("flood", 1, 1, ("flood", n), 10), None);
    }
    assert_eq!(queue.push("ada", 1, 1, ("ada", 0), 10), Some(("flood", 9)));
    assert_eq!(queue.push("flood", 1, 1, ("flood", 10), 10), Some(("flood", 10)));
    assert_eq!(queue.len(), 10);
}

#[test]
fn a_job_of_a_million_tokens_takes_its_turn_and_not_the_machine() {
    let mut queue = Queue::default();
    push(&mut queue, "huge", 1, u64::MAX);
    assert_eq!(queue.pop(), Some(("huge", u64::MAX)));
    assert_eq!(queue.pop(), None);
}

#[test]
fn what_is_put_back_comes_first() {
    let mut queue = Queue::default();
    push(&mut queue, "ada", 1, 100);
    push(&mut queue, "bob", 1, 100);
    let (client, cost) = queue.pop().unwrap();
    queue.push_back_to_front(client, 1, cost, (client, cost));
    assert_eq!(queue.pop().map(|(client, _)| client), Some(client));
    assert_eq!(queue.len(), 1);
}

#[test]
fn who_asks_little_is_served_before_one_that_floods_and_no_more_than_its_share() {
    let mut queue = Queue::default();
    (0..100).for_each(|_| push(&mut queue, "flood", 1, 4_000));
    assert_eq!(queue.pop(), Some(("flood", 4_000)));
    push(&mut queue, "ada", 1, 4_000);
    assert_eq!(queue.pop(), Some(("ada", 4_000)), "she owes nothing");
    push(&mut queue, "ada", 1, 4_000);
    push(&mut queue, "ada", 1, 4_000);
    let next: Vec<_> = (0..4).filter_map(|_| queue.pop()).map(|(client, _)| client).collect();
    assert_eq!(next, ["flood", "ada", "flood", "ada"]);
}

#[test]
fn what_a_client_owes_for_one_whose_caller_left_is_forgiven() {
    let mut queue = Queue::default();
    (0..10).for_each(|_| push(&mut queue, "ada", 1, 1_000));
    push(&mut queue, "bob", 1, 50_000);
    push(&mut queue, "bob", 1, 1_000);
    assert_eq!(queue.pop(), Some(("ada", 1_000)));
    assert_eq!(queue.pop(), Some(("bob", 50_000)));
    queue.forgive(&"bob", 50_000);
    assert_eq!(queue.pop(), Some(("bob", 1_000)));
}

#[test]
fn when_nobody_waits_nothing_is_remembered() {
    let mut queue = Queue::default();
    push(&mut queue, "ada", 1, 1_000_000);
    queue.pop();
    assert!(queue.lines.is_empty() && queue.round.is_empty() && queue.new.is_empty());
    push(&mut queue, "bob", 1, 10);
    queue.remove(|_| true);
    assert!(queue.lines.is_empty() && queue.round.is_empty() && queue.new.is_empty());
}

proptest! {
    #[test]
    fn nothing_is_lost_or_served_twice_and_each_client_keeps_its_order(
        steps in prop::collection::vec((0..5_u8, 0..4_usize, 1..20_000_u64, 1..4_u32), 1..200),
    ) {
        const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];
        let mut queue: FairQueue<&str, (&str, u64)> = FairQueue::default();
        let mut waiting: BTreeMap<&str, VecDeque<u64>> = BTreeMap::new();
        let mut next = 0;
        for (what, client, cost, weight) in steps {
            let client = CLIENTS[client];
            match what {
                0..=2 => {
                    next += 1;
                    waiting.entry(client).or_default().push_back(next);
                    if let Some((out, id)) = queue.push(client, weight, cost, (client, next), 12) {
                        prop_assert_eq!(waiting.get_mut(out).and_then(VecDeque::pop_back), Some(id));
                    }
                }
                3 => {
                    if let Some((out, id)) = queue.pop() {
                        prop_assert_eq!(waiting.get_mut(out).and_then(VecDeque::pop_front), Some(id));
                    }
                }
                _ => {
                    let removed = queue.remove(|(out, id)| *out == client && id % 2 == 0);
                    for (out, id) in removed {
                        waiting.get_mut(out).unwrap().retain(|other| *other != id);
                    }
                }
            }
            prop_assert_eq!(queue.len(), waiting.values().map(VecDeque::len).sum::<usize>());
            prop_assert!(queue.len() <= 12);
        }
        let left = waiting.values().map(VecDeque::len).sum::<usize>();
        prop_assert_eq!(std::iter::from_fn(|| queue.pop()).count(), left);
    }

    /// Two clients that always have something waiting are apart by no more than a turn and a job each.
    #[test]
    fn service_is_fair_at_every_moment(
        costs in prop::collection::vec((1..8_000_u64, 1..8_000_u64), 50..200),
    ) {
        let mut queue: FairQueue<&str, (&str, u64)> = FairQueue::default();
        for (a, b) in &costs {
            queue.push("a", 1, *a, ("a", *a), usize::MAX);
            queue.push("b", 1, *b, ("b", *b), usize::MAX);
        }
        let (mut a, mut b) = (0_u64, 0_u64);
        while queue.heads().count() == 2 {
            match queue.pop() {
                Some(("a", cost)) => a += cost,
                Some((_, cost)) => b += cost,
                None => break,
            }
            prop_assert!(a.abs_diff(b) <= 2 * 8_000 + QUANTUM as u64, "{a} {b}");
        }
    }
}

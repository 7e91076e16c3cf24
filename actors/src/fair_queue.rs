//! The jobs that wait at one pool, and whose turn it is: weighted deficit round robin over clients.
//!
//! Owns     the waiting jobs, a line per client.
//! Called   by its ProviderPool alone.
//! Bounded  by the caller's bound on [`len`](FairQueue::len); see [`push`](FairQueue::push) for what gives way.
//! Fails    never. Pure: it knows neither jobs nor clocks; what waits is a value with a cost.
//!
//! Each client with something waiting gets, turn by turn, a quantum of tokens times its weight, and as many of its
//! jobs are let through as that pays for (Shreedhar and Varghese, "Efficient fair queueing using deficit round robin",
//! 1995). So what a client is served depends on its weight and on how many others wait, not on how many jobs it
//! sends or how large they are.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The tokens of one turn for a client of weight 1: about a short chat. Smaller ones only cost more turns.
const QUANTUM: u64 = 1_000;

/// A queue of `T` over clients `C`.
#[derive(Debug)]
pub struct FairQueue<C, T> {
    lines: HashMap<C, Line<T>>,
    /// Clients with something waiting; the front one has its turn.
    round: VecDeque<C>,
    len: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<Waiting<T>>,
    weight: u64,
    /// Tokens that this client may still be served in this turn.
    deficit: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    cost: u64,
}

impl<C, T> Default for FairQueue<C, T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), round: VecDeque::new(), len: 0 }
    }
}

impl<C: Clone + Eq + Hash, T> FairQueue<C, T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts one behind the others of its client. `weight` is the client's, at least 1; the latest counts. When `max`
    /// wait already, one has to give way, and comes back: the last of the client that has most waiting for its weight,
    /// which may be this one. So a client that floods the queue fills its own share of it and no other's.
    pub fn push(&mut self, client: C, weight: u32, cost: u64, item: T, max: usize) -> Option<T> {
        let line = self.lines.entry(client.clone()).or_insert_with(|| {
            self.round.push_back(client);
            Line { waiting: VecDeque::new(), weight: 1, deficit: 0 }
        });
        line.weight = u64::from(weight.max(1));
        line.waiting.push_back(Waiting { item, cost: cost.max(1) });
        self.len += 1;
        if self.len <= max {
            return None;
        }
        let longest = self.lines.iter().max_by_key(|(_, line)| {
            // In thousandths, so that weights count in whole numbers.
            line.waiting.len() as u64 * 1_000 / line.weight
        });
        let longest = longest.map(|(client, _)| client.clone())?;
        self.take(&longest, VecDeque::pop_back)
    }

    /// Takes the one whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        self.credit();
        loop {
            let client = self.round.front()?.clone();
            let line = self.lines.get_mut(&client)?;
            let cost = line.waiting.front()?.cost;
            if cost <= line.deficit {
                line.deficit -= cost;
                return self.take(&client, VecDeque::pop_front);
            }
            line.deficit = line.deficit.saturating_add(QUANTUM.saturating_mul(line.weight));
            self.round.rotate_left(1);
        }
    }

    /// Puts back what [`pop`](Self::pop) gave and could not be used.
    pub fn push_back_to_front(&mut self, client: C, weight: u32, cost: u64, item: T) {
        let line = self.lines.entry(client.clone()).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            weight: u64::from(weight.max(1)),
            deficit: 0,
        });
        if line.waiting.is_empty() {
            self.round.push_front(client);
        }
        line.deficit = line.deficit.saturating_add(cost.max(1));
        line.waiting.push_front(Waiting { item, cost: cost.max(1) });
        self.len += 1;
    }

    /// Takes out all that `leaves` says so of.
    pub fn remove(&mut self, mut leaves: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for line in self.lines.values_mut() {
            let mut kept = VecDeque::with_capacity(line.waiting.len());
            for waiting in line.waiting.drain(..) {
                if leaves(&waiting.item) {
                    removed.push(waiting.item);
                } else {
                    kept.push_back(waiting);
                }
            }
            line.waiting = kept;
        }
        self.len -= removed.len();
        self.lines.retain(|_, line| !line.waiting.is_empty());
        let lines = &self.lines;
        self.round.retain(|client| lines.contains_key(client));
        removed
    }

    /// The first of every client's line, in no order: the oldest of each.
    pub fn heads(&self) -> impl Iterator<Item = &T> {
        self.lines.values().filter_map(|line| line.waiting.front()).map(|waiting| &waiting.item)
    }

    /// Gives everybody the turns that nobody could use, all at once: a job of a million tokens would else take a
    /// thousand of them.
    fn credit(&mut self) {
        let turns_of = |line: &Line<T>| {
            let first = line.waiting.front()?;
            let missing = first.cost.saturating_sub(line.deficit);
            Some(missing.div_ceil(QUANTUM.saturating_mul(line.weight)))
        };
        let turns = self.lines.values().filter_map(turns_of).min().unwrap_or(0);
        // The last of these turns is the one in which the round finds who is served first.
        let Some(unused) = turns.checked_sub(1).filter(|unused| *unused > 0) else { return };
        for line in self.lines.values_mut() {
            let credit = QUANTUM.saturating_mul(line.weight).saturating_mul(unused);
            line.deficit = line.deficit.saturating_add(credit);
        }
    }

    fn take(
        &mut self,
        client: &C,
        end: impl FnOnce(&mut VecDeque<Waiting<T>>) -> Option<Waiting<T>>,
    ) -> Option<T> {
        let line = self.lines.get_mut(client)?;
        let waiting = end(&mut line.waiting)?;
        self.len -= 1;
        if line.waiting.is_empty() {
            // What it has saved goes with it: a client that comes again begins as the others do.
            self.lines.remove(client);
            self.round.retain(|other| other != client);
        }
        Some(waiting.item)
    }
}

#[cfg(test)]
mod tests;

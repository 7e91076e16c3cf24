//! The jobs that wait at one pool, and whose turn it is: weighted deficit round robin over clients.
//!
//! Owns     the waiting jobs, a line per client, and what clients were served of late.
//! Called   by its ProviderPool alone.
//! Bounded  by the caller's bound on [`len`](FairQueue::len); see [`push`](FairQueue::push) for what gives way. Beside
//!          those who wait it remembers the clients that were served and have not made up for it by missed turns; when
//!          nobody waits it remembers nothing.
//! Fails    never. Pure: it knows neither jobs nor clocks; what waits is a value with a cost.
//!
//! Turn by turn each client gets a quantum of tokens times its weight, and as many of its jobs are let through as that
//! pays for (Shreedhar and Varghese, "Efficient fair queueing using deficit round robin", 1995). So what a client is
//! served depends on its weight and on how many others wait, not on how many jobs it sends or how large they are.
//!
//! Two things are as in FQ-CoDel (RFC 8290), so that a client which asks little is not kept waiting by one that asks
//! much. A job is let through as soon as its client has anything left, and is paid for afterwards: what is owed is made
//! up for by the turns that follow, also those in which nothing of this client waits. And a client that owes nothing and
//! comes anew is served before all that wait in the round.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The tokens of one turn for a client of weight 1: about a short chat. Smaller ones only cost more turns.
const QUANTUM: i128 = 1_000;

/// A queue of `T` over clients `C`.
#[derive(Debug)]
pub struct FairQueue<C, T> {
    lines: HashMap<C, Line<T>>,
    /// Clients that came anew; the front one has its turn.
    new: VecDeque<C>,
    /// All others; the front one has its turn when nobody is new.
    round: VecDeque<C>,
    len: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<Waiting<T>>,
    weight: u32,
    /// Tokens that this client may still be served in this turn; below zero what it owes. Wide enough that no cost and
    /// no number of turns overflows it.
    balance: i128,
    /// Whether it has had the quantum of this turn.
    is_its_turn: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    cost: u64,
}

impl<T> Line<T> {
    /// The line of a client that comes anew: its turn begins.
    fn new(weight: u32) -> Self {
        let mut line =
            Self { waiting: VecDeque::new(), weight: weight.max(1), balance: 0, is_its_turn: true };
        line.balance = line.quantum();
        line
    }

    /// The tokens of one turn.
    fn quantum(&self) -> i128 {
        QUANTUM * i128::from(self.weight)
    }

    /// Whether there is nothing to remember of this client.
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.balance >= 0
    }
}

impl<C, T> Default for FairQueue<C, T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), new: VecDeque::new(), round: VecDeque::new(), len: 0 }
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
            self.new.push_back(client);
            Line::new(weight)
        });
        line.weight = weight.max(1);
        line.waiting.push_back(Waiting { item, cost: cost.max(1) });
        self.len += 1;
        if self.len <= max {
            return None;
        }
        let longest = self.lines.iter().max_by_key(|(_, line)| {
            // In thousandths, so that weights count in whole numbers.
            line.waiting.len() as u64 * 1_000 / u64::from(line.weight)
        });
        let longest = longest.map(|(client, _)| client.clone())?;
        let turned_away = self.lines.get_mut(&longest)?.waiting.pop_back()?;
        self.len -= 1;
        self.forget();
        Some(turned_away.item)
    }

    /// Takes the one whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let mut passed = 0;
        while self.len > 0 {
            let is_new = !self.new.is_empty();
            let client = if is_new { self.new.front()? } else { self.round.front()? };
            let line = self.lines.get_mut(client)?;
            if !std::mem::replace(&mut line.is_its_turn, true) {
                line.balance += line.quantum();
            }
            if line.balance > 0
                && let Some(Waiting { item, cost }) = line.waiting.pop_front()
            {
                line.balance -= i128::from(cost);
                self.len -= 1;
                if self.len == 0 {
                    // Whoever comes next waits for nobody.
                    *self = Self::default();
                }
                return Some(item);
            }
            self.end_turn(is_new);
            passed += 1;
            if passed >= self.round.len() {
                self.credit();
                passed = 0;
            }
        }
        None
    }

    /// Puts back what [`pop`](Self::pop) gave and could not be used.
    pub fn push_back_to_front(&mut self, client: C, weight: u32, cost: u64, item: T) {
        let line = self.lines.entry(client.clone()).or_insert_with(|| {
            self.new.push_front(client);
            // It had its turn, and is given back what that cost.
            Line { balance: 0, ..Line::new(weight) }
        });
        line.balance += i128::from(cost.max(1));
        line.waiting.push_front(Waiting { item, cost: cost.max(1) });
        self.len += 1;
    }

    /// Takes back what a client was to pay for one that [`pop`](Self::pop) gave: its caller had left.
    pub fn forgive(&mut self, client: &C, cost: u64) {
        if let Some(line) = self.lines.get_mut(client) {
            line.balance += i128::from(cost.max(1));
        }
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
        self.forget();
        removed
    }

    /// The first of every client's line, in no order: the oldest of each.
    pub fn heads(&self) -> impl Iterator<Item = &T> {
        self.lines.values().filter_map(|line| line.waiting.front()).map(|waiting| &waiting.item)
    }

    /// The client in front can be served nothing (more) in this turn: it goes behind all others. What it has left
    /// although nothing of it waits is not saved, and it is forgotten.
    fn end_turn(&mut self, is_new: bool) {
        let list = if is_new { &mut self.new } else { &mut self.round };
        let Some(client) = list.pop_front() else { return };
        let Some(line) = self.lines.get_mut(&client) else { return };
        line.is_its_turn = false;
        if line.is_over() {
            self.lines.remove(&client);
        } else {
            self.round.push_back(client);
        }
    }

    /// Between two turns of everybody, gives all of them the turns that nobody can use, at once: behind a job of a
    /// million tokens there would else be a thousand.
    fn credit(&mut self) {
        let waiting = self.lines.values().filter(|line| !line.waiting.is_empty());
        // In the last of these turns the round finds who is served first.
        let unused = waiting.map(|line| -line.balance / line.quantum()).min().unwrap_or(0).max(0);
        for line in self.lines.values_mut() {
            line.balance += line.quantum() * unused;
        }
        self.forget();
    }

    /// Forgets the clients of whom nothing waits, and who owe nothing.
    fn forget(&mut self) {
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        let (lines, lists) = (&mut self.lines, [&mut self.new, &mut self.round]);
        lines.retain(|_, line| !line.is_over());
        for list in lists {
            list.retain(|client| lines.contains_key(client));
        }
    }
}

#[cfg(test)]
mod tests;

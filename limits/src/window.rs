//! A sliding minute: how much was admitted in the last 60 seconds.
//!
//! Owns     a log of amounts in order of admission, and their running sum. One window counts
//!          requests, another one tokens.
//! Called   by `Account`.
//! Bounded  by `EXACT` entries of 24 bytes (60 requests: 1.5 KB; a million: 24 MB) plus 601 steps
//!          of 100 ms. Entries are exact up to that; what comes on top is gathered in steps and
//!          leaves at the end of its step, up to 100 ms late and never early. So a limit of up to a
//!          million requests is kept to the nanosecond (calls that were taken back again share the
//!          million with those that count), and a sender who spreads a higher one evenly over the
//!          minute gets at least 600 of 601 requests in.
//! Fails    never. An amount above `u64::MAX` in one entry, which no limit admits, counts as that.

use crate::now::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// What was admitted at one moment, or in one step. `at` is unique in its window.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Moment,
    spent: u64,
    reserved: u64,
}

/// A sum of entries. Wider than they are, so that adding and taking away is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) spent: u128,
    pub(crate) reserved: u128,
}

impl Count {
    pub(crate) fn total(self) -> u128 {
        self.spent.saturating_add(self.reserved)
    }

    fn add(&mut self, entry: Entry) {
        self.spent = self.spent.saturating_add(u128::from(entry.spent));
        self.reserved = self.reserved.saturating_add(u128::from(entry.reserved));
    }

    fn remove(&mut self, entry: Entry) {
        self.spent = self.spent.saturating_sub(u128::from(entry.spent));
        self.reserved = self.reserved.saturating_sub(u128::from(entry.reserved));
    }
}

impl Entry {
    fn is_empty(self) -> bool {
        self.spent == 0 && self.reserved == 0
    }
}

/// The window. `EXACT` is how many entries are kept apart before steps begin; a million, because
/// that is the largest limit that must be exact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window<const EXACT: usize = 1_000_000> {
    entries: VecDeque<Entry>,
    count: Count,
}

impl<const EXACT: usize> Window<EXACT> {
    /// Drops what has left the window. Each entry is dropped once, so this costs nothing on average.
    pub(crate) fn advance(&mut self, now: Moment) {
        while let Some(&first) = self.entries.front()
            && first.at.leaves() <= now
        {
            self.entries.pop_front();
            self.count.remove(first);
        }
    }

    /// Enters `amount` as reserved and returns its place, by which it is settled.
    pub(crate) fn reserve(&mut self, now: Moment, amount: u64) -> Moment {
        let place = if self.entries.len() < EXACT { now } else { now.step_end() };
        self.change(place, |entry| entry.reserved = entry.reserved.saturating_add(amount));
        place
    }

    /// Puts `spent` in the place of `reserved`. Where that place has left the window, nothing of it
    /// counts.
    pub(crate) fn settle(&mut self, place: Moment, reserved: u64, spent: u64) {
        self.change(place, |entry| {
            entry.reserved = entry.reserved.saturating_sub(reserved);
            entry.spent = entry.spent.saturating_add(spent);
        });
    }

    /// Changes the entry at `place`, making one if there is none. An entry that becomes empty
    /// stays until it leaves or is the last: closing the gap would move half the log.
    fn change(&mut self, place: Moment, change: impl FnOnce(&mut Entry)) {
        let is_new_last = self.entries.back().is_none_or(|last| last.at < place);
        let found = if is_new_last {
            Err(self.entries.len())
        } else {
            self.entries.binary_search_by_key(&place, |entry| entry.at)
        };
        let index = found.unwrap_or_else(|index| {
            self.entries.insert(index, Entry { at: place, spent: 0, reserved: 0 });
            index
        });
        if let Some(entry) = self.entries.get_mut(index) {
            self.count.remove(*entry);
            change(entry);
            self.count.add(*entry);
        }
        while self.entries.back().is_some_and(|last| last.is_empty()) {
            self.entries.pop_back();
        }
    }

    /// What counts at `now`. Steps over what has left since the last `advance`.
    pub(crate) fn count(&self, now: Moment) -> Count {
        let mut count = self.count;
        for &entry in self.entries.iter().take_while(|entry| entry.at.leaves() <= now) {
            count.remove(entry);
        }
        count
    }

    /// How long until `amount` of what counts has left, in a window advanced to `now`. Walks the
    /// entries that must leave for it, so only a refusal pays for it.
    pub(crate) fn wait_for(&self, now: Moment, amount: u128) -> Duration {
        let mut gone = Count::default();
        let mut wait = Duration::ZERO;
        for &entry in &self.entries {
            if gone.total() >= amount {
                break;
            }
            gone.add(entry);
            wait = now.until(entry.at.leaves());
        }
        wait
    }

    /// How long until nothing counts any more. The last entry is never an empty one.
    pub(crate) fn empty_in(&self, now: Moment) -> Duration {
        self.entries.back().map_or(Duration::ZERO, |last| now.until(last.at.leaves()))
    }
}

#[cfg(test)]
mod tests;

//! A ledger as the accounts see one: a log of which a crash of the process keeps what was
//! committed, and what a new process reads out of it.

use super::model::{MINUTE, month_of};
use gateway_limits::{AdmissionId, Ask, Now, Outcome, Recent, Record, Saved, Sums, resumed};
use std::collections::BTreeMap;
use std::time::Duration;

/// The log.
#[derive(Default)]
pub struct Journal {
    entries: Vec<Entry>,
    committed: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    record: Record,
    /// The day of the admission that the record is about.
    day: u64,
}

/// One admission in the log.
struct Row {
    admitted: Now,
    day: u64,
    bound: Ask,
    settled: Option<(Now, Outcome)>,
}

/// What a new process finds.
pub struct Opened {
    pub saved: Saved,
    /// Where its monotonic clock begins.
    pub clock_base: Duration,
    pub next_id: u64,
    /// What was open and is settled at its bound now, and where in the log that stands.
    pub settled: Vec<(AdmissionId, usize)>,
}

impl Journal {
    /// Writes a record, and says where it stands.
    pub fn append(&mut self, record: Record, day: u64) -> usize {
        self.entries.push(Entry { record, day });
        self.entries.len() - 1
    }

    pub fn is_committed(&self, place: usize) -> bool {
        place < self.committed
    }

    pub fn uncommitted(&self) -> impl Iterator<Item = Record> {
        self.entries.iter().skip(self.committed).map(|entry| entry.record)
    }

    pub fn commit(&mut self, records: usize) {
        self.committed = self.committed.saturating_add(records).min(self.entries.len());
    }

    /// Loses what is not committed, and opens what is left in a new process at `unix_ms`: what is
    /// open is settled at its bound first.
    pub fn reopen(&mut self, unix_ms: u64) -> Opened {
        self.entries.truncate(self.committed);
        let latest = self.entries.last().map_or(Now::default(), |entry| moment_of(&entry.record));
        let clock_base = resumed(latest, unix_ms);
        let at = Now { mono: clock_base, unix_ms };
        let mut settled = Vec::new();
        for (id, row) in self.rows().into_iter().filter(|(_, row)| row.settled.is_none()) {
            let outcome = Outcome::Spent { tokens: row.bound.tokens, cost: row.bound.cost };
            settled.push((id, self.append(Record::Settled { id, at, outcome }, row.day)));
        }
        self.commit(usize::MAX);
        let rows = self.rows();
        let latest = if settled.is_empty() { latest } else { at };
        let recent = rows.iter().filter_map(|(&id, row)| recent(id, row, clock_base));
        Opened {
            saved: Saved::restored(latest, sums(&rows), recent),
            clock_base,
            next_id: rows.keys().last().map_or(0, |id| id.0 + 1),
            settled,
        }
    }

    fn rows(&self) -> BTreeMap<AdmissionId, Row> {
        let mut rows = BTreeMap::new();
        for &Entry { record, day } in &self.entries {
            match record {
                Record::Reserved { id, at, tokens, cost } => {
                    let bound = Ask { tokens, cost };
                    let before = rows.insert(id, Row { admitted: at, day, bound, settled: None });
                    assert!(before.is_none(), "{id:?} was used twice");
                }
                Record::Settled { id, at, outcome } => {
                    let row = rows.get_mut(&id).filter(|row| row.settled.is_none() && row.day == day);
                    assert!(row.is_some(), "the settlement of {id:?} has no reservation before it");
                    if let Some(row) = row {
                        row.settled = Some((at, outcome));
                    }
                }
            }
        }
        rows
    }
}

pub fn moment_of(record: &Record) -> Now {
    match *record {
        Record::Reserved { at, .. } | Record::Settled { at, .. } => at,
    }
}

fn recent(id: AdmissionId, row: &Row, clock_base: Duration) -> Option<Recent> {
    let (settled, outcome) = row.settled?;
    (settled.mono + MINUTE > clock_base).then_some(Recent {
        id,
        admitted: row.admitted.mono,
        settled: settled.mono,
        day: row.day,
        bound: row.bound,
        outcome,
    })
}

fn sums(rows: &BTreeMap<AdmissionId, Row>) -> Sums {
    let Some(day) = rows.values().map(|row| row.day).max() else { return Sums::default() };
    let mut sums = Sums { day, ..Sums::default() };
    for row in rows.values() {
        let Some((_, Outcome::Spent { tokens, cost })) = row.settled else { continue };
        if row.day == day {
            sums.tokens += tokens;
            sums.cost += cost;
            sums.debt += tokens.saturating_sub(row.bound.tokens);
        }
        if month_of(row.day) == month_of(day) {
            sums.month_cost += cost;
        }
    }
    sums
}

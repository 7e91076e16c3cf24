//! What a ledger keeps of a client, so that its account can be built again.
//!
//! Owns     `Record`, the two things that happen to an account, and `Saved`, their fold.
//! Called   by the ledger for every record, and by `Account::restore`.
//! Bounded  by the admissions that are open or were settled in the last minute; `forget` lets go
//!          of the rest.
//! Fails    never. A record that comes twice within a minute of its settlement changes nothing;
//!          a settlement of an unknown admission is ignored.

use crate::day::Day;
use crate::now::Moment;
use crate::{AdmissionId, Now, Outcome};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One change to an account, as a ledger records it. In the order of the calls they are all that
/// is needed to know the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// An admission was granted.
    Reserved {
        /// Which.
        id: AdmissionId,
        /// The moment given to `admit`.
        at: Now,
        /// The bound it was granted for.
        tokens: u64,
    },
    /// An admission was settled.
    Settled {
        /// Which.
        id: AdmissionId,
        /// The moment given to `settle`.
        at: Now,
        /// How it ended.
        outcome: Outcome,
    },
}

/// A client's admissions of the last minute, its open ones of any age, and its day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The latest record's moment.
    latest: Option<Latest>,
    day: Day,
    kept: BTreeMap<AdmissionId, Kept>,
    /// What is settled, in the order in which it is let go.
    settled: VecDeque<(Moment, AdmissionId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Latest {
    mono: Moment,
    unix_ms: u64,
}

/// One admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: AdmissionId,
    pub(crate) at: Moment,
    pub(crate) day: u64,
    pub(crate) bound: u64,
    /// `None` while it is open.
    pub(crate) outcome: Option<Outcome>,
}

impl Saved {
    /// Takes in one record. Records come in the order of the calls they tell of; `now` says what
    /// may be let go by then.
    pub fn apply(&mut self, record: &Record, now: Now) {
        match *record {
            Record::Reserved { id, at, tokens } => self.reserved(id, at, tokens),
            Record::Settled { id, at, outcome } => self.settled(id, at, outcome),
        }
        self.forget(now);
    }

    /// Lets go of what was settled a minute ago or longer. [`Saved::apply`] does so too; this is
    /// for a client of whom no more records come.
    pub fn forget(&mut self, now: Now) {
        let now = self.not_before_latest(now);
        while let Some(&(at, id)) = self.settled.front()
            && at.leaves() <= now
        {
            self.settled.pop_front();
            self.kept.remove(&id);
        }
    }

    /// Moves everything from the monotonic clock of an earlier process to the one that `now` is
    /// read from. Only the wall clock spans both: it tells how long ago the latest record was, a
    /// millisecond less because it was rounded; all else keeps its distance from that record. A
    /// wall clock that stepped back meanwhile makes everything younger, never older.
    pub fn rebase(&mut self, now: Now) {
        let Some(latest) = &mut self.latest else { return };
        let age_ms = now.unix_ms.saturating_sub(latest.unix_ms).saturating_sub(1);
        let old = latest.mono;
        let new = Moment::of(now).before(Duration::from_millis(age_ms));
        latest.mono = new;
        for kept in self.kept.values_mut() {
            kept.at = kept.at.moved(old, new);
        }
        for (at, _) in &mut self.settled {
            *at = at.moved(old, new);
        }
    }

    fn reserved(&mut self, id: AdmissionId, at: Now, tokens: u64) {
        if self.kept.contains_key(&id) {
            return;
        }
        let mono = self.see(at);
        self.day.reserve(tokens);
        self.kept.insert(id, Kept { id, at: mono, day: self.day.number(), bound: tokens, outcome: None });
    }

    fn settled(&mut self, id: AdmissionId, at: Now, outcome: Outcome) {
        let Some(kept) = self.kept.get_mut(&id).filter(|kept| kept.outcome.is_none()) else { return };
        kept.outcome = Some(outcome);
        let (admitted_on, bound) = (kept.day, kept.bound);
        let mono = self.see(at);
        self.day.settle(admitted_on, bound, outcome.tokens());
        self.settled.push_back((mono, id));
    }

    /// Moves both clocks on to a record's moment.
    fn see(&mut self, at: Now) -> Moment {
        let mono = self.not_before_latest(at);
        self.latest = Some(Latest { mono, unix_ms: at.unix_ms });
        self.day = self.day.on(at.unix_ms);
        mono
    }

    fn not_before_latest(&self, now: Now) -> Moment {
        Moment::of(now).max(self.latest())
    }

    pub(crate) fn latest(&self) -> Moment {
        self.latest.map_or(Moment::EARLIEST, |latest| latest.mono)
    }

    pub(crate) fn day(&self) -> Day {
        self.day
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values()
    }
}

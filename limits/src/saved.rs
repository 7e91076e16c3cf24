//! What a ledger keeps of a client, so that its account can be built again.
//!
//! Owns     `Record`, the two things that happen to an account, and `Saved`, their fold.
//! Called   by the ledger for every record and when it opens, and by `Account::restore`.
//! Bounded  by the admissions that are open or were settled in the last minute; `forget` lets go
//!          of the rest.
//! Fails    never. A record that comes twice within a minute of its settlement changes nothing;
//!          a settlement of an unknown admission is ignored.

use crate::calendar::Calendar;
use crate::now::Moment;
use crate::{AdmissionId, Ask, Now, Outcome};
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
        /// The tokens it was granted.
        tokens: u64,
        /// The pico-USD it was granted.
        cost: u64,
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

/// What a client used in the latest UTC day of which there are entries, and in that day's month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The day, in days since 1970-01-01.
    pub day: u64,
    /// Tokens of the day.
    pub tokens: u64,
    /// Of them, those by which settlements went above their bounds.
    pub debt: u64,
    /// Pico-USD of the day.
    pub cost: u64,
    /// Pico-USD of the month.
    pub month_cost: u64,
}

/// An admission that was settled in the last minute. Its moments are [`Now::mono`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Which.
    pub id: AdmissionId,
    /// When it was granted.
    pub admitted: Duration,
    /// When it was settled.
    pub settled: Duration,
    /// The UTC day it was granted in, in days since 1970-01-01.
    pub day: u64,
    /// What it was granted.
    pub bound: Ask,
    /// How it ended.
    pub outcome: Outcome,
}

/// A client's admissions of the last minute, its open ones of any age, its day and its month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The latest record's moment.
    latest: Moment,
    calendar: Calendar,
    kept: BTreeMap<AdmissionId, Kept>,
    /// What is settled, in the order in which it is let go.
    settled: VecDeque<(Moment, AdmissionId)>,
}

/// One admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: AdmissionId,
    pub(crate) at: Moment,
    pub(crate) day: u64,
    pub(crate) bound: Ask,
    /// `None` while it is open.
    pub(crate) outcome: Option<Outcome>,
}

impl Saved {
    /// What a ledger that opens found of a client: everything is settled, `latest` is the moment of
    /// the last settlement or admission, and `sums` has all of `recent` in it.
    pub fn restored(latest: Now, sums: Sums, recent: impl IntoIterator<Item = Recent>) -> Self {
        let mut saved =
            Self { latest: Moment::of(latest.mono), calendar: Calendar::restored(sums), ..Self::default() };
        for Recent { id, admitted, settled, day, bound, outcome } in recent {
            let kept = Kept { id, at: Moment::of(admitted), day, bound, outcome: Some(outcome) };
            if saved.kept.insert(id, kept).is_none() {
                saved.settled.push_back((Moment::of(settled), id));
            }
        }
        saved.settled.make_contiguous().sort_unstable();
        saved
    }

    /// Takes in one record, and says in which UTC day (days since 1970-01-01) the admission was
    /// granted that it is about; `None` when it changed nothing. Records come in the order of the
    /// calls they tell of; `now` says what may be let go by then.
    pub fn apply(&mut self, record: &Record, now: Now) -> Option<u64> {
        let day = match *record {
            Record::Reserved { id, at, tokens, cost } => self.reserved(id, at, Ask { tokens, cost }),
            Record::Settled { id, at, outcome } => self.settled(id, at, outcome),
        };
        self.forget(now);
        day
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

    fn reserved(&mut self, id: AdmissionId, at: Now, bound: Ask) -> Option<u64> {
        if self.kept.contains_key(&id) {
            return None;
        }
        let at = self.see(at);
        self.calendar.reserve(bound);
        let day = self.calendar.day();
        self.kept.insert(id, Kept { id, at, day, bound, outcome: None });
        Some(day)
    }

    fn settled(&mut self, id: AdmissionId, at: Now, outcome: Outcome) -> Option<u64> {
        let kept = self.kept.get_mut(&id).filter(|kept| kept.outcome.is_none())?;
        kept.outcome = Some(outcome);
        let Kept { day, bound, .. } = *kept;
        let at = self.see(at);
        self.calendar.settle(day, bound, outcome);
        self.settled.push_back((at, id));
        Some(day)
    }

    /// Moves both clocks on to a record's moment.
    fn see(&mut self, at: Now) -> Moment {
        self.latest = self.not_before_latest(at);
        self.calendar = self.calendar.on(at.unix_ms);
        self.latest
    }

    fn not_before_latest(&self, now: Now) -> Moment {
        Moment::of(now.mono).max(self.latest)
    }

    pub(crate) fn latest(&self) -> Moment {
        self.latest
    }

    pub(crate) fn calendar(&self) -> Calendar {
        self.calendar
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values()
    }
}

//! The model: a list of all admissions. What counts is found by looking at each.

use gateway_limits::{AdmissionId, Ask, LimitName, Limits, Now, Outcome};
use std::time::Duration;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const DAY_MS: u64 = 86_400_000;

/// One admission as the model remembers it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub id: AdmissionId,
    /// On the time line of the simulation, which no clock error touches.
    pub true_ns: u64,
    pub at: Now,
    pub day: u64,
    pub bound: Ask,
    /// What the upstream will say that it used.
    pub bill: Ask,
    /// A byte of the answer has reached the client.
    pub is_delivered: bool,
    /// Its place in the journal.
    pub reserved_at: usize,
    pub end: Option<End>,
}

/// How and where an admission was settled.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub outcome: Outcome,
    /// Its place in the journal.
    pub settled_at: usize,
    /// The process that settled it.
    pub process: u32,
}

impl Call {
    /// What it used, as far as that is known.
    pub fn spent(&self) -> Ask {
        match self.end.map(|end| end.outcome) {
            Some(Outcome::Spent { tokens, cost }) => Ask { tokens, cost },
            Some(Outcome::Failed | Outcome::NeverSent) | None => Ask::default(),
        }
    }

    fn reserved(&self) -> Ask {
        if self.end.is_none() { self.bound } else { Ask::default() }
    }

    fn request(&self) -> u64 {
        u64::from(self.end.is_none_or(|end| end.outcome != Outcome::NeverSent))
    }
}

/// What one limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub used: u64,
    pub reserved: u64,
    /// Of `used`, what settlements had above their bounds.
    pub over: u64,
}

impl Count {
    fn add(&mut self, call: &Call, part: fn(Ask) -> u64) {
        let (spent, bound) = (part(call.spent()), part(call.bound));
        self.used += spent;
        self.reserved += part(call.reserved());
        self.over += spent.saturating_sub(bound);
    }

    pub fn total(self) -> u64 {
        self.used + self.reserved
    }
}

/// What all limits count at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub requests_minute: Count,
    pub tokens_minute: Count,
    pub tokens_today: Count,
    pub cost_today: Count,
    pub cost_this_month: Count,
    pub open: Count,
    /// Of what was overcharged in money today, what the present process settled.
    pub cost_debt: u64,
}

impl Counts {
    pub fn of(calls: &[Call], now: Now, today: u64, process: u32) -> Self {
        let mut counts = Self::default();
        let this_month = month_of(today);
        for call in calls {
            if call.at.mono + MINUTE > now.mono {
                counts.requests_minute.used += call.request();
                counts.tokens_minute.add(call, |ask| ask.tokens);
            }
            if call.day == today {
                counts.tokens_today.add(call, |ask| ask.tokens);
                counts.cost_today.add(call, |ask| ask.cost);
                if call.end.is_some_and(|end| end.process == process) {
                    counts.cost_debt += call.spent().cost.saturating_sub(call.bound.cost);
                }
            }
            if month_of(call.day) == this_month {
                counts.cost_this_month.add(call, |ask| ask.cost);
            }
            counts.open.used += u64::from(call.end.is_none());
        }
        counts
    }

    pub fn get(&self, limit: LimitName) -> Count {
        match limit {
            LimitName::RequestsPerMinute => self.requests_minute,
            LimitName::TokensPerMinute => self.tokens_minute,
            LimitName::TokensPerDay => self.tokens_today,
            LimitName::UsdPerDay => self.cost_today,
            LimitName::UsdPerMonth => self.cost_this_month,
            LimitName::ConcurrentRequests => self.open,
        }
    }

    /// Whether `ask` fits below all limits.
    pub fn have_room(&self, limits: &Limits, ask: Ask) -> bool {
        let fits = |max: Option<u64>, count: Count, asked: u64| {
            max.is_none_or(|max| max > 0 && count.total() + asked <= max)
        };
        fits(limits.requests_per_minute, self.requests_minute, 1)
            && fits(limits.tokens_per_minute, self.tokens_minute, ask.tokens)
            && fits(limits.tokens_per_day, self.tokens_today, ask.tokens)
            && fits(limits.usd_per_day, self.cost_today, ask.cost)
            && fits(limits.usd_per_month, self.cost_this_month, ask.cost)
            && fits(limits.concurrent_requests, self.open, 1)
    }
}

/// Year and month of a day since 1970-01-01, by counting off years and months.
pub fn month_of(day: u64) -> (u64, u64) {
    let (mut year, mut month, mut left) = (1970, 1, day);
    let is_leap = |year: u64| match (year % 4, year % 100, year % 400) {
        (_, _, 0) => true,
        (_, 0, _) => false,
        (remainder, _, _) => remainder == 0,
    };
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        (year, left) = (year + 1, left - length);
    }
    loop {
        let length = match month {
            2 if is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if left < length {
            return (year, month);
        }
        (month, left) = (month + 1, left - length);
    }
}

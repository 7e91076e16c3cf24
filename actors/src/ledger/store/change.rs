//! What the store is told: that a call was admitted, which attempts at it failed, how it ended, and what its upstream
//! keeps of it.
//!
//! Owns     the kinds of change.
//! Called   by the ledger's journal, which makes them, and by the store's `write`.
//! Bounded  by whoever gathers a batch.
//! Fails    never: plain values.

use std::sync::Arc;
use std::time::Duration;

use gateway_limits::{AdmissionId, Ask, Grade, Now, Outcome, Usage};

use crate::booking::Booking;
use crate::client::ClientId;
use crate::job::{Memo, Target};

/// One change of the ledger. Told twice it changes nothing the second time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A call was admitted.
    Reserved(Reservation),
    /// A call has ended. Of a call that is unknown or settled, it is ignored.
    Settled(Settlement),
    /// An upstream keeps an answer under this id.
    Kept(KeptAnswer),
    /// An upstream failed an attempt at a call. Boxed: there are few, and nothing else is as large.
    AttemptFailed(Box<FailedAttempt>),
}

/// An attempt that an upstream failed, and what it may bill for it all the same. No client is charged for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// At which call.
    pub call: AdmissionId,
    /// Which of the call's attempts, from 1.
    pub attempt: u32,
    /// Whose call.
    pub client: ClientId,
    /// Whom was asked.
    pub target: Target,
    /// The name of the key there, never the key.
    pub key: Arc<str>,
    /// When it failed.
    pub at: Now,
    /// How long it took from sending.
    pub took: Duration,
    /// How it failed, in a fixed word.
    pub fault: &'static str,
    /// The upstream's status, where it gave one.
    pub status: Option<u16>,
    /// What it may have used.
    pub usage: Usage,
    /// How that is known.
    pub grade: Grade,
    /// What that costs, in pico-USD; `None` where the target has no price.
    pub cost: Option<u64>,
}

/// An answer that an upstream keeps, and who may ask for it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The upstream's id of it.
    pub id: Arc<str>,
    /// Whose.
    pub owner: AnswerOwner,
    /// Since when.
    pub at: Now,
}

/// Whose a kept answer is, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerOwner {
    /// The client that asked.
    pub client: ClientId,
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The name of its key there.
    pub key: Arc<str>,
}

/// An admission that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Which; the store never sees two calls with the same.
    pub id: AdmissionId,
    /// Whose.
    pub client: ClientId,
    /// When.
    pub at: Now,
    /// The client's UTC day in which it counts, in days since 1970-01-01.
    pub day: u64,
    /// The most it can use, which is what a crash books.
    pub ask: Ask,
    /// What is noted beside the numbers.
    pub memo: Memo,
    /// Whether that target has a price; without one nobody knows what the call may cost.
    pub cost_known: bool,
    /// Where it goes first.
    pub target: Target,
}

/// How an admission ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which.
    pub id: AdmissionId,
    /// Whose; the same as in its reservation.
    pub client: ClientId,
    /// When.
    pub at: Now,
    /// The day of its reservation.
    pub day: u64,
    /// What is booked.
    pub booking: Booking,
    /// What the client's account is charged.
    pub outcome: Outcome,
    /// Whether the target has a price; without one nobody knows what the call cost.
    pub cost_known: bool,
    /// Where it went last.
    pub target: Target,
    /// The name of the key there; `None` for what never came so far.
    pub key: Option<Arc<str>>,
}

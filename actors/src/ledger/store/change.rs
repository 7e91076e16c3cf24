//! What the store is told: that a call was admitted, and how it ended.
//!
//! Owns     the two kinds of change.
//! Called   by the ledger's journal, which makes them, and by the store's `write`.
//! Bounded  by whoever gathers a batch.
//! Fails    never: plain values.

use gateway_limits::{AdmissionId, Ask, Now, Outcome};

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
}

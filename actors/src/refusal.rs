//! Why a job was not granted: this crate's one error, told to whoever waits for the job.
//!
//! Made by the actor that refuses; turned into a status, headers and a body in one place, outside this
//! crate. A refusal never ends an actor.

use std::time::Duration;

use gateway_limits::{Denied, View};

use crate::client::ClientId;
use crate::job::Skipped;

/// Why a job got no dispatch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The client was removed, or disabled, after its credentials were checked.
    #[error("client `{client}` no longer exists")]
    UnknownClient {
        /// Whose job it was.
        client: ClientId,
    },
    /// One of the client's limits leaves no room.
    #[error("{0}")]
    LimitReached(Denied),
    /// A mailbox on the way was full.
    #[error("{actor} has too many messages waiting")]
    Overloaded {
        /// Which actor's mailbox.
        actor: &'static str,
    },
    /// An actor ended with the job inside, or is being restarted.
    #[error("{actor} is being restarted")]
    Restarting {
        /// Which actor.
        actor: &'static str,
    },
    /// The client's limiter failed too often and was switched off; other clients are not concerned.
    #[error("the limiter of client `{client}` failed repeatedly and rests for {}s", .rest.as_secs())]
    SwitchedOff {
        /// Whose limiter.
        client: ClientId,
        /// How long it stays off.
        rest: Duration,
    },
    /// No pool of that name: the provider was removed while the job was on its way.
    #[error("provider `{provider}` is not configured")]
    NoProvider {
        /// The name that was asked for.
        provider: String,
    },
    /// All keys of the provider are at `max_concurrency`, and the queue is full or the wait was too long.
    #[error("provider `{provider}` has no room: {waiting} calls wait already")]
    ProviderFull {
        /// Which provider.
        provider: String,
        /// How many calls were waiting when this one was turned away.
        waiting: usize,
    },
    /// Every target rests after failures, or its upstream's own limit is used up.
    #[error("every target {}; the first can be asked again in {}", resting(*.is_limited), in_words(*.retry_after))]
    Resting {
        /// When the first of them can be asked again.
        retry_after: Duration,
        /// Whether an upstream's own limit is the cause.
        is_limited: bool,
    },
    /// Whoever could be asked has been, or may not be asked again now.
    #[error("there is no other target to ask")]
    NobodyLeft,
    /// Accounts cannot be written fast enough; nothing is admitted that could not be accounted for.
    #[error("the ledger is behind by {behind} entries")]
    LedgerBehind {
        /// Entries that wait to be written.
        behind: usize,
    },
    /// The ledger's file cannot be written; its node in the tree says why.
    #[error("the ledger cannot be written")]
    LedgerUnavailable,
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopping,
}

impl Refusal {
    /// When trying again may help; `None` when it will not.
    ///
    /// For a limit it is the limit's own time. For the others it is a hint: restarts take milliseconds,
    /// and a second is the shortest wait that a `Retry-After` header can say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::UnknownClient { .. } | Self::NoProvider { .. } | Self::NobodyLeft => None,
            Self::Resting { retry_after, .. } => Some(*retry_after),
            Self::LimitReached(denied) => Some(denied.retry_after),
            Self::SwitchedOff { rest, .. } => Some(*rest),
            Self::Overloaded { .. }
            | Self::Restarting { .. }
            | Self::ProviderFull { .. }
            | Self::LedgerBehind { .. }
            | Self::LedgerUnavailable
            | Self::Stopping => Some(Duration::from_secs(1)),
        }
    }
}

fn resting(is_limited: bool) -> &'static str {
    if is_limited { "has its own limit used up" } else { "rests after failures" }
}

/// Whole seconds, rounded up.
fn in_words(time: Duration) -> String {
    format!("{}s", time.as_millis().div_ceil(1000).max(1))
}

/// A refusal, with the state of the client's limits when the limiter had a say in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{refusal}")]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The client's limits at that moment; `None` when the job never came to its limiter.
    pub limits: Option<View>,
    /// The targets that could not be had, as they came to be known.
    pub skipped: Vec<Skipped>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, limits: None, skipped: Vec::new() }
    }
}

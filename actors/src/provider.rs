//! One key or region of a provider: hands out its leases and keeps its health.
//!
//! Owns     what is known of one key: calls answered, failed and abandoned, time to first byte, the last
//!          failure. Calls in flight are counted outside, by the leases themselves.
//! Called   by ProviderPool (`Lend`, `Inspect`) and by a lease that ends (`Returned`).
//! Bounded  by its gate; what comes back from leases always passes.
//! Fails    restarted by its pool, healthy and with empty statistics; leases that are out go on.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::dispatch::InFlight;
use crate::gate::Mail;
use crate::job::{Job, Route};
use crate::secret::Secret;
use crate::tree::Node;

/// Messages that may wait at one key: a turn takes under a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// Weight of the newest observation in the moving average: about the last 10 calls count.
const NEWEST: f64 = 0.1;

/// Where one key's calls go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The key's name within the provider.
    pub key_name: Arc<str>,
    /// The address below which the upstream's routes lie, without a slash at the end.
    pub base_url: Arc<str>,
    /// Our key there; `None` for upstreams that need none.
    pub api_key: Option<Secret>,
}

impl Endpoint {
    /// A key that needs no secret.
    pub fn new(
        provider: impl Into<Arc<str>>,
        key_name: impl Into<Arc<str>>,
        base_url: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            provider: provider.into(),
            key_name: key_name.into(),
            base_url: base_url.into(),
            api_key: None,
        }
    }
}

/// How a call ended, as far as the key's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallReport {
    /// The upstream answered; its first byte came after this time.
    Answered {
        /// From sending to the first byte of the answer's head.
        first_byte: Duration,
    },
    /// The upstream is to blame.
    Failed {
        /// A fixed word for the operator.
        what: &'static str,
    },
    /// The caller left, or nothing was sent: says nothing about the upstream.
    Abandoned,
}

/// What a Provider is told.
#[derive(Debug)]
pub enum ProviderMessage {
    /// Grant this job its lease.
    Lend(Box<Job>),
    /// A lease has ended.
    Returned(CallReport),
    /// Send the state of this key, then drop the sender.
    Inspect(mpsc::UnboundedSender<KeyView>),
}

impl Route for ProviderMessage {
    fn carry(job: Box<Job>) -> Self {
        Self::Lend(job)
    }

    fn into_job(self) -> Option<Box<Job>> {
        match self {
            Self::Lend(job) => Some(job),
            _ => None,
        }
    }
}

/// One key's health.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Calls that the upstream answered, whatever the status said about the caller's request.
    pub answered: u64,
    /// Calls that failed through the upstream's fault.
    pub failed: u64,
    /// Calls whose caller left first.
    pub abandoned: u64,
    /// Failures since the last answer.
    pub consecutive_failures: u64,
    /// Moving average of the time to the first byte.
    pub first_byte: Option<Duration>,
    /// What failed last, and when.
    pub last_failure: Option<(&'static str, Instant)>,
}

impl Health {
    fn note(&mut self, report: CallReport) {
        match report {
            CallReport::Answered { first_byte } => {
                self.answered += 1;
                self.consecutive_failures = 0;
                self.first_byte = Some(match self.first_byte {
                    Some(average) => average.mul_f64(1.0 - NEWEST) + first_byte.mul_f64(NEWEST),
                    None => first_byte,
                });
            }
            CallReport::Failed { what } => {
                self.failed += 1;
                self.consecutive_failures += 1;
                self.last_failure = Some((what, Instant::now()));
            }
            CallReport::Abandoned => self.abandoned += 1,
        }
    }
}

/// One key, for the admin page.
#[derive(Debug, Clone)]
pub struct KeyView {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The key's name.
    pub key_name: Arc<str>,
    /// Calls in flight.
    pub in_flight: usize,
    /// Its health.
    pub health: Health,
}

/// The actor of one key.
#[derive(Debug)]
pub struct Provider {
    pub(crate) provider: Arc<str>,
    pub(crate) key_name: Arc<str>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) node: Arc<Node>,
}

impl Actor for Provider {
    type Msg = Mail<ProviderMessage>;
    type State = Health;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<Health, ActorProcessingErr> {
        Ok(Health::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        health: &mut Health,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            ProviderMessage::Lend(job) => job.grant(),
            ProviderMessage::Returned(report) => health.note(report),
            ProviderMessage::Inspect(views) => {
                let _ = views.send(KeyView {
                    provider: Arc::clone(&self.provider),
                    key_name: Arc::clone(&self.key_name),
                    in_flight: self.in_flight.count(),
                    health: health.clone(),
                });
            }
        }
        Ok(())
    }
}

//! One key or region of a provider: hands out its leases and keeps its health.
//!
//! Owns     what is known of one key's failures. Calls in flight, answers and the time to the first byte are
//!          counted outside, by the leases themselves.
//! Called   by ProviderPool (`Lend`, `Inspect`) and by a lease that ends badly (`Failed`), or well after that.
//! Bounded  by its gate; what comes back from leases always passes.
//! Fails    restarted by its pool, healthy; leases that are out go on.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::dispatch::Gauge;
use crate::gate::Mail;
use crate::job::{Job, Route};
use crate::secret::Secret;
use crate::tree::Node;

/// Messages that may wait at one key: a turn takes under a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

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

/// What a Provider is told.
#[derive(Debug)]
pub enum ProviderMessage {
    /// Grant this job its lease.
    Lend(Box<Job>),
    /// A call failed through the upstream's fault.
    Failed {
        /// A fixed word for the operator.
        what: &'static str,
    },
    /// The first call after a failure was answered.
    Recovered,
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

/// One key's failures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Calls that failed through the upstream's fault.
    pub failed: u64,
    /// Failures since the last answer.
    pub consecutive_failures: u64,
    /// What failed last, and when.
    pub last_failure: Option<(&'static str, Instant)>,
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
    /// Calls that the upstream answered, whatever the status said about the caller's request.
    pub answered: u64,
    /// Calls whose caller left first.
    pub abandoned: u64,
    /// Moving average of the time to the first byte.
    pub first_byte: Option<Duration>,
    /// Its failures.
    pub health: Health,
}

/// The actor of one key.
#[derive(Debug)]
pub struct Provider {
    pub(crate) provider: Arc<str>,
    pub(crate) key_name: Arc<str>,
    pub(crate) gauge: Arc<Gauge>,
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
            ProviderMessage::Failed { what } => {
                health.failed += 1;
                health.consecutive_failures += 1;
                health.last_failure = Some((what, Instant::now()));
                self.gauge.set_failing(true);
            }
            ProviderMessage::Recovered => {
                health.consecutive_failures = 0;
                self.gauge.set_failing(false);
            }
            ProviderMessage::Inspect(views) => {
                let _ = views.send(KeyView {
                    provider: Arc::clone(&self.provider),
                    key_name: Arc::clone(&self.key_name),
                    in_flight: self.gauge.in_flight(),
                    answered: self.gauge.answered(),
                    abandoned: self.gauge.abandoned(),
                    first_byte: self.gauge.first_byte(),
                    health: health.clone(),
                });
            }
        }
        Ok(())
    }
}

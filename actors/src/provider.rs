//! One key or region of a provider: hands out its leases and keeps its health.
//!
//! Owns     what is known of one key's failures: a breaker for each of its models, and whether the upstream takes the
//!          key at all. What follows from it stands in each model's [`Standing`], where the pool reads it. Calls in
//!          flight, answers, latency and quota are counted there too, by the leases themselves.
//! Called   by ProviderPool (`Lend`, `Breaker`, `Inspect`) and by a lease that ends badly (`Failed`), or well after
//!          that (`Succeeded`).
//! Bounded  by its gate; what comes back from leases always passes.
//! Fails    restarted by its pool, healthy; leases that are out go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::breaker::{Blame, Breaker, BreakerSettings};
use crate::dispatch::Gauge;
use crate::gate::Mail;
use crate::job::{Job, Route};
use crate::secret::Secret;
use crate::shared::Shared;
use crate::standing::{Quota, Rest, Resting, RestsSeen, Standing};
use crate::tree::Node;

/// Messages that may wait at one key: a turn takes under a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// Models whose failures are told apart at one key. Upstreams have some hundred; what is beyond was made up.
const BREAKERS_MAX: usize = 1_024;

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
    /// A call failed, and not through its caller's fault.
    Failed {
        /// The model that was asked for.
        model: Arc<str>,
        /// How that model stands.
        standing: Arc<Standing>,
        /// A fixed word for the operator.
        what: &'static str,
        /// Whose fault it was.
        blame: Blame,
        /// Whether the call was let through although the key rested.
        is_trial: bool,
        /// Which rests it knew of.
        rests: RestsSeen,
    },
    /// The first call of a model after a failure went well.
    Succeeded {
        /// The model.
        model: Arc<str>,
        /// How it stands.
        standing: Arc<Standing>,
        /// Which rests the call knew of.
        rests: RestsSeen,
    },
    /// The key goes to another address, or is another: what has failed there says nothing about it.
    Renewed,
    /// When to rest, from now on.
    Breaker(BreakerSettings),
    /// Send the state of this key and of these models at it, then drop the sender.
    Inspect(mpsc::UnboundedSender<KeyView>, Vec<(Arc<str>, Arc<Standing>)>),
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

/// How a call came to its key.
#[derive(Debug, Clone, Copy)]
struct Call {
    is_trial: bool,
    rests: RestsSeen,
}

/// One key's failures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Calls that failed through no fault of their callers.
    pub failed: u64,
    /// Failures since the last success after one.
    pub consecutive_failures: u64,
    /// What failed last, and when.
    pub last_failure: Option<(&'static str, Instant)>,
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets everything through.
    Closed,
    /// Lets one call at a time through, until one succeeds.
    HalfOpen,
    /// Is asked only when there is nobody else, one call at a time.
    Open {
        /// For so long yet.
        rests_for: Duration,
        /// Whether the upstream's 429 was the cause.
        is_limited: bool,
    },
}

impl BreakerState {
    /// The word on the admin page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open { .. } => "open",
        }
    }

    fn of(rest: &Rest, now: Duration) -> Self {
        match rest.at(now) {
            Resting::No => Self::Closed,
            Resting::HalfOpen => Self::HalfOpen,
            Resting::Until(until) => {
                Self::Open { rests_for: until.saturating_sub(now), is_limited: rest.is_limited() }
            }
        }
    }
}

/// One model at a key, for the admin page.
#[derive(Debug, Clone)]
pub struct ModelView {
    /// The model's name there.
    pub model: Arc<str>,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Its latency until the first byte, by its recent peaks.
    pub latency: Option<Duration>,
    /// What the upstream said last of our quota for it.
    pub quota: Option<Quota>,
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
    /// The latency until the first byte of the model that takes longest, by its recent peaks.
    pub first_byte: Option<Duration>,
    /// Its failures.
    pub health: Health,
    /// Open when the upstream does not take the key.
    pub breaker: BreakerState,
    /// Its models, by name.
    pub models: Vec<ModelView>,
    /// The moment of all this, on the gateway's monotonic clock.
    pub at: Duration,
}

/// The actor of one key.
#[derive(Debug)]
pub struct Provider {
    pub(crate) provider: Arc<str>,
    pub(crate) key_name: Arc<str>,
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) node: Arc<Node>,
    pub(crate) shared: Arc<Shared>,
}

/// What changes in a Provider.
#[derive(Debug)]
pub struct ProviderState {
    health: Health,
    settings: BreakerSettings,
    /// Of models that have failed and not succeeded since.
    breakers: HashMap<Arc<str>, Breaker>,
}

impl Actor for Provider {
    type Msg = Mail<ProviderMessage>;
    type State = ProviderState;
    type Arguments = BreakerSettings;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        settings: BreakerSettings,
    ) -> Result<ProviderState, ActorProcessingErr> {
        // Rests are known to nobody any more, so nobody could end them.
        self.gauge.rest.end();
        Ok(ProviderState { health: Health::default(), settings, breakers: HashMap::new() })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut ProviderState,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            ProviderMessage::Lend(job) => job.grant(),
            ProviderMessage::Failed { model, standing, what, blame, is_trial, rests } => {
                state.health.failed += 1;
                state.health.consecutive_failures += 1;
                state.health.last_failure = Some((what, Instant::now()));
                self.failed(state, model, &standing, blame, Call { is_trial, rests });
            }
            ProviderMessage::Succeeded { model, standing, rests } => {
                state.health.consecutive_failures = 0;
                self.succeeded(state, &model, &standing, rests);
            }
            ProviderMessage::Renewed => state.breakers.clear(),
            ProviderMessage::Breaker(settings) => state.settings = settings,
            ProviderMessage::Inspect(views, models) => {
                let _ = views.send(self.view(state, models));
            }
        }
        Ok(())
    }
}

impl Provider {
    fn failed(
        &self,
        state: &mut ProviderState,
        model: Arc<str>,
        standing: &Standing,
        blame: Blame,
        call: Call,
    ) {
        let now = self.shared.clock.now().mono;
        if self.is_of_before(standing, blame, call.rests) {
            if let Blame::RateLimited { retry_after: Some(after) } = blame {
                standing.rest.extend(now + after.min(state.settings.cooling_max));
            }
            return;
        }
        standing.is_failing.store(true, Ordering::Relaxed);
        if state.breakers.len() >= BREAKERS_MAX && !state.breakers.contains_key(&model) {
            // Names that callers make up: whoever fails on from here opens its breaker a little later.
            state.breakers.clear();
        }
        let answered = standing.answered.load(Ordering::Relaxed);
        let breaker = state.breakers.entry(Arc::clone(&model)).or_default();
        let Some(rests_for) = breaker.failed(now, blame, answered, call.is_trial, &state.settings) else {
            return;
        };
        let (provider, key) = (&*self.provider, &*self.key_name);
        let rests_ms = u64::try_from(rests_for.as_millis()).unwrap_or(u64::MAX);
        if blame == Blame::KeyRefused {
            // For all models, and until its owner has mended it.
            if self.gauge.rest.at(now) == Resting::No {
                tracing::error!(provider, key, "the upstream does not take this key; it is set aside");
            }
            return self.gauge.rest.begin(now + rests_for, false);
        }
        let is_limited = matches!(blame, Blame::RateLimited { .. });
        if standing.rest.at(now) == Resting::No {
            tracing::warn!(
                provider,
                key,
                model = &*model,
                rests_ms,
                is_limited,
                "a model rests after failures"
            );
        }
        standing.rest.begin(now + rests_for, is_limited);
    }

    /// Whether a call that failed was out already when the rest began that follows from such failures: what it has to
    /// say is known, and many calls that fail at once are one outage.
    fn is_of_before(&self, standing: &Standing, blame: Blame, rests: RestsSeen) -> bool {
        match blame {
            Blame::KeyRefused => self.gauge.rest.has_begun_since(rests.of_key),
            Blame::Upstream | Blame::RateLimited { .. } => standing.rest.has_begun_since(rests.of_model),
        }
    }

    /// A success ends a rest only if its call was made in it: one that was out before it began was admitted by an
    /// upstream that has asked for fewer calls, or failed others, since.
    fn succeeded(&self, state: &mut ProviderState, model: &Arc<str>, standing: &Standing, rests: RestsSeen) {
        let (provider, key) = (&*self.provider, &*self.key_name);
        if self.gauge.rest.at(Duration::ZERO) != Resting::No && !self.gauge.rest.has_begun_since(rests.of_key)
        {
            tracing::info!(provider, key, "the upstream takes this key again");
            self.gauge.rest.end();
        }
        if standing.rest.has_begun_since(rests.of_model) {
            return;
        }
        if standing.rest.at(Duration::ZERO) != Resting::No {
            tracing::info!(provider, key, model = &**model, "a model works again");
            standing.rest.end();
        }
        standing.is_failing.store(false, Ordering::Relaxed);
        if let Some(breaker) = state.breakers.get_mut(model) {
            breaker.succeeded();
        }
    }

    fn view(&self, state: &ProviderState, models: Vec<(Arc<str>, Arc<Standing>)>) -> KeyView {
        let now = self.shared.clock.now().mono;
        let view = |(model, standing): (Arc<str>, Arc<Standing>)| ModelView {
            model,
            breaker: BreakerState::of(&standing.rest, now),
            latency: standing.latency.get(),
            quota: standing.quota.load().as_deref().copied(),
        };
        let mut models: Vec<ModelView> = models.into_iter().map(view).collect();
        models.sort_by(|a, b| a.model.cmp(&b.model));
        KeyView {
            provider: Arc::clone(&self.provider),
            key_name: Arc::clone(&self.key_name),
            in_flight: self.gauge.in_flight(),
            answered: self.gauge.answered(),
            abandoned: self.gauge.abandoned(),
            first_byte: models.iter().filter_map(|model| model.latency).max(),
            health: state.health.clone(),
            breaker: BreakerState::of(&self.gauge.rest, now),
            models,
            at: now,
        }
    }
}

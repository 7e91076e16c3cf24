//! What outlives any single actor: the tables and addresses that a reborn actor finds again.
//!
//! Owns     the published client table, the directory of pools, the open admissions, the ledger's queue
//!          and store, the tree of nodes, the clock. Each has one writer, named beside it.
//! Called   by every actor of one gateway; each gateway has its own, so that several can live in one process.
//! Fails    never: it holds no task and does no I/O.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use gateway_limits::Now;
use tokio::time::Instant;

use crate::client_registry::RegistryMessage;
use crate::client_table::ClientTable;
use crate::clients_supervisor::ClientsMessage;
use crate::dispatch::{Gauge, OpenAdmissions};
use crate::gate::Door;
use crate::job::{Job, JobId, Stranded};
use crate::ledger::{AnswerOwner, Backing, Journal, KeptAnswer, Recovered};
use crate::provider_pool::{PoolMessage, PoolSettings};
use crate::providers_supervisor::ProvidersMessage;
use crate::refusal::Refusal;
use crate::tree::Tree;

/// The two clocks that limits need: one that never goes back, and the calendar.
#[derive(Debug)]
pub struct Clock {
    epoch: Instant,
    /// Where the monotonic clock stood when this process began: it goes on from the ledger's last moment.
    base: Duration,
}

impl Clock {
    fn going_on_from(base: Duration) -> Self {
        Self { epoch: Instant::now(), base }
    }

    /// This moment. The monotonic part is tokio's, so tests may pause it.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Milliseconds overflow u64 in 500 million years.
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Now { mono: self.base.saturating_add(self.epoch.elapsed()), unix_ms }
    }
}

/// How to reach one pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolEntry {
    pub(crate) door: Door<PoolMessage>,
    /// Jobs that wait in the pool for a free key; a lease that ends wakes the pool only when there are any.
    pub(crate) waiting: Arc<AtomicUsize>,
}

/// State of one gateway that no actor's end may take along.
#[derive(Debug)]
pub struct Shared {
    /// Who exists; swapped by ClientRegistry.
    pub(crate) clients: ArcSwap<ClientTable>,
    /// Where each provider's pool is; swapped by the Providers supervisor.
    pub(crate) pools: ArcSwap<HashMap<Arc<str>, PoolEntry>>,
    /// What leases count per `provider/key`; entries are made by pools and never removed.
    pub(crate) gauges: dashmap::DashMap<String, Arc<Gauge>>,
    /// Admissions that are not settled; entries are made and removed by their client's RateLimiter.
    pub(crate) open: OpenAdmissions,
    /// The ledger's queue and store; read and written by Ledger, appended to by limiters.
    pub(crate) journal: Journal,
    /// Every actor's node; written by its supervisor.
    pub(crate) tree: Tree,
    /// What the pools were last told to be, for a reborn Providers supervisor, which also writes it.
    pub(crate) pool_settings: ArcSwap<Vec<PoolSettings>>,
    /// Where the root's children are; each sets its own address when it starts.
    pub(crate) registry: ArcSwapOption<Door<RegistryMessage>>,
    pub(crate) clients_supervisor: ArcSwapOption<Door<ClientsMessage>>,
    pub(crate) providers_supervisor: ArcSwapOption<Door<ProvidersMessage>>,
    /// Set once the gateway is told to stop: supervisors then start nothing again.
    pub(crate) stopping: AtomicBool,
    pub(crate) clock: Clock,
    next_job: AtomicU64,
}

impl Shared {
    pub(crate) fn new(backing: Backing, recovered: Recovered) -> Self {
        Self {
            clients: ArcSwap::default(),
            pools: ArcSwap::default(),
            gauges: dashmap::DashMap::new(),
            open: OpenAdmissions::starting_at(recovered.next_id),
            clock: Clock::going_on_from(recovered.clock_base),
            journal: Journal::new(backing, recovered.accounts),
            tree: Tree::default(),
            pool_settings: ArcSwap::default(),
            registry: ArcSwapOption::empty(),
            clients_supervisor: ArcSwapOption::empty(),
            providers_supervisor: ArcSwapOption::empty(),
            stopping: AtomicBool::new(false),
            next_job: AtomicU64::new(0),
        }
    }

    /// The clock that all limits of this gateway run on.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The client table as it stands; swapped whole at a reload.
    pub fn clients(&self) -> arc_swap::Guard<Arc<ClientTable>> {
        self.clients.load()
    }

    /// Admissions that are not settled yet.
    pub fn open_admissions(&self) -> &OpenAdmissions {
        &self.open
    }

    /// The live supervision tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Calls in flight over all providers, counted by their leases.
    pub fn calls_in_flight(&self) -> usize {
        self.gauges.iter().map(|gauge| gauge.in_flight()).sum()
    }

    /// Jobs that wait for a free key, by provider.
    pub fn queued(&self) -> Vec<(Arc<str>, usize)> {
        let pools = self.pools.load();
        pools.iter().map(|(name, pool)| (Arc::clone(name), pool.waiting.load(Ordering::Relaxed))).collect()
    }

    /// Notes whose an answer is that its upstream keeps under an id.
    pub fn keep_answer(&self, id: &str, owner: AnswerOwner) {
        self.journal.keep(KeptAnswer { id: id.into(), owner, at: self.clock.now() });
    }

    /// Whose an answer is, if it was made a short time ago; for older ones ask
    /// [`answer_owners`](crate::ledger::answer_owners).
    pub fn recent_answer(&self, id: &str) -> Option<AnswerOwner> {
        self.journal.recent_answer(id)
    }

    /// Entries that wait to be written by the Ledger.
    pub fn ledger_behind(&self) -> usize {
        self.journal.behind()
    }

    /// Whether the Ledger takes admissions: it can be written, and is not too far behind.
    pub fn ledger_is_writable(&self) -> bool {
        self.journal.refusal().is_none()
    }

    pub(crate) fn next_job_id(&self) -> JobId {
        JobId(self.next_job.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn gauge_of(&self, provider: &str, key: &str) -> Arc<Gauge> {
        Arc::clone(&self.gauges.entry(format!("{provider}/{key}")).or_default())
    }

    /// Tells ClientRegistry. One that is gone learns what it needs when it starts again.
    pub(crate) fn to_registry(&self, message: RegistryMessage) {
        if let Some(registry) = self.registry.load().as_ref() {
            let _ = registry.send_always(message);
        }
    }

    /// Tells the Clients supervisor. One that is gone starts again with nothing to be told.
    pub(crate) fn to_clients(&self, message: ClientsMessage) {
        if let Some(clients) = self.clients_supervisor.load().as_ref() {
            let _ = clients.send_always(message);
        }
    }

    /// Hands an admitted job to the pool of the target whose turn it is. A pool that has just died is restarted by
    /// its supervisor, which takes the job as soon as it has seen the death.
    pub(crate) fn to_pool(&self, job: Box<Job>) {
        let pools = self.pools.load();
        // Without an entry it rests, or was removed: the supervisor knows which.
        let Some(pool) = pools.get(&job.target().provider) else { return self.to_providers(job) };
        match pool.door.forward(job) {
            Ok(()) => {}
            Err(Stranded::Full(job)) => job.refuse(Refusal::Overloaded { actor: "ProviderPool" }),
            Err(Stranded::Gone(job)) => self.to_providers(job),
        }
    }

    /// To the Providers supervisor: it sees a pool's death before it sees the job.
    fn to_providers(&self, job: Box<Job>) {
        let stranded = match self.providers_supervisor.load().as_ref() {
            Some(providers) => providers.forward(job),
            None => Err(Stranded::Gone(job)),
        };
        if let Err(Stranded::Full(job) | Stranded::Gone(job)) = stranded {
            job.refuse(Refusal::Restarting { actor: "ProviderPool" });
        }
    }

    /// Tells a pool that a key has become free, if a job waits for one.
    pub(crate) fn wake_pool(&self, provider: &str) {
        if let Some(pool) = self.pools.load().get(provider)
            && pool.waiting.load(Ordering::SeqCst) > 0
        {
            let _ = pool.door.send_always(PoolMessage::Freed);
        }
    }
}

//! One provider's pool: chooses the key for each job and keeps what has to wait.
//!
//! Owns     the choice among its keys, and the queue of jobs for which `max_concurrency` leaves no room.
//! Called   by RateLimiter (`Place`), by a lease that ends while jobs wait (`Freed`), by a caller that left
//!          (`Cancel`), by the Providers supervisor (`Update`, `Inspect`).
//! Bounded  by its gate, and the queue by `queue_max` jobs and `queue_wait`.
//! Fails    restarted by the Providers supervisor. Jobs inside get `Refusal::Restarting`; leases go on, and
//!          are counted outside, so the reborn pool counts right. Its Providers end with it and start with it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::dispatch::{Gauge, Key, Lease};
use crate::gate::{Door, Mail};
use crate::job::{Job, JobId, Route, Stranded};
use crate::provider::{self, Endpoint, KeyView, Provider, ProviderMessage};
use crate::refusal::Refusal;
use crate::restart::{History, RestartPolicy, Verdict};
use crate::shared::Shared;
use crate::tree::{Node, NodeState};

/// Messages that may wait at one pool: a turn takes about a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// One key of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// Where its calls go.
    pub endpoint: Arc<Endpoint>,
    /// Its share among the pool's keys; at least 1.
    pub weight: u32,
}

/// What a pool is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// The provider's name.
    pub name: Arc<str>,
    /// Its keys, at least one.
    pub keys: Vec<KeySettings>,
    /// Calls at once over all keys; `None` is unlimited.
    pub max_concurrency: Option<usize>,
    /// Jobs that may wait for a free place.
    pub queue_max: usize,
    /// How long one may wait.
    pub queue_wait: Duration,
}

impl PoolSettings {
    /// A pool of one key, without a limit of its own.
    pub fn with_key(endpoint: Endpoint) -> Self {
        Self {
            name: Arc::clone(&endpoint.provider),
            keys: vec![KeySettings { endpoint: Arc::new(endpoint), weight: 1 }],
            max_concurrency: None,
            // Used only while a Provider restarts.
            queue_max: 100,
            queue_wait: Duration::from_secs(5),
        }
    }
}

/// What a pool is told.
#[derive(Debug)]
pub enum PoolMessage {
    /// Choose a key for this admitted job.
    Place(Box<Job>),
    /// A call has ended, and jobs were waiting.
    Freed,
    /// The job's caller has left.
    Cancel(JobId),
    /// The wait of the oldest job may be over.
    Expire,
    /// Be like this from now on.
    Update(PoolSettings),
    /// Start this key's Provider again.
    Restart(Arc<str>),
    /// Have each Provider send its view, then drop the sender.
    Inspect(mpsc::UnboundedSender<KeyView>),
}

impl Route for PoolMessage {
    fn carry(job: Box<Job>) -> Self {
        Self::Place(job)
    }

    fn into_job(self) -> Option<Box<Job>> {
        match self {
            Self::Place(job) => Some(job),
            _ => None,
        }
    }
}

/// A key and its Provider.
#[derive(Debug)]
struct Member {
    key: KeySettings,
    gauge: Arc<Gauge>,
    node: Arc<Node>,
    history: History,
    /// `None` while it rests.
    up: Option<Arc<Key>>,
}

impl Member {
    /// Its Provider runs.
    fn come_up(&mut self, provider: Door<ProviderMessage>, shared: &Arc<Shared>) {
        self.up = Some(Arc::new(Key {
            endpoint: Arc::clone(&self.key.endpoint),
            gauge: Arc::clone(&self.gauge),
            provider,
            shared: Arc::clone(shared),
        }));
    }

    /// The same member with changed settings; leases that are out keep the old ones.
    fn with(mut self, key: KeySettings) -> Self {
        self.key = key;
        if let Some(up) = self.up.take() {
            self.come_up(up.provider.clone(), &up.shared);
        }
        self
    }

    /// Calls in flight per unit of weight, with the one to come.
    fn load(&self) -> f64 {
        (self.gauge.in_flight() + 1) as f64 / f64::from(self.key.weight.max(1))
    }
}

/// What changes in a pool.
#[derive(Debug)]
pub struct PoolState {
    settings: PoolSettings,
    members: Vec<Member>,
    queue: VecDeque<(Box<Job>, Instant)>,
    /// Whether an `Expire` is on its way.
    timer_set: bool,
}

/// The pool's actor.
#[derive(Debug)]
pub struct ProviderPool {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
    /// Told to leases through the directory: they wake the pool only while jobs wait.
    pub(crate) waiting: Arc<AtomicUsize>,
}

impl Actor for ProviderPool {
    type Msg = Mail<PoolMessage>;
    type State = PoolState;
    type Arguments = PoolSettings;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        settings: PoolSettings,
    ) -> Result<PoolState, ActorProcessingErr> {
        self.waiting.store(0, Ordering::Release);
        let mut members = Vec::with_capacity(settings.keys.len());
        for key in &settings.keys {
            members.push(self.member(&myself, key.clone()).await?);
        }
        Ok(PoolState { settings, members, queue: VecDeque::new(), timer_set: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut PoolState,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            PoolMessage::Place(job) => self.place(&myself, state, job),
            PoolMessage::Freed => self.work_queue(state),
            PoolMessage::Cancel(id) => state.queue.retain(|(job, _)| job.id != id),
            PoolMessage::Expire => {
                state.timer_set = false;
                expire(state);
                self.set_timer(&myself, state);
            }
            PoolMessage::Update(settings) => {
                self.update(&myself, state, settings).await?;
                self.work_queue(state);
            }
            PoolMessage::Restart(key_name) => {
                let member = state.members.iter_mut().find(|m| m.key.endpoint.key_name == key_name);
                if let Some(member) = member.filter(|member| member.up.is_none()) {
                    self.start(&myself, member).await?;
                }
                self.work_queue(state);
            }
            PoolMessage::Inspect(views) => {
                for up in state.members.iter().filter_map(|member| member.up.as_ref()) {
                    let _ = up.provider.send(ProviderMessage::Inspect(views.clone()));
                }
            }
        }
        self.waiting.store(state.queue.len(), Ordering::Release);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut PoolState,
    ) -> Result<(), ActorProcessingErr> {
        let Some((cell, reason)) = crate::restart::failure(event) else { return Ok(()) };
        let gone = state.members.iter_mut().find(|member| {
            member.up.as_ref().is_some_and(|up| up.provider.actor().get_id() == cell.get_id())
        });
        let Some(member) = gone.filter(|_| !self.shared.is_stopping()) else { return Ok(()) };
        tracing::warn!(actor = member.node.name(), reason, "provider failed and is restarted");
        member.up = None;
        member.node.ended(NodeState::Resting, Some(reason));
        match member.history.failed(&RestartPolicy::PROVIDER, Instant::now()) {
            Verdict::Restart(Duration::ZERO) => self.start(&myself, member).await?,
            Verdict::Restart(pause) => {
                let key_name = Arc::clone(&member.key.endpoint.key_name);
                crate::restart::send_later(
                    &Door::new(myself, Arc::clone(self.node.gate())),
                    pause,
                    PoolMessage::Restart(key_name),
                );
            }
            // The policy of providers never gives up.
            Verdict::GiveUp => {}
        }
        // Jobs that came while the death was not known yet.
        self.work_queue(state);
        self.waiting.store(state.queue.len(), Ordering::Release);
        Ok(())
    }
}

impl ProviderPool {
    async fn member(
        &self,
        myself: &ActorRef<Mail<PoolMessage>>,
        key: KeySettings,
    ) -> Result<Member, ActorProcessingErr> {
        let (provider, key_name) = (&key.endpoint.provider, &key.endpoint.key_name);
        let name = format!("Provider {provider}/{key_name}");
        let node = self.shared.tree.node("Provider", name, Some(&self.node), provider::MAILBOX_MAX);
        let gauge = self.shared.gauge_of(provider, key_name);
        let mut member = Member { key, gauge, node, history: History::default(), up: None };
        self.start(myself, &mut member).await?;
        Ok(member)
    }

    async fn start(
        &self,
        myself: &ActorRef<Mail<PoolMessage>>,
        member: &mut Member,
    ) -> Result<(), ActorProcessingErr> {
        let actor = Provider {
            provider: Arc::clone(&member.key.endpoint.provider),
            key_name: Arc::clone(&member.key.endpoint.key_name),
            gauge: Arc::clone(&member.gauge),
            node: Arc::clone(&member.node),
        };
        let (actor, _) = Actor::spawn_linked(None, actor, (), myself.get_cell()).await?;
        member.node.started(actor.get_cell());
        member.come_up(Door::new(actor, Arc::clone(member.node.gate())), &self.shared);
        Ok(())
    }

    /// To a key now, or into the queue.
    fn place(&self, myself: &ActorRef<Mail<PoolMessage>>, state: &mut PoolState, job: Box<Job>) {
        if job.is_abandoned() {
            return;
        }
        if state.queue.is_empty() && has_room(state) {
            match self.lend(state, job) {
                Ok(()) => return,
                Err(job) => self.enqueue(state, job),
            }
        } else {
            self.enqueue(state, job);
        }
        self.set_timer(myself, state);
    }

    fn enqueue(&self, state: &mut PoolState, job: Box<Job>) {
        let waiting = state.queue.len();
        if waiting >= state.settings.queue_max {
            let provider = state.settings.name.to_string();
            return job.refuse(Refusal::ProviderFull { provider, waiting });
        }
        state.queue.push_back((job, Instant::now()));
        // Published before the room is looked at once more, so that a lease which ends in between either
        // sees the waiting job or has made room for it.
        self.waiting.store(state.queue.len(), Ordering::SeqCst);
        self.work_queue(state);
    }

    fn work_queue(&self, state: &mut PoolState) {
        while has_room(state) {
            let Some((job, since)) = state.queue.pop_front() else { return };
            if job.is_abandoned() {
                continue;
            }
            if let Err(job) = self.lend(state, job) {
                return state.queue.push_front((job, since));
            }
        }
    }

    /// Takes a place at one key and hands the job to its Provider. Gives the job back when none is up.
    fn lend(&self, state: &PoolState, mut job: Box<Job>) -> Result<(), Box<Job>> {
        let Some(up) = (match job.key.clone() {
            None => choose(&state.members),
            Some(name) => match state.members.iter().find(|m| m.key.endpoint.key_name == name) {
                Some(member) => member.up.as_ref(),
                // It went with a reload.
                None => {
                    job.refuse(Refusal::NoProvider { provider: format!("{}/{name}", state.settings.name) });
                    return Ok(());
                }
            },
        }) else {
            return Err(job);
        };
        job.lease = Some(Lease::new(job.target.clone(), up));
        match up.provider.forward(job) {
            Ok(()) => Ok(()),
            Err(Stranded::Full(job)) => {
                job.refuse(Refusal::Overloaded { actor: "Provider" });
                Ok(())
            }
            // It has just died. The job waits until the death has been seen, and the Provider restarted.
            Err(Stranded::Gone(mut job)) => {
                drop(job.lease.take());
                Err(job)
            }
        }
    }

    fn set_timer(&self, myself: &ActorRef<Mail<PoolMessage>>, state: &mut PoolState) {
        let Some((_, since)) = state.queue.front() else { return };
        if !state.timer_set {
            state.timer_set = true;
            let left = (*since + state.settings.queue_wait).saturating_duration_since(Instant::now());
            let door = Door::new(myself.clone(), Arc::clone(self.node.gate()));
            crate::restart::send_later(&door, left, PoolMessage::Expire);
        }
    }

    /// Takes over changed settings: keys that stay keep their Provider, others end or start.
    async fn update(
        &self,
        myself: &ActorRef<Mail<PoolMessage>>,
        state: &mut PoolState,
        settings: PoolSettings,
    ) -> Result<(), ActorProcessingErr> {
        let mut old = std::mem::take(&mut state.members);
        for key in &settings.keys {
            let same = old.iter().position(|m| m.key.endpoint.key_name == key.endpoint.key_name);
            state.members.push(match same {
                Some(index) => old.swap_remove(index).with(key.clone()),
                None => self.member(myself, key.clone()).await?,
            });
        }
        for member in old {
            if let Some(up) = member.up {
                // What is in its mailbox is still answered; nothing new comes.
                let _ = up.provider.actor().drain();
            }
            self.shared.tree.remove(member.node.name());
        }
        state.settings = settings;
        Ok(())
    }
}

fn has_room(state: &PoolState) -> bool {
    let in_flight = || state.members.iter().map(|member| member.gauge.in_flight()).sum::<usize>();
    state.settings.max_concurrency.is_none_or(|max| in_flight() < max)
}

/// The less loaded of two keys chosen at random: as good as asking all, at a fixed cost (Mitzenmacher,
/// "The power of two choices in randomized load balancing", 2001).
fn choose(members: &[Member]) -> Option<&Arc<Key>> {
    let up = || members.iter().filter_map(|member| Some((member, member.up.as_ref()?)));
    let count = up().count();
    if count < 2 {
        return up().next().map(|(_, up)| up);
    }
    let first = rand::random_range(0..count);
    let second = (first + rand::random_range(1..count)) % count;
    let (a, b) = (up().nth(first)?, up().nth(second)?);
    Some(if a.0.load() <= b.0.load() { a.1 } else { b.1 })
}

/// Turns away what has waited too long.
fn expire(state: &mut PoolState) {
    let now = Instant::now();
    let too_long = |since: &Instant| now.duration_since(*since) >= state.settings.queue_wait;
    while state.queue.front().is_some_and(|(_, since)| too_long(since)) {
        let waiting = state.queue.len();
        if let Some((job, _)) = state.queue.pop_front() {
            job.refuse(Refusal::ProviderFull { provider: state.settings.name.to_string(), waiting });
        }
    }
}

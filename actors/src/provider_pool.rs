//! One provider's pool: chooses the key for each job, keeps what has to wait, and passes on what it cannot serve.
//!
//! Owns     the choice among its keys, how each model stands at each of them, the queue of jobs for which
//!          `max_concurrency` leaves no room, and the budget of retries.
//! Called   by RateLimiter, by another pool and by a request that was failed elsewhere (`Place`), by a lease that ends
//!          while jobs wait (`Freed`), by a caller that left (`Cancel`), by the Providers supervisor (`Update`,
//!          `Inspect`).
//! Bounded  by its gate, and the queue by `queue_max` jobs and `queue_wait`; a job passes a pool twice at most.
//! Fails    restarted by the Providers supervisor. Jobs inside get `Refusal::Restarting`; leases go on, and
//!          are counted outside, so the reborn pool counts right. Its Providers end with it and start with it, and
//!          every model stands as healthy again.
//!
//! A key that is ready is preferred to one that rests; of two ready ones chosen at random the one where a call costs
//! less. A key whose rest is over gets one call as a trial. When no target of a job's plan is ready the plan is gone
//! through once more, and now a key that rests may try, one call at a time: so a provider that is the only one is
//! never given up. A key whose upstream said that its quota is empty is not asked before its reset.

mod member;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::breaker::BreakerSettings;
use crate::client::ClientId;
use crate::dispatch::Lease;
use crate::fair_queue::FairQueue;
use crate::gate::{Door, Mail};
use crate::job::{Job, JobId, Route, Stranded};
use crate::provider::{self, Endpoint, KeyView, Provider, ProviderMessage};
use crate::refusal::Refusal;
use crate::restart::{History, RestartPolicy, Verdict};
use crate::retry_budget::{RetryBudget, RetryBudgetSettings};
use crate::shared::Shared;
use crate::tree::{Node, NodeState};

use member::{Choice, Member};

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
#[derive(Debug, Clone, PartialEq)]
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
    /// When a key is not asked for a model.
    pub breaker: BreakerSettings,
    /// How many retries the provider gets.
    pub retries: RetryBudgetSettings,
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
            breaker: BreakerSettings::default(),
            retries: RetryBudgetSettings::default(),
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

/// A job that waits for a place.
#[derive(Debug)]
struct Waiting {
    job: Box<Job>,
    since: Instant,
}

/// What changes in a pool.
#[derive(Debug)]
pub struct PoolState {
    settings: PoolSettings,
    members: Vec<Member>,
    queue: FairQueue<ClientId, Waiting>,
    retries: RetryBudget,
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
            members.push(self.member(&myself, key.clone(), settings.breaker).await?);
        }
        let (queue, retries) = (FairQueue::default(), RetryBudget::default());
        Ok(PoolState { settings, members, queue, retries, timer_set: false })
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
            PoolMessage::Cancel(id) => drop(state.queue.remove(|waiting| waiting.job.id == id)),
            PoolMessage::Expire => {
                state.timer_set = false;
                self.expire(state);
                self.set_timer(&myself, state);
            }
            PoolMessage::Update(settings) => {
                self.update(&myself, state, settings).await?;
                self.work_queue(state);
            }
            PoolMessage::Restart(key_name) => {
                let member = state.members.iter_mut().find(|m| m.key.endpoint.key_name == key_name);
                if let Some(member) = member.filter(|member| member.up.is_none()) {
                    self.start(&myself, member, state.settings.breaker).await?;
                }
                self.work_queue(state);
            }
            PoolMessage::Inspect(views) => {
                for member in &state.members {
                    let Some(up) = &member.up else { continue };
                    let models = member.standings.iter();
                    let models = models.map(|(model, standing)| (Arc::clone(model), Arc::clone(standing)));
                    let _ = up.provider.send(ProviderMessage::Inspect(views.clone(), models.collect()));
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
        // What its failures were is gone with it, so they could not be ended: it starts healthy.
        member.standings.clear();
        tracing::warn!(actor = member.node.name(), reason, "provider failed and is restarted");
        member.up = None;
        member.node.ended(NodeState::Resting, Some(reason));
        match member.history.failed(&RestartPolicy::PROVIDER, Instant::now()) {
            Verdict::Restart(Duration::ZERO) => self.start(&myself, member, state.settings.breaker).await?,
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
        breaker: BreakerSettings,
    ) -> Result<Member, ActorProcessingErr> {
        let (provider, key_name) = (&key.endpoint.provider, &key.endpoint.key_name);
        let name = format!("Provider {provider}/{key_name}");
        let node = self.shared.tree.node("Provider", name, Some(&self.node), provider::MAILBOX_MAX);
        let gauge = self.shared.gauge_of(provider, key_name);
        let (history, standings) = (History::default(), HashMap::new());
        let mut member = Member { key, gauge, node, history, standings, up: None };
        self.start(myself, &mut member, breaker).await?;
        Ok(member)
    }

    async fn start(
        &self,
        myself: &ActorRef<Mail<PoolMessage>>,
        member: &mut Member,
        breaker: BreakerSettings,
    ) -> Result<(), ActorProcessingErr> {
        let actor = Provider {
            provider: Arc::clone(&member.key.endpoint.provider),
            key_name: Arc::clone(&member.key.endpoint.key_name),
            gauge: Arc::clone(&member.gauge),
            node: Arc::clone(&member.node),
            shared: Arc::clone(&self.shared),
        };
        let (actor, _) = Actor::spawn_linked(None, actor, breaker, myself.get_cell()).await?;
        member.node.started(actor.get_cell());
        member.come_up(Door::new(actor, Arc::clone(member.node.gate())), &self.shared);
        Ok(())
    }

    /// To a key now, or into the queue, or on along its plan.
    fn place(&self, myself: &ActorRef<Mail<PoolMessage>>, state: &mut PoolState, job: Box<Job>) {
        if job.is_abandoned() {
            return;
        }
        let now = self.shared.clock.now().mono;
        let was_here = job.way.tried.last().map(|tried| &job.plan.at(tried.at).target.provider);
        if !job.way.is_last_chance {
            match was_here {
                Some(provider) if *provider == state.settings.name => {
                    // What nobody here may be asked for is no retry.
                    if may_be_asked(state, &job) && !state.retries.take(now, &state.settings.retries) {
                        return self.elsewhere(state, job);
                    }
                }
                Some(_) => {}
                None => state.retries.note_request(now),
            }
        }
        if state.queue.is_empty() && has_room(state) {
            match self.lend(state, job) {
                None => return,
                Some(job) => self.enqueue(state, job),
            }
        } else {
            self.enqueue(state, job);
        }
        self.set_timer(myself, state);
    }

    fn enqueue(&self, state: &mut PoolState, job: Box<Job>) {
        let (client, weight, cost) = (job.client.clone(), job.priority, job.ask.tokens);
        let waiting = Waiting { job, since: Instant::now() };
        if let Some(turned_away) = state.queue.push(client, weight, cost, waiting, state.settings.queue_max) {
            self.turn_away(state, turned_away);
        }
        // Published before the room is looked at once more, so that a lease which ends in between either
        // sees the waiting job or has made room for it.
        self.waiting.store(state.queue.len(), Ordering::SeqCst);
        self.work_queue(state);
    }

    fn work_queue(&self, state: &mut PoolState) {
        while has_room(state) {
            let Some(Waiting { job, since }) = state.queue.pop() else { return };
            if job.is_abandoned() {
                continue;
            }
            if let Some(job) = self.lend(state, job) {
                let (client, weight, cost) = (job.client.clone(), job.priority, job.ask.tokens);
                return state.queue.push_back_to_front(client, weight, cost, Waiting { job, since });
            }
        }
    }

    /// Takes a place at one key and hands the job to its Provider; or passes the job on along its plan. Gives it back
    /// when it has to wait until a Provider is up.
    fn lend(&self, state: &mut PoolState, mut job: Box<Job>) -> Option<Box<Job>> {
        let (index, trial) = loop {
            match member::choose(&mut state.members, &mut job, self.shared.clock.now().mono) {
                Choice::Key { index, trial } => break (index, trial),
                Choice::NobodyIsUp => return Some(job),
                Choice::UnknownKey { name } => {
                    let provider = format!("{}/{name}", state.settings.name);
                    job.refuse(Refusal::NoProvider { provider });
                    return None;
                }
                // Here again: another model of this provider, or the second time round.
                Choice::NobodyFits => job = self.onward(state, job)?,
            }
        };
        let model = Arc::clone(&job.target().model);
        let member = state.members.get_mut(index)?;
        let standing = Arc::clone(member.standing(&model));
        let up = Arc::clone(member.up.as_ref()?);
        job.lease = Some(Lease::new(&job.plan, job.way.at, &up, &standing, trial));
        if let Some(admission) = &job.admission {
            admission.goes_to(job.way.at);
        }
        match up.provider.forward(job) {
            Ok(()) => None,
            Err(Stranded::Full(job)) => {
                job.refuse(Refusal::Overloaded { actor: "Provider" });
                None
            }
            // It has just died. The job waits until the death has been seen, and the Provider restarted.
            Err(Stranded::Gone(mut job)) => {
                drop(job.lease.take());
                Some(job)
            }
        }
    }

    /// Sends a job on along its plan, or to its end. Gives it back when the next target is this provider's too.
    fn onward(&self, state: &PoolState, mut job: Box<Job>) -> Option<Box<Job>> {
        if job.move_on() {
            if job.target().provider == state.settings.name {
                return Some(job);
            }
            self.shared.to_pool(job);
            return None;
        }
        let now = self.shared.clock.now().mono;
        let (soonest, full) = (job.way.soonest, job.way.full.take());
        job.refuse(match (soonest, full) {
            (Some((at, is_limited)), _) => {
                let retry_after = at.saturating_sub(now).max(Duration::from_millis(1));
                Refusal::Resting { retry_after, is_limited }
            }
            (None, Some((provider, waiting))) => {
                Refusal::ProviderFull { provider: provider.to_string(), waiting }
            }
            (None, None) => Refusal::NobodyLeft,
        });
        None
    }

    /// Sends a job on to another provider, or to its end.
    fn elsewhere(&self, state: &PoolState, job: Box<Job>) {
        let mut job = Some(job);
        while let Some(here) = job {
            job = self.onward(state, here);
        }
    }

    /// One that cannot wait here any longer; it counts itself among those that wait.
    fn turn_away(&self, state: &PoolState, Waiting { mut job, .. }: Waiting) {
        let waiting = state.queue.len() + 1;
        job.way.full = Some((Arc::clone(&state.settings.name), waiting));
        self.elsewhere(state, job);
    }

    /// Turns away what has waited too long.
    fn expire(&self, state: &mut PoolState) {
        let now = Instant::now();
        let wait = state.settings.queue_wait;
        let too_long = state.queue.remove(|waiting| now.duration_since(waiting.since) >= wait);
        for waiting in too_long {
            self.turn_away(state, waiting);
        }
    }

    fn set_timer(&self, myself: &ActorRef<Mail<PoolMessage>>, state: &mut PoolState) {
        let Some(since) = state.queue.heads().map(|waiting| waiting.since).min() else { return };
        if !state.timer_set {
            state.timer_set = true;
            let left = (since + state.settings.queue_wait).saturating_duration_since(Instant::now());
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
                None => self.member(myself, key.clone(), settings.breaker).await?,
            });
        }
        for member in old {
            if let Some(up) = member.up {
                // What is in its mailbox is still answered; nothing new comes.
                let _ = up.provider.actor().drain();
            }
            self.shared.tree.remove(member.node.name());
        }
        if settings.breaker != state.settings.breaker {
            for up in state.members.iter().filter_map(|member| member.up.as_ref()) {
                let _ = up.provider.send_always(ProviderMessage::Breaker(settings.breaker));
            }
        }
        state.settings = settings;
        Ok(())
    }
}

/// Whether this request may ask any key of this pool, for any of its targets here.
fn may_be_asked(state: &PoolState, job: &Job) -> bool {
    let own = job.plan.candidates().iter().enumerate();
    let mut own = own.filter(|(_, candidate)| candidate.target.provider == state.settings.name);
    own.any(|(at, _)| {
        let keys = state.members.iter().map(|member| &member.key.endpoint.key_name);
        let is_spent = |key: &Arc<str>| {
            job.way.tried.iter().any(|tried| tried.at == at && tried.key == *key && !tried.again)
        };
        keys.into_iter().any(|key| !is_spent(key))
    })
}

fn has_room(state: &PoolState) -> bool {
    let in_flight = || state.members.iter().map(|member| member.gauge.in_flight()).sum::<usize>();
    state.settings.max_concurrency.is_none_or(|max| in_flight() < max)
}

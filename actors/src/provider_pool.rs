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

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::breaker::BreakerSettings;
use crate::client::ClientId;
use crate::dispatch::{Gauge, Key, Lease, Trial};
use crate::fair_queue::FairQueue;
use crate::gate::{Door, Mail};
use crate::job::{Job, JobId, Route, Stranded};
use crate::provider::{self, Endpoint, KeyView, Provider, ProviderMessage};
use crate::refusal::Refusal;
use crate::restart::{History, RestartPolicy, Verdict};
use crate::retry_budget::{RetryBudget, RetryBudgetSettings};
use crate::shared::Shared;
use crate::standing::{Resting, Standing};
use crate::tree::{Node, NodeState};

/// Messages that may wait at one pool: a turn takes about a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// Models that are told apart at one key. Upstreams have some hundred; the names beyond were made up by callers, and
/// share one standing.
const STANDINGS_MAX: usize = 1_024;

/// The name under which they do; no model can have it.
const OTHERS: &str = "*";

/// When a caller may try again while the one trial is out: it takes as long as a first byte does.
const TRIAL_WAIT: Duration = Duration::from_secs(1);

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

/// A key and its Provider.
#[derive(Debug)]
struct Member {
    key: KeySettings,
    gauge: Arc<Gauge>,
    node: Arc<Node>,
    history: History,
    /// How each model stands here.
    standings: HashMap<Arc<str>, Arc<Standing>>,
    /// `None` while its Provider is restarted.
    up: Option<Arc<Key>>,
}

/// Whether a key can be asked for a model now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Yes.
    Ready,
    /// A rest is over: one call may try.
    Trial(Trial),
    /// It rests, and may try only when there is nobody else.
    Resting { trial: Trial, until: Duration, is_limited: bool },
    /// Somebody is trying already.
    TrialIsOut { is_limited: bool },
    /// The upstream said that our quota there is empty.
    Empty { until: Duration },
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
        if self.key.endpoint != key.endpoint {
            // Another address, or another key there: what was known of the old one says nothing.
            self.standings.clear();
            self.gauge.rest.end();
        }
        self.key = key;
        if let Some(up) = self.up.take() {
            self.come_up(up.provider.clone(), &up.shared);
        }
        self
    }

    fn standing(&mut self, model: &Arc<str>) -> &Arc<Standing> {
        let is_told_apart = self.standings.len() < STANDINGS_MAX || self.standings.contains_key(model);
        let name = if is_told_apart { Arc::clone(model) } else { OTHERS.into() };
        self.standings.entry(name).or_default()
    }

    fn fit(&mut self, model: &Arc<str>, now: Duration) -> Fit {
        let gauge = Arc::clone(&self.gauge);
        let standing = self.standing(model);
        if let Some(until) = standing.is_empty_until(now) {
            return Fit::Empty { until };
        }
        let (of_key, of_model) = (gauge.rest.at(now), standing.rest.at(now));
        if (of_key, of_model) == (Resting::No, Resting::No) {
            return Fit::Ready;
        }
        let is_limited = of_key == Resting::No && standing.rest.is_limited();
        let is_out = (of_key != Resting::No && gauge.rest.trial_is_out())
            || (of_model != Resting::No && standing.rest.trial_is_out());
        if is_out {
            return Fit::TrialIsOut { is_limited };
        }
        let trial = Trial { of_key: of_key != Resting::No, of_model: of_model != Resting::No };
        let until = |resting| match resting {
            Resting::Until(until) => Some(until),
            Resting::No | Resting::HalfOpen => None,
        };
        match until(of_key).max(until(of_model)) {
            Some(until) => Fit::Resting { trial, until, is_limited },
            None => Fit::Trial(trial),
        }
    }

    /// What one more call of this model would cost here.
    fn load(&mut self, model: &Arc<str>) -> f64 {
        let (in_flight, weight) = (self.gauge.in_flight(), self.key.weight);
        self.standing(model).load(in_flight, weight)
    }
}

/// What a pool does with a job.
enum Choice {
    Key {
        index: usize,
        trial: Option<Trial>,
    },
    /// All its Providers are being restarted.
    NobodyIsUp,
    /// The one key that will do has gone.
    UnknownKey {
        name: Arc<str>,
    },
    /// Nobody here can be asked now.
    NobodyFits,
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
            match self.choose(state, &mut job) {
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

    /// Which key a job gets: of those that it has not tried and that can be asked.
    fn choose(&self, state: &mut PoolState, job: &mut Job) -> Choice {
        let now = self.shared.clock.now().mono;
        let only = job.candidate().key.clone();
        if let Some(name) = &only
            && !state.members.iter().any(|member| member.key.endpoint.key_name == *name)
        {
            // It went with a reload.
            return Choice::UnknownKey { name: Arc::clone(name) };
        }
        let model = Arc::clone(&job.target().model);
        let mut is_anyone_up = false;
        // Ready ones that were not asked yet, and those that were and may be asked again.
        let (mut ready, mut again) = (Two::default(), Two::default());
        let mut resting: Option<(usize, Trial, Duration)> = None;
        for (index, member) in state.members.iter_mut().enumerate() {
            let name = &member.key.endpoint.key_name;
            if only.as_ref().is_some_and(|only| only != name) || member.up.is_none() {
                continue;
            }
            is_anyone_up = true;
            let tried = job.tried(name).map(|tried| tried.again);
            match member.fit(&model, now) {
                // Not by this request any more; when its caller may come again is worth saying.
                Fit::Resting { until, is_limited, .. } if tried == Some(false) => {
                    job.note_soonest(until, is_limited);
                }
                Fit::Empty { until } => job.note_soonest(until, true),
                _ if tried == Some(false) => {}
                Fit::Ready if tried.is_some() => again.offer(index),
                Fit::Ready => ready.offer(index),
                Fit::Trial(trial) if take(member, &model, trial) => {
                    return Choice::Key { index, trial: Some(trial) };
                }
                Fit::Resting { trial, until, is_limited } => {
                    job.note_soonest(until, is_limited);
                    if resting.is_none_or(|(.., before)| until < before) {
                        resting = Some((index, trial, until));
                    }
                }
                Fit::Trial(_) => job.note_soonest(now + TRIAL_WAIT, false),
                Fit::TrialIsOut { is_limited } => job.note_soonest(now + TRIAL_WAIT, is_limited),
            }
        }
        if !is_anyone_up {
            return Choice::NobodyIsUp;
        }
        let asked = if ready.count > 0 { ready } else { again };
        if let Some(index) = asked.lighter(|index| state.members[index].load(&model)) {
            return Choice::Key { index, trial: None };
        }
        match resting.filter(|_| job.way.is_last_chance) {
            Some((index, trial, _)) if take(&mut state.members[index], &model, trial) => {
                Choice::Key { index, trial: Some(trial) }
            }
            _ => Choice::NobodyFits,
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

/// Takes the trial of a key, or of a model there, unless somebody has it.
fn take(member: &mut Member, model: &Arc<str>, trial: Trial) -> bool {
    if trial.of_key && !member.gauge.rest.take_trial() {
        return false;
    }
    if trial.of_model && !member.standing(model).rest.take_trial() {
        if trial.of_key {
            member.gauge.rest.give_trial_back();
        }
        return false;
    }
    true
}

/// Two of the keys that were offered, chosen at random, each pair as likely as any other.
#[derive(Debug, Clone, Copy, Default)]
struct Two {
    count: usize,
    chosen: [usize; 2],
}

impl Two {
    fn offer(&mut self, index: usize) {
        let place = if self.count < 2 { self.count } else { rand::random_range(0..=self.count) };
        if let Some(chosen) = self.chosen.get_mut(place) {
            *chosen = index;
        }
        self.count += 1;
    }

    /// The one where a call costs less: as good as asking all, at a fixed cost (Mitzenmacher, "The power of two
    /// choices in randomized load balancing", 2001).
    fn lighter(self, mut load: impl FnMut(usize) -> f64) -> Option<usize> {
        let [a, b] = self.chosen;
        match self.count {
            0 => None,
            1 => Some(a),
            _ => {
                // In equal conditions each gets its turn.
                let (a, b) = if rand::random() { (a, b) } else { (b, a) };
                Some(if load(a) <= load(b) { a } else { b })
            }
        }
    }
}

//! The supervisor of all pools: starts, stops and restarts them, and publishes where they are.
//!
//! Owns     the directory of pools and what each is to be.
//! Called   by whoever configures and watches the gateway, through [`GatewayHandle`](crate::GatewayHandle) (`Apply`,
//!          `Retire`, `Inspect`), by a limiter whose pool has just died (`Place`).
//! Bounded  by its gate.
//! Fails    restarted by the root; its pools end with it and start again from the last settings.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::gate::{Door, Mail};
use crate::job::{Job, Route, Stranded};
use crate::provider::KeyView;
use crate::provider_pool::{self, PoolMessage, PoolSettings, ProviderPool};
use crate::refusal::Refusal;
use crate::restart::{History, RestartPolicy, Verdict};
use crate::shared::{PoolEntry, Shared};
use crate::tree::{Node, NodeState};

/// Messages that may wait here: jobs come only while a pool is being restarted.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// What the Providers supervisor is told.
#[derive(Debug)]
pub enum ProvidersMessage {
    /// Have these pools. Pools that are not named stay until `Retire`, so that requests which were routed by
    /// the old settings still find them. Answered when all are up.
    Apply(Vec<PoolSettings>, oneshot::Sender<()>),
    /// End the pools that the last `Apply` did not name.
    Retire,
    /// A job whose pool could not take it.
    Place(Box<Job>),
    /// Start this pool again.
    Restart(Arc<str>),
    /// Have each Provider of each pool send its view, then drop the sender.
    Inspect(mpsc::UnboundedSender<KeyView>),
}

impl Route for ProvidersMessage {
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

#[derive(Debug)]
struct Pool {
    settings: PoolSettings,
    node: Arc<Node>,
    waiting: Arc<AtomicUsize>,
    history: History,
    /// `None` while it rests.
    door: Option<Door<PoolMessage>>,
}

/// What changes in the Providers supervisor: its pools.
#[derive(Debug, Default)]
pub struct ProvidersState {
    pools: HashMap<Arc<str>, Pool>,
}

/// The actor above all pools.
#[derive(Debug)]
pub struct ProvidersSupervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

impl Actor for ProvidersSupervisor {
    type Msg = Mail<ProvidersMessage>;
    type State = ProvidersState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<ProvidersState, ActorProcessingErr> {
        let mut state = ProvidersState::default();
        let settings = self.shared.pool_settings.load_full();
        self.apply(&myself, &mut state, &settings).await?;
        let door = Door::new(myself, Arc::clone(self.node.gate()));
        self.shared.providers_supervisor.store(Some(Arc::new(door)));
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut ProvidersState,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            ProvidersMessage::Apply(settings, done) => {
                self.apply(&myself, state, &settings).await?;
                self.shared.pool_settings.store(Arc::new(settings));
                let _ = done.send(());
            }
            ProvidersMessage::Retire => self.retire(state),
            ProvidersMessage::Place(job) => place(&self.shared, state, job),
            ProvidersMessage::Restart(name) => {
                if let Some(pool) = state.pools.get_mut(&name).filter(|pool| pool.door.is_none()) {
                    self.start(&myself, pool).await?;
                    self.publish(state);
                }
            }
            ProvidersMessage::Inspect(views) => {
                for door in state.pools.values().filter_map(|pool| pool.door.as_ref()) {
                    let _ = door.send(PoolMessage::Inspect(views.clone()));
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut ProvidersState,
    ) -> Result<(), ActorProcessingErr> {
        let Some((cell, reason)) = crate::restart::failure(event) else { return Ok(()) };
        let gone = state
            .pools
            .values_mut()
            .find(|pool| pool.door.as_ref().is_some_and(|door| door.actor().get_id() == cell.get_id()));
        let Some(pool) = gone.filter(|_| !self.shared.is_stopping()) else { return Ok(()) };
        tracing::warn!(actor = pool.node.name(), reason, "pool failed and is restarted");
        pool.door = None;
        pool.node.ended(NodeState::Resting, Some(reason));
        match pool.history.failed(&RestartPolicy::PROVIDER, Instant::now()) {
            Verdict::Restart(Duration::ZERO) => {
                self.start(&myself, pool).await?;
                self.publish(state);
            }
            Verdict::Restart(pause) => {
                let name = Arc::clone(&pool.settings.name);
                let door = Door::new(myself, Arc::clone(self.node.gate()));
                crate::restart::send_later(&door, pause, ProvidersMessage::Restart(name));
            }
            // The policy of providers never gives up.
            Verdict::GiveUp => {}
        }
        Ok(())
    }
}

impl ProvidersSupervisor {
    /// Starts what is new, tells what has changed.
    async fn apply(
        &self,
        myself: &ActorRef<Mail<ProvidersMessage>>,
        state: &mut ProvidersState,
        all: &[PoolSettings],
    ) -> Result<(), ActorProcessingErr> {
        for settings in all {
            match state.pools.get_mut(&settings.name) {
                Some(pool) if pool.settings == *settings => {}
                Some(pool) => {
                    pool.settings = settings.clone();
                    if let Some(door) = &pool.door {
                        let _ = door.send_always(PoolMessage::Update(settings.clone()));
                    }
                }
                None => {
                    let pool = self.pool(myself, settings.clone()).await?;
                    state.pools.insert(Arc::clone(&settings.name), pool);
                }
            }
        }
        self.publish(state);
        Ok(())
    }

    async fn pool(
        &self,
        myself: &ActorRef<Mail<ProvidersMessage>>,
        settings: PoolSettings,
    ) -> Result<Pool, ActorProcessingErr> {
        let name = format!("ProviderPool {}", settings.name);
        let max = provider_pool::MAILBOX_MAX;
        let node = self.shared.tree.node("ProviderPool", name, Some(&self.node), max);
        let waiting = Arc::default();
        let mut pool = Pool { settings, node, waiting, history: History::default(), door: None };
        self.start(myself, &mut pool).await?;
        Ok(pool)
    }

    async fn start(
        &self,
        myself: &ActorRef<Mail<ProvidersMessage>>,
        pool: &mut Pool,
    ) -> Result<(), ActorProcessingErr> {
        let actor = ProviderPool {
            shared: Arc::clone(&self.shared),
            node: Arc::clone(&pool.node),
            waiting: Arc::clone(&pool.waiting),
        };
        let settings = pool.settings.clone();
        let (actor, _) = Actor::spawn_linked(None, actor, settings, myself.get_cell()).await?;
        pool.node.started(actor.get_cell());
        pool.door = Some(Door::new(actor, Arc::clone(pool.node.gate())));
        Ok(())
    }

    /// Swaps the directory. A resting pool keeps no entry: its callers come here and are told.
    fn publish(&self, state: &ProvidersState) {
        let entry = |pool: &Pool| {
            let waiting = Arc::clone(&pool.waiting);
            pool.door.clone().map(|door| PoolEntry { door, waiting })
        };
        let directory =
            state.pools.iter().filter_map(|(name, pool)| Some((Arc::clone(name), entry(pool)?))).collect();
        self.shared.pools.store(Arc::new(directory));
    }

    fn retire(&self, state: &mut ProvidersState) {
        let wanted = self.shared.pool_settings.load();
        let (keep, end): (HashMap<_, _>, HashMap<_, _>) =
            state.pools.drain().partition(|(name, _)| wanted.iter().any(|settings| settings.name == *name));
        state.pools = keep;
        self.publish(state);
        for pool in end.into_values() {
            if let Some(door) = &pool.door {
                // Jobs in its mailbox are still placed; it takes its Providers along when it ends.
                let _ = door.actor().drain();
            }
            for key in &pool.settings.keys {
                let endpoint = &key.endpoint;
                let name = format!("Provider {}/{}", endpoint.provider, endpoint.key_name);
                self.shared.tree.remove(&name);
            }
            self.shared.tree.remove(pool.node.name());
        }
    }
}

/// A job whose pool could not take it. Where that one is gone, or rests, the plan goes on.
fn place(shared: &Shared, state: &ProvidersState, mut job: Box<Job>) {
    let pool = state.pools.get(&job.target().provider);
    let stranded = match pool.map(|pool| &pool.door) {
        Some(Some(door)) => door.forward(job),
        _ => Err(Stranded::Gone(job)),
    };
    job = match stranded {
        Ok(()) => return,
        Err(Stranded::Full(job)) => return job.refuse(Refusal::Overloaded { actor: "ProviderPool" }),
        Err(Stranded::Gone(job)) => job,
    };
    let provider = job.target().provider.to_string();
    if job.plan.len() > 1 && job.move_on() {
        return shared.to_pool(job);
    }
    job.refuse(match pool {
        Some(_) => Refusal::Restarting { actor: "ProviderPool" },
        None => Refusal::NoProvider { provider },
    });
}

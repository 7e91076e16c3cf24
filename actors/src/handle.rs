//! The tree's front door for code that is no actor: start it, ask it for dispatches, watch it, stop it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_limits::{Ask, View};
use ractor::{Actor, ActorCell, SpawnErr};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::client::ClientId;
use crate::client_registry::{Published, RegistryMessage};
use crate::client_table::ClientTable;
use crate::dispatch::{Admission, Dispatch};
use crate::gate::{Door, Undelivered};
use crate::gateway::{self, Gateway, GatewayMessage};
use crate::job::{Answer, Job, JobId, Memo, Plan, Stranded, Tried, Undispatched, Way};
use crate::ledger::{Backing, Recovered};
use crate::provider::KeyView;
use crate::provider_pool::{PoolMessage, PoolSettings};
use crate::providers_supervisor::ProvidersMessage;
use crate::refusal::{Refusal, Refused};
use crate::shared::Shared;

/// How long each part of the tree gets to finish its mailbox when the gateway stops. Turns take
/// microseconds; a part that needs longer is stuck, and what it owns is in the ledger's queue already.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// How the tree ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// [`GatewayHandle::stop`] was called.
    Stopped,
    /// Children of the root failed too often, or the root itself died: the process must end.
    Escalated,
}

/// Resolves when the root has ended.
#[derive(Debug)]
pub struct RootEnded {
    join: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl RootEnded {
    /// Waits for the end.
    pub async fn wait(&mut self) -> Ended {
        let _ = (&mut self.join).await;
        if self.shared.is_stopping() { Ended::Stopped } else { Ended::Escalated }
    }
}

/// Starts a gateway: the whole tree of [`crate`], with these clients and pools, and accounts in memory.
///
/// # Errors
/// When an actor cannot be started at all.
pub async fn start(
    clients: impl Into<Arc<ClientTable>>,
    pools: Vec<PoolSettings>,
) -> Result<(GatewayHandle, RootEnded), SpawnErr> {
    start_with(clients, pools, Backing::Nothing, Recovered::default()).await
}

/// Starts a gateway whose accounts are kept in a ledger that is open, and begin with what was found in it.
///
/// # Errors
/// When an actor cannot be started at all.
pub async fn start_with(
    clients: impl Into<Arc<ClientTable>>,
    pools: Vec<PoolSettings>,
    backing: Backing,
    recovered: Recovered,
) -> Result<(GatewayHandle, RootEnded), SpawnErr> {
    let shared = Arc::new(Shared::new(backing, recovered));
    shared.clients.store(clients.into());
    shared.pool_settings.store(Arc::new(pools));
    let node = shared.tree.node("Gateway", "Gateway".to_owned(), None, gateway::MAILBOX_MAX);
    let actor = Gateway { shared: Arc::clone(&shared), node: Arc::clone(&node) };
    let (actor, join) = Actor::spawn(None, actor, ()).await?;
    let root = Door::new(actor, Arc::clone(node.gate()));
    let ended = RootEnded { join, shared: Arc::clone(&shared) };
    Ok((GatewayHandle { root, shared }, ended))
}

/// A running gateway, as seen from outside the tree. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GatewayHandle {
    root: Door<GatewayMessage>,
    shared: Arc<Shared>,
}

impl GatewayHandle {
    /// May `client` make this call, and with which key? The answer is the right to make it; dropping that
    /// settles it. Dropping this future gives back whatever was taken for the job.
    pub async fn admit(
        &self,
        client: ClientId,
        ask: Ask,
        plan: impl Into<Plan>,
    ) -> Result<Dispatch, Refused> {
        self.admit_with(client, ask, None, plan.into(), Memo::default()).await
    }

    /// As [`admit`](Self::admit), with what the ledger is to note of the call. The first target of the plan that can
    /// be asked gets it; `ask` is the highest bound of all of them. Where nobody knows what the call comes to, `most` is
    /// reserved as far as the client's limits have room for it, and at least `ask`.
    pub async fn admit_with(
        &self,
        client: ClientId,
        ask: Ask,
        most: Option<Ask>,
        plan: Plan,
        memo: Memo,
    ) -> Result<Dispatch, Refused> {
        let (mut job, answer) = Job::new(self.shared.next_job_id(), client, ask, plan.clone(), memo);
        let id = job.id;
        job.most = most;
        match self.root.forward(job) {
            Ok(()) => {}
            Err(Stranded::Full(_)) => return Err(Refusal::Overloaded { actor: "Gateway" }.into()),
            Err(Stranded::Gone(_)) => return Err(Refusal::Stopping.into()),
        }
        self.answer_of(id, plan, answer).await.map_err(|undispatched| undispatched.refused)
    }

    /// Asks for another target of an admission whose call has failed: of its plan from candidate `from` on, but for
    /// the keys that were `tried`. Dropping this future settles the admission as it says itself.
    ///
    /// # Errors
    /// Why there is no other, and the admission, so that it may wait and ask again; without it when it went with an
    /// actor that died.
    pub async fn again(
        &self,
        admission: Admission,
        priority: u32,
        from: usize,
        tried: Vec<Tried>,
    ) -> Result<Dispatch, (Refused, Option<Admission>)> {
        let (plan, memo) = (admission.plan().clone(), Memo::default());
        let (client, ask) = (admission.client().clone(), admission.ask());
        let (mut job, answer) = Job::new(self.shared.next_job_id(), client, ask, plan.clone(), memo);
        let id = job.id;
        job.priority = priority;
        job.way = Way::again(from, tried);
        job.admission = Some(admission);
        self.shared.to_pool(job);
        let answer = self.answer_of(id, plan, answer).await;
        answer.map_err(|Undispatched { refused, admission }| (refused, admission))
    }

    async fn answer_of(&self, id: JobId, plan: Plan, answer: Answer) -> Result<Dispatch, Undispatched> {
        let ticket = Ticket { job: Some(id), plan, shared: &self.shared };
        let answer = answer.await;
        ticket.answered();
        match answer {
            Ok(answer) => answer,
            // The port closed without a word: the actor that held the job has died.
            Err(_) => {
                let refusal = Refusal::Restarting { actor: "the actor that held this request" };
                Err(Undispatched { refused: refusal.into(), admission: None })
            }
        }
    }

    /// Swaps the client table and has limiters take over changed limits.
    pub async fn publish(&self, table: impl Into<Arc<ClientTable>>) -> Result<Published, Refusal> {
        let (reply, published) = oneshot::channel();
        self.tell_registry(RegistryMessage::Publish(table.into(), reply))?;
        published.await.map_err(|_| Refusal::Restarting { actor: "ClientRegistry" })
    }

    /// The state of one client's limits, from its limiter.
    pub async fn inspect(&self, client: ClientId) -> Result<View, Refusal> {
        let (reply, view) = oneshot::channel();
        self.tell_registry(RegistryMessage::Inspect(client, reply))?;
        view.await.map_err(|_| Refusal::Restarting { actor: "RateLimiter" })
    }

    /// Has exactly these pools from now on. Pools that are not named stay until
    /// [`retire_pools`](Self::retire_pools), for jobs that were routed to them before.
    pub async fn apply_pools(&self, pools: Vec<PoolSettings>) -> Result<(), Refusal> {
        let (done, applied) = oneshot::channel();
        self.tell_providers(ProvidersMessage::Apply(pools, done))?;
        applied.await.map_err(|_| Refusal::Restarting { actor: "Providers" })
    }

    /// Ends the pools that the last [`apply_pools`](Self::apply_pools) did not name.
    pub fn retire_pools(&self) -> Result<(), Refusal> {
        self.tell_providers(ProvidersMessage::Retire)
    }

    /// The health of every key. Keys whose actor is just being restarted are missing.
    pub async fn keys(&self) -> Result<Vec<KeyView>, Refusal> {
        let (views, mut answers) = mpsc::unbounded_channel();
        self.tell_providers(ProvidersMessage::Inspect(views))?;
        let mut keys = Vec::new();
        while let Some(view) = answers.recv().await {
            keys.push(view);
        }
        keys.sort_by(|a, b| (&a.provider, &a.key_name).cmp(&(&b.provider, &b.key_name)));
        Ok(keys)
    }

    /// What outlives the actors: the client table, the tree, the open admissions.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stops the tree in order: no new jobs, limiters finish their settlements, the ledger writes them, the
    /// root ends. Admissions that are still out settle into nothing, so end the calls first.
    pub async fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        let cell = |name| self.shared.tree.find(name).and_then(|node| node.cell());
        if let Some(clients) = cell("Clients") {
            clients.drain_children_and_wait(Some(STOP_WAIT)).await;
        }
        for name in ["Providers", "Clients", "ClientRegistry", "Ledger"] {
            if let Some(child) = cell(name) {
                end(&child).await;
            }
        }
        end(&self.root.actor().get_cell()).await;
    }

    fn tell_registry(&self, message: RegistryMessage) -> Result<(), Refusal> {
        self.root.send(GatewayMessage::Registry(message)).map_err(|undelivered| match undelivered {
            Undelivered::Full(_) => Refusal::Overloaded { actor: "Gateway" },
            Undelivered::Gone(_) => Refusal::Stopping,
        })
    }

    fn tell_providers(&self, message: ProvidersMessage) -> Result<(), Refusal> {
        let providers = self.shared.providers_supervisor.load();
        let delivered = providers.as_ref().map(|providers| providers.send(message));
        match delivered {
            Some(Ok(())) => Ok(()),
            Some(Err(Undelivered::Full(_))) => Err(Refusal::Overloaded { actor: "Providers" }),
            Some(Err(Undelivered::Gone(_))) | None => Err(Refusal::Restarting { actor: "Providers" }),
        }
    }
}

/// Ends an actor after what is in its mailbox; kills it when that takes too long.
async fn end(cell: &ActorCell) {
    if cell.drain_and_wait(Some(STOP_WAIT)).await.is_err() {
        cell.kill();
    }
}

/// Held while a job is on its way: dropped early, it takes the job out of the pool's queue, where it would
/// otherwise hold its client's slot until its turn came.
struct Ticket<'a> {
    job: Option<JobId>,
    plan: Plan,
    shared: &'a Shared,
}

impl Ticket<'_> {
    fn answered(mut self) {
        self.job = None;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let Some(job) = self.job else { return };
        let pools = self.shared.pools.load();
        // Nobody else knows which of them has it by now.
        let providers = self.plan.candidates().iter().map(|candidate| &candidate.target.provider);
        for pool in providers.filter_map(|provider| pools.get(provider)) {
            let _ = pool.door.send_always(PoolMessage::Cancel(job));
        }
    }
}

//! Who exists, and where each client's limiter is.
//!
//! Owns     the published client table and its generation, and the address of every running limiter.
//! Called   by the root (`Admit`, `Publish`, `Inspect`), by the Clients supervisor (what became of a limiter),
//!          by a limiter that is idle (`Retire`).
//! Bounded  by its gate; jobs that wait for a limiter by `WAITING_MAX` a client.
//! Fails    restarted by the root. The published table goes on answering, and the Clients supervisor tells
//!          the reborn registry where the limiters are; jobs that were inside get `Refusal::Restarting`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_limits::View;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::{Client, ClientId};
use crate::client_table::ClientTable;
use crate::clients_supervisor::ClientsMessage;
use crate::gate::{Door, Mail};
use crate::job::{Job, Route, Stranded};
use crate::rate_limiter::RateLimiterMessage;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::tree::Node;

/// Messages that may wait here: a turn takes about a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// Jobs of one client that may wait while its limiter starts, which takes some 10 µs, or rests.
const WAITING_MAX: usize = 1_024;

/// What ClientRegistry is told.
#[derive(Debug)]
pub enum RegistryMessage {
    /// Hand this job to its client's limiter.
    Admit(Box<Job>),
    /// A limiter runs.
    LimiterUp(ClientId, Door<RateLimiterMessage>),
    /// A limiter has retired.
    LimiterDown(ClientId),
    /// The Clients supervisor was restarted, and no limiter runs.
    AllLimitersDown,
    /// A limiter failed too often and rests this long.
    SwitchedOff(ClientId, Duration),
    /// An idle limiter asks to end.
    Retire(ClientId, Door<RateLimiterMessage>),
    /// Swap the client table; answered with what the swap changed.
    Publish(Arc<ClientTable>, oneshot::Sender<Published>),
    /// The state of a client's limits, from its limiter; one that rests is started for it.
    Inspect(ClientId, oneshot::Sender<View>),
}

impl Route for RegistryMessage {
    fn carry(job: Box<Job>) -> Self {
        Self::Admit(job)
    }

    fn into_job(self) -> Option<Box<Job>> {
        match self {
            Self::Admit(job) => Some(job),
            _ => None,
        }
    }
}

/// What a swap of the client table changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The new table's generation.
    pub generation: u64,
    /// Clients that did not exist before.
    pub added: Vec<ClientId>,
    /// Clients that differ from before.
    pub changed: Vec<ClientId>,
    /// Clients that are gone.
    pub removed: Vec<ClientId>,
    /// How many are as they were.
    pub unchanged: usize,
}

/// Where a client's limiter is.
#[derive(Debug)]
enum Limiter {
    Up(Door<RateLimiterMessage>),
    /// It starts, restarts or retires; these messages go to the next one.
    Awaited(Vec<RateLimiterMessage>),
    Off(Instant),
}

/// What changes in ClientRegistry.
#[derive(Debug, Default)]
pub struct RegistryState {
    limiters: HashMap<ClientId, Limiter>,
}

/// The registry's actor.
#[derive(Debug)]
pub struct ClientRegistry {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

impl Actor for ClientRegistry {
    type Msg = Mail<RegistryMessage>;
    type State = RegistryState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<RegistryState, ActorProcessingErr> {
        let door = Door::new(myself, Arc::clone(self.node.gate()));
        self.shared.registry.store(Some(Arc::new(door)));
        self.shared.to_clients(ClientsMessage::Announce);
        Ok(RegistryState::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut RegistryState,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            RegistryMessage::Admit(job) => self.admit(state, job),
            RegistryMessage::LimiterUp(client, door) => self.limiter_up(state, client, door),
            RegistryMessage::LimiterDown(client) => self.limiter_down(state, client),
            RegistryMessage::AllLimitersDown => {
                let clients: Vec<ClientId> = state.limiters.keys().cloned().collect();
                for client in clients {
                    self.limiter_down(state, client);
                }
            }
            RegistryMessage::SwitchedOff(client, rest) => {
                let off = Limiter::Off(Instant::now() + rest);
                if let Some(Limiter::Awaited(held)) = state.limiters.insert(client, off) {
                    for job in held.into_iter().filter_map(Route::into_job) {
                        switched_off(job, rest);
                    }
                }
            }
            RegistryMessage::Retire(client, door) => retire(state, client, &door),
            RegistryMessage::Publish(table, reply) => {
                let _ = reply.send(self.publish(state, table));
            }
            RegistryMessage::Inspect(client, reply) => {
                self.deliver(state, &client, RateLimiterMessage::Inspect(reply));
            }
        }
        Ok(())
    }
}

impl ClientRegistry {
    fn admit(&self, state: &mut RegistryState, mut job: Box<Job>) {
        if job.is_abandoned() {
            return;
        }
        let client = job.client.clone();
        // The table may have changed since the credentials were checked.
        match self.shared.clients.load().get(&client) {
            Some(known) if !known.disabled => job.priority = known.priority,
            _ => return job.refuse(Refusal::UnknownClient { client }),
        }
        let stranded = match state.limiters.get(&client) {
            Some(Limiter::Up(door)) => door.forward(job),
            _ => Err(Stranded::Gone(job)),
        };
        match stranded {
            Ok(()) => {}
            Err(Stranded::Full(job)) => job.refuse(Refusal::Overloaded { actor: "RateLimiter" }),
            Err(Stranded::Gone(job)) => self.hold(state, &client, RateLimiterMessage::Admit(job)),
        }
    }

    /// To the limiter, or to the next one when it has none.
    fn deliver(&self, state: &mut RegistryState, client: &ClientId, message: RateLimiterMessage) {
        let undelivered = match state.limiters.get(client) {
            Some(Limiter::Up(door)) => door.send_always(message),
            _ => Err(message),
        };
        if let Err(message) = undelivered {
            self.hold(state, client, message);
        }
    }

    /// Keeps a message until the client's limiter is up, and has it started.
    fn hold(&self, state: &mut RegistryState, client: &ClientId, message: RateLimiterMessage) {
        let refuse = |message: RateLimiterMessage, refusal| {
            if let Some(job) = message.into_job() {
                job.refuse(refusal);
            }
        };
        let held = match state.limiters.get_mut(client) {
            Some(Limiter::Awaited(held)) if held.len() >= WAITING_MAX => {
                return refuse(message, Refusal::Restarting { actor: "RateLimiter" });
            }
            Some(Limiter::Awaited(held)) => return held.push(message),
            Some(Limiter::Off(until)) if *until > Instant::now() => {
                let rest = *until - Instant::now();
                return refuse(message, Refusal::SwitchedOff { client: client.clone(), rest });
            }
            _ => vec![message],
        };
        state.limiters.insert(client.clone(), Limiter::Awaited(held));
        self.start(client);
    }

    fn start(&self, client: &ClientId) {
        let limits = self.shared.clients.load().get(client).map(|known| known.limits);
        self.shared.to_clients(ClientsMessage::Start(client.clone(), limits.unwrap_or_default()));
    }

    fn limiter_up(&self, state: &mut RegistryState, client: ClientId, door: Door<RateLimiterMessage>) {
        // Its limits may have changed while it was starting.
        if let Some(known) = self.shared.clients.load().get(&client) {
            let _ = door.send_always(RateLimiterMessage::Limits(known.limits));
        }
        let up = Limiter::Up(door.clone());
        if let Some(Limiter::Awaited(held)) = state.limiters.insert(client, up) {
            for message in held {
                // A limiter that has died again takes them along; their ports close and say so.
                let _ = door.send_always(message);
            }
        }
    }

    fn limiter_down(&self, state: &mut RegistryState, client: ClientId) {
        match state.limiters.get(&client) {
            Some(Limiter::Awaited(held)) if !held.is_empty() => self.start(&client),
            _ => drop(state.limiters.remove(&client)),
        }
    }

    fn publish(&self, state: &RegistryState, table: Arc<ClientTable>) -> Published {
        let old = self.shared.clients.swap(Arc::clone(&table));
        let mut published = Published {
            generation: table.generation(),
            added: Vec::new(),
            changed: Vec::new(),
            removed: old.ids().filter(|id| table.get(id).is_none()).cloned().collect(),
            unchanged: 0,
        };
        for client in table.clients() {
            match old.get(&client.id) {
                None => {
                    published.added.push(client.id.clone());
                    // One that was removed a while ago may have left its limiter behind.
                    tell_limits(state, client);
                }
                Some(before) if **before == **client => published.unchanged += 1,
                Some(_) => {
                    published.changed.push(client.id.clone());
                    tell_limits(state, client);
                }
            }
        }
        published.added.sort();
        published.changed.sort();
        published.removed.sort();
        published
    }
}

/// Tells a client's limiter, if it runs; one that starts later is told when it is up.
fn tell_limits(state: &RegistryState, client: &Client) {
    if let Some(Limiter::Up(door)) = state.limiters.get(&client.id) {
        let _ = door.send_always(RateLimiterMessage::Limits(client.limits));
    }
}

/// Forgets the limiter's address first, then drains it: what was sent to it is still answered, and the next
/// one starts after its end.
fn retire(state: &mut RegistryState, client: ClientId, door: &Door<RateLimiterMessage>) {
    let is_current = |limiter: &Limiter| matches!(limiter, Limiter::Up(current) if current.actor().get_id() == door.actor().get_id());
    if state.limiters.get(&client).is_some_and(is_current) {
        state.limiters.insert(client, Limiter::Awaited(Vec::new()));
        let _ = door.actor().drain();
    }
}

fn switched_off(job: Box<Job>, rest: Duration) {
    let client = job.client.clone();
    job.refuse(Refusal::SwitchedOff { client, rest });
}

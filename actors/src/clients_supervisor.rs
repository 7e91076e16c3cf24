//! The supervisor of all limiters: starts one per active client, restarts it, switches off one that keeps
//! failing, and sweeps up settlements that were lost with a limiter.
//!
//! Owns     which limiters run.
//! Called   by ClientRegistry (`Start`, `Announce`), by itself on a timer (`Sweep`, `RetireIdle`), by a dropped
//!          admission whose limiter is gone (`Lost`).
//! Bounded  by its gate, and by one limiter per client that exists.
//! Fails    restarted by the root; its limiters end with it, and each starts again on its client's next job.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_limits::{AdmissionId, Limits};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use crate::client::ClientId;
use crate::client_registry::RegistryMessage;
use crate::gate::{Door, Mail};
use crate::rate_limiter::{self, RateLimiter, RateLimiterMessage};
use crate::restart::{History, RestartPolicy, Verdict};
use crate::shared::Shared;
use crate::tree::{Node, NodeState};

/// Messages that may wait here: one per client that starts or fails, and a few of its own.
pub(crate) const MAILBOX_MAX: usize = 65_536;

/// How often settlements that were lost with a limiter are looked for. The loss needs a limiter that dies
/// within microseconds of a call's end, so a second is soon enough.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How often limiters are asked to retire. An idle one costs 7 KB.
const RETIRE_EVERY: Duration = Duration::from_secs(60);

/// How long a limiter's last turn may take: a turn takes microseconds.
const LAST_TURN: Duration = Duration::from_secs(1);

/// How long a client stays switched off after its limiter failed too often.
const REST: Duration = Duration::from_secs(30);

/// What the Clients supervisor is told.
#[derive(Debug)]
pub enum ClientsMessage {
    /// Have a limiter for this client; ClientRegistry is told when it is up.
    Start(ClientId, Limits),
    /// Start this client's limiter again after its pause.
    Restart(ClientId),
    /// Tell ClientRegistry of every limiter that runs: it has just been restarted.
    Announce,
    /// The limiter of this admission was gone when it ended: settle it with the next one.
    Lost(ClientId, AdmissionId),
    /// Deliver outcomes that are in the open-admissions table and have not been settled, and tell those who wait
    /// for a ledger that hangs.
    Sweep,
    /// Ask every limiter to retire if it is idle.
    RetireIdle,
}

#[derive(Debug)]
struct Limiter {
    limits: Limits,
    node: Arc<Node>,
    history: History,
    /// Whether a `Restart` is on its way; until then nothing else starts it.
    resting: bool,
    /// Until when its client is switched off.
    off_until: Option<Instant>,
    door: Option<Door<RateLimiterMessage>>,
}

/// What changes in the Clients supervisor: its limiters.
#[derive(Debug, Default)]
pub struct ClientsState {
    limiters: HashMap<ClientId, Limiter>,
    /// Whose limiter an actor is.
    by_actor: HashMap<ractor::ActorId, ClientId>,
}

/// The actor above all limiters.
#[derive(Debug)]
pub struct ClientsSupervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

impl Actor for ClientsSupervisor {
    type Msg = Mail<ClientsMessage>;
    type State = ClientsState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<ClientsState, ActorProcessingErr> {
        let door = Door::new(myself, Arc::clone(self.node.gate()));
        tick(&door, SWEEP_EVERY, || ClientsMessage::Sweep);
        tick(&door, RETIRE_EVERY, || ClientsMessage::RetireIdle);
        // Limiters of an earlier incarnation were told to end when it did. One in the middle of a turn finishes
        // that turn, so its successor must not load its numbers before.
        let by = Instant::now() + LAST_TURN;
        for limiter in self.shared.tree.cells("RateLimiter") {
            let _ = limiter.wait(Some(by.saturating_duration_since(Instant::now()))).await;
        }
        self.shared.clients_supervisor.store(Some(Arc::new(door)));
        // Limiters of an earlier incarnation ended with it; jobs may wait in the registry for one.
        self.shared.to_registry(RegistryMessage::AllLimitersDown);
        Ok(ClientsState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut ClientsState,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            ClientsMessage::Start(client, limits) => {
                self.ensure(&myself, state, client, Some(limits)).await?;
            }
            ClientsMessage::Restart(client) => {
                if let Some(limiter) = state.limiters.get_mut(&client) {
                    limiter.resting = false;
                    limiter.off_until = None;
                    self.ensure(&myself, state, client, None).await?;
                }
            }
            ClientsMessage::Announce => {
                for (client, limiter) in &state.limiters {
                    self.announce(client, limiter);
                }
            }
            ClientsMessage::Sweep => {
                if self.shared.journal.is_stuck(self.shared.clock.now()) {
                    self.ledger_hangs();
                }
                for (client, id) in self.shared.open.ended(None) {
                    self.settle(&myself, state, client, id).await?;
                }
            }
            ClientsMessage::Lost(client, id) => self.settle(&myself, state, client, id).await?,
            ClientsMessage::RetireIdle => {
                for door in state.limiters.values().filter_map(|limiter| limiter.door.as_ref()) {
                    let _ = door.send(RateLimiterMessage::RetireIfIdle);
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut ClientsState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(ref cell, _, ref reason)
                if reason.as_deref() != Some("killed") =>
            {
                // Retired: it drained because it was idle.
                if let Some(client) = state.by_actor.remove(&cell.get_id())
                    && let Some(limiter) = state.limiters.remove(&client)
                {
                    self.shared.tree.remove(limiter.node.name());
                    self.shared.to_registry(RegistryMessage::LimiterDown(client));
                }
            }
            event => {
                if let Some((cell, reason)) = crate::restart::failure(event)
                    && let Some(client) = state.by_actor.remove(&cell.get_id())
                {
                    self.limiter_failed(&myself, state, client, reason).await?;
                }
            }
        }
        Ok(())
    }
}

impl ClientsSupervisor {
    /// Nothing more is admitted until the write has come to an end, and nobody waits for it.
    fn ledger_hangs(&self) {
        if !self.shared.journal.set_failing(true) {
            let hangs = "a write of the ledger hangs: look at its disk";
            tracing::error!("{hangs}; requests are refused");
            if let Some(ledger) = self.shared.tree.find("Ledger") {
                ledger.set_trouble(Some(hangs.to_owned()));
            }
        }
        self.shared.open.none_is_written();
    }

    /// Starts the client's limiter if none runs, and tells the registry where it is.
    async fn ensure(
        &self,
        myself: &ActorRef<Mail<ClientsMessage>>,
        state: &mut ClientsState,
        client: ClientId,
        limits: Option<Limits>,
    ) -> Result<(), ActorProcessingErr> {
        if self.shared.is_stopping() {
            return Ok(());
        }
        let limiter = state.limiters.entry(client.clone()).or_insert_with(|| Limiter {
            limits: Limits::default(),
            node: self.shared.tree.node(
                "RateLimiter",
                format!("RateLimiter {client}"),
                Some(&self.node),
                rate_limiter::MAILBOX_MAX,
            ),
            history: History::default(),
            resting: false,
            off_until: None,
            door: None,
        });
        if let Some(limits) = limits {
            limiter.limits = limits;
        }
        if limiter.door.is_none() && !limiter.resting {
            let actor = RateLimiter {
                client: client.clone(),
                shared: Arc::clone(&self.shared),
                node: Arc::clone(&limiter.node),
            };
            let limits = limiter.limits;
            let (actor, _) = Actor::spawn_linked(None, actor, limits, myself.get_cell()).await?;
            limiter.node.started(actor.get_cell());
            state.by_actor.insert(actor.get_id(), client.clone());
            limiter.door = Some(Door::new(actor, Arc::clone(limiter.node.gate())));
        }
        self.announce(&client, limiter);
        Ok(())
    }

    /// Has the client's limiter settle an admission; one that starts reads the table, and finds it there.
    async fn settle(
        &self,
        myself: &ActorRef<Mail<ClientsMessage>>,
        state: &mut ClientsState,
        client: ClientId,
        id: AdmissionId,
    ) -> Result<(), ActorProcessingErr> {
        match state.limiters.get(&client).and_then(|limiter| limiter.door.as_ref()) {
            Some(door) => drop(door.send_always(RateLimiterMessage::Settle(id))),
            None => self.ensure(myself, state, client, None).await?,
        }
        Ok(())
    }

    /// Tells the registry where a limiter is, or that it is off; of one that rests it hears when that is up.
    fn announce(&self, client: &ClientId, limiter: &Limiter) {
        let client = client.clone();
        match (&limiter.door, limiter.off_until) {
            (Some(door), _) => self.shared.to_registry(RegistryMessage::LimiterUp(client, door.clone())),
            (None, Some(until)) => {
                let rest = until.saturating_duration_since(Instant::now());
                self.shared.to_registry(RegistryMessage::SwitchedOff(client, rest));
            }
            (None, None) => {}
        }
    }

    async fn limiter_failed(
        &self,
        myself: &ActorRef<Mail<ClientsMessage>>,
        state: &mut ClientsState,
        client: ClientId,
        reason: String,
    ) -> Result<(), ActorProcessingErr> {
        if self.shared.is_stopping() {
            return Ok(());
        }
        let Some(limiter) = state.limiters.get_mut(&client) else { return Ok(()) };
        tracing::warn!(actor = limiter.node.name(), reason, "limiter failed");
        limiter.door = None;
        limiter.node.ended(NodeState::Resting, Some(reason.clone()));
        let later = |pause, client| {
            let door = Door::new(myself.clone(), Arc::clone(self.node.gate()));
            crate::restart::send_later(&door, pause, ClientsMessage::Restart(client));
        };
        match limiter.history.failed(&RestartPolicy::LIMITER, Instant::now()) {
            Verdict::Restart(Duration::ZERO) => self.ensure(myself, state, client, None).await?,
            Verdict::Restart(pause) => {
                limiter.resting = true;
                later(pause, client);
            }
            Verdict::GiveUp => {
                limiter.resting = true;
                let reason = format!("failed too often, rests for {}s: {reason}", REST.as_secs());
                tracing::error!(actor = limiter.node.name(), reason, "client switched off");
                limiter.node.ended(NodeState::Off, Some(reason));
                limiter.off_until = Some(Instant::now() + REST);
                self.announce(&client, limiter);
                later(REST, client);
            }
        }
        Ok(())
    }
}

/// Sends a message to the actor again and again until it is gone.
fn tick(door: &Door<ClientsMessage>, every: Duration, message: fn() -> ClientsMessage) {
    let door = door.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        interval.tick().await;
        loop {
            interval.tick().await;
            // One that waits already does for two.
            if door.send_always(message()).is_err() {
                return;
            }
        }
    });
}

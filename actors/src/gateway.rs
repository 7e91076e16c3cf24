//! The root: starts the four below it, restarts them one for one, and routes each job to the living ones.
//!
//! Owns     its children's addresses and how often they failed.
//! Called   by whoever has a request (`Admit`, through [`GatewayHandle`](crate::GatewayHandle)) and by operators.
//! Bounded  by its gate; jobs that wait while ClientRegistry restarts by `HELD_MAX`.
//! Fails    with the process: over 5 failures of its children in 10 s, or its own end, end the program, and
//!          the service manager takes over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;

use crate::client_registry::{self, ClientRegistry, RegistryMessage};
use crate::clients_supervisor::{self, ClientsSupervisor};
use crate::gate::{Door, Mail};
use crate::job::{Job, Route, Stranded};
use crate::ledger::Ledger;
use crate::providers_supervisor::{self, ProvidersSupervisor};
use crate::refusal::Refusal;
use crate::restart::{History, RestartPolicy, Verdict};
use crate::shared::Shared;
use crate::tree::{Node, NodeState};

/// Messages that may wait at the root: a turn takes under a microsecond.
pub(crate) const MAILBOX_MAX: usize = 16_384;

/// The Ledger is woken at most once at a time, so its mailbox stays short whatever its queue does.
const LEDGER_MAILBOX_MAX: usize = 64;

/// Jobs kept while ClientRegistry restarts, which takes some 20 µs, or rests up to 200 ms.
const HELD_MAX: usize = 4_096;

/// The root's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// [`Ledger`].
    Ledger,
    /// [`ClientRegistry`].
    ClientRegistry,
    /// [`ClientsSupervisor`].
    Clients,
    /// [`ProvidersSupervisor`].
    Providers,
}

impl Child {
    /// In start order: each may use those before it.
    const ALL: [Self; 4] = [Self::Ledger, Self::ClientRegistry, Self::Clients, Self::Providers];

    fn kind(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Ledger => ("Ledger", "Ledger", LEDGER_MAILBOX_MAX),
            Self::ClientRegistry => ("ClientRegistry", "ClientRegistry", client_registry::MAILBOX_MAX),
            Self::Clients => ("ClientsSupervisor", "Clients", clients_supervisor::MAILBOX_MAX),
            Self::Providers => ("ProvidersSupervisor", "Providers", providers_supervisor::MAILBOX_MAX),
        }
    }
}

/// What the root is told.
#[derive(Debug)]
pub enum GatewayMessage {
    /// Find out whether and where this job may run.
    Admit(Box<Job>),
    /// Hand this to ClientRegistry.
    Registry(RegistryMessage),
    /// Start this child again.
    Restart(Child),
}

impl Route for GatewayMessage {
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

/// What changes in the root.
#[derive(Debug)]
pub struct GatewayState {
    nodes: [Arc<Node>; 4],
    cells: [Option<ActorCell>; 4],
    registry: Option<Door<RegistryMessage>>,
    /// For ClientRegistry, while it restarts.
    held: VecDeque<RegistryMessage>,
    history: History,
}

/// The root's actor.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

impl Actor for Gateway {
    type Msg = Mail<GatewayMessage>;
    type State = GatewayState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<GatewayState, ActorProcessingErr> {
        self.node.started(myself.get_cell());
        let nodes = Child::ALL.map(|child| {
            let (kind, name, max) = child.kind();
            self.shared.tree.node(kind, name.to_owned(), Some(&self.node), max)
        });
        let mut state = GatewayState {
            nodes,
            cells: [const { None }; 4],
            registry: None,
            held: VecDeque::new(),
            history: History::default(),
        };
        for child in Child::ALL {
            self.start(&myself, &mut state, child).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut GatewayState,
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            GatewayMessage::Admit(job) if self.shared.is_stopping() => job.refuse(Refusal::Stopping),
            GatewayMessage::Admit(job) => to_registry(state, job),
            GatewayMessage::Registry(message) => {
                let undelivered = match &state.registry {
                    Some(registry) => registry.send_always(message),
                    None => Err(message),
                };
                // Beyond the bound its port closes, which says the same as a refusal.
                if let Err(message) = undelivered
                    && state.held.len() < HELD_MAX
                {
                    state.held.push_back(message);
                }
            }
            GatewayMessage::Restart(child) => self.start(&myself, state, child).await?,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut GatewayState,
    ) -> Result<(), ActorProcessingErr> {
        // A child of the root never ends by itself, so any end is a failure, unless all is being stopped.
        let (cell, reason) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                (cell, reason.unwrap_or_else(|| "ended".to_owned()))
            }
            _ => return Ok(()),
        };
        let gone = Child::ALL.into_iter().find(|child| {
            state.cells[*child as usize].as_ref().is_some_and(|own| own.get_id() == cell.get_id())
        });
        let Some(child) = gone else { return Ok(()) };
        let node = &state.nodes[child as usize];
        state.cells[child as usize] = None;
        if child == Child::ClientRegistry {
            state.registry = None;
        }
        if self.shared.is_stopping() {
            node.ended(NodeState::Stopped, None);
            return Ok(());
        }
        tracing::warn!(actor = node.name(), reason, "child of the root failed");
        node.ended(NodeState::Resting, Some(reason));
        match state.history.failed(&RestartPolicy::ROOT, Instant::now()) {
            Verdict::Restart(Duration::ZERO) => self.start(&myself, state, child).await?,
            Verdict::Restart(pause) => {
                let door = Door::new(myself, Arc::clone(self.node.gate()));
                crate::restart::send_later(&door, pause, GatewayMessage::Restart(child));
            }
            Verdict::GiveUp => {
                tracing::error!(actor = node.name(), "too many failures below the root: giving up");
                myself.stop(Some("escalated".to_owned()));
            }
        }
        Ok(())
    }
}

impl Gateway {
    async fn start(
        &self,
        myself: &ActorRef<Mail<GatewayMessage>>,
        state: &mut GatewayState,
        child: Child,
    ) -> Result<(), ActorProcessingErr> {
        let node = Arc::clone(&state.nodes[child as usize]);
        let (shared, above) = (Arc::clone(&self.shared), myself.get_cell());
        let cell = match child {
            Child::Ledger => {
                let actor = Ledger { shared, node: Arc::clone(&node) };
                Actor::spawn_linked(None, actor, (), above).await?.0.get_cell()
            }
            Child::ClientRegistry => {
                let actor = ClientRegistry { shared, node: Arc::clone(&node) };
                let (actor, _) = Actor::spawn_linked(None, actor, (), above).await?;
                let door = Door::new(actor, Arc::clone(node.gate()));
                for message in state.held.drain(..) {
                    let _ = door.send_always(message);
                }
                let cell = door.actor().get_cell();
                state.registry = Some(door);
                cell
            }
            Child::Clients => {
                let actor = ClientsSupervisor { shared, node: Arc::clone(&node) };
                Actor::spawn_linked(None, actor, (), above).await?.0.get_cell()
            }
            Child::Providers => {
                let actor = ProvidersSupervisor { shared, node: Arc::clone(&node) };
                Actor::spawn_linked(None, actor, (), above).await?.0.get_cell()
            }
        };
        node.started(cell.clone());
        state.cells[child as usize] = Some(cell);
        Ok(())
    }
}

/// To ClientRegistry; while that restarts, jobs wait here.
fn to_registry(state: &mut GatewayState, job: Box<Job>) {
    let stranded = match &state.registry {
        Some(registry) => registry.forward(job),
        None => Err(Stranded::Gone(job)),
    };
    match stranded {
        Ok(()) => {}
        Err(Stranded::Gone(job)) if state.held.len() < HELD_MAX => {
            state.held.push_back(RegistryMessage::Admit(job));
        }
        Err(Stranded::Gone(job)) => job.refuse(Refusal::Restarting { actor: "ClientRegistry" }),
        Err(Stranded::Full(job)) => job.refuse(Refusal::Overloaded { actor: "ClientRegistry" }),
    }
}

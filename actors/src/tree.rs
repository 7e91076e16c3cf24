//! The live supervision tree as anybody may see it: one node per actor, kept by its supervisor.
//!
//! Owns     name, kind, state, restarts and age of every actor, and the gate of its mailbox.
//! Called   by supervisors (they alone change a node) and by readers of `/admin/tree`, who ask no actor
//!          and so see the tree also while one is stuck.
//! Fails    never: it is plain shared memory and outlives all actors but the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use ractor::{ActorCell, ActorStatus};
use tokio::time::Instant;

use crate::gate::{Gate, Mail};

/// What an actor is doing, as its supervisor knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It runs.
    Running,
    /// It failed and rests before its next start.
    Resting,
    /// It failed too often and was switched off.
    Off,
    /// It ended because it was told to, or with its supervisor.
    Stopped,
}

impl NodeState {
    /// The word that `/admin/tree` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Resting => "resting",
            Self::Off => "off",
            Self::Stopped => "stopped",
        }
    }
}

#[derive(Debug)]
struct Life {
    state: NodeState,
    since: Instant,
    reason: Option<String>,
    cell: Option<ActorCell>,
}

impl Life {
    /// An actor ends with its supervisor, and then nobody is left to note it.
    fn is_alive(&self) -> bool {
        self.cell.as_ref().is_some_and(|cell| cell.get_status() < ActorStatus::Stopping)
    }
}

/// One actor's place in the tree; it stays the same while incarnations of the actor come and go.
#[derive(Debug)]
pub struct Node {
    name: String,
    kind: &'static str,
    parent: Option<String>,
    gate: Arc<Gate>,
    restarts: AtomicU32,
    life: ArcSwapOption<Life>,
    trouble: ArcSwapOption<String>,
    #[cfg(feature = "faults")]
    fault: std::sync::atomic::AtomicBool,
}

impl Node {
    /// The actor's name, unique in its tree: `RateLimiter ada`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The gate before its mailbox; all incarnations share it.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// How often it was started again after a failure.
    pub fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The running incarnation, for tests and examples that kill it.
    pub fn cell(&self) -> Option<ActorCell> {
        self.life.load().as_ref().filter(|life| life.is_alive()).and_then(|life| life.cell.clone())
    }

    /// Opens a message: its place in the queue is free from here on.
    pub fn open<M>(&self, mail: Mail<M>) -> M {
        #[cfg(feature = "faults")]
        self.panic_if_asked();
        mail.open()
    }

    /// Makes the actor panic when it takes up its next message.
    #[cfg(feature = "faults")]
    pub fn panic_on_next_message(&self) {
        self.fault.store(true, Ordering::Release);
    }

    #[cfg(feature = "faults")]
    #[expect(clippy::panic, reason = "this is the injected fault itself")]
    fn panic_if_asked(&self) {
        if self.fault.swap(false, Ordering::AcqRel) {
            panic!("injected fault in {}", self.name);
        }
    }

    pub(crate) fn started(&self, cell: ActorCell) {
        if self.life.load().as_ref().is_some_and(|life| life.state == NodeState::Resting) {
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        self.live(NodeState::Running, None, Some(cell));
    }

    pub(crate) fn ended(&self, state: NodeState, reason: Option<String>) {
        self.live(state, reason, None);
    }

    /// What keeps the actor from its work while it runs, or that nothing does any more.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        self.trouble.store(trouble.map(Arc::new));
    }

    fn live(&self, state: NodeState, reason: Option<String>, cell: Option<ActorCell>) {
        self.life.store(Some(Arc::new(Life { state, since: Instant::now(), reason, cell })));
    }
}

/// A node and what is below it, at one moment.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// Its name, unique in the tree.
    pub name: String,
    /// Its actor type.
    pub kind: &'static str,
    /// What it is doing.
    pub state: NodeState,
    /// How often it was started again after a failure.
    pub restarts: u32,
    /// Messages that wait in its mailbox.
    pub mailbox_depth: usize,
    /// Messages that may wait there.
    pub mailbox_max: usize,
    /// How long it has been in this state.
    pub age: Duration,
    /// Why it rests or is off, or what keeps it from its work while it runs.
    pub reason: Option<String>,
    /// Its children, by name.
    pub children: Vec<NodeView>,
}

/// All nodes of one gateway.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: DashMap<String, Arc<Node>>,
}

impl Tree {
    /// The node of that name, made on first use. `mailbox_max` bounds its mailbox.
    pub(crate) fn node(
        &self,
        kind: &'static str,
        name: String,
        parent: Option<&Node>,
        mailbox_max: usize,
    ) -> Arc<Node> {
        Arc::clone(&self.nodes.entry(name.clone()).or_insert_with(|| {
            Arc::new(Node {
                name,
                kind,
                parent: parent.map(|node| node.name.clone()),
                gate: Gate::new(mailbox_max),
                restarts: AtomicU32::new(0),
                life: ArcSwapOption::empty(),
                trouble: ArcSwapOption::empty(),
                #[cfg(feature = "faults")]
                fault: std::sync::atomic::AtomicBool::new(false),
            })
        }))
    }

    /// Takes an actor that is gone for good out of the tree.
    pub(crate) fn remove(&self, name: &str) {
        self.nodes.remove(name);
    }

    /// The last incarnations of all actors of a kind, those that are just ending included.
    pub(crate) fn cells(&self, kind: &str) -> Vec<ActorCell> {
        let of_kind = self.nodes.iter().filter(|node| node.kind == kind);
        of_kind.filter_map(|node| node.life.load().as_ref().and_then(|life| life.cell.clone())).collect()
    }

    /// The node of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.get(name).map(|node| Arc::clone(&node))
    }

    /// The whole tree at this moment: the root nodes with all below them.
    pub fn view(&self) -> Vec<NodeView> {
        let mut nodes: Vec<Arc<Node>> = self.nodes.iter().map(|node| Arc::clone(&node)).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let mut children: HashMap<Option<&str>, Vec<&Node>> = HashMap::new();
        for node in &nodes {
            children.entry(node.parent.as_deref()).or_default().push(node);
        }
        below(None, &children)
    }
}

/// The children of `parent`, each with all below it.
fn below(parent: Option<&str>, children: &HashMap<Option<&str>, Vec<&Node>>) -> Vec<NodeView> {
    let mine = children.get(&parent).map(Vec::as_slice).unwrap_or_default();
    mine.iter().map(|node| view_of(node, children)).collect()
}

fn view_of(node: &Node, children: &HashMap<Option<&str>, Vec<&Node>>) -> NodeView {
    let life = node.life.load();
    let (state, since, reason) = match life.as_ref() {
        Some(life) if life.state == NodeState::Running && !life.is_alive() => {
            (NodeState::Stopped, life.since, None)
        }
        Some(life) => (life.state, life.since, life.reason.clone()),
        None => (NodeState::Resting, Instant::now(), None),
    };
    let trouble = || node.trouble.load().as_ref().map(|trouble| trouble.to_string());
    let reason = reason.or_else(trouble);
    NodeView {
        name: node.name.clone(),
        kind: node.kind,
        state,
        restarts: node.restarts(),
        mailbox_depth: node.gate.depth(),
        mailbox_max: node.gate.max(),
        age: since.elapsed(),
        reason,
        children: below(Some(&node.name), children),
    }
}

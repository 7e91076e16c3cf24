//! The bound in front of a mailbox: ractor's queues have none, so whoever sends passes a gate first.
//!
//! Owns     one counter per mailbox: messages that were sent and not yet taken up.
//! Called   by every sender, through [`Door::send`]; the count goes down when the receiver opens the
//!          [`Mail`], or when a dying actor's queue is dropped.
//! Bounded  by the gate's `max`. What must never be refused (a settlement, a supervision notice) enters
//!          by [`Door::send_always`]: it is counted, and bounded by what was admitted before.
//! Fails    never; a full gate hands the message back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ractor::{ActorRef, ActorStatus};

/// Counts the messages that wait in one mailbox and refuses more than `max`.
#[derive(Debug)]
pub struct Gate {
    depth: AtomicUsize,
    max: usize,
}

impl Gate {
    /// A gate that lets at most `max` messages wait.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { depth: AtomicUsize::new(0), max })
    }

    /// How many messages wait now.
    pub fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    /// How many may wait.
    pub fn max(&self) -> usize {
        self.max
    }

    /// A place in the queue, or `None` when `max` messages wait already.
    pub fn enter(self: &Arc<Self>) -> Option<Pass> {
        let before = self.depth.fetch_add(1, Ordering::Relaxed);
        let pass = Pass { gate: Arc::clone(self) };
        // An early return drops the pass, which takes the count back.
        (before < self.max).then_some(pass)
    }

    /// A place in the queue even when it is full: for settlements and notices, which are bounded elsewhere.
    pub fn enter_always(self: &Arc<Self>) -> Pass {
        self.depth.fetch_add(1, Ordering::Relaxed);
        Pass { gate: Arc::clone(self) }
    }
}

/// One place behind a [`Gate`]; dropping it frees the place.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.depth.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What lies in a gated mailbox: the message and its place in the queue.
#[derive(Debug)]
pub struct Mail<M> {
    content: M,
    _pass: Pass,
}

impl<M> Mail<M> {
    /// Takes the message out and frees its place.
    pub fn open(self) -> M {
        self.content
    }
}

/// Why a message was not delivered; it comes back.
#[derive(Debug)]
pub enum Undelivered<M> {
    /// The gate is full.
    Full(M),
    /// The actor has ended or is ending.
    Gone(M),
}

/// An actor's address together with the gate before its mailbox.
#[derive(Debug)]
pub struct Door<M: Send + 'static> {
    actor: ActorRef<Mail<M>>,
    gate: Arc<Gate>,
}

impl<M: Send + 'static> Clone for Door<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<M: Send + 'static> Door<M> {
    /// The door of `actor`, whose mailbox `gate` bounds.
    pub fn new(actor: ActorRef<Mail<M>>, gate: Arc<Gate>) -> Self {
        Self { actor, gate }
    }

    /// Sends through the gate. `Ok` means queued: an actor that dies before it gets there drops the message.
    pub fn send(&self, message: M) -> Result<(), Undelivered<M>> {
        match self.gate.enter() {
            Some(pass) => self.cast(message, pass),
            None => Err(Undelivered::Full(message)),
        }
    }

    /// Sends past a full gate. Gives the message back only when the actor is gone.
    pub fn send_always(&self, message: M) -> Result<(), M> {
        match self.cast(message, self.gate.enter_always()) {
            Ok(()) => Ok(()),
            Err(Undelivered::Full(message) | Undelivered::Gone(message)) => Err(message),
        }
    }

    /// The actor behind the door.
    pub fn actor(&self) -> &ActorRef<Mail<M>> {
        &self.actor
    }

    /// Whether the actor still takes messages, as far as it knows itself (a kill shows only once it runs).
    pub fn is_open(&self) -> bool {
        self.actor.get_status() < ActorStatus::Draining
    }

    fn cast(&self, content: M, pass: Pass) -> Result<(), Undelivered<M>> {
        match self.actor.send_message(Mail { content, _pass: pass }) {
            Ok(()) => Ok(()),
            Err(ractor::MessagingErr::SendErr(mail)) => Err(Undelivered::Gone(mail.open())),
            // A door is typed by the actor it was made from and is never a remote one: the queue alone can refuse.
            Err(ractor::MessagingErr::ChannelClosed | ractor::MessagingErr::InvalidActorType) => {
                unreachable!("a typed local mailbox refuses only by giving the message back")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gate_refuses_and_opens_again_when_a_pass_is_dropped() {
        let gate = Gate::new(2);
        let first = gate.enter();
        let _second = gate.enter().unwrap();
        assert!(gate.enter().is_none());
        assert_eq!(gate.depth(), 2);
        drop(first);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn a_settlement_passes_a_full_gate_and_is_counted() {
        let gate = Gate::new(0);
        let pass = gate.enter_always();
        assert_eq!(gate.depth(), 1);
        drop(pass);
        assert_eq!(gate.depth(), 0);
    }
}

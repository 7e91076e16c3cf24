//! One client's limits: decides admission, holds reservations, settles what was used.
//!
//! Owns     the client's account (windows, reservations, slots); nothing else changes it.
//! Called   by ClientRegistry (`Admit`, `Limits`, `Inspect`), by a dropped Admission and the sweep
//!          (`Settle`, `FreeSlot`), by the Ledger (`Loaded`).
//! Bounded  by its gate. Until its numbers are loaded it keeps jobs that come, as many as the gate lets in.
//! Fails    restarted by the Clients supervisor. The reborn one loads its numbers from the ledger and the
//!          open-admissions table; jobs that were inside get `Refusal::Restarting`, admissions that are out
//!          stay good.

use std::sync::Arc;

use gateway_limits::{Account, AdmissionId, Limits, Mode, Saved, View};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::client::ClientId;
use crate::client_registry::RegistryMessage;
use crate::dispatch::{Admission, Origin};
use crate::gate::{Door, Mail};
use crate::job::{Job, Route};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::tree::Node;

/// Messages that may wait at one limiter. One turn takes about a microsecond, so a full mailbox is a delay
/// of some milliseconds, and one client cannot hold more memory than this many jobs.
pub(crate) const MAILBOX_MAX: usize = 4_096;

/// What a RateLimiter is told.
#[derive(Debug)]
pub enum RateLimiterMessage {
    /// May this job run now? A yes sends it on to its pool with an admission; a no answers its port.
    Admit(Box<Job>),
    /// This admission's outcome is in the open-admissions table. The second time is ignored.
    Settle(AdmissionId),
    /// This admission's call goes on without its client: its slot is free, what it has reserved stays so.
    FreeSlot(AdmissionId),
    /// What the ledger has of this client; comes once after the start.
    Loaded(Saved),
    /// The client's limits have changed; counters are kept.
    Limits(Limits),
    /// The state of the limits, for the admin page.
    Inspect(oneshot::Sender<View>),
    /// Retire if nothing is open and all windows are empty.
    RetireIfIdle,
}

impl Route for RateLimiterMessage {
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

/// One client's limiter.
#[derive(Debug)]
pub struct RateLimiter {
    pub(crate) client: ClientId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

/// What changes in a RateLimiter.
#[derive(Debug)]
pub enum RateLimiterState {
    /// Started, but the ledger has not answered yet.
    Loading {
        /// The limits to start with.
        limits: Limits,
        /// Messages that came meanwhile, in order.
        held: Vec<RateLimiterMessage>,
    },
    /// At work.
    Ready(Box<Account>, Arc<Origin>),
}

impl Actor for RateLimiter {
    type Msg = Mail<RateLimiterMessage>;
    type State = RateLimiterState;
    type Arguments = Limits;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        limits: Limits,
    ) -> Result<Self::State, ActorProcessingErr> {
        let door = self.door(&myself);
        self.shared.journal.load(self.client.clone(), move |saved| {
            let _ = door.send_always(RateLimiterMessage::Loaded(saved));
        });
        Ok(RateLimiterState::Loading { limits, held: Vec::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let message = self.node.open(mail);
        match state {
            RateLimiterState::Ready(account, origin) => self.act(origin, account, message),
            RateLimiterState::Loading { limits, held } => match message {
                RateLimiterMessage::Loaded(saved) => {
                    let held = std::mem::take(held);
                    let mut account = self.restore(*limits, &saved);
                    let origin =
                        Arc::new(Origin { limiter: self.door(&myself), shared: Arc::clone(&self.shared) });
                    for message in held {
                        self.act(&origin, &mut account, message);
                    }
                    *state = RateLimiterState::Ready(Box::new(account), origin);
                }
                RateLimiterMessage::Limits(new) => *limits = new,
                RateLimiterMessage::Admit(job) if held.len() >= MAILBOX_MAX => {
                    job.refuse(Refusal::Overloaded { actor: "RateLimiter" });
                }
                // What is settled meanwhile is read from the table once the account is there.
                RateLimiterMessage::Settle(_)
                | RateLimiterMessage::FreeSlot(_)
                | RateLimiterMessage::RetireIfIdle => {}
                message @ (RateLimiterMessage::Admit(_) | RateLimiterMessage::Inspect(_)) => {
                    held.push(message);
                }
            },
        }
        Ok(())
    }
}

impl RateLimiter {
    fn door(&self, myself: &ActorRef<Mail<RateLimiterMessage>>) -> Door<RateLimiterMessage> {
        Door::new(myself.clone(), Arc::clone(self.node.gate()))
    }

    /// The account as the ledger has it, with the settlements that were lost with the last limiter.
    fn restore(&self, limits: Limits, saved: &Saved) -> Account {
        let mut account = Account::restore(limits, saved, self.shared.clock.now());
        for (_, id) in self.shared.open.ended(Some(&self.client)) {
            self.settle(&mut account, id);
        }
        account
    }

    fn act(&self, origin: &Arc<Origin>, account: &mut Account, message: RateLimiterMessage) {
        match message {
            RateLimiterMessage::Admit(job) => self.admit(origin, account, job),
            RateLimiterMessage::Settle(id) => self.settle(account, id),
            RateLimiterMessage::FreeSlot(id) => account.free_slot(id),
            RateLimiterMessage::Limits(limits) => account.set_limits(limits),
            RateLimiterMessage::Inspect(reply) => {
                let _ = reply.send(account.view(self.shared.clock.now()));
            }
            RateLimiterMessage::RetireIfIdle => {
                if account.is_idle(self.shared.clock.now()) {
                    let now = self.shared.clock.now();
                    self.shared.journal.forget(self.client.clone(), now);
                    let retire = RegistryMessage::Retire(self.client.clone(), origin.limiter.clone());
                    self.shared.to_registry(retire);
                }
            }
            // Only the first answer of the ledger counts, and it was taken in `handle`.
            RateLimiterMessage::Loaded(_) => {}
        }
    }

    fn admit(&self, origin: &Arc<Origin>, account: &mut Account, mut job: Box<Job>) {
        if job.is_abandoned() {
            return;
        }
        if let Some(refusal) = self.shared.journal.refusal() {
            return job.refuse(refusal);
        }
        let now = self.shared.clock.now();
        let id = self.shared.open.next_id();
        if let Some(most) = job.most {
            job.ask = account.fitted(now, job.ask, most);
        }
        let admitted = match account.limits().mode {
            Mode::Enforce => account.admit(now, id, job.ask).map(|()| None),
            Mode::Shadow => Ok(account.admit_in_shadow(now, id, job.ask)),
        };
        match admitted {
            Ok(would_refuse) => job.would_refuse = would_refuse,
            Err(denied) => {
                job.limits = Some(account.view(now));
                return job.refuse(Refusal::LimitReached(denied));
            }
        }
        let (admission, open) = Admission::open(origin, id, &mut job);
        job.admission = Some(admission);
        self.shared.journal.reserved(open, now);
        job.limits = Some(account.view(now));
        self.shared.to_pool(job);
    }

    /// Books the outcome, then forgets the admission: in this order a death in between settles again, which
    /// changes nothing, and never forgets.
    fn settle(&self, account: &mut Account, id: AdmissionId) {
        let Some(open) = self.shared.open.get(id) else { return };
        let Some(outcome) = open.outcome() else { return };
        let now = self.shared.clock.now();
        account.settle(now, id, outcome);
        self.shared.journal.settled(open, now);
        self.shared.open.remove(id);
    }
}

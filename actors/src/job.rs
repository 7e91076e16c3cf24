//! One request on its way through the tree, with the port of whoever waits for the answer.
//!
//! A job is passed *forward*: each actor that takes it either sends it on or answers its port. Dropping a
//! job closes the port, and the waiting side reads that as [`Refusal::Restarting`]: so a job inside an
//! actor that dies is never lost in silence. A job whose caller has gone is dropped before it is acted on.

use std::sync::Arc;

use gateway_limits::{Ask, Denied, Price, View};
use tokio::sync::oneshot;

use crate::client::ClientId;
use crate::dispatch::{Admission, Dispatch, Lease};
use crate::gate::{Door, Undelivered};
use crate::refusal::{Refusal, Refused};

/// Where a call is to go: a provider's pool, and the model to ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The model's name at that provider.
    pub model: Arc<str>,
}

/// What the ledger notes of a call beside its numbers. Never anything of the request's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memo {
    /// The request's id, as its caller was told.
    pub request_id: Box<str>,
    /// The endpoint's name, for example `chat/completions`.
    pub endpoint: &'static str,
    /// What the target charges; `None` when nobody knows, and then nothing is booked as its cost.
    pub price: Option<Price>,
    /// The name of the one key that will do, for what an upstream keeps there; `None` takes any.
    pub key: Option<Arc<str>>,
}

/// Identifies a job while it waits, so that it can be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(pub(crate) u64);

/// One request for a dispatch.
#[derive(Debug)]
pub struct Job {
    pub(crate) id: JobId,
    pub(crate) client: ClientId,
    pub(crate) ask: Ask,
    pub(crate) target: Target,
    /// Taken by the admission.
    pub(crate) memo: Memo,
    /// The one key that will do, for what an upstream keeps there.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) admission: Option<Admission>,
    pub(crate) lease: Option<Lease>,
    pub(crate) limits: Option<View>,
    /// What a limit in shadow would have said.
    pub(crate) would_refuse: Option<Denied>,
    reply: oneshot::Sender<Result<Dispatch, Refused>>,
}

impl Job {
    pub(crate) fn new(
        id: JobId,
        client: ClientId,
        ask: Ask,
        target: Target,
        memo: Memo,
    ) -> (Box<Self>, oneshot::Receiver<Result<Dispatch, Refused>>) {
        let (reply, answer) = oneshot::channel();
        let job = Self {
            id,
            client,
            ask,
            target,
            key: memo.key.clone(),
            memo,
            admission: None,
            lease: None,
            limits: None,
            would_refuse: None,
            reply,
        };
        (Box::new(job), answer)
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers with a refusal. What was taken for the job is given back first, so that a caller who tries
    /// again at once finds its slot free.
    pub(crate) fn refuse(mut self: Box<Self>, refusal: Refusal) {
        drop(self.lease.take());
        drop(self.admission.take());
        let _ = self.reply.send(Err(Refused { refusal, limits: self.limits }));
    }

    /// Answers with the right to call. When the caller has left meanwhile, the dispatch comes back inside
    /// the failed send and is dropped, which settles it.
    pub(crate) fn grant(mut self: Box<Self>) {
        if let (Some(admission), Some(lease)) = (self.admission.take(), self.lease.take()) {
            let _ = self.reply.send(Ok(Dispatch {
                admission,
                lease,
                limits: self.limits,
                would_refuse: self.would_refuse,
            }));
        }
    }
}

/// A message type that can carry a job to the next actor.
pub trait Route: Send + Sized + 'static {
    /// The message that hands the job on.
    fn carry(job: Box<Job>) -> Self;
    /// The job again, if this message is one that carries it.
    fn into_job(self) -> Option<Box<Job>>;
}

/// A job that could not be handed on; it comes back.
#[derive(Debug)]
pub enum Stranded {
    /// The next mailbox is full.
    Full(Box<Job>),
    /// The next actor is gone.
    Gone(Box<Job>),
}

impl<M: Route> Door<M> {
    /// Hands a job on through the gate.
    pub fn forward(&self, job: Box<Job>) -> Result<(), Stranded> {
        let (message, stranded): (M, fn(Box<Job>) -> Stranded) = match self.send(M::carry(job)) {
            Ok(()) => return Ok(()),
            Err(Undelivered::Full(message)) => (message, Stranded::Full),
            Err(Undelivered::Gone(message)) => (message, Stranded::Gone),
        };
        message.into_job().map_or(Ok(()), |job| Err(stranded(job)))
    }
}

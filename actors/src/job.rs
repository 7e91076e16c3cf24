//! One request on its way through the tree, with the port of whoever waits for the answer.
//!
//! A job is passed *forward*: each actor that takes it either sends it on or answers its port. Dropping a
//! job closes the port, and the waiting side reads that as [`Refusal::Restarting`]: so a job inside an
//! actor that dies is never lost in silence. A job whose caller has gone is dropped before it is acted on.

use std::sync::Arc;
use std::time::Duration;

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

/// One target of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Whom to call, and for which model.
    pub target: Target,
    /// What it charges; `None` when nobody knows, and then nothing is booked as its cost.
    pub price: Option<Price>,
    /// The name of the one key that will do, for what an upstream keeps there; `None` takes any.
    pub key: Option<Arc<str>>,
}

/// Where a call may go: at least one target, in the order of preference. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Arc<[Candidate]>);

impl Plan {
    /// A plan of these candidates; `None` without one.
    pub fn new(candidates: Vec<Candidate>) -> Option<Self> {
        (!candidates.is_empty()).then(|| Self(candidates.into()))
    }

    /// A plan of one.
    pub fn of(candidate: Candidate) -> Self {
        Self(Arc::new([candidate]))
    }

    /// How many candidates there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn candidates(&self) -> &[Candidate] {
        &self.0
    }

    /// One of them; the last for an index beyond it.
    pub fn at(&self, index: usize) -> &Candidate {
        &self.0[index.min(self.0.len() - 1)]
    }
}

impl From<Target> for Plan {
    fn from(target: Target) -> Self {
        Self::of(Candidate { target, price: None, key: None })
    }
}

/// What the ledger notes of a call beside its numbers. Never anything of the request's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memo {
    /// The request's id, as its caller was told.
    pub request_id: Box<str>,
    /// The endpoint's name, for example `chat/completions`.
    pub endpoint: &'static str,
}

/// Identifies a job while it waits, so that it can be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(pub(crate) u64);

/// A key that was asked already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which candidate of the plan.
    pub at: usize,
    /// The key's name.
    pub key: Arc<str>,
    /// Whether it may be asked once more, should there be no other.
    pub again: bool,
}

/// A candidate that a job went past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// Which of the plan.
    pub at: usize,
    /// Why, in fixed words.
    pub why: &'static str,
}

/// Where the way of a job has led so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// The candidate whose pool has the job, or is to have it.
    pub(crate) at: usize,
    /// The candidate where this way began.
    pub(crate) began_at: usize,
    /// Whether the plan was gone through once, and nobody healthy was found: now keys that rest may try.
    pub(crate) is_last_chance: bool,
    /// What was asked before, by the same request.
    pub(crate) tried: Vec<Tried>,
    /// The provider whose queue had no room, and how many were waiting there.
    pub(crate) full: Option<(Arc<str>, usize)>,
    /// Candidates that could not be had, as they came to be known.
    pub(crate) skipped: Vec<Skipped>,
    /// The soonest moment at which somebody asked for may be asked again, on the gateway's clock, and whether its
    /// upstream's own limit is the reason.
    pub(crate) soonest: Option<(Duration, bool)>,
}

impl Way {
    /// The way of a request that has asked others already.
    pub(crate) fn again(from: usize, tried: Vec<Tried>) -> Self {
        Self { at: from, began_at: from, tried, ..Self::default() }
    }
}

/// One request for a dispatch.
#[derive(Debug)]
pub struct Job {
    pub(crate) id: JobId,
    pub(crate) client: ClientId,
    pub(crate) ask: Ask,
    /// What it may come to beyond that, where nobody knows: reserved as far as there is room.
    pub(crate) most: Option<Ask>,
    pub(crate) plan: Plan,
    /// Taken by the admission.
    pub(crate) memo: Memo,
    pub(crate) way: Way,
    /// The client's weight in a pool's queue.
    pub(crate) priority: u32,
    pub(crate) admission: Option<Admission>,
    pub(crate) lease: Option<Lease>,
    pub(crate) limits: Option<View>,
    /// What a limit in shadow would have said.
    pub(crate) would_refuse: Option<Denied>,
    reply: oneshot::Sender<Result<Dispatch, Undispatched>>,
}

/// A refusal. A request that has asked somebody already gets its admission back with it.
#[derive(Debug)]
pub(crate) struct Undispatched {
    pub(crate) refused: Refused,
    pub(crate) admission: Option<Admission>,
}

/// Where a job's answer comes.
pub(crate) type Answer = oneshot::Receiver<Result<Dispatch, Undispatched>>;

impl Job {
    pub(crate) fn new(id: JobId, client: ClientId, ask: Ask, plan: Plan, memo: Memo) -> (Box<Self>, Answer) {
        let (reply, answer) = oneshot::channel();
        let job = Self {
            id,
            client,
            ask,
            most: None,
            plan,
            memo,
            way: Way::default(),
            priority: 1,
            admission: None,
            lease: None,
            limits: None,
            would_refuse: None,
            reply,
        };
        (Box::new(job), answer)
    }

    /// The candidate whose turn it is.
    pub(crate) fn candidate(&self) -> &Candidate {
        self.plan.at(self.way.at)
    }

    /// The target whose turn it is.
    pub(crate) fn target(&self) -> &Target {
        &self.candidate().target
    }

    /// What is said of this key of the candidate whose turn it is.
    pub(crate) fn tried(&self, key: &str) -> Option<&Tried> {
        self.way.tried.iter().find(|tried| tried.at == self.way.at && *tried.key == *key)
    }

    /// Notes when somebody who cannot be asked now can be.
    pub(crate) fn note_soonest(&mut self, at: Duration, is_limited: bool) {
        match self.way.soonest {
            Some((before, _)) if before <= at => {}
            _ => self.way.soonest = Some((at, is_limited)),
        }
    }

    /// Notes why the candidate whose turn it is cannot be had. Where keys that rest may try, it is known already.
    pub(crate) fn skip(&mut self, why: &'static str) {
        if !self.way.is_last_chance {
            self.way.skipped.push(Skipped { at: self.way.at, why });
        }
    }

    /// Turns to the next candidate. After the last one it begins once more, where keys that rest may try. `false`
    /// when that is over too.
    pub(crate) fn move_on(&mut self) -> bool {
        let way = &mut self.way;
        way.at += 1;
        if way.at < self.plan.len() {
            return true;
        }
        way.at = way.began_at;
        !std::mem::replace(&mut way.is_last_chance, true)
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Answers with a refusal. What was taken for the job is given back first, so that a caller who tries
    /// again at once finds its slot free. An admission that was used before goes back to whom it belongs.
    pub(crate) fn refuse(mut self: Box<Self>, refusal: Refusal) {
        drop(self.lease.take());
        let admission = self.admission.take().filter(|_| !self.way.tried.is_empty());
        let refused = Refused { refusal, limits: self.limits, skipped: self.way.skipped };
        let _ = self.reply.send(Err(Undispatched { refused, admission }));
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
                skipped: self.way.skipped,
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

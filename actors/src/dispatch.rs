//! The right to call an upstream: the client's [`Admission`] and a provider's [`Lease`].
//!
//! Owns     nothing itself: an admission stands for a reservation that the client's RateLimiter holds, a
//!          lease for one call that a Provider counts as in flight.
//! Called   by whoever makes the upstream call. Both values settle themselves when dropped, so a handler
//!          that returns early, panics or is dropped with its connection leaks nothing.
//! Bounded  by admission: as many as are in flight.
//! Fails    never. Drop writes the outcome into the open-admissions table *before* it wakes the limiter,
//!          because a message to an actor that is just dying is lost without a sign; the reborn limiter
//!          reads the table.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use gateway_limits::{AdmissionId, Ask, Denied, Outcome, View};
use tokio::sync::Notify;

use crate::booking::{Booking, Failure};
use crate::breaker::Blame;
use crate::client::ClientId;
use crate::clients_supervisor::ClientsMessage;
use crate::gate::Door;
use crate::job::{Candidate, Job, Memo, Plan, Skipped, Target};
use crate::ledger::FailedAttempt;
use crate::provider::{Endpoint, ProviderMessage};
use crate::rate_limiter::RateLimiterMessage;
use crate::shared::Shared;
use crate::standing::{Quota, QuotaReport, Rest, Resting, RestsSeen, Standing};

/// What a granted job gets.
#[derive(Debug)]
pub struct Dispatch {
    /// What the client may spend.
    pub admission: Admission,
    /// Whom to call.
    pub lease: Lease,
    /// The client's limits just after this admission.
    pub limits: Option<View>,
    /// Which limit would have refused, had its client's limits not been in shadow.
    pub would_refuse: Option<Denied>,
    /// Targets that come before this one in the plan and could not be had.
    pub skipped: Vec<Skipped>,
}

/// One admission that has not been settled with its limiter yet.
#[derive(Debug)]
pub(crate) struct OpenAdmission {
    pub(crate) id: AdmissionId,
    pub(crate) client: ClientId,
    pub(crate) ask: Ask,
    pub(crate) plan: Plan,
    pub(crate) memo: Memo,
    /// Which candidate of the plan the call goes to.
    at: AtomicUsize,
    /// With which key there.
    endpoint: Mutex<Option<Arc<Endpoint>>>,
    booking: OnceLock<Booking>,
    reservation: WrittenDown,
}

impl OpenAdmission {
    /// How the call ended, once it has.
    pub(crate) fn booking(&self) -> Option<&Booking> {
        self.booking.get()
    }

    /// What its client's account is charged, once it has ended.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.booking().map(|booking| booking.outcome(self.candidate().price.as_ref()))
    }

    /// Where the call goes; once it has ended, where it went last.
    pub(crate) fn candidate(&self) -> &Candidate {
        self.plan.at(self.at.load(Ordering::Relaxed))
    }

    /// The name of the key that the call went to last; `None` before the first.
    pub(crate) fn key(&self) -> Option<Arc<str>> {
        let endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        endpoint.as_ref().map(|endpoint| Arc::clone(&endpoint.key_name))
    }

    /// The ledger has written the reservation, or cannot.
    pub(crate) fn is_written(&self, written: Result<(), NotWritten>) {
        self.reservation.tell(written);
    }
}

/// The reservation is not in the ledger, so nothing of an answer may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWritten;

/// Whether a reservation is in the ledger: told once by its writer, awaited by the one who has the admission.
#[derive(Debug, Default)]
struct WrittenDown {
    state: AtomicU8,
    told: Notify,
}

const UNKNOWN: u8 = 0;
const WRITTEN: u8 = 1;
const NOT_WRITTEN: u8 = 2;

impl WrittenDown {
    fn tell(&self, written: Result<(), NotWritten>) {
        let state = if written.is_ok() { WRITTEN } else { NOT_WRITTEN };
        // The first word holds: who was told "no" has given up.
        let _ = self.state.compare_exchange(UNKNOWN, state, Ordering::Release, Ordering::Relaxed);
        self.told.notify_one();
    }

    fn known(&self) -> Option<Result<(), NotWritten>> {
        match self.state.load(Ordering::Acquire) {
            WRITTEN => Some(Ok(())),
            NOT_WRITTEN => Some(Err(NotWritten)),
            _ => None,
        }
    }
}

/// All admissions that are not settled, by id. It outlives every limiter.
#[derive(Debug, Default)]
pub struct OpenAdmissions {
    table: DashMap<AdmissionId, Arc<OpenAdmission>>,
    next_id: AtomicU64,
}

impl OpenAdmissions {
    /// How many admissions are open.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Ids go on from an earlier process's: none is used twice in the life of a ledger.
    pub(crate) fn starting_at(next_id: u64) -> Self {
        Self { table: DashMap::new(), next_id: AtomicU64::new(next_id.saturating_sub(1)) }
    }

    pub(crate) fn next_id(&self) -> AdmissionId {
        AdmissionId(self.next_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn get(&self, id: AdmissionId) -> Option<Arc<OpenAdmission>> {
        self.table.get(&id).map(|entry| Arc::clone(&entry))
    }

    pub(crate) fn remove(&self, id: AdmissionId) {
        self.table.remove(&id);
    }

    /// Tells everybody who waits for the ledger that it does not write.
    pub(crate) fn none_is_written(&self) {
        for open in &self.table {
            open.is_written(Err(NotWritten));
        }
    }

    /// Ids of admissions whose outcome is written; of one client, or of all.
    pub(crate) fn ended(&self, client: Option<&ClientId>) -> Vec<(ClientId, AdmissionId)> {
        let of_client = |open: &OpenAdmission| client.is_none_or(|client| open.client == *client);
        self.table
            .iter()
            .filter(|entry| entry.booking().is_some() && of_client(entry))
            .map(|entry| (entry.client.clone(), entry.id))
            .collect()
    }
}

/// What a client may spend on one call. Settles when dropped: to what [`settle`](Self::settle) said, else
/// to what [`if_dropped`](Self::if_dropped) said last, else as never sent.
#[derive(Debug)]
pub struct Admission {
    open: Arc<OpenAdmission>,
    if_dropped: Booking,
    limiter: Arc<Origin>,
}

/// The limiter that admits, as each of its admissions holds it: one count to change instead of three.
#[derive(Debug)]
pub struct Origin {
    pub(crate) limiter: Door<RateLimiterMessage>,
    pub(crate) shared: Arc<Shared>,
}

impl Admission {
    pub(crate) fn open(limiter: &Arc<Origin>, id: AdmissionId, job: &mut Job) -> (Self, Arc<OpenAdmission>) {
        let open = Arc::new(OpenAdmission {
            id,
            client: job.client.clone(),
            ask: job.ask,
            plan: job.plan.clone(),
            memo: std::mem::take(&mut job.memo),
            at: AtomicUsize::new(0),
            endpoint: Mutex::new(None),
            booking: OnceLock::new(),
            reservation: WrittenDown::default(),
        });
        limiter.shared.open.table.insert(id, Arc::clone(&open));
        let limiter = Arc::clone(limiter);
        (Self { open: Arc::clone(&open), if_dropped: Booking::NEVER_SENT, limiter }, open)
    }

    /// The admission's id, unique in the life of the ledger.
    pub fn id(&self) -> AdmissionId {
        self.open.id
    }

    /// Whose it is.
    pub fn client(&self) -> &ClientId {
        &self.open.client
    }

    /// The bound that was reserved: the highest of all candidates of the plan.
    pub fn ask(&self) -> Ask {
        self.open.ask
    }

    /// Where its call may go.
    pub fn plan(&self) -> &Plan {
        &self.open.plan
    }

    /// From now on the call goes to this candidate of the plan, with this key there: what is settled is booked for
    /// it, at its price.
    pub(crate) fn goes_to(&self, at: usize, endpoint: &Arc<Endpoint>) {
        *self.open.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(endpoint));
        // Published to whoever settles by the booking, which is written behind it.
        self.open.at.store(at, Ordering::Relaxed);
    }

    /// Notes in the ledger an attempt that its upstream failed, and what that may be billed all the same: it is the
    /// operator's to pay, and not the client's.
    pub fn attempt_failed(&self, lease: &Lease, attempt: u32, failure: Failure) {
        let Failure { fault, status, took, usage, grade } = failure;
        let shared = &self.limiter.shared;
        let Candidate { target, price, .. } = self.open.plan.at(lease.at);
        shared.journal.attempt_failed(Box::new(FailedAttempt {
            call: self.open.id,
            attempt,
            client: self.open.client.clone(),
            target: target.clone(),
            key: Arc::clone(&lease.key.endpoint.key_name),
            at: shared.clock.now(),
            took,
            fault,
            status,
            usage,
            grade,
            cost: price.map(|price| price.cost(&usage)),
        }));
    }

    /// Waits until the reservation is in the ledger, so that a crash cannot forget it. Call the upstream
    /// meanwhile, and release nothing of its answer before. A Ledger that is being restarted is waited for; one
    /// whose file is in trouble, or stuck, says so within some seconds.
    ///
    /// # Errors
    /// [`NotWritten`] when the ledger cannot write; its node in the tree says why.
    pub async fn written(&self) -> Result<(), NotWritten> {
        let reservation = &self.open.reservation;
        loop {
            if let Some(known) = reservation.known() {
                return known;
            }
            reservation.told.notified().await;
        }
    }

    /// What to settle to if this value is dropped without [`settle`](Self::settle): a hang-up, a panic,
    /// a clock that ran out above us.
    pub fn if_dropped(&mut self, booking: Booking) {
        self.if_dropped = booking;
    }

    /// The call goes on without its client: its slot is free for another call, and what was reserved stays so until it
    /// is settled.
    pub fn free_slot(&self) {
        // A limiter that has just died has forgotten the slot as well as the others'; only the count is higher then.
        let _ = self.limiter.limiter.send_always(RateLimiterMessage::FreeSlot(self.open.id));
    }

    /// Settles. Returns once the settlement is in the limiter's mailbox, so what the caller does next
    /// (release the answer's last byte) happens after it.
    pub fn settle(mut self, booking: Booking) {
        self.if_dropped = booking;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let _ = self.open.booking.set(self.if_dropped);
        let settle = RateLimiterMessage::Settle(self.open.id);
        if self.limiter.limiter.send_always(settle).is_err() {
            // The limiter that admitted is gone. Its successor reads the table when it starts; one that
            // has started already is told by the Clients supervisor.
            let lost = ClientsMessage::Lost(self.open.client.clone(), self.open.id);
            self.limiter.shared.to_clients(lost);
        }
    }
}

/// What leases count themselves, outside their Provider: a reborn one counts right, and a call that went well
/// costs it no message.
#[derive(Debug, Default)]
pub struct Gauge {
    in_flight: AtomicUsize,
    answered: AtomicU64,
    abandoned: AtomicU64,
    /// Of the whole key, set by its Provider when the upstream refuses it.
    pub(crate) rest: Rest,
}

impl Gauge {
    /// How many calls are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Calls that were answered, whatever the status said about the caller's request.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Calls whose caller left first, or that were never made.
    pub fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }
}

/// How a call has gone, as far as its key's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallReport {
    /// Says nothing about the upstream.
    Abandoned,
    Answered,
    Failed,
}

/// The right to make one call with one key of a provider; in flight until dropped. It outlives its actor.
#[derive(Debug)]
pub struct Lease {
    plan: Plan,
    at: usize,
    key: Arc<Key>,
    standing: Arc<Standing>,
    trial: Option<Trial>,
    rests: RestsSeen,
    report: CallReport,
}

/// A call that was let through although its key, or the model there, rested. One at a time: given back when the
/// call has succeeded or failed, or ends without either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) of_key: bool,
    pub(crate) of_model: bool,
}

/// A key with its Provider, as each of its leases holds it: one count to change instead of five.
#[derive(Debug)]
pub struct Key {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) provider: Door<ProviderMessage>,
    pub(crate) shared: Arc<Shared>,
}

impl Lease {
    pub(crate) fn new(
        plan: &Plan,
        at: usize,
        key: &Arc<Key>,
        standing: &Arc<Standing>,
        trial: Option<Trial>,
    ) -> Self {
        key.gauge.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            plan: plan.clone(),
            at,
            key: Arc::clone(key),
            standing: Arc::clone(standing),
            trial,
            rests: RestsSeen { of_key: key.gauge.rest.count(), of_model: standing.rest.count() },
            report: CallReport::Abandoned,
        }
    }

    /// Where the call goes.
    pub fn target(&self) -> &Target {
        &self.plan.at(self.at).target
    }

    /// Which candidate of the plan that is.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The key and address to call.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.key.endpoint
    }

    /// Whether the call only tries whether a key that rested works again. Should it fail, that was not the caller's
    /// doing: it may ask elsewhere once more than others.
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// The answer's head came after `first_byte`.
    pub fn answered(&mut self, first_byte: Duration) {
        if self.report != CallReport::Answered {
            self.report = CallReport::Answered;
            self.key.gauge.answered.fetch_add(1, Ordering::Relaxed);
            self.standing.answered.fetch_add(1, Ordering::Relaxed);
            self.standing.latency.observe(self.now(), first_byte);
        }
    }

    /// The upstream does what it is there for: a first piece of content, a whole answer, or a word on what is wrong
    /// with the request. The Provider is told only when it waits for that.
    pub fn succeeded(&mut self) {
        let was_failing = self.standing.is_failing.load(Ordering::Relaxed);
        if was_failing || self.key.gauge.rest.at(Duration::ZERO) != Resting::No {
            let model = Arc::clone(&self.target().model);
            let (standing, rests) = (Arc::clone(&self.standing), self.rests);
            let _ = self.key.provider.send_always(ProviderMessage::Succeeded { model, standing, rests });
        }
        self.give_trial_back();
    }

    /// What the upstream says of our own quota there.
    pub fn quota(&self, requests: Option<QuotaReport>, tokens: Option<QuotaReport>) {
        if let Some(quota) = Quota::told(self.now(), requests, tokens) {
            self.standing.quota.store(Some(Arc::new(quota)));
        }
    }

    /// The call failed through the upstream's fault, or it does not take our key, or no more calls. `what` is a fixed
    /// word for the operator (`connect`, `status`), never the upstream's own text.
    pub fn failed(&mut self, what: &'static str, blame: Blame) {
        self.report = CallReport::Failed;
        let failed = ProviderMessage::Failed {
            model: Arc::clone(&self.target().model),
            standing: Arc::clone(&self.standing),
            what,
            blame,
            is_trial: self.trial.is_some(),
            rests: self.rests,
        };
        let _ = self.key.provider.send_always(failed);
        // The trial goes back with the lease: until then the Provider has seen the failure, or is about to.
    }

    fn give_trial_back(&mut self) {
        let Some(Trial { of_key, of_model }) = self.trial.take() else { return };
        if of_key {
            self.key.gauge.rest.give_trial_back();
        }
        if of_model {
            self.standing.rest.give_trial_back();
        }
    }

    fn now(&self) -> Duration {
        self.key.shared.clock.now().mono
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Ordered against the pool's look at the room: either it sees this place, or we see its waiting job.
        self.key.gauge.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.give_trial_back();
        if self.report == CallReport::Abandoned {
            self.key.gauge.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        self.key.shared.wake_pool(&self.plan.at(self.at).target.provider);
    }
}

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

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use gateway_limits::{AdmissionId, Ask, Outcome, View};

use crate::client::ClientId;
use crate::clients_supervisor::ClientsMessage;
use crate::gate::Door;
use crate::job::Target;
use crate::provider::{CallReport, Endpoint, ProviderMessage};
use crate::rate_limiter::RateLimiterMessage;
use crate::shared::Shared;

/// What a granted job gets.
#[derive(Debug)]
pub struct Dispatch {
    /// What the client may spend.
    pub admission: Admission,
    /// Whom to call.
    pub lease: Lease,
    /// The client's limits just after this admission.
    pub limits: Option<View>,
}

/// One admission that has not been settled with its limiter yet.
#[derive(Debug)]
pub(crate) struct OpenAdmission {
    pub(crate) id: AdmissionId,
    pub(crate) client: ClientId,
    outcome: OnceLock<Outcome>,
}

impl OpenAdmission {
    /// How the call ended, once it has.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome.get().copied()
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

    pub(crate) fn next_id(&self) -> AdmissionId {
        AdmissionId(self.next_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn get(&self, id: AdmissionId) -> Option<Arc<OpenAdmission>> {
        self.table.get(&id).map(|entry| Arc::clone(&entry))
    }

    pub(crate) fn remove(&self, id: AdmissionId) {
        self.table.remove(&id);
    }

    /// Ids of admissions whose outcome is written; of one client, or of all.
    pub(crate) fn ended(&self, client: Option<&ClientId>) -> Vec<(ClientId, AdmissionId)> {
        let of_client = |open: &OpenAdmission| client.is_none_or(|client| open.client == *client);
        self.table
            .iter()
            .filter(|entry| entry.outcome().is_some() && of_client(entry))
            .map(|entry| (entry.client.clone(), entry.id))
            .collect()
    }
}

/// What a client may spend on one call. Settles when dropped: to what [`settle`](Self::settle) said, else
/// to what [`if_dropped`](Self::if_dropped) said last, else as never sent.
#[derive(Debug)]
pub struct Admission {
    open: Arc<OpenAdmission>,
    ask: Ask,
    if_dropped: Outcome,
    limiter: Door<RateLimiterMessage>,
    shared: Arc<Shared>,
}

impl Admission {
    pub(crate) fn open(
        shared: &Arc<Shared>,
        limiter: Door<RateLimiterMessage>,
        client: ClientId,
        id: AdmissionId,
        ask: Ask,
    ) -> Self {
        let open = Arc::new(OpenAdmission { id, client, outcome: OnceLock::new() });
        shared.open.table.insert(id, Arc::clone(&open));
        Self { open, ask, if_dropped: Outcome::NeverSent, limiter, shared: Arc::clone(shared) }
    }

    /// The admission's id, unique in this process.
    pub fn id(&self) -> AdmissionId {
        self.open.id
    }

    /// The bound that was reserved.
    pub fn ask(&self) -> Ask {
        self.ask
    }

    /// What to settle to if this value is dropped without [`settle`](Self::settle): a hang-up, a panic,
    /// a clock that ran out above us.
    pub fn if_dropped(&mut self, outcome: Outcome) {
        self.if_dropped = outcome;
    }

    /// Settles. Returns once the settlement is in the limiter's mailbox, so what the caller does next
    /// (release the answer's last byte) happens after it.
    pub fn settle(mut self, outcome: Outcome) {
        self.if_dropped = outcome;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let _ = self.open.outcome.set(self.if_dropped);
        let settle = RateLimiterMessage::Settle(self.open.id);
        if self.limiter.send_always(settle).is_err() {
            // The limiter that admitted is gone. Its successor reads the table when it starts; one that
            // has started already is found by the sweep of the Clients supervisor, woken here.
            self.shared.to_clients(ClientsMessage::Sweep);
        }
    }
}

/// The calls in flight at one key, counted outside its actor: a reborn Provider or pool counts right.
#[derive(Debug, Default)]
pub struct InFlight(AtomicUsize);

impl InFlight {
    /// How many calls are in flight.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The right to make one call with one key of a provider; in flight until dropped. It outlives its actor.
#[derive(Debug)]
pub struct Lease {
    target: Target,
    endpoint: Arc<Endpoint>,
    in_flight: Arc<InFlight>,
    provider: Door<ProviderMessage>,
    report: CallReport,
    shared: Arc<Shared>,
}

impl Lease {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        target: Target,
        endpoint: Arc<Endpoint>,
        in_flight: Arc<InFlight>,
        provider: Door<ProviderMessage>,
    ) -> Self {
        in_flight.0.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        Self { target, endpoint, in_flight, provider, report: CallReport::Abandoned, shared }
    }

    /// Where the call goes.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The key and address to call.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The answer began after `first_byte`; reported to the Provider when the lease ends.
    pub fn answered(&mut self, first_byte: Duration) {
        self.report = CallReport::Answered { first_byte };
    }

    /// The call failed through the upstream's fault; reported when the lease ends. `what` is a fixed word
    /// for the operator (`connect`, `status 500`), never the upstream's own text.
    pub fn failed(&mut self, what: &'static str) {
        self.report = CallReport::Failed { what };
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.in_flight.0.fetch_sub(1, Ordering::Relaxed);
        let _ = self.provider.send_always(ProviderMessage::Returned(self.report));
        self.shared.wake_pool(&self.target.provider);
    }
}

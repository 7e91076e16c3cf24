//! What one call has cost so far: the admission and the lease in use, settled on every way out.
//!
//! Owns     a [`Dispatch`]'s two halves from the moment the request is sent.
//! Called   by `call.rs` until the answer begins, by `relay.rs` while it flows.
//! Fails    never. Dropped at any point (the client left, a panic, a clock above us) it settles to what was
//!          caused until then: nothing before the request was sent, then the prompt, then the prompt and what
//!          was relayed.

use std::sync::Arc;
use std::time::Duration;

use gateway_actors::dispatch::NotWritten;
use gateway_actors::{Admission, Booking, Dispatch, Ending, Lease};
use gateway_limits::{Grade, Outcome, Price, Usage};
use http::StatusCode;

use crate::trail::{Step, Trail};

/// How many upstreams a call asks in this version.
const ATTEMPTS: u32 = 1;

/// Tells the request's trail, when dropped, what was booked.
#[derive(Debug)]
struct Told {
    trail: Trail,
    price: Option<Price>,
    /// What is booked unless something else is said.
    booking: Booking,
}

impl Drop for Told {
    fn drop(&mut self) {
        let Booking { ending, usage, grade, attempts } = self.booking;
        let spent = match self.booking.outcome(self.price.as_ref()) {
            Outcome::Spent { cost, .. } => cost,
            Outcome::Failed | Outcome::NeverSent => 0,
        };
        let cost = self.price.map(|_| spent);
        let (ending, grade) = (ending.as_str(), grade.as_str());
        self.trail.note(Step::Settled { ending, usage, grade, cost, attempts });
    }
}

/// A call in progress, as the client's account sees it.
#[derive(Debug)]
pub struct Charge {
    admission: Admission,
    lease: Lease,
    /// Boxed: a stream's phases would differ too much in size.
    told: Box<Told>,
    prompt_tokens: u64,
    /// Prompt tokens read from a cache, where the answer's head alone says so.
    cached_tokens: u64,
}

impl Charge {
    /// Takes over a dispatch; `prompt_tokens` is the prompt's estimate. The request's trail is told how it ends.
    pub fn new(dispatch: Dispatch, prompt_tokens: u64, price: Option<Price>, trail: Trail) -> Self {
        let Dispatch { admission, lease, .. } = dispatch;
        let told = Box::new(Told { trail, price, booking: Booking::NEVER_SENT });
        Self { admission, lease, told, prompt_tokens, cached_tokens: 0 }
    }

    /// Whom to call.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The request is about to be sent.
    pub fn sending(&mut self) {
        self.relayed(Usage::default());
    }

    /// The first byte of an answer came, this long after sending.
    pub fn answered(&mut self, first_byte: Duration) {
        self.lease.answered(first_byte);
    }

    /// The answer's head says that so much of the prompt was read from a cache.
    pub fn read_from_cache(&mut self, tokens: u64) {
        self.cached_tokens = tokens;
    }

    /// The first content, or the whole answer, goes to the client.
    pub fn committed(&self) {
        self.told.trail.note(Step::Committed);
    }

    /// The call failed before anything of its answer went out; `what` is a fixed word.
    pub fn attempt_failed(&self, what: &'static str, status: Option<StatusCode>) {
        let endpoint = self.lease.endpoint();
        self.told.trail.note(Step::AttemptFailed {
            provider: Arc::clone(&endpoint.provider),
            key: Arc::clone(&endpoint.key_name),
            what,
            status: status.map(|status| status.as_u16()),
            next: "answer",
        });
    }

    /// Waits until the reservation is written: nothing of the answer goes out before.
    ///
    /// # Errors
    /// [`NotWritten`] when the ledger cannot write.
    pub async fn written(&self) -> Result<(), NotWritten> {
        self.admission.written().await
    }

    /// So much output has been relayed to the client, as counted from its text.
    pub fn relayed(&mut self, output: Usage) {
        let booking = Booking { ending: Ending::Left, ..self.counted(output) };
        self.told.booking = booking;
        self.admission.if_dropped(booking);
    }

    /// The upstream refused the request for what it says: the tokens go back, the request stays counted.
    pub fn refused_upstream(self) {
        self.settle(Booking::without_usage(Ending::Refused, ATTEMPTS));
    }

    /// The upstream failed before anything reached the client: as above, and the key's health notes it.
    pub fn failed(mut self, what: &'static str) {
        self.lease.failed(what);
        self.withheld();
    }

    /// Nothing of the answer was passed on, through no fault of the upstream's.
    pub fn withheld(self) {
        self.settle(Booking::without_usage(Ending::Failed, ATTEMPTS));
    }

    /// The upstream failed in the middle of its answer: what was relayed is paid for.
    pub fn cut(mut self, what: &'static str, output: Usage) {
        self.lease.failed(what);
        let booking = Booking { ending: Ending::Cut, ..self.counted(output) };
        self.settle(booking);
    }

    /// The answer is complete; `reported` is what the upstream says it used. Without that it is what was
    /// relayed. Returns once the settlement is with the limiter, so before the last byte leaves.
    pub fn complete(self, reported: Option<Usage>, output: impl FnOnce() -> Usage) {
        let booking = match reported {
            Some(usage) => Booking { attempts: ATTEMPTS, ..Booking::reported(self.with_cached(usage)) },
            None => self.counted(output()),
        };
        self.settle(booking);
    }

    fn settle(self, booking: Booking) {
        let Self { admission, mut told, .. } = self;
        told.booking = booking;
        admission.settle(booking);
    }

    /// A report that tells no cached tokens, with those of the head.
    fn with_cached(&self, usage: Usage) -> Usage {
        if usage.cache_read > 0 {
            return usage;
        }
        let cache_read = self.cached_tokens.min(usage.input);
        Usage { input: usage.input - cache_read, cache_read, ..usage }
    }

    fn counted(&self, output: Usage) -> Booking {
        let usage = Usage { input: self.prompt_tokens, ..output };
        Booking { ending: Ending::Answered, usage, grade: Grade::Counted, attempts: ATTEMPTS }
    }
}

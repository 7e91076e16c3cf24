//! What one request has cost so far: the admission and the lease in use, settled on every way out.
//!
//! Owns     a [`Dispatch`]'s two halves from the moment the request is sent; the admission alone between two attempts.
//! Called   by `attempts.rs` and `call.rs` until the answer begins, by `relay.rs` while it flows.
//! Fails    never. Dropped at any point (the client left, a panic, a clock above us) it settles to what was
//!          caused until then: nothing before the request was sent, then the prompt, then the prompt and what
//!          was relayed.

use std::sync::Arc;
use std::time::Duration;

use gateway_actors::dispatch::NotWritten;
use gateway_actors::{
    Admission, Blame, Booking, Dispatch, Ending, Failure, GatewayHandle, Lease, Refusal, Refused, Skipped,
    Tried,
};
use gateway_limits::{Grade, Outcome, Price, Usage};
use gateway_protocols::event::WholeAnswer;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::quota;
use crate::trail::{Step, Trail, Used};

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

/// What is known before a call of what it may use, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    /// The prompt as it is estimated from the request.
    pub prompt: u64,
    /// The most that it may be with what the upstream adds, where that is known.
    pub prompt_most: u64,
    /// The most that its answer may be.
    pub output: u64,
    /// Whether this is charged for an answer that tells nothing of its tokens, or of which nobody heard the end: no text
    /// is there to be counted.
    pub is_charged_untold: bool,
}

/// A call in progress, as the client's account sees it.
#[derive(Debug)]
pub struct Charge {
    admission: Admission,
    lease: Lease,
    /// Boxed: a stream's phases would differ too much in size.
    told: Box<Told>,
    bound: Bound,
    /// Prompt tokens read from a cache, where the answer's head alone says so.
    cached_tokens: u64,
    /// How many upstreams were asked, with the one that is being asked or is to be.
    attempts: u32,
    /// When the request went out; `None` as long as nobody was asked.
    sent: Option<Instant>,
    midway: Midway,
    /// Whether the upstream goes on when nobody waits for it any more.
    is_background: bool,
}

/// What a client has of an answer that broke off.
#[derive(Debug, Clone, Copy, Default)]
struct Midway {
    /// What was relayed when it did; `None` when nothing was.
    relayed: Option<Usage>,
    /// What is not in the report of whoever goes on.
    unreported: Usage,
}

/// A call between two attempts: nobody is asked, and the admission holds. Dropped, it ends as its last attempt did: the
/// tokens go back, the request stays counted.
#[derive(Debug)]
pub struct Between {
    admission: Admission,
    told: Box<Told>,
    bound: Bound,
    attempts: u32,
    midway: Midway,
    is_background: bool,
}

/// A call whose answer its upstream makes in the background. Dropped, it comes to what was reserved.
#[derive(Debug)]
pub struct Unattended {
    admission: Admission,
    told: Box<Told>,
    bound: Bound,
    attempts: u32,
}

impl Unattended {
    /// It is known what became of it; `None` where it came to nothing.
    pub fn settle(self, answer: Option<&WholeAnswer>) {
        let Self { admission, mut told, bound, attempts } = self;
        let booking = match answer {
            None => Booking::without_usage(Ending::Failed, attempts),
            Some(WholeAnswer { usage: Some(usage), .. }) => Booking { attempts, ..Booking::reported(*usage) },
            Some(WholeAnswer { counted, .. }) => {
                Booking { attempts, ..Booking::counted(Usage { input: bound.prompt, ..*counted }) }
            }
        };
        told.booking = booking;
        admission.settle(booking);
    }
}

impl Charge {
    /// Takes over a dispatch, for which this was reserved. The request's trail is told how it ends.
    pub fn new(dispatch: Dispatch, bound: Bound, trail: Trail) -> Self {
        let Dispatch { admission, lease, skipped, .. } = dispatch;
        let told = Box::new(Told { trail, price: None, booking: Booking::NEVER_SENT });
        let between =
            Between { admission, told, bound, attempts: 0, midway: Midway::default(), is_background: false };
        between.with(lease, &skipped)
    }

    /// What is decided about the request.
    pub fn trail(&self) -> &Trail {
        &self.told.trail
    }

    /// Whom to call.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// How many upstreams were asked, with the one that is being asked or is to be.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the upstream is to make the answer also when nobody waits: whoever leaves pays for all of it then.
    pub fn in_background(&mut self, is_background: bool) {
        self.is_background = is_background;
    }

    /// How many were asked until now.
    pub fn asked(&self) -> u32 {
        if self.sent.is_some() { self.attempts } else { self.attempts.saturating_sub(1) }
    }

    /// The tokens of what is sent to this upstream: the prompt, and the beginning of the answer that it is to go on
    /// with.
    pub fn sent_tokens(&self) -> u64 {
        self.bound.prompt.saturating_add(self.midway.unreported.total())
    }

    /// How long ago the request was sent; no time when it was not.
    pub fn took(&self) -> Duration {
        self.sent.map_or(Duration::ZERO, |sent| sent.elapsed())
    }

    /// The request is about to be sent.
    pub fn sending(&mut self, now: Instant) {
        self.sent = Some(now);
        self.relayed(self.midway.relayed.unwrap_or_default());
    }

    /// The answer has broken off, and the client has so much of it. It pays for that, whatever becomes of the rest.
    pub fn broke_off(&mut self, relayed: Usage) {
        self.midway.relayed = Some(relayed);
    }

    /// The header that makes the upstream's part of the trace a child of this attempt, where traces are exported.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        self.told.trail.traceparent()
    }

    /// Somebody else takes over an answer that broke off, from its beginning or behind what was relayed.
    pub fn mended(&self, goes_on: bool) {
        self.told.trail.note(if goes_on { Step::Continued } else { Step::Restarted });
    }

    /// Somebody else goes on behind what was relayed, and will not report it.
    pub fn goes_on(&mut self) {
        self.midway.unreported = self.midway.relayed.unwrap_or_default();
    }

    /// The head of an answer has come; it may say what is left of our quota there.
    pub fn told(&self, headers: &HeaderMap) {
        let (requests, tokens) = quota::told(headers);
        if requests.is_some() || tokens.is_some() {
            self.lease.quota(requests, tokens);
        }
    }

    /// The first byte of an answer came, this long after sending.
    pub fn answered(&mut self, first_byte: Duration) {
        self.lease.answered(first_byte);
    }

    /// An answer can be used.
    pub fn succeeded(&mut self) {
        self.lease.succeeded();
    }

    /// The answer's head says that so much of the prompt was read from a cache.
    pub fn read_from_cache(&mut self, tokens: u64) {
        self.cached_tokens = tokens;
    }

    /// The first content, or the whole answer, goes to the client.
    pub fn committed(&self) {
        self.told.trail.note(Step::Committed);
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
        let booking = Booking { ending: Ending::Left, ..self.unheard(output) };
        self.told.booking = booking;
        self.admission.if_dropped(booking);
    }

    /// This attempt failed. `next` says in a fixed word what is to be done about it, `ending` how the call ends if nobody else
    /// takes it. Its lease ends, so that the key is free and its health noted before anybody else is asked.
    pub fn failed(
        mut self,
        failure: Failure,
        blame: Option<Blame>,
        next: &'static str,
        ending: Ending,
    ) -> Between {
        let Failure { fault: what, status, took, usage, grade } = failure;
        if let Some(blame) = blame {
            self.lease.failed(what, blame);
        }
        if self.sent.is_some() {
            self.admission.attempt_failed(&self.lease, self.attempts, failure);
        }
        let endpoint = self.lease.endpoint();
        let cost = self.told.price.map(|price| price.cost(&usage));
        self.told.trail.note(Step::AttemptFailed {
            provider: Arc::clone(&endpoint.provider),
            key: Arc::clone(&endpoint.key_name),
            what,
            status,
            next,
            used: Box::new(Used { took, usage, grade: grade.as_str(), cost }),
        });
        let attempts = self.asked();
        let Self { admission, lease, told, bound, midway, is_background, .. } = self;
        drop(lease);
        let mut between = Between { admission, told, bound, attempts, midway, is_background };
        let booking = between.booking(if attempts == 0 { Ending::NeverSent } else { ending });
        between.told.booking = booking;
        between.admission.if_dropped(booking);
        between
    }

    /// The upstream failed in the middle of its answer: what was relayed is paid for.
    pub fn cut(mut self, what: &'static str, blame: Option<Blame>, output: Usage) {
        if let Some(blame) = blame {
            self.lease.failed(what, blame);
        }
        let booking = Booking { ending: Ending::Cut, ..self.unheard(output) };
        self.settle(booking);
    }

    /// The answer is complete; `reported` is what the upstream says it used. Without that it is what was
    /// relayed. Returns once the settlement is with the limiter, so before the last byte leaves.
    pub fn complete(self, reported: Option<Usage>, output: impl FnOnce() -> Usage) {
        let booking = match reported {
            Some(usage) if self.midway.unreported.total() > 0 => {
                let usage = self.with_cached(usage);
                // The beginning was prompt to whoever went on, and is answer to the client. It is counted and not
                // reported, so no more is moved than there is: the whole stays what was reported.
                let beginning = self.midway.unreported.total().min(usage.input);
                let usage = Usage {
                    input: usage.input - beginning,
                    output: usage.output.saturating_add(beginning),
                    ..usage
                };
                Booking { attempts: self.attempts, ..Booking::counted(usage) }
            }
            Some(usage) => Booking { attempts: self.attempts, ..Booking::reported(self.with_cached(usage)) },
            None if self.bound.is_charged_untold => self.at_bound(),
            None => self.counted(output()),
        };
        self.settle(booking);
    }

    /// Nobody waits for the rest here, and the upstream goes on with it. Its key and the client's slot are free; what was
    /// reserved stays so until somebody hears what it came to.
    pub fn leave(self) -> Unattended {
        let booking = self.at_bound();
        let Self { mut admission, mut told, bound, attempts, .. } = self;
        told.booking = booking;
        admission.if_dropped(booking);
        admission.free_slot();
        Unattended { admission, told, bound, attempts }
    }

    /// What it comes to for a client that does not hear the end of it, and has so much.
    fn unheard(&self, output: Usage) -> Booking {
        match self.is_background || self.bound.is_charged_untold {
            true => self.at_bound(),
            false => self.counted(output),
        }
    }

    /// What was reserved, for an answer of which nobody knows what it comes to.
    fn at_bound(&self) -> Booking {
        let Bound { prompt_most, output, .. } = self.bound;
        let usage = Usage { input: prompt_most, output, ..Usage::default() };
        Booking { ending: Ending::Answered, usage, grade: Grade::Estimated, attempts: self.attempts }
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
        let usage = Usage { input: self.bound.prompt, ..output };
        Booking { ending: Ending::Answered, usage, grade: Grade::Counted, attempts: self.attempts }
    }
}

impl Between {
    /// How many upstreams were asked.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Asks the tree for another target: from candidate `from` of the plan on, but for the keys that were `tried`.
    ///
    /// # Errors
    /// Why there is none, and this again where the admission still holds.
    pub async fn again(
        self,
        gateway: &GatewayHandle,
        priority: u32,
        from: usize,
        tried: Vec<Tried>,
    ) -> Result<Charge, (Refusal, Option<Self>)> {
        let Self { admission, told, bound, attempts, midway, is_background } = self;
        let again = |admission| Self { admission, told, bound, attempts, midway, is_background };
        match gateway.again(admission, priority, from, tried).await {
            Ok(Dispatch { admission, lease, skipped, .. }) => Ok(again(admission).with(lease, &skipped)),
            Err((Refused { refusal, skipped, .. }, admission)) => {
                let again = admission.map(again);
                if let Some(between) = &again {
                    between.skipped(&skipped);
                }
                Err((refusal, again))
            }
        }
    }

    /// Tells which targets could not be had.
    fn skipped(&self, skipped: &[Skipped]) {
        for Skipped { at, why } in skipped {
            let target = self.admission.plan().at(*at).target.clone();
            self.told.trail.note_once(Step::Dropped { target, why });
        }
    }

    /// The next attempt: with this lease.
    fn with(self, lease: Lease, skipped: &[Skipped]) -> Charge {
        self.skipped(skipped);
        let Self { admission, mut told, bound, attempts, midway, is_background } = self;
        let attempts = attempts.saturating_add(1);
        told.price = admission.plan().at(lease.at()).price;
        let endpoint = lease.endpoint();
        told.trail.note(Step::Leased {
            provider: Arc::clone(&endpoint.provider),
            key: Arc::clone(&endpoint.key_name),
            model: Arc::clone(&lease.target().model),
            attempt: attempts,
        });
        Charge {
            admission,
            lease,
            told,
            bound,
            cached_tokens: 0,
            attempts,
            sent: None,
            midway,
            is_background,
        }
    }

    /// Somebody is waited for.
    pub fn waits(&self, what: &'static str, time: Duration) {
        self.told.trail.note(Step::Waiting { what, time });
    }

    /// Without a word to the client this ending, and else the answer's being cut.
    fn booking(&self, ending: Ending) -> Booking {
        match self.midway.relayed {
            None => Booking::without_usage(ending, self.attempts),
            Some(output) => {
                let usage = Usage { input: self.bound.prompt, ..output };
                Booking { ending: Ending::Cut, usage, grade: Grade::Counted, attempts: self.attempts }
            }
        }
    }
}

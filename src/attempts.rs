//! One request's attempts: who is asked after whom, until one of them answers or nobody is left.
//!
//! Owns     what was tried, and the request as it is written for the target in hand.
//! Called   by the handlers, with a charge for the first attempt; by `relay.rs` where a stream broke off.
//! Bounded  by `max_attempts`, by the retry budget of each provider's pool, by [`WAIT_MAX`] of waiting in all, and by
//!          the clock of the whole request.
//! Fails    with the last upstream's fault, settled as failed or refused. It runs in the request's own future: a client
//!          that leaves ends it wherever it is, also in a pause, and nobody is asked any more.
//!
//! What follows from which fault is the table of [`failover`](crate::failover); who is asked then is the pools' choice.

mod mending;
mod passing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_actors::{GatewayHandle, Refusal, Tried};
use gateway_protocols::event::AnswerStream;
use gateway_protocols::translate::{Mendable, Resume};
use http::HeaderValue;
use tokio::time::Instant;

use crate::call::{Begun, Call, ReadWhole, UpstreamFault, Whole};
use crate::charge::{Between, Charge};
use crate::failover::{Next, Verdict, verdict};
use crate::fault::Fault;
use crate::resolve::Leg;
use crate::settings::Midstream;
use crate::upstream::{AnswerBody, UpstreamRequest, Upstreams};

pub use mending::{Broken, Mend, Unmended};
pub use passing::Taken;

/// The longest time that a request waits in all for a target to take it again.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The longest pause before the first retry at the same target; it doubles with each attempt.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A wait ends a little later than asked for: upstreams round their times, and so do we.
const AFTER_WAIT: Duration = Duration::from_millis(20);

/// Writes one request for any of its targets, and reads what they answer.
pub trait Writer: std::fmt::Debug + Send + Sync + 'static {
    /// The request for this target.
    ///
    /// # Errors
    /// When it has no form there.
    fn write(&self, leg: &Leg, at: usize) -> Result<Written, Fault>;

    /// How this target's whole answer becomes the client's.
    fn read_whole(&self, leg: &Leg, at: usize) -> ReadWhole;
}

/// A writer of requests whose answers may be streams.
pub trait StreamWriter: Writer {
    /// How this target's stream becomes the client's.
    fn stream(&self, leg: &Leg, at: usize) -> Box<dyn AnswerStream>;

    /// Has a stream that broke off go on with this target. Only called for streams that are mendable.
    fn resume(&self, _leg: &Leg, _at: usize, _stream: &mut Mendable, _how: Resume) {}

    /// The request for this target with the beginning of its answer; `None` where that cannot be.
    fn continued(&self, _leg: &Leg, _at: usize, _text: &str) -> Option<Written> {
        None
    }
}

/// A request as one target takes it.
#[derive(Debug)]
pub struct Written {
    /// What is sent.
    pub request: UpstreamRequest,
    /// Members that had no equal and were left out.
    pub dropped: Vec<String>,
}

/// What all attempts of a request have in common.
#[derive(Debug)]
pub struct Course {
    /// The tree.
    pub gateway: GatewayHandle,
    /// The HTTP clients.
    pub upstreams: Arc<Upstreams>,
    /// The targets, as in the plan of the admission.
    pub legs: Arc<[Leg]>,
    /// When the client's request arrived.
    pub arrived: Instant,
    /// How many may be asked.
    pub max_attempts: u32,
    /// The client's weight in a pool's queue.
    pub priority: u32,
    /// The request's id, for the log.
    pub request_id: Box<str>,
    /// What is done when a stream breaks off behind its first content.
    pub midstream: Midstream,
}

/// Who answered in the end, or failed last.
#[derive(Debug, Clone)]
pub struct Served {
    /// Which target.
    pub leg: Leg,
    /// The name of the key there.
    pub key: Arc<str>,
    /// How many were asked.
    pub attempts: u32,
    /// Members that had no equal there and were left out.
    pub dropped: Vec<String>,
}

/// Nobody answered.
#[derive(Debug)]
pub struct Failed {
    /// Why not, in the end.
    pub fault: Fault,
    /// Who failed last.
    pub served: Served,
}

/// A stream whose first content, or end, has come.
#[derive(Debug)]
pub struct Opened {
    /// What may go to the client at once.
    pub held: VecDeque<Bytes>,
    /// What the stream has said so far.
    pub scan: Box<dyn AnswerStream>,
    /// The rest.
    pub body: AnswerBody,
    /// The request's account.
    pub charge: Charge,
    /// Who answers.
    pub served: Served,
    /// `openai-processing-ms`, if it came.
    pub processing_ms: Option<HeaderValue>,
    /// How long the upstream took until here.
    pub upstream_time: Duration,
    /// Who goes on, should it break off.
    pub mender: Option<Box<dyn Mend>>,
}

/// The attempts of one request.
#[derive(Debug)]
pub struct Attempts<W> {
    course: Course,
    writer: W,
    /// The request for the target in hand.
    written: Option<(usize, Written)>,
    tried: Vec<Tried>,
    /// Attempts that do not count: nobody was asked, or only to find out whether a key works again.
    free: u32,
    /// Whether one of these was such a trial.
    has_tried: bool,
    /// Waited in all.
    waited: Duration,
    /// Whether the client has a part of the answer.
    is_mending: bool,
}

impl<W: Writer> Attempts<W> {
    /// Begins; `written` is the request for one of the targets, where it is written already.
    pub fn new(course: Course, writer: W, written: Option<(usize, Written)>) -> Self {
        Self {
            course,
            writer,
            written,
            tried: Vec::new(),
            free: 0,
            has_tried: false,
            waited: Duration::ZERO,
            is_mending: false,
        }
    }

    /// Asks until there is a whole answer. The charge is settled before this returns.
    ///
    /// # Errors
    /// The last fault, when nobody is left.
    pub async fn whole(mut self, mut charge: Charge) -> Result<(Whole, Served), Box<Failed>> {
        loop {
            let at = charge.lease().at();
            let asked = match self.write(at) {
                Ok(()) => {
                    let read = self.writer.read_whole(&self.course.legs[at], at);
                    self.call(at).whole(&mut charge, read).await.map_err(Trouble::Upstream)
                }
                Err(fault) => Err(Trouble::Unwritable(fault)),
            };
            match asked {
                Ok(whole) => {
                    let served = self.served_by(&charge);
                    charge.committed();
                    charge.complete(whole.answer.usage, || whole.answer.counted);
                    return Ok((whole, served));
                }
                Err(trouble) => charge = self.next(charge, trouble).await?,
            }
        }
    }

    /// Asks until a stream's first content, or its end, has come.
    ///
    /// # Errors
    /// The last fault, when nobody is left; the charge is settled.
    pub async fn open(mut self, mut charge: Charge) -> Result<Opened, Box<Failed>>
    where
        W: StreamWriter,
    {
        loop {
            let at = charge.lease().at();
            let mut held = VecDeque::new();
            let asked = match self.write(at) {
                Ok(()) => {
                    let mut scan = self.writer.stream(&self.course.legs[at], at);
                    let begun = self.call(at).open(&mut charge, &mut *scan, &mut held).await;
                    begun.map(|begun| (begun, scan)).map_err(Trouble::Upstream)
                }
                Err(fault) => Err(Trouble::Unwritable(fault)),
            };
            match asked {
                Ok((begun, mut scan)) => {
                    let is_mendable = scan.mendable().is_some();
                    return Ok(self.opened(charge, scan, held, begun, is_mendable));
                }
                Err(trouble) => charge = self.next(charge, trouble).await?,
            }
        }
    }

    fn opened(
        self,
        charge: Charge,
        scan: Box<dyn AnswerStream>,
        held: VecDeque<Bytes>,
        begun: Begun,
        is_mendable: bool,
    ) -> Opened
    where
        W: StreamWriter,
    {
        let served = self.served_by(&charge);
        charge.committed();
        let Begun { body, processing_ms, upstream_time } = begun;
        // Else the request is not needed any more.
        let mender = is_mendable.then(|| Box::new(self) as Box<dyn Mend>);
        Opened { held, scan, body, charge, served, processing_ms, upstream_time, mender }
    }

    /// Whom a charge asks.
    pub fn served_by(&self, charge: &Charge) -> Served {
        let lease = charge.lease();
        let dropped = self.written.as_ref().map(|(_, written)| written.dropped.clone());
        Served {
            leg: self.course.legs[lease.at()].clone(),
            key: Arc::clone(&lease.endpoint().key_name),
            attempts: charge.attempts(),
            dropped: dropped.unwrap_or_default(),
        }
    }

    fn call(&self, at: usize) -> Call<'_> {
        let Some((_, written)) = &self.written else { unreachable!("it was written just before") };
        let (upstreams, leg) = (&*self.course.upstreams, &self.course.legs[at]);
        Call { upstreams, leg, arrived: self.course.arrived, request: &written.request }
    }

    /// Writes the request for this target, unless it is.
    fn write(&mut self, at: usize) -> Result<(), Fault> {
        if self.written.as_ref().is_none_or(|(written_for, _)| *written_for != at) {
            self.written = Some((at, self.writer.write(&self.course.legs[at], at)?));
        }
        Ok(())
    }

    /// After a failure: the charge of the next attempt.
    async fn next(&mut self, mut charge: Charge, trouble: Trouble) -> Result<Charge, Box<Failed>> {
        let (fault, Verdict { mut next, blame }) = match trouble {
            Trouble::Upstream(fault) => {
                let fault = fault.without_key(charge.lease());
                let verdict = verdict(&fault);
                (Ok(fault), verdict)
            }
            // Nobody was asked, so the next one is not an attempt more.
            Trouble::Unwritable(fault) => {
                self.free += 1;
                (Err(fault), Verdict { next: Next::Other { or_after: None }, blame: None })
            }
        };
        let served = self.served_by(&charge);
        let (at, key) = (charge.lease().at(), Arc::clone(&served.key));
        let is_callers = fault.as_ref().is_ok_and(UpstreamFault::is_callers);
        if blame.is_none() && fault.as_ref().is_ok_and(|fault| fault.status().is_some()) {
            charge.succeeded();
        }
        let what = fault.as_ref().map_or("untranslatable", UpstreamFault::as_str);
        tracing::warn!(
            request_id = &*self.course.request_id,
            provider = &*served.leg.target.provider,
            key = &*key,
            attempt = served.attempts,
            fault = what,
            "attempt failed"
        );
        let mut may_go_on = served.attempts < self.course.max_attempts.saturating_add(self.free);
        if !may_go_on && !self.has_tried && charge.lease().is_trial() && next != Next::Nothing {
            // It was asked to find out whether a key works again, so it may ask somebody else once more.
            (self.has_tried, may_go_on) = (true, true);
            self.free += 1;
            next = Next::Other { or_after: None };
        }
        let word = match (may_go_on, next) {
            (false, _) | (_, Next::Nothing) => "answer",
            (true, Next::Same { .. }) => "same target",
            (true, Next::Other { .. }) => "other target",
        };
        charge.attempt_failed(what, fault.as_ref().ok().and_then(UpstreamFault::status), word);
        let between = charge.failed(what, blame);
        let fault = match fault {
            Ok(fault) => Fault::of_call(&served.leg.target.provider, fault),
            Err(fault) => fault,
        };
        let is_alone = self.course.legs.len() == 1;
        let mut end = Box::new(Failed { fault, served });
        if !may_go_on || next == Next::Nothing {
            between.end(is_callers);
            return Err(end);
        }
        self.try_others(between, at, key, next).await.map_err(|(between, soonest)| {
            if let Some(between) = between {
                between.end(is_callers);
            }
            // What the only target says of itself is passed on as it is.
            if !is_alone {
                end.fault.sooner(soonest);
            }
            end
        })
    }

    /// Another target, or the same one again. Else the call between two attempts, where it still is, and when somebody
    /// can be asked again.
    async fn try_others(
        &mut self,
        between: Between,
        at: usize,
        key: Arc<str>,
        next: Next,
    ) -> Result<Charge, (Option<Between>, Option<Duration>)> {
        let was_tried = self.tried.iter().any(|tried| tried.at == at && tried.key == key);
        // An answer that broke off was begun, so whoever began it may finish it, where he is the only one.
        let is_alone = self.is_mending && self.course.legs.len() == 1;
        let again = !was_tried && (is_alone || matches!(next, Next::Same { .. }));
        self.tried.retain(|tried| tried.at != at || tried.key != key);
        self.tried.push(Tried { at, key: Arc::clone(&key), again });
        if again && let Next::Same { after } = next {
            let pause = after.map_or_else(|| pause(between.attempts()), |after| after + AFTER_WAIT);
            if !self.may_wait(pause) {
                return Err((Some(between), after));
            }
            between.waits("pause before the next attempt", pause);
            tokio::time::sleep(pause).await;
        }
        let (gateway, priority) = (self.course.gateway.clone(), self.course.priority);
        let mut refused = between.again(&gateway, priority, at, self.tried.clone()).await;
        let Next::Other { or_after: Some(after) } = next else {
            return refused.map_err(|(refusal, between)| (between, soonest(&refusal)));
        };
        // Nobody else: the same one, when it wants to be asked again. Several that wait for it take turns.
        if let Some(own) = self.tried.last_mut() {
            own.again = true;
        }
        let mut wait = after;
        loop {
            let (refusal, between) = match refused {
                Ok(charge) => return Ok(charge),
                Err(refused) => refused,
            };
            let soonest = soonest(&refusal);
            let (Some(between), Refusal::Resting { .. } | Refusal::NobodyLeft) = (between, refusal) else {
                return Err((None, soonest));
            };
            wait = soonest.map_or(wait, |soonest| soonest.min(wait)) + AFTER_WAIT;
            if !self.may_wait(wait) {
                return Err((Some(between), soonest));
            }
            between.waits("a target to be free", wait);
            tokio::time::sleep(wait).await;
            // From here on only the pools know when.
            wait = WAIT_MAX;
            refused = between.again(&gateway, priority, 0, self.tried.clone()).await;
        }
    }

    /// Whether there is time for such a wait; if so, it is taken.
    fn may_wait(&mut self, wait: Duration) -> bool {
        let total = self.course.legs.first().and_then(|leg| leg.timeouts.total);
        let ends = total.map(|total| self.course.arrived + total);
        let is_too_long =
            self.waited + wait > WAIT_MAX || ends.is_some_and(|ends| Instant::now() + wait >= ends);
        if !is_too_long {
            self.waited += wait;
        }
        !is_too_long
    }
}

/// Why an attempt came to nothing.
enum Trouble {
    Upstream(UpstreamFault),
    /// The request has no form for this target.
    Unwritable(Fault),
}

fn soonest(refusal: &Refusal) -> Option<Duration> {
    match refusal {
        Refusal::Resting { retry_after, .. } => Some(*retry_after),
        _ => None,
    }
}

/// A pause before the next attempt at the same target: random, so that those who failed together do not come again
/// together; doubled from attempt to attempt.
fn pause(attempts: u32) -> Duration {
    let longest = PAUSE_MAX.saturating_mul(1 << attempts.saturating_sub(1).min(6));
    longest.mul_f64(rand::random_range(0.5..=1.0))
}

//! After an attempt that failed: who is asked next, after what pause, and when nobody is.
//!
//! Owns     the waits of a request between its attempts.
//! Called   by the loops of `attempts.rs`, `passing.rs` and `mending.rs`, with the charge of the attempt that failed.
//! Bounded  by [`WAIT_MAX`] of waiting in all, and by what bounds all attempts.
//! Fails    with the fault of that attempt, when nobody else is asked. Its charge is settled then.

use std::sync::Arc;
use std::time::Duration;

use gateway_actors::{Ending, Failure, Refusal, Target, Tried};
use gateway_limits::{Grade, Usage};
use tokio::time::Instant;

use super::billed::Seen;
use super::{Attempts, Failed, Served, Writer};
use crate::call::UpstreamFault;
use crate::charge::{Between, Charge};
use crate::failover::{Next, Verdict, verdict};
use crate::fault::Fault;

/// The longest time that a request waits in all for a target to take it again.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The longest pause before the first retry at the same target; it doubles with each attempt.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(100);

/// A wait ends a little later than asked for: upstreams round their times, and so do we.
const AFTER_WAIT: Duration = Duration::from_millis(20);

/// The client is told.
const ANSWER: &str = "answer";

/// The same target is asked once more, with the same key.
const SAME_TARGET: &str = "same target";

/// Another key or target is asked.
const OTHER_TARGET: &str = "other target";

/// Why an attempt came to nothing.
pub(super) enum Trouble {
    /// The upstream failed it, and so much of an answer had come.
    Upstream(UpstreamFault, Seen),
    /// The request has no form for this target.
    Unwritable(Fault),
}

impl Trouble {
    /// No part of an answer is taken before it is whole.
    pub(super) fn whole(fault: UpstreamFault) -> Self {
        Self::Upstream(fault, Seen::default())
    }

    /// How the attempt failed and what it may be billed, for whoever reads of it.
    fn failure(&self, charge: &Charge) -> Failure {
        let took = charge.took();
        match self {
            Self::Upstream(fault, seen) => {
                let (usage, grade) = seen.billed(fault, charge.sent_tokens());
                let status = fault.status().map(|status| status.as_u16());
                Failure { fault: fault.as_str(), status, took, usage, grade }
            }
            Self::Unwritable(_) => Failure {
                fault: "untranslatable",
                status: None,
                took,
                usage: Usage::default(),
                grade: Grade::Counted,
            },
        }
    }
}

/// The line in the log of an attempt that failed. It is written when it is known what follows, at the latest when
/// the request's future is dropped.
struct Line {
    request_id: Box<str>,
    target: Target,
    key: Arc<str>,
    attempt: u32,
    failure: Failure,
    next: &'static str,
}

impl Line {
    fn new(request_id: &str, served: &Served, failure: Failure, next: &'static str) -> Self {
        let Served { leg, key, attempts, .. } = served;
        let (target, key) = (leg.target.clone(), Arc::clone(key));
        Self { request_id: request_id.into(), target, key, attempt: *attempts, failure, next }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Failure { fault, status, took, usage, .. } = self.failure;
        tracing::warn!(
            request_id = &*self.request_id,
            provider = &*self.target.provider,
            key = &*self.key,
            model = &*self.target.model,
            attempt = self.attempt,
            fault,
            status,
            next = self.next,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            tokens_in = usage.prompt_tokens(),
            tokens_out = usage.completion_tokens(),
            "attempt failed"
        );
    }
}

impl<W: Writer> Attempts<W> {
    /// After a failure: the charge of the next attempt.
    pub(super) async fn next(&mut self, mut charge: Charge, trouble: Trouble) -> Result<Charge, Box<Failed>> {
        let failure = trouble.failure(&charge);
        let served = Served { attempts: charge.asked(), ..self.served_by(&charge) };
        let (fault, Verdict { mut next, blame }, ending) = match trouble {
            Trouble::Upstream(fault, _) => {
                let fault = fault.without_key(charge.lease());
                let verdict = verdict(&fault);
                if verdict.blame.is_none() && fault.status().is_some() {
                    charge.succeeded();
                }
                let ending = if fault.is_callers() { Ending::Refused } else { Ending::Failed };
                (Fault::of_call(&served.leg.target.provider, fault), verdict, ending)
            }
            // Nobody was asked, so it is no attempt.
            Trouble::Unwritable(fault) => {
                (fault, Verdict { next: Next::Other { or_after: None }, blame: None }, Ending::Failed)
            }
        };
        let mut may_go_on = served.attempts < self.course.max_attempts.saturating_add(self.free);
        if !may_go_on && !self.has_tried && charge.lease().is_trial() && next != Next::Nothing {
            // It was asked to find out whether a key works again, so it may ask somebody else once more.
            (self.has_tried, may_go_on) = (true, true);
            self.free += 1;
            next = Next::Other { or_after: None };
        }
        let word = match (may_go_on, next) {
            (false, _) | (_, Next::Nothing) => ANSWER,
            (true, Next::Same { .. }) => SAME_TARGET,
            (true, Next::Other { .. }) => OTHER_TARGET,
        };
        let (at, key) = (charge.lease().at(), Arc::clone(&served.key));
        let trail = charge.trail().clone();
        let mut line = Line::new(&self.course.request_id, &served, failure, word);
        let between = charge.failed(failure, blame, word, ending);
        let is_alone = self.course.legs.len() == 1;
        let mut end = Box::new(Failed { fault, served });
        if !may_go_on || next == Next::Nothing {
            return Err(end);
        }
        let found = self.try_others(between, at, Arc::clone(&key), next).await;
        let asked = found.as_ref().map(Charge::lease);
        line.next = match asked {
            Ok(lease) if lease.at() == at && lease.endpoint().key_name == key => SAME_TARGET,
            Ok(_) => OTHER_TARGET,
            Err(_) => ANSWER,
        };
        trail.followed_by(line.next);
        found.map_err(|soonest| {
            // What the only target says of itself is passed on as it is.
            if !is_alone {
                end.fault.sooner(soonest);
            }
            end
        })
    }

    /// Another target, or the same one again. Else when somebody can be asked again, where that is known.
    async fn try_others(
        &mut self,
        between: Between,
        at: usize,
        key: Arc<str>,
        next: Next,
    ) -> Result<Charge, Option<Duration>> {
        let was_tried = self.tried.iter().any(|tried| tried.at == at && tried.key == key);
        // An answer that broke off was begun, so whoever began it may finish it, where he is the only one.
        let is_alone = self.is_mending && self.course.legs.len() == 1;
        let again = !was_tried && (is_alone || matches!(next, Next::Same { .. }));
        self.tried.retain(|tried| tried.at != at || tried.key != key);
        self.tried.push(Tried { at, key: Arc::clone(&key), again });
        if again && let Next::Same { after } = next {
            let pause = after.map_or_else(|| pause(between.attempts()), |after| after + AFTER_WAIT);
            if !self.may_wait(pause) {
                return Err(after);
            }
            between.waits("pause before the next attempt", pause);
            tokio::time::sleep(pause).await;
        }
        let (gateway, priority) = (self.course.gateway.clone(), self.course.priority);
        let mut refused = between.again(&gateway, priority, at, self.tried.clone()).await;
        let Next::Other { or_after: Some(after) } = next else {
            return refused.map_err(|(refusal, _)| soonest(&refusal));
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
                return Err(soonest);
            };
            wait = soonest.map_or(wait, |soonest| soonest.min(wait)) + AFTER_WAIT;
            if !self.may_wait(wait) {
                return Err(soonest);
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

fn soonest(refusal: &Refusal) -> Option<Duration> {
    match refusal {
        Refusal::Resting { retry_after, .. } => Some(*retry_after),
        _ => None,
    }
}

/// A pause before the next attempt at the same target: random, so that those who failed together do not come again
/// together; doubled from attempt to attempt.
fn pause(attempts: u32) -> Duration {
    let longest = FIRST_PAUSE_MAX.saturating_mul(1 << attempts.saturating_sub(1).min(6));
    longest.mul_f64(rand::random_range(0.5..=1.0))
}

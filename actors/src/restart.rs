//! When a failed actor starts again: at once, after a pause, or not any more.
//!
//! Pure: the time is an argument, and the history is the caller's. Every supervisor in the tree decides
//! with it; what "give up" means (end the process, switch one client off) is the supervisor's own.

use std::collections::VecDeque;
use std::time::Duration;

use ractor::{ActorCell, SupervisionEvent};
use tokio::time::Instant;

use crate::gate::Door;

/// How often a child may fail, and how long it rests in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Failures within `window` after which the next one is too many.
    pub max_failures: usize,
    /// The time over which failures are counted, and after which a quiet child counts as healthy again.
    pub window: Duration,
    /// The pause before the second restart; it doubles with each failure. The first restart is immediate,
    /// so that a single accident costs nobody more than the jobs that were inside.
    pub first_pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

impl RestartPolicy {
    /// For the children of the root: over 5 failures in 10 s end the process, and the service manager takes over.
    pub const ROOT: Self = Self {
        max_failures: 5,
        window: Duration::from_secs(10),
        first_pause: Duration::from_millis(20),
        max_pause: Duration::from_millis(200),
    };
    /// For a client's limiter: over 5 failures in 10 s switch this one client off.
    pub const LIMITER: Self = Self {
        max_failures: 5,
        window: Duration::from_secs(10),
        first_pause: Duration::from_millis(20),
        max_pause: Duration::from_secs(1),
    };
    /// For pools and providers: they never give up, they rest for up to 10 s.
    pub const PROVIDER: Self = Self {
        max_failures: usize::MAX,
        window: Duration::from_secs(30),
        first_pause: Duration::from_millis(100),
        max_pause: Duration::from_secs(10),
    };
}

/// What to do with a child that has just failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this pause (zero: at once).
    Restart(Duration),
    /// It has failed too often: escalate, or switch it off.
    GiveUp,
}

/// The recent failures of one child.
#[derive(Debug, Default)]
pub struct History {
    failures: VecDeque<Instant>,
}

impl History {
    /// Notes a failure at `now` and decides. The history holds at most what the window needs.
    pub fn failed(&mut self, policy: &RestartPolicy, now: Instant) -> Verdict {
        while self.failures.front().is_some_and(|at| now.duration_since(*at) >= policy.window) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let count = self.failures.len();
        if count > policy.max_failures {
            self.failures.clear();
            return Verdict::GiveUp;
        }
        if policy.max_failures == usize::MAX && count > 64 {
            // The pause has long reached its cap; older entries change nothing.
            self.failures.pop_front();
        }
        Verdict::Restart(pause(policy, count))
    }
}

/// No pause after the first failure, then `first_pause` doubling up to `max_pause`.
fn pause(policy: &RestartPolicy, failures: usize) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        // 2^16 times any first pause is far above every cap.
        n => policy.first_pause.saturating_mul(1 << (n - 2).min(16)).min(policy.max_pause),
    }
}

/// The actor that failed and why, or `None` for an event that is no failure: a start, or an end that was
/// asked for. A kill counts as a failure; ractor reports it as a termination with this reason.
pub(crate) fn failure(event: SupervisionEvent) -> Option<(ActorCell, String)> {
    match event {
        SupervisionEvent::ActorFailed(cell, error) => Some((cell, error.to_string())),
        SupervisionEvent::ActorTerminated(cell, _, Some(reason)) if reason == "killed" => {
            Some((cell, reason))
        }
        _ => None,
    }
}

/// Sends a message after a pause, past the gate: it is a supervisor's note to itself.
pub(crate) fn send_later<M: Send + 'static>(door: &Door<M>, pause: Duration, message: M) {
    let door = door.clone();
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        let _ = door.send_always(message);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_restarts_at_once_and_later_ones_rest_longer_each_time() {
        let start = Instant::now();
        let mut history = History::default();
        let pauses: Vec<_> = (0..9).map(|_| history.failed(&RestartPolicy::PROVIDER, start)).collect();
        let millis = |ms| Verdict::Restart(Duration::from_millis(ms));
        let expected = [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000].map(millis);
        assert_eq!(pauses, expected);
    }

    #[test]
    fn the_sixth_failure_within_ten_seconds_is_too_many() {
        let start = Instant::now();
        let mut history = History::default();
        for step in 0..5 {
            let at = start + Duration::from_secs(step);
            assert_ne!(history.failed(&RestartPolicy::ROOT, at), Verdict::GiveUp);
        }
        assert_eq!(history.failed(&RestartPolicy::ROOT, start + Duration::from_secs(9)), Verdict::GiveUp);
    }

    #[test]
    fn failures_that_are_far_apart_never_add_up() {
        let start = Instant::now();
        let mut history = History::default();
        for step in 0..100 {
            let at = start + Duration::from_secs(10 * step);
            assert_eq!(history.failed(&RestartPolicy::ROOT, at), Verdict::Restart(Duration::ZERO));
        }
    }
}

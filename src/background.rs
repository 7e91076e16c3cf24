//! Answers that upstreams make in the background: what was reserved for them is held until it is known what they came
//! to.
//!
//! Owns     the accounts of such calls, by the id under which the upstream keeps the answer.
//! Called   by the handlers that have one begun, by the relay where a client leaves its stream, and by those that tell
//!          of it later: retrieved, told again as a stream, cancelled, deleted.
//! Bounded  by [`HELD_MAX`] and [`HELD_FOR`]; beyond either a call comes to what was reserved for it.
//! Fails    never. With the process it ends at what was reserved, like any call in flight.
//!
//! A call is taken out when it is settled, so no second look at its answer counts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_protocols::event::Later;
use tokio::time::Instant;

use crate::charge::Unattended;

/// Calls held at once, of all clients: some 2 MB.
const HELD_MAX: usize = 4_096;

/// How long one is held: the longest that an upstream says it works on an answer. It counts with the day on which it was
/// admitted in either case.
const HELD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// All calls that nobody waits for.
#[derive(Debug, Default)]
pub struct Background {
    held: Mutex<HashMap<Box<str>, (Instant, Unattended)>>,
}

impl Background {
    fn held(&self) -> MutexGuard<'_, HashMap<Box<str>, (Instant, Unattended)>> {
        // No call under the lock leaves the table half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upstream goes on with the answer that it keeps under this id.
    pub fn hold(&self, id: &str, call: Unattended) {
        let now = Instant::now();
        let mut held = self.held();
        let is_over = |since: Instant| now.duration_since(since) > HELD_FOR;
        let mut over: Vec<_> =
            held.extract_if(|_, (since, _)| is_over(*since)).map(|(_, held)| held).collect();
        match held.len() < HELD_MAX {
            true => over.extend(held.insert(id.into(), (now, call))),
            false => over.push((now, call)),
        }
        // They settle outside of the lock.
        drop(held);
        drop(over);
    }

    /// An upstream has told of the answer under this id.
    pub fn told(&self, id: &str, later: &Later) {
        let answer = match later {
            Later::GoesOn => return,
            Later::Ended(answer) => Some(answer),
            Later::Failed => None,
        };
        let taken = self.held().remove(id);
        if let Some((_, call)) = taken {
            call.settle(answer);
        }
    }

    /// Nobody will hear of this answer any more.
    pub fn forgotten(&self, id: &str) {
        let taken = self.held().remove(id);
        drop(taken);
    }

    /// The gateway stops: all that is held comes to what was reserved.
    pub fn end(&self) {
        let all = std::mem::take(&mut *self.held());
        drop(all);
    }
}

//! What happened to one request, decision by decision, each with its time.
//!
//! Owns     the steps of one request: [`Trail`] is the handle that its handlers, its call and its answer share,
//!          [`Record`] what they write into.
//! Called   by whoever decides something about a request, through [`Trail::note`]; read by the request log, the
//!          admin routes and the exporter of traces.
//! Bounded  by [`STEPS_MAX`] steps; what comes beyond them is counted, but for the few that end a request.
//! Fails    never, and cannot be forgotten: when the last handle is dropped, however that comes about, the
//!          record is handed to its [`Audience`].
//!
//! A note costs some 40 ns in an optimised build: a look at the clock, a lock that nobody else wants, a copy.
//!
//! No step has room for a prompt, an answer, a key or a secret: names, numbers and fixed words only.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gateway_actors::{ClientId, Target};
use gateway_limits::Usage;
use http::HeaderValue;
use tokio::time::Instant;

pub use self::facts::Facts;
pub use self::outline::{CLIENT_LEFT, Outline};
pub use self::shown::{ms, usage, usd};
use crate::request_id::RequestId;
use crate::trace_context::TraceContext;

mod facts;
mod outline;
mod shown;

/// Steps kept of one request. A common one has ten; every further attempt adds three.
pub const STEPS_MAX: usize = 64;

/// Steps beyond [`STEPS_MAX`] for how a request ends: each of them comes once.
const CLOSING_MAX: usize = 8;

/// Room that the first step makes: most requests need no more.
const STEPS_EXPECTED: usize = 12;

/// One thing that was decided, or became known.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The path led to a client's endpoint.
    Routed {
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// The credentials prove this client.
    Known {
        /// Who it is.
        client: ClientId,
    },
    /// The body has been read.
    BodyRead {
        /// Its size.
        bytes: usize,
    },
    /// What the body asks for.
    Asked {
        /// The model's name as the caller gave it, checked to be a model's name.
        model: Box<str>,
        /// Whether the answer is to be streamed.
        stream: bool,
    },
    /// Where it may go, the first choice first.
    Targets(Box<[Target]>),
    /// A limit that is only watched would have refused it.
    WouldRefuse {
        /// The limit's name.
        limit: &'static str,
    },
    /// A target that is not, or no longer, considered.
    Dropped {
        /// Which.
        target: Target,
        /// Why, in fixed words.
        why: &'static str,
    },
    /// The client's limits leave room, and this much is reserved.
    Admitted {
        /// Tokens.
        tokens: u64,
        /// Pico-USD.
        cost: u64,
    },
    /// Nobody is asked for an answer (any more).
    Refused {
        /// The answer's status.
        status: u16,
        /// The limit's name, or the error's code.
        why: &'static str,
        /// What else is known of it.
        facts: Facts,
    },
    /// A key was chosen and is about to be called.
    Leased {
        /// The provider's name.
        provider: Arc<str>,
        /// The key's name, never the key.
        key: Arc<str>,
        /// The model's name at the provider.
        model: Arc<str>,
        /// Which attempt of the request it is, from 1.
        attempt: u32,
    },
    /// The upstream failed this attempt.
    AttemptFailed {
        /// The provider's name.
        provider: Arc<str>,
        /// The key's name.
        key: Arc<str>,
        /// How, in fixed words.
        what: &'static str,
        /// The upstream's status, where it gave one.
        status: Option<u16>,
        /// What is done about it, in fixed words.
        next: &'static str,
        /// What it may be billed. Boxed: a step is no larger for it.
        used: Box<Used>,
    },
    /// The request waits.
    Waiting {
        /// For what, in fixed words.
        what: &'static str,
        /// At most so long.
        time: Duration,
    },
    /// The first content, or the whole answer, has come: what follows cannot go elsewhere.
    Committed,
    /// The upstream broke off, and the answer begins anew elsewhere.
    Restarted,
    /// The upstream broke off, and the answer goes on elsewhere.
    Continued,
    /// The call's account is closed.
    Settled {
        /// How the call ended, in the ledger's words.
        ending: &'static str,
        /// What it used.
        usage: Usage,
        /// How the usage came to be known, in the ledger's words.
        grade: &'static str,
        /// Pico-USD; `None` where the model has no price.
        cost: Option<u64>,
        /// How many upstreams were asked.
        attempts: u32,
    },
    /// The answer's head goes out. A stream goes on after it.
    Answered {
        /// Its status.
        status: u16,
    },
}

impl Step {
    /// Whether the step belongs to a request's end, and so is kept whatever came before.
    fn is_closing(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Committed | Self::Settled { .. } | Self::Answered { .. })
    }
}

/// What an attempt that failed may be billed by its upstream; its client is not charged for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// From sending until it failed.
    pub took: Duration,
    /// What the upstream may have used.
    pub usage: Usage,
    /// How that is known, in the ledger's words.
    pub grade: &'static str,
    /// Pico-USD; `None` where the model has no price.
    pub cost: Option<u64>,
}

/// A step and when it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// Since the request's head was complete.
    pub at: Duration,
    /// What happened.
    pub step: Step,
}

/// Whoever is told of ended requests.
pub trait Audience: Send + Sync + std::fmt::Debug {
    /// This request has ended: its answer has gone, or its client has left. Called on the request's own thread,
    /// so it must not block.
    fn ended(&self, record: &Arc<Record>);
}

/// What a trail begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The request's id.
    pub id: RequestId,
    /// When its head was complete.
    pub arrived: Instant,
    /// Where it comes from, after trusted proxies.
    pub address: IpAddr,
    /// The caller's own id for it.
    pub client_request_id: Option<HeaderValue>,
    /// The trace that it is part of, where traces are exported.
    pub trace: Option<TraceContext>,
}

/// The handle: one more holder of a request's record. The request ends with its last holder.
#[derive(Debug)]
pub struct Trail {
    record: Arc<Record>,
}

impl Trail {
    /// Begins a request's trail; `audience` is told of its end.
    pub fn begin(beginning: Beginning, audience: Arc<dyn Audience>) -> Self {
        let record = Record {
            beginning,
            arrived_at: SystemTime::now(),
            holders: AtomicU32::new(1),
            state: Mutex::new(State { audience: Some(audience), ..State::default() }),
        };
        Self { record: Arc::new(record) }
    }

    /// Notes a step, at the time of this call.
    pub fn note(&self, step: Step) {
        let at = self.record.beginning.arrived.elapsed();
        let mut state = self.record.state();
        state.leases += u32::from(matches!(step, Step::Leased { .. }));
        let max = if step.is_closing() { STEPS_MAX + CLOSING_MAX } else { STEPS_MAX };
        if state.steps.len() >= max {
            state.left_out = state.left_out.saturating_add(1);
            return;
        }
        if state.steps.capacity() == 0 {
            state.steps.reserve_exact(STEPS_EXPECTED);
        }
        state.steps.push(Noted { at, step });
    }

    /// What followed the last attempt that failed, in fixed words: it may be something else than was meant to.
    pub fn followed_by(&self, what: &'static str) {
        let mut state = self.record.state();
        let failed = state.steps.iter_mut().rev().find_map(|noted| match &mut noted.step {
            Step::AttemptFailed { next, .. } => Some(next),
            _ => None,
        });
        if let Some(next) = failed {
            *next = what;
        }
    }

    /// Writes a step down, unless it was before: what is found out again at each attempt.
    pub fn note_once(&self, step: Step) {
        if !self.record.read(|steps, _| steps.iter().any(|noted| noted.step == step)) {
            self.note(step);
        }
    }

    /// The `traceparent` for the upstream of the attempt that was noted last ([`Step::Leased`]): its parent is our
    /// span of that attempt. `None` where no traces are exported; then the caller's own passes unchanged.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let trace = self.record.beginning.trace?;
        let leases = self.record.state().leases;
        trace.traceparent(leases)
    }

    /// What is written so far, and will be.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }
}

impl Clone for Trail {
    fn clone(&self) -> Self {
        self.record.holders.fetch_add(1, Ordering::Relaxed);
        Self { record: Arc::clone(&self.record) }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        // As `Arc` counts: the last one must see what all others wrote.
        if self.record.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            let record = &self.record;
            let ended =
                Some(End { after: record.beginning.arrived.elapsed(), panicked: std::thread::panicking() });
            let mut state = record.state();
            state.end = ended;
            // The audience may keep the record, which must not keep the audience.
            let audience = state.audience.take();
            drop(state);
            if let Some(audience) = audience {
                audience.ended(record);
            }
        }
    }
}

/// A request, running or ended. It lives as long as somebody wants to read it.
#[derive(Debug)]
pub struct Record {
    beginning: Beginning,
    arrived_at: SystemTime,
    /// Trails on this record. Not the count of the `Arc`, which readers hold too.
    holders: AtomicU32,
    /// One request's own: two threads meet here only when an operator reads a running one.
    state: Mutex<State>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Since the request's head was complete.
    pub after: Duration,
    /// Whether its handler panicked.
    pub panicked: bool,
}

#[derive(Debug, Default)]
struct State {
    steps: Vec<Noted>,
    left_out: u32,
    /// How many attempts were begun.
    leases: u32,
    end: Option<End>,
    /// Gone once it was told of the end.
    audience: Option<Arc<dyn Audience>>,
}

impl Record {
    fn state(&self) -> MutexGuard<'_, State> {
        // A list of steps is whole at any time, also after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request's id.
    pub fn id(&self) -> &RequestId {
        &self.beginning.id
    }

    /// The caller's own id for it.
    pub fn client_request_id(&self) -> Option<&str> {
        self.beginning.client_request_id.as_ref()?.to_str().ok()
    }

    /// Where it comes from, after trusted proxies.
    pub fn address(&self) -> IpAddr {
        self.beginning.address
    }

    /// When its head was complete.
    pub fn arrived(&self) -> Instant {
        self.beginning.arrived
    }

    /// The same by the wall clock.
    pub fn arrived_at(&self) -> SystemTime {
        self.arrived_at
    }

    /// The trace that it is part of, where traces are exported.
    pub fn trace(&self) -> Option<TraceContext> {
        self.beginning.trace
    }

    /// How it ended; `None` while it runs.
    pub fn end(&self) -> Option<End> {
        self.state().end
    }

    /// Its steps so far, and how many more there were.
    pub fn read<T>(&self, read: impl FnOnce(&[Noted], u32) -> T) -> T {
        let state = self.state();
        read(&state.steps, state.left_out)
    }
}

#[cfg(test)]
#[path = "trail/tests.rs"]
mod tests;

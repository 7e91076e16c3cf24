//! A request body, read whole under its limits.
//!
//! Owns     the count of body bytes that all requests together hold in memory.
//! Called   by the handlers, after the caller is known and before the job is made.
//! Bounded  by `BodyLimits`: size of one body, size of all bodies, time between two pieces; and by
//!          `LOWEST_RATE` over the whole body.
//! Fails    with a `BodyFault`, which says whose limit it was. Dropping the future, or the body read,
//!          gives its bytes back to the budget.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

/// Taken from the budget before the first byte of a body of known length: what one read gives at
/// most, so that a refusal comes before the read and an announcement alone holds no more than this.
const FIRST_SHARE: u64 = 64 * 1024;

/// Memory taken at once for a body of known length; beyond it memory grows with what has come, so
/// that announcing much and sending little holds no more than this.
const FIRST_CAPACITY: u64 = 1024 * 1024;

/// How many times the time between two pieces a body may take as a whole …
const PATIENCE: u32 = 10;

/// … and one second more per this many bytes that have come: 32 kbit/s, slower than any link people
/// use, so only a client that drips on purpose to hold its place meets this bound.
const LOWEST_RATE: u64 = 4 * 1024;

/// Beyond a day a timeout means never; kept there, a point in time cannot overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// What a body may take, in bytes and time.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Largest body of one request, in bytes.
    pub max_body_bytes: u64,
    /// All bodies in memory together, in bytes.
    pub max_buffered_bytes: u64,
    /// Longest time between two pieces of a body, and before the first.
    pub body_timeout: Duration,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The body is, or says it will be, larger than one may be: 413.
    #[error("request body is larger than {limit} bytes; send less")]
    TooLarge {
        /// `max_body_bytes`
        limit: u64,
    },
    /// The body did not come in time: 408.
    #[error("request body stalled: nothing came for {}s, or too little over all", .timeout.as_secs_f64())]
    TooSlow {
        /// `body_timeout`
        timeout: Duration,
    },
    /// All bodies in memory together are at their limit: 503.
    #[error("request bodies in memory have reached {limit} bytes; try again shortly")]
    NoRoom {
        /// `max_buffered_bytes`
        limit: u64,
    },
    /// The client went away, or its framing is wrong: 400, if anybody still listens.
    #[error("request body ended before it was complete, or its framing is invalid")]
    Broken,
}

/// The bytes that request bodies hold in memory, over all requests.
#[derive(Debug, Default)]
pub struct BufferBudget {
    in_use: AtomicU64,
}

impl BufferBudget {
    /// Bytes held now.
    pub fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }
}

/// One body's part of the budget; dropping it gives it back.
#[derive(Debug)]
struct Share {
    budget: Arc<BufferBudget>,
    bytes: u64,
}

impl Share {
    fn none(budget: &Arc<BufferBudget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Makes this share at least `bytes`, if the budget with all others stays within `limit`.
    fn grow_to(&mut self, bytes: u64, limit: u64) -> Result<(), BodyFault> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        // The counter guards no other memory, so no stronger ordering is needed.
        self.budget
            .in_use
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |in_use| {
                in_use.checked_add(more).filter(|sum| *sum <= limit)
            })
            .map_err(|_| BodyFault::NoRoom { limit })?;
        self.bytes += more;
        Ok(())
    }

    fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.budget.in_use.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// A whole body, which counts in the budget as long as this value lives.
#[derive(Debug)]
pub struct BufferedBody {
    bytes: Bytes,
    _share: Share,
}

impl BufferedBody {
    /// The bytes, as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads a body to its end.
///
/// A body that comes in one piece is not copied. `content_length` is what the head announced; it only
/// decides how soon a body is refused and how memory is taken, never what is believed.
///
/// # Errors
/// The first limit that is met; the rest of the body is then left unread.
pub async fn read_body<D: Buf, E>(
    stream: impl Stream<Item = Result<D, E>>,
    content_length: Option<u64>,
    limits: &BodyLimits,
    budget: &Arc<BufferBudget>,
) -> Result<BufferedBody, BodyFault> {
    let too_large = BodyFault::TooLarge { limit: limits.max_body_bytes };
    let announced = content_length.unwrap_or(0);
    if announced > limits.max_body_bytes {
        return Err(too_large);
    }
    let mut share = Share::none(budget);
    share.grow_to(announced.min(FIRST_SHARE), limits.max_buffered_bytes)?;

    let mut stream = pin!(stream);
    let mut gathered = Gathered::Nothing;
    let start = Instant::now();
    loop {
        let deadline = deadline(start, Instant::now(), gathered.len(), limits.body_timeout);
        let piece = match timeout_at(deadline, stream.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Err(BodyFault::Broken),
            Ok(None) => break,
            Err(_) => {
                return Err(BodyFault::TooSlow { timeout: limits.body_timeout });
            }
        };
        let length = gathered.len().saturating_add(piece.remaining() as u64);
        if length > limits.max_body_bytes {
            return Err(too_large);
        }
        let capacity = gathered.capacity_for(length, announced, limits.max_body_bytes);
        share.grow_to(capacity, limits.max_buffered_bytes)?;
        gathered = gathered.with(piece, capacity);
    }
    share.shrink_to(gathered.capacity());
    Ok(BufferedBody { bytes: gathered.into_bytes(), _share: share })
}

/// Until when the next piece must be here, of a body begun at `start` of which `length` bytes have come.
fn deadline(start: Instant, now: Instant, length: u64, body_timeout: Duration) -> Instant {
    let body_timeout = body_timeout.min(LONGEST_TIMEOUT);
    let overall = body_timeout * PATIENCE + Duration::from_secs(length / LOWEST_RATE);
    (now + body_timeout).min(start + overall)
}

/// What has come of a body so far.
enum Gathered {
    Nothing,
    /// One piece, as it came.
    Piece(Bytes),
    /// Several, copied together.
    Joined(Vec<u8>),
}

impl Gathered {
    fn len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Piece(piece) => piece.len() as u64,
            Self::Joined(joined) => joined.len() as u64,
        }
    }

    fn capacity(&self) -> u64 {
        match self {
            Self::Nothing | Self::Piece(_) => self.len(),
            Self::Joined(joined) => joined.capacity() as u64,
        }
    }

    /// The memory to have when `length` bytes will be here: exactly that for one piece; for several
    /// what was announced, within [`FIRST_CAPACITY`]; beyond it twice as much each time, so that a
    /// byte is copied about twice over all.
    fn capacity_for(&self, length: u64, announced: u64, max_body_bytes: u64) -> u64 {
        let doubled = match self {
            Self::Nothing => return length,
            Self::Piece(_) => announced.min(FIRST_CAPACITY),
            Self::Joined(_) if length <= self.capacity() => return self.capacity(),
            Self::Joined(_) => self.capacity().saturating_mul(2),
        };
        let ceiling = if announced >= length { announced } else { max_body_bytes };
        doubled.min(ceiling).max(length)
    }

    fn with(self, mut piece: impl Buf, capacity: u64) -> Self {
        let mut joined = match self {
            // Costs nothing where the piece is a `Bytes`, as from a connection.
            Self::Nothing => return Self::Piece(piece.copy_to_bytes(piece.remaining())),
            Self::Piece(first) => {
                let mut joined = Vec::with_capacity(to_usize(capacity));
                joined.extend_from_slice(&first);
                joined
            }
            Self::Joined(joined) => joined,
        };
        joined.reserve_exact(to_usize(capacity).saturating_sub(joined.len()));
        while piece.has_remaining() {
            let chunk = piece.chunk();
            let length = chunk.len();
            joined.extend_from_slice(chunk);
            piece.advance(length);
        }
        Self::Joined(joined)
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Piece(piece) => piece,
            Self::Joined(joined) => Bytes::from(joined),
        }
    }
}

/// Capacities are within `max_body_bytes`; a limit beyond the address space ends at the address space.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

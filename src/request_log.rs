//! The last requests, running or ended, in memory: what `/admin/requests` and `/admin/live` read.
//!
//! Owns     two rings of records, and the feed of ended requests.
//! Called   by the front door once per request, by [`Observer`](crate::observer::Observer) at its end, and by
//!          the admin routes.
//! Bounded  by [`KEPT_MAX`] requests of known clients (some 10 MB), [`STRANGERS_MAX`] of callers that proved to be
//!          nobody, who so cannot push the others out, and [`KEPT_FOR`]; the feed by [`FEED_MAX`] for each
//!          reader, who is told how many it missed.
//! Fails    never: what is too old or too much is forgotten.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::trail::Record;

/// Requests of known clients that are kept.
pub const KEPT_MAX: usize = 10_000;

/// Requests that are kept of callers whose credentials proved nothing.
pub const STRANGERS_MAX: usize = 1_000;

/// How long a request is kept after its arrival.
pub const KEPT_FOR: Duration = Duration::from_secs(3600);

/// Ended requests that wait for one reader of the feed: a second of heavy traffic.
const FEED_MAX: usize = 1_024;

/// Records copied at once for a reader: it holds up requests no longer than a microsecond.
const COPIED_AT_ONCE: usize = 64;

/// The last requests.
#[derive(Debug)]
pub struct RequestLog {
    clients: Ring,
    strangers: Ring,
    ended: AtomicU64,
    feed: broadcast::Sender<Arc<Record>>,
    readers: Arc<AtomicUsize>,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self {
            clients: Ring::new(KEPT_MAX),
            strangers: Ring::new(STRANGERS_MAX),
            ended: AtomicU64::new(0),
            feed: broadcast::Sender::new(FEED_MAX),
            readers: Arc::default(),
        }
    }
}

impl RequestLog {
    /// Keeps the request of a known client, from now on and while it runs.
    pub fn keep(&self, record: &Arc<Record>) {
        self.clients.push(record);
    }

    /// Keeps the request of a caller who proved to be nobody.
    pub fn keep_strangers(&self, record: &Arc<Record>) {
        self.strangers.push(record);
    }

    /// A request has ended: whoever watches is told. Without a reader it is one addition and one look.
    pub fn ended(&self, record: &Arc<Record>) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if self.readers.load(Ordering::Relaxed) > 0 {
            // The last reader may just have left.
            let _ = self.feed.send(Arc::clone(record));
        }
    }

    /// How many requests have ended since the start.
    pub fn count(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// The request of this number.
    pub fn find(&self, number: u128) -> Option<Arc<Record>> {
        self.clients.find(number).or_else(|| self.strangers.find(number))
    }

    /// The newest `limit` requests that fit, newest first.
    pub fn newest(&self, limit: usize, mut fits: impl FnMut(&Record) -> bool) -> Vec<Arc<Record>> {
        let mut found = self.clients.newest(limit, &mut fits);
        found.extend(self.strangers.newest(limit, &mut fits));
        found.sort_by_key(|record| std::cmp::Reverse(record.arrived()));
        found.truncate(limit);
        found
    }

    /// Requests that end from now on.
    pub fn watch(&self) -> Feed {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Feed { receiver: self.feed.subscribe(), readers: Arc::clone(&self.readers) }
    }
}

/// What one reader of ended requests gets next.
#[derive(Debug)]
pub enum Fed {
    /// A request has ended.
    Ended(Arc<Record>),
    /// The reader was too slow for so many.
    Missed(u64),
}

/// One reader's end of the feed; dropping it ends its cost.
#[derive(Debug)]
pub struct Feed {
    receiver: broadcast::Receiver<Arc<Record>>,
    readers: Arc<AtomicUsize>,
}

impl Feed {
    /// Waits for the next. `None` when the gateway is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Fed> {
        match self.receiver.recv().await {
            Ok(record) => Some(Fed::Ended(record)),
            Err(RecvError::Lagged(missed)) => Some(Fed::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The newest records, by the order in which they came.
#[derive(Debug)]
struct Ring {
    max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// How many were pushed out: the place of the first one that is kept, of all there ever were.
    gone: u64,
    /// With their numbers beside them, so that a search does not follow each pointer.
    records: VecDeque<(u128, Arc<Record>)>,
}

impl Ring {
    fn new(max: usize) -> Self {
        // One more than is kept: a record is pushed before the oldest goes.
        let records = VecDeque::with_capacity(max + 1);
        Self { max, kept: Mutex::new(Kept { gone: 0, records }) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A ring is whole between any two of its operations.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, record: &Arc<Record>) {
        let entry = (record.id().number(), Arc::clone(record));
        // Dropped behind the lock. Two for each that comes, so that old ones go although one is always new.
        let mut outdated: [Option<(u128, Arc<Record>)>; 2] = [None, None];
        let mut kept = self.kept();
        kept.records.push_back(entry);
        for outdated in &mut outdated {
            let is_over = kept.records.len() > self.max;
            *outdated = kept.records.pop_front_if(|(_, oldest)| is_over || is_old(oldest));
            kept.gone += u64::from(outdated.is_some());
        }
    }

    fn find(&self, number: u128) -> Option<Arc<Record>> {
        let kept = self.kept();
        let (_, record) = kept.records.iter().rev().find(|(kept, _)| *kept == number)?;
        Some(Arc::clone(record)).filter(|record| !is_old(record))
    }

    fn newest(&self, limit: usize, fits: &mut impl FnMut(&Record) -> bool) -> Vec<Arc<Record>> {
        let mut found = Vec::new();
        let mut below = u64::MAX;
        while found.len() < limit {
            let copied = self.copy_below(&mut below);
            if copied.is_empty() {
                break;
            }
            let left = limit - found.len();
            let fitting = copied.into_iter().filter(|record| !is_old(record) && fits(record));
            found.extend(fitting.take(left));
        }
        found
    }

    /// Some records before this place, newest first; the place moves with them.
    fn copy_below(&self, below: &mut u64) -> Vec<Arc<Record>> {
        let kept = self.kept();
        let end = below.saturating_sub(kept.gone).min(kept.records.len() as u64);
        let start = end.saturating_sub(COPIED_AT_ONCE as u64);
        *below = kept.gone + start;
        // Both are places in the deque.
        let (start, end) = (start as usize, end as usize);
        kept.records.range(start..end).rev().map(|(_, record)| Arc::clone(record)).collect()
    }
}

fn is_old(record: &Record) -> bool {
    record.arrived().elapsed() > KEPT_FOR
}

#[cfg(test)]
#[path = "request_log/tests.rs"]
mod tests;

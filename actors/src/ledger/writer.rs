//! The ledger's writer: takes what waits, commits it as one transaction, and tells who waits for that.
//!
//! Owns     the [`Books`] while it runs: the lock on them is what keeps two writers apart.
//! Called   by the Ledger actor, which has it run on a blocking thread whenever entries wait and none runs.
//! Bounded  by the journal. While the file cannot be written it keeps what is in hand, which is bounded by the
//!          calls in flight, as nothing more is admitted.
//! Fails    into *trouble* when a commit fails: admissions are refused, whoever waits is told, the node in the
//!          tree says why, and the same batch is tried again until it goes through. If the writer itself
//!          panics, the Ledger starts anew and its writer goes on with the same batch.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::journal::Books;
use super::{Backing, StoreFault};
use crate::dispatch::NotWritten;
use crate::shared::Shared;
use crate::tree::Node;

/// How long writes are gathered while they keep coming: half the work of a commit is its own, whatever is in it.
/// One that comes alone is committed at once.
const GATHER_FOR: Duration = Duration::from_millis(1);

/// How long a writer waits for more before it ends: starting one costs as much as a commit.
const LINGER_FOR: Duration = Duration::from_millis(2);

/// How often the store's own work is done while there is any: daily sums, old rows, checkpoints.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// Between two steps of the store's own work when one is not enough.
const MAINTAIN_PAUSE: Duration = Duration::from_millis(20);

/// How often a batch that could not be committed is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// How long a gateway that stops goes on trying.
const FINISH_WITHIN: Duration = Duration::from_millis(1_500);

/// What keeps the file from being written.
pub(super) struct Trouble {
    said: String,
    retry_at: Instant,
}

/// Writes until nothing waits; says when it is to run again in any case.
pub(super) fn run(shared: &Shared, node: &Node, turn: u64) -> Option<Duration> {
    let mut books = lock(shared, node);
    let mut writer = Writer { shared, node, books: &mut books };
    while shared.journal.is_turn(turn) && writer.books.backing.is_some() {
        if writer.take(LINGER_FOR) == 0 && !writer.has_work() {
            writer.maintain();
            shared.journal.rest();
            // An entry that came just before went unannounced.
            if writer.take(Duration::ZERO) == 0 {
                return writer.next_run();
            }
            shared.journal.wake_quietly();
        }
        if writer.commit() > 1 {
            pause();
        }
        writer.maintain();
    }
    None
}

/// Writes all that waits, then closes the file. All others have ended, so nothing more comes.
pub(super) fn finish(shared: &Shared, node: &Node) {
    let mut books = lock(shared, node);
    let by = Instant::now() + FINISH_WITHIN;
    let mut writer = Writer { shared, node, books: &mut books };
    while writer.take(Duration::ZERO) > 0 || !writer.books.in_hand.is_empty() {
        writer.commit();
        if writer.books.trouble.is_some() {
            if Instant::now() > by {
                let entries = writer.books.in_hand.len();
                tracing::error!(
                    entries,
                    "the ledger could not be written to its end; calls that were open count with their bounds"
                );
                break;
            }
            pause();
        }
    }
    // Closes the file.
    books.backing = None;
}

#[expect(
    clippy::disallowed_methods,
    reason = "the writer has a blocking thread, and nothing else to do on it"
)]
fn pause() {
    std::thread::sleep(GATHER_FOR);
}

/// Waits for the writer before this one, if it is still at work.
fn lock<'a>(shared: &'a Shared, node: &Node) -> std::sync::MutexGuard<'a, Books> {
    let books = shared.journal.books();
    match books.lock() {
        Ok(books) => books,
        // The last writer died, perhaps with a transaction open.
        Err(poisoned) => {
            books.clear_poison();
            let mut books = PoisonError::into_inner(poisoned);
            let reopened = books.backing.as_mut().map_or(Ok(()), Backing::reopen);
            Writer { shared, node, books: &mut books }.note(reopened);
            books
        }
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    node: &'a Node,
    books: &'a mut Books,
}

impl Writer<'_> {
    fn take(&mut self, wait: Duration) -> usize {
        self.books.take(&self.shared.journal, wait)
    }

    /// Whether a commit would do something now.
    fn has_work(&self) -> bool {
        let may_try = self.books.trouble.as_ref().is_none_or(|trouble| trouble.retry_at <= Instant::now());
        may_try && !self.books.in_hand.is_empty()
    }

    /// When there is something to do though nothing comes; `None` when a run is due by then already.
    fn next_run(&mut self) -> Option<Duration> {
        let retry_at = self.books.trouble.as_ref().map(|trouble| trouble.retry_at);
        let at = retry_at.into_iter().chain(self.books.maintain_at).min()?;
        if self.books.next_run.is_some_and(|next| next <= at && next > Instant::now()) {
            return None;
        }
        self.books.next_run = Some(at);
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Commits what is in hand; says how much that was.
    fn commit(&mut self) -> usize {
        if !self.has_work() {
            self.refuse();
            return 0;
        }
        let batch = self.books.in_hand.len();
        let in_trouble = self.books.trouble.is_some();
        let Some(backing) = &mut self.books.backing else { return 0 };
        self.shared.journal.set_writing(Some(self.shared.clock.now()));
        let reopened = if in_trouble { backing.reopen() } else { Ok(()) };
        let committed = reopened.and_then(|()| backing.commit(&self.books.in_hand));
        if committed.is_ok() {
            self.books.in_hand.clear();
            for open in self.books.waiting.drain(..) {
                open.is_written(Ok(()));
            }
            self.shared.journal.done(batch);
            self.books.maintain_at.get_or_insert_with(|| Instant::now() + MAINTAIN_EVERY);
        }
        self.note(committed);
        self.refuse();
        batch
    }

    /// Tells those who wait that they need not, while there is trouble. Their changes stay in hand and are written
    /// when that is possible.
    fn refuse(&mut self) {
        if self.books.trouble.is_some() {
            for open in self.books.waiting.drain(..) {
                open.is_written(Err(NotWritten));
            }
        }
    }

    /// The store's own work, when it is due. Trouble with it alone is tried again like a batch.
    fn maintain(&mut self) {
        let now = Instant::now();
        let due = self.books.maintain_at.is_some_and(|at| at <= now);
        let due = due && self.books.trouble.as_ref().is_none_or(|trouble| trouble.retry_at <= now);
        if !due || !self.books.in_hand.is_empty() {
            return;
        }
        let Some(backing) = &mut self.books.backing else { return };
        let moment = self.shared.clock.now();
        self.shared.journal.set_writing(Some(moment));
        let maintained = backing.maintain(moment.unix_ms);
        self.books.maintain_at = match &maintained {
            Ok(is_more) => is_more.then(|| now + MAINTAIN_PAUSE),
            Err(_) => Some(now + RETRY_EVERY),
        };
        self.note(maintained.map(drop));
    }

    /// Goes into trouble, or out of it. The tree and the log say so once.
    fn note(&mut self, result: Result<(), StoreFault>) {
        self.shared.journal.set_writing(None);
        match result {
            Ok(()) => {
                let was_in_trouble = self.books.trouble.take().is_some();
                if was_in_trouble || self.shared.journal.is_failing() {
                    tracing::info!("the ledger can be written again");
                    self.node.set_trouble(None);
                    self.shared.journal.set_failing(false);
                }
            }
            Err(fault) => {
                let said = fault.to_string();
                if self.books.trouble.as_ref().is_none_or(|trouble| trouble.said != said) {
                    tracing::error!(fault = said, "the ledger cannot be written: requests are refused");
                    self.node.set_trouble(Some(said.clone()));
                }
                self.shared.journal.set_failing(true);
                self.books.trouble = Some(Trouble { said, retry_at: Instant::now() + RETRY_EVERY });
            }
        }
    }
}

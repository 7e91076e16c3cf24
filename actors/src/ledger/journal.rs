//! The ledger's queue and what belongs to it: they outlive the Ledger actor and its writer.
//!
//! Owns     the entries that wait, the changes in hand, the store, and every client's account as far as its
//!          entries have been taken.
//! Called   by limiters ([`Journal::reserved`], [`settled`](Journal::settled), [`load`](Journal::load)), and by
//!          the writer, which has the [`Books`] locked while it runs.
//! Bounded  by admission: [`Journal::refusal`] is asked before each.
//! Fails    never: a send cannot fail, as the receiver lives beside the sender.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use gateway_limits::{Now, Record, Saved};
use tokio::time::Instant;

use super::store::{AnswerOwner, Change, FailedAttempt, KeptAnswer, Reservation, Settlement};
use super::writer::Trouble;
use super::{Backing, LedgerMessage};
use crate::client::ClientId;
use crate::dispatch::OpenAdmission;
use crate::gate::Door;
use crate::refusal::Refusal;

/// Entries that may wait. One takes about 50 bytes; at 200,000 committed per second this is half a second.
const BEHIND_MAX: usize = 100_000;

/// Kept answers in memory: far more than a writer is ever behind by.
const RECENT_ANSWERS_MAX: usize = 10_000;

/// A write that takes longer hangs: in a disk, or a network drive that is gone.
const WRITE_MAX: Duration = Duration::from_secs(4);

/// Changes per transaction, so that a commit stays below some 10 ms.
const BATCH_MAX: usize = 2_048;

const DAY_MS: u64 = 86_400_000;

/// Takes a client's numbers; called by the writer and must only pass them on.
type LoadReply = Box<dyn FnOnce(Saved) + Send>;

enum Entry {
    Write(Write),
    Load { client: ClientId, reply: LoadReply },
    Keep(KeptAnswer),
    AttemptFailed(Box<FailedAttempt>),
    Forget { client: ClientId, now: Now },
}

/// One change of an account, not yet looked at.
#[derive(Clone)]
struct Write {
    what: What,
    open: Arc<OpenAdmission>,
    at: Now,
}

#[derive(Clone, Copy)]
enum What {
    Reserved,
    Settled,
}

/// The near end of the queue, which limiters have.
pub(crate) struct Journal {
    sender: Sender<Entry>,
    behind: AtomicUsize,
    is_failing: AtomicBool,
    /// Whether a writer runs, or is about to: then nobody needs to be told of another entry.
    is_awake: AtomicBool,
    /// When the writer turned to the file, in milliseconds of the gateway's clock and at least 1; 0 when it has not.
    writing_since: AtomicU64,
    /// Counts the Ledgers: a writer of an earlier one leaves the books to the next.
    turn: AtomicU64,
    ledger: ArcSwapOption<Door<LedgerMessage>>,
    /// Kept answers that may not be in the file yet.
    recent_answers: DashMap<Arc<str>, AnswerOwner>,
    books: Mutex<Books>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("behind", &self.behind).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn new(backing: Backing, accounts: HashMap<ClientId, Saved>) -> Self {
        let (sender, queue) = channel();
        Self {
            sender,
            behind: AtomicUsize::new(0),
            is_failing: AtomicBool::new(false),
            is_awake: AtomicBool::new(false),
            writing_since: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            ledger: ArcSwapOption::empty(),
            recent_answers: DashMap::new(),
            books: Mutex::new(Books {
                queue,
                backing: Some(backing),
                accounts,
                current: None,
                in_hand: Vec::new(),
                waiting: Vec::new(),
                trouble: None,
                // Once at the start: rows may have grown old meanwhile.
                maintain_at: Some(Instant::now()),
                next_run: None,
            }),
        }
    }

    /// Writes that an admission was granted; its holder is told when that is committed. Never blocks.
    pub(crate) fn reserved(&self, open: Arc<OpenAdmission>, at: Now) {
        self.queue(Entry::Write(Write { what: What::Reserved, open, at }));
    }

    /// Writes how an admission ended. Never blocks; the second time changes nothing.
    pub(crate) fn settled(&self, open: Arc<OpenAdmission>, at: Now) {
        self.queue(Entry::Write(Write { what: What::Settled, open, at }));
    }

    /// Writes whose an answer is that its upstream keeps. Never blocks.
    pub(crate) fn keep(&self, kept: KeptAnswer) {
        if self.recent_answers.len() >= RECENT_ANSWERS_MAX {
            // They are in the file by now; where nothing is written, they are lost.
            self.recent_answers.clear();
        }
        self.recent_answers.insert(Arc::clone(&kept.id), kept.owner.clone());
        self.queue(Entry::Keep(kept));
    }

    /// Writes what an attempt may be billed that failed. Never blocks; the second time changes nothing.
    pub(crate) fn attempt_failed(&self, failed: Box<FailedAttempt>) {
        self.queue(Entry::AttemptFailed(failed));
    }

    /// Whose an answer is, if it was made a short time ago; else the file says.
    pub(crate) fn recent_answer(&self, id: &str) -> Option<AnswerOwner> {
        self.recent_answers.get(id).map(|owner| owner.clone())
    }

    /// Asks for what is known of a client, behind all that was written before.
    pub(crate) fn load(&self, client: ClientId, reply: impl FnOnce(Saved) + Send + 'static) {
        self.queue(Entry::Load { client, reply: Box::new(reply) });
    }

    /// Lets go of what only a live limiter needs: its client has been idle for a minute.
    pub(crate) fn forget(&self, client: ClientId, now: Now) {
        self.queue(Entry::Forget { client, now });
    }

    /// Why nothing may be admitted now, if so: what cannot be accounted for is not done.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if self.is_failing.load(Ordering::Relaxed) {
            return Some(Refusal::LedgerUnavailable);
        }
        let behind = self.behind();
        (behind >= BEHIND_MAX).then_some(Refusal::LedgerBehind { behind })
    }

    /// Entries that wait to be written.
    pub(crate) fn behind(&self) -> usize {
        self.behind.load(Ordering::Relaxed)
    }

    pub(super) fn books(&self) -> &Mutex<Books> {
        &self.books
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Whether nothing is admitted from now on; says what held before.
    pub(crate) fn set_failing(&self, is_failing: bool) -> bool {
        self.is_failing.swap(is_failing, Ordering::Relaxed)
    }

    /// The writer turns to the file, or away from it.
    pub(super) fn set_writing(&self, since: Option<Now>) {
        self.writing_since.store(since.map_or(0, |since| milliseconds(since).max(1)), Ordering::Relaxed);
    }

    /// Whether a write hangs.
    pub(crate) fn is_stuck(&self, now: Now) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let is_stuck =
            since != 0 && Duration::from_millis(milliseconds(now).saturating_sub(since)) > WRITE_MAX;
        if is_stuck {
            self.set_failing(true);
        }
        is_stuck
    }

    /// From now on this Ledger has the books, and is told of entries. Its writer runs first thing, so it counts as
    /// awake.
    pub(super) fn begin_turn(&self, ledger: Door<LedgerMessage>) -> u64 {
        self.ledger.store(Some(Arc::new(ledger)));
        self.is_awake.store(true, Ordering::SeqCst);
        self.turn.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Ends the turn of the Ledger that has the books.
    pub(super) fn end_turn(&self) {
        self.turn.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn is_turn(&self, turn: u64) -> bool {
        self.turn.load(Ordering::SeqCst) == turn
    }

    /// The writer ends: the next entry is to be told of.
    pub(super) fn rest(&self) {
        self.is_awake.store(false, Ordering::SeqCst);
    }

    /// The writer goes on after all.
    pub(super) fn wake_quietly(&self) {
        self.is_awake.store(true, Ordering::SeqCst);
    }

    /// So many entries are done with.
    pub(super) fn done(&self, entries: usize) {
        self.behind.fetch_sub(entries, Ordering::Relaxed);
    }

    fn queue(&self, entry: Entry) {
        self.behind.fetch_add(1, Ordering::Relaxed);
        // The receiver lives in the same struct, so it cannot be gone.
        let _ = self.sender.send(entry);
        if !self.is_awake.swap(true, Ordering::SeqCst)
            && let Some(ledger) = self.ledger.load().as_ref()
        {
            // A Ledger that is gone has its writer run when it starts again.
            let _ = ledger.send_always(LedgerMessage::Work);
        }
    }
}

/// The far end of the queue and the accounts, touched only by the writer that holds the lock.
pub(crate) struct Books {
    queue: Receiver<Entry>,
    /// Gone once the gateway has stopped.
    pub(super) backing: Option<Backing>,
    accounts: HashMap<ClientId, Saved>,
    /// The write being looked at; still here when a writer died in the middle of it.
    current: Option<Write>,
    /// Changes that are in the accounts, and not yet known to be in the file.
    pub(super) in_hand: Vec<Change>,
    /// Who waits for what is in hand.
    pub(super) waiting: Vec<Arc<OpenAdmission>>,
    /// What keeps the file from being written.
    pub(super) trouble: Option<Trouble>,
    /// When the store's own work is due.
    pub(super) maintain_at: Option<Instant>,
    /// When the Ledger has its writer run in any case.
    pub(super) next_run: Option<Instant>,
}

impl Books {
    /// Takes what waits, at most one batch, and waits for the first entry no longer than this. Says how many it
    /// took.
    pub(super) fn take(&mut self, journal: &Journal, wait: Duration) -> usize {
        if let Some(write) = self.current.take() {
            self.write(journal, write);
        }
        let first = self.queue.try_recv().or_else(|_| self.queue.recv_timeout(wait));
        let Ok(first) = first else { return 0 };
        self.enter(journal, first);
        let mut taken = 1;
        while self.in_hand.len() < BATCH_MAX
            && let Ok(entry) = self.queue.try_recv()
        {
            self.enter(journal, entry);
            taken += 1;
        }
        taken
    }

    fn enter(&mut self, journal: &Journal, entry: Entry) {
        match entry {
            Entry::Write(write) => return self.write(journal, write),
            Entry::Load { client, reply } => reply(self.accounts.get(&client).cloned().unwrap_or_default()),
            Entry::Keep(kept) => return self.in_hand.push(Change::Kept(kept)),
            Entry::AttemptFailed(failed) => return self.in_hand.push(Change::AttemptFailed(failed)),
            Entry::Forget { client, now } => {
                if let Some(saved) = self.accounts.get_mut(&client) {
                    saved.forget(now);
                }
            }
        }
        journal.done(1);
    }

    /// Into the account, which so is ahead of the file by what is in hand: a limiter that dies while the file is
    /// in trouble gets numbers with nothing missing.
    fn write(&mut self, journal: &Journal, write: Write) {
        let Write { what, open, at } = self.current.insert(write).clone();
        let change = match what {
            What::Reserved => {
                let record =
                    Record::Reserved { id: open.id, at, tokens: open.ask.tokens, cost: open.ask.cost };
                let day = self.fold(&open.client, &record, at).unwrap_or(at.unix_ms / DAY_MS);
                Some(reservation(&open, at, day))
            }
            What::Settled => settlement(&open, at, |record| self.fold(&open.client, record, at)),
        };
        match change {
            Some(change) => {
                if matches!(what, What::Reserved) {
                    self.waiting.push(open);
                }
                self.in_hand.push(change);
            }
            // Settled before.
            None => journal.done(1),
        }
        self.current = None;
    }

    fn fold(&mut self, client: &ClientId, record: &Record, at: Now) -> Option<u64> {
        match self.accounts.get_mut(client) {
            Some(saved) => saved.apply(record, at),
            None => self.accounts.entry(client.clone()).or_default().apply(record, at),
        }
    }
}

fn milliseconds(now: Now) -> u64 {
    u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX)
}

fn reservation(open: &OpenAdmission, at: Now, day: u64) -> Change {
    let first = open.plan.at(0);
    Change::Reserved(Reservation {
        id: open.id,
        client: open.client.clone(),
        at,
        day,
        ask: open.ask,
        memo: open.memo.clone(),
        cost_known: first.price.is_some(),
        target: first.target.clone(),
    })
}

fn settlement(open: &OpenAdmission, at: Now, fold: impl FnOnce(&Record) -> Option<u64>) -> Option<Change> {
    let (booking, outcome) = (open.booking()?, open.outcome()?);
    let day = fold(&Record::Settled { id: open.id, at, outcome })?;
    Some(Change::Settled(Settlement {
        id: open.id,
        client: open.client.clone(),
        at,
        day,
        booking: *booking,
        outcome,
        cost_known: open.candidate().price.is_some(),
        target: open.candidate().target.clone(),
        key: open.key(),
    }))
}

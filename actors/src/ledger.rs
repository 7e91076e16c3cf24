//! The Ledger: the only writer of accounts, and where a reborn limiter gets its numbers from.
//!
//! Owns     what is saved of each client. In this version accounts live in memory; the queue and the
//!          messages are the interface behind which a durable store takes this one's place.
//! Called   by RateLimiter: [`Journal::append`] for each reservation and settlement, and
//!          [`Journal::load`] for a client's numbers, which travels the same queue and so reads behind
//!          all earlier writes.
//! Bounded  by admission: limiters admit nothing while [`Journal::is_behind`]; settlements always pass.
//! Fails    restarted by the root at once. The queue and the store belong to [`Shared`], not to the
//!          actor: an entry leaves the queue only after it was applied, and applying twice changes nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gateway_limits::{Record, Saved};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::client::ClientId;
use crate::gate::{Door, Mail};
use crate::shared::Shared;
use crate::tree::Node;

/// Entries that may wait. One takes about 100 bytes, so this is 10 MB; at 4 million applied per second it
/// is also more than the ledger can ever be behind while it runs.
const BEHIND_MAX: usize = 100_000;

/// Entries applied per turn, so that one turn stays below about a millisecond.
const BATCH_MAX: usize = 2_048;

/// How long writes are gathered while they keep coming: one wake-up then does for a thousand, and half of
/// the Ledger's work was being woken.
const GATHER_FOR: Duration = Duration::from_millis(1);

/// What is left after a batch.
enum Rest {
    /// More entries than fit in a batch.
    More,
    /// None now, but they have been coming: look again soon, without being woken.
    Later,
    /// None, and the next one wakes the Ledger.
    Nothing,
}

/// Takes a client's numbers; called on the Ledger's turn and must only pass them on.
type LoadReply = Box<dyn FnOnce(Saved) + Send>;

enum Entry {
    Write { client: ClientId, record: Record },
    Load { client: ClientId, reply: LoadReply },
    Forget { client: ClientId },
}

/// The queue's far end and the accounts, touched only by the Ledger actor.
struct Books {
    queue: Receiver<Entry>,
    /// The write being applied; still here when the actor died in the middle of it.
    in_hand: Option<(ClientId, Record)>,
    accounts: HashMap<ClientId, Saved>,
}

/// The ledger's queue and store: they outlive its actor.
pub struct Journal {
    sender: Sender<Entry>,
    behind: AtomicUsize,
    /// Whether the Ledger looks again by itself, so that a burst sends one message and not thousands.
    awake: AtomicBool,
    books: Mutex<Books>,
    ledger: ArcSwapOption<Door<LedgerMessage>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("behind", &self.behind).finish_non_exhaustive()
    }
}

impl Default for Journal {
    fn default() -> Self {
        let (sender, queue) = channel();
        Self {
            sender,
            behind: AtomicUsize::new(0),
            awake: AtomicBool::new(false),
            books: Mutex::new(Books { queue, in_hand: None, accounts: HashMap::new() }),
            ledger: ArcSwapOption::empty(),
        }
    }
}

impl Journal {
    /// Writes one record of a client's account. Never blocks.
    pub(crate) fn append(&self, client: ClientId, record: Record) {
        self.queue(Entry::Write { client, record });
    }

    /// Asks for what is saved of a client, behind all that was appended before. Somebody waits for it, so the
    /// Ledger is woken at once.
    pub(crate) fn load(&self, client: ClientId, reply: impl FnOnce(Saved) + Send + 'static) {
        self.queue(Entry::Load { client, reply: Box::new(reply) });
        self.wake();
    }

    /// Lets go of what only a live limiter needs: its client has been idle for a minute.
    pub(crate) fn forget(&self, client: ClientId) {
        self.queue(Entry::Forget { client });
    }

    /// How many entries wait, when they are too many to admit more.
    pub(crate) fn is_behind(&self) -> Option<usize> {
        let behind = self.behind.load(Ordering::Relaxed);
        (behind >= BEHIND_MAX).then_some(behind)
    }

    /// Entries that wait to be written.
    pub(crate) fn behind(&self) -> usize {
        self.behind.load(Ordering::Relaxed)
    }

    pub(crate) fn served_by(&self, ledger: Door<LedgerMessage>) {
        self.ledger.store(Some(Arc::new(ledger)));
    }

    fn queue(&self, entry: Entry) {
        self.behind.fetch_add(1, Ordering::Relaxed);
        // The receiver lives in the same struct, so it cannot be gone.
        let _ = self.sender.send(entry);
        if !self.awake.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Has the Ledger work through what waits.
    pub(crate) fn wake(&self) {
        if let Some(ledger) = self.ledger.load().as_ref() {
            // A Ledger that is gone works through the queue when it starts again.
            let _ = ledger.send_always(LedgerMessage::Work);
        }
    }

    /// Applies what waits, at most one batch.
    fn work(&self, shared: &Shared) -> Rest {
        // Poisoned means that a Ledger died in the middle of an entry: it is still in hand.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if books.in_hand.is_some() {
            self.finish_in_hand(&mut books, shared);
        }
        for done in 0..BATCH_MAX {
            if !self.apply_next(&mut books, shared) {
                if done > 0 {
                    return Rest::Later;
                }
                self.awake.store(false, Ordering::SeqCst);
                // An entry that came just before went unannounced.
                if !self.apply_next(&mut books, shared) {
                    return Rest::Nothing;
                }
                self.awake.store(true, Ordering::SeqCst);
                return Rest::Later;
            }
        }
        Rest::More
    }

    /// Applies one entry; says whether there was one.
    fn apply_next(&self, books: &mut Books, shared: &Shared) -> bool {
        let Ok(entry) = books.queue.try_recv() else { return false };
        match entry {
            Entry::Write { client, record } => {
                books.in_hand = Some((client, record));
                self.finish_in_hand(books, shared);
            }
            Entry::Load { client, reply } => {
                self.behind.fetch_sub(1, Ordering::Relaxed);
                reply(books.accounts.get(&client).cloned().unwrap_or_default());
            }
            Entry::Forget { client } => {
                self.behind.fetch_sub(1, Ordering::Relaxed);
                if let Some(saved) = books.accounts.get_mut(&client) {
                    saved.forget(shared.clock.now());
                }
            }
        }
        true
    }

    fn finish_in_hand(&self, books: &mut Books, shared: &Shared) {
        if let Some((client, record)) = &books.in_hand {
            let now = shared.clock.now();
            match books.accounts.get_mut(client) {
                Some(saved) => saved.apply(record, now),
                None => books.accounts.entry(client.clone()).or_default().apply(record, now),
            }
        }
        books.in_hand = None;
        self.behind.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the Ledger is told.
#[derive(Debug)]
pub enum LedgerMessage {
    /// Entries wait in the queue.
    Work,
}

/// The Ledger actor.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

impl Actor for Ledger {
    type Msg = Mail<LedgerMessage>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        let door = Door::new(myself, Arc::clone(self.node.gate()));
        self.shared.journal.served_by(door.clone());
        // What the last one left.
        let _ = door.send_always(LedgerMessage::Work);
        Ok(())
    }

    /// What waits when the gateway stops. All others have ended by then, so it comes to an end.
    async fn post_stop(&self, _: ActorRef<Self::Msg>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        while !matches!(self.shared.journal.work(&self.shared), Rest::Nothing) {}
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match self.node.open(mail) {
            LedgerMessage::Work => {
                let door = Door::new(myself, Arc::clone(self.node.gate()));
                match self.shared.journal.work(&self.shared) {
                    Rest::More => drop(door.send_always(LedgerMessage::Work)),
                    Rest::Later => crate::restart::send_later(&door, GATHER_FOR, LedgerMessage::Work),
                    Rest::Nothing => {}
                }
            }
        }
        Ok(())
    }
}

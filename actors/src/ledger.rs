//! The Ledger: the only writer of accounts, and where a reborn limiter gets its numbers from.
//!
//! Owns     the writer, which does the file's I/O on a blocking thread: an actor's turn must not wait for a disk.
//! Called   by limiters through the `Journal`, by the root at start and stop.
//! Bounded  by admission: limiters admit nothing while `Journal::refusal` says so; settlements always pass.
//! Fails    restarted by the root at once, with a new writer, which waits for the old one's last transaction.
//!          Queue, store and what was in hand belong to [`Shared`], not to the actor: a change leaves them only
//!          once it is committed, and committing it twice changes nothing.
//!
//! | file | is |
//! | --- | --- |
//! | `journal` | the queue that outlives the actor, and who may admit |
//! | `writer` | takes what waits, commits it as one transaction, tells who waits for that |
//! | `store` | the SQLite file: what is committed, and what a new process begins with |

mod fault;
mod journal;
mod lock;
mod mark;
pub mod private;
mod query;
mod recovery;
mod retention;
mod schema;
mod store;
mod sums;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::gate::{Door, Mail};
use crate::restart;
use crate::shared::Shared;
use crate::tree::Node;

pub use fault::StoreFault;
pub use query::{Column, UsageQuery, UsageRow, answer_owners, usage};
pub use store::{
    AnswerOwner, Change, Durability, FailedAttempt, KeptAnswer, Maintained, Recovered, Reservation,
    Settlement, Store, StoreSettings,
};

pub(crate) use journal::Journal;

/// Where accounts are kept beside the memory, in which they always are.
#[derive(Debug)]
pub enum Backing {
    /// Nowhere: they end with the process.
    Nothing,
    /// In a file.
    File(Box<Store>),
}

impl Backing {
    fn commit(&mut self, batch: &[Change]) -> Result<(), StoreFault> {
        match self {
            Self::Nothing => Ok(()),
            Self::File(store) => store.commit(batch),
        }
    }

    fn reopen(&mut self) -> Result<(), StoreFault> {
        match self {
            Self::Nothing => Ok(()),
            Self::File(store) => store.reopen(),
        }
    }

    /// Says whether there is more to do soon.
    fn maintain(&mut self, unix_ms: u64) -> Result<bool, StoreFault> {
        match self {
            Self::Nothing => Ok(false),
            Self::File(store) => store.maintain(unix_ms).map(|maintained| maintained.is_more),
        }
    }
}

/// What the Ledger is told.
#[derive(Debug)]
pub enum LedgerMessage {
    /// Entries wait, or something else is due: have the writer run.
    Work,
    /// The writer has nothing more to do, until so long from now at most.
    Rests(Option<Duration>),
    /// The writer has panicked.
    WriterDied,
}

/// The Ledger actor.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: Arc<Node>,
}

impl Actor for Ledger {
    type Msg = Mail<LedgerMessage>;
    /// Its turn with the books.
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, (): ()) -> Result<u64, ActorProcessingErr> {
        let door = self.door(myself);
        let turn = self.shared.journal.begin_turn(door.clone());
        self.write(turn, door);
        Ok(turn)
    }

    /// Everything that waits is written when the gateway stops. All others have ended by then, so it comes to an
    /// end.
    async fn post_stop(&self, _: ActorRef<Self::Msg>, _: &mut u64) -> Result<(), ActorProcessingErr> {
        self.shared.journal.end_turn();
        if self.shared.is_stopping() {
            let (shared, node) = (Arc::clone(&self.shared), Arc::clone(&self.node));
            tokio::task::spawn_blocking(move || writer::finish(&shared, &node)).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        turn: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        let message = self.node.open(mail);
        let door = self.door(myself);
        match message {
            LedgerMessage::Work => self.write(*turn, door),
            LedgerMessage::Rests(Some(pause)) => restart::send_later(&door, pause, LedgerMessage::Work),
            LedgerMessage::Rests(None) => {}
            LedgerMessage::WriterDied => return Err("the ledger's writer has died".into()),
        }
        Ok(())
    }
}

impl Ledger {
    fn door(&self, myself: ActorRef<Mail<LedgerMessage>>) -> Door<LedgerMessage> {
        Door::new(myself, Arc::clone(self.node.gate()))
    }

    /// Has the writer run. One that runs already ends first.
    fn write(&self, turn: u64, door: Door<LedgerMessage>) {
        let (shared, node) = (Arc::clone(&self.shared), Arc::clone(&self.node));
        let mut last_word = LastWord { door, rests: None };
        // Not awaited: its last word comes as a message, also when it panics.
        drop(tokio::task::spawn_blocking(move || {
            last_word.is(writer::run(&shared, &node, turn));
        }));
    }
}

/// Tells the Ledger how its writer ended.
struct LastWord {
    door: Door<LedgerMessage>,
    rests: Option<Option<Duration>>,
}

impl LastWord {
    fn is(&mut self, rests: Option<Duration>) {
        self.rests = Some(rests);
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        let word = self.rests.map_or(LedgerMessage::WriterDied, LedgerMessage::Rests);
        // A Ledger that is gone has its writer run when it starts again.
        let _ = self.door.send_always(word);
    }
}

//! Whose what an upstream keeps is: looked up in memory, and in the ledger's file where memory does not know.
//!
//! Owns     the places for look-ups in the file, each on the blocking pool.
//! Called   by the handlers before an upstream is asked about an id, and for the elements of its lists.
//! Bounded  by [`LOOKED_UP_AT_ONCE`]: readers share the disk with the accounts' writer. One look-up opens the file once,
//!          however many ids it is for; who comes meanwhile waits.
//! Fails    with [`Fault::LedgerUnreadable`]. An id that is unknown, older than 30 days or another client's is nobody's:
//!          they look the same.

use std::path::PathBuf;

use gateway_actors::Client;
use gateway_actors::ledger::{self, AnswerOwner};
use tokio::sync::Semaphore;

use crate::fault::Fault;
use crate::front::{Exchange, Front};

/// Look-ups at once: as many as questions for the usage, which read the same file.
const LOOKED_UP_AT_ONCE: usize = 2;

/// Looks owners up.
#[derive(Debug)]
pub struct OwnerReader {
    ledger: PathBuf,
    places: Semaphore,
}

impl OwnerReader {
    /// A reader of the ledger at this path.
    pub fn new(ledger: PathBuf) -> Self {
        Self { ledger, places: Semaphore::new(LOOKED_UP_AT_ONCE) }
    }

    /// In the order of the ids.
    async fn read(&self, ids: Vec<String>) -> Result<Vec<Option<AnswerOwner>>, Fault> {
        let _place = self.places.acquire().await.map_err(|_| Fault::Bug)?;
        let path = self.ledger.clone();
        let found = tokio::task::spawn_blocking(move || ledger::answer_owners(&path, &ids)).await;
        found.map_err(|_| Fault::Bug)?.map_err(|fault| {
            tracing::error!(%fault, "the ledger cannot be read");
            Fault::LedgerUnreadable
        })
    }
}

/// Of each of these ids, who has it, if it is this client's.
pub(in crate::handlers) async fn owners(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    ids: &[&str],
) -> Result<Vec<Option<AnswerOwner>>, Fault> {
    let shared = front.gateway.shared();
    let mut owners: Vec<Option<AnswerOwner>> = ids.iter().map(|id| shared.recent_answer(id)).collect();
    let unknown: Vec<usize> = (0..ids.len()).filter(|at| owners[*at].is_none()).collect();
    if !unknown.is_empty() && exchange.live.settings.ledger.durability.is_some() {
        let asked = unknown.iter().map(|at| ids[*at].to_owned()).collect();
        let found = front.owners.read(asked).await?;
        unknown.into_iter().zip(found).for_each(|(at, owner)| owners[at] = owner);
    }
    owners.iter_mut().for_each(|owner| *owner = owner.take().filter(|owner| owner.client == client.id));
    Ok(owners)
}

/// Who has a response, its item, an interaction, file or batch, if it is this client's; `what` says which for an error.
pub(in crate::handlers) async fn owned(
    front: &Front,
    exchange: &Exchange,
    client: &Client,
    what: &'static str,
    id: &str,
) -> Result<AnswerOwner, Fault> {
    let found = owners(front, exchange, client, &[id]).await?.pop().flatten();
    found.ok_or_else(|| Fault::NotFound { what, name: id.to_owned() })
}

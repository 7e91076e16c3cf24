//! What tells one stream apart from others once it flows, and whose an answer is that its upstream keeps.

use std::sync::Arc;

use gateway_actors::ClientId;
use gateway_actors::ledger::AnswerOwner;
use gateway_actors::shared::Shared;
use gateway_protocols::error::Dialect;
use tokio::time::Instant;

use crate::front::InFlight;
use crate::request_id::RequestId;
use crate::settings::Timeouts;

/// What tells a stream apart from others once it flows.
#[derive(Debug)]
pub struct RelayContext {
    /// The client's protocol, for an error event.
    pub dialect: Dialect,
    /// The request's id, for an error event.
    pub request_id: RequestId,
    /// The provider's name, for an error event.
    pub provider: Arc<str>,
    /// The clocks.
    pub timeouts: Timeouts,
    /// When the client's request arrived.
    pub arrived: Instant,
    /// The request's place among those in flight; held until the stream is dropped.
    pub in_flight: InFlight,
    /// Whether the stream is one JSON array instead of server-sent events.
    pub is_array: bool,
    /// Who may ask for the answer again, where the upstream keeps it, and where that is noted.
    pub keeper: Option<(Arc<Shared>, ClientId)>,
}

/// Notes whose an answer is that its upstream keeps.
#[derive(Debug)]
pub struct Keeper {
    /// Where it is noted.
    pub shared: Arc<Shared>,
    /// Whose it is.
    pub owner: AnswerOwner,
}

impl Keeper {
    /// The upstream keeps the answer, or a part of it, under this id.
    pub fn note(&self, id: &str) {
        self.shared.keep_answer(id, self.owner.clone());
    }
}

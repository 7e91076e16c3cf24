//! `GET /admin/health`: how the gateway is, in more words than `/health` has for everybody.
//!
//! Answered without asking any actor, so it is there also while one is stuck.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::audit::Author;
use crate::front::Front;

/// The name of the ledger's actor in the tree.
const LEDGER: &str = "Ledger";

/// `ok`, or `degraded` while something waits for a person: files that cannot be used, a ledger that cannot be
/// written.
pub(super) fn health(front: &Front) -> Value {
    let shared = front.gateway.shared();
    let attempts = front.reloader.attempts();
    let last = &attempts.last;
    let tree = shared.tree().view();
    let ledger = tree.iter().flat_map(|root| &root.children).find(|node| node.name == LEDGER);
    let trouble = ledger.and_then(|node| node.reason.as_deref());
    let draining = front.draining.load(Ordering::Acquire);
    let status = match (draining, last.fault.is_some() || trouble.is_some()) {
        (true, _) => "draining",
        (false, true) => "degraded",
        (false, false) => "ok",
    };
    json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "draining": draining,
        "generation": shared.clients().generation(),
        "clients": shared.clients().len(),
        "in_force_since": attempts.in_force_since.to_string(),
        "last_reload": {
            "at": last.at.to_string(),
            "by": last.author.as_ref().map_or("start", Author::as_str),
            "ok": last.fault.is_none(),
            "faults": last.fault.as_ref().map(|fault| fault.details()).unwrap_or_default(),
            "needs_restart": last.needs_restart,
            "warnings": last.warnings,
        },
        "ledger": {
            "state": ledger.map_or("stopped", |node| node.state.as_str()),
            "trouble": trouble,
            "behind": shared.ledger_behind(),
        },
        "requests_in_flight": front.in_flight.depth(),
        "calls_in_flight": shared.calls_in_flight(),
    })
}

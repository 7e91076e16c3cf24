//! `GET /admin/tree`: every actor below its supervisor, without asking any of them.

use gateway_actors::tree::NodeView;
use serde_json::{Value, json};

use crate::front::Front;

/// The tree, or what is to be shown of it, and what is open in it.
pub(in crate::handlers) fn tree(front: &Front, nodes: &[NodeView]) -> Value {
    let shared = front.gateway.shared();
    let nodes: Vec<Value> = nodes.iter().map(node).collect();
    json!({
        "tree": nodes,
        "open_admissions": shared.open_admissions().len(),
        "calls_in_flight": shared.calls_in_flight(),
        "ledger_behind": shared.ledger_behind(),
    })
}

fn node(view: &NodeView) -> Value {
    json!({
        "name": view.name,
        "kind": view.kind,
        "state": view.state.as_str(),
        "restarts": view.restarts,
        "mailbox": {"depth": view.mailbox_depth, "max": view.mailbox_max},
        "age_ms": u64::try_from(view.age.as_millis()).unwrap_or(u64::MAX),
        "reason": view.reason,
        "children": view.children.iter().map(node).collect::<Vec<_>>(),
    })
}

//! `GET /admin/live`: each request as it ends, and each second the state of the gateway, as server-sent events.
//!
//! Owns     the places of those who watch.
//! Called   by `admin`, behind the admin token; polled by the watcher's connection.
//! Bounded  by [`WATCHERS_MAX`]; what waits for one watcher by the request log's feed, and who reads too slowly is
//!          told how many requests it missed; [`CLIENTS_SHOWN_MAX`] clients, [`CHILDREN_SHOWN_MAX`] actors below one
//!          and [`MODELS_SHOWN_MAX`] models of a key. While nobody watches there is no timer and nothing is written.
//! Fails    with 503 when all places are taken. What cannot be asked of the tree just now is `null`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use gateway_actors::gate::{Gate, Pass};
use gateway_actors::tree::{NodeState, NodeView};
use gateway_actors::{Client, ClientId};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior};
use warp::reply::{Reply, Response};

use super::{admin, requests};
use crate::fault::Fault;
use crate::front::Front;
use crate::request_log::{Fed, Feed};

/// Those who can watch at once; each costs a look at the whole tree a second.
const WATCHERS_MAX: usize = 16;

/// How often the state is told.
const STATE_EVERY: Duration = Duration::from_secs(1);

/// Clients in a state; each is one message to its limiter.
const CLIENTS_SHOWN_MAX: usize = 50;

/// Children of one actor in a state, those in trouble first.
const CHILDREN_SHOWN_MAX: usize = 100;

/// Models of one key in a state, those that rest first.
const MODELS_SHOWN_MAX: usize = 50;

/// The places of those who watch.
#[derive(Debug)]
pub struct LiveView(Arc<Gate>);

impl Default for LiveView {
    fn default() -> Self {
        Self(Gate::new(WATCHERS_MAX))
    }
}

struct Watcher {
    front: Arc<Front>,
    feed: Feed,
    state_due: Interval,
    _place: Pass,
}

/// Answers with a stream that ends with the watcher, or with the gateway.
pub(super) fn answer(front: &Arc<Front>) -> Result<Response, Fault> {
    let max = front.live_view.0.max();
    let place = front.live_view.0.enter().ok_or(Fault::LiveViewFull { max })?;
    let mut state_due = tokio::time::interval(STATE_EVERY);
    // A watcher that was slow wants the state of now, not of each second since.
    state_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = front.observer.requests.watch();
    let watcher = Watcher { front: Arc::clone(front), feed, state_due, _place: place };
    let mut response = warp::reply::stream(events(watcher)).into_response();
    let event_stream = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, event_stream);
    Ok(response)
}

fn events(watcher: Watcher) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((Ok(event), watcher))
    })
}

impl Watcher {
    /// The next event; `None` once the gateway stops.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            () = self.front.stop_accepting.cancelled() => None,
            fed = self.feed.next() => Some(match fed? {
                Fed::Ended(record) => event("request", &requests::summary(&record)),
                Fed::Missed(missed) => event("missed", &json!({ "requests": missed })),
            }),
            _ = self.state_due.tick() => Some(event("state", &state(&self.front).await)),
        }
    }
}

fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

async fn state(front: &Arc<Front>) -> Value {
    let live = front.live.load_full();
    let mut nodes = front.gateway.shared().tree().view();
    let active = active_clients(front, &nodes);
    let left_out = shorten(&mut nodes);
    let mut state = admin::tree::tree(front, &nodes);
    state["actors_not_shown"] = left_out.into();
    let mut clients = Vec::new();
    for client in active.iter().take(CLIENTS_SHOWN_MAX) {
        clients.push(admin::clients::client(front, client).await.unwrap_or(Value::Null));
    }
    state["clients"] = clients.into();
    state["clients_not_shown"] = active.len().saturating_sub(CLIENTS_SHOWN_MAX).into();
    let providers = admin::providers::providers(front, &live, MODELS_SHOWN_MAX).await;
    state["providers"] = providers.map_or(Value::Null, |mut providers| providers["providers"].take());
    state["in_flight"] = json!({ "requests": front.in_flight.depth(), "max": front.in_flight.max() });
    state["requests_ended"] = front.observer.requests.count().into();
    state
}

/// Clients that have a limiter: they asked for something lately.
fn active_clients(front: &Front, nodes: &[NodeView]) -> Vec<Arc<Client>> {
    let mut names = Vec::new();
    limiters(nodes, &mut names);
    let table = front.gateway.shared().clients();
    names.iter().filter_map(|name| table.get(name).cloned()).collect()
}

/// Leaves of many children those that an operator looks for; returns how many others there are.
fn shorten(nodes: &mut Vec<NodeView>) -> usize {
    let too_many = nodes.len().saturating_sub(CHILDREN_SHOWN_MAX);
    if too_many > 0 {
        nodes.sort_by_key(|node| node.state == NodeState::Running);
        nodes.truncate(CHILDREN_SHOWN_MAX);
    }
    too_many + nodes.iter_mut().map(|node| shorten(&mut node.children)).sum::<usize>()
}

/// The names of the clients whose limiters are in the tree.
fn limiters(nodes: &[NodeView], names: &mut Vec<ClientId>) {
    for node in nodes {
        let client = node.name.strip_prefix("RateLimiter ");
        names.extend(client.and_then(|client| ClientId::parse(client).ok()));
        limiters(&node.children, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: String, state: NodeState, children: Vec<NodeView>) -> NodeView {
        let (mailbox_depth, mailbox_max, age) = (0, 1, Duration::ZERO);
        NodeView {
            name,
            kind: "",
            state,
            restarts: 0,
            mailbox_depth,
            mailbox_max,
            age,
            reason: None,
            children,
        }
    }

    #[test]
    fn of_many_children_those_in_trouble_are_shown_and_the_others_are_counted() {
        let mut children: Vec<NodeView> =
            (0..130).map(|at| node(format!("child {at}"), NodeState::Running, Vec::new())).collect();
        children[120].state = NodeState::Resting;
        let mut nodes = vec![node("root".to_owned(), NodeState::Running, children)];
        assert_eq!(shorten(&mut nodes), 30);
        assert_eq!((nodes[0].children.len(), &*nodes[0].children[0].name), (100, "child 120"));
        assert_eq!(shorten(&mut nodes), 0);
    }
}

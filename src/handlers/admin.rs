//! The operators' routes below `/admin`: JSON, behind the admin token.

use std::sync::Arc;

use gateway_actors::provider::KeyView;
use gateway_actors::tree::NodeView;
use gateway_actors::{Client, ClientId};
use gateway_limits::Meter;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};
use warp::reply::Response;

use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::live::Live;
use crate::respond;
use crate::routes::{Matched, Route};
use crate::trail::usd;

use super::{live, requests, usage};

/// Answers one request of an operator.
pub async fn answer(
    front: &Arc<Front>,
    exchange: &Exchange,
    matched: Matched<'_>,
) -> Result<Response, Fault> {
    let value = |body: Value| respond::json(body.to_string());
    let mut response = match matched.line.route {
        Route::AdminTree => value(tree(front, &front.gateway.shared().tree().view())),
        Route::AdminReload => value(reload(front).await?),
        Route::AdminClients => value(clients(front).await?),
        Route::AdminClient => {
            let not_found = || Fault::NotFound { what: "client", name: matched.rest.to_owned() };
            let client = front.gateway.shared().clients().get(matched.rest).cloned();
            let client = client.ok_or_else(not_found)?;
            value(self::client(front, &client).await?)
        }
        Route::AdminProviders => value(providers(front, &exchange.live).await?),
        Route::AdminUsage => usage::answer(front, exchange).await?,
        Route::AdminRequests => value(requests::list(front, &exchange.query)?),
        Route::AdminRequest => value(requests::one(front, matched.rest)?),
        Route::AdminLive => live::answer(front)?,
        _ => return Err(Fault::Bug),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The tree, or what is to be shown of it, and what hangs on it.
pub(super) fn tree(front: &Front, nodes: &[NodeView]) -> Value {
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

async fn reload(front: &Arc<Front>) -> Result<Value, Fault> {
    let report = front.reloader.reload(front).await?;
    let ids = |ids: &[ClientId]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    Ok(json!({
        "generation": report.clients.generation,
        "count": report.count,
        "added": ids(&report.clients.added),
        "changed": ids(&report.clients.changed),
        "removed": ids(&report.clients.removed),
        "unchanged": report.clients.unchanged,
        "needs_restart": report.needs_restart,
        "warnings": report.warnings,
    }))
}

async fn clients(front: &Front) -> Result<Value, Fault> {
    let table = front.gateway.shared().clients().clone();
    let mut all: Vec<&Arc<Client>> = table.clients().collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let mut shown = Vec::with_capacity(all.len());
    for known in all {
        shown.push(client(front, known).await?);
    }
    Ok(json!({ "clients": shown }))
}

/// One client and the state of its limits.
pub(super) async fn client(front: &Front, client: &Client) -> Result<Value, Fault> {
    let view = front.gateway.inspect(client.id.clone()).await?;
    let amounts = |amount: fn(&Meter) -> u64| {
        let named = view.meters().map(|meter| {
            let amount = amount(&meter);
            let shown = if meter.name.is_money() { usd(amount) } else { amount.into() };
            (meter.name.as_str().to_owned(), shown)
        });
        Value::Object(named.collect())
    };
    Ok(json!({
        "id": client.id.as_str(),
        "name": client.name,
        "disabled": client.disabled,
        "credentials": client.credentials.len(),
        "limits": amounts(|meter| meter.max),
        "used": amounts(|meter| meter.used),
        "reserved": amounts(|meter| meter.reserved),
        "remaining": amounts(|meter| meter.remaining),
        "in_flight": view.in_flight,
        "tokens_today": view.tokens_today,
        "usd_today": usd(view.cost_today),
        "usd_this_month": usd(view.cost_this_month),
        "debt": view.debt,
        "usd_debt": usd(view.cost_debt),
    }))
}

/// All providers and the state of their keys.
pub(super) async fn providers(front: &Front, live: &Live) -> Result<Value, Fault> {
    let keys = front.gateway.keys().await?;
    let providers = live.settings.providers.values().map(|provider| {
        let own = keys.iter().filter(|key| key.provider == provider.name);
        json!({
            "name": &*provider.name,
            "kind": provider.kind.as_str(),
            "can_be_called": provider.can_be_called(),
            "max_concurrency": provider.max_concurrency,
            "keys": own.map(key).collect::<Vec<_>>(),
        })
    });
    Ok(json!({ "providers": providers.collect::<Vec<_>>() }))
}

fn key(view: &KeyView) -> Value {
    let health = &view.health;
    json!({
        "name": &*view.key_name,
        "in_flight": view.in_flight,
        "answered": view.answered,
        "failed": health.failed,
        "abandoned": view.abandoned,
        "consecutive_failures": health.consecutive_failures,
        "first_byte_ms": view.first_byte.map(|time| time.as_secs_f64() * 1e3),
        "last_failure": health.last_failure.map(|(what, at)| json!({
            "what": what,
            "seconds_ago": at.elapsed().as_secs_f64(),
        })),
    })
}

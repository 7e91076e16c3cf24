//! `GET /admin/clients` and `GET /admin/clients/ID`: what clients may do, and what they have used.

use std::sync::Arc;

use gateway_actors::Client;
use gateway_limits::Meter;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client_members::{credentials, members};
use crate::fault::Fault;
use crate::front::Front;
use crate::trail::usd;

/// All clients, by id.
pub(super) async fn clients(front: &Front) -> Result<Value, Fault> {
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
pub(in crate::handlers) async fn client(front: &Front, client: &Client) -> Result<Value, Fault> {
    let view = front.gateway.inspect(client.id.clone()).await?;
    let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
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
        "credentials": credentials(client, now_ms),
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
        "settings": members(client),
    }))
}

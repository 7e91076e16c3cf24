//! The operators' routes below `/admin`: JSON, behind the admin token.
//!
//! Called   by the front door, once the token has been checked.
//! Fails    with a [`Fault`]; what an operator did wrong is told in full.

mod changes;
pub(super) mod clients;
mod health;
pub(super) mod providers;
mod recent_changes;
pub(super) mod tree;

use std::sync::Arc;

use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::Value;
use warp::reply::Response;

use crate::audit::Author;
use crate::body::BufferedBody;
use crate::fault::Fault;
use crate::front::{Exchange, Front};
use crate::respond;
use crate::routes::{Matched, Route};

use super::{live, requests, usage};

/// Whether a route has something to be read in the request's body.
pub fn takes_body(route: Route) -> bool {
    matches!(route, Route::AdminClientNew | Route::AdminClientPatch | Route::AdminClientRotate)
}

/// Answers one request of an operator; `body` is there where [`takes_body`] says so.
pub async fn answer(
    front: &Arc<Front>,
    exchange: &Exchange,
    matched: Matched<'_>,
    body: Option<BufferedBody>,
) -> Result<Response, Fault> {
    let value = |body: Value| respond::json(body.to_string());
    let author =
        || Author::Admin { address: exchange.origin.address, request_id: exchange.id.as_str().to_owned() };
    let id = matched.rest;
    let mut response = match (matched.line.route, &body) {
        (Route::AdminTree, _) => value(tree::tree(front, &front.gateway.shared().tree().view())),
        (Route::AdminHealth, _) => value(health::health(front)),
        (Route::AdminAudit, _) => value(recent_changes::answer(front, exchange).await?),
        (Route::AdminReload, _) => value(changes::reload(front, author()).await?),
        (Route::AdminClients, _) => value(clients::clients(front).await?),
        (Route::AdminClient, _) => {
            let not_found = || Fault::NotFound { what: "client", name: id.to_owned() };
            let client = front.gateway.shared().clients().get(id).cloned();
            let client = client.ok_or_else(not_found)?;
            value(clients::client(front, &client).await?)
        }
        (Route::AdminClientNew, Some(body)) => changes::new(front, author(), body).await?,
        (Route::AdminClientPatch, Some(body)) => changes::patch(front, author(), id, body).await?,
        (Route::AdminClientRotate, Some(body)) => changes::rotate(front, author(), id, body).await?,
        (Route::AdminClientDisable, _) => changes::set_disabled(front, author(), id, true).await?,
        (Route::AdminClientEnable, _) => changes::set_disabled(front, author(), id, false).await?,
        (Route::AdminProviders, _) => value(providers::providers(front, &exchange.live, usize::MAX).await?),
        (Route::AdminUsage, _) => usage::answer(front, exchange).await?,
        (Route::AdminRequests, _) => value(requests::list(front, &exchange.query)?),
        (Route::AdminRequest, _) => value(requests::one(front, id)?),
        (Route::AdminLive, _) => live::answer(front)?,
        _ => return Err(Fault::Bug),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

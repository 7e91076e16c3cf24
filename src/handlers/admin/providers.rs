//! `GET /admin/providers`: every provider with the state of its keys.

use gateway_actors::provider::KeyView;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::front::Front;
use crate::live::Live;

/// The providers of the settings in force, in their order.
pub(in crate::handlers) async fn providers(front: &Front, live: &Live) -> Result<Value, Fault> {
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

//! `GET /admin/providers`: every provider with the state of its keys.

use std::time::Duration;

use gateway_actors::provider::{BreakerState, KeyView, ModelView};
use gateway_actors::standing::QuotaMeter;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::front::Front;
use crate::live::Live;
use crate::trail::ms;

/// The providers of the settings in force, in their order, each key with at most so many models: those that rest first
/// where not all are shown.
pub(in crate::handlers) async fn providers(
    front: &Front,
    live: &Live,
    models_max: usize,
) -> Result<Value, Fault> {
    let keys = front.gateway.keys().await?;
    let providers = live.settings.providers.values().map(|provider| {
        let own = keys.iter().filter(|key| key.provider == provider.name);
        json!({
            "name": &*provider.name,
            "kind": provider.kind.as_str(),
            "can_be_called": provider.can_be_called(),
            "max_concurrency": provider.max_concurrency,
            "keys": own.map(|view| key(view, models_max)).collect::<Vec<_>>(),
        })
    });
    Ok(json!({ "providers": providers.collect::<Vec<_>>() }))
}

fn key(view: &KeyView, models_max: usize) -> Value {
    let health = &view.health;
    let mut models: Vec<&ModelView> = view.models.iter().collect();
    if models.len() > models_max {
        models.sort_by_key(|model| model.breaker == BreakerState::Closed);
        models.truncate(models_max);
    }
    json!({
        "name": &*view.key_name,
        "breaker": view.breaker.as_str(),
        "rests_ms": rest(view.breaker).map(ms),
        "models": models.into_iter().map(|shown| model(shown, view.at)).collect::<Vec<_>>(),
        "in_flight": view.in_flight,
        "answered": view.answered,
        "failed": health.failed,
        "abandoned": view.abandoned,
        "consecutive_failures": health.consecutive_failures,
        "first_byte_ms": view.first_byte.map(ms),
        "last_failure": health.last_failure.map(|(what, at)| json!({
            "what": what,
            "seconds_ago": at.elapsed().as_secs_f64(),
        })),
    })
}

fn model(view: &ModelView, now: Duration) -> Value {
    let meter = |meter: QuotaMeter| {
        json!({
            "limit": meter.limit,
            "remaining": meter.remaining,
            "resets_ms": ms(meter.resets_at.saturating_sub(now)),
        })
    };
    json!({
        "model": &*view.model,
        "breaker": view.breaker.as_str(),
        "rests_ms": rest(view.breaker).map(ms),
        "limited": matches!(view.breaker, BreakerState::Open { is_limited: true, .. }),
        "latency_ms": view.latency.map(ms),
        "quota": view.quota.map(|quota| json!({
            "requests": quota.requests.map(meter),
            "tokens": quota.tokens.map(meter),
        })),
    })
}

/// For how long a breaker is open yet.
fn rest(breaker: BreakerState) -> Option<Duration> {
    match breaker {
        BreakerState::Open { rests_for, .. } => Some(rests_for),
        BreakerState::Closed | BreakerState::HalfOpen => None,
    }
}

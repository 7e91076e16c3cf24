//! A step in words and numbers, for people and for exporters of traces.
//!
//! Called   by the admin routes and the exporter of traces, never while a request is answered.
//! Fails    never. There is no wildcard arm: a new step must choose its name.

use std::time::Duration;

use gateway_actors::Target;
use gateway_limits::{Usage, Usd};
use serde_json::{Map, Value, json};

use super::Step;

/// The parts of a usage.
pub fn usage(usage: Usage) -> Value {
    let Usage { input, cache_read, cache_write, output, reasoning } = usage;
    json!({
        "input": input,
        "cache_read": cache_read,
        "cache_write": cache_write,
        "output": output,
        "reasoning": reasoning,
    })
}

/// Milliseconds, to the microsecond.
pub fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// An amount of pico-dollars as a number of dollars, as near as a reader of JSON can have it.
pub fn usd(pico: u64) -> Value {
    Usd(pico).to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn target(Target { provider, model }: &Target) -> String {
    format!("{provider}/{model}")
}

impl Step {
    /// Its name and an object of what it says, `null` if that is all.
    pub fn named(&self) -> (&'static str, Value) {
        match self {
            Self::Routed { endpoint } => ("routed", json!({ "endpoint": endpoint })),
            Self::Known { client } => ("known", json!({ "client": client.as_str() })),
            Self::BodyRead { bytes } => ("body_read", json!({ "bytes": bytes })),
            Self::Asked { model, stream } => ("asked", json!({ "model": model, "stream": stream })),
            Self::Targets(targets) => {
                ("targets", json!({ "targets": targets.iter().map(target).collect::<Vec<_>>() }))
            }
            Self::WouldRefuse { limit } => ("would_refuse", json!({ "limit": limit })),
            Self::Dropped { target: dropped, why } => {
                ("dropped", json!({ "target": target(dropped), "why": why }))
            }
            Self::Admitted { tokens, cost } => {
                ("admitted", json!({ "tokens_reserved": tokens, "usd_reserved": usd(*cost) }))
            }
            Self::Refused { status, why, facts } => {
                let mut members = Map::from_iter([
                    ("status".to_owned(), Value::from(*status)),
                    ("why".to_owned(), Value::from(*why)),
                ]);
                members.extend(facts.members());
                ("refused", members.into())
            }
            Self::Leased { provider, key, model, attempt } => (
                "leased",
                json!({ "provider": &**provider, "key": &**key, "model": &**model, "attempt": attempt }),
            ),
            Self::AttemptFailed { provider, key, what, status, next, used } => (
                "attempt_failed",
                json!({
                    "provider": &**provider,
                    "key": &**key,
                    "what": what,
                    "status": status,
                    "next": next,
                    "took_ms": ms(used.took),
                    "usage": usage(used.usage),
                    "grade": used.grade,
                    "cost_usd": used.cost.map(usd),
                }),
            ),
            Self::Waiting { what, time } => ("waiting", json!({ "for": what, "at_most_ms": ms(*time) })),
            Self::Committed => ("committed", Value::Null),
            Self::Restarted => ("restarted", Value::Null),
            Self::Continued => ("continued", Value::Null),
            Self::Settled { ending, usage: used, grade, cost, attempts } => (
                "settled",
                json!({
                    "ending": ending,
                    "usage": usage(*used),
                    "grade": grade,
                    "cost_usd": cost.map(usd),
                    "attempts": attempts,
                }),
            ),
            Self::Answered { status } => ("answered", json!({ "status": status })),
        }
    }
}

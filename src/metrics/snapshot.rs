//! The state of now, as gauges: made anew for each scrape, so that nothing is kept of what is gone.
//!
//! Called   by `GET /metrics`.
//! Bounded  by the number of keys and of actor kinds: actors are summed up.
//! Fails    as a registry does; what could not be asked of the tree is left out.

use std::collections::BTreeMap;

use gateway_actors::provider::{BreakerState, KeyView};
use gateway_actors::tree::NodeView;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};

use crate::front::Front;

/// Models that rest, over all keys; their names are what callers asked for.
const RESTING_SHOWN_MAX: usize = 200;

/// The gauges of a gateway at this moment.
///
/// # Errors
/// When two families have one name.
pub async fn gather(front: &Front) -> prometheus::Result<Vec<MetricFamily>> {
    let gauges = Gauges(Registry::new());
    of_gateway(&gauges, front)?;
    of_upkeep(&gauges, front)?;
    of_actors(&gauges, &front.gateway.shared().tree().view())?;
    // The tree answers in microseconds, or is being restarted: then the scrape says so by what is missing.
    if let Ok(keys) = front.gateway.keys().await {
        of_keys(&gauges, &keys)?;
    }
    Ok(gauges.0.gather())
}

struct Gauges(Registry);

impl Gauges {
    fn family(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn one(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        self.family(name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        Ok(())
    }
}

fn of_gateway(gauges: &Gauges, front: &Front) -> prometheus::Result<()> {
    let shared = front.gateway.shared();
    let in_flight = &front.in_flight;
    gauges.one(
        "gateway_requests_in_flight",
        "Clients' requests that are being answered, streams included",
        in_flight.depth() as f64,
    )?;
    gauges.one("gateway_requests_in_flight_max", "How many may be: max_in_flight", in_flight.max() as f64)?;
    gauges.one(
        "gateway_request_body_bytes",
        "Bytes of request bodies in memory",
        front.budget.in_use() as f64,
    )?;
    gauges.one(
        "gateway_clients",
        "Clients that are configured",
        shared.clients().clients().count() as f64,
    )?;
    gauges.one(
        "gateway_configuration_generation",
        "Goes up by one with each reload that took effect",
        shared.clients().generation() as f64,
    )?;
    gauges.one(
        "gateway_open_admissions",
        "Admissions whose settlement is not with their limiter yet",
        shared.open_admissions().len() as f64,
    )?;
    gauges.one(
        "gateway_upstream_calls_in_flight",
        "Calls of all upstreams",
        shared.calls_in_flight() as f64,
    )?;
    let queued = gauges.family(
        "gateway_queue_depth",
        "Requests that wait for a free key of a provider",
        &["provider"],
    )?;
    for (provider, waiting) in shared.queued() {
        queued.with_label_values(&[&*provider]).set(waiting as f64);
    }
    gauges.one(
        "gateway_ledger_behind_entries",
        "Entries that wait to be written to the ledger",
        shared.ledger_behind() as f64,
    )
}

/// What nobody but a person mends.
fn of_upkeep(gauges: &Gauges, front: &Front) -> prometheus::Result<()> {
    gauges.one(
        "gateway_ledger_writable",
        "Whether accounts can be written; at 0 new requests are refused",
        f64::from(u8::from(front.gateway.shared().ledger_is_writable())),
    )?;
    gauges.one(
        "gateway_configuration_reload_ok",
        "Whether the last reload took effect; at 0 an older configuration stays in force",
        f64::from(u8::from(front.reloader.attempts().last.fault.is_none())),
    )?;
    let live = front.live.load();
    // A reload that takes TLS away needs a restart, and until then the first certificate is shown.
    let Some(first) = &front.reloader.started().server.tls else { return Ok(()) };
    gauges.one(
        "gateway_tls_certificate_expires_seconds",
        "When the certificate that clients are shown ends, in seconds since 1970",
        live.settings.server.tls.as_ref().unwrap_or(first).not_after().as_secs_f64(),
    )
}

fn state_of(breaker: BreakerState) -> f64 {
    match breaker {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open { .. } => 2.0,
    }
}

#[derive(Default)]
struct OfKind {
    actors: BTreeMap<&'static str, usize>,
    restarts: u64,
    waiting: usize,
    fullest: f64,
}

fn of_actors(gauges: &Gauges, tree: &[NodeView]) -> prometheus::Result<()> {
    let mut kinds = BTreeMap::new();
    sum_up(tree, &mut kinds);
    let actors = gauges.family("gateway_actors", "Actors, by what they are doing", &["kind", "state"])?;
    let restarts = gauges.family(
        "gateway_actor_restarts",
        "How often the actors that exist now were started again after a failure",
        &["kind"],
    )?;
    let waiting =
        gauges.family("gateway_actor_mailbox_depth", "Messages that wait in mailboxes", &["kind"])?;
    let fullest = gauges.family(
        "gateway_actor_mailbox_fullest_ratio",
        "How full the fullest mailbox is; at 1 its next message is refused",
        &["kind"],
    )?;
    for (kind, sum) in kinds {
        for (state, count) in sum.actors {
            actors.with_label_values(&[kind, state]).set(count as f64);
        }
        restarts.with_label_values(&[kind]).set(sum.restarts as f64);
        waiting.with_label_values(&[kind]).set(sum.waiting as f64);
        fullest.with_label_values(&[kind]).set(sum.fullest);
    }
    Ok(())
}

fn sum_up(nodes: &[NodeView], kinds: &mut BTreeMap<&'static str, OfKind>) {
    for node in nodes {
        let sum = kinds.entry(node.kind).or_default();
        *sum.actors.entry(node.state.as_str()).or_default() += 1;
        sum.restarts += u64::from(node.restarts);
        sum.waiting += node.mailbox_depth;
        let full = node.mailbox_depth as f64 / node.mailbox_max.max(1) as f64;
        sum.fullest = sum.fullest.max(full);
        sum_up(&node.children, kinds);
    }
}

fn of_keys(gauges: &Gauges, keys: &[KeyView]) -> prometheus::Result<()> {
    let labels = ["provider", "key"];
    let in_flight =
        gauges.family("gateway_upstream_in_flight", "Calls in flight, by provider and key", &labels)?;
    let failures = gauges.family(
        "gateway_upstream_consecutive_failures",
        "Failures of a key since its last answer",
        &labels,
    )?;
    let first_byte = gauges.family(
        "gateway_upstream_first_byte_seconds",
        "Time to the first byte of a key's slowest model, by its recent peaks",
        &labels,
    )?;
    let breaker = gauges.family(
        "gateway_upstream_breaker_state",
        "Whether a key is asked: 0 always, 1 for one trial at a time, 2 only when there is nobody else",
        &labels,
    )?;
    let resting = gauges.family(
        "gateway_upstream_model_breaker_state",
        "The same for a model at a key, where it is not 0",
        &["provider", "key", "model"],
    )?;
    let mut shown = 0;
    for key in keys {
        let labels = [&*key.provider, &*key.key_name];
        breaker.with_label_values(&labels).set(state_of(key.breaker));
        for model in key.models.iter().filter(|model| model.breaker != BreakerState::Closed) {
            shown += 1;
            if shown <= RESTING_SHOWN_MAX {
                let labels = [labels[0], labels[1], &*model.model];
                resting.with_label_values(&labels).set(state_of(model.breaker));
            }
        }
        in_flight.with_label_values(&labels).set(key.in_flight as f64);
        failures.with_label_values(&labels).set(key.health.consecutive_failures as f64);
        if let Some(time) = key.first_byte {
            first_byte.with_label_values(&labels).set(time.as_secs_f64());
        }
    }
    Ok(())
}

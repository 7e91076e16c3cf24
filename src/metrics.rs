//! What is counted of all requests, in Prometheus' terms: families, labels, buckets.
//!
//! Owns     the counters and histograms of ended requests; what is a state of now is read at each scrape, in
//!          [`snapshot`].
//! Called   by [`Observer`](crate::observer::Observer) once at each request's end, and by `GET /metrics`.
//! Bounded  labels by construction: fixed words, the names of the configuration, at most [`MODELS_MAX`] models, which
//!          have to have answered once, and [`CLIENTS_MAX`] clients; the rest is `other`.
//! Fails    at start only, if two families had one name.

pub mod snapshot;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use gateway_limits::{PICO_PER_USD, Usage};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use crate::trail::{Noted, Outline, Step};

/// Pairs of provider and model that have series of their own. More are seldom in use at once, and 40 series each
/// are what a Prometheus takes without notice.
const MODELS_MAX: usize = 200;

/// Clients that have series of their own, in the order in which they come.
const CLIENTS_MAX: usize = 200;

/// What stands for everything beyond those bounds.
const OTHER: &str = "other";

/// What stands where a request came to no provider or model.
const NONE: &str = "none";

/// From a chat's short answer to a long stream of reasoning.
const DURATION_BUCKETS: [f64; 14] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0];

/// From a small model on the same machine to a large one that is waited for.
const FIRST_TOKEN_BUCKETS: [f64; 12] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0, 120.0];

/// From a quick pass to a place in a full queue.
const OVERHEAD_BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// The parts of a [`Usage`], as the label `kind` names them.
const KINDS: [&str; 5] = ["input", "cache_read", "cache_write", "output", "reasoning"];

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    would_refuse: IntCounterVec,
    attempts: IntCounterVec,
    attempt_failures: IntCounterVec,
    recoveries: IntCounterVec,
    /// Traced requests whose spans no collector took.
    pub telemetry_lost: IntCounter,
    overhead: Histogram,
    models: ModelFamilies,
    clients: ClientFamilies,
}

/// Registers families, each under a name that no other has.
struct Registering<'a>(&'a Registry);

impl Registering<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, &["provider", "model"])?)
    }
}

impl Metrics {
    /// All families, empty.
    ///
    /// # Errors
    /// When two have one name, or one has none that Prometheus allows.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let families = Registering(&registry);
        let overhead = HistogramOpts::new(
            "gateway_overhead_seconds",
            "What the gateway itself took: from a request body's last byte to the call of the first upstream",
        );
        let build = Opts::new("gateway_build_info", "Always 1; the label is the program's version")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        families.add(prometheus::IntGauge::with_opts(build)?)?.set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            requests: families.counters(
                "gateway_requests_total",
                "Clients' requests that have ended; status 499 is a client that left before the answer's head",
                &["endpoint", "provider", "model", "status"],
            )?,
            refusals: families.counters(
                "gateway_refusals_total",
                "Requests that were refused, by the limit's name or the error's word",
                &["reason"],
            )?,
            would_refuse: families.counters(
                "gateway_would_refuse_total",
                "Requests that a limit would have refused if it were more than watched",
                &["limit"],
            )?,
            attempts: families.counters(
                "gateway_attempts_total",
                "Calls of upstreams, first attempts and further ones",
                &["provider", "key"],
            )?,
            attempt_failures: families.counters(
                "gateway_attempt_failures_total",
                "Calls of upstreams that failed, by how, and by what was done next",
                &["provider", "reason", "next"],
            )?,
            recoveries: families.counters(
                "gateway_stream_recoveries_total",
                "Streams that an upstream broke off and that went on elsewhere",
                &["how"],
            )?,
            telemetry_lost: families.add(IntCounter::new(
                "gateway_telemetry_lost_requests_total",
                "Traced requests whose spans no collector took",
            )?)?,
            overhead: families.add(Histogram::with_opts(overhead.buckets(OVERHEAD_BUCKETS.to_vec()))?)?,
            models: ModelFamilies::new(&families)?,
            clients: ClientFamilies::new(&families)?,
            registry,
        })
    }

    /// Counts a request that has ended.
    pub fn ended(&self, outline: &Outline<'_>, steps: &[Noted]) {
        let has_answered = outline.first_token.is_some();
        let model = self.models.of(outline.provider, outline.upstream_model, has_answered);
        let mut digits = itoa::Buffer::new();
        let status = digits.format(outline.status.unwrap_or_default());
        let endpoint = outline.endpoint.unwrap_or(NONE);
        self.requests.with_label_values(&[endpoint, &model.provider, &model.model, status]).inc();
        if let Some(overhead) = outline.overhead {
            self.overhead.observe(overhead.as_secs_f64());
        }
        if let Some(reason) = outline.refused {
            self.refused(reason);
        }
        model.ended(outline);
        if let Some(client) = outline.client {
            self.clients.of(client).ended(outline);
        }
        for Noted { step, .. } in steps {
            self.count(step);
        }
    }

    /// Counts a request that was refused and is no client's.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
    }

    fn count(&self, step: &Step) {
        match step {
            Step::Leased { provider, key, .. } => {
                self.attempts.with_label_values(&[&**provider, key]).inc();
            }
            Step::AttemptFailed { provider, what, next, .. } => {
                self.attempt_failures.with_label_values(&[&**provider, what, next]).inc();
            }
            Step::WouldRefuse { limit } => self.would_refuse.with_label_values(&[limit]).inc(),
            Step::Restarted => self.recoveries.with_label_values(&["restarted"]).inc(),
            Step::Continued => self.recoveries.with_label_values(&["continued"]).inc(),
            Step::Routed { .. }
            | Step::Known { .. }
            | Step::BodyRead { .. }
            | Step::Asked { .. }
            | Step::Targets(_)
            | Step::Dropped { .. }
            | Step::Admitted { .. }
            | Step::Refused { .. }
            | Step::Waiting { .. }
            | Step::Committed
            | Step::Settled { .. }
            | Step::Answered { .. } => {}
        }
    }

    /// What was counted so far.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

/// Series by name, read without a lock: after the first minutes none is added any more.
#[derive(Debug)]
struct Table<T> {
    by_name: ArcSwap<HashMap<Box<str>, Arc<T>>>,
    adding: Mutex<()>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { by_name: ArcSwap::default(), adding: Mutex::default() }
    }
}

impl<T> Table<T> {
    fn get(&self, name: &str) -> Option<Arc<T>> {
        self.by_name.load().get(name).cloned()
    }

    /// The entry of this name, made if there is room.
    fn get_or_add(&self, name: &str, max: usize, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        if let Some(known) = self.get(name) {
            return Some(known);
        }
        if self.by_name.load().len() >= max {
            return None;
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = HashMap::clone(&self.by_name.load());
        if !names.contains_key(name) && names.len() < max {
            names.insert(name.into(), Arc::new(make()));
        }
        let added = names.get(name).cloned();
        self.by_name.store(Arc::new(names));
        added
    }
}

/// What is counted for each provider and model.
#[derive(Debug)]
struct ModelFamilies {
    duration: HistogramVec,
    first_token: HistogramVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    /// By provider and model with a space between, which neither name can have.
    named: Table<ModelSeries>,
    /// For models without series of their own, by provider.
    others: Table<ModelSeries>,
}

/// One provider's model.
#[derive(Debug)]
struct ModelSeries {
    provider: Box<str>,
    model: Box<str>,
    duration: Histogram,
    first_token: Histogram,
    tokens: [IntCounter; KINDS.len()],
    cost: Counter,
}

impl ModelFamilies {
    fn new(families: &Registering<'_>) -> prometheus::Result<Self> {
        let cost =
            Opts::new("gateway_cost_usd_total", "What calls cost, in USD, by the prices in models.toml");
        Ok(Self {
            duration: families.histograms(
                "gateway_request_duration_seconds",
                "From a request's head to the end of its answer, streams included",
                &DURATION_BUCKETS,
            )?,
            first_token: families.histograms(
                "gateway_time_to_first_token_seconds",
                "From a request's head to the first content of a stream, or to a whole answer",
                &FIRST_TOKEN_BUCKETS,
            )?,
            tokens: families.counters(
                "gateway_tokens_total",
                "Tokens used, in kinds that do not overlap",
                &["provider", "model", "kind"],
            )?,
            cost: families.add(CounterVec::new(cost, &["provider", "model"])?)?,
            named: Table::default(),
            others: Table::default(),
        })
    }

    /// The series of a model. A name that no upstream ever answered for is anything a caller can write, and gets
    /// none of its own.
    fn of(&self, provider: Option<&str>, model: Option<&str>, has_answered: bool) -> Arc<ModelSeries> {
        let (provider, model) = (provider.unwrap_or(NONE), model.unwrap_or(NONE));
        let name = format!("{provider} {model}");
        let make = || self.series(provider, model);
        let max = if has_answered || model == NONE { MODELS_MAX } else { 0 };
        let named = self.named.get_or_add(&name, max, make);
        named
            .or_else(|| self.others.get_or_add(provider, MODELS_MAX, || self.series(provider, OTHER)))
            .unwrap_or_else(|| Arc::new(self.series(OTHER, OTHER)))
    }

    fn series(&self, provider: &str, model: &str) -> ModelSeries {
        let labels = [provider, model];
        ModelSeries {
            provider: provider.into(),
            model: model.into(),
            duration: self.duration.with_label_values(&labels),
            first_token: self.first_token.with_label_values(&labels),
            tokens: KINDS.map(|kind| self.tokens.with_label_values(&[provider, model, kind])),
            cost: self.cost.with_label_values(&labels),
        }
    }
}

impl ModelSeries {
    fn ended(&self, outline: &Outline<'_>) {
        if let Some(duration) = outline.duration {
            self.duration.observe(duration.as_secs_f64());
        }
        if let Some(first_token) = outline.first_token {
            self.first_token.observe(first_token.as_secs_f64());
        }
        if let Some(Usage { input, cache_read, cache_write, output, reasoning }) = outline.usage {
            let parts = [input, cache_read, cache_write, output, reasoning];
            for (counter, tokens) in self.tokens.iter().zip(parts) {
                counter.inc_by(tokens);
            }
        }
        self.cost.inc_by(usd(outline.cost));
    }
}

/// What is counted for each client.
#[derive(Debug)]
struct ClientFamilies {
    requests: IntCounterVec,
    tokens: IntCounterVec,
    cost: CounterVec,
    named: Table<ClientSeries>,
}

#[derive(Debug)]
struct ClientSeries {
    requests: IntCounter,
    tokens: IntCounter,
    cost: Counter,
}

impl ClientFamilies {
    fn new(families: &Registering<'_>) -> prometheus::Result<Self> {
        let cost = Opts::new("gateway_client_cost_usd_total", "What each client's calls cost, in USD");
        Ok(Self {
            requests: families.counters(
                "gateway_client_requests_total",
                "Requests of each client that have ended",
                &["client"],
            )?,
            tokens: families.counters(
                "gateway_client_tokens_total",
                "Tokens that each client used, of all kinds",
                &["client"],
            )?,
            cost: families.add(CounterVec::new(cost, &["client"])?)?,
            named: Table::default(),
        })
    }

    fn of(&self, client: &str) -> Arc<ClientSeries> {
        let named = self.named.get_or_add(client, CLIENTS_MAX, || self.series(client));
        named.unwrap_or_else(|| Arc::new(self.series(OTHER)))
    }

    fn series(&self, client: &str) -> ClientSeries {
        ClientSeries {
            requests: self.requests.with_label_values(&[client]),
            tokens: self.tokens.with_label_values(&[client]),
            cost: self.cost.with_label_values(&[client]),
        }
    }
}

impl ClientSeries {
    fn ended(&self, outline: &Outline<'_>) {
        self.requests.inc();
        self.tokens.inc_by(outline.usage.map_or(0, |usage| usage.total()));
        self.cost.inc_by(usd(outline.cost));
    }
}

/// Pico-USD as a counter of USD takes them.
fn usd(pico: Option<u64>) -> f64 {
    pico.unwrap_or_default() as f64 / PICO_PER_USD as f64
}

#[cfg(test)]
#[path = "metrics/tests.rs"]
mod tests;

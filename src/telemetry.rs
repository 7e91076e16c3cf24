//! Traces and metrics for an OpenTelemetry collector: OTLP over HTTP, as JSON. Off unless `otlp_endpoint` is set.
//!
//! Owns     the queue of requests that are to be exported, and the one task that exports them.
//! Called   by the front door, which asks whether a request is traced; by
//!          [`Observer`](crate::observer::Observer) at the end of one that is.
//! Bounded  by [`QUEUE_MAX`] requests that wait, [`BATCH_MAX`] in one export, [`PATIENCE`] for each. What does not
//!          fit is dropped and counted.
//! Fails    by losing telemetry, never a request's time: a collector that is gone is warned about once a minute.
//!
//! Own code of three small files instead of the OpenTelemetry SDK: our records hold all that a span needs when a request
//! has ended, so nothing of an SDK's context, processors and protobuf would be used on the way.

mod numbers;
mod spans;

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use prometheus::IntCounter;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::front::Front;
use crate::metrics::snapshot;
use crate::settings::TelemetrySettings;
use crate::trace_context::TraceContext;
use crate::trail::Record;
use crate::upstream::innermost;

/// Requests that wait to be exported: some seconds of heavy traffic, and some megabytes that the request log holds
/// anyway.
const QUEUE_MAX: usize = 4_096;

/// Requests in one export: half a megabyte of JSON.
const BATCH_MAX: usize = 256;

/// How long the first request of a batch waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// How often metrics are exported; OpenTelemetry's default.
const METRICS_EVERY: Duration = Duration::from_secs(60);

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often lost telemetry is warned about.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// How long the last export may hold up the end of the process.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// Decides what is traced, and takes it.
#[derive(Debug)]
pub struct Telemetry {
    queue: mpsc::Sender<Arc<Record>>,
    sample_ratio: f64,
    lost: IntCounter,
}

impl Telemetry {
    /// One that takes requests, and where they come out; `lost` counts those that found no room.
    pub fn new(settings: &TelemetrySettings, lost: IntCounter) -> (Self, mpsc::Receiver<Arc<Record>>) {
        let (queue, records) = mpsc::channel(QUEUE_MAX);
        (Self { queue, sample_ratio: settings.sample_ratio, lost }, records)
    }

    /// The trace of a request with these headers.
    pub fn trace_of(&self, headers: &HeaderMap, request: u128) -> TraceContext {
        TraceContext::of(headers, request, |trace_id| {
            // The id's lower half is as good as a random number, and every process decides alike.
            let share = (trace_id & u128::from(u64::MAX)) as f64 / u64::MAX as f64;
            share < self.sample_ratio || self.sample_ratio >= 1.0
        })
    }

    /// A request has ended: it is exported if it is recorded and there is room.
    pub fn ended(&self, record: &Arc<Record>) {
        let is_recorded = record.trace().is_some_and(|trace| trace.is_sampled);
        if is_recorded && self.queue.try_send(Arc::clone(record)).is_err() {
            self.lost.inc();
        }
    }
}

/// The task that exports. Dropping it ends it.
#[derive(Debug)]
pub struct Exporting {
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
}

impl Exporting {
    /// Starts it.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn start(
        settings: &TelemetrySettings,
        endpoint: &str,
        front: &Arc<Front>,
        records: mpsc::Receiver<Arc<Record>>,
    ) -> reqwest::Result<Self> {
        let mut headers: HeaderMap = settings.otlp_headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .default_headers(headers)
            .user_agent(concat!("dsp-ai-gateway/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let exporter = Exporter {
            client,
            shown: shown(endpoint),
            traces: format!("{endpoint}/v1/traces"),
            metrics: format!("{endpoint}/v1/metrics"),
            resource: resource(&settings.service_name),
            started: std::time::SystemTime::now(),
            lost: front.observer.metrics.telemetry_lost.clone(),
            front: Arc::downgrade(front),
            warned: None,
            told: 0,
        };
        let stop = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(exporter.run(records, stop.clone())));
        Ok(Self { task, stop })
    }

    /// Exports what is left, for a short time.
    pub async fn finish(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(LAST_EXPORT, self.task).await;
    }
}

fn resource(service_name: &str) -> Value {
    json!({ "attributes": [
        spans::attribute("service.name", &service_name.into()),
        spans::attribute("service.version", &env!("CARGO_PKG_VERSION").into()),
    ]})
}

/// Why telemetry was lost.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it answers with status {0}")]
    Status(StatusCode),
    #[error("no answer within {PATIENCE:?}")]
    Late,
    /// The system's words.
    #[error("{0}")]
    NoAnswer(String),
    #[error("more requests end than it takes")]
    NoRoom,
}

/// An address as it may stand in a log: without a name, a password or a query, which may be secret.
fn shown(endpoint: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(endpoint) else { return String::new() };
    // Both fail only for addresses that cannot have any.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.into()
}

struct Exporter {
    client: reqwest::Client,
    /// The collector's address, for the log.
    shown: String,
    traces: String,
    metrics: String,
    resource: Value,
    started: std::time::SystemTime,
    lost: IntCounter,
    /// Weak: the front door holds the queue, which must not hold the front door.
    front: Weak<Front>,
    warned: Option<Instant>,
    /// How many lost requests were warned about.
    told: u64,
}

impl Exporter {
    async fn run(mut self, mut records: mpsc::Receiver<Arc<Record>>, stop: CancellationToken) {
        let mut batch = Vec::new();
        let mut batch_due = Instant::now();
        let mut metrics_due = tokio::time::interval(METRICS_EVERY);
        // The first tick is at once, when there is nothing to tell yet.
        metrics_due.tick().await;
        loop {
            let (was_empty, room) = (batch.is_empty(), BATCH_MAX - batch.len());
            tokio::select! {
                received = records.recv_many(&mut batch, room) => {
                    if received == 0 {
                        break;
                    }
                    if was_empty {
                        batch_due = Instant::now() + BATCH_WAIT;
                    }
                    if batch.len() >= BATCH_MAX {
                        self.export_traces(&mut batch).await;
                    }
                }
                () = tokio::time::sleep_until(batch_due), if !was_empty => {
                    self.export_traces(&mut batch).await;
                }
                _ = metrics_due.tick() => self.export_metrics().await,
                () = stop.cancelled() => break,
            }
        }
        while let Ok(record) = records.try_recv() {
            batch.push(record);
            if batch.len() >= BATCH_MAX {
                self.export_traces(&mut batch).await;
            }
        }
        self.export_traces(&mut batch).await;
        self.export_metrics().await;
    }

    async fn export_traces(&mut self, batch: &mut Vec<Arc<Record>>) {
        if batch.is_empty() {
            return;
        }
        let spans: Vec<Value> = batch.iter().flat_map(|record| spans::of(record)).collect();
        let body = json!({ "resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{ "scope": { "name": "dsp-ai-gateway" }, "spans": spans }],
        }]});
        let posted = self.post(&self.traces, &body).await;
        if posted.is_err() {
            self.lost.inc_by(batch.len() as u64);
        }
        // Warned about if spans were lost, here or for want of room.
        if self.lost.get() > self.told {
            self.warn_of("spans", posted.err().unwrap_or(Refused::NoRoom));
        }
        batch.clear();
    }

    async fn export_metrics(&mut self) {
        let Some(front) = self.front.upgrade() else { return };
        let mut families = front.observer.metrics.gather();
        // What cannot be read is in the log of a scrape, too; the counters go out without it.
        families.extend(snapshot::gather(&front).await.unwrap_or_default());
        let metrics = numbers::of(&families, self.started);
        let body = json!({ "resourceMetrics": [{
            "resource": self.resource,
            "scopeMetrics": [{ "scope": { "name": "dsp-ai-gateway" }, "metrics": metrics }],
        }]});
        if let Err(refused) = self.post(&self.metrics, &body).await {
            self.warn_of("metrics", refused);
        }
    }

    /// Has the collector take it, or says why it does not.
    async fn post(&self, url: &str, body: &Value) -> Result<(), Refused> {
        let sent = self.client.post(url).body(body.to_string()).send().await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(Refused::Status(status)),
            Err(error) if error.is_timeout() => Err(Refused::Late),
            Err(error) => Err(Refused::NoAnswer(innermost(&error))),
        }
    }

    fn warn_of(&mut self, what: &'static str, cause: Refused) {
        let now = Instant::now();
        if self.warned.is_none_or(|at| now.duration_since(at) >= WARN_EVERY) {
            self.warned = Some(now);
            self.told = self.lost.get();
            tracing::warn!(
                url = &*self.shown,
                cause = cause.to_string(),
                lost_requests = self.lost.get(),
                "the collector of [telemetry] otlp_endpoint does not take {what}; requests go on"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_logged_without_what_may_be_secret() {
        assert_eq!(shown("https://user:secret@host:4318/otlp?key=secret"), "https://host:4318/otlp");
    }
}

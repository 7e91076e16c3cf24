//! What becomes of a request's record when the request has ended: a line in the log, numbers, a place among the
//! last requests.
//!
//! Owns     the request log, the metrics and the queue of what is exported.
//! Called   by the last handle of each request's trail, on whatever thread drops it; by the routes that show it.
//! Fails    never, and never blocks: a reader that is gone or slow misses something, the request does not wait.

use std::sync::Arc;

use gateway_limits::Usd;

use crate::metrics::Metrics;
use crate::request_log::RequestLog;
use crate::telemetry::Telemetry;
use crate::trail::{Audience, Outline, Record, ms};

/// Is told of every request's end.
#[derive(Debug)]
pub struct Observer {
    /// The last requests.
    pub requests: RequestLog,
    /// What is counted of all.
    pub metrics: Metrics,
    /// What is exported, where there is a collector.
    pub telemetry: Option<Telemetry>,
}

impl Observer {
    /// One that has seen nothing yet and exports nothing.
    ///
    /// # Errors
    /// When the metrics' names are not unique.
    pub fn new() -> prometheus::Result<Self> {
        Ok(Self { requests: RequestLog::default(), metrics: Metrics::new()?, telemetry: None })
    }
}

impl Audience for Observer {
    fn ended(&self, record: &Arc<Record>) {
        let end = record.end();
        let is_of_client = record.read(|steps, _| {
            let outline = Outline::of(steps, end);
            // Only what led to a client's endpoint counts; the front door logs the rest.
            if outline.endpoint.is_some() {
                log(record, &outline);
                self.metrics.ended(&outline, steps);
            }
            outline.endpoint.map(|_| outline.client.is_some())
        });
        let Some(is_of_client) = is_of_client else { return };
        if !is_of_client {
            // Whoever is known was kept from the start.
            self.requests.keep_strangers(record);
        }
        self.requests.ended(record);
        if let Some(telemetry) = &self.telemetry {
            telemetry.ended(record);
        }
    }
}

/// One line for each request of a client.
fn log(record: &Record, outline: &Outline<'_>) {
    tracing::info!(
        request_id = record.id().as_str(),
        client_request_id = record.client_request_id(),
        client = outline.client,
        address = %record.address(),
        endpoint = outline.endpoint,
        model = outline.model,
        provider = outline.provider,
        upstream_model = outline.upstream_model,
        status = outline.status,
        ending = outline.ending,
        refused = outline.refused,
        because = outline.facts.map(ToString::to_string),
        attempts = outline.attempts,
        tokens_in = outline.usage.map(|usage| usage.prompt_tokens()),
        tokens_out = outline.usage.map(|usage| usage.completion_tokens()),
        cost_usd = outline.cost.map(|cost| tracing::field::display(Usd(cost))),
        first_token_ms = outline.first_token.map(ms),
        duration_ms = outline.duration.map(ms),
        "request"
    );
}

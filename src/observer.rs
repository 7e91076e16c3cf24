//! What becomes of a request's record once the request has ended.
//!
//! Called   by the last handle of each request's trail, on whatever thread drops it.
//! Fails    never, and never blocks: a reader that is gone or slow misses something, the request does not wait.

use std::sync::Arc;

use gateway_limits::Usd;

use crate::trail::{Audience, Outline, Record};

/// Is told of every request's end.
#[derive(Debug, Default)]
pub struct Observer;

impl Audience for Observer {
    fn ended(&self, record: &Arc<Record>) {
        record.outline(|outline| {
            // Only what leads to a client's endpoint counts; the front door logs the rest.
            if outline.endpoint.is_some() {
                log(record, outline);
            }
        });
    }
}

/// One line for each request of a client.
fn log(record: &Record, outline: &Outline<'_>) {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    tracing::info!(
        request_id = record.id().as_str(),
        client_request_id = record.client_request_id(),
        client = outline.client,
        endpoint = outline.endpoint,
        model = outline.model,
        provider = outline.provider,
        upstream_model = outline.upstream_model,
        status = outline.status,
        ending = outline.ending,
        refused = outline.refused,
        attempts = outline.attempts,
        tokens_in = outline.usage.map(|usage| usage.prompt_tokens()),
        tokens_out = outline.usage.map(|usage| usage.completion_tokens()),
        cost_usd = outline.cost.map(|cost| tracing::field::display(Usd(cost))),
        first_token_ms = outline.first_token.map(ms),
        duration_ms = outline.duration.map(ms),
        "request"
    );
}

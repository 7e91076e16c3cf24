//! `GET /metrics`: what is counted, and the state of now, in Prometheus' text format 0.0.4.
//!
//! Called   by the front door, for callers on this machine and for whoever has the admin token.
//! Bounded  by the metrics themselves.
//! Fails    as a fault of ours, if the families contradict each other.

use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use prometheus::{TEXT_FORMAT, TextEncoder};
use warp::reply::Response;

use crate::fault::Fault;
use crate::front::Front;
use crate::metrics::snapshot;

/// Answers a scrape.
pub async fn answer(front: &Front) -> Result<Response, Fault> {
    let bug = |error: prometheus::Error| {
        tracing::error!(error = error.to_string(), "the metrics cannot be written");
        Fault::Bug
    };
    let mut families = front.observer.metrics.gather();
    families.extend(snapshot::gather(front).await.map_err(bug)?);
    let text = TextEncoder::new().encode_to_string(&families).map_err(bug)?;
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

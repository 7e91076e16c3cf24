//! Whether the gateway lives and takes requests, and what it is.

use std::sync::atomic::Ordering;

use http::HeaderValue;
use http::StatusCode;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use serde_json::json;
use warp::reply::Response;

use crate::call::RETRY_AFTER_MS;
use crate::fault::Fault;
use crate::front::Front;
use crate::respond;
use crate::routes::Route;

/// Answers the index and the three probes.
pub fn answer(front: &Front, route: Route) -> Result<Response, Fault> {
    let draining = front.draining.load(Ordering::Acquire);
    let mut response = match route {
        Route::Index => respond::json(
            json!({
                "name": "dsp-ai-gateway",
                "version": env!("CARGO_PKG_VERSION"),
                "docs": "/docs",
                "openapi": "/openapi.json",
            })
            .to_string(),
        ),
        Route::Ready if draining => {
            let mut response = respond::json(json!({"status": "draining"}).to_string());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response.headers_mut().insert(&RETRY_AFTER_MS, HeaderValue::from_static("1000"));
            response
        }
        Route::Health | Route::Live | Route::Ready => respond::json(json!({"status": "ok"}).to_string()),
        _ => return Err(Fault::Bug),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

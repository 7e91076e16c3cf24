//! Calls from browsers of other sites: allowed for the origins in `cors_origins`, and never on what is an operator's:
//! `/admin`, `/console` and `/metrics`.
//!
//! The Fetch standard's CORS protocol. Without configured origins nothing is sent, and OPTIONS is a 405.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::reply::Response;

use crate::front::Exchange;

/// The request's origin, when it is an allowed one.
fn allowed(exchange: &Exchange) -> Option<&HeaderValue> {
    let origins = &exchange.live.settings.server.cors_origins;
    let origin = exchange.headers.get(ORIGIN)?;
    let is_listed = origins.iter().any(|listed| listed == "*" || listed.as_bytes() == origin.as_bytes());
    let is_operators = ["/admin", "/console"].iter().any(|operators| exchange.path.starts_with(operators))
        || exchange.path == "/metrics";
    (is_listed && !is_operators).then_some(origin)
}

/// The answer to a browser's question whether it may call, if it asks and may.
pub fn preflight(exchange: &Exchange, allow: &str) -> Option<Response> {
    allowed(exchange).filter(|_| exchange.method == Method::OPTIONS)?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::try_from(allow).ok()?);
    if let Some(asked) = exchange.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    // Browsers keep it for two hours at most.
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    Some(response)
}

/// Lets a browser's page read this answer, if its origin is allowed.
pub fn allow(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(origin) = allowed(exchange) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

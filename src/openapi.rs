//! The OpenAPI 3.1 document: every route with its parameters, answers, errors and headers, for callers.
//!
//! Owns     `openapi.json`, which is written and kept by hand.
//! Called   by the route `/openapi.json` and the command `openapi`; the pages `/docs` and `/redoc` show it.
//! Bounded  by the size of the document, about 110 KB; made once and then shared by all answers.
//! Fails    never: it is compiled in. Tests hold its references, operation ids and examples to its schemas.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;

#[cfg(test)]
mod tests;

const SOURCE: &str = include_str!("openapi.json");

/// What stands for the version in `openapi.json`, so that `Cargo.toml` is the only place that states it.
const VERSION_PLACEHOLDER: &str = "CARGO_PKG_VERSION";

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| SOURCE.replacen(VERSION_PLACEHOLDER, env!("CARGO_PKG_VERSION"), 1));

/// The document as JSON text, with the version of this build.
pub fn document() -> &'static str {
    &DOCUMENT
}

/// Every operation of the document as method and path template, such as `GET /v1/models/{model}`.
///
/// Lets the route table be compared with what is documented. A document that is not JSON has none.
pub fn paths() -> impl Iterator<Item = (Method, String)> {
    serde_json::from_str::<Operations>(document()).into_iter().flat_map(|document| document.paths).flat_map(
        |(path, item)| {
            METHODS
                .into_iter()
                .filter(move |(name, _)| item.contains_key(*name))
                .map(move |(_, method)| (method, path.clone()))
        },
    )
}

/// The members of a path item that are operations; others (`parameters`, `summary`, …) are about all of them.
const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];

/// As much of an OpenAPI document as tells its operations.
#[derive(Deserialize)]
struct Operations {
    paths: BTreeMap<String, BTreeMap<String, IgnoredAny>>,
}

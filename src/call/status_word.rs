//! The fixed word of an upstream's status, for health, logs, metrics and the ledger's attempts.
//!
//! Called   by `call.rs`.
//! Bounded  by its list: a metric's label takes no value of an upstream's choice.
//! Fails    never: a status that is not listed has its class's word.

use http::StatusCode;

/// The word of a status that is no success.
pub(super) fn of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "status 400",
        401 => "status 401",
        402 => "status 402",
        403 => "status 403",
        404 => "status 404",
        408 => "status 408",
        409 => "status 409",
        410 => "status 410",
        413 => "status 413",
        422 => "status 422",
        429 => "status 429",
        498 => "status 498",
        500 => "status 500",
        502 => "status 502",
        503 => "status 503",
        504 => "status 504",
        529 => "status 529",
        other => match other / 100 {
            3 => "status 3xx",
            4 => "status 4xx",
            5 => "status 5xx",
            _ => "status",
        },
    }
}

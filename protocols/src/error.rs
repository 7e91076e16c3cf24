//! The body of an error answer, in the shape that the client's SDK reads.
//!
//! Owns     the four shapes and what a status is called in each.
//! Called   by the one mapping from a typed error to an HTTP answer, and by a relay whose stream
//!          breaks.
//! Bounded  by the texts it is given.
//! Fails    never: every field is text that is quoted, or a number.

use std::borrow::Cow;
use std::fmt::{self, Write};

use bytes::Bytes;
use gateway_limits::Usd;

use crate::json::quoted;

#[cfg(test)]
mod tests;

/// Whose error shape a route speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `{"detail":…}`: `/api/v1`, and every route that belongs to no vendor.
    Seed,
    /// OpenAI's, below `/v1` and `/openai/v1`.
    OpenAi,
    /// Anthropic's, on `/v1/messages`.
    Anthropic,
    /// Gemini's, below `/v1beta` and for its methods below `/v1/models`.
    Gemini,
    /// The same of its Interactions API, whose streams have an error event of their own.
    Interactions,
}

impl Dialect {
    /// The dialect of a request's path (without query), whether or not a route exists there.
    pub fn of_path(path: &str) -> Self {
        let below = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("/v1/messages") {
            Self::Anthropic
        } else if below("/v1beta/interactions") {
            Self::Interactions
        } else if below("/v1beta") || is_gemini_method(path) {
            Self::Gemini
        } else if below("/v1") || below("/openai/v1") {
            Self::OpenAi
        } else {
            Self::Seed
        }
    }
}

/// Whether this is a method of Gemini's API, whose version `v1` has its models where OpenAI's has its own. Models'
/// names may have colons in them.
fn is_gemini_method(path: &str) -> bool {
    let model = path.strip_prefix("/v1/models/").and_then(|rest| rest.rsplit_once(':'));
    model.is_some_and(|(_, method)| {
        matches!(method, "generateContent" | "streamGenerateContent" | "countTokens")
    })
}

/// What there is to say about a refused or failed request. Each dialect shows the part that it has
/// a place for.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBody<'a> {
    /// HTTP status, also of an error that comes inside a stream and so has no status line of its
    /// own.
    pub status: u16,
    /// What was wrong, where, and what to do: the one text that a person reads.
    pub message: &'a str,
    /// OpenAI's `type`, such as `invalid_request_error`.
    pub kind: &'a str,
    /// The member of the request at fault, for OpenAI's `param`.
    pub param: Option<&'a str>,
    /// OpenAI's `code`, such as `model_not_found`.
    pub code: Option<&'a str>,
    /// The limit that refused, shown in the OpenAI dialect.
    pub limit: Option<LimitInfo<'a>>,
    /// The gateway's id of the request, shown in the Anthropic dialect.
    pub request_id: &'a str,
}

/// The limit that refused a request.
#[derive(Clone, Copy, Debug)]
pub struct LimitInfo<'a> {
    /// Its name in the client's file, such as `tokens_per_day`.
    pub name: &'a str,
    /// How much it allows.
    pub limit: Amount,
    /// How much of it is used or reserved, in the same unit.
    pub used: Amount,
    /// When all of it is free again, in seconds since the Unix epoch; `None` where no clock decides
    /// (concurrent requests).
    pub reset_at: Option<u64>,
}

/// How much of something. Prints a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Requests, tokens or calls.
    Count(u64),
    /// Money, in USD to the last pico-dollar.
    Money(Usd),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Money(usd) => usd.fmt(f),
        }
    }
}

/// The whole body of an error answer. Its content type is `application/json`.
pub fn render(dialect: Dialect, error: &ErrorBody<'_>) -> Bytes {
    Bytes::from(json(dialect, error))
}

/// One server-sent event that ends a stream which has already begun.
///
/// Anthropic names its events, and so do interactions, whose error's code is Google's name for the status in small
/// letters; the seed has no streams, so its frame is the body as data, as for OpenAI and Gemini.
pub fn render_stream_error(dialect: Dialect, error: &ErrorBody<'_>) -> Bytes {
    let body = json(dialect, error);
    Bytes::from(match dialect {
        Dialect::Interactions => {
            let (code, message) = (gemini_status(error.status).to_ascii_lowercase(), quoted(error.message));
            format!(
                "event: error\ndata: {{\"event_type\":\"error\",\"error\":{{\"code\":\"{code}\",\"message\":{message}}}}}\n\n"
            )
        }
        Dialect::Anthropic => format!("event: error\ndata: {body}\n\n"),
        Dialect::Seed | Dialect::OpenAi | Dialect::Gemini => format!("data: {body}\n\n"),
    })
}

/// The error on one line: a quoted text holds no bare line end, so it fits into one `data:` line.
fn json(dialect: Dialect, error: &ErrorBody<'_>) -> String {
    let message = quoted(error.message);
    match dialect {
        Dialect::Seed => format!(r#"{{"detail":{message}}}"#),
        Dialect::OpenAi => format!(
            r#"{{"error":{{"message":{message},"type":{},"param":{},"code":{}{}}}}}"#,
            quoted(error.kind),
            quoted_or_null(error.param),
            quoted_or_null(error.code),
            error.limit.map_or_else(String::new, |limit| limit_member(&limit)),
        ),
        Dialect::Anthropic => format!(
            r#"{{"type":"error","error":{{"type":"{}","message":{message}}},"request_id":{}}}"#,
            anthropic_type(error.status),
            quoted(error.request_id),
        ),
        Dialect::Gemini | Dialect::Interactions => format!(
            r#"{{"error":{{"code":{},"message":{message},"status":"{}"}}}}"#,
            error.status,
            gemini_status(error.status),
        ),
    }
}

fn quoted_or_null(text: Option<&str>) -> Cow<'static, str> {
    text.map_or(Cow::Borrowed("null"), |text| Cow::Owned(quoted(text)))
}

fn limit_member(limit: &LimitInfo<'_>) -> String {
    let mut member = format!(
        r#","limit":{{"name":{},"limit":{},"used":{},"reset_at":"#,
        quoted(limit.name),
        limit.limit,
        limit.used
    );
    // Writing to a String has no way to fail.
    let _ = match limit.reset_at {
        Some(seconds) => write!(member, r#""{}"}}"#, rfc3339(seconds)),
        None => write!(member, "null}}"),
    };
    member
}

/// Anthropic's error type for a status ("Errors" in its API reference).
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// Google's name for a status: `google.rpc.Code`, and for what HTTP alone knows gRPC's mapping of
/// HTTP statuses.
fn gemini_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        502 | 503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

/// A moment as RFC 3339 writes it, in UTC, to the second.
///
/// The date is the days since the epoch counted in 400-year eras that begin on the first of March,
/// so that the leap day is a year's last (Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
fn rfc3339(unix_seconds: u64) -> String {
    const DAYS_PER_ERA: u64 = 146_097;
    // From the first of March of year 0 to the first of January 1970.
    const EPOCH_IN_ERAS: u64 = 719_468;
    let (days, second_of_day) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let day = days + EPOCH_IN_ERAS;
    let (era, day_of_era) = (day / DAYS_PER_ERA, day % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, carry) = match month_from_march {
        0..=9 => (month_from_march + 3, 0),
        _ => (month_from_march - 9, 1),
    };
    let year = era * 400 + year_of_era + carry;
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

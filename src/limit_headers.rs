//! The state of a client's limits as response headers, in OpenAI's form and the IETF draft's.
//!
//! `x-ratelimit-*` as OpenAI's API reference gives them (resets as `6m0s`, `88ms`); `RateLimit-Policy` and
//! `RateLimit` as in draft-ietf-httpapi-ratelimit-headers.

use std::fmt::Write;
use std::time::Duration;

use gateway_actors::View;
use gateway_limits::{LimitName, Meter};
use http::{HeaderMap, HeaderName, HeaderValue};

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];

const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

static LIMITED_BY: HeaderName = HeaderName::from_static("x-ratelimit-limited-by");
static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Adds the headers of all limits that are set, and names the one that refused.
pub fn insert(headers: &mut HeaderMap, view: Option<&View>, limited_by: Option<LimitName>) {
    if let Some(limit) = limited_by {
        headers.insert(&LIMITED_BY, HeaderValue::from_static(limit.as_str()));
    }
    let Some(view) = view else { return };
    triple(headers, &REQUESTS, view.requests_per_minute);
    triple(headers, &TOKENS, view.tokens());
    let (mut policy, mut state) = (String::new(), String::new());
    for meter in view.meters() {
        let Some((name, window)) = policy_of(meter.name) else { continue };
        let separator = if policy.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(policy, "{separator}\"{name}\";q={};w={window}", meter.max);
        let seconds = meter.reset.as_millis().div_ceil(1000);
        let _ = write!(state, "{separator}\"{name}\";r={};t={seconds}", meter.remaining);
    }
    if !policy.is_empty() {
        for (name, value) in [(&POLICY, policy), (&STATE, state)] {
            headers.extend(HeaderValue::try_from(value).map(|value| (name.clone(), value)));
        }
    }
}

/// A policy's short name and its window in seconds; a bound on calls at once has no window.
fn policy_of(limit: LimitName) -> Option<(&'static str, u32)> {
    match limit {
        LimitName::RequestsPerMinute => Some(("rpm", 60)),
        LimitName::TokensPerMinute => Some(("tpm", 60)),
        LimitName::TokensPerDay => Some(("tpd", 86_400)),
        LimitName::ConcurrentRequests => None,
    }
}

fn triple(headers: &mut HeaderMap, names: &[HeaderName; 3], meter: Option<Meter>) {
    let Some(meter) = meter else { return };
    let [limit, remaining, reset] = names;
    headers.insert(limit, HeaderValue::from(meter.max));
    headers.insert(remaining, HeaderValue::from(meter.remaining));
    headers.extend(HeaderValue::try_from(duration(meter.reset)).map(|value| (reset.clone(), value)));
}

/// As OpenAI writes them: `6m0s`, `1.5s`, `88ms`, `0s`; rounded up to a millisecond.
fn duration(duration: Duration) -> String {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut text = String::new();
    let seconds = match (rest / 1000, rest % 1000) {
        (0, part) if part > 0 && ms < 1000 => return format!("{part}ms"),
        (whole, 0) => format!("{whole}s"),
        (whole, part) => format!("{whole}.{part:03}").trim_end_matches('0').to_owned() + "s",
    };
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    text + &seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_written_as_openai_writes_them() {
        let cases = [
            (0, "0s"),
            (88, "88ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (59_999, "59.999s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (86_399_010, "23h59m59.01s"),
        ];
        for (ms, written) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), written);
        }
        assert_eq!(duration(Duration::from_micros(1)), "1ms");
    }
}

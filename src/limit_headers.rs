//! The state of a client's limits as response headers, in OpenAI's form and the IETF draft's.
//!
//! `x-ratelimit-*` as OpenAI's API reference gives them (resets as `6m0s`, `88ms`); `RateLimit-Policy` and
//! `RateLimit` as in draft-ietf-httpapi-ratelimit-headers. All values of an answer share one allocation.
//!
//! Budgets are not among them, since neither form has a unit for money: a refusal names them, and the admin page
//! shows them.

use std::time::Duration;

use bytes::BytesMut;
use gateway_actors::{Denied, View};
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
static WOULD_REFUSE: HeaderName = HeaderName::from_static("x-gateway-would-refuse");
static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Room for all values: four numbers of up to 20 digits, two resets of 16, and per policy twice 60.
const VALUES_MAX: usize = 512;

/// Adds the headers of all limits that are set, and names the one that refused.
pub fn insert(headers: &mut HeaderMap, view: Option<&View>, limited_by: Option<LimitName>) {
    if let Some(limit) = limited_by {
        headers.insert(&LIMITED_BY, HeaderValue::from_static(limit.as_str()));
    }
    let Some(view) = view else { return };
    let mut values = Values(BytesMut::with_capacity(VALUES_MAX));
    triple(headers, &mut values, &REQUESTS, view.requests_per_minute);
    triple(headers, &mut values, &TOKENS, view.tokens());
    let policies = || view.meters().filter_map(|meter| Some((policy_of(meter.name)?, meter)));
    for (at, ((name, window), meter)) in policies().enumerate() {
        values.member(at, name, "\";q=", meter.max, ";w=", window);
    }
    values.insert(headers, &POLICY);
    for (at, ((name, _), meter)) in policies().enumerate() {
        let seconds = u64::try_from(meter.reset.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        values.member(at, name, "\";r=", meter.remaining, ";t=", seconds);
    }
    values.insert(headers, &STATE);
}

/// Names the limit in shadow that would have refused.
pub fn insert_would_refuse(headers: &mut HeaderMap, would_refuse: Option<&Denied>) {
    if let Some(denied) = would_refuse {
        headers.insert(&WOULD_REFUSE, HeaderValue::from_static(denied.limit.as_str()));
    }
}

/// A policy's short name and its window in seconds; a bound on calls at once has no window, and money no policy.
fn policy_of(limit: LimitName) -> Option<(&'static str, u64)> {
    match limit {
        LimitName::RequestsPerMinute => Some(("rpm", 60)),
        LimitName::TokensPerMinute => Some(("tpm", 60)),
        LimitName::TokensPerDay => Some(("tpd", 86_400)),
        LimitName::UsdPerDay | LimitName::UsdPerMonth | LimitName::ConcurrentRequests => None,
    }
}

fn triple(headers: &mut HeaderMap, values: &mut Values, names: &[HeaderName; 3], meter: Option<Meter>) {
    let Some(meter) = meter else { return };
    let [limit, remaining, reset] = names;
    values.number(meter.max);
    values.insert(headers, limit);
    values.number(meter.remaining);
    values.insert(headers, remaining);
    values.duration(meter.reset);
    values.insert(headers, reset);
}

/// Header values, written one after the other into one buffer.
struct Values(BytesMut);

impl Values {
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.text(itoa::Buffer::new().format(number));
    }

    /// One member of a list of policies: its quoted name and two parameters.
    fn member(&mut self, at: usize, name: &str, first: &str, one: u64, second: &str, other: u64) {
        self.text(if at == 0 { "\"" } else { ", \"" });
        self.text(name);
        self.text(first);
        self.number(one);
        self.text(second);
        self.number(other);
    }

    /// As OpenAI writes them: `6m0s`, `1.5s`, `88ms`, `0s`; rounded up to a millisecond.
    fn duration(&mut self, duration: Duration) {
        let ms = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        if ms > 0 && ms < 1000 {
            self.number(ms);
            return self.text("ms");
        }
        let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
        if hours > 0 {
            self.number(hours);
            self.text("h");
        }
        if hours > 0 || minutes > 0 {
            self.number(minutes);
            self.text("m");
        }
        self.number(ms / 1000 % 60);
        let (mut rest, mut place) = (ms % 1000, 100);
        if rest > 0 {
            self.text(".");
        }
        while rest > 0 {
            self.number(rest / place);
            (rest, place) = (rest % place, place / 10);
        }
        self.text("s");
    }

    /// What was written since the last one, as a header; nothing is no header.
    fn insert(&mut self, headers: &mut HeaderMap, name: &HeaderName) {
        if self.0.is_empty() {
            return;
        }
        if let Ok(value) = HeaderValue::from_maybe_shared(self.0.split().freeze()) {
            headers.insert(name, value);
        }
    }
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
        let written = |duration| {
            let mut values = Values(BytesMut::new());
            values.duration(duration);
            String::from_utf8(values.0.to_vec()).unwrap()
        };
        for (ms, expected) in cases {
            assert_eq!(written(Duration::from_millis(ms)), expected);
        }
        assert_eq!(written(Duration::from_micros(1)), "1ms");
    }
}

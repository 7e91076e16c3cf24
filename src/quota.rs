//! What an upstream says of our own limits there: in the head of any answer, and with a 429.
//!
//! Called   by `call.rs`, with every answer's head and with the body of a refusal.
//! Fails    never: what cannot be understood says nothing.
//!
//! OpenAI and servers like it send `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, with resets as durations
//! (`6m0s`, `88ms`); Groq counts its requests by the day in the same names. Anthropic sends
//! `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, with resets as moments
//! (RFC 3339). `retry-after` is seconds or a date (RFC 9110, 10.2.3), `retry-after-ms` OpenAI's own
//! (`x-ms-retry-after-ms` at Azure), and Gemini says `retryDelay` in the error's details (google.rpc.RetryInfo).

use std::time::Duration;

use gateway_actors::QuotaReport;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::call::RETRY_AFTER_MS;

/// The same at Azure.
static X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");

/// A plain number above this is a moment in seconds since 1970, above the next one in milliseconds; below it is a
/// number of seconds.
const SECONDS_FROM: f64 = 1e9;
const MILLISECONDS_FROM: f64 = 1e12;

/// The three headers of one limit.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

macro_rules! names {
    ($limit:literal, $remaining:literal, $reset:literal) => {
        Names {
            limit: HeaderName::from_static($limit),
            remaining: HeaderName::from_static($remaining),
            reset: HeaderName::from_static($reset),
        }
    };
}

static REQUESTS: [Names; 2] = [
    names!("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    names!(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset"
    ),
];

static TOKENS: [Names; 4] = [
    names!("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    names!(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset"
    ),
    names!(
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset"
    ),
    names!(
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset"
    ),
];

/// Our limits of requests and of tokens, where an answer's head tells them. Of several kinds of tokens the one with
/// the least left.
pub fn told(headers: &HeaderMap) -> (Option<QuotaReport>, Option<QuotaReport>) {
    let least = |names: &[Names]| {
        let reports = names.iter().filter_map(|names| report(headers, names));
        reports.min_by_key(|report| (report.remaining, std::cmp::Reverse(report.reset_after)))
    };
    (least(&REQUESTS), least(&TOKENS))
}

fn report(headers: &HeaderMap, names: &Names) -> Option<QuotaReport> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let number = |name: &HeaderName| text(name)?.trim().parse::<u64>().ok();
    let remaining = number(&names.remaining)?;
    Some(QuotaReport { limit: number(&names.limit), remaining, reset_after: wait(text(&names.reset)?)? })
}

/// When to come again, as a refusal says it: the most exact of its headers, else its body, else the reset of the limit
/// that is used up.
pub fn retry_after(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let ms = || text(&RETRY_AFTER_MS).or_else(|| text(&X_MS_RETRY_AFTER_MS))?.trim().parse::<f64>().ok();
    let ms = || Duration::try_from_secs_f64(ms()? / 1e3).ok();
    let empty = || {
        let (requests, tokens) = told(headers);
        let empty = [requests, tokens].into_iter().flatten().filter(|report| report.remaining == 0);
        empty.map(|report| report.reset_after).max()
    };
    ms().or_else(|| wait(text(&RETRY_AFTER)?)).or_else(|| retry_delay(body)).or_else(empty)
}

/// Gemini's `retryDelay`.
fn retry_delay(body: &[u8]) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get(0).unwrap_or(&body).get("error")?;
    let mut details = error.get("details")?.as_array()?.iter();
    details.find_map(|detail| wait(detail.get("retryDelay")?.as_str()?))
}

/// How long to wait, in any of the forms in which upstreams write it.
fn wait(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    if let Some(duration) = duration(text) {
        return Some(duration);
    }
    let moment = match text.parse::<Timestamp>() {
        Ok(moment) => moment,
        Err(_) => DateTimeParser::new().parse_timestamp(text).ok()?,
    };
    Some(until(moment))
}

fn seconds(number: f64) -> Option<Duration> {
    let moment = match number {
        _ if number >= MILLISECONDS_FROM => number,
        _ if number >= SECONDS_FROM => number * 1e3,
        _ => return Duration::try_from_secs_f64(number).ok(),
    };
    // Cut to whole milliseconds; what is out of range is no moment.
    Timestamp::from_millisecond(moment as i64).ok().map(until)
}

fn until(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default()
}

/// `6m0s`, `2m59.56s`, `1h`, `88ms`, `1d2h`: numbers, each with its unit.
fn duration(text: &str) -> Option<Duration> {
    let mut all = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        all = all.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use jiff::SignedDuration;

    use super::*;

    fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
        let value = |text: &String| HeaderValue::from_str(text).unwrap();
        pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    fn header(name: &'static str, text: &str) -> HeaderMap {
        headers(&[(name, text.to_owned())])
    }

    #[test]
    fn durations_are_read_as_upstreams_write_them() {
        let cases = [
            ("6m0s", 360_000),
            ("88ms", 88),
            ("2m59.56s", 179_560),
            ("1h2m3s", 3_723_000),
            ("7.66s", 7_660),
            ("12", 12_000),
            ("0.5", 500),
            ("0", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(wait(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "soon", "6m0", "-3", "s", "1x", "NaN", "inf", "1e300"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_read_in_every_form_and_never_lie_before_now() {
        let moment = Timestamp::now() + SignedDuration::from_secs(90);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&moment).unwrap();
        let forms =
            [date, moment.to_string(), moment.as_second().to_string(), moment.as_millisecond().to_string()];
        for text in forms {
            let wait = wait(&text).unwrap();
            assert!((Duration::from_secs(80)..=Duration::from_secs(90)).contains(&wait), "{text}: {wait:?}");
        }
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn the_most_exact_word_of_a_refusal_counts() {
        let both = headers(&[("retry-after", "2".to_owned()), ("retry-after-ms", "1500".to_owned())]);
        assert_eq!(retry_after(&both, b""), Some(Duration::from_millis(1_500)));
        let azures = headers(&[("retry-after", "2".to_owned()), ("x-ms-retry-after-ms", "1250".to_owned())]);
        assert_eq!(retry_after(&azures, b""), Some(Duration::from_millis(1_250)));
        assert_eq!(retry_after(&header("retry-after", "2"), b""), Some(Duration::from_secs(2)));
        let body = br#"{"error":{"code":429,"details":[{"@type":"x"},{"@type":"y","retryDelay":"37s"}]}}"#;
        assert_eq!(retry_after(&HeaderMap::new(), body), Some(Duration::from_secs(37)));
        let empty = headers(&[
            ("x-ratelimit-remaining-requests", "5".to_owned()),
            ("x-ratelimit-reset-requests", "1h".to_owned()),
            ("x-ratelimit-remaining-tokens", "0".to_owned()),
            ("x-ratelimit-reset-tokens", "7.66s".to_owned()),
        ]);
        assert_eq!(retry_after(&empty, b"no JSON"), Some(Duration::from_millis(7_660)));
        assert_eq!(retry_after(&HeaderMap::new(), b"null"), None);
    }

    #[test]
    fn the_emptiest_of_anthropics_token_limits_counts() {
        let reset = (Timestamp::now() + SignedDuration::from_secs(30)).to_string();
        let told = told(&headers(&[
            ("anthropic-ratelimit-requests-limit", "50".to_owned()),
            ("anthropic-ratelimit-requests-remaining", "49".to_owned()),
            ("anthropic-ratelimit-requests-reset", reset.clone()),
            ("anthropic-ratelimit-input-tokens-remaining", "1000".to_owned()),
            ("anthropic-ratelimit-input-tokens-reset", reset.clone()),
            ("anthropic-ratelimit-output-tokens-remaining", "0".to_owned()),
            ("anthropic-ratelimit-output-tokens-reset", reset),
        ]));
        assert_eq!(told.0.map(|report| (report.limit, report.remaining)), Some((Some(50), 49)));
        assert_eq!(told.1.map(|report| report.remaining), Some(0));
        assert!(told.1.is_some_and(|report| report.reset_after > Duration::from_secs(20)));
    }

    #[test]
    fn a_limit_without_its_reset_says_nothing() {
        assert_eq!(told(&header("x-ratelimit-remaining-requests", "0")), (None, None));
    }
}

//! W3C Trace Context, level 1: the header `traceparent`, read and written.
//!
//! Called   by the front door where traces are exported, and by a request's trail for its upstream.
//! Fails    never: a header that is not one begins a new trace, as the specification asks.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The bit of the flags that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// The trace that a request is part of, and its span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace's id, never 0.
    pub trace_id: u128,
    /// The caller's span, where it named one.
    pub parent: Option<u64>,
    /// The request's own span, never 0.
    pub span: u64,
    /// Whether the trace is recorded.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Goes on with the caller's trace and its decision, else begins one with this id; `sample` decides whether
    /// a new one is recorded.
    pub fn of(headers: &HeaderMap, new_id: u128, sample: impl FnOnce(u128) -> bool) -> Self {
        let span = rand::random::<u64>().max(1);
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let theirs = match (values.next(), values.next()) {
            (Some(value), None) => parse(value.as_bytes()),
            _ => None,
        };
        match theirs {
            Some((trace_id, parent, flags)) => {
                Self { trace_id, parent: Some(parent), span, is_sampled: flags & SAMPLED != 0 }
            }
            None => {
                let trace_id = new_id.max(1);
                Self { trace_id, parent: None, span, is_sampled: sample(trace_id) }
            }
        }
    }

    /// The span of the request's n-th attempt, from 1; the request's own for 0. Made from it, so that the header
    /// that goes upstream and the exported span agree without either being kept.
    pub fn span_of_attempt(&self, attempt: u32) -> u64 {
        if attempt == 0 {
            return self.span;
        }
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection that spreads neighbours far apart.
        let mut mixed = self.span.wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }

    /// The header for the upstream of an attempt.
    pub fn traceparent(&self, attempt: u32) -> Option<HeaderValue> {
        let (trace, span) = (self.trace_id, self.span_of_attempt(attempt));
        HeaderValue::try_from(format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(self.is_sampled))).ok()
    }
}

/// Trace id, parent's id and flags of a header's value: `00-` 32 digits `-` 16 digits `-` 2 digits, lower-case
/// hexadecimal. A later version may have more behind the flags.
fn parse(value: &[u8]) -> Option<(u128, u64, u8)> {
    let value = std::str::from_utf8(value).ok()?.trim();
    let mut parts = value.splitn(5, '-');
    let mut part = |length: usize| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        parts.next().filter(|part| part.len() == length && part.bytes().all(is_digit))
    };
    let (version, trace_id, parent, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let has_more = parts.next().is_some();
    let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (version != "ff" && (version != "00" || !has_more)).then_some((trace_id, parent, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        TraceContext::of(&headers, 7, |_| false)
    }

    #[test]
    fn a_callers_trace_goes_on_with_its_decision() {
        let trace = of(&[THEIRS]);
        assert_eq!(trace.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((trace.parent, trace.is_sampled), (Some(0x00f0_67aa_0ba9_02b7), true));
        let upstream = trace.traceparent(1).unwrap();
        let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01", trace.span_of_attempt(1));
        assert_eq!(upstream, expected.as_str());
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        for broken in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!((of(&[broken]).trace_id, of(&[broken]).parent), (7, None), "{broken}");
        }
        assert_eq!(of(&[THEIRS, THEIRS]).parent, None, "two of them name no one trace");
        let later = of(&["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"]);
        assert!(later.parent.is_some(), "a later version may say more");
    }

    #[test]
    fn every_attempt_has_a_span_of_its_own() {
        let trace = of(&[]);
        let spans: std::collections::HashSet<u64> = (0..1000).map(|n| trace.span_of_attempt(n)).collect();
        assert_eq!(spans.len(), 1000);
    }
}

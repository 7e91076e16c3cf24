//! Where traces and metrics are sent, if anywhere.
//!
//! Owns     the settings of `[telemetry]`.
//! Called   by `Settings`; read once, at the start.
//! Bounded  by [`HEADERS_MAX`] headers.
//! Fails    in the report only; what headers hold is never in it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::Env;
use crate::config::{Place, Problem, Report, Section, values};

/// The variable with the headers of every export, as OpenTelemetry names it.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Headers that can be sent along: a key, a tenant, and some more.
const HEADERS_MAX: usize = 16;

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetrySettings {
    /// Where OTLP over HTTP goes, without `/v1/traces`; `None`: nowhere.
    pub otlp_endpoint: Option<Arc<str>>,
    /// What goes along with each export; a secret.
    pub otlp_headers: Vec<(HeaderName, HeaderValue)>,
    /// `service.name` of all that is sent.
    pub service_name: Box<str>,
    /// The share of traces that are recorded, of those whose caller has not decided.
    pub sample_ratio: f64,
}

impl TelemetrySettings {
    pub(crate) fn read(mut section: Section<'_>, env: &Env<'_>, report: &mut Report) -> Self {
        let otlp_endpoint = section.get("otlp_endpoint", values::base_url, report).map(Into::into);
        let service_name = section.get("service_name", values::filled_text, report);
        let sample_ratio = section.get("sample_ratio", values::share, report);
        section.finish(report);
        let written = env(HEADERS).unwrap_or_default();
        let otlp_headers = headers(&written).unwrap_or_else(|| {
            report.fault(Place::Setting(HEADERS), "", Problem::NotAHeader);
            Vec::new()
        });
        Self {
            otlp_endpoint,
            otlp_headers,
            service_name: service_name.map_or_else(|| "dsp-ai-gateway".into(), Into::into),
            sample_ratio: sample_ratio.unwrap_or(1.0),
        }
    }
}

/// `name=value,name=value`, values percent-encoded, as OpenTelemetry's specification of the exporter has it.
fn headers(written: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let pairs = written.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let headers: Option<Vec<_>> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse().ok()?, value))
        })
        .collect();
    headers.filter(|headers| headers.len() <= HEADERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_open_telemetry_writes_them_and_never_shown() {
        let read = headers("api-key=s3cr%3Dt, x-tenant = a ,").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].0.as_str(), read[0].1.as_bytes()), ("api-key", &b"s3cr=t"[..]));
        assert_eq!((read[1].0.as_str(), read[1].1.as_bytes()), ("x-tenant", &b"a"[..]));
        assert!(!format!("{read:?}").contains("s3cr"));
        for broken in ["api-key", "a b=c", "a=%0A", "a=%ff"] {
            assert_eq!(headers(broken), None, "{broken}");
        }
        assert_eq!(headers(""), Some(Vec::new()));
    }
}

//! An ended request as OTLP spans: one for the request, one for each attempt, in the terms of OpenTelemetry's semantic
//! conventions for generative AI (`gen_ai.*`) where they have one, `gateway.*` elsewhere.
//!
//! Called   by the exporter's own task.
//! Bounded  by the steps of a record.
//! Fails    never. A record holds no text of a prompt or an answer, so a span holds none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::trace_context::TraceContext;
use crate::trail::{Noted, Outline, Record, Step, usd};

/// OTLP's `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;

/// OTLP's `SPAN_KIND_CLIENT`.
const CLIENT: u8 = 3;

/// OTLP's `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The spans of a request that is part of a trace.
pub fn of(record: &Record) -> Vec<Value> {
    let Some(trace) = record.trace() else { return Vec::new() };
    let end = record.end();
    record.read(|steps, _| {
        let outline = Outline::of(steps, end);
        let times = Times { arrived_at: record.arrived_at() };
        let mut spans = vec![request(record, &trace, &outline, steps, &times)];
        spans.extend(attempts(&trace, &outline, steps, &times));
        spans
    })
}

/// From times since arrival to OTLP's nanoseconds since 1970, which JSON has as text.
struct Times {
    arrived_at: SystemTime,
}

impl Times {
    fn at(&self, since_arrival: Duration) -> String {
        let since_epoch = self.arrived_at.duration_since(UNIX_EPOCH).unwrap_or_default() + since_arrival;
        since_epoch.as_nanos().to_string()
    }
}

/// One attribute, in OTLP's JSON: numbers of 64 bits are text.
pub fn attribute(name: &str, value: &Value) -> Value {
    let typed = match value {
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({ "intValue": whole.to_string() }),
            None => json!({ "doubleValue": number }),
        },
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": name, "value": typed })
}

/// Attributes of what there is.
fn attributes<const N: usize>(named: [(&str, Value); N]) -> Vec<Value> {
    let known = named.iter().filter(|(_, value)| !value.is_null());
    known.map(|(name, value)| attribute(name, value)).collect()
}

/// `gen_ai.operation.name`, where the conventions have one for the endpoint.
fn operation(endpoint: Option<&str>) -> &str {
    match endpoint.unwrap_or_default() {
        "chat/completions" | "messages" | "responses" | "generate" => "chat",
        "completions" => "text_completion",
        "embeddings" => "embeddings",
        other => other,
    }
}

fn request(
    record: &Record,
    trace: &TraceContext,
    outline: &Outline<'_>,
    steps: &[Noted],
    times: &Times,
) -> Value {
    let operation = operation(outline.endpoint);
    let usage = outline.usage.as_ref();
    let failed = error_of(outline);
    let told = steps.iter().filter(|noted| !is_span(&noted.step));
    let events: Vec<Value> = told.map(|noted| event(noted, times)).collect();
    let mut span = json!({
        "traceId": format!("{:032x}", trace.trace_id),
        "spanId": format!("{:016x}", trace.span),
        "name": name(operation, outline.model),
        "kind": SERVER,
        "startTimeUnixNano": times.at(Duration::ZERO),
        "endTimeUnixNano": times.at(outline.duration.unwrap_or_default()),
        "attributes": attributes([
            ("gen_ai.operation.name", operation.into()),
            ("gen_ai.provider.name", outline.provider.into()),
            ("gen_ai.request.model", outline.model.into()),
            ("gen_ai.response.model", outline.upstream_model.into()),
            ("gen_ai.usage.input_tokens", usage.map(|usage| usage.prompt_tokens()).into()),
            ("gen_ai.usage.output_tokens", usage.map(|usage| usage.completion_tokens()).into()),
            ("gen_ai.usage.cache_read.input_tokens", usage.map(|usage| usage.cache_read).into()),
            ("gen_ai.usage.cache_creation.input_tokens", usage.map(|usage| usage.cache_write).into()),
            ("http.response.status_code", outline.status.into()),
            ("error.type", failed.as_deref().into()),
            ("gateway.request_id", record.id().as_str().into()),
            ("gateway.client_request_id", record.client_request_id().into()),
            ("gateway.client", outline.client.into()),
            ("gateway.endpoint", outline.endpoint.into()),
            ("gateway.ending", outline.ending.into()),
            ("gateway.attempts", outline.attempts.into()),
            ("gateway.usage.grade", outline.grade.into()),
            ("gateway.cost_usd", outline.cost.map_or(Value::Null, usd)),
            ("gateway.time_to_first_token", outline.first_token.map(|time| time.as_secs_f64()).into()),
            ("gateway.overhead", outline.overhead.map(|time| time.as_secs_f64()).into()),
        ]),
        "events": events,
        "status": if failed.is_some() { json!({ "code": ERROR }) } else { json!({}) },
    });
    if let Some(parent) = trace.parent {
        span["parentSpanId"] = format!("{parent:016x}").into();
        // The caller's span is in another process.
        span["flags"] = 0x301.into();
    }
    span
}

fn event(Noted { at, step }: &Noted, times: &Times) -> Value {
    let (name, members) = step.named();
    let members = members.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    json!({
        "timeUnixNano": times.at(*at),
        "name": name,
        "attributes": members.map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
    })
}

fn name(operation: &str, model: Option<&str>) -> String {
    match model {
        Some(model) => format!("{operation} {model}"),
        None => operation.to_owned(),
    }
}

/// Why a request failed through no fault of its caller, as `error.type` has it.
fn error_of(outline: &Outline<'_>) -> Option<String> {
    let status = outline.status.unwrap_or_default();
    let is_failed = status >= 500 || ["cut", "failed", "panicked"].contains(&outline.ending);
    is_failed.then(|| match outline.refused {
        Some(refused) => refused.to_owned(),
        None if status >= 500 => status.to_string(),
        None => outline.ending.to_owned(),
    })
}

/// Whether a step is told by a span of its own.
fn is_span(step: &Step) -> bool {
    matches!(step, Step::Leased { .. } | Step::AttemptFailed { .. })
}

/// Each attempt: from its lease to its failure, the next lease, or the request's end.
fn attempts(trace: &TraceContext, outline: &Outline<'_>, steps: &[Noted], times: &Times) -> Vec<Value> {
    let end = outline.duration.unwrap_or_default();
    let mut spans = Vec::new();
    let mut number = 0_u32;
    for (place, Noted { at, step }) in steps.iter().enumerate() {
        let Step::Leased { provider, key, model, attempt } = step else { continue };
        // As the trail counts for the header that went upstream.
        number += 1;
        let after = steps[place + 1..].iter().find(|noted| is_span(&noted.step));
        let (failed, status) = match after.map(|noted| &noted.step) {
            Some(Step::AttemptFailed { what, status, .. }) => (Some(*what), *status),
            _ => (None, None),
        };
        let operation = operation(outline.endpoint);
        spans.push(json!({
            "traceId": format!("{:032x}", trace.trace_id),
            "spanId": format!("{:016x}", trace.span_of_attempt(number)),
            "parentSpanId": format!("{:016x}", trace.span),
            "name": name(operation, Some(model)),
            "kind": CLIENT,
            "startTimeUnixNano": times.at(*at),
            "endTimeUnixNano": times.at(after.map_or(end, |noted| noted.at)),
            "attributes": attributes([
                ("gen_ai.operation.name", operation.into()),
                ("gen_ai.provider.name", (&**provider).into()),
                ("gen_ai.request.model", (&**model).into()),
                ("http.response.status_code", status.into()),
                ("error.type", failed.into()),
                ("gateway.key", (&**key).into()),
                ("gateway.attempt", (*attempt).into()),
            ]),
            "status": if failed.is_some() { json!({ "code": ERROR }) } else { json!({}) },
        }));
    }
    spans
}

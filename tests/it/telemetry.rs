//! Traces and metrics to an OpenTelemetry collector, and what becomes of them without one.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_testkit::deadline::patiently;
use gateway_testkit::{FakeUpstream, Reply, Seen, TestGateway, chat_request};
use serde_json::{Value, json};

/// A caller's trace that is recorded, and its span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

struct Site {
    upstream: FakeUpstream,
    collector: FakeUpstream,
    gateway: TestGateway,
}

impl Site {
    async fn start(more: &str) -> Self {
        let (upstream, collector) = (FakeUpstream::start().await, FakeUpstream::start().await);
        collector.always(Reply::json(json!({})));
        let telemetry = format!("[telemetry]\notlp_endpoint = \"{}\"\n{more}", collector.origin());
        let gateway = TestGateway::with(&upstream)
            .toml(&telemetry)
            .env("OTEL_EXPORTER_OTLP_HEADERS=x-tenant=ours")
            .client("ada", json!({}))
            .start()
            .await;
        Self { upstream, collector, gateway }
    }

    /// The next export.
    async fn export(&self) -> Seen {
        patiently("an export", self.collector.next_request()).await
    }
}

/// Attributes by name, their types left out.
fn attributes(holder: &Value) -> BTreeMap<String, Value> {
    let attributes = holder["attributes"].as_array().unwrap().iter();
    attributes
        .map(|attribute| {
            let value = attribute["value"].as_object().unwrap().values().next().unwrap();
            (attribute["key"].as_str().unwrap().to_owned(), value.clone())
        })
        .collect()
}

fn spans(export: &Seen) -> Vec<Value> {
    assert_eq!(export.path(), "/v1/traces");
    export.json()["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_request_is_a_span_below_its_callers_and_each_attempt_one_below_that() {
    let site = Site::start("service_name = \"gate\"\n").await;
    site.upstream.script(Reply::text("hello").tokens(11, 3));
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    let request = chat_request("ada", "hi", false).header("traceparent", &traceparent);
    let answer = site.gateway.ask(&request).await;
    let export = site.export().await;
    assert_eq!(export.header("x-tenant"), Some("ours"));
    assert_eq!(export.header("content-type"), Some("application/json"));
    let resource = attributes(&export.json()["resourceSpans"][0]["resource"]);
    assert_eq!(resource["service.name"], "gate");
    let spans = spans(&export);
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (whole, attempt) = (&spans[0], &spans[1]);
    assert_eq!((&whole["traceId"], &whole["parentSpanId"]), (&json!(TRACE), &json!(SPAN)));
    assert_eq!((&attempt["traceId"], &attempt["parentSpanId"]), (&json!(TRACE), &whole["spanId"]));
    let upstreams = site.upstream.request(0).header("traceparent").map(str::to_owned);
    let expected = format!("00-{TRACE}-{}-01", attempt["spanId"].as_str().unwrap());
    assert_eq!(upstreams, Some(expected), "the upstream's parent is the span of its attempt");
    assert_eq!(whole["name"], "chat gpt-test");
    assert_eq!((&whole["kind"], &attempt["kind"]), (&json!(2), &json!(3)));
    let told = attributes(whole);
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.model", json!("gpt-test")),
        ("gen_ai.usage.input_tokens", json!("11")),
        ("gen_ai.usage.output_tokens", json!("3")),
        ("http.response.status_code", json!("200")),
        ("gateway.client", json!("ada")),
        ("gateway.request_id", json!(answer.header("x-request-id").unwrap())),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}");
    }
    let nanos = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
    let time = |span: &Value| (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
    let ((begin, end), (inner_begin, inner_end)) = (time(whole), time(attempt));
    assert!(begin <= inner_begin && inner_begin <= inner_end && inner_end <= end);
    site.gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_failed_request_is_an_error_and_a_trace_of_our_own_is_named_by_the_request() {
    let site = Site::start("").await;
    site.upstream.always(Reply::error(500));
    let answer = site.gateway.chat("ada", "hi").await;
    let spans = spans(&site.export().await);
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(spans[0]["traceId"], id.trim_start_matches("req_"));
    assert!(spans[0].get("parentSpanId").is_none());
    assert!(spans.iter().all(|span| span["status"]["code"] == 2), "{spans:#?}");
    assert_eq!(attributes(&spans[1])["http.response.status_code"], "500");
    site.gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_is_not_sampled_is_not_exported_and_a_caller_decides_for_its_trace() {
    let site = Site::start("sample_ratio = 0\n").await;
    let ours = chat_request("ada", "hi", false);
    let not_recorded = ours.clone().header("traceparent", &format!("00-{TRACE}-{SPAN}-00"));
    let recorded = ours.clone().header("traceparent", &format!("00-{TRACE}-{SPAN}-01"));
    for request in [&ours, &not_recorded, &recorded] {
        assert_eq!(site.gateway.ask(request).await.status, 200);
    }
    assert_eq!(spans(&site.export().await).len(), 2, "one request and its attempt");
    site.gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_waits_when_the_gateway_stops_is_exported_with_the_metrics() {
    let site = Site::start("").await;
    assert_eq!(site.gateway.chat("ada", "hi").await.status, 200);
    let Site { collector, gateway, .. } = site;
    gateway.ends_quiet().await;
    let first = collector.next_request().await;
    assert_eq!(spans(&first).len(), 2);
    let second = collector.next_request().await;
    assert_eq!(second.path(), "/v1/metrics");
    let metrics = second.json()["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].clone();
    let named =
        |name: &str| metrics.as_array().unwrap().iter().find(|metric| metric["name"] == name).cloned();
    let requests = named("gateway_requests_total").unwrap();
    assert_eq!(requests["sum"]["dataPoints"][0]["asDouble"], 1.0);
    assert!(
        named("gateway_overhead_seconds").unwrap()["histogram"]["dataPoints"][0]["bucketCounts"].is_array()
    );
}

#[tokio::test]
async fn without_a_collector_requests_go_on_and_what_is_lost_is_counted() {
    let upstream = FakeUpstream::start().await;
    // Nobody listens there.
    let telemetry = "[telemetry]\notlp_endpoint = \"http://127.0.0.1:9\"\n";
    let gateway = TestGateway::with(&upstream).toml(telemetry).client("ada", json!({})).start().await;
    for _ in 0..3 {
        assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    }
    let lost = &gateway.front().observer.metrics.telemetry_lost;
    gateway.until("the lost requests to be counted", || lost.get() == 3).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_neither_requests_nor_the_end() {
    let upstream = FakeUpstream::start().await;
    let collector = FakeUpstream::start().await;
    collector.always(Reply::never());
    let telemetry = format!("[telemetry]\notlp_endpoint = \"{}\"\n", collector.origin());
    let gateway = TestGateway::with(&upstream).toml(&telemetry).client("ada", json!({})).start().await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    collector.next_request().await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let begun = std::time::Instant::now();
    gateway.ends_quiet().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "the end waits a short time only");
}

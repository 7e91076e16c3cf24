//! `GET /metrics`: who may read it, what it says after some requests, and the rules that Prometheus has for it.

use std::collections::{BTreeMap, BTreeSet};

use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::json;

/// A gateway that has answered whole, streamed, refused, and failed.
pub async fn exercised() -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .models("[openai.\"gpt-test\"]\ninput = 1.0\noutput = 2.0\n")
        .client("ada", json!({}))
        .client("bob", json!({"rate_limit": {"requests_per_minute": 0}}))
        .start()
        .await;
    upstream.script(Reply::text("hello").tokens(1000, 500));
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    upstream.script(Reply::stream(["one ", "two"]).tokens(1000, 500));
    let streamed = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert!(streamed.complete);
    upstream.script(Reply::error(500));
    upstream.script(Reply::error(500));
    upstream.script(Reply::error(500));
    assert!(gateway.chat("ada", "hi").await.status >= 500);
    assert_eq!(gateway.chat("bob", "hi").await.status, 429);
    assert_eq!(gateway.chat("nobody", "hi").await.status, 401);
    gateway.is_quiet().await;
    (upstream, gateway)
}

pub async fn scraped(gateway: &TestGateway) -> String {
    let answer = gateway.ask(&Request::get("/metrics")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    answer.text()
}

/// The value of the one series that has all of these in its line.
fn value(text: &str, name: &str, labels: &[&str]) -> f64 {
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name).unwrap_or_default();
        rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
    };
    let found: Vec<&str> = text.lines().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn what_happened_is_counted_in_base_units() {
    let (_upstream, gateway) = exercised().await;
    let text = scraped(&gateway).await;
    let gpt = ["provider=\"openai\"", "model=\"gpt-test\""];
    let with = |label| [gpt[0], gpt[1], label];
    assert_eq!(value(&text, "gateway_requests_total", &with("status=\"200\"")), 2.0);
    assert_eq!(value(&text, "gateway_requests_total", &["status=\"429\""]), 1.0);
    assert_eq!(value(&text, "gateway_refusals_total", &["reason=\"requests_per_minute\""]), 1.0);
    assert_eq!(value(&text, "gateway_refusals_total", &["reason=\"invalid_credentials\""]), 1.0);
    assert_eq!(value(&text, "gateway_tokens_total", &with("kind=\"input\"")), 2000.0);
    assert_eq!(value(&text, "gateway_tokens_total", &with("kind=\"output\"")), 1000.0);
    let usd = value(&text, "gateway_cost_usd_total", &gpt);
    assert!((usd - 0.004).abs() < 1e-9, "{usd}");
    assert_eq!(value(&text, "gateway_time_to_first_token_seconds_count", &gpt), 2.0);
    assert!(value(&text, "gateway_overhead_seconds_count", &[]) >= 3.0);
    assert!(value(&text, "gateway_attempts_total", &["provider=\"openai\""]) >= 3.0);
    assert!(text.contains("gateway_attempt_failures_total{"));
    assert_eq!(value(&text, "gateway_client_requests_total", &["client=\"ada\""]), 3.0);
    assert_eq!(value(&text, "gateway_requests_in_flight", &[]), 0.0);
    assert_eq!(value(&text, "gateway_actors", &["kind=\"RateLimiter\"", "state=\"running\""]), 2.0);
    assert_eq!(value(&text, "gateway_upstream_breaker_state", &["provider=\"openai\""]), 0.0);
    assert_eq!(value(&text, "gateway_queue_depth", &["provider=\"openai\""]), 0.0);
    assert_eq!(value(&text, "gateway_ledger_writable", &[]), 1.0);
    assert_eq!(value(&text, "gateway_configuration_reload_ok", &[]), 1.0);
    assert!(!text.contains("gateway_tls_certificate_expires_seconds"), "there is no certificate");
    assert_eq!(value(&text, "gateway_build_info", &[]), 1.0);
    if cfg!(target_os = "linux") {
        assert!(value(&text, "process_resident_memory_bytes", &[]) > 1e6);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_reload_that_fails_is_seen_until_one_takes_effect() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1").client("ada", json!({})).start().await;
    let reload =
        Request::post("/admin/reload").header("authorization", &format!("Bearer {}", gateway.admin_token()));
    for (priority, status, ok) in [(0, 422, 0.0), (1, 200, 1.0)] {
        gateway.write_client("ada", &json!({"priority": priority}));
        assert_eq!(gateway.ask(&reload).await.status, status);
        assert_eq!(value(&scraped(&gateway).await, "gateway_configuration_reload_ok", &[]), ok);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn from_elsewhere_the_metrics_open_to_the_admin_token_alone() {
    let gateway = TestGateway::at("http://127.0.0.1:9/v1").client("ada", json!({})).start().await;
    let elsewhere = Request::get("/metrics").header("x-forwarded-for", "192.0.2.7");
    let refused = gateway.ask(&elsewhere).await;
    assert_eq!(refused.status, 401);
    assert!(refused.json()["detail"].is_string());
    assert_eq!(gateway.ask(&elsewhere.clone().header("authorization", "Bearer key-ada")).await.status, 401);
    let token = format!("Bearer {}", gateway.admin_token());
    assert_eq!(gateway.ask(&elsewhere.header("authorization", &token)).await.status, 200);
    gateway.ends_quiet().await;
}

/// What `promtool check metrics` finds fault with, and what its parser does: each family has its help and type
/// before its samples, together and once; counters end in `_total` and nothing else does; names are in base units and
/// name no type; no series is there twice.
#[tokio::test]
async fn the_exposition_is_as_prometheus_wants_it() {
    let (_upstream, gateway) = exercised().await;
    let text = scraped(&gateway).await;
    let mut types = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut series = BTreeSet::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(helped.insert(name) && !help.trim().is_empty(), "{line}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            assert!(helped.contains(name) && types.insert(name, kind).is_none(), "{line}");
            current = name;
        } else {
            let (id, value) = line.rsplit_once(' ').unwrap();
            let name = id.split('{').next().unwrap();
            let parts: &[&str] = match types[current] {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(parts.iter().any(|part| name.strip_suffix(part) == Some(current)), "{line}");
            assert!(series.insert(id), "{line} is there twice");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    for (name, kind) in types {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        for unit in
            ["milliseconds", "_ms", "minutes", "kilobytes", "percent", "counter", "gauge", "histogram"]
        {
            assert!(!name.contains(unit), "{name} has `{unit}` in it");
        }
    }
    gateway.ends_quiet().await;
}

/// What a text names that could be one of our metrics.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_metric = |word: &&str| word.starts_with("gateway_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_that_the_dashboard_the_alerts_and_the_manual_name_exists() {
    let (_upstream, gateway) = exercised().await;
    let text = scraped(&gateway).await;
    let mut known: BTreeSet<String> = BTreeSet::new();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = name.split_once(' ').unwrap();
        known.insert(name.to_owned());
        if kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
    }
    // These have no series before there was such a request, a model that rests, or a certificate.
    let without = [
        "gateway_would_refuse_total",
        "gateway_stream_recoveries_total",
        "gateway_upstream_model_breaker_state",
        "gateway_tls_certificate_expires_seconds",
    ];
    known.extend(without.map(str::to_owned));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["docs/monitoring/grafana.json", "docs/monitoring/alerts.yaml", "docs/operating.md"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for name in named_in(&text) {
            // The prefix alone stands for the usual families of a process.
            assert!(name == "process_" || known.contains(&name), "{file}: no `{name}`");
        }
    }
    gateway.ends_quiet().await;
}

#[test]
fn every_alert_is_explained() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(root.join("docs/monitoring/alerts.yaml")).unwrap();
    let manual = std::fs::read_to_string(root.join("docs/operating.md")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for alert in alerts {
        assert!(manual.contains(&format!("\n| {alert} |")), "docs/operating.md does not explain {alert}");
    }
}

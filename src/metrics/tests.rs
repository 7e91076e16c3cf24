//! Labels and their bounds.

use std::time::Duration;

use prometheus::TextEncoder;

use super::*;

fn text(metrics: &Metrics) -> String {
    TextEncoder::new().encode_to_string(&metrics.gather()).unwrap()
}

fn answered<'a>(model: &'a str, client: &'a str) -> Outline<'a> {
    Outline {
        endpoint: Some("chat/completions"),
        client: Some(client),
        provider: Some("openai"),
        upstream_model: Some(model),
        status: Some(200),
        first_token: Some(Duration::from_millis(300)),
        duration: Some(Duration::from_secs(2)),
        usage: Some(Usage { input: 10, output: 5, ..Usage::default() }),
        cost: Some(PICO_PER_USD / 2),
        ..Outline::default()
    }
}

#[test]
fn a_request_is_counted_in_base_units() {
    let metrics = Metrics::new().unwrap();
    metrics.ended(&answered("gpt-5", "ada"), &[]);
    let text = text(&metrics);
    for line in [
        r#"gateway_requests_total{endpoint="chat/completions",model="gpt-5",provider="openai",status="200"} 1"#,
        r#"gateway_tokens_total{kind="input",model="gpt-5",provider="openai"} 10"#,
        r#"gateway_cost_usd_total{model="gpt-5",provider="openai"} 0.5"#,
        r#"gateway_request_duration_seconds_sum{model="gpt-5",provider="openai"} 2"#,
        r#"gateway_time_to_first_token_seconds_bucket{model="gpt-5",provider="openai",le="0.4"} 1"#,
        r#"gateway_client_tokens_total{client="ada"} 15"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
}

#[test]
fn names_that_callers_make_up_get_no_series() {
    let metrics = Metrics::new().unwrap();
    for number in 0..1000 {
        let made_up = format!("made-up-{number}");
        let outline = Outline { first_token: None, status: Some(404), ..answered(&made_up, "ada") };
        metrics.ended(&outline, &[]);
    }
    let text = text(&metrics);
    assert!(!text.contains("made-up"), "{text}");
    assert!(text.contains(
        r#"gateway_requests_total{endpoint="chat/completions",model="other",provider="openai",status="404"} 1000"#
    ));
}

#[test]
fn beyond_the_bounds_models_and_clients_are_other() {
    let metrics = Metrics::new().unwrap();
    for number in 0..MODELS_MAX + 50 {
        metrics.ended(&answered(&format!("model-{number}"), &format!("client-{number}")), &[]);
    }
    let text = text(&metrics);
    let series = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(series("gateway_cost_usd_total{"), MODELS_MAX + 1);
    assert_eq!(series("gateway_client_requests_total{"), CLIENTS_MAX + 1);
    assert!(text.contains(r#"gateway_client_requests_total{client="other"} 50"#));
}

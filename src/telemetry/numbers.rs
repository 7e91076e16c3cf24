//! Families of metrics as OTLP: counters are cumulative sums, gauges gauges, histograms have explicit bounds.
//!
//! Called   by the exporter's own task.
//! Bounded  by the families.
//! Fails    never; summaries, of which there are none, would be left out.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Value, json};

use super::spans::attribute;

/// OTLP's `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// The families in OTLP's JSON; counters have counted since `started`.
pub fn of(families: &[MetricFamily], started: SystemTime) -> Vec<Value> {
    let times = (nanos(started), nanos(SystemTime::now()));
    families.iter().filter_map(|family| metric(family, &times)).collect()
}

fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

fn metric(family: &MetricFamily, times: &(String, String)) -> Option<Value> {
    let points = |value: fn(&Metric) -> Value| -> Vec<Value> {
        family.get_metric().iter().map(|metric| point(metric, times, value(metric))).collect()
    };
    let data = match family.get_field_type() {
        MetricType::COUNTER => {
            let points = points(|metric| json!({ "asDouble": metric.get_counter().get_value() }));
            json!({ "sum": {
                "dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true,
            }})
        }
        MetricType::GAUGE => {
            json!({ "gauge": { "dataPoints": points(|metric| json!({ "asDouble": metric.get_gauge().get_value() })) }})
        }
        MetricType::HISTOGRAM => {
            json!({ "histogram": { "dataPoints": points(buckets), "aggregationTemporality": CUMULATIVE } })
        }
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let mut metric = json!({ "name": family.name(), "description": family.help() });
    if let (Some(metric), Value::Object(data)) = (metric.as_object_mut(), data) {
        metric.extend(data);
    }
    Some(metric)
}

fn point(metric: &Metric, (started, now): &(String, String), value: Value) -> Value {
    let labels = metric.get_label().iter();
    let mut point = json!({
        "attributes": labels
            .map(|label| attribute(label.name(), &label.value().into()))
            .collect::<Vec<_>>(),
        "startTimeUnixNano": started,
        "timeUnixNano": now,
    });
    if let (Some(point), Value::Object(value)) = (point.as_object_mut(), value) {
        point.extend(value);
    }
    point
}

/// OTLP counts each bucket for itself, Prometheus all below its bound; the last bucket of OTLP has no bound.
fn buckets(metric: &Metric) -> Value {
    let histogram = metric.get_histogram();
    let mut below = 0;
    let (mut counts, mut bounds) = (Vec::new(), Vec::new());
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        counts.push((bucket.cumulative_count() - below).to_string());
        bounds.push(bucket.upper_bound());
        below = bucket.cumulative_count();
    }
    let all = histogram.get_sample_count();
    counts.push(all.saturating_sub(below).to_string());
    json!({
        "count": all.to_string(),
        "sum": histogram.get_sample_sum(),
        "bucketCounts": counts,
        "explicitBounds": bounds,
    })
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{Histogram, HistogramOpts};

    use super::*;

    #[test]
    fn a_histograms_buckets_are_told_apart() {
        let options = HistogramOpts::new("h", "help").buckets(vec![1.0, 2.0]);
        let histogram = Histogram::with_opts(options).unwrap();
        for value in [0.5, 1.5, 1.6, 9.0] {
            histogram.observe(value);
        }
        let told = of(&histogram.collect(), UNIX_EPOCH);
        let point = &told[0]["histogram"]["dataPoints"][0];
        assert_eq!(point["bucketCounts"], json!(["1", "2", "1"]));
        assert_eq!(point["explicitBounds"], json!([1.0, 2.0]));
        assert_eq!((&point["count"], &point["sum"]), (&json!("4"), &json!(12.6)));
    }
}

//! Figures over rounds, and how they are written.

use super::*;

fn cell(target: TargetKind, round: u32, cpu_micros_each: u64, latency_ms: u64) -> Cell {
    let measured = Tally {
        per_second: 1_000.0,
        latencies: vec![Duration::from_millis(latency_ms); 1_000],
        ..Tally::default()
    };
    let cpu = (target != TargetKind::Direct).then(|| Duration::from_micros(cpu_micros_each * 1_000));
    Cell::new(target, Scenario::Plain, 8, round, cpu, Tally::default(), measured)
}

fn report(cells: Vec<Cell>, rounds: u32) -> Report {
    let machine = Machine {
        cores: 2,
        processor: "a processor".to_owned(),
        nginx: Some("nginx/1.22.1".to_owned()),
        share_of_others: 0.25,
    };
    Report { machine, seconds: Duration::from_secs(3), rounds, notes: Vec::new(), cells }
}

fn text_of(report: &Report) -> String {
    let mut text = Vec::new();
    report.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn two_rounds() -> Report {
    use TargetKind::{Direct, Gateway, Nginx};
    let first = [cell(Direct, 0, 0, 1), cell(Nginx, 0, 20, 2), cell(Gateway, 0, 30, 4)];
    // The machine is twice as slow in the second round, which no ratio must show.
    let second = [cell(Direct, 1, 0, 2), cell(Nginx, 1, 40, 4), cell(Gateway, 1, 60, 8)];
    report(first.into_iter().chain(second).collect(), 2)
}

#[test]
fn ratios_are_taken_within_a_round() {
    let json = two_rounds().to_json();
    let plain = &json["scenarios"][0];
    assert_eq!(plain["gateway_to_nginx"]["cpu_ms_per_1000"], json!({"median": 1.5, "min": 1.5, "max": 1.5}));
    assert_eq!(
        plain["targets"]["gateway"]["summary"]["cpu_ms_per_1000"],
        json!({"median": 45.0, "min": 30.0, "max": 60.0})
    );
    assert_eq!(plain["targets"]["direct"]["summary"]["cpu_ms_per_1000"], Value::Null);
}

#[test]
fn latency_is_added_to_the_direct_one_of_the_same_round() {
    let json = two_rounds().to_json();
    let targets = &json["scenarios"][0]["targets"];
    assert_eq!(targets["nginx"]["summary"]["added_p50_ms"], json!({"median": 1.5, "min": 1.0, "max": 2.0}));
    assert_eq!(targets["direct"]["summary"]["added_p50_ms"], Value::Null);
}

#[test]
fn without_nginx_there_is_no_ratio_and_the_rest_stands() {
    let report = report(vec![cell(TargetKind::Direct, 0, 0, 1), cell(TargetKind::Gateway, 0, 30, 3)], 1);
    let json = report.to_json();
    assert_eq!(json["scenarios"][0]["gateway_to_nginx"], json!({}));
    let text = text_of(&report);
    assert!(text.contains("30.0 (30.0 to 30.0)"), "{text}");
}

/// Three rounds of the gateway with its ledger and without, each time with CPU microseconds per request.
fn with_and_without_ledger(rounds: [(u64, u64); 3]) -> Report {
    let cells = (0..).zip(rounds).flat_map(|(round, (with, without))| {
        [cell(TargetKind::Gateway, round, with, 3), cell(TargetKind::NoLedger, round, without, 3)]
    });
    report(cells.collect(), 3)
}

#[test]
fn the_ledger_costs_what_the_gateway_uses_more_within_a_round() {
    // The medians, 50 and 42, differ by 8; the rounds by 5, 18 and 6.
    let report = with_and_without_ledger([(40, 35), (60, 42), (50, 44)]);
    let json = report.to_json();
    assert_eq!(
        json["scenarios"][0]["ledger_cost"],
        json!({"cpu_ms_per_1000": {"median": 6.0, "min": 5.0, "max": 18.0}})
    );
    assert_eq!(
        json["scenarios"][0]["targets"]["no-ledger"]["summary"]["cpu_ms_per_1000"],
        json!({"median": 42.0, "min": 35.0, "max": 44.0})
    );
    let text = text_of(&report);
    assert!(text.contains("\nthe ledger costs 6.00 (5.00 to 18.0) ms of CPU per 1000 requests\n"), "{text}");
    assert!(text.contains("  gateway without its ledger"), "{text}");
}

#[test]
fn a_ledger_that_chance_makes_cheaper_than_none_is_reported_so() {
    let text = text_of(&with_and_without_ledger([(40, 42), (40, 41), (40, 39)]));
    assert!(text.contains("the ledger costs -1.00 (-2.00 to 1.00) ms of CPU"), "{text}");
}

#[test]
fn a_gateway_measured_without_its_counterpart_says_nothing_of_the_ledger() {
    for target in [TargetKind::Gateway, TargetKind::NoLedger] {
        let report = report(vec![cell(target, 0, 30, 3)], 1);
        assert_eq!(report.to_json()["scenarios"][0]["ledger_cost"], json!({}));
        assert!(!text_of(&report).contains("the ledger costs"));
    }
}

#[test]
fn translation_costs_what_the_cpu_time_within_a_round_is_multiplied_by() {
    use TargetKind::{Gateway, Translated};
    // The medians, 40 and 100, make 2.5; the rounds 3, 2.5 and 1.5.
    let rounds = [(40, 120), (40, 100), (60, 90)];
    let cells = (0..).zip(rounds).flat_map(|(round, (passing, translating))| {
        [cell(Gateway, round, passing, 3), cell(Translated, round, translating, 3)]
    });
    let report = report(cells.collect(), 3);
    assert_eq!(
        report.to_json()["scenarios"][0]["translated_to_gateway"],
        json!({"cpu_ms_per_1000": {"median": 2.5, "min": 1.5, "max": 3.0}})
    );
    let text = text_of(&report);
    assert!(text.contains("\ntranslation costs 2.50 (1.50 to 3.00) times the CPU of passing\n"), "{text}");
    assert!(text.contains("  gateway, translating"), "{text}");
}

#[test]
fn a_gateway_measured_without_the_other_or_of_no_cpu_time_says_nothing_of_translation() {
    use TargetKind::{Gateway, Translated};
    let alone = report(vec![cell(Translated, 0, 30, 3)], 1);
    let too_short = report(vec![cell(Gateway, 0, 0, 3), cell(Translated, 0, 30, 3)], 1);
    for report in [alone, too_short] {
        assert_eq!(report.to_json()["scenarios"][0]["translated_to_gateway"], json!({}));
        assert!(!text_of(&report).contains("translation costs"));
    }
}

#[test]
fn failures_are_counted_and_the_first_is_told() {
    let broken =
        Tally { failed: 3, first_failure: Some(crate::load::Failure::Differs { at: 7 }), ..Tally::default() };
    let cell = Cell::new(
        TargetKind::Gateway,
        Scenario::Stream,
        8,
        0,
        Some(Duration::ZERO),
        Tally::default(),
        broken,
    );
    let report = report(vec![cell], 1);
    assert_eq!(report.failures(), 3);
    let text = text_of(&report);
    assert!(
        text.contains("FAILED: 3 requests to gateway, stream, round 1; the first: the body is not"),
        "{text}"
    );
}

#[test]
fn percentiles_are_nearest_ranks() {
    let latencies: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
    assert_eq!(percentile_ms(&latencies, 50), Some(100.0));
    assert_eq!(percentile_ms(&latencies, 99), Some(198.0));
    assert_eq!(percentile_ms(&latencies[..1], 99), Some(1.0));
    assert_eq!(percentile_ms(&[], 50), None);
}

#[test]
fn an_even_number_of_rounds_has_the_mean_of_the_middle_two_as_its_median() {
    assert_eq!(
        Spread::of(vec![4.0, 1.0, 3.0, 2.0]),
        Some(Spread { median: 2.5, min: 1.0, max: 4.0, low: 2.0, high: 3.0 })
    );
    assert_eq!(Spread::of(Vec::new()), None);
}

use serde_json::{Value, json};

use super::*;

fn row(client: &str, model: &str) -> UsageRow {
    UsageRow { client: Some(client.into()), model: Some(model.into()), ..UsageRow::default() }
}

/// Two clients: one with a little of everything, one with a model that nobody knows the price of.
fn report() -> UsageReport {
    let rows = [
        UsageRow {
            requests: 12,
            failed: 1,
            input: 400,
            cache_read: 600,
            output: 30,
            reasoning: 20,
            tokens: 1_050,
            cost_pico: 1_520_000_000,
            ..row("ada", "gpt-large")
        },
        UsageRow { requests: 1, input: 7, output: 3, tokens: 10, unpriced_requests: 1, ..row("bob", "new") },
    ];
    UsageReport::new(vec![Column::Client, Column::Model], &rows)
}

#[test]
fn a_table_is_aligned_sums_up_and_leaves_out_what_is_zero_all_over() {
    let expected = "\
client  model      requests  failed  input  cached  output  reasoning  tokens      USD  without price
ada     gpt-large        12       1    400     600      30         20    1050  0.00152              0
bob     new               1       0      7       0       3          0      10  0.00000              1
total                    13       1    407     600      33         20    1060  0.00152              1";
    assert_eq!(report().render(Format::Table), expected);
}

#[test]
fn a_table_tells_of_failed_attempts_where_there_were_any() {
    let row = UsageRow {
        failed_attempts: 2,
        failed_attempt_tokens: 130,
        failed_attempt_cost_pico: 2_500_000_000,
        ..row("ada", "gpt-large")
    };
    let expected = "\
client  requests  tokens   USD  failed attempts  lost tokens  lost USD
ada            0       0  0.00                2          130    0.0025
total          0       0  0.00                2          130    0.0025";
    assert_eq!(UsageReport::new(vec![Column::Client], &[row]).render(Format::Table), expected);
}

#[test]
fn a_table_of_nothing_has_its_head_and_its_sum() {
    let report = UsageReport::new(vec![Column::Day], &[]);
    assert_eq!(report.render(Format::Table), "day    requests  tokens   USD\ntotal         0       0  0.00");
    assert_eq!(report.render(Format::Csv).lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&report.render(Format::Json)).unwrap()["usage"], json!([]));
}

#[test]
fn csv_has_every_column_always_and_no_sum() {
    let expected = "\
client,model,requests,failed_requests,input_tokens,cached_input_tokens,cache_write_tokens,output_tokens,reasoning_tokens,tokens,usd,requests_without_price,failed_attempts,failed_attempt_tokens,failed_attempt_usd
ada,gpt-large,12,1,400,600,0,30,20,1050,0.00152,0,0,0,0.00
bob,new,1,0,7,0,0,3,0,10,0.00,1,0,0,0.00";
    assert_eq!(report().render(Format::Csv), expected);
}

#[test]
fn a_field_that_could_be_taken_for_more_than_one_is_quoted() {
    assert_eq!(quoted("gpt-5/a:b@c"), "gpt-5/a:b@c");
    for (field, expected) in [
        ("a,b", "\"a,b\""),
        ("say \"hi\"", "\"say \"\"hi\"\"\""),
        ("two\nlines", "\"two\nlines\""),
        ("\r", "\"\r\""),
    ] {
        assert_eq!(quoted(field), expected);
    }
}

#[test]
fn json_has_the_rows_and_their_sum_with_money_as_a_number() {
    let json: Value = serde_json::from_str(&report().render(Format::Json)).unwrap();
    assert_eq!(
        json["usage"][0],
        json!({
            "client": "ada", "model": "gpt-large", "requests": 12, "failed_requests": 1, "input_tokens": 400,
            "cached_input_tokens": 600, "cache_write_tokens": 0, "output_tokens": 30, "reasoning_tokens": 20,
            "tokens": 1_050, "usd": 0.00152, "requests_without_price": 0, "failed_attempts": 0,
            "failed_attempt_tokens": 0, "failed_attempt_usd": 0.0,
        })
    );
    assert_eq!(json["usage"][1]["requests_without_price"], 1);
    assert_eq!(json["total"]["tokens"], 1_060);
    assert_eq!(json["total"].get("client"), None);
    // A text from the file is text, whatever it holds.
    let odd = UsageReport::new(vec![Column::Client], &[row("a\"b\\", "")]).render(Format::Json);
    assert_eq!(serde_json::from_str::<Value>(&odd).unwrap()["usage"][0]["client"], "a\"b\\");
}

#[test]
fn money_keeps_every_digit_of_a_pico_dollar() {
    let rows = [UsageRow { cost_pico: 1_234_567_890_123_456_789, ..row("ada", "m") }];
    let report = UsageReport::new(vec![Column::Client], &rows);
    for format in [Format::Table, Format::Csv, Format::Json] {
        let text = report.render(format);
        assert!(text.contains("1234567.890123456789"), "{text}");
    }
}

#[test]
fn a_day_is_written_as_a_date_and_columns_keep_their_order() {
    let rows = [UsageRow { day: Some(20_782), requests: 1, ..row("ada", "m") }];
    let by = vec![Column::Day, Column::Client];
    let csv = UsageReport::new(by, &rows).render(Format::Csv);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines[0].starts_with("day,client,requests,") && lines[1].starts_with("2026-11-25,ada,1,"),
        "{csv}"
    );
}

#[test]
fn a_sum_beyond_all_numbers_is_the_largest() {
    let rows = [UsageRow { tokens: u64::MAX, ..row("a", "m") }, UsageRow { tokens: 1, ..row("b", "m") }];
    assert_eq!(UsageReport::new(vec![Column::Client], &rows).total.tokens, u64::MAX);
}

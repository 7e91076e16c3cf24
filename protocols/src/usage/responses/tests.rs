use proptest::prelude::*;

use super::*;

fn usage(json: &str) -> Option<Usage> {
    from_responses(&Cursor::new(json).value().unwrap())
}

#[test]
fn cached_and_reasoning_tokens_are_parts_of_the_sums() {
    let json = r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":10},
        "output_tokens":50,"output_tokens_details":{"reasoning_tokens":30},"total_tokens":150}"#;
    let expected = Usage { input: 30, cache_read: 60, cache_write: 10, output: 20, reasoning: 30 };
    assert_eq!(usage(json), Some(expected));
}

#[test]
fn reasoning_that_the_output_leaves_out_is_seen_by_the_total() {
    let json = r#"{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":20},
        "total_tokens":35}"#;
    let expected = Usage { input: 10, output: 5, reasoning: 20, ..Usage::default() };
    assert_eq!(usage(json), Some(expected));
}

#[test]
fn a_report_without_counts_is_none() {
    for json in ["null", "{}", "[]", r#"{"input_tokens":null}"#, r#"{"prompt_tokens":3}"#] {
        assert_eq!(usage(json), None, "{json}");
    }
}

proptest! {
    /// Whatever is reported, the parts give the reported sums back.
    #[test]
    fn the_parts_add_up(
        input in 0u64..1 << 40,
        output in 0u64..1 << 40,
        cached in 0u64..1 << 41,
        reasoning in 0u64..1 << 41,
    ) {
        let total = input + output;
        let json = format!(
            r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{cached}}},
            "output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},
            "total_tokens":{total}}}"#
        );
        let usage = usage(&json).unwrap();
        prop_assert_eq!(usage.prompt_tokens(), input);
        prop_assert_eq!(usage.completion_tokens(), output);
    }
}

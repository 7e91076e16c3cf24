use proptest::prelude::*;

use super::*;

fn read(json: &str) -> Option<Usage> {
    from_openai(&Cursor::new(json).value().unwrap())
}

fn usage(input: u64, cache_read: u64, output: u64, reasoning: u64) -> Option<Usage> {
    Some(Usage { input, cache_read, cache_write: 0, output, reasoning })
}

#[test]
fn openai_counts_cached_and_reasoning_tokens_inside() {
    let json = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
        "prompt_tokens_details":{"cached_tokens":80,"audio_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":0}}"#;
    let read = read(json);
    assert_eq!(read, usage(20, 80, 20, 30));
    let read = read.unwrap();
    assert_eq!((read.prompt_tokens(), read.completion_tokens(), read.total()), (100, 50, 150));
}

#[test]
fn deepseek_names_its_cache_hits_at_the_top() {
    let json = r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,
        "prompt_tokens_details":{"cached_tokens":64},
        "prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#;
    assert_eq!(read(json), usage(36, 64, 5, 0));
}

#[test]
fn reasoning_outside_the_completion_is_seen_by_the_total() {
    let xai = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,
        "completion_tokens_details":{"reasoning_tokens":100}}"#;
    assert_eq!(read(xai), usage(10, 0, 5, 100));
    let gemini = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":65}"#;
    assert_eq!(read(gemini), usage(10, 0, 5, 50));
    let no_total = r#"{"prompt_tokens":10,"completion_tokens":5,
        "completion_tokens_details":{"reasoning_tokens":100}}"#;
    assert_eq!(read(no_total), usage(10, 0, 5, 100));
}

#[test]
fn written_cache_tokens_are_a_part_of_the_prompt() {
    let json = r#"{"prompt_tokens":100,"completion_tokens":0,
        "prompt_tokens_details":{"cached_tokens":30,"cache_write_tokens":50}}"#;
    let expected = Usage { input: 20, cache_read: 30, cache_write: 50, output: 0, reasoning: 0 };
    assert_eq!(read(json), Some(expected));
}

#[test]
fn nulls_floats_and_absurd_details_never_underflow() {
    let json = r#"{"prompt_tokens":12.0,"completion_tokens":null,"total_tokens":null,
        "prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}"#;
    assert_eq!(read(json), usage(12, 0, 0, 0));
    let json = r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
        "prompt_tokens_details":{"cached_tokens":9,"cache_write_tokens":9},
        "completion_tokens_details":{"reasoning_tokens":9}}"#;
    assert_eq!(read(json), usage(0, 1, 0, 2));
    let json = r#"{"prompt_tokens":99999999999999999999,"completion_tokens":99999999999999999999}"#;
    assert_eq!(read(json).unwrap().total(), u64::MAX);
}

#[test]
fn a_report_without_counts_is_none() {
    for json in ["null", "{}", "[]", "\"12\"", r#"{"queue_time":0.1}"#, r#"{"prompt_tokens":null}"#] {
        assert_eq!(read(json), None, "{json}");
    }
}

proptest! {
    /// Whatever is reported, the parts give the reported sums back.
    #[test]
    fn the_parts_add_up(
        prompt in 0u64..1 << 40,
        completion in 0u64..1 << 40,
        cached in 0u64..1 << 41,
        written in 0u64..1 << 41,
        reasoning in 0u64..1 << 41,
    ) {
        let total = prompt + completion;
        let json = format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},
            "prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written}}},
            "completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#
        );
        let read = read(&json).unwrap();
        prop_assert_eq!(read.prompt_tokens(), prompt);
        prop_assert_eq!(read.completion_tokens(), completion);
        prop_assert_eq!(read.total(), total);
    }
}

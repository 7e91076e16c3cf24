use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn scan(text: &str) -> Result<(), JsonFault> {
    let mut cursor = Cursor::new(text);
    cursor.value()?;
    cursor.finish()
}

fn list(text: &str) -> Result<Vec<(String, String)>, JsonFault> {
    let mut members = Vec::new();
    let mut cursor = Cursor::new(text);
    Object::read(&mut cursor, |_, key, value| {
        members.push((key.name.to_string(), value.raw.to_owned()));
        Ok::<(), JsonFault>(())
    })?;
    cursor.finish()?;
    Ok(members)
}

/// serde_json walks an ignored value without judging its numbers' size or its surrogates: the bare
/// grammar.
fn serde_accepts(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[test]
fn members_come_in_order_with_their_bytes_as_written() {
    let text = "{ \"b\" : 1e2 ,\r\n\"a\":[1, {\"x\":\"}\"}],\"b\":-0.10}";
    let expected = [("b", "1e2"), ("a", "[1, {\"x\":\"}\"}]"), ("b", "-0.10")];
    let expected = expected.map(|(name, raw)| (name.to_owned(), raw.to_owned()));
    assert_eq!(list(text), Ok(expected.to_vec()));
}

#[test]
fn an_escaped_key_is_known_by_its_meaning() {
    let members = list(r#"{"mod\u0065l": 1, "\ud83d\ude00": 2, "\ud83d": 3}"#);
    let names: Vec<_> = members.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["model", "😀", "\u{fffd}"]);
}

#[test]
fn numbers_keep_every_digit() {
    let members = list(r#"{"id":9007199254740993,"big":1234567890123456789012345678901234567890}"#);
    let members = members.unwrap();
    assert_eq!(members[0].1, "9007199254740993");
    assert_eq!(members[1].1, "1234567890123456789012345678901234567890");
}

#[test]
fn text_that_is_not_json_is_refused_where_it_breaks() {
    let cases = [
        ("", JsonFault::EndsEarly { at: 0, expected: "a value" }),
        ("NaN", JsonFault::Unexpected { at: 0, expected: "a value" }),
        ("\u{feff}{}", JsonFault::Unexpected { at: 0, expected: "a value" }),
        ("{} {}", JsonFault::Unexpected { at: 3, expected: "the end of the text" }),
        ("[1,]", JsonFault::Unexpected { at: 3, expected: "a value" }),
        ("[,1]", JsonFault::Unexpected { at: 1, expected: "a value" }),
        ("{,}", JsonFault::Unexpected { at: 1, expected: "a key in double quotes" }),
        ("[1 2]", JsonFault::Unexpected { at: 3, expected: "`,` or `]`" }),
        ("{\"a\":1,}", JsonFault::Unexpected { at: 7, expected: "a key in double quotes" }),
        ("{\"a\" 1}", JsonFault::Unexpected { at: 5, expected: "`:`" }),
        ("{\"a\":1]", JsonFault::Unexpected { at: 6, expected: "`,` or `}`" }),
        ("[01]", JsonFault::Unexpected { at: 2, expected: "`,` or `]`" }),
        ("-", JsonFault::EndsEarly { at: 1, expected: "a digit" }),
        ("\"a\nb\"", JsonFault::ControlCharacter { at: 2 }),
        ("\"a\\x\"", JsonFault::UnknownEscape { at: 2 }),
        ("\"\\u12g4\"", JsonFault::UnknownEscape { at: 1 }),
        ("\"abcdefgh", JsonFault::EndsEarly { at: 9, expected: "the end of a string" }),
        ("nul", JsonFault::Unexpected { at: 0, expected: "null" }),
    ];
    for (text, fault) in cases {
        assert_eq!(scan(text), Err(fault), "{text:?}");
    }
}

#[test]
fn every_special_byte_is_seen_at_every_place_of_a_string() {
    for place in 0..24 {
        for byte in 0..=127u8 {
            let mut inside = [b'x'; 24];
            inside[place] = byte;
            let text = format!("\"{}\"", std::str::from_utf8(&inside).unwrap());
            let plain = !matches!(byte, 0..0x20 | b'"' | b'\\');
            assert_eq!(scan(&text).is_ok(), plain, "byte {byte:#x} at {place}");
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    assert_eq!(utf8(b"{\"a\":\"\xff\"}"), Err(JsonFault::NotUtf8 { at: 6 }));
}

#[test]
fn nesting_is_allowed_up_to_the_bound_and_refused_above_without_overflow() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(scan(&nested(MAX_DEPTH)), Ok(()));
    let too_deep = Err(JsonFault::TooDeep { at: MAX_DEPTH, limit: MAX_DEPTH });
    assert_eq!(scan(&nested(MAX_DEPTH + 1)), too_deep);
    assert_eq!(scan(&nested(100_000)), too_deep);
    let objects = "{\"a\":".repeat(100_000);
    assert!(matches!(scan(&objects), Err(JsonFault::TooDeep { .. })));
}

#[test]
fn levels_entered_by_the_reader_count_towards_the_bound() {
    let text = "[".repeat(MAX_DEPTH + 1);
    let mut cursor = Cursor::new(&text);
    cursor.enter_array().unwrap();
    assert!(cursor.next_element().unwrap());
    assert!(matches!(cursor.value(), Err(JsonFault::TooDeep { at: MAX_DEPTH, .. })));
}

#[test]
fn a_list_of_members_is_bounded() {
    let with = |count: usize| format!("{{{}}}", vec!["\"a\":0"; count].join(","));
    assert_eq!(list(&with(MAX_MEMBERS)).unwrap().len(), MAX_MEMBERS);
    assert!(matches!(list(&with(MAX_MEMBERS + 1)), Err(JsonFault::TooManyMembers { .. })));
}

#[test]
fn a_second_walk_stays_inside_its_span() {
    let text = r#"{"a":{"b":1},"c":2}"#;
    let mut inner = None;
    let visit = |_, key: &Key<'_>, value: &Value<'_>| {
        inner = inner.or((key.name == "a").then_some(value.span));
        Ok::<(), JsonFault>(())
    };
    Object::read(&mut Cursor::new(text), visit).unwrap();
    let mut cursor = Cursor::within(text, inner.unwrap());
    let object = Object::read(&mut cursor, |_, _, _| Ok::<(), JsonFault>(())).unwrap();
    assert_eq!(&text[object.members[0].value.range()], "1");
    assert_eq!(cursor.finish(), Ok(()));
}

fn value_of(raw: &str) -> Value<'_> {
    Cursor::new(raw).value().unwrap()
}

#[test]
fn whole_numbers_saturate_and_counts_may_be_written_as_floats() {
    let cases = [
        ("12", Some(12), Some(12)),
        ("12.0", None, Some(12)),
        ("1.2e1", None, Some(12)),
        ("-3", None, Some(0)),
        ("99999999999999999999999", Some(u64::MAX), Some(u64::MAX)),
        ("1e999", None, Some(u64::MAX)),
        ("null", None, None),
        ("\"12\"", None, None),
    ];
    for (raw, whole, count) in cases {
        let value = value_of(raw);
        assert_eq!((value.as_u64(), value.as_count()), (whole, count), "{raw}");
    }
}

#[test]
fn blank_is_what_says_nothing() {
    for raw in ["null", "false", "\"\"", "[]", "[ \n]", "{ }"] {
        assert!(value_of(raw).is_blank(), "{raw}");
    }
    for raw in ["0", "true", "\" \"", "[0]", "{\"a\":null}"] {
        assert!(!value_of(raw).is_blank(), "{raw}");
    }
}

#[test]
fn half_a_surrogate_pair_reads_as_the_replacement_character() {
    let cases = [
        (r#""\ud83d\ude00""#, "😀"),
        (r#""a\ud83d""#, "a\u{fffd}"),
        (r#""\ude00b""#, "\u{fffd}b"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
    ];
    for (literal, text) in cases {
        assert_eq!(scan(literal), Ok(()), "{literal}");
        assert_eq!(decoded(literal), text, "{literal}");
    }
}

/// Text made of the pieces JSON is made of, so that much of it nearly is JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\"",
        "\"",
        "\\",
        "\\u",
        "\\ud83d",
        "\\n",
        "0",
        "1",
        "-",
        ".",
        "e",
        "E",
        "+",
        "12",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{1}",
        "é",
        "longer than eight",
        "\u{feff}",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_accepts_what_serde_json_accepts(text in nearly_json()) {
        prop_assert_eq!(scan(&text).is_ok(), serde_accepts(&text), "{:?}", text);
    }
}

proptest! {
    #[test]
    fn a_changed_byte_is_judged_as_serde_json_judges_it(
        json in any_json(),
        pretty: bool,
        at: prop::sample::Index,
        byte in prop::sample::select(b"{}[]\",:\\0-.eun \x01".to_vec()),
    ) {
        let text = if pretty { format!("{json:#}") } else { json.to_string() };
        prop_assert_eq!(scan(&text), Ok(()));
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert_eq!(scan(text).is_ok(), serde_accepts(text), "{:?}", text);
        }
    }

    #[test]
    fn text_survives_quoting_and_decoding(text: String) {
        let literal = quoted(&text);
        prop_assert_eq!(scan(&literal), Ok(()));
        prop_assert_eq!(&*decoded(&literal), &*text);
        prop_assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
    }

    #[test]
    fn strings_read_as_serde_json_reads_them(text: String) {
        let literal = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(&*decoded(&literal), &*text);
    }
}

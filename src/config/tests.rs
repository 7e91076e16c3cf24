use std::time::Duration;

use proptest::prelude::*;

use super::document::{Form, Node};
use super::test_folder::TestFolder;
use super::*;

fn text(written: &str) -> Value {
    Value::Text(written.to_owned())
}

fn toml(text: &str) -> Result<Document, Vec<String>> {
    Document::from_toml(Path::new("a.toml"), text)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn json(text: &str) -> Result<Document, Vec<String>> {
    Document::from_json(Path::new("a.json"), text)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn a_file_is_read_without_its_byte_order_mark() {
    let folder = TestFolder::new().with("a", "\u{feff}x = 1");
    assert_eq!(read_text(&folder.path().join("a")).unwrap(), "x = 1");
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let folder = TestFolder::new().with("latin1", b"caf\xe9").with("huge", vec![b' '; 1024 * 1024 + 1]);
    let message = |name: &str| read_text(&folder.path().join(name)).unwrap_err().to_string();
    assert_eq!(message("nothing"), "no such file or folder");
    assert_eq!(message("latin1"), "not UTF-8 text; save it in that encoding");
    assert_eq!(message("huge"), "larger than 1048576 bytes; a configuration file must not be");
    assert_eq!(message(""), "cannot be read: is a directory");
    let folder = TestFolder::new().with("full", vec![b' '; 1024 * 1024]);
    assert!(read_text(&folder.path().join("full")).is_ok());
}

#[test]
fn every_broken_line_of_toml_is_named() {
    let faults = toml("a = 1\nb = \nc = yes\n[t]\nd = \"x\nd = 1 1\na = 2\na = 3\n").unwrap_err();
    assert_eq!(
        faults,
        [
            "a.toml:2:5: not valid TOML: string values must be quoted, expected literal string",
            "a.toml:3:5: not valid TOML: string values must be quoted, expected literal string",
            "a.toml:5:7: not valid TOML: invalid basic string, expected `\"`",
            "a.toml:6:5: not valid TOML: string values must be quoted, expected literal string",
            "a.toml:8:1: not valid TOML: duplicate key",
        ]
    );
}

#[test]
fn a_fault_of_syntax_quotes_nothing_of_the_file() {
    let secret = "sk-hidden";
    for broken in [format!("key = {secret}"), format!("key = \"{secret}"), format!("{secret} {secret}")] {
        assert!(!toml(&broken).unwrap_err().concat().contains(secret), "{broken}");
    }
    for broken in
        [format!("{{\"key\": {secret}}}"), format!("{{\"key\": \"{secret}}}"), format!("{{{secret}: 1}}")]
    {
        assert!(!json(&broken).unwrap_err().concat().contains(secret), "{broken}");
    }
}

#[test]
fn broken_json_is_named_with_its_line() {
    let expectations = [
        ("", "a.json:1:1: not valid JSON: EOF while parsing a value"),
        ("{\n  \"a\": 1,\n}", "a.json:3:1: not valid JSON: key must be a string"),
        ("{\"a\": 1} x", "a.json:1:10: not valid JSON: trailing characters"),
        ("[]", "a.json:1:1: expected an object in braces, found a list"),
        ("{\"a\": 1,\n \"b\": {\"a\": 2,\n \"a\": 3}, \"a\": 4}", "a.json:3:2: written twice; keep one"),
        ("{\n\"a\": [\n \"\\ud800\"]}", "a.json:3:9: not valid JSON: unexpected end of hex escape"),
    ];
    for (written, expected) in expectations {
        assert_eq!(json(written).unwrap_err()[0], expected, "{written}");
    }
    assert_eq!(json("{\"a\": 1, \"b\": 2, \"b\": 3, \"a\": 4}").unwrap_err().len(), 2);
}

#[test]
fn nesting_is_bounded_in_both_forms() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(&format!("{{\"a\": {}}}", lists(DEPTH_MAX))).is_ok());
    assert!(
        json(&format!("{{\"a\": {}}}", lists(100_000))).unwrap_err()[0]
            .ends_with("nested more than 16 levels deep")
    );
    assert!(toml(&format!("a = {}", lists(DEPTH_MAX))).is_ok());
    assert!(
        toml(&format!("a = {}", lists(DEPTH_MAX + 1))).unwrap_err()[0]
            .ends_with("nested more than 16 levels deep")
    );
    assert!(toml(&format!("a = {}", lists(100_000))).is_err());
}

#[test]
fn both_forms_make_the_same_tree() {
    let toml = toml("s = \"é\"\nn = -7\nd = 1.50\nb = true\nl = [1, {x = \"y\"}]\nbig = 1e400\n").unwrap();
    let json = json(r#"{"s": "\u00e9", "n": -7, "d": 1.50, "b": true, "l": [1, {"x": "y"}], "big": 1e400}"#)
        .unwrap();
    for member in &json.members {
        let same = toml.members.iter().find(|same| same.name == member.name).unwrap();
        assert!(alike(&same.node, &member.node), "{same:?} {member:?}");
    }
    assert_eq!((toml.form, json.form), (Form::Toml, Form::Json));
}

fn alike(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::List(a), Value::List(b)) => a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Table(a), Value::Table(b)) => {
            a.iter().zip(b).all(|(a, b)| a.name == b.name && alike(&a.node, &b.node))
        }
        (a, b) => a == b,
    }
}

#[test]
fn a_number_beyond_any_type_is_too_large_and_no_panic() {
    let document = json(&format!("{{\"a\": {}, \"b\": {}}}", "9".repeat(30), "9".repeat(60))).unwrap();
    let mut report = Report::default();
    let mut top = Section::top(&document);
    assert_eq!(top.get("a", values::whole(0, 5), &mut report), None);
    assert_eq!(top.get("b", values::whole(0, 5), &mut report), None);
    let faults = report.finish().unwrap_err().to_string();
    let large = format!("a.json:1:7: a: {} is too large; use 5 or less", "9".repeat(30));
    assert_eq!(faults, format!("{large}\na.json:1:44: b: expected a whole number, found a decimal number"));
}

#[test]
fn a_column_counts_characters_and_not_bytes() {
    let document = json("{\"é\": \"ü\", \"a\": 1}").unwrap();
    let mut report = Report::default();
    Section::top(&document).get("a", values::boolean, &mut report);
    let faults = report.finish().unwrap_err().to_string();
    assert_eq!(faults, "a.json:1:17: a: expected true or false, found a whole number");
}

#[test]
fn an_unknown_key_is_met_with_the_nearest_known_one() {
    let document = toml("lisen = 1\napi_key = 2\nzebra = 3\nlisten = 4\n[\"a b\"]\n").unwrap();
    let mut report = Report::default();
    let mut top = Section::top(&document);
    for known in ["listen", "api_key_env"] {
        top.get(known, |_| Ok(()), &mut report);
    }
    top.finish(&mut report);
    let faults = report.finish().unwrap_err().to_string();
    let expected = [
        "a.toml:1:1: lisen: unknown key; did you mean `listen`?",
        "a.toml:2:1: api_key: unknown key; did you mean `api_key_env`?",
        "a.toml:3:1: zebra: unknown key; known here: listen, api_key_env",
        "a.toml:5:2: \"a b\": unknown key; known here: listen, api_key_env",
    ];
    assert_eq!(faults, expected.join("\n"));
}

#[test]
fn an_unknown_member_of_json_is_only_warned_about() {
    let document = json("{\"nane\": 1, \"x\": {}}").unwrap();
    let mut report = Report::default();
    let mut top = Section::top(&document);
    top.get("name", values::text, &mut report);
    top.finish(&mut report);
    let warnings: Vec<String> = report.finish().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "a.json:1:2: nane: unknown member, ignored; did you mean `name`?",
            "a.json:1:13: x: unknown member, ignored"
        ]
    );
}

#[test]
fn a_duration_needs_its_unit() {
    let message = |value: Value| values::duration(&value).unwrap_err().to_string();
    let cure = "is not a duration; write a whole number and a unit, such as \"500ms\", \"30s\", \"10m\", \"1h\" or \"7d\"";
    for bad in ["", "s", "30", "-1s", "1.5s", "1h30m", "30 s", "30S", " 30s", "٣s"] {
        assert_eq!(message(text(bad)), format!("`{bad}` {cure}"));
    }
    assert_eq!(message(Value::Whole(30)), format!("`30` {cure}"));
    assert_eq!(message(text("367d")), "longer than 366 days");
    assert_eq!(message(text(&format!("{}s", "9".repeat(40)))), "longer than 366 days");
    assert_eq!(message(Value::Boolean(true)), "expected a duration such as \"30s\", found true or false");
    assert_eq!(values::duration(&text("0s")), Ok(Duration::ZERO));
    assert_eq!(values::clock(&text("0ms")).unwrap_err().to_string(), "must be longer than 0s");
}

#[test]
fn a_size_is_bytes_or_has_a_unit_of_1024() {
    let message = |value: Value| values::size(&value).unwrap_err().to_string();
    let cure = "is not a size; write a number of bytes, or a whole number and a unit such as \"64KiB\", \"32MiB\" or \"1GiB\"";
    for bad in ["", "MiB", "1MB", "1.5MiB", "-1MiB", "0MiB", "17179869184TiB"] {
        assert_eq!(message(text(bad)), format!("`{bad}` {cure}"));
    }
    assert_eq!(message(Value::Whole(0)), "0 is too small; use 1 or more");
    assert_eq!(message(Value::Whole(-5)), "-5 is too small; use 1 or more");
    assert_eq!(values::size(&Value::Whole(33_554_432)), Ok(33_554_432));
    assert_eq!(values::size(&text("33554432")), Ok(33_554_432));
}

#[test]
fn dollars_are_kept_to_the_last_of_twelve_decimals() {
    let pico = |written: &str| values::dollars(&text(written)).ok();
    assert_eq!(pico("5.00"), Some(5_000_000_000_000));
    assert_eq!(pico("0"), Some(0));
    assert_eq!(pico("0.000000000001"), Some(1));
    assert_eq!(pico("18000000"), Some(18_000_000_000_000_000_000));
    for bad in [
        "",
        ".",
        "5.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "5,00",
        "$5",
        "0.0000000000001",
        "18000001",
        "18000000.1",
        &"9".repeat(30),
    ] {
        assert_eq!(pico(bad), None, "{bad}");
    }
}

#[test]
fn a_price_is_a_whole_number_of_pico_dollars_a_token_however_it_is_written() {
    let decimal = |written: &str| Value::Decimal(written.to_owned());
    let pico = |value: Value| values::price(&value).ok();
    // A dollar per million tokens is a millionth of a dollar, or a million pico-dollars, per token.
    assert_eq!(pico(Value::Whole(1)), Some(1_000_000));
    assert_eq!(pico(Value::Whole(0)), Some(0));
    assert_eq!(pico(text("0.15")), Some(150_000));
    assert_eq!(pico(text("2.50")), Some(2_500_000));
    assert_eq!(pico(text("0.000001")), Some(1));
    assert_eq!(pico(Value::Whole(1_000_000)), Some(1_000_000_000_000));
    // None of these is a binary fraction.
    for (written, expected) in [
        ("0.1", 100_000),
        ("0.0375", 37_500),
        ("1.1", 1_100_000),
        ("7.5e-2", 75_000),
        ("999999.999999", 999_999_999_999),
    ] {
        assert_eq!(pico(decimal(written)), Some(expected), "{written}");
    }
    for bad in [
        "-0.1",
        "-0.0",
        "0.0000001",
        "0.30000000000000004",
        "1000000.5",
        "1e300",
        "1e-300",
        "inf",
        "nan",
        "+nan",
    ] {
        assert_eq!(pico(decimal(bad)), None, "{bad}");
    }
    for bad in ["", "free", "-1", "1.", ".5", "$1", "1,5", "1e-1", "0.0000001", "1000001", &"9".repeat(40)] {
        assert_eq!(pico(text(bad)), None, "{bad}");
    }
    assert_eq!(pico(Value::Whole(-1)), None);
    assert_eq!(pico(Value::Whole(i128::MAX)), None);
    assert_eq!(
        values::price(&decimal("1e300")).unwrap_err().to_string(),
        "`1e300` is not a price; write US dollars per million tokens, such as 0.15 or \"0.15\", from 0 to 1000000 with at most 6 decimals"
    );
    assert_eq!(
        values::price(&Value::Boolean(true)).unwrap_err().to_string(),
        "expected a price such as 0.15 or \"0.15\", found true or false"
    );
}

#[test]
fn an_upstream_is_http_and_carries_no_password() {
    let url = |written: &str| values::base_url(&text(written)).ok();
    assert_eq!(url("https://api.openai.com/v1/").as_deref(), Some("https://api.openai.com/v1"));
    assert_eq!(url("http://127.0.0.1:11434").as_deref(), Some("http://127.0.0.1:11434"));
    assert_eq!(url("http://[::1]:80/v1").as_deref(), Some("http://[::1]:80/v1"));
    for bad in [
        "",
        "api.openai.com",
        "ftp://a/",
        "https://",
        "https:///v1",
        "https://u:p@a/v1",
        "https://a/?key=x",
        "https://a/#x",
        "/v1",
        "https://a b/",
    ] {
        assert_eq!(url(bad), None, "{bad}");
    }
}

#[test]
fn an_origin_has_no_path() {
    for good in ["*", "https://app.example.com", "http://localhost:3000"] {
        assert!(values::origin(&text(good)).is_ok(), "{good}");
    }
    for bad in ["", "app.example.com", "https://a/", "https://a/b", "https://a?x", "https://a#x", "null"] {
        assert!(values::origin(&text(bad)).is_err(), "{bad}");
    }
}

#[test]
fn a_single_address_is_a_network_of_its_own() {
    let network = |written: &str| values::network(&text(written)).map(|network| network.to_string());
    assert_eq!(network("192.0.2.7").as_deref(), Ok("192.0.2.7/32"));
    assert_eq!(network("::ffff:192.0.2.7").as_deref(), Ok("192.0.2.7/32"));
    assert_eq!(network("fd00::/8").as_deref(), Ok("fd00::/8"));
    for bad in ["", "10.0.0.0/33", "10.0.0/8", "host", "10.0.0.1:80"] {
        assert!(network(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_moment_is_the_same_in_every_zone() {
    let moment = |written: &str| values::moment(&text(written)).ok();
    assert_eq!(moment("2025-03-16T20:00:00-04:00"), moment("2025-03-17T00:00:00Z"));
    assert_eq!(moment("2025-03-17T00:00:00.250Z"), Some(1_742_169_600_250));
    assert_eq!(moment("1969-12-31T00:00:00Z"), Some(0));
    for bad in ["", "2025-03-16", "2025-03-16T20:00:00", "2025-02-30T00:00:00Z", "yesterday", "1742169600"] {
        assert_eq!(moment(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn a_duration_is_its_number_times_its_unit(number in 0_u64..8_784, unit in 0_usize..4) {
        let (name, unit_ms) = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)][unit];
        let read = values::duration(&text(&format!("{number}{name}")));
        prop_assert_eq!(read, Ok(Duration::from_millis(number * unit_ms)));
    }

    #[test]
    fn a_size_is_its_number_times_its_unit(number in 1_u64..4_096, unit in 0_usize..6) {
        let (name, bytes) = [("", 1_u64), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)][unit];
        prop_assert_eq!(values::size(&text(&format!("{number}{name}"))), Ok(number * bytes));
    }

    #[test]
    fn any_text_is_read_or_refused_and_never_panics(written in "\\PC*|[0-9]{0,30}[a-zA-Z]{0,3}|[0-9.]{0,30}|[a-z0-9.:/@?#\\[\\]]{0,40}") {
        let value = text(&written);
        let _ = (values::duration(&value), values::size(&value), values::dollars(&value), values::moment(&value));
        let _ = (values::network(&value), values::origin(&value), values::base_url(&value), values::pattern(&value));
    }

    #[test]
    fn any_bytes_are_a_document_or_faults_and_never_a_panic(written in "\\PC*|[\\[\\]{}\":,=a\\n1.\\\\#']{0,60}") {
        let _ = (toml(&written), json(&written));
    }
}

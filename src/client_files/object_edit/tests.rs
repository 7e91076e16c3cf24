use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::*;

const PRETTY: &str = "{\n  \"a\": 1,\n  \"b\": [ 12345678901234567890.10 ],\n  \"c\": \"\\u0041\"\n}\n";

fn edited(text: &str, edits: impl FnOnce(&mut ObjectEdit<'_>)) -> String {
    let mut edit = ObjectEdit::new(text).unwrap();
    edits(&mut edit);
    edit.apply()
}

#[test]
fn without_an_edit_the_text_is_the_same() {
    for text in [PRETTY, "{}", " {\"a\":1 } \r\n"] {
        assert_eq!(edited(text, |_| {}), text);
    }
}

#[test]
fn a_member_gets_its_value_where_it_is() {
    let text = edited(PRETTY, |edit| edit.set("a", "true".to_owned()));
    assert_eq!(text, PRETTY.replace("\"a\": 1", "\"a\": true"));
}

#[test]
fn a_name_written_with_escapes_is_the_same_name() {
    let text = edited(r#"{"\u0061": 1}"#, |edit| edit.set("a", "2".to_owned()));
    assert_eq!(text, r#"{"\u0061": 2}"#);
}

#[test]
fn new_members_come_last_in_the_layout_of_the_first_one() {
    let two = |edit: &mut ObjectEdit<'_>| {
        edit.set("x", "1".to_owned());
        edit.set("y", "2".to_owned());
    };
    for (text, expected) in [
        ("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"x\": 1,\n  \"y\": 2\n}\n"),
        ("{\r\n\t\"a\": 1\r\n}", "{\r\n\t\"a\": 1,\r\n\t\"x\": 1,\r\n\t\"y\": 2\r\n}"),
        ("{\"a\": 1}", "{\"a\": 1, \"x\": 1, \"y\": 2}"),
        ("{ \"a\":1 }", "{ \"a\":1, \"x\": 1, \"y\": 2 }"),
    ] {
        assert_eq!(edited(text, two), expected);
    }
}

#[test]
fn a_new_member_takes_the_place_of_the_one_that_it_replaces() {
    let instead_of_b = |edit: &mut ObjectEdit<'_>| edit.set_instead_of("b", "x", "0".to_owned());
    assert_eq!(
        edited(PRETTY, instead_of_b),
        PRETTY.replace("\"b\": [ 12345678901234567890.10 ]", "\"x\": 0")
    );
    assert_eq!(edited(r#"{"a": 1, "b": 2, "x": 3}"#, instead_of_b), r#"{"a": 1, "x": 0}"#);
    assert_eq!(edited(r#"{"x": 3, "b": 2}"#, instead_of_b), r#"{"x": 0}"#);
    assert_eq!(edited(r#"{"a": 1}"#, instead_of_b), r#"{"a": 1, "x": 0}"#);
}

#[test]
fn a_list_has_the_layout_of_its_object() {
    let items = ["1".to_owned(), "{\"b\": 2}".to_owned()];
    let pretty = ObjectEdit::new(PRETTY).unwrap();
    assert_eq!(pretty.list(&items), "[\n    1,\n    {\"b\": 2}\n  ]");
    assert_eq!(pretty.list(&[]), "[]");
    assert_eq!(ObjectEdit::new("{\"a\": 1}").unwrap().list(&items), "[1, {\"b\": 2}]");
}

#[test]
fn null_is_no_value() {
    let edit = ObjectEdit::new(r#"{"a": null, "b": 0}"#).unwrap();
    assert!(edit.value("a").is_none() && edit.value("c").is_none());
    assert_eq!(edit.value("b").unwrap().raw, "0");
}

#[test]
fn what_is_no_object_is_a_fault() {
    for text in ["", "[]", "{} {}", "{\"a\": }"] {
        assert!(ObjectEdit::new(text).is_err(), "{text}");
    }
}

fn any_object() -> impl Strategy<Value = Map<String, Json>> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        ".*".prop_map(Json::from)
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((".*", inner), 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::vec(("[a-f]|.*", value), 0..6).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else(object in any_object(), is_pretty: bool) {
        let text = if is_pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let text = edited(&text.unwrap(), |edit| {
            edit.set("a", "\"new\"".to_owned());
            edit.set_instead_of("b", "c", "[1]".to_owned());
        });
        let mut expected = object;
        expected.insert("a".to_owned(), "new".into());
        expected.insert("c".to_owned(), vec![1].into());
        expected.remove("b");
        prop_assert_eq!(serde_json::from_str::<Map<String, Json>>(&text).unwrap(), expected);
    }
}

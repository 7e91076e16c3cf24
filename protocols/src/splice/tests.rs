use proptest::prelude::*;

use super::*;
use crate::json::{Cursor, JsonFault};

fn object(text: &str) -> Object {
    Object::read(&mut Cursor::new(text), |_, _, _| Ok::<(), JsonFault>(())).unwrap()
}

fn edited(text: &str, removed: &[usize], appended: Option<&str>) -> String {
    let mut splice = Splice::new(text.as_bytes());
    splice.edit_members(&object(text), removed, appended.map(str::to_owned));
    String::from_utf8(splice.apply()).unwrap()
}

#[test]
fn without_an_edit_the_handle_is_the_same() {
    let source = Bytes::from(b"{\"a\": 1}".to_vec());
    let mut splice = Splice::new(&source);
    splice.replace(Span { start: 6, end: 7 }, "1");
    assert!(splice.is_empty());
    assert_eq!(splice.apply_to(&source).as_ptr(), source.as_ptr());
}

#[test]
fn a_member_goes_with_exactly_one_comma() {
    let text = "{ \"a\" : 1 , \"b\":2,\n\"c\":3 }";
    assert_eq!(edited(text, &[0], None), "{ \"b\":2,\n\"c\":3 }");
    assert_eq!(edited(text, &[1], None), "{ \"a\" : 1 , \"c\":3 }");
    assert_eq!(edited(text, &[2], None), "{ \"a\" : 1 , \"b\":2 }");
    assert_eq!(edited(text, &[0, 2], None), "{ \"b\":2 }");
    assert_eq!(edited(text, &[1, 2], None), "{ \"a\" : 1 }");
    assert_eq!(edited(text, &[0, 1, 2], None), "{  }");
}

#[test]
fn a_new_member_stands_right_behind_the_last_one() {
    assert_eq!(edited("{\"a\":1 \n}", &[], Some("\"b\":2")), "{\"a\":1,\"b\":2 \n}");
    assert_eq!(edited("{ }", &[], Some("\"b\":2,\"c\":3")), "{\"b\":2,\"c\":3 }");
    assert_eq!(edited("{\"a\":1, \"x\":0}", &[1], Some("\"b\":2")), "{\"a\":1,\"b\":2}");
    assert_eq!(edited("{\"a\":1}", &[0], Some("\"b\":2")), "{\"b\":2}");
}

#[test]
fn of_overlapping_edits_the_first_holds() {
    let mut splice = Splice::new(b"abcdef");
    splice.replace(Span { start: 2, end: 5 }, "-");
    splice.replace(Span { start: 1, end: 3 }, "+");
    splice.insert(6, "!");
    assert_eq!(splice.apply(), b"a+def!");
}

#[test]
fn an_insertion_comes_before_what_is_replaced_behind_it() {
    let mut splice = Splice::new(b"abcdef");
    splice.replace(Span { start: 2, end: 4 }, "-");
    splice.insert(2, "!");
    assert_eq!(splice.apply(), b"ab!-ef");
}

/// Members as text, with whitespace where JSON allows it.
fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    let values = vec!["1", "-0.50", "12345678901234567890", "null", "\"}\\\",\"", "[1 ,2]", "{\"a\" :{}}"];
    let spaces = vec!["", " ", "\n\t", "\r\n"];
    let value = (prop::sample::select(spaces), prop::sample::select(values));
    prop::collection::vec(("[a-z]{0,4}", value.prop_map(|(s, v)| format!("{s}{v}{s}"))), 0..8)
}

proptest! {
    #[test]
    fn edits_mean_what_they_say_and_leave_the_rest_alone(
        members in members(),
        removed in prop::collection::btree_set(0usize..8, 0..8),
        replaced in prop::collection::btree_set(0usize..8, 0..4),
        append: bool,
    ) {
        let written: Vec<_> = members.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
        let text = format!(" {{{}}} ", written.join(","));
        let object = object(&text);
        let removed: Vec<_> = removed.into_iter().filter(|i| *i < members.len()).collect();
        let mut splice = Splice::new(text.as_bytes());
        for place in replaced.iter().filter(|i| **i < members.len()) {
            splice.replace(object.members[*place].value, "\"new\"");
        }
        splice.edit_members(&object, &removed, append.then(|| "\"added\":7".to_owned()));
        let result = String::from_utf8(splice.apply()).unwrap();

        let mut expected: Vec<(String, String)> = Vec::new();
        for (place, (name, value)) in members.iter().enumerate() {
            if !removed.contains(&place) {
                let value = if replaced.contains(&place) { "\"new\"" } else { value.trim() };
                expected.push((name.clone(), value.to_owned()));
            }
        }
        if append {
            expected.push(("added".to_owned(), "7".to_owned()));
        }
        let mut found = Vec::new();
        let mut cursor = Cursor::new(&result);
        Object::read(&mut cursor, |_, key, value| {
            found.push((key.name.to_string(), value.raw.to_owned()));
            Ok::<(), JsonFault>(())
        }).unwrap();
        prop_assert_eq!(cursor.finish(), Ok(()));
        prop_assert_eq!(found, expected);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&result).is_ok());
    }

    #[test]
    fn bytes_outside_the_edits_are_the_same(
        text in prop::collection::vec(any::<u8>(), 0..64),
        mut cuts in prop::collection::vec(0usize..64, 2..8),
        with in "[a-z]{0,5}",
    ) {
        cuts.retain(|cut| *cut <= text.len());
        cuts.sort_unstable();
        let spans: Vec<_> = cuts.chunks_exact(2).map(|c| Span { start: c[0], end: c[1] }).collect();
        let mut splice = Splice::new(&text);
        let mut expected = Vec::new();
        let mut copied = 0;
        for span in &spans {
            splice.replace(*span, with.as_str());
            expected.extend_from_slice(&text[copied..span.start]);
            expected.extend_from_slice(with.as_bytes());
            copied = span.end;
        }
        expected.extend_from_slice(&text[copied..]);
        prop_assert_eq!(splice.apply(), expected);
    }
}

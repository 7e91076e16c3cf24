use proptest::prelude::*;

use super::*;

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut json = Writer::new();
    write(&mut json);
    json.into_text()
}

#[test]
fn commas_stand_between_and_nowhere_else() {
    let text = written(|json| {
        json.object(|json| {
            json.key("none").array(|_| {});
            json.key("one").array(|json| json.number(1));
            json.key("nested").array(|json| {
                json.object(|_| {});
                json.object(|json| json.key("a").null());
                json.array(|json| {
                    json.bool(true);
                    json.bool(false);
                });
                json.text("x");
            });
            json.key("last").object(|_| {});
        });
    });
    assert_eq!(text, r#"{"none":[],"one":[1],"nested":[{},{"a":null},[true,false],"x"],"last":{}}"#);
}

#[test]
fn a_member_that_is_not_there_leaves_no_comma() {
    let text = written(|json| {
        json.object(|json| {
            json.text_member("a", None);
            json.text_member("b", Some("\""));
            json.raw_member("c", None);
            json.raw_member("d", Some("1.0"));
            json.text_member("e", None);
        });
    });
    assert_eq!(text, r#"{"b":"\"","d":1.0}"#);
}

#[test]
fn raw_numbers_keep_their_digits() {
    for digits in ["1234567890123456789", "1.0", "1e2", "9999999999999999999999999999999999999999", "-0.10"] {
        assert_eq!(written(|json| json.array(|json| json.raw(digits))), format!("[{digits}]"));
    }
}

proptest! {
    #[test]
    fn any_key_and_text_read_back_as_they_were(key in any::<String>(), text in any::<String>()) {
        let json = written(|json| json.object(|json| json.key(&key).text(&text)));
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read, serde_json::json!({ key: text }));
    }
}

//! Names found and replaced, lists filtered.

use super::*;

const FORM: &str = "multipart/form-data; boundary=\"xyz\"";

fn form(model: &str) -> Bytes {
    format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--xyz\r\n\
         content-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--xyz--\r\n"
    )
    .into()
}

#[test]
fn a_model_is_found_in_json_and_in_a_form_and_only_its_name_is_changed() {
    let json = Bytes::from(r#"{"a": [1, {"model": "no"}], "model" : "whisper-1", "n":1}"#);
    let named = model(&json, "application/json").unwrap().unwrap();
    assert_eq!(named.name, "whisper-1");
    let expected = r#"{"a": [1, {"model": "no"}], "model" : "other", "n":1}"#;
    assert_eq!(renamed(&json, &named, "other"), expected);
    let named = model(&form("openai/whisper-1"), FORM).unwrap().unwrap();
    assert_eq!(named.name, "openai/whisper-1");
    assert_eq!(renamed(&form("openai/whisper-1"), &named, "whisper-1"), form("whisper-1"));
}

#[test]
fn a_body_without_a_model_has_none_and_nothing_panics() {
    for body in ["", "{", "[]", "{\"model\": 7}", "--xyz", "--xyz\r\n--xyz--", "--xyz\r\n\r\n\r\n--xyz--"] {
        assert_eq!(model(body.as_bytes(), "application/json"), Ok(None));
        assert!(!matches!(model(body.as_bytes(), FORM), Ok(Some(_))));
    }
    let whole = form("m");
    for cut in 0..whole.len() {
        let _ = model(&whole[..cut], FORM);
    }
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let twice = Err(RequestFault::Duplicate { param: "model" });
    for body in [r#"{"model":"a","model":"a"}"#, r#"{"model":7,"x":1,"mod\u0065l":"b"}"#] {
        assert_eq!(model(body.as_bytes(), "application/json"), twice);
    }
    let field = |head: &str| format!("--xyz\r\n{head}\r\n\r\nm\r\n");
    let form = [
        field("Content-Disposition: form-data; name=\"model\""),
        field("content-disposition: form-data; NAME=model"),
        "--xyz--\r\n".to_owned(),
    ];
    assert_eq!(model(form.concat().as_bytes(), FORM), twice);
    let file = br#"{"input_file_id":"mine","input_file_id":"theirs"}"#;
    assert!(text_member(file, "input_file_id").is_err());
    assert_eq!(input_file(file), Err(RequestFault::Duplicate { param: "input_file_id" }));
}

#[test]
fn the_files_of_batches_are_found_in_one_and_in_a_list() {
    let one = br#"{"id":"batch_1","output_file_id":"file-1","error_file_id":null}"#;
    assert_eq!(files_written(one), ["file-1"]);
    let list = br#"{"data":[{"output_file_id":"file-1"},{"error_file_id":"file-2"},{"id":"file-3"}]}"#;
    assert_eq!(files_written(list), ["file-1", "file-2"]);
}

#[test]
fn a_list_shows_only_what_is_wanted_and_keeps_the_rest_of_its_bytes() {
    let list = r#"{"object":"list", "data": [ {"id":"a","n":1.0}, {"id":"b"} ,{"x":1}], "first_id":"c", "last_id": "b", "has_more":false}"#;
    let expected = r#"{"object":"list", "data": [{"id":"a","n":1.0}], "first_id":"a", "last_id": "a", "has_more":false}"#;
    assert_eq!(filtered(list.as_bytes(), |id| id == "a").unwrap(), expected);
    let nothing = r#"{"object":"list", "data": [], "first_id":null, "last_id": null, "has_more":false}"#;
    assert_eq!(filtered(list.as_bytes(), |_| false).unwrap(), nothing);
    assert_eq!(ids(list.as_bytes()).unwrap(), ["a", "b"]);
    assert_eq!(next_page(list.as_bytes()), None);
    let more = br#"{"data":[{"id":"a"},{"id":"b"}],"has_more":true}"#;
    assert_eq!(next_page(more).as_deref(), Some("b"));
}

#[test]
fn the_answers_that_are_asked_for_are_counted_however_they_are_written() {
    for (n, expected) in [("4", 4), ("\"4\"", 4), ("3.5", 4), ("1e1", 10), ("null", 1), ("-2", 1), ("0", 1)] {
        assert_eq!(answers(format!("{{\"n\":{n}}}").as_bytes(), "application/json"), expected, "{n}");
    }
    assert_eq!(answers(br#"{"n":2,"n":9}"#, "application/json"), 9);
    assert_eq!(answers(b"{}", "application/json"), 1);
    let form = "--xyz\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n5\r\n--xyz--\r\n";
    assert_eq!(answers(form.as_bytes(), FORM), 5);
}

#[test]
fn what_is_no_list_shows_nothing() {
    let no_list = [
        "{}",
        "{\"data\":null}",
        "{\"data\":{\"id\":\"a\"}}",
        "{\"data\":[{\"id\":\"a\"}],\"d\\u0061ta\":[{\"id\":\"b\"}]}",
        "[{\"id\":\"a\"}]",
        "{\"data\":[{\"id\":\"a\"}]",
        "{\"data\":[]} {\"data\":[]}",
        "a, b",
        "",
    ];
    for body in no_list {
        assert!(ids(body.as_bytes()).is_err(), "{body}");
        assert_eq!(filtered(body.as_bytes(), |_| true), None, "{body}");
    }
}

#[test]
fn an_answers_id_is_its_own_and_not_a_nested_one() {
    assert_eq!(id(br#"{"data":{"id":"no"},"id":"file-1"}"#).as_deref(), Some("file-1"));
    assert_eq!(id(b"not json"), None);
}

use super::*;

const FORM: &str = "multipart/form-data; boundary=edge";

fn form(purpose: &str, file: &str) -> Vec<u8> {
    format!(
        "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{file}\r\n--edge--\r\n"
    )
    .into_bytes()
}

#[test]
fn models_and_references_are_found_each_once() {
    let file = "{\"custom_id\":\"1\",\"body\":{\"model\":\"a\",\"messages\":[]}}\r\n\n\
        {\"body\":{\"model\":\"b\",\"messages\":[{\"content\":[{\"file\":{\"file_id\":\"f\"}}]}]}}\n\
        {\"body\":{\"model\":\"a\",\"x\":{\"file_id\":\"f\"}}}";
    let found = batch(&form("batch", file), FORM).unwrap().unwrap();
    assert_eq!(found.models, [(1, "a".to_owned()), (3, "b".to_owned())]);
    assert_eq!(found.references, [Reference { what: "file", id: "f".to_owned() }]);
}

#[test]
fn a_file_of_another_purpose_is_not_read() {
    assert_eq!(batch(&form("user_data", "not JSON"), FORM), Ok(None));
}

#[test]
fn a_line_that_is_no_request_is_named() {
    let good = "{\"body\":{\"model\":\"a\"}}";
    for (line, fault) in [
        ("{\"body\":{}}", RequestFault::Missing { param: "body.model" }),
        ("{\"body\":{\"model\":7}}", RequestFault::Missing { param: "body.model" }),
        ("{\"x\":1}", RequestFault::Missing { param: "body" }),
        ("{\"body\":{\"model\":\"a\",\"mod\\u0065l\":\"b\"}}", RequestFault::Duplicate { param: "model" }),
        (
            "{\"body\":{\"model\":\"a\"},\"body\":{\"model\":\"b\"}}",
            RequestFault::Duplicate { param: "body" },
        ),
    ] {
        let found = batch(&form("batch", &format!("{good}\n{line}")), FORM);
        assert_eq!(found, Err(BatchFault { line: 2, fault }), "{line}");
    }
    let found = batch(&form("batch", "not JSON"), FORM).unwrap_err();
    assert!(found.to_string().starts_with("line 1 of the batch: the body is not usable JSON"), "{found}");
}

#[test]
fn a_form_that_can_be_read_in_two_ways_is_refused() {
    let without = "--edge\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n--edge--\r\n";
    let fault = batch(without.as_bytes(), FORM).unwrap_err();
    assert_eq!(fault, BatchFault { line: 0, fault: RequestFault::Missing { param: "file" } });
    let twice = [&form("user_data", "x")[..], &form("batch", "x")[..]].concat();
    assert!(batch(&twice, FORM).is_err());
    let other = form("user_data", "x");
    for content_type in [
        "application/json",
        "multipart/mixed; boundary=edge",
        "multipart/form-data",
        "multipart/form-data; boundary*=edge",
        "multipart/form-data; boundary=other; boundary=edge",
    ] {
        assert!(batch(&other, content_type).is_err(), "{content_type}");
    }
    // A line that looks like the form's own would hide those behind it.
    let hidden = form("batch", "{\"body\":{\"model\":\"a\",\"x\":\"--edge\"}}\n{\"body\":{\"model\":\"b\"}}");
    assert!(batch(&hidden, FORM).is_err());
    let whole = form("batch", "{\"body\":{\"model\":\"a\"}}");
    for cut in 0..whole.len() {
        let _ = batch(&whole[..cut], FORM);
    }
}

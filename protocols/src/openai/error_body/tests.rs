use proptest::prelude::*;

use super::*;

fn read(body: &str) -> UpstreamErrorBody {
    UpstreamErrorBody::read(body.as_bytes())
}

fn error(message: &str, kind: &str, param: &str, code: &str, status: u16) -> UpstreamErrorBody {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    UpstreamErrorBody {
        message: said(message),
        kind: said(kind),
        param: said(param),
        code: said(code),
        status: (status != 0).then_some(status),
    }
}

#[test]
fn the_shapes_of_all_upstreams_are_read() {
    let cases = [
        (
            r#"{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":null}}"#,
            error("bad", "invalid_request_error", "n", "", 0),
        ),
        (
            r#"{"error":{"code":429,"message":"slow down","metadata":{}},"user_id":"u"}"#,
            error("slow down", "", "", "429", 429),
        ),
        (
            r#"{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}"#,
            error("bad", "BadRequestError", "", "400", 400),
        ),
        (r#"{"error":"model not found"}"#, error("model not found", "", "", "", 0)),
        (r#"{"code":"no credit","error":"pay"}"#, error("pay", "", "", "no credit", 0)),
        (r#"{"message":"bad"}"#, error("bad", "", "", "", 0)),
        (r#"{"detail":"bad"}"#, error("bad", "", "", "", 0)),
        (
            r#"{"detail":[{"loc":["body","n"],"msg":"one"},7,{"msg":"two"}]}"#,
            error("one; two", "", "", "", 0),
        ),
        (
            r#"{"object":"error","message":{"detail":[{"msg":"extra"}]},"type":"invalid"}"#,
            error("extra", "invalid", "", "", 0),
        ),
        (
            r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#,
            error("bad", "INVALID_ARGUMENT", "", "400", 400),
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
            error("busy", "overloaded_error", "", "", 0),
        ),
        (
            r#"{"error":{"message":"blocked","code":"content_filter","status":400}}"#,
            error("blocked", "", "", "content_filter", 400),
        ),
        (r#"{"type":"error","error":{"message":"busy"}}"#, error("busy", "", "", "", 0)),
        (r#""busy""#, error("busy", "", "", "", 0)),
    ];
    for (body, expected) in cases {
        assert_eq!(read(body), expected, "{body}");
    }
}

#[test]
fn what_is_not_json_says_nothing() {
    for body in ["", "<html>502</html>", "{\"error\":", "null", "{}"] {
        assert_eq!(read(body), UpstreamErrorBody::default(), "{body}");
    }
    assert_eq!(UpstreamErrorBody::read(b"{\"error\":\"\xff\"}"), UpstreamErrorBody::default());
    let deep = "{\"error\":".repeat(100_000);
    assert_eq!(read(&deep), UpstreamErrorBody::default());
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let message = read(&format!(r#"{{"message":"{}"}}"#, "é ".repeat(5000))).message.unwrap();
    assert_eq!(message.len(), MESSAGE_BYTES_MAX);
    let message = read(&format!(r#"{{"message":"a{}"}}"#, "é".repeat(5000))).message.unwrap();
    assert_eq!(message.len(), MESSAGE_BYTES_MAX - 1);
}

#[test]
fn keys_are_masked_and_prose_is_left_alone() {
    let cases = [
        ("Incorrect API key provided: sk-proj-****abcd.", "Incorrect API key provided: ***."),
        ("key 'gsk_abcdEFGH1234' is invalid", "key '***' is invalid"),
        ("bad header \"Authorization: Bearer abc123\"", "bad header \"Authorization: Bearer ***\""),
        ("bearer authentication is required", "bearer authentication is required"),
        ("azure 0123456789abcdef0123456789abcdef!", "azure ***!"),
        ("jwt eyJhbGciOi.eyJzdWIiOiIxMjM0NTY3ODkwIn0.sig é", "jwt *** é"),
        ("in organization org-AbCdEfGhIjKlMnOpQrStUv12 on", "in organization *** on"),
        ("keys begin with sk- or gsk_", "keys begin with sk- or gsk_"),
        ("gpt-4o-realtime-preview-2024-10-01", "gpt-4o-realtime-preview-2024-10-01"),
        ("see https://platform.openai.com/account", "see https://platform.openai.com/account"),
        ("a risk-free task-force", "a risk-free task-force"),
    ];
    for (text, masked) in cases {
        assert_eq!(mask_keys(text), masked);
    }
}

#[test]
fn no_part_of_a_key_is_kept() {
    let body = r#"{"error":{"message":"sk-live-12345","type":"sk-live-12345","param":"sk-live-12345","code":"sk-live-12345"}}"#;
    let said = format!("{:?}", read(body));
    assert!(!said.contains("12345"), "{said}");
}

proptest! {
    #[test]
    fn masking_keeps_everything_around_a_key(before in "[a-z é,]{0,9} ", after in " [a-zé,]{0,9}") {
        let text = format!("{before}sk-abcd1234{after}");
        prop_assert_eq!(mask_keys(&text), format!("{before}***{after}"));
    }

    #[test]
    fn any_body_is_read_without_harm(body: Vec<u8>, text: String) {
        UpstreamErrorBody::read(&body);
        mask_keys(&text);
    }
}

//! What an error looks like on each surface, to the last member.

use std::collections::BTreeMap;

use gateway_testkit::raw_client::Answer;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Values stay as they are written: a validation error repeats numbers and surrogates that no type holds.
type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The message of an error answer, which must have the shape that the path's callers read.
#[track_caller]
pub(super) fn error_message(path: &str, answer: &Answer) -> String {
    let shown = format!("{path}: {} {}", answer.status, answer.text());
    assert!(answer.status >= 400, "no error on {shown}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "on {shown}");
    assert!(answer.complete, "cut off on {shown}");
    let id = answer.header("x-request-id").expect("every answer has an id");
    let text = std::str::from_utf8(&answer.body).unwrap_or_else(|_| panic!("not UTF-8: {shown}"));
    let body: Members<'_> = read(text, &shown);
    let message = match surface(path) {
        Surface::Seed => {
            assert_eq!(names(&body), ["detail"], "on {shown}");
            match body["detail"].get() {
                faults if answer.status == 422 && faults.starts_with('[') => {
                    validation_messages(faults, &shown)
                }
                detail => read(detail, &shown),
            }
        }
        Surface::OpenAi => {
            assert_eq!(names(&body), ["error"], "on {shown}");
            let mut error: Members<'_> = read(body["error"].get(), &shown);
            if let Some(limit) = error.remove("limit") {
                let limit: Members<'_> = read(limit.get(), &shown);
                assert_eq!(names(&limit), ["limit", "name", "reset_at", "used"], "on {shown}");
            }
            assert_eq!(names(&error), ["code", "message", "param", "type"], "on {shown}");
            let _: String = read(error["type"].get(), &shown);
            let _: Option<String> = read(error["code"].get(), &shown);
            let _: Option<String> = read(error["param"].get(), &shown);
            read(error["message"].get(), &shown)
        }
        Surface::Anthropic => {
            assert_eq!(names(&body), ["error", "request_id", "type"], "on {shown}");
            let error: Members<'_> = read(body["error"].get(), &shown);
            assert_eq!(names(&error), ["message", "type"], "on {shown}");
            assert_eq!(body["type"].get(), "\"error\"", "on {shown}");
            assert_eq!(read::<String>(body["request_id"].get(), &shown), id);
            assert_eq!(answer.header("request-id"), Some(id), "on {shown}");
            read(error["message"].get(), &shown)
        }
        Surface::Gemini => {
            assert_eq!(names(&body), ["error"], "on {shown}");
            let error: Members<'_> = read(body["error"].get(), &shown);
            assert_eq!(names(&error), ["code", "message", "status"], "on {shown}");
            assert_eq!(error["code"].get(), answer.status.to_string(), "on {shown}");
            let _: String = read(error["status"].get(), &shown);
            read(error["message"].get(), &shown)
        }
    };
    assert!(!message.is_empty(), "an error says something: {shown}");
    message
}

enum Surface {
    Seed,
    OpenAi,
    Anthropic,
    Gemini,
}

fn surface(path: &str) -> Surface {
    if path.starts_with("/v1/messages") {
        Surface::Anthropic
    } else if path.starts_with("/v1beta/") || path.ends_with(":generateContent") {
        Surface::Gemini
    } else if path.starts_with("/v1/") || path.starts_with("/openai/v1/") {
        Surface::OpenAi
    } else {
        Surface::Seed
    }
}

fn names<'a>(members: &Members<'a>) -> Vec<&'a str> {
    members.keys().copied().collect()
}

#[track_caller]
fn read<'a, T: Deserialize<'a>>(text: &'a str, shown: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|fault| panic!("{fault} on {shown}"))
}

fn validation_messages(faults: &str, shown: &str) -> String {
    let faults: Vec<Members<'_>> = read(faults, shown);
    assert!(!faults.is_empty(), "a validation error names a fault: {shown}");
    let messages = faults.iter().map(|fault| {
        assert_eq!(names(fault), ["input", "loc", "msg", "type"], "on {shown}");
        assert!(fault["loc"].get().starts_with(r#"["body""#), "on {shown}");
        let _: String = read(fault["type"].get(), shown);
        read::<String>(fault["msg"].get(), shown)
    });
    messages.collect::<Vec<_>>().join("; ")
}

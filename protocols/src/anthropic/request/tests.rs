use super::*;
use crate::estimate::prompt_tokens;

fn read(body: &str) -> Result<MessagesRequest, RequestFault> {
    MessagesRequest::read(&Bytes::copy_from_slice(body.as_bytes()))
}

const BODY: &str = r#"{"model":"claude-x", "max_tokens" : 100,"messages":[{"role":"user","content":"hi"}],
    "system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral","ttl":"1h"}}],"stream":true,
    "seed":12345678901234567890123,"metadata":{"user_id":"u"},"x":null}"#;

#[test]
fn what_the_gateway_decides_by_is_read() {
    let request = read(BODY).unwrap();
    assert_eq!(request.model(), Some("claude-x"));
    assert_eq!((request.stream(), request.output_cap(), request.n()), (true, Some(100), 1));
    let parts: Vec<_> = request.prompt_parts().map(|part| std::str::from_utf8(part).unwrap()).collect();
    assert_eq!(parts.len(), 2);
    assert!(parts[0].contains("hi") && parts[1].contains("be brief"), "{parts:?}");
    assert!(request.prompt_parts().map(prompt_tokens).sum::<u64>() > 5);
}

#[test]
fn tools_schemas_and_unknown_structures_count_as_prompt() {
    let request = read(
        r#"{"max_tokens":1,"messages":[1],"tools":[{}],"output_config":{"format":{}},"mcp_servers":[1],
        "thinking":{"type":"adaptive"},"tool_choice":{"type":"auto"},"stop_sequences":["a"],"cache_control":{}}"#,
    );
    assert_eq!(request.unwrap().prompt_parts().count(), 4);
}

#[test]
fn a_rewrite_changes_model_and_cap_and_no_other_byte() {
    let request = read(BODY).unwrap();
    let expected = BODY.replace("claude-x", "claude-y").replace(": 100", ": 50");
    assert_eq!(request.rewrite(Some("claude-y"), Some(50)), expected);
    let same = request.rewrite(Some("claude-x"), Some(100));
    assert_eq!(same.as_ptr(), request.body().as_ptr(), "no change is no copy");
    let bare = read(r#"{"max_tokens":1,"messages":[1]}"#).unwrap();
    assert_eq!(bare.rewrite(Some("m"), None), r#"{"max_tokens":1,"messages":[1],"model":"m"}"#);
}

#[test]
fn max_tokens_must_be_there_and_may_be_zero() {
    let missing = RequestFault::Missing { param: "max_tokens" };
    assert_eq!(read(r#"{"messages":[1]}"#).unwrap_err(), missing);
    assert_eq!(read(r#"{"messages":[1],"max_tokens":null}"#).unwrap_err(), missing);
    assert_eq!(read(r#"{"messages":[1],"max_tokens":0}"#).unwrap().output_cap(), Some(0));
    let not_whole = RequestFault::NotACount { param: "max_tokens" };
    assert_eq!(read(r#"{"messages":[1],"max_tokens":1.5}"#).unwrap_err(), not_whole);
    assert_eq!(read(r#"{"messages":[1],"max_tokens":"1"}"#).unwrap_err().param(), Some("max_tokens"));
}

#[test]
fn counting_tokens_needs_no_cap() {
    let body = Bytes::from(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[]}"#);
    let request = MessagesRequest::read_count_tokens(&body).unwrap();
    assert_eq!((request.model(), request.output_cap()), (Some("m"), None));
    assert_eq!(request.prompt_parts().count(), 2);
    assert_eq!(
        request.rewrite(Some("n"), None),
        r#"{"model":"n","messages":[{"role":"user","content":"hi"}],"tools":[]}"#
    );
}

#[test]
fn faults_name_the_member() {
    let param = |body: &str| read(body).unwrap_err().param().map(String::from);
    assert_eq!(param(r#"{"max_tokens":1}"#).as_deref(), Some("messages"));
    assert_eq!(param(r#"{"max_tokens":1,"messages":[]}"#).as_deref(), Some("messages"));
    assert_eq!(param(r#"{"max_tokens":1,"messages":"hi"}"#).as_deref(), Some("messages"));
    assert_eq!(param(r#"{"max_tokens":1,"messages":[1],"model":7}"#).as_deref(), Some("model"));
    assert_eq!(param(r#"{"max_tokens":1,"messages":[1],"stream":"yes"}"#).as_deref(), Some("stream"));
    let twice = r#"{"max_tokens":1,"messages":[1],"max_t\u006fkens":9}"#;
    assert_eq!(read(twice).unwrap_err(), RequestFault::Duplicate { param: "max_tokens" });
    assert_eq!(read(" ").unwrap_err(), RequestFault::Empty);
    assert!(matches!(read("[]").unwrap_err(), RequestFault::NotAnObject { found: Kind::Array }));
    assert!(matches!(read("{").unwrap_err(), RequestFault::Json(_)));
}

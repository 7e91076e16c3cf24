//! A second turn: what an upstream gave comes back to it by way of a client of another protocol.

use bytes::Bytes;
use serde_json::{Value, json};

use super::answers::options;
use super::upstream::Said;
use crate::conversation::{Content, Target};
use crate::openai::CapMember;
use crate::translate::{Protocol, answer, conversation, request};

const SIGNATURE: &str = "RXNpZ25hdHVyZQ==";

/// An upstream's answer with a signature of its kind, and a call.
fn signed(by: Protocol) -> String {
    let said = Said::calls(&[("call_a", "f", r#"{"x":1234567890123456789}"#)]);
    match by {
        Protocol::Gemini => {
            let call = r#""functionCall":{"id":"call_a""#;
            let with_signature = format!(r#""thoughtSignature":"{SIGNATURE}",{call}"#);
            said.whole(by).replace(call, &with_signature)
        }
        _ => said.thinking("Let me think.", Some(SIGNATURE)).whole(by),
    }
}

/// The client's next request: what it got, as it got it, and the tool's result.
fn next_request(client: Protocol, got: &Value) -> Bytes {
    let body = match client {
        Protocol::Chat => json!({"messages": [
            {"role": "user", "content": "Hi"},
            got["choices"][0]["message"],
            {"role": "tool", "tool_call_id": "call_a", "content": "one"},
        ]}),
        Protocol::Messages => json!({"max_tokens": 9_000, "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": got["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_a", "content": "one"}]},
        ]}),
        Protocol::Gemini => json!({"contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            got["candidates"][0]["content"],
            {"role": "user", "parts": [
                {"functionResponse": {"id": "call_a", "name": "f", "response": {"output": "one"}}}]},
        ]}),
        Protocol::Responses => {
            let mut input = vec![json!({"role": "user", "content": "Hi"})];
            input.extend(got["output"].as_array().unwrap().iter().cloned());
            input.push(json!({"type": "function_call_output", "call_id": "call_a", "output": "one"}));
            json!({"input": input})
        }
    };
    Bytes::from(body.to_string())
}

/// The second turn's request as the upstream gets it.
fn second_turn(upstream: Protocol, client: Protocol) -> Bytes {
    let (got, _) = answer(upstream, client, signed(upstream).as_bytes(), &options(&Bytes::new())).unwrap();
    let got: Value = serde_json::from_slice(&got).unwrap();
    let target = Target {
        model: "gemini-3-pro",
        cap: None,
        max_output: 9_000,
        cap_member: CapMember::MaxTokens,
        takes_temperature: true,
        asks_for_usage: true,
        missing_signature: Some("stand-in"),
    };
    let body = next_request(client, &got);
    let written = request(client, upstream, &body, false, &target, false);
    written.unwrap_or_else(|fault| panic!("{client:?} to {upstream:?}: {fault}: {got}")).0
}

#[test]
fn a_call_comes_back_with_its_id_and_every_digit() {
    for (upstream, client) in super::pairs() {
        let written = second_turn(upstream, client);
        let conversation = conversation(upstream, &written, false).unwrap();
        let call =
            conversation.turns.iter().flat_map(|turn| &turn.parts).find_map(|part| match &part.content {
                Content::Call(call) => Some(call),
                _ => None,
            });
        let call = call.unwrap();
        assert_eq!((&*call.id, &*call.name), ("call_a", "f"), "{upstream:?} by way of {client:?}");
        // The fixture goes through a JSON library here, which leaves digits up to 64 bits alone.
        assert_eq!(call.arguments, r#"{"x":1234567890123456789}"#, "{upstream:?} by way of {client:?}");
    }
}

#[test]
fn geminis_signature_on_a_call_comes_back_by_way_of_clients_that_keep_it() {
    let body: Value = serde_json::from_slice(&second_turn(Protocol::Gemini, Protocol::Chat)).unwrap();
    let part = &body["contents"][1]["parts"][0];
    assert_eq!((&part["functionCall"]["name"], &part["thoughtSignature"]), (&json!("f"), &json!(SIGNATURE)));
    // Others have no place for it; there the documented stand-in goes to the upstream.
    for client in [Protocol::Messages, Protocol::Responses] {
        let written = second_turn(Protocol::Gemini, client);
        let body: Value = serde_json::from_slice(&written).unwrap();
        assert!(body["contents"][1]["parts"][0]["thoughtSignature"].is_string(), "{client:?}: {body}");
    }
}

#[test]
fn the_signature_of_a_thought_comes_back_by_way_of_every_client() {
    for client in [Protocol::Chat, Protocol::Responses, Protocol::Gemini] {
        let body: Value = serde_json::from_slice(&second_turn(Protocol::Messages, client)).unwrap();
        let thinking = &body["messages"][1]["content"][0];
        let expected = json!({"type": "thinking", "thinking": "Let me think.", "signature": SIGNATURE});
        assert_eq!(*thinking, expected, "{client:?}: {body}");
    }
    for client in [Protocol::Chat, Protocol::Messages, Protocol::Gemini] {
        let body: Value = serde_json::from_slice(&second_turn(Protocol::Responses, client)).unwrap();
        let item = &body["input"][1];
        assert_eq!(
            (&item["type"], &item["encrypted_content"]),
            (&json!("reasoning"), &json!(SIGNATURE)),
            "{client:?}: {body}"
        );
    }
}

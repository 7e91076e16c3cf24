//! A request with the beginning of its own answer behind it, for a model that goes on from there.
//!
//! Called   where an answer broke off and another upstream is to finish it.
//! Bounded  by the request and the text.
//! Fails    with `None` for a request whose form has no place for it.

use std::ops::Range;

use bytes::Bytes;

use super::Protocol;
use crate::json::{self, Cursor, JsonFault, Kind};

/// Puts what the model has said so far behind the request's last turn; everything else stays as it is, byte for byte.
/// White space at its end is left out, which some models refuse. An `input` of the Responses API that is a plain text
/// becomes the list that it stands for.
pub fn continued(protocol: Protocol, body: &Bytes, text: &str) -> Option<Bytes> {
    let text = json::quoted(text.trim_end());
    let (turns, turn) = match protocol {
        Protocol::Chat | Protocol::Messages => {
            ("messages", format!("{{\"role\":\"assistant\",\"content\":{text}}}"))
        }
        Protocol::Gemini => ("contents", format!("{{\"role\":\"model\",\"parts\":[{{\"text\":{text}}}]}}")),
        Protocol::Responses => (
            "input",
            format!(
                "{{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\
                 \"text\":{text},\"annotations\":[]}}]}}"
            ),
        ),
    };
    let (span, kind) = place_of(body, turns).ok()??;
    let said = &body[span.clone()];
    let said = match kind {
        Kind::Array => {
            let inside = said.get(1..said.len() - 1)?;
            let comma = if inside.trim_ascii().is_empty() { "" } else { "," };
            [b"[".as_slice(), inside, comma.as_bytes(), turn.as_bytes(), b"]"].concat()
        }
        Kind::String if protocol == Protocol::Responses => {
            let user = b"[{\"role\":\"user\",\"content\":".as_slice();
            [user, said, b"},", turn.as_bytes(), b"]"].concat()
        }
        _ => return None,
    };
    Some([&body[..span.start], &said, &body[span.end..]].concat().into())
}

/// Where this member's value stands, and what it is.
fn place_of(body: &[u8], member: &str) -> Result<Option<(Range<usize>, Kind)>, JsonFault> {
    let mut cursor = Cursor::new(json::utf8(body)?);
    if !cursor.enter_if(Kind::Object)? {
        return Ok(None);
    }
    let mut found = None;
    while let Some(key) = cursor.next_key()? {
        let is_it = key.name == member;
        let kind = cursor.peek()?;
        let value = cursor.value()?;
        if is_it {
            found = Some((value.span.start..value.span.end, kind));
        }
    }
    cursor.finish()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_turn_is_the_last_one_and_the_rest_is_untouched() {
        let cases = [
            (Protocol::Chat, r#"{"messages":[ {"role":"user"} ] ,"n":12345678901234567890123}"#),
            (Protocol::Messages, r#"{"messages":[],"max_tokens":1}"#),
            (Protocol::Gemini, r#"{"contents":[{"parts":[]}]}"#),
            (Protocol::Responses, r#"{"input":[{"role":"user","content":"]"}]}"#),
            (Protocol::Responses, r#"{"input":"a \"text\"","stream":true}"#),
        ];
        for (protocol, body) in cases {
            let body = Bytes::from_static(body.as_bytes());
            let made = continued(protocol, &body, "so far \"]\" \n").unwrap();
            let value: Value = serde_json::from_slice(&made).unwrap();
            let turns = value.get("messages").or(value.get("contents")).or(value.get("input")).unwrap();
            assert!(
                turns.as_array().unwrap().last().unwrap().to_string().contains("so far \\\"]\\\"\""),
                "{turns}"
            );
        }
        let first = Bytes::from_static(cases[0].1.as_bytes());
        let kept = continued(Protocol::Chat, &first, "x").unwrap();
        assert!(kept.ends_with(b" ,\"n\":12345678901234567890123}"));
    }

    #[test]
    fn a_request_without_a_list_of_turns_has_no_place_for_it() {
        for body in ["{\"input\":7}", "{}", "null", "{\"input\":", "[]"] {
            assert_eq!(continued(Protocol::Responses, &Bytes::from_static(body.as_bytes()), "x"), None);
        }
        assert_eq!(continued(Protocol::Chat, &Bytes::from_static(b"{\"messages\":\"hi\"}"), "x"), None);
    }

    #[test]
    fn a_plain_text_becomes_the_turn_that_it_stands_for() {
        let body = Bytes::from_static(b"{\"input\":\"hi\",\"n\":1}");
        let made: Value =
            serde_json::from_slice(&continued(Protocol::Responses, &body, "so").unwrap()).unwrap();
        assert_eq!(made["input"][0], serde_json::json!({"role": "user", "content": "hi"}));
        assert_eq!(made["input"][1]["content"][0]["text"], "so");
    }
}

//! A request with the beginning of its own answer behind it, for a model that goes on from there.
//!
//! Called   where an answer broke off and another upstream is to finish it.
//! Bounded  by the request and the text.
//! Fails    with `None` for a request whose form has no place for it.

use bytes::Bytes;

use super::Protocol;
use crate::json::{self, Cursor, JsonFault, Kind};

/// Puts what the model has said so far behind the request's last turn; everything else stays as it is, byte for byte.
/// White space at its end is left out, which some models refuse.
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
    let (end, is_empty) = end_of_list(body, turns).ok()??;
    let comma = if is_empty { "" } else { "," };
    Some([&body[..end], comma.as_bytes(), turn.as_bytes(), &body[end..]].concat().into())
}

/// Where the list that this member holds has its closing bracket, and whether nothing stands in it.
fn end_of_list(body: &[u8], member: &str) -> Result<Option<(usize, bool)>, JsonFault> {
    let mut cursor = Cursor::new(json::utf8(body)?);
    if !cursor.enter_if(Kind::Object)? {
        return Ok(None);
    }
    let mut found = None;
    while let Some(key) = cursor.next_key()? {
        let is_list = key.name == member && cursor.peek()? == Kind::Array;
        let value = cursor.value()?;
        if is_list {
            let inside = value.raw.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
            found = Some((value.span.end - 1, inside.is_some_and(|inside| inside.trim().is_empty())));
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
        for body in ["{\"input\":\"hi\"}", "{}", "null", "{\"input\":", "[]"] {
            assert_eq!(continued(Protocol::Responses, &Bytes::from_static(body.as_bytes()), "x"), None);
        }
    }
}

//! The same workloads in Anthropic's Messages API, and what a chat client must receive of them.
//!
//! Owns     the upstream's bytes in that API, and those of their translation: an OpenAI chat answer with the
//!          gateway's own id and time.
//! Called   by [`super::Scenario`] alone.
//!
//! Events and members are those of "Streaming messages" in Anthropic's API reference, and the text is the
//! same as in the chat answers.

use std::iter;

use super::{DONE_FRAME, STREAM_FRAMES, piece, plain_text};
use crate::expected::{Expected, marks};

/// A Messages answer as a whole.
pub(super) fn plain_body(model: &str) -> String {
    format!(
        r#"{{"id":"msg_load0123456789","type":"message","role":"assistant","model":"{model}","content":[{{"type":"text","text":"{}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":72,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":122,"service_tier":"standard"}}}}"#,
        plain_text(),
    )
}

/// The events before the first piece of text.
pub(super) fn opening(model: &str) -> Vec<String> {
    let message = format!(
        r#""message":{{"id":"msg_load0123456789","type":"message","role":"assistant","model":"{model}","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":72,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}}"#
    );
    vec![
        event("message_start", &message),
        event("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#),
    ]
}

/// A piece of text. There are [`STREAM_FRAMES`] of them.
pub(super) fn delta(index: usize) -> String {
    let delta = format!(r#""index":0,"delta":{{"type":"text_delta","text":"{}"}}"#, piece(index));
    event("content_block_delta", &delta)
}

/// The events behind the last piece of text.
pub(super) fn closing() -> Vec<String> {
    let last = format!(
        r#""delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"output_tokens":{STREAM_FRAMES}}}"#
    );
    vec![
        event("content_block_stop", r#""index":0"#),
        event("message_delta", &last),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ]
}

fn event(kind: &str, members: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{members}}}\n\n")
}

/// The chat completion that [`plain_body`] becomes.
pub(super) fn translated_plain(model: &str) -> Expected {
    let body = format!(
        r#"{{{},"model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":72,"completion_tokens":122,"total_tokens":194,"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}}}"#,
        identity("chat.completion"),
        plain_text(),
    );
    Expected::new(&body, "")
}

/// The chat stream that the events become: a chunk with the role, one for each piece of text, one with the
/// reason for the end. The latency is taken at the first text.
pub(super) fn translated_stream(model: &str) -> Expected {
    let text = |index| chunk(model, &format!(r#"{{"content":"{}"}}"#, piece(index)), "null");
    let role = chunk(model, r#"{"role":"assistant","content":"","refusal":null}"#, "null");
    let last = [chunk(model, "{}", r#""stop""#), DONE_FRAME.to_owned()];
    let rest: String = (1..STREAM_FRAMES).map(text).chain(last).collect();
    let until_text: String = iter::once(role).chain(iter::once(text(0))).collect();
    Expected::new(&until_text, &rest)
}

fn chunk(model: &str, delta: &str, finish: &str) -> String {
    format!(
        "data: {{{},\"model\":\"{model}\",\"system_fingerprint\":null,\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n",
        identity("chat.completion.chunk"),
    )
}

/// The members that are the gateway's own: an id of `chatcmpl-` and 32 hexadecimal digits, and the seconds since
/// the Unix epoch, which have 10 digits until the year 2286.
fn identity(object: &str) -> String {
    format!(r#""id":"chatcmpl-{}","object":"{object}","created":{}"#, marks(0, 32), marks(32, 10))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn data(event: &str) -> Value {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let value: Value = serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap();
        assert_eq!(value["type"], name);
        value
    }

    /// As a gateway would fill the marks in: one digit for all.
    fn filled(expected: &Expected) -> String {
        expected.body().iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '7' }).collect()
    }

    #[test]
    fn every_event_is_json_of_the_type_it_is_named_after() {
        let types = |events: Vec<String>| -> Vec<String> {
            events.iter().map(|event| data(event)["type"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(types(opening("m")), ["message_start", "content_block_start"]);
        assert_eq!(types(closing()), ["content_block_stop", "message_delta", "message_stop"]);
        assert_eq!(data(&delta(0))["delta"]["text"], "The");
        assert_eq!(data(&delta(63))["delta"]["text"], " token");
    }

    #[test]
    fn a_whole_answer_keeps_its_text_and_its_usage_in_translation() {
        let message: Value = serde_json::from_str(&plain_body("m")).unwrap();
        let chat: Value = serde_json::from_str(&filled(&translated_plain("m"))).unwrap();
        assert_eq!(chat["choices"][0]["message"]["content"], message["content"][0]["text"]);
        assert_eq!(chat["usage"]["prompt_tokens"], message["usage"]["input_tokens"]);
        assert_eq!(chat["usage"]["completion_tokens"], message["usage"]["output_tokens"]);
    }

    #[test]
    fn a_stream_keeps_its_pieces_of_text_in_translation() {
        let body = filled(&translated_stream("m"));
        let frames: Vec<&str> = body.split_terminator("\n\n").collect();
        let (done, chunks) = frames.split_last().unwrap();
        assert_eq!(*done, "data: [DONE]");
        let chunks: Vec<Value> = chunks
            .iter()
            .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        assert_eq!(chunks.len(), STREAM_FRAMES + 2);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        for (index, chunk) in chunks[1..=STREAM_FRAMES].iter().enumerate() {
            assert_eq!(chunk["choices"][0]["delta"]["content"], data(&delta(index))["delta"]["text"]);
        }
        assert_eq!(chunks[STREAM_FRAMES + 1]["choices"][0]["finish_reason"], "stop");
        let until_text = frames[0].len() + frames[1].len() + 4;
        assert_eq!(translated_stream("m").latency_bytes(), until_text);
    }
}

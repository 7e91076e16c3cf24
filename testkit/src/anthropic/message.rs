//! Anthropic's messages on the wire: the whole object and the events of a stream.
//!
//! ```text
//! message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop
//! ```
//! A `ping` comes behind the first block's start, as the real one sends it.

use crate::answer::{Answer, Finish, Group, UsageStyle, Written, quoted_or_null};
use crate::reply::Frame;
use crate::seen::Billed;

/// Writes a message.
pub(crate) fn written(answer: &Answer<'_>) -> Written {
    let groups = answer.groups();
    let stop = stop(answer);
    let blocks: Vec<String> = groups.iter().map(|group| block(answer, group)).collect();
    let usage = usage_member(answer, answer.tokens());
    let whole = message(answer, &blocks.join(","), &stop, &usage);
    Written { whole, frames: frames(answer, &groups, &stop) }
}

fn stop_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::Refusal | Finish::Blocked => "refusal",
    }
}

/// The members that say why it ends.
fn stop(answer: &Answer<'_>) -> String {
    let reason = answer.finish_word(stop_reason(answer.finish));
    let reason = (!answer.style.without_finish).then_some(reason);
    let sequence = match answer.finish {
        Finish::StopSequence(text) => format!("\"{text}\""),
        _ => "null".to_owned(),
    };
    let details = match reason {
        Some("refusal") => r#"{"type":"refusal","category":null,"explanation":null}"#,
        _ => "null",
    };
    format!(
        "\"stop_reason\":{},\"stop_sequence\":{sequence},\"stop_details\":{details}",
        quoted_or_null(reason),
    )
}

fn message(answer: &Answer<'_>, content: &str, stop: &str, usage: &str) -> String {
    format!(
        "{{\"id\":\"{}\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{},\
         \"content\":[{content}],{stop},\"container\":null{usage}}}",
        answer.id("msg_01", "message", 22),
        answer.model,
    )
}

/// The usage member with the comma before it; nothing where the test wants none.
fn usage_member(answer: &Answer<'_>, tokens: Billed) -> String {
    if answer.style.usage == UsageStyle::Never {
        return String::new();
    }
    if let Some(object) = &answer.style.usage_object {
        return format!(",\"usage\":{object}");
    }
    let (read, written) = (answer.style.cached, answer.style.cache_written);
    format!(
        ",\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":{written},\
         \"cache_read_input_tokens\":{read},\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{written},\
         \"ephemeral_1h_input_tokens\":0}},\"output_tokens\":{},\
         \"output_tokens_details\":{{\"thinking_tokens\":{}}},\"server_tool_use\":null,\
         \"service_tier\":\"standard\",\"inference_geo\":\"global\"}}",
        tokens.prompt.saturating_sub(read + written),
        tokens.completion,
        answer.reasoning_tokens().min(tokens.completion),
    )
}

fn tool_id(answer: &Answer<'_>, nth: usize) -> String {
    answer.id("toolu_01", &format!("call {nth}"), 22)
}

/// A content block as it stands in the end.
fn block(answer: &Answer<'_>, group: &Group<'_>) -> String {
    let thinking = |text: &str| {
        let signature = answer.signature(text).map(|signature| format!(",\"signature\":\"{signature}\""));
        format!("{{\"type\":\"thinking\",\"thinking\":\"{text}\"{}}}", signature.unwrap_or_default(),)
    };
    match group {
        Group::Reasoning(pieces) => thinking(&pieces.concat()),
        Group::Unseen => thinking(""),
        Group::Redacted(data) => format!("{{\"type\":\"redacted_thinking\",\"data\":\"{data}\"}}"),
        Group::Text(pieces) | Group::Refusal(pieces) => {
            format!("{{\"type\":\"text\",\"text\":\"{}\",\"citations\":[]}}", pieces.concat())
        }
        Group::Call(nth, call) => tool_use(&tool_id(answer, *nth), &call.name, call.object()),
    }
}

fn tool_use(id: &str, name: &str, input: &str) -> String {
    format!(
        "{{\"type\":\"tool_use\",\"id\":\"{id}\",\"name\":\"{name}\",\"input\":{input},\
         \"caller\":{{\"type\":\"direct\"}}}}"
    )
}

/// A content block as it begins.
fn opened(answer: &Answer<'_>, group: &Group<'_>) -> String {
    match group {
        Group::Reasoning(_) | Group::Unseen => {
            r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned()
        }
        Group::Redacted(_) => block(answer, group),
        Group::Text(_) | Group::Refusal(_) => r#"{"type":"text","text":"","citations": []}"#.to_owned(),
        Group::Call(nth, call) => tool_use(&tool_id(answer, *nth), &call.name, "{}"),
    }
}

fn frames(answer: &Answer<'_>, groups: &[Group<'_>], stop: &str) -> Vec<Frame> {
    let unstopped = "\"stop_reason\":null,\"stop_sequence\":null,\"stop_details\":null";
    let tokens = answer.tokens();
    let so_far = Billed { completion: tokens.completion.min(1), ..tokens };
    let begun = message(answer, "", unstopped, &usage_member(answer, so_far));
    let start = format!("{{\"type\":\"message_start\",\"message\":{begun}}}");
    let mut frames = vec![Frame::aside(start).named("message_start")];
    for (index, group) in groups.iter().enumerate() {
        let block = opened(answer, group);
        let start =
            format!("{{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}");
        let start = match group {
            Group::Redacted(_) | Group::Call(..) => Frame::piece(start),
            _ => Frame::aside(start),
        };
        frames.push(start.named("content_block_start"));
        if index == 0 {
            frames.push(Frame::aside(r#"{"type": "ping"}"#).named("ping"));
        }
        frames.extend(deltas(answer, index, group));
        let stop = format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}");
        frames.push(Frame::aside(stop).named("content_block_stop"));
    }
    let usage = usage_member(answer, tokens);
    let end = format!("{{\"type\":\"message_delta\",\"delta\":{{{stop}}}{usage}}}");
    frames.push(Frame::aside(end).named("message_delta"));
    frames.push(Frame::terminal(r#"{"type":"message_stop"}"#).named("message_stop"));
    frames
}

fn deltas(answer: &Answer<'_>, index: usize, group: &Group<'_>) -> Vec<Frame> {
    let delta = |kind: &str, member: &str, text: &str| {
        format!(
            "{{\"type\":\"content_block_delta\",\"index\":{index},\
             \"delta\":{{\"type\":\"{kind}\",\"{member}\":\"{text}\"}}}}"
        )
    };
    let signed = |text: &str| {
        answer.signature(text).map(|sign| Frame::aside(delta("signature_delta", "signature", &sign)))
    };
    let mut frames = Vec::new();
    match group {
        Group::Reasoning(pieces) => {
            frames.extend(pieces.iter().map(|text| Frame::piece(delta("thinking_delta", "thinking", text))));
            frames.extend(signed(&pieces.concat()));
        }
        Group::Unseen => frames.extend(signed("")),
        Group::Redacted(_) => {}
        Group::Text(pieces) | Group::Refusal(pieces) => {
            frames.extend(pieces.iter().map(|text| Frame::piece(delta("text_delta", "text", text))));
        }
        Group::Call(_, call) => {
            // The real one begins with an empty piece, and for a call without arguments ends there.
            frames.push(Frame::aside(delta("input_json_delta", "partial_json", "")));
            let piece = |json: &String| Frame::piece(delta("input_json_delta", "partial_json", json));
            frames.extend(call.arguments.iter().map(piece));
        }
    }
    frames.into_iter().map(|frame| frame.named("content_block_delta")).collect()
}

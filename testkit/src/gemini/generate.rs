//! Gemini's `GenerateContentResponse` on the wire: one object, or one for each piece of a stream.
//!
//! A stream's last object has the finish reason and no content. The first call of an answer carries
//! the signature that Gemini's third generation wants back.

use crate::answer::{Answer, Finish, Group, UsageStyle, Written};
use crate::reply::Frame;
use crate::seen::Billed;

/// Writes an answer.
pub(crate) fn written(answer: &Answer<'_>) -> Written {
    let parts = parts(answer);
    let tokens = answer.tokens();
    let finish = finish_member(answer);
    let content = content(&joined(&answer.groups(), answer));
    let candidates: Vec<String> =
        (0..answer.asked.choices).map(|index| candidate(index, &content, &finish)).collect();
    let usage = match answer.style.usage {
        UsageStyle::Never => String::new(),
        _ => usage_member(answer, tokens),
    };
    let whole = match answer.finish {
        Finish::Blocked => blocked(answer, &usage),
        _ => object(answer, &format!("\"candidates\":[{}]", candidates.join(",")), &usage),
    };
    Written { whole, frames: frames(answer, &parts, &finish) }
}

fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        // Calls have no reason of their own.
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Refusal | Finish::Blocked => "SAFETY",
    }
}

fn finish_member(answer: &Answer<'_>) -> String {
    match answer.style.without_finish {
        true => String::new(),
        false => {
            let reason = answer.finish_word(finish_reason(answer.finish));
            format!(",\"finishReason\":\"{reason}\"{}", safety(reason))
        }
    }
}

/// The ratings that go with a safety reason.
fn safety(reason: &str) -> &'static str {
    match reason {
        "SAFETY" => {
            ",\"safetyRatings\":[{\"category\":\"HARM_CATEGORY_DANGEROUS_CONTENT\",\
             \"probability\":\"HIGH\",\"blocked\":true}]"
        }
        _ => "",
    }
}

fn blocked(answer: &Answer<'_>, usage: &str) -> String {
    let feedback = "\"promptFeedback\":{\"blockReason\":\"SAFETY\",\"safetyRatings\":[{\
                    \"category\":\"HARM_CATEGORY_DANGEROUS_CONTENT\",\"probability\":\"HIGH\",\
                    \"blocked\":true}]}";
    object(answer, feedback, usage)
}

fn object(answer: &Answer<'_>, members: &str, usage: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(
        "{{{members}{usage}{comma}\"modelVersion\":{},\"responseId\":\"{}\"}}",
        answer.model,
        answer.id("", "response", 22),
    )
}

fn candidate(index: u64, content: &str, finish: &str) -> String {
    format!("{{\"content\":{content}{finish},\"index\":{index}}}")
}

fn content(parts: &str) -> String {
    format!("{{\"parts\":[{parts}],\"role\":\"model\"}}")
}

fn text(text: &str) -> String {
    format!("{{\"text\":\"{text}\"}}")
}

fn thought(text: &str) -> String {
    format!("{{\"text\":\"{text}\",\"thought\":true}}")
}

/// A part for each piece, a call being one.
fn parts(answer: &Answer<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    for group in answer.groups() {
        match group {
            Group::Reasoning(pieces) => parts.extend(pieces.into_iter().map(thought)),
            Group::Text(pieces) | Group::Refusal(pieces) => parts.extend(pieces.into_iter().map(text)),
            Group::Call(..) => parts.extend(call(answer, &group)),
            Group::Redacted(_) | Group::Unseen => {}
        }
    }
    parts
}

/// The parts of a whole answer: texts in one piece.
fn joined(groups: &[Group<'_>], answer: &Answer<'_>) -> String {
    let part = |group: &Group<'_>| match group {
        Group::Reasoning(pieces) => Some(thought(&pieces.concat())),
        Group::Text(pieces) | Group::Refusal(pieces) => Some(text(&pieces.concat())),
        Group::Call(..) => call(answer, group),
        Group::Redacted(_) | Group::Unseen => None,
    };
    groups.iter().filter_map(part).collect::<Vec<_>>().join(",")
}

fn call(answer: &Answer<'_>, group: &Group<'_>) -> Option<String> {
    let Group::Call(nth, call) = group else {
        return None;
    };
    let id = match answer.style.without_call_ids {
        true => String::new(),
        false => format!(",\"id\":\"{}\"", answer.id("", &format!("call {nth}"), 8)),
    };
    let signature = answer.signature(&call.name).filter(|_| *nth == 0);
    let signature = signature.map(|signature| format!(",\"thoughtSignature\":\"{signature}\""));
    Some(format!(
        "{{\"functionCall\":{{\"name\":\"{}\",\"args\":{}{id}}}{}}}",
        call.name,
        call.object(),
        signature.unwrap_or_default(),
    ))
}

/// The usage member with the comma before it. `tokens` counts thoughts as answered.
fn usage_member(answer: &Answer<'_>, tokens: Billed) -> String {
    if let Some(object) = &answer.style.usage_object {
        return format!(",\"usageMetadata\":{object}");
    }
    let thoughts = answer.reasoning_tokens().min(tokens.completion);
    let or_none = |name: &str, count: u64| match count {
        0 => String::new(),
        count => format!(",\"{name}\":{count}"),
    };
    format!(
        ",\"usageMetadata\":{{\"promptTokenCount\":{prompt},\"candidatesTokenCount\":{},\
         \"totalTokenCount\":{}{}{},\
         \"promptTokensDetails\":[{{\"modality\":\"TEXT\",\"tokenCount\":{prompt}}}]}}",
        tokens.completion - thoughts,
        tokens.total(),
        or_none("thoughtsTokenCount", thoughts),
        or_none("cachedContentTokenCount", answer.style.cached),
        prompt = tokens.prompt,
    )
}

fn frames(answer: &Answer<'_>, parts: &[String], finish: &str) -> Vec<Frame> {
    let whole = answer.tokens();
    let style = answer.style.usage;
    let beside = |tokens: Billed| match style {
        UsageStyle::Never | UsageStyle::BesideChoices | UsageStyle::WithoutChoices => String::new(),
        _ => usage_member(answer, tokens),
    };
    if *answer.finish == Finish::Blocked {
        return vec![Frame::aside(blocked(answer, &beside(whole)))];
    }
    let throughout = answer.style.finish_throughout.as_deref();
    let throughout = throughout.map(|reason| format!(",\"finishReason\":\"{reason}\"")).unwrap_or_default();
    let mut frames = Vec::new();
    let mut sent = 0;
    for part in parts {
        for index in 0..answer.asked.choices {
            sent += 1;
            let so_far = Billed { completion: whole.completion.min(sent), ..whole };
            let candidate = candidate(index, &content(part), &throughout);
            let data = object(answer, &format!("\"candidates\":[{candidate}]"), &beside(so_far));
            frames.push(Frame::piece(data));
        }
    }
    let end = |index: u64| candidate(index, &content(&text("")), finish);
    let ends: Vec<String> = (0..answer.asked.choices).map(end).collect();
    let usage = match style {
        UsageStyle::Never | UsageStyle::WithoutChoices => String::new(),
        _ => usage_member(answer, whole),
    };
    frames.push(Frame::aside(object(answer, &format!("\"candidates\":[{}]", ends.join(",")), &usage)));
    if style == UsageStyle::WithoutChoices {
        let usage = usage_member(answer, whole);
        let bare = usage.trim_start_matches(',');
        frames.push(Frame::aside(object(answer, bare, "")));
    }
    frames
}

//! Output items and the response object around them, as JSON.
//!
//! Owns     the members that each has, required and nullable ones included.
//! Called   by [`super::ResponsesWriter`].
//! Bounded  by the answer.
//! Fails    never.

use bytes::Bytes;

use crate::conversation::Call;
use crate::event::Finish;
use crate::json::{Cursor, Writer, utf8};
use crate::usage::Usage;

/// Which part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Refusal,
}

impl Sort {
    /// What the events about such a part are called.
    pub(super) fn events(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("response.output_text.delta", "response.output_text.done"),
            Self::Refusal => ("response.refusal.delta", "response.refusal.done"),
        }
    }

    /// The member that holds its text.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Refusal => "refusal",
        }
    }
}

/// Whether an item or a response is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Why a response is incomplete; `None` for one that is complete.
///
/// The dialect has two words of its own. A reason that it has no word for keeps the one it came with: it must not
/// pass for an answer that is finished.
pub(super) fn incomplete_reason(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolCalls => None,
        Finish::Length | Finish::ContextWindow => Some("max_output_tokens"),
        Finish::ContentFilter | Finish::Refusal => Some("content_filter"),
        Finish::PauseTurn => Some("pause_turn"),
        Finish::Other(reason) => Some(reason),
    }
}

/// A part of a message.
pub(super) fn part(json: &mut Writer, sort: Sort, text: &str) {
    json.object(|json| match sort {
        Sort::Text => {
            json.key("type").text("output_text");
            json.key("text").text(text);
            json.key("annotations").raw("[]");
            json.key("logprobs").raw("[]");
        }
        Sort::Refusal => {
            json.key("type").text("refusal");
            json.key("refusal").text(text);
        }
    });
}

/// A message with these parts, which are JSON.
pub(super) fn message(json: &mut Writer, id: &str, status: Status, parts: &[String]) {
    json.object(|json| {
        json.key("id").text(id);
        json.key("type").text("message");
        json.key("status").text(status.as_str());
        json.key("role").text("assistant");
        json.key("content").array(|json| parts.iter().for_each(|part| json.raw(part)));
    });
}

/// A part of a thought's summary.
pub(super) fn summary_part(json: &mut Writer, text: &str) {
    json.object(|json| {
        json.key("type").text("summary_text");
        json.key("text").text(text);
    });
}

/// A thought: what is shown of it, and the upstream's signature or encrypted text.
pub(super) fn thought(json: &mut Writer, id: &str, text: Option<&str>, encrypted: Option<&str>) {
    json.object(|json| {
        json.key("id").text(id);
        json.key("type").text("reasoning");
        json.key("summary").array(|json| {
            if let Some(text) = text {
                summary_part(json, text);
            }
        });
        json.text_member("encrypted_content", encrypted);
    });
}

/// A function call.
pub(super) fn call(json: &mut Writer, id: &str, status: Status, call: &Call<'_>) {
    json.object(|json| {
        json.key("id").text(id);
        json.key("type").text("function_call");
        json.key("status").text(status.as_str());
        json.key("arguments").text(&call.arguments);
        json.key("call_id").text(&call.id);
        json.key("name").text(&call.name);
        if let Some(signature) = &call.signature {
            // Where the chat dialect has it, so that one client code finds it in both.
            json.key("extra_content").object(|json| {
                json.key("google").object(|json| json.key("thought_signature").text(signature));
            });
        }
    });
}

/// Token counts, or null while there are none.
pub(super) fn usage(json: &mut Writer, usage: Option<Usage>) {
    let Some(usage) = usage else { return json.null() };
    json.object(|json| {
        json.key("input_tokens").number(usage.prompt_tokens());
        json.key("input_tokens_details").object(|json| {
            json.key("cached_tokens").number(usage.cache_read);
            json.key("cache_write_tokens").number(usage.cache_write);
        });
        json.key("output_tokens").number(usage.completion_tokens());
        json.key("output_tokens_details").object(|json| {
            json.key("reasoning_tokens").number(usage.reasoning);
        });
        json.key("total_tokens").number(usage.total());
    });
}

/// The error event of this dialect that says what the chat API's event (`data: {"error": {…}}`) says; `None` when that
/// is not its form.
///
/// OpenAI documents the members at the top ("error" among its streaming events) and sends them within `error` as well,
/// where its clients look.
pub(super) fn error_event(event: &[u8], sequence: u64) -> Option<Bytes> {
    let data = utf8(event).ok()?.trim().strip_prefix("data:")?;
    let error = member(data, "error")?;
    let mut json = Writer::new();
    json.object(|json| {
        json.key("type").text("error");
        json.key("sequence_number").number(sequence);
        for name in ["code", "message", "param"] {
            json.key(name).raw(member(error, name).unwrap_or("null"));
        }
        json.key("error").raw(error);
    });
    Some(Bytes::from(format!("event: error\ndata: {}\n\n", json.into_text())))
}

/// The value of a member, as written.
fn member<'j>(object: &'j str, name: &str) -> Option<&'j str> {
    let mut found = None;
    let mut cursor = Cursor::new(object);
    cursor.enter_object().ok()?;
    while let Some(key) = cursor.next_key().ok()? {
        let value = cursor.value().ok()?;
        if key.name == name {
            found = Some(value.raw);
        }
    }
    found
}

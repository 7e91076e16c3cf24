//! What a client of OpenAI's API makes of a whole chat stream.

use serde_json::Value;

use crate::events::{Event, EventReader};

/// A chat stream, collected. Text and tool calls are those of choice 0.
#[derive(Clone, Debug, Default)]
pub struct ChatStream {
    /// The text of all deltas.
    pub text: String,
    /// The reasoning of all deltas.
    pub reasoning: String,
    /// Names and arguments of the tool calls, by index.
    pub tool_calls: Vec<(String, String)>,
    /// The finish reasons that were not `null`, in order, of all choices.
    pub finish_reasons: Vec<String>,
    /// The usage objects that were not `null`, in order.
    pub usage: Vec<Value>,
    /// The error objects that came as events, in order.
    pub errors: Vec<Value>,
    /// Whether `[DONE]` came.
    pub done: bool,
    /// The comments, in order.
    pub comments: Vec<String>,
    /// The `data` of every event, in order.
    pub messages: Vec<String>,
    /// How many of them were neither JSON nor `[DONE]`.
    pub unreadable: usize,
    /// Whether the stream ended within an event.
    pub torn: bool,
}

impl ChatStream {
    /// Reads a stream from its body.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let mut reader = EventReader::default();
        reader.push(body);
        let mut stream = Self::default();
        while let Some(event) = reader.pop() {
            match event {
                Event::Comment(comment) => stream.comments.push(comment),
                Event::Message { data, .. } => {
                    stream.take(&data);
                    stream.messages.push(data);
                }
            }
        }
        stream.torn = reader.holds_a_rest();
        stream
    }

    fn take(&mut self, data: &str) {
        if data == "[DONE]" {
            self.done = true;
            return;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            self.unreadable += 1;
            return;
        };
        if !chunk["error"].is_null() {
            self.errors.push(chunk["error"].clone());
        }
        if !chunk["usage"].is_null() {
            self.usage.push(chunk["usage"].clone());
        }
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finish_reasons.push(reason.to_owned());
            }
            if choice["index"] == 0 {
                self.take_delta(&choice["delta"]);
            }
        }
    }

    fn take_delta(&mut self, delta: &Value) {
        self.text.push_str(delta["content"].as_str().unwrap_or(""));
        let reasoning = delta["reasoning_content"].as_str();
        self.reasoning.push_str(reasoning.unwrap_or(""));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            // As SDKs do it: a missing index is the first call.
            let index = call["index"].as_u64().unwrap_or(0).min(127) as usize;
            if self.tool_calls.len() <= index {
                self.tool_calls.resize(index + 1, Default::default());
            }
            let function = &call["function"];
            let (name, arguments) = &mut self.tool_calls[index];
            name.push_str(function["name"].as_str().unwrap_or(""));
            arguments.push_str(function["arguments"].as_str().unwrap_or(""));
        }
    }
}

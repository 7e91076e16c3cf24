//! Server-sent events as a client reads them: fed in any pieces, out one by one.
//!
//! Kept apart from the gateway's own reader on purpose: a test that read its answers with the code
//! under test would agree with each of its mistakes.

use std::collections::VecDeque;

/// One thing that a stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A comment line, without its colon.
    Comment(String),
    /// An event with its name, `message` where it gave none.
    Message {
        /// What `event:` said.
        name: String,
        /// The lines of `data:`, joined by `\n`.
        data: String,
    },
}

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub struct EventReader {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    name: Option<String>,
    data: Option<String>,
    ready: VecDeque<Event>,
}

impl EventReader {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => self.end_line(),
                byte => self.line.push(byte),
            }
        }
    }

    /// The next event that has come in full.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Whether an event has begun that never ended: its reader would drop it.
    #[must_use]
    pub fn holds_a_rest(&self) -> bool {
        !self.line.is_empty() || self.data.is_some() || self.name.is_some()
    }

    fn end_line(&mut self) {
        let mut line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.trim_start_matches('\u{feff}').to_owned();
        }
        if line.is_empty() {
            let name = self.name.take();
            if let Some(data) = self.data.take() {
                let name = name.unwrap_or_else(|| "message".to_owned());
                self.ready.push_back(Event::Message { name, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "" => self.ready.push_back(Event::Comment(value)),
            "event" => self.name = Some(value),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(&value);
                }
                None => self.data = Some(value),
            },
            _ => {}
        }
    }
}

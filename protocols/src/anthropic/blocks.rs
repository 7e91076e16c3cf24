//! The content blocks of an answer, put together from events.
//!
//! Owns     which block an event belongs to: text goes on until something else begins, a thought until its signature,
//!          arguments go to their call wherever it stands.
//! Called   by the writers of a stream and of a whole message.
//! Bounded  by the events.
//! Fails    never.

use crate::event::Event;

/// A content block that may still grow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Visible text, and the words of a refusal, which this dialect has no block for.
    Text(String),
    /// A thought, sealed by its signature.
    Thinking { text: String, signature: Option<String> },
    /// A thought that cannot be read.
    Redacted(String),
    /// A tool call.
    Call { call: usize, id: String, name: String, arguments: String, extent: Extent },
}

/// What an event does to the blocks.
#[derive(Debug)]
pub(super) enum Change {
    /// A block begins.
    New(Block),
    /// The last block, which is text or a thought, gets more text.
    More,
    /// The last block, a thought, gets its signature.
    Sealed,
    /// This call gets more arguments.
    Arguments(usize),
    /// None.
    Nothing,
}

impl Change {
    /// What `event` does where `last` is the last block.
    pub(super) fn of(event: &Event, last: Option<&Block>) -> Self {
        match (event, last) {
            (Event::Text(text) | Event::Refusal(text) | Event::Thinking(text), _) if text.is_empty() => {
                Self::Nothing
            }
            (Event::Text(_) | Event::Refusal(_), Some(Block::Text(_)))
            | (Event::Thinking(_), Some(Block::Thinking { signature: None, .. })) => Self::More,
            (Event::Text(text) | Event::Refusal(text), _) => Self::New(Block::Text(text.clone())),
            (Event::Thinking(text), _) => Self::New(Block::Thinking { text: text.clone(), signature: None }),
            (Event::Signature(_), Some(Block::Thinking { signature: None, .. })) => Self::Sealed,
            // Over a thought that is not shown.
            (Event::Signature(signature), _) => {
                Self::New(Block::Thinking { text: String::new(), signature: Some(signature.clone()) })
            }
            (Event::Redacted(data), _) => Self::New(Block::Redacted(data.clone())),
            (Event::CallStart { call, id, name, .. }, _) => Self::New(Block::Call {
                call: *call,
                id: id.clone(),
                name: name.clone(),
                arguments: String::new(),
                extent: Extent::default(),
            }),
            (Event::CallArguments { call, .. }, _) => Self::Arguments(*call),
            (Event::Start { .. } | Event::Usage(_) | Event::Ping | Event::Finish { .. } | Event::End, _) => {
                Self::Nothing
            }
        }
    }
}

impl Block {
    /// Whether this block is that call.
    pub(super) fn is_call(&self, wanted: usize) -> bool {
        matches!(self, Self::Call { call, .. } if *call == wanted)
    }

    /// Takes more text, a signature or more arguments, as [`Change::of`] found.
    pub(super) fn take(&mut self, event: &Event) {
        match (self, event) {
            (Self::Text(text), Event::Text(more) | Event::Refusal(more))
            | (Self::Thinking { text, .. }, Event::Thinking(more)) => text.push_str(more),
            (Self::Thinking { signature, .. }, Event::Signature(given)) => *signature = Some(given.clone()),
            (Self::Call { arguments, extent, .. }, Event::CallArguments { json, .. }) => {
                arguments.push_str(json);
                extent.take(json);
            }
            _ => {}
        }
    }

    /// Whether nothing can come for it once another block has begun: a call may take turns with others until its
    /// arguments are a whole object.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Text(_) | Self::Thinking { .. } | Self::Redacted(_) => true,
            Self::Call { extent, .. } => extent.is_whole(),
        }
    }
}

/// How far a JSON object that comes in pieces has come: enough of the grammar to see its last brace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first byte that is no white space.
    first: Option<u8>,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Extent {
    fn take(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if !byte.is_ascii_whitespace() {
                self.first.get_or_insert(byte);
            }
            match byte {
                _ if std::mem::take(&mut self.is_escaped) => {}
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' if !self.in_string => self.depth += 1,
                b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether anything has come at all.
    pub(super) fn is_blank(&self) -> bool {
        self.first.is_none()
    }

    fn is_whole(&self) -> bool {
        self.first == Some(b'{') && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_at_its_last_brace_wherever_it_is_cut() {
        let json = r#" {"a":{"b":"}\\\"}"},"c":"\\"} "#;
        let last = json.rfind('}').unwrap();
        for cut in 0..=json.len() {
            let mut extent = Extent::default();
            extent.take(&json[..cut]);
            assert_eq!(extent.is_whole(), cut > last, "{}", &json[..cut]);
            assert_eq!(extent.is_blank(), cut < 2);
        }
        let mut number = Extent::default();
        number.take("12");
        assert!(!number.is_whole() && !number.is_blank());
    }
}

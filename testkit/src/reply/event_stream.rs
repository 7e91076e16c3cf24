//! Server-sent events as the fake writes them, in every form that the standard allows.
//!
//! The wire format is the WHATWG's HTML standard, section 9.2: lines end in LF, CR or CRLF, an
//! empty line ends an event, a line that begins with a colon is a comment, and a stream may begin
//! with a byte order mark.

use bytes::Bytes;

use super::plan::Part;

/// What ends a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// `\n`: what OpenAI sends.
    #[default]
    Lf,
    /// `\r\n`.
    CrLf,
    /// `\r` alone.
    Cr,
}

impl LineEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// The form of a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamStyle {
    pub(super) line_end: LineEnd,
    pub(super) comment: Option<String>,
    pub(super) done: bool,
    pub(super) byte_order_mark: bool,
    pub(super) last_line_end: bool,
}

impl Default for StreamStyle {
    fn default() -> Self {
        Self { line_end: LineEnd::Lf, comment: None, done: true, byte_order_mark: false, last_line_end: true }
    }
}

impl StreamStyle {
    /// One event with this `data`.
    pub(super) fn event(&self, data: &str) -> Bytes {
        self.block("data: ", data)
    }

    fn block(&self, field: &str, value: &str) -> Bytes {
        let end = self.line_end.as_str();
        let mut block = String::with_capacity(field.len() + value.len() + 2 * end.len());
        for part in [field, value, end, end] {
            block.push_str(part);
        }
        Bytes::from(block)
    }

    /// The parts of a stream; an event is its `data` and whether it is a piece.
    pub(super) fn parts(&self, events: impl IntoIterator<Item = (String, bool)>) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.byte_order_mark {
            parts.push(Part::aside("\u{feff}"));
        }
        for (data, is_piece) in events {
            if !is_piece {
                parts.push(Part::aside(self.event(&data)));
                continue;
            }
            if let Some(comment) = &self.comment {
                parts.push(Part::aside(self.block(": ", comment)));
            }
            parts.push(Part::piece(self.event(&data)));
        }
        if self.done {
            parts.push(Part::aside(self.event("[DONE]")));
        }
        if !self.last_line_end
            && let Some(last) = parts.last_mut()
        {
            let ends = 2 * self.line_end.as_str().len();
            last.bytes.truncate(last.bytes.len() - ends);
        }
        parts
    }
}

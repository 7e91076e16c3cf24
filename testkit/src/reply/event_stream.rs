//! Streams as the fake writes them: server-sent events in every form that the standard allows, and
//! one JSON array.
//!
//! The wire format is the WHATWG's HTML standard, section 9.2: lines end in LF, CR or CRLF, an
//! empty line ends an event, a line that begins with a colon is a comment, and a stream may begin
//! with a byte order mark.

use bytes::Bytes;

use super::plan::Part;
use crate::dialect::Wire;

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

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    name: Option<String>,
    data: String,
    kind: FrameKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameKind {
    Piece,
    Aside,
    Terminal,
}

impl Frame {
    fn of(data: impl Into<String>, kind: FrameKind) -> Self {
        Self { name: None, data: data.into(), kind }
    }

    /// An event that counts as a piece.
    pub(crate) fn piece(data: impl Into<String>) -> Self {
        Self::of(data, FrameKind::Piece)
    }

    /// An event beside the pieces.
    pub(crate) fn aside(data: impl Into<String>) -> Self {
        Self::of(data, FrameKind::Aside)
    }

    /// The event that says that the stream is whole.
    pub(crate) fn terminal(data: impl Into<String>) -> Self {
        Self::of(data, FrameKind::Terminal)
    }

    /// OpenAI's mark behind the last event.
    pub(crate) fn done() -> Self {
        Self::terminal("[DONE]")
    }

    /// The same, counted as a piece.
    pub(crate) fn into_piece(self) -> Self {
        Self { kind: FrameKind::Piece, ..self }
    }

    /// The same with a name.
    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
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
    /// One event.
    pub(super) fn event(&self, frame: &Frame, wire: Wire) -> Bytes {
        let data = &frame.data;
        match (wire, &frame.name) {
            (Wire::Array, _) => Bytes::from(format!(",\r\n{data}")),
            (Wire::Events, None) => self.block("data: ", data),
            (Wire::Events, Some(name)) => {
                let end = self.line_end.as_str();
                self.block(&format!("event: {name}{end}data: "), data)
            }
        }
    }

    fn block(&self, field: &str, value: &str) -> Bytes {
        let end = self.line_end.as_str();
        let mut block = String::with_capacity(field.len() + value.len() + 2 * end.len());
        for part in [field, value, end, end] {
            block.push_str(part);
        }
        Bytes::from(block)
    }

    /// The parts of a stream.
    pub(super) fn parts(&self, frames: &[Frame], wire: Wire) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.byte_order_mark {
            parts.push(Part::aside("\u{feff}"));
        }
        for frame in frames {
            if frame.kind == FrameKind::Terminal && !self.done {
                continue;
            }
            if frame.kind != FrameKind::Piece {
                parts.push(Part::aside(self.event(frame, wire)));
                continue;
            }
            if let Some(comment) = &self.comment
                && wire == Wire::Events
            {
                parts.push(Part::aside(self.block(": ", comment)));
            }
            parts.push(Part::piece(self.event(frame, wire)));
        }
        match wire {
            Wire::Events if !self.last_line_end => {
                if let Some(last) = parts.last_mut() {
                    let ends = 2 * self.line_end.as_str().len();
                    last.bytes.truncate(last.bytes.len() - ends);
                }
            }
            Wire::Events => {}
            Wire::Array => close_array(&mut parts),
        }
        parts
    }
}

/// Makes the first comma an opening bracket, and adds the closing one.
fn close_array(parts: &mut Vec<Part>) {
    match parts.iter_mut().find(|part| part.bytes.starts_with(b",\r\n")) {
        Some(first) => first.bytes = [b"[", &first.bytes[3..]].concat().into(),
        None => parts.push(Part::aside("[")),
    }
    parts.push(Part::aside("\r\n]\r\n"));
}

//! One frame of an event stream: its exact bytes, its event name and its data.
//!
//! Owns     the reading of fields, and the writing of other data into a frame that otherwise stays
//!          as it is.
//! Called   by [`super::FrameReader`] and by whoever judges frames.
//! Bounded  by the frame; data in one line is a slice of it, data in several lines is joined in a
//!          copy.
//! Fails    never.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr2};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One frame, its blank line included.
#[derive(Clone, Debug)]
pub struct Frame {
    raw: Bytes,
    /// Where the first line begins: behind a byte order mark.
    begin: usize,
    in_chunk: Option<Range<usize>>,
    event: Option<Range<usize>>,
    data: Data,
    late_newline: bool,
}

#[derive(Clone, Debug)]
enum Data {
    Missing,
    OneLine(Range<usize>),
    Joined(Vec<u8>),
}

impl Frame {
    pub(super) fn parse(raw: Bytes, in_chunk: Option<Range<usize>>, at_start: bool) -> Self {
        let marked = at_start && raw.starts_with(BYTE_ORDER_MARK);
        let begin = if marked { BYTE_ORDER_MARK.len() } else { 0 };
        let mut event = None;
        let mut data = Data::Missing;
        for line in lines(&raw, begin) {
            let (name, value) = field(&raw, &line);
            match name {
                b"data" => data.add_line(&raw, value),
                b"event" => event = Some(value),
                // Comments (no name), `id`, `retry` and unknown fields pass with the frame.
                _ => {}
            }
        }
        Self { raw, begin, in_chunk, event, data, late_newline: false }
    }

    pub(super) fn late_newline(raw: Bytes) -> Self {
        let in_chunk = Some(0..raw.len());
        Self { raw, begin: 0, in_chunk, event: None, data: Data::Missing, late_newline: true }
    }

    /// The exact bytes, the blank line at the end included.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Where the frame stands in the chunk pushed last; `None` when it was put together from
    /// several.
    pub fn in_chunk(&self) -> Option<Range<usize>> {
        self.in_chunk.clone()
    }

    /// The event's name, if the frame gives one.
    pub fn event(&self) -> Option<&[u8]> {
        self.event.clone().and_then(|range| self.raw.get(range))
    }

    /// The data, several lines of it joined by LF; `None` when the frame has no data line, as
    /// comments have not.
    pub fn data(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Missing => None,
            Data::OneLine(range) => self.raw.get(range.clone()),
            Data::Joined(data) => Some(data),
        }
    }

    /// Not a frame of its own: the LF of the CRLF that ended the frame before, come with the next
    /// chunk. It shares the fate of that frame.
    pub fn is_late_newline(&self) -> bool {
        self.late_newline
    }

    /// The frame with other data; event name, comments and line ends stay.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let raw = &*self.raw;
        let mut written = Vec::with_capacity(raw.len() + data.len());
        written.extend_from_slice(&raw[..self.begin]);
        let mut data_is_written = false;
        for line in lines(raw, self.begin) {
            if field(raw, &line).0 != b"data" {
                written.extend_from_slice(&raw[line.text.start..line.end]);
            } else if !std::mem::replace(&mut data_is_written, true) {
                for part in data.split(|byte| *byte == b'\n') {
                    written.extend_from_slice(b"data: ");
                    written.extend_from_slice(part);
                    written.extend_from_slice(&raw[line.text.end..line.end]);
                }
            }
        }
        Bytes::from(written)
    }
}

impl Data {
    fn add_line(&mut self, raw: &[u8], line: Range<usize>) {
        let text = raw.get(line.clone()).unwrap_or_default();
        match self {
            Self::Missing => *self = Self::OneLine(line),
            Self::OneLine(first) => {
                let first = raw.get(first.clone()).unwrap_or_default();
                *self = Self::Joined([first, text].join(&b'\n'));
            }
            Self::Joined(joined) => {
                joined.push(b'\n');
                joined.extend_from_slice(text);
            }
        }
    }
}

struct Line {
    /// What stands before the line's end.
    text: Range<usize>,
    /// The offset after the line's end.
    end: usize,
}

/// The lines of `raw` from `begin` on.
fn lines(raw: &[u8], begin: usize) -> impl Iterator<Item = Line> + '_ {
    let mut start = begin;
    std::iter::from_fn(move || {
        let rest = raw.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line_end = match (rest.get(length), rest.get(length + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(_), _) => 1,
            (None, _) => 0,
        };
        let text = start..start + length;
        start = text.end + line_end;
        Some(Line { text, end: start })
    })
}

/// Name and value of a line; a comment has an empty name.
fn field<'r>(raw: &'r [u8], line: &Line) -> (&'r [u8], Range<usize>) {
    let text = raw.get(line.text.clone()).unwrap_or_default();
    let Some(colon) = memchr(b':', text) else { return (text, line.text.end..line.text.end) };
    let space = usize::from(text.get(colon + 1) == Some(&b' '));
    (&text[..colon], line.text.start + colon + 1 + space..line.text.end)
}

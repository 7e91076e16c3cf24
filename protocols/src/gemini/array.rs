//! A stream as one JSON array, for clients that do not ask for `alt=sse`.
//!
//! Owns     the brackets and commas around the events of another stream.
//! Called   by the relay, as the stream it is; below it is any stream of Gemini's events.
//! Bounded  by the frame limit, once more than the stream below.
//! Fails    as the stream below; its error becomes the array's last element.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::{AnswerStream, Mendable, StreamFault};
use crate::sse::{FrameReader, FrameTooLarge};
use crate::usage::Usage;

/// A stream of events, put out as the elements of an array.
#[derive(Debug)]
pub struct ArrayStream {
    events: Box<dyn AnswerStream>,
    reader: FrameReader,
    /// What the stream below has put out and is not in the array yet.
    below: VecDeque<Bytes>,
    has_begun: bool,
    has_ended: bool,
}

impl ArrayStream {
    /// The array of what `events` puts out, each at most this long.
    pub fn new(events: Box<dyn AnswerStream>, max_frame_bytes: usize) -> Self {
        Self {
            events,
            reader: FrameReader::new(max_frame_bytes),
            below: VecDeque::new(),
            has_begun: false,
            has_ended: false,
        }
    }

    /// Moves what the stream below has put out into the array.
    fn collect(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), FrameTooLarge> {
        while let Some(events) = self.below.pop_front() {
            self.reader.push(events);
            while let Some(frame) = self.reader.next_frame()? {
                self.element(frame.data(), out);
            }
        }
        Ok(())
    }

    /// Comments and the like have no place in an array.
    fn element(&mut self, data: Option<&[u8]>, out: &mut VecDeque<Bytes>) {
        let Some(data) = data.map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else { return };
        let before: &[u8] = if std::mem::replace(&mut self.has_begun, true) { b",\r\n" } else { b"[" };
        out.push_back([before, data].concat().into());
    }

    fn end(&mut self, out: &mut VecDeque<Bytes>) {
        if !std::mem::replace(&mut self.has_ended, true) {
            out.push_back(Bytes::from_static(if self.has_begun { b"\n]\n" } else { b"[]\n" }));
        }
    }
}

impl AnswerStream for ArrayStream {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        let result = self.events.push(chunk, &mut self.below);
        self.collect(out)?;
        // The stream below may know its end before its upstream closes.
        if self.events.is_terminal() {
            self.end(out);
        }
        result
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        let result = self.events.finish(&mut self.below);
        self.collect(out)?;
        if self.events.is_terminal() {
            self.end(out);
        }
        result
    }

    fn contents(&self) -> u64 {
        self.events.contents()
    }

    fn is_terminal(&self) -> bool {
        self.events.is_terminal()
    }

    fn usage(&self) -> Option<Usage> {
        self.events.usage()
    }

    fn counted(&self) -> Usage {
        self.events.counted()
    }

    fn mendable(&mut self) -> Option<&mut Mendable> {
        self.events.mendable()
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        let mut out = VecDeque::new();
        if !self.has_ended {
            each_data(event, |data| self.element(data, &mut out));
        }
        self.end(&mut out);
        out.iter().flatten().copied().collect()
    }
}

/// The array of one server-sent event, such as the error of a stream that never began.
pub fn array_of(event: Bytes) -> Bytes {
    let mut array = b"[".to_vec();
    each_data(event, |data| array.extend_from_slice(data.unwrap_or_default()));
    array.extend_from_slice(b"]\n");
    array.into()
}

/// Visits the data of each of these whole events.
fn each_data(events: Bytes, mut visit: impl FnMut(Option<&[u8]>)) {
    // Its own length is a limit that no event in it exceeds.
    let mut reader = FrameReader::new(events.len());
    reader.push(events);
    while let Ok(Some(frame)) = reader.next_frame() {
        visit(frame.data());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemini::GenerateStream;
    use crate::sse::DEFAULT_MAX_FRAME_BYTES;

    const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    const STOP: &str = r#"{"candidates":[{"finishReason":"STOP"}]}"#;

    fn array() -> ArrayStream {
        ArrayStream::new(Box::new(GenerateStream::new(DEFAULT_MAX_FRAME_BYTES)), DEFAULT_MAX_FRAME_BYTES)
    }

    fn relayed(stream: &mut ArrayStream, bytes: &[u8], step: usize) -> Vec<u8> {
        let mut out = VecDeque::new();
        for chunk in bytes.chunks(step) {
            stream.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        out.iter().flatten().copied().collect()
    }

    #[test]
    fn the_events_are_the_elements_of_one_array_wherever_they_are_cut() {
        let events = format!("data: {TEXT}\r\n\r\n: comment\r\n\r\ndata: {STOP}\r\n\r\n");
        for step in 1..=events.len() {
            let mut stream = array();
            let mut text = relayed(&mut stream, events.as_bytes(), step);
            let mut out = VecDeque::new();
            stream.finish(&mut out).unwrap();
            text.extend(out.iter().flatten());
            assert_eq!(String::from_utf8(text).unwrap(), format!("[{TEXT},\r\n{STOP}\n]\n"), "step {step}");
            assert!(stream.is_terminal());
        }
    }

    #[test]
    fn an_error_is_the_last_element_and_closes_the_array() {
        let error = r#"{"error":{"code":502}}"#;
        let event = Bytes::from(format!("data: {error}\n\n"));
        let mut stream = array();
        let mut text = relayed(&mut stream, format!("data: {TEXT}\n\ndata: {{\"cand").as_bytes(), 7);
        assert_eq!(stream.finish(&mut VecDeque::new()), Err(StreamFault::Truncated));
        text.extend_from_slice(&stream.closing_error(event.clone()));
        assert_eq!(String::from_utf8(text).unwrap(), format!("[{TEXT},\r\n{error}\n]\n"));
        assert_eq!(array().closing_error(event.clone()), format!("[{error}\n]\n"));
        assert_eq!(array_of(event), format!("[{error}]\n"));
    }
}

//! A stream that is translated on its way: any reader, the one passage, any writer.
//!
//! Owns     the events between reader and writer while one chunk is read.
//! Called   by the relay, as the [`AnswerStream`] that it is.
//! Bounded  by what one chunk makes.
//! Fails    with a [`StreamFault`], once; what was good before it is in `out`, what comes after is dropped.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::passage::Passage;
use crate::event::{AnswerStream, Event, EventReader, EventWriter, StreamFault};
use crate::usage::Usage;

/// An upstream's stream in its client's protocol.
#[derive(Debug)]
pub struct Translated {
    reader: Box<dyn EventReader>,
    passage: Passage,
    writer: Box<dyn EventWriter>,
    /// Read, and not yet written.
    events: Vec<Event>,
    /// Written, and not yet handed out.
    written: BytesMut,
    has_failed: bool,
}

impl Translated {
    /// What this reader reads, as this writer writes it.
    pub fn new(reader: Box<dyn EventReader>, writer: Box<dyn EventWriter>) -> Self {
        Self {
            reader,
            passage: Passage::default(),
            writer,
            events: Vec::new(),
            written: BytesMut::new(),
            has_failed: false,
        }
    }

    fn is_over(&self) -> bool {
        self.has_failed || self.passage.has_ended()
    }

    /// Writes the events that were read, and says what to make of how the reading went.
    fn write(&mut self, read: Result<(), StreamFault>, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        let (passage, writer, written) = (&mut self.passage, &mut self.writer, &mut self.written);
        let mut result = Ok(());
        for event in self.events.drain(..) {
            if passage.has_ended() {
                break;
            }
            if let Err(fault) = passage.pass(event, &mut |event| writer.write(event, written)) {
                result = Err(StreamFault::from(fault));
                break;
            }
        }
        if !self.written.is_empty() {
            out.push_back(self.written.split().freeze());
        }
        // What fails behind the end is nobody's loss.
        if self.passage.has_ended() {
            return Ok(());
        }
        result = result.and(read);
        self.has_failed = result.is_err();
        result
    }
}

impl AnswerStream for Translated {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.is_over() {
            return Ok(());
        }
        let read = self.reader.push(chunk, &mut self.events);
        self.write(read, out)
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.is_over() {
            return Ok(());
        }
        let read = self.reader.finish(&mut self.events);
        self.write(read, out)?;
        if self.passage.has_ended() {
            return Ok(());
        }
        self.has_failed = true;
        Err(StreamFault::Truncated)
    }

    fn contents(&self) -> u64 {
        self.passage.contents()
    }

    fn is_terminal(&self) -> bool {
        self.passage.has_ended()
    }

    fn usage(&self) -> Option<Usage> {
        self.passage.usage()
    }

    fn counted(&self) -> Usage {
        self.passage.counted()
    }

    fn closing_error(&mut self, event: Bytes) -> Bytes {
        self.writer.closing_error(event)
    }
}

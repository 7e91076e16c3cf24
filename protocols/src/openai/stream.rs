//! A chat stream on its way from upstream to client: watched, repaired where it is faulty,
//! otherwise untouched.
//!
//! Owns     the frames' fate: pass, drop, hold or rewrite, and whether the stream has ended well.
//! Called   by the relay: [`ChatStream::push`] for each chunk, [`ChatStream::finish`] at the
//!          upstream's end.
//! Bounded  by the frame limit; held at most: one unfinished frame and one usage chunk. Frames that
//!          pass side by side leave as one slice of the upstream's buffer.
//! Fails    with a [`StreamFault`]; what was good before it is in `out`, what comes after is
//!          dropped.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::AnswerStream;
use crate::json;
use crate::openai::chunk::{Choices, ChunkFault, Progress, Text};
use crate::openai::outgoing::Outgoing;
use crate::openai::template::Template;
use crate::openai::{UpstreamErrorBody, usage_chunk};
use crate::splice::Splice;
use crate::sse::{Frame, FrameReader, FrameTooLarge};
use crate::usage::Usage;

#[cfg(test)]
mod tests;

const DONE: &[u8] = b"[DONE]";
const DONE_FRAME: &[u8] = b"data: [DONE]\n\n";

/// How a stream is to be relayed.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// Whether the client asked for the usage chunk.
    pub show_usage: bool,
    /// The largest event, in bytes; [`crate::sse::DEFAULT_MAX_FRAME_BYTES`] unless configured.
    pub max_frame_bytes: usize,
}

/// Why a stream cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The upstream sent an error as an event.
    #[error("the upstream sent an error in its stream")]
    Upstream(Box<UpstreamErrorBody>),
    /// An event whose data is no chunk.
    #[error("the upstream sent an event that is not a chat chunk: {0}")]
    Malformed(#[from] ChunkFault),
    /// Another dialect's event that is not what the dialect defines.
    #[error("the upstream sent an event that is not usable JSON: {0}")]
    Unreadable(#[from] json::JsonFault),
    /// Events in an order that no client could read.
    #[error("the upstream's stream makes no sense: {0}")]
    OutOfOrder(#[from] crate::event::OutOfOrder),
    /// A second upstream was to repeat what the first had said before it broke off.
    #[error("the answer broke off, and another upstream's answer differs from it")]
    Differs,
    /// The stream ended before every choice had its finish reason.
    #[error("the upstream's stream ended before the answer was complete")]
    Truncated,
    /// An event above the limit.
    #[error("the upstream sent an event of more than {limit} bytes")]
    FrameTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream ended without one event.
    #[error("the upstream's stream ended without any data")]
    Empty,
}

impl From<FrameTooLarge> for StreamFault {
    fn from(fault: FrameTooLarge) -> Self {
        Self::FrameTooLarge { limit: fault.limit }
    }
}

/// The relay's view of one stream.
#[derive(Debug)]
pub struct ChatStream {
    show_usage: bool,
    reader: FrameReader,
    progress: Progress,
    template: Template,
    phase: Phase,
    has_data: bool,
    /// The one usage chunk that the client gets, kept until `[DONE]`; the latest counts.
    usage_chunk: Option<Held>,
    last: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Done,
    Failed,
}

/// What became of a frame. The late half of its line end follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    Dropped,
    Held,
}

/// Bytes to be written later, and where they stand in the chunk that is being read.
#[derive(Debug)]
struct Held {
    raw: Bytes,
    in_chunk: Option<std::ops::Range<usize>>,
}

impl ChatStream {
    /// A stream of which nothing has come.
    pub fn new(options: StreamOptions) -> Self {
        Self {
            show_usage: options.show_usage,
            reader: FrameReader::new(options.max_frame_bytes),
            progress: Progress::new(),
            template: Template::default(),
            phase: Phase::Open,
            has_data: false,
            usage_chunk: None,
            last: Fate::Passed,
        }
    }

    /// Takes the upstream's next bytes and puts what the client gets into `out`. An unfinished
    /// event waits for its rest. Behind `[DONE]` or a fault everything is dropped.
    ///
    /// # Errors
    /// A [`StreamFault`], once; whole events before it are in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.phase == Phase::Failed {
            return Ok(());
        }
        self.reader.push(chunk.clone());
        let mut outgoing = Outgoing::new(chunk, out);
        let result = self.relay_frames(&mut outgoing);
        outgoing.flush();
        if let Some(held) = &mut self.usage_chunk {
            held.in_chunk = None;
        }
        self.conclude(result)
    }

    /// The upstream has ended. A last event without its blank line is completed, a missing `[DONE]`
    /// is written when every choice has finished.
    ///
    /// # Errors
    /// [`StreamFault::Empty`] or [`StreamFault::Truncated`] when this is no end; a fault of the
    /// last event.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        if self.phase == Phase::Failed {
            return Ok(());
        }
        let mut outgoing = Outgoing::new(Bytes::new(), out);
        let result = self.relay_end(&mut outgoing);
        outgoing.flush();
        self.conclude(result)
    }

    /// Whether content has been relayed: text, reasoning, a refusal, a tool call, audio.
    pub fn has_content(&self) -> bool {
        self.contents() > 0
    }

    /// How many pieces of content have been relayed. It grows with every one, however little of a
    /// token it holds.
    pub fn contents(&self) -> u64 {
        self.progress.contents()
    }

    /// Whether the stream has ended well: `[DONE]` came, or was written by [`ChatStream::finish`].
    pub fn is_terminal(&self) -> bool {
        self.phase == Phase::Done
    }

    /// What the upstream reported, whether or not the client is shown it.
    pub fn usage(&self) -> Option<&Usage> {
        self.progress.usage()
    }

    /// The answer's tokens counted from the text so far (`output` and `reasoning`; the prompt's
    /// parts are zero), for when nothing is reported.
    pub fn counted(&self) -> Usage {
        self.progress.counted()
    }

    /// A fault is the end, unless the end was there before it.
    fn conclude(&mut self, result: Result<(), StreamFault>) -> Result<(), StreamFault> {
        match (self.phase, &result) {
            (Phase::Done, _) => return Ok(()),
            (_, Err(_)) => self.phase = Phase::Failed,
            (_, Ok(())) => {}
        }
        result
    }

    fn relay_frames(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        while let Some(frame) = self.reader.next_frame()? {
            self.relay(&frame, outgoing)?;
        }
        Ok(())
    }

    fn relay_end(&mut self, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        if let Some(frame) = self.reader.finish() {
            // Read so far as it goes, a frame that was cut off may have finished a choice.
            let was_finished = self.progress.all_finished();
            // One that was cut off before its data is no event.
            let has_data = frame.data().is_some_and(|data| !data.trim_ascii().is_empty());
            match has_data.then(|| self.relay(&frame, outgoing)) {
                Some(Err(StreamFault::Malformed(_))) if was_finished => {}
                Some(Err(StreamFault::Malformed(_))) => return Err(StreamFault::Truncated),
                Some(result) => result?,
                None => {}
            }
        }
        if self.phase == Phase::Done {
            return Ok(());
        }
        if !self.has_data {
            return Err(StreamFault::Empty);
        }
        if !self.progress.all_finished() {
            return Err(StreamFault::Truncated);
        }
        self.end(outgoing);
        outgoing.write(Bytes::from_static(DONE_FRAME));
        Ok(())
    }

    fn relay(&mut self, frame: &Frame, outgoing: &mut Outgoing<'_>) -> Result<(), StreamFault> {
        if frame.is_late_newline() {
            self.relay_late_newline(frame, outgoing);
            return Ok(());
        }
        self.last = match (self.phase, frame.data()) {
            (Phase::Open, data) => self.judge(frame, data, outgoing)?,
            (Phase::Done | Phase::Failed, _) => Fate::Dropped,
        };
        Ok(())
    }

    fn relay_late_newline(&mut self, frame: &Frame, outgoing: &mut Outgoing<'_>) {
        match (self.last, &mut self.usage_chunk) {
            (Fate::Passed, _) => outgoing.pass(frame.raw(), frame.in_chunk()),
            (Fate::Held, Some(held)) => held.raw = [&*held.raw, &**frame.raw()].concat().into(),
            (Fate::Held | Fate::Dropped, _) => {}
        }
    }

    fn judge(
        &mut self,
        frame: &Frame,
        data: Option<&[u8]>,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<Fate, StreamFault> {
        let data = data.unwrap_or_default();
        if frame.event() == Some(b"error") {
            return Err(StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data))));
        }
        let said = data.trim_ascii();
        if said.is_empty() {
            // A comment, or an event that the standard says is not to be dispatched.
            outgoing.pass(frame.raw(), frame.in_chunk());
            return Ok(Fate::Passed);
        }
        self.has_data = true;
        if said == DONE {
            self.end(outgoing);
            outgoing.pass(frame.raw(), frame.in_chunk());
            return Ok(Fate::Passed);
        }
        self.relay_chunk(frame, data, outgoing)
    }

    fn relay_chunk(
        &mut self,
        frame: &Frame,
        data: &[u8],
        outgoing: &mut Outgoing<'_>,
    ) -> Result<Fate, StreamFault> {
        if let Some((literal, sort)) = self.template.text_of(data) {
            self.progress.take_text(literal, sort);
            outgoing.pass(frame.raw(), frame.in_chunk());
            return Ok(Fate::Passed);
        }
        let text = json::utf8(data).map_err(ChunkFault::Json)?;
        let mut splice = Splice::new(data);
        let chunk = self.progress.read(text, &mut splice)?;
        if chunk.is_error {
            return Err(StreamFault::Upstream(Box::new(UpstreamErrorBody::read(data))));
        }
        if let (Text::Alone(span, sort), None, true) = (chunk.text, chunk.usage, splice.is_empty()) {
            self.template.learn(data, span, sort);
        }
        let mut is_usage_chunk = false;
        match (chunk.usage, chunk.choices) {
            (None, _) => {}
            (Some(usage), Choices::Some) if self.show_usage => {
                let raw = usage_chunk::of_its_own(text)?;
                self.usage_chunk = Some(Held { raw, in_chunk: None });
                splice.replace(usage.span, "null");
            }
            (Some(_), Choices::Some) => usage_chunk::without_usage(text, &mut splice)?,
            (Some(_), _) if !self.show_usage => return Ok(Fate::Dropped),
            (Some(_), choices) => {
                is_usage_chunk = true;
                usage_chunk::with_empty_choices(text, choices, &mut splice)?;
            }
        }
        let unchanged = splice.is_empty();
        let raw = if unchanged { frame.raw().clone() } else { frame.with_data(&splice.apply()) };
        let in_chunk = frame.in_chunk().filter(|_| unchanged);
        if is_usage_chunk {
            self.usage_chunk = Some(Held { raw, in_chunk });
            return Ok(Fate::Held);
        }
        outgoing.pass(&raw, in_chunk);
        Ok(Fate::Passed)
    }

    /// `[DONE]` comes next: before it the usage chunk.
    fn end(&mut self, outgoing: &mut Outgoing<'_>) {
        if let Some(held) = self.usage_chunk.take() {
            outgoing.pass(&held.raw, held.in_chunk);
        }
        self.phase = Phase::Done;
    }
}

impl AnswerStream for ChatStream {
    fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        Self::push(self, chunk, out)
    }

    fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), StreamFault> {
        Self::finish(self, out)
    }

    fn contents(&self) -> u64 {
        Self::contents(self)
    }

    fn is_terminal(&self) -> bool {
        Self::is_terminal(self)
    }

    fn usage(&self) -> Option<Usage> {
        Self::usage(self).copied()
    }

    fn counted(&self) -> Usage {
        Self::counted(self)
    }
}

//! What goes wrong with an answer, and the freedoms that compatible servers take with OpenAI's
//! stream.

use std::time::Duration;

use bytes::Bytes;

use super::{Content, Ending, Insert, LineEnd, Part, Place, Reply, UsageStyle};
use crate::openai::{self, Delta};
use crate::seen::Billed;

/// Ways for a body to end too soon.
impl Reply {
    fn ending(mut self, place: Place, ending: Ending) -> Self {
        self.end = Some((place, ending));
        self
    }

    /// After the head nothing more comes.
    #[must_use]
    pub fn stall_after_head(self) -> Self {
        self.ending(Place::Head, Ending::Stall)
    }

    /// After `n` pieces nothing more comes.
    #[must_use]
    pub fn stall_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Stall)
    }

    /// After `n` pieces the connection is closed within the body.
    #[must_use]
    pub fn cut_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Close)
    }

    /// After `n` bytes of the body the connection is closed.
    #[must_use]
    pub fn cut_at_byte(self, n: usize) -> Self {
        self.ending(Place::Byte(n), Ending::Close)
    }

    /// After `n` pieces the body ends as properly as its framing allows: the last chunk is sent,
    /// what is missing are events.
    #[must_use]
    pub fn clean_cut_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Complete { close: false })
    }

    /// After `n` pieces the connection is reset (HTTP/2: the stream, `INTERNAL_ERROR`).
    #[must_use]
    pub fn reset_after(self, n: usize) -> Self {
        self.ending(Place::Pieces(n), Ending::Reset)
    }
}

/// Faults and freedoms within a stream.
impl Reply {
    /// No `[DONE]` at its end.
    #[must_use]
    pub fn without_done(mut self) -> Self {
        self.stream.done = false;
        self
    }

    /// Other line ends.
    #[must_use]
    pub fn line_ends(mut self, line_end: LineEnd) -> Self {
        self.stream.line_end = line_end;
        self
    }

    /// A byte order mark first.
    #[must_use]
    pub fn byte_order_mark(mut self) -> Self {
        self.stream.byte_order_mark = true;
        self
    }

    /// No line end behind the last line.
    #[must_use]
    pub fn without_last_line_end(mut self) -> Self {
        self.stream.last_line_end = false;
        self
    }

    /// A comment line before each piece.
    #[must_use]
    pub fn comments(mut self, comment: &str) -> Self {
        self.stream.comment = Some(comment.to_owned());
        self
    }

    /// These bytes after `n` pieces, as they are: a ping, a comment, an event of one's own.
    #[must_use]
    pub fn insert_after(mut self, n: usize, bytes: impl Into<Bytes>) -> Self {
        let part = Part::aside(bytes);
        self.inserts.push((n, Insert::Part(part)));
        self
    }

    /// This comment before the first piece, `times` times, each after a wait of `every`.
    #[must_use]
    pub fn keep_alives(mut self, comment: &str, every: Duration, times: u64) -> Self {
        let part = Part::aside(format!(": {comment}\n\n")).repeated(times, every);
        self.inserts.push((0, Insert::Part(part)));
        self
    }

    /// OpenAI's error object as an event after `n` pieces, then the end, without `[DONE]`.
    #[must_use]
    pub fn error_event_after(mut self, n: usize) -> Self {
        let event = Insert::Event(openai::overloaded());
        self.inserts.push((n, event));
        self.clean_cut_after(n)
    }

    /// An event that is not JSON after `n` pieces.
    #[must_use]
    pub fn malformed_event_after(mut self, n: usize) -> Self {
        let event = Insert::Event("{\"choices\":[{\"delta\":".to_owned());
        self.inserts.push((n, event));
        self
    }

    /// These pieces of reasoning before the answer.
    #[must_use]
    pub fn reasoning<T: AsRef<str>>(mut self, pieces: impl IntoIterator<Item = T>) -> Self {
        if let Content::Chat { deltas, .. } = &mut self.content {
            let delta = |piece: T| Delta::reasoning(piece.as_ref());
            deltas.splice(0..0, pieces.into_iter().map(delta));
        }
        self
    }

    /// Another finish reason at the end; may be empty.
    #[must_use]
    pub fn finish_reason(mut self, reason: &str) -> Self {
        self.chat.finish = Some(reason.to_owned());
        self
    }

    /// This finish reason, `""` for one, instead of `null` on every chunk before the last.
    #[must_use]
    pub fn finish_reason_throughout(mut self, reason: &str) -> Self {
        self.chat.finish_throughout = Some(reason.to_owned());
        self
    }

    /// No event with a finish reason.
    #[must_use]
    pub fn without_finish_reason(mut self) -> Self {
        self.chat.without_finish = true;
        self
    }

    /// All tool calls in one delta, none with an `index`; the pieces of their arguments, in turn,
    /// name their call by `id` alone.
    #[must_use]
    pub fn without_tool_index(mut self) -> Self {
        self.chat.without_tool_index = true;
        self
    }

    /// Where the usage stands.
    #[must_use]
    pub fn usage(mut self, style: UsageStyle) -> Self {
        self.chat.usage = style;
        self
    }

    /// Usage numbers, and so what is billed. Otherwise each piece of the answer is one token.
    #[must_use]
    pub fn tokens(mut self, prompt: u64, completion: u64) -> Self {
        self.chat.tokens = Some(Billed { prompt, completion });
        self
    }

    /// The usage object as it is, for details of one's own. What is billed stays as
    /// [`Reply::tokens`] says.
    #[must_use]
    pub fn usage_object(mut self, json: impl ToString) -> Self {
        self.chat.usage_object = Some(json.to_string());
        self
    }
}

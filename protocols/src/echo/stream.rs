//! The echo provider's answer as a stream of server-sent events.
//!
//! Owns     what comes next and the part that all its chunks begin with.
//! Called   by the response body that pulls the frames.
//! Bounded  by one frame at a time; the text is not copied.
//! Fails    never.

use bytes::Bytes;

use crate::json::quoted;

use super::{EchoAnswer, PlainTokens};

/// The frames of an answer, in the order in which OpenAI sends them.
#[derive(Clone, Debug)]
pub struct EchoFrames {
    answer: EchoAnswer,
    /// `data: {"id":…,"model":…`, the same in every chunk of a stream.
    head: String,
    /// What comes before the closing brace of a chunk.
    tail: &'static str,
    next: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The first chunk of a choice.
    Role {
        choice: u64,
    },
    /// The token that begins at this byte of the text.
    Token {
        choice: u64,
        at: usize,
    },
    Usage,
    Done,
    End,
}

impl EchoFrames {
    pub(super) fn new(answer: EchoAnswer) -> Self {
        let head = format!(
            r#"data: {{"id":{},"object":"chat.completion.chunk","created":{},"model":{},"choices":["#,
            quoted(&answer.id),
            answer.created,
            answer.model
        );
        // Who asks for the usage chunk gets the member in every other chunk too, with nothing in
        // it.
        let tail = if answer.include_usage { r#","usage":null"# } else { "" };
        Self { answer, head, tail, next: Step::Role { choice: 0 } }
    }

    fn chunk(&self, choice: u64, delta: &str, finish: &str) -> String {
        let Self { head, tail, .. } = self;
        format!(
            r#"{head}{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]{tail}}}"#
        ) + "\n\n"
    }

    fn token_or_finish(&self, choice: u64, at: usize) -> (String, Step) {
        let rest = self.answer.text.get(at..).unwrap_or_default();
        match PlainTokens::new(rest).next() {
            Some(token) => {
                let delta = format!(r#"{{"content":{}}}"#, quoted(token));
                (self.chunk(choice, &delta, "null"), Step::Token { choice, at: at + token.len() })
            }
            None => {
                let next = match choice + 1 {
                    another if another < self.answer.choices => Step::Role { choice: another },
                    _ if self.answer.include_usage => Step::Usage,
                    _ => Step::Done,
                };
                (self.chunk(choice, "{}", &quoted(self.answer.finish.as_str())), next)
            }
        }
    }
}

impl Iterator for EchoFrames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (frame, next) = match self.next {
            Step::Role { choice } => (
                self.chunk(choice, r#"{"role":"assistant","content":""}"#, "null"),
                Step::Token { choice, at: 0 },
            ),
            Step::Token { choice, at } => self.token_or_finish(choice, at),
            Step::Usage => {
                (format!("{}],\"usage\":{}}}\n\n", self.head, self.answer.usage_json()), Step::Done)
            }
            Step::Done => ("data: [DONE]\n\n".to_owned(), Step::End),
            Step::End => return None,
        };
        self.next = next;
        Some(Bytes::from(frame))
    }
}

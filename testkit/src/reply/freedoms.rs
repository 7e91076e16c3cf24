//! What servers that call themselves compatible make of a dialect, and what a vendor may demand.

use super::{Content, Reply, UsageStyle};
use crate::answer::{Delta, escaped};
use crate::seen::Billed;

/// Freedoms within an answer.
impl Reply {
    /// These pieces of reasoning before the answer; Anthropic's and Gemini's are signed.
    #[must_use]
    pub fn reasoning<T: AsRef<str>>(mut self, pieces: impl IntoIterator<Item = T>) -> Self {
        if let Content::Chat { deltas, .. } = &mut self.content {
            let delta = |piece: T| Delta::reasoning(piece.as_ref());
            deltas.splice(0..0, pieces.into_iter().map(delta));
        }
        self
    }

    /// Reasoning before the answer that only its vendor can read: Anthropic's `redacted_thinking`,
    /// Responses' `encrypted_content`. It stands behind reasoning that was given before.
    #[must_use]
    pub fn redacted(mut self, data: &str) -> Self {
        if let Content::Chat { deltas, .. } = &mut self.content {
            let visible = deltas.iter().take_while(|delta| matches!(delta, Delta::Reasoning(_)));
            let at = visible.count();
            deltas.insert(at, Delta::Redacted(escaped(data)));
        }
        self
    }

    /// This signature on reasoning and calls, in place of the one that follows from what is signed.
    #[must_use]
    pub fn signature(mut self, signature: &str) -> Self {
        self.style.signature = Some(signature.to_owned());
        self
    }

    /// No signatures.
    #[must_use]
    pub fn without_signatures(mut self) -> Self {
        self.style.without_signatures = true;
        self
    }

    /// Another finish reason at the end, in the dialect's own word; may be empty. Responses has
    /// none: `length` and `content_filter` make it incomplete there, `failed` failed.
    #[must_use]
    pub fn finish_reason(mut self, reason: &str) -> Self {
        self.style.finish = Some(reason.to_owned());
        self
    }

    /// This finish reason, `""` for one, instead of `null` (Gemini: of none) on every chunk before
    /// the last. OpenAI's chat and Gemini.
    #[must_use]
    pub fn finish_reason_throughout(mut self, reason: &str) -> Self {
        self.style.finish_throughout = Some(reason.to_owned());
        self
    }

    /// No event with a finish reason; Anthropic's has `null` in its place.
    #[must_use]
    pub fn without_finish_reason(mut self) -> Self {
        self.style.without_finish = true;
        self
    }

    /// OpenAI's chat: all tool calls in one delta, none with an `index`; the pieces of their
    /// arguments, in turn, name their call by `id` alone.
    #[must_use]
    pub fn without_tool_index(mut self) -> Self {
        self.style.without_tool_index = true;
        self
    }

    /// OpenAI's chat and responses: all tool calls begin, then the pieces of their arguments come
    /// in turn.
    #[must_use]
    pub fn interleaved_tools(mut self) -> Self {
        self.style.interleaved_tools = true;
        self
    }

    /// Gemini: calls without an `id`, as its models before the third send them.
    #[must_use]
    pub fn without_call_ids(mut self) -> Self {
        self.style.without_call_ids = true;
        self
    }

    /// Where the usage stands.
    #[must_use]
    pub fn usage(mut self, style: UsageStyle) -> Self {
        self.style.usage = style;
        self
    }

    /// Usage numbers, and so what is billed; both include everything that has a detail of its own.
    /// Otherwise each piece of the answer is one token.
    #[must_use]
    pub fn tokens(mut self, prompt: u64, completion: u64) -> Self {
        self.style.tokens = Some(Billed { prompt, completion });
        self
    }

    /// So many of the prompt's tokens were read from a cache, and so many written to one
    /// (Anthropic alone says so).
    #[must_use]
    pub fn cached(mut self, read: u64, written: u64) -> Self {
        self.style.cached = read;
        self.style.cache_written = written;
        self
    }

    /// The usage object as it is, for details of one's own. What is billed stays as
    /// [`Reply::tokens`] says.
    #[must_use]
    pub fn usage_object(mut self, json: impl ToString) -> Self {
        self.style.usage_object = Some(json.to_string());
        self
    }
}

/// Demands.
impl Reply {
    /// Refuses what the vendor always refuses (keys, versions, missing members, empty text blocks)
    /// also before a scripted answer.
    #[must_use]
    pub fn checked(mut self) -> Self {
        self.checks.usual = true;
        self
    }

    /// Answers 400 to a request whose history lacks a signature or has one that was changed:
    /// Anthropic's on thinking, Gemini's on the first call of a turn. A signature is right when it
    /// follows from what it signs, as the fake's own do unless [`Reply::signature`] says otherwise;
    /// Gemini's two documented values that skip the check are taken as well.
    #[must_use]
    pub fn demanding_signatures(mut self) -> Self {
        self.checks.signatures = true;
        self
    }

    /// Answers 400 to a request whose `anthropic-beta` names anything else.
    #[must_use]
    pub fn knowing_betas<T: Into<String>>(mut self, betas: impl IntoIterator<Item = T>) -> Self {
        self.checks.betas = Some(betas.into_iter().map(Into::into).collect());
        self
    }
}

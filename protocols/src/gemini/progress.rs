//! What the responses of one stream, or a whole answer, have shown so far.
//!
//! Owns     which candidates have finished, the pieces of content, what was reported, and the counted text.
//! Called   by [`super::GenerateStream`] for each response and by [`super::whole`].
//! Bounded  by [`CANDIDATES_MAX`].
//! Fails    with the response's fault. More candidates than any request can ask for are told of, not followed.

use crate::estimate::Estimator;
use crate::gemini::response::{Part, Response, ResponseFault, Said};
use crate::json::{Value, decoded};
use crate::usage::{Usage, from_gemini};

/// How many candidates one stream may have; Gemini allows 8.
pub(super) const CANDIDATES_MAX: usize = 64;

/// The state of one answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Index of each candidate, and whether it has finished.
    candidates: Vec<(u64, bool)>,
    is_blocked: bool,
    contents: u64,
    usage: Option<Usage>,
    output: Estimator,
    reasoning: Estimator,
}

impl Progress {
    /// Takes one response and returns it.
    pub(super) fn read<'a>(&mut self, text: &'a str) -> Result<Response<'a>, ResponseFault> {
        let response = Response::read(text, |candidate, said| self.take(candidate, &said))?;
        self.is_blocked |= response.block_reason.is_some();
        if let Some(usage) = &response.usage {
            self.report(usage);
        }
        Ok(response)
    }

    /// Whether the answer has ended: every candidate that was seen has finished, or the prompt was refused.
    pub(super) fn has_finished(&self) -> bool {
        self.is_blocked
            || !self.candidates.is_empty() && self.candidates.iter().all(|(_, finished)| *finished)
    }

    /// Whether there are more candidates than are followed: [`CANDIDATES_MAX`].
    pub(super) fn has_too_many(&self) -> bool {
        self.candidates.len() > CANDIDATES_MAX
    }

    /// Pieces of content so far.
    pub(super) fn contents(&self) -> u64 {
        self.contents
    }

    /// What was reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The answer's tokens counted from its text.
    pub(super) fn counted(&self) -> Usage {
        let (output, reasoning) = (self.output.tokens(), self.reasoning.tokens());
        Usage { output, reasoning, ..Usage::default() }
    }

    fn take(&mut self, candidate: u64, said: &Said<'_>) {
        let finished = matches!(said, Said::Finish(_));
        if let Some((_, has_finished)) = self.candidates.iter_mut().find(|(index, _)| *index == candidate) {
            *has_finished |= finished;
        } else if self.candidates.len() <= CANDIDATES_MAX {
            // One more than allowed is enough to say so.
            self.candidates.push((candidate, finished));
        }
        if let Said::Part(part) = said {
            self.contents += u64::from(part.has_content());
            self.count(part);
        }
    }

    /// Text is counted as it reads, a call as it is written. Files that a model makes are no text; only a report says
    /// what they cost.
    fn count(&mut self, part: &Part<'_>) {
        if let Some(text) = part.text {
            let meter = if part.is_thought { &mut self.reasoning } else { &mut self.output };
            meter.push(&decoded(text));
        }
        if let Some(call) = &part.call {
            self.output.push(call.raw);
        }
    }

    /// Reports grow; one of zeros says nothing after a real one.
    fn report(&mut self, usage: &Value<'_>) {
        let reported = from_gemini(usage);
        if reported.is_some_and(|usage| usage.total() > 0) || self.usage.is_none() {
            self.usage = reported.or(self.usage);
        }
    }
}

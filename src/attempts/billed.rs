//! What an attempt that failed may be billed by its upstream, as far as can be told from here.
//!
//! Owns     the rule which failures an upstream bills.
//! Called   by `attempts.rs`, once for each attempt that failed. No client is charged for it; it is noted so that an
//!          operator can tell the upstream's bill from what clients were charged.
//! Fails    never: there is no wildcard arm for faults.

use gateway_limits::{Grade, Usage};
use gateway_protocols::event::{AnswerFault, AnswerStream, StreamFault};
use http::StatusCode;

use crate::call::{Clock, UpstreamFault};
use crate::upstream::WireFault;

/// What has come of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the upstream reported until then.
    reported: Option<Usage>,
    /// What was counted of its text.
    counted: Usage,
}

impl Seen {
    /// What this stream has seen of the upstream that answers now.
    pub(super) fn of(stream: &dyn AnswerStream) -> Self {
        Self { reported: stream.usage(), counted: stream.made() }
    }

    /// What the upstream may bill. `prompt_tokens` is the estimate of what it was sent.
    ///
    /// Where a part of the answer came, that and the prompt. Where none came, the prompt, if the upstream may have
    /// begun to work on it. Who answers with an error, or was not reached, bills nothing.
    pub(super) fn billed(&self, fault: &UpstreamFault, prompt_tokens: u64) -> (Usage, Grade) {
        let Self { reported, counted } = *self;
        let prompt = Usage { input: prompt_tokens, ..Usage::default() };
        match reported.filter(|usage| usage.total() > 0) {
            // A report in the middle of a stream tells the prompt, and of the answer less than has come since.
            Some(reported) => {
                let output = reported.output.max(counted.output);
                let reasoning = reported.reasoning.max(counted.reasoning);
                (Usage { output, reasoning, ..reported }, Grade::Counted)
            }
            None if counted.total() > 0 => (Usage { input: prompt_tokens, ..counted }, Grade::Counted),
            None if may_have_begun(fault) => (prompt, Grade::Estimated),
            None => (Usage::default(), Grade::Counted),
        }
    }
}

/// Whether an upstream of which nothing has come may have worked all the same.
fn may_have_begun(fault: &UpstreamFault) -> bool {
    match fault {
        UpstreamFault::Wire(fault) => match fault {
            WireFault::Unreachable(_)
            | WireFault::ConnectTimeout
            | WireFault::BadAddress
            | WireFault::RefusedStream => false,
            WireFault::ClosedBeforeAnswer
            | WireFault::BadHttp
            | WireFault::CutShort
            | WireFault::Undecodable => true,
        },
        UpstreamFault::TimedOut { clock, .. } => *clock != Clock::Connect,
        // A proxy before the upstream has lost its patience, not the upstream. (524 is Cloudflare's.)
        UpstreamFault::Status { status, .. } => {
            *status == StatusCode::GATEWAY_TIMEOUT || status.as_u16() == 524
        }
        UpstreamFault::Answer(AnswerFault::ErrorObject(_)) => false,
        UpstreamFault::Stream(StreamFault::Upstream(_)) => false,
        UpstreamFault::Answer(_)
        | UpstreamFault::Stream(_)
        | UpstreamFault::TooLarge
        | UpstreamFault::NoEventStream
        | UpstreamFault::Undecodable
        | UpstreamFault::NotAccounted => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::NoConnection;

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input, output, ..Usage::default() }
    }

    #[test]
    fn what_came_is_billed_with_the_prompt_and_a_report_counts_where_it_says_more() {
        let cut = UpstreamFault::Wire(WireFault::CutShort);
        let seen = Seen { reported: None, counted: usage(0, 7) };
        assert_eq!(seen.billed(&cut, 30), (usage(30, 7), Grade::Counted));
        let seen = Seen { reported: Some(usage(25, 1)), ..seen };
        assert_eq!(seen.billed(&cut, 30), (usage(25, 7), Grade::Counted));
        let seen = Seen { reported: Some(Usage::default()), ..seen };
        assert_eq!(seen.billed(&cut, 30), (usage(30, 7), Grade::Counted));
    }

    #[test]
    fn of_an_answer_that_never_came_the_prompt_may_be_billed_where_it_was_read() {
        let silent = |clock| UpstreamFault::TimedOut { clock, after: Duration::from_secs(1) };
        let nothing = Seen::default();
        assert_eq!(nothing.billed(&silent(Clock::FirstToken), 30), (usage(30, 0), Grade::Estimated));
        assert_eq!(nothing.billed(&silent(Clock::Connect), 30), (Usage::default(), Grade::Counted));
        let refused = UpstreamFault::Wire(WireFault::Unreachable(NoConnection::Refused));
        assert_eq!(nothing.billed(&refused, 30), (Usage::default(), Grade::Counted));
    }
}

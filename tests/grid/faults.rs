//! The faults of the primary upstream.

use std::time::Duration;

use gateway_testkit::Reply;

use crate::client::Api;

/// By how much the clocks of a real gateway are shortened: 20 s are half a second here.
pub const SCALE: u32 = 40;

/// Words of an answer.
pub const WORDS: usize = 60;

/// How long an outage lasts.
pub const OUTAGE: Duration = scaled(60);

/// Seconds of the real world.
pub const fn scaled(seconds: u64) -> Duration {
    Duration::from_millis(seconds * 1000 / SCALE as u64)
}

/// What is wrong with the primary upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    BusyOnce,
    BusyForGood,
    FailsOnce,
    UnavailableForGood,
    ResetOnce,
    Silence,
    LateFirstToken,
    CutAfter40Words,
    StallAfter20Words,
    MalformedEvent,
    MalformedEventLater,
    NoDone,
    NoTerminalResponse,
    ContextLength,
    ContentFilter,
    CutAndNoPrefill,
    Outage,
    UnavailableModelCheck,
}

impl Fault {
    pub const ALL: [Self; 18] = [
        Self::BusyOnce,
        Self::BusyForGood,
        Self::FailsOnce,
        Self::UnavailableForGood,
        Self::ResetOnce,
        Self::Silence,
        Self::LateFirstToken,
        Self::CutAfter40Words,
        Self::StallAfter20Words,
        Self::MalformedEvent,
        Self::MalformedEventLater,
        Self::NoDone,
        Self::NoTerminalResponse,
        Self::ContextLength,
        Self::ContentFilter,
        Self::CutAndNoPrefill,
        Self::Outage,
        Self::UnavailableModelCheck,
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::BusyOnce => "429 once, `Retry-After` 2",
            Self::BusyForGood => "429 for good",
            Self::FailsOnce => "500 once",
            Self::UnavailableForGood => "503 for good",
            Self::ResetOnce => "reset once",
            Self::Silence => "silence",
            Self::LateFirstToken => "first token after 20 s",
            Self::CutAfter40Words => "cut after 40 words",
            Self::StallAfter20Words => "stall after 20 words",
            Self::MalformedEvent => "one malformed event, first",
            Self::MalformedEventLater => "one malformed event, after 20 words",
            Self::NoDone => "no terminal event",
            Self::NoTerminalResponse => "no terminal event of the Responses API",
            Self::ContextLength => "context length exceeded",
            Self::ContentFilter => "content filter",
            Self::CutAndNoPrefill => "cut, and the fallback refuses a prefill",
            Self::Outage => "60 s outage, then recovery",
            Self::UnavailableModelCheck => "503 for good, model checked",
        }
    }

    /// Whether it can befall an answer of this shape.
    pub fn applies(self, api: Api, stream: bool) -> bool {
        match self {
            // What ends a stream of the Responses API holds its usage and says whether the answer is whole.
            Self::NoDone => stream && api != Api::Responses,
            Self::NoTerminalResponse => stream && api == Api::Responses,
            Self::LateFirstToken | Self::MalformedEvent | Self::MalformedEventLater => stream,
            _ => true,
        }
    }

    /// Whether a clock has to find it.
    pub fn is_of_time(self) -> bool {
        matches!(self, Self::Silence | Self::LateFirstToken | Self::StallAfter20Words)
    }

    /// Whether a stream breaks off behind its first content.
    pub fn breaks_off(self) -> bool {
        matches!(
            self,
            Self::CutAfter40Words
                | Self::StallAfter20Words
                | Self::CutAndNoPrefill
                | Self::MalformedEventLater
                | Self::NoTerminalResponse
        )
    }

    /// What the primary answers to a question that it has been asked `before` times already, this long after the
    /// cell's beginning; `right` is what it would answer without its fault.
    pub fn reply(self, right: Reply, stream: bool, before: usize, since: Duration) -> Reply {
        let busy = |reply: Reply| {
            let wait = scaled(2).as_millis().to_string();
            reply.without_header("retry-after").header("retry-after-ms", &wait)
        };
        match self {
            Self::BusyOnce | Self::FailsOnce | Self::ResetOnce if before > 0 => right,
            Self::BusyOnce => busy(Reply::error(429)),
            Self::BusyForGood => busy(Reply::error(429)),
            Self::FailsOnce => Reply::error(500),
            Self::ResetOnce => Reply::reset(),
            Self::UnavailableForGood | Self::UnavailableModelCheck => Reply::error(503),
            Self::Silence => Reply::never(),
            Self::LateFirstToken => right.first_piece_after(scaled(20)),
            Self::CutAfter40Words | Self::CutAndNoPrefill if stream => right.cut_after(40),
            Self::CutAfter40Words | Self::CutAndNoPrefill => right.cut_at_byte(120),
            Self::StallAfter20Words if stream => right.stall_after(20),
            Self::StallAfter20Words => right.stall_after_head(),
            Self::MalformedEvent => right.malformed_event_after(0),
            Self::MalformedEventLater => right.malformed_event_after(20),
            Self::NoDone | Self::NoTerminalResponse => right.without_done(),
            Self::ContextLength => Reply::error(400),
            Self::ContentFilter => Reply::blocked(),
            Self::Outage if since < OUTAGE => Reply::error(503),
            Self::Outage => right,
        }
    }
}

//! The clocks of a call, and how a provider or a model changes them.
//!
//! Owns     the settings of `[timeouts]` and of every `timeouts` below a provider or a model.
//! Called   by `Settings`; read where calls are made and relayed.
//! Bounded  by 366 days each.
//! Fails    in the report only.

use std::time::Duration;

use crate::config::{Report, Section, values};

/// How long each part of a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the upstream is connected.
    pub connect: Duration,
    /// Of a stream: until its first content.
    pub first_token: Duration,
    /// Of an answer that is no stream: until it is whole.
    pub answer: Duration,
    /// Between two pieces of a stream's content, while we wait for the upstream.
    pub stall: Duration,
    /// Between any two bytes from the upstream.
    pub silence: Duration,
    /// The whole request; `None` is no such clock.
    pub total: Option<Duration>,
    /// A stream whose content is later than this gets its head and comments meanwhile.
    pub hold_back: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            // Reasoning models think for a minute before their first word.
            first_token: Duration::from_secs(120),
            answer: Duration::from_secs(600),
            stall: Duration::from_secs(300),
            silence: Duration::from_secs(120),
            total: None,
            hold_back: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    /// These clocks, but for those that the overrides name.
    pub fn overridden_by(self, overrides: &TimeoutOverrides) -> Self {
        Self {
            connect: overrides.connect.unwrap_or(self.connect),
            first_token: overrides.first_token.unwrap_or(self.first_token),
            answer: overrides.answer.unwrap_or(self.answer),
            stall: overrides.stall.unwrap_or(self.stall),
            silence: overrides.silence.unwrap_or(self.silence),
            total: overrides.total.map_or(self.total, |total| Some(total).filter(|total| !total.is_zero())),
            hold_back: overrides.hold_back.unwrap_or(self.hold_back),
        }
    }
}

/// Clocks that somebody set; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    connect: Option<Duration>,
    first_token: Option<Duration>,
    answer: Option<Duration>,
    stall: Option<Duration>,
    silence: Option<Duration>,
    /// Zero takes the clock away.
    total: Option<Duration>,
    hold_back: Option<Duration>,
}

impl TimeoutOverrides {
    pub(crate) fn read(mut section: Section<'_>, report: &mut Report) -> Self {
        let mut clock = |key| section.get(key, values::clock, report);
        let (connect, first_token, answer) = (clock("connect"), clock("first_token"), clock("answer"));
        let (stall, silence) = (clock("stall"), clock("silence"));
        let total = section.get("total", values::duration, report);
        let hold_back = section.get("hold_back", values::duration, report);
        section.finish(report);
        Self { connect, first_token, answer, stall, silence, total, hold_back }
    }

    /// These overrides, with others where these say nothing.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            connect: self.connect.or(others.connect),
            first_token: self.first_token.or(others.first_token),
            answer: self.answer.or(others.answer),
            stall: self.stall.or(others.stall),
            silence: self.silence.or(others.silence),
            total: self.total.or(others.total),
            hold_back: self.hold_back.or(others.hold_back),
        }
    }
}

//! When a key is not asked for a model, and when it is tried again: closed, open, half-open.
//!
//! Owns     the failures of one model at one key, and the rule which of them open the breaker.
//! Called   by the key's Provider, with every failure and with the first success after one.
//! Bounded  by a constant size; successes are not told one by one, but read from a counter.
//! Fails    never. Pure: the time is an argument, on the gateway's monotonic clock.
//!
//! Two signals open it. *Consecutive failures* find an upstream that is down within a few calls. The *rate* finds one
//! that fails every other call and so never fails often in a row. An open breaker rests; after the rest it is half
//! open: one call at a time is let through as a trial until one succeeds. Each failure in a row of rests doubles the
//! next rest, up to a cap, so that an upstream that comes back is found within seconds.

use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub consecutive: u32,
    /// The share of failed calls that opens it …
    pub rate: f64,
    /// … once so many calls have ended within `window`.
    pub calls_min: u32,
    /// The time over which the rate is taken.
    pub window: Duration,
    /// The first rest; it doubles from one rest to the next.
    pub cooling: Duration,
    /// The longest rest.
    pub cooling_max: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            consecutive: 5,
            rate: 0.5,
            calls_min: 20,
            window: Duration::from_secs(10),
            cooling: Duration::from_secs(1),
            cooling_max: Duration::from_secs(15),
        }
    }
}

/// Why a call failed, as far as its key's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The upstream failed: no connection, no answer in time, an error of its own, an answer that cannot be used.
    Upstream,
    /// The upstream wants fewer calls (429), and says for how long, or not.
    RateLimited {
        /// Its own word on when to come again.
        retry_after: Option<Duration>,
    },
    /// The upstream does not take our key, for any model.
    KeyRefused,
}

/// How long a key rests that its upstream does not take. Nobody can mend it but its owner; trying it once a minute
/// costs one attempt, and finds a key that has been let in again.
const KEY_REFUSED_REST: Duration = Duration::from_secs(60);

/// One model's failures at one key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Breaker {
    consecutive: u32,
    /// Rests since the last success.
    rests: u32,
    /// The window of the rate: when it began, its failures, and how many answers had been counted then.
    window: Option<(Duration, u32, u64)>,
}

impl Breaker {
    /// A call has failed. `answered` counts the calls that were ever answered. Says how long the key rests, if it is
    /// to. `is_trial` is a call that was let through although it rested.
    pub fn failed(
        &mut self,
        now: Duration,
        blame: Blame,
        answered: u64,
        is_trial: bool,
        settings: &BreakerSettings,
    ) -> Option<Duration> {
        match blame {
            Blame::KeyRefused => Some(KEY_REFUSED_REST),
            Blame::RateLimited { retry_after } => {
                let asked_for = retry_after.map(|after| after.min(settings.cooling_max));
                Some(self.rest(asked_for, settings))
            }
            Blame::Upstream => {
                self.consecutive = self.consecutive.saturating_add(1);
                let trips = self.trips_by_rate(now, answered, settings);
                let is_open = is_trial || trips || self.consecutive >= settings.consecutive.max(1);
                is_open.then(|| self.rest(None, settings))
            }
        }
    }

    /// A call was answered. One that was open is closed, and its window begins anew.
    pub fn succeeded(&mut self) {
        self.consecutive = 0;
        if self.rests > 0 {
            *self = Self::default();
        }
    }

    /// Failures in a row.
    pub fn consecutive(&self) -> u32 {
        self.consecutive
    }

    fn trips_by_rate(&mut self, now: Duration, answered: u64, settings: &BreakerSettings) -> bool {
        let window = match self.window {
            Some((since, failures, before)) if now.saturating_sub(since) < settings.window => {
                (since, failures.saturating_add(1), before)
            }
            _ => (now, 1, answered),
        };
        self.window = Some(window);
        let (_, failures, before) = window;
        let calls = answered.saturating_sub(before).saturating_add(u64::from(failures));
        // Counts of calls within seconds are far below 2^52, so both are exact.
        calls >= u64::from(settings.calls_min) && f64::from(failures) >= settings.rate * calls as f64
    }

    fn rest(&mut self, asked_for: Option<Duration>, settings: &BreakerSettings) -> Duration {
        let doubled = 1_u32.checked_shl(self.rests).unwrap_or(u32::MAX);
        self.rests = self.rests.saturating_add(1);
        asked_for.unwrap_or_else(|| settings.cooling.saturating_mul(doubled).min(settings.cooling_max))
    }
}

#[cfg(test)]
mod tests;

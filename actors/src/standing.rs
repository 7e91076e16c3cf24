//! How a key stands, and each model at it: what a pool looks at when it chooses.
//!
//! Owns     rests (until when it is not asked), the one trial that may be out, latency, and what the upstream said of
//!          its own quota. Rests are set by the key's Provider; the rest is counted by leases themselves.
//! Called   by ProviderPool, which keeps one per model and key; by Provider; by leases.
//! Bounded  by the pool: so many models at one key are told apart, others share one standing.
//! Fails    never. All of it is atomic; a reborn pool begins with new ones, so everybody healthy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

/// Until when somebody is not asked, and the one call that may try meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// In milliseconds of the gateway's clock, at least 1; 0 when there is no rest. It stays when its time is over,
    /// until a call succeeds: that is half open.
    until_ms: AtomicU64,
    /// Whether the upstream's 429 was the cause.
    is_limited: AtomicBool,
    trial_is_out: AtomicBool,
    /// How many rests there have been: a call that was lent its key before the last of them says nothing about it.
    count: AtomicU64,
}

/// How many rests there had been when a call was lent its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestsSeen {
    pub(crate) of_key: u64,
    pub(crate) of_model: u64,
}

/// What a [`Rest`] says at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resting {
    /// Nothing: ask.
    No,
    /// The rest is over, and one call at a time may try.
    HalfOpen,
    /// Not before then.
    Until(Duration),
}

impl Rest {
    pub(crate) fn begin(&self, until: Duration, is_limited: bool) {
        self.is_limited.store(is_limited, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.until_ms.store(milliseconds(until).max(1), Ordering::Release);
    }

    /// The rest that there is goes on until then at least, as the upstream has asked for.
    pub(crate) fn extend(&self, until: Duration) {
        self.is_limited.store(true, Ordering::Relaxed);
        self.until_ms.fetch_max(milliseconds(until).max(1), Ordering::Release);
    }

    /// How many rests there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether it has begun since a call was lent its key, when there had been so many: then how that call goes says
    /// nothing about it.
    pub(crate) fn has_begun_since(&self, count: u64) -> bool {
        self.at(Duration::ZERO) != Resting::No && self.count() != count
    }

    pub(crate) fn end(&self) {
        self.until_ms.store(0, Ordering::Release);
    }

    pub(crate) fn at(&self, now: Duration) -> Resting {
        match self.until_ms.load(Ordering::Acquire) {
            0 => Resting::No,
            until if until <= milliseconds(now) => Resting::HalfOpen,
            until => Resting::Until(Duration::from_millis(until)),
        }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    pub(crate) fn trial_is_out(&self) -> bool {
        self.trial_is_out.load(Ordering::Acquire)
    }

    /// Takes the one trial, unless it is out.
    pub(crate) fn take_trial(&self) -> bool {
        !self.trial_is_out.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn give_trial_back(&self) {
        self.trial_is_out.store(false, Ordering::Release);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One limit of ours at an upstream, as its answer's head tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaReport {
    /// How much is allowed in all, where it is said.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: u64,
    /// When it is whole again, from now.
    pub reset_after: Duration,
}

/// One limit of ours at an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaMeter {
    /// How much is allowed in all, where it is said.
    pub limit: Option<u64>,
    /// How much was left at the last answer.
    pub remaining: u64,
    /// When it is whole again, on the gateway's monotonic clock.
    pub resets_at: Duration,
}

/// What an upstream said of our quota there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests; per minute or per day, as the upstream counts.
    pub requests: Option<QuotaMeter>,
    /// Tokens.
    pub tokens: Option<QuotaMeter>,
}

/// No upstream's quota is believed to be empty for longer: a day is the longest window that any of them has.
const RESET_MAX: Duration = Duration::from_secs(24 * 3600);

impl Quota {
    /// What is told at `now`; `None` when nothing is.
    pub fn told(now: Duration, requests: Option<QuotaReport>, tokens: Option<QuotaReport>) -> Option<Self> {
        let meter = |report: QuotaReport| QuotaMeter {
            limit: report.limit,
            remaining: report.remaining,
            resets_at: now.saturating_add(report.reset_after.min(RESET_MAX)),
        };
        let quota = Self { requests: requests.map(meter), tokens: tokens.map(meter) };
        (quota != Self::default()).then_some(quota)
    }

    /// Until when nothing is left, if nothing is.
    pub fn is_empty_until(&self, now: Duration) -> Option<Duration> {
        let empty = |meter: &QuotaMeter| meter.remaining == 0 && meter.resets_at > now;
        let meters = [self.requests, self.tokens].into_iter().flatten();
        meters.filter(empty).map(|meter| meter.resets_at).max()
    }
}

/// The latency of calls, remembered by its peaks: a slow call counts at once, and is forgotten as time and faster
/// calls go by. (Peak EWMA, as Finagle's load balancer has it.)
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// In microseconds; 0 before the first call.
    peak_us: AtomicU64,
    stamped_ms: AtomicU64,
}

/// After this long a peak counts for about a third.
const DECAY: Duration = Duration::from_secs(10);

/// Keys that are faster than this are equally fast: below it the network and this machine are measured, and no model
/// begins an answer sooner. It stands for a key that has not been asked yet as well, so that it soon is.
const FASTEST_US: u64 = 20_000;

impl Latency {
    /// Of two calls at the same moment one may go missing, which is one of many anyway.
    pub(crate) fn observe(&self, now: Duration, took: Duration) {
        let now_ms = milliseconds(now);
        let newest = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.peak_us.load(Ordering::Relaxed);
        let stamped = self.stamped_ms.swap(now_ms, Ordering::Relaxed);
        let peak = if newest >= before {
            newest
        } else {
            let age = now_ms.saturating_sub(stamped) as f64 / milliseconds(DECAY) as f64;
            let kept = (-age).exp();
            // Between the two, so it fits.
            (before as f64 * kept + newest as f64 * (1.0 - kept)) as u64
        };
        self.peak_us.store(peak.max(1), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<Duration> {
        let us = self.peak_us.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(us))
    }

    fn cost_us(&self) -> u64 {
        self.peak_us.load(Ordering::Relaxed).max(FASTEST_US)
    }
}

/// One model at one key.
#[derive(Debug, Default)]
pub struct Standing {
    pub(crate) rest: Rest,
    /// Set by the Provider after a failure: then it is told of the next success.
    pub(crate) is_failing: AtomicBool,
    /// Calls that were ever answered.
    pub(crate) answered: AtomicU64,
    pub(crate) latency: Latency,
    pub(crate) quota: ArcSwapOption<Quota>,
}

impl Standing {
    /// How unwelcome one more call would be here: its latency times the calls that it shares the key with, squared, so
    /// that a key where a call takes twice as long gets a quarter of the calls; over the key's weight.
    pub(crate) fn load(&self, in_flight: usize, weight: u32) -> f64 {
        let cost = self.latency.cost_us() as f64 * (in_flight as f64 + 1.0);
        cost * cost / f64::from(weight.max(1))
    }

    pub(crate) fn is_empty_until(&self, now: Duration) -> Option<Duration> {
        self.quota.load().as_ref().and_then(|quota| quota.is_empty_until(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_slow_call_counts_at_once_and_is_forgotten_by_and_by() {
        let latency = Latency::default();
        latency.observe(at(0), Duration::from_millis(10));
        latency.observe(at(1), Duration::from_secs(5));
        assert_eq!(latency.get(), Some(Duration::from_secs(5)));
        latency.observe(at(11), Duration::from_millis(10));
        let after_ten = latency.get().unwrap();
        assert!(
            (Duration::from_millis(1_700)..Duration::from_millis(2_000)).contains(&after_ten),
            "{after_ten:?}"
        );
        latency.observe(at(100), Duration::from_millis(10));
        assert!(latency.get().unwrap() < Duration::from_millis(12));
    }

    #[test]
    fn a_rest_that_is_over_lets_one_trial_through() {
        let rest = Rest::default();
        assert_eq!(rest.at(at(1)), Resting::No);
        rest.begin(at(5), true);
        assert_eq!(rest.at(at(4)), Resting::Until(at(5)));
        assert_eq!(rest.at(at(5)), Resting::HalfOpen);
        assert!(rest.take_trial());
        assert!(!rest.take_trial());
        rest.give_trial_back();
        assert!(rest.take_trial());
        rest.end();
        assert_eq!(rest.at(at(5)), Resting::No);
    }

    #[test]
    fn a_rest_knows_the_calls_that_were_out_when_it_began() {
        let rest = Rest::default();
        let before = rest.count();
        assert!(!rest.has_begun_since(before));
        rest.begin(at(5), false);
        assert!(rest.has_begun_since(before));
        assert!(!rest.has_begun_since(rest.count()));
        rest.extend(at(9));
        rest.extend(at(7));
        assert_eq!(rest.at(at(8)), Resting::Until(at(9)));
        rest.end();
        assert!(!rest.has_begun_since(before));
    }

    #[test]
    fn a_quota_is_empty_until_the_last_of_its_meters_is_whole_again() {
        let report =
            |remaining, seconds| Some(QuotaReport { limit: None, remaining, reset_after: at(seconds) });
        let quota = Quota::told(at(100), report(0, 5), report(0, 9)).unwrap();
        assert_eq!(quota.is_empty_until(at(101)), Some(at(109)));
        assert_eq!(quota.is_empty_until(at(109)), None);
        assert_eq!(Quota::told(at(100), report(1, 5), None).unwrap().is_empty_until(at(101)), None);
        assert_eq!(Quota::told(at(100), None, None), None);
    }
}

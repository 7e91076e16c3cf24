//! How many retries a provider may get: a share of its requests, and a few in any case.
//!
//! Owns     the counts of one provider's last ten seconds.
//! Called   by its ProviderPool, for every job.
//! Bounded  by [`SLOTS`] counters.
//! Fails    never. Pure: the time is an argument, on the gateway's monotonic clock.
//!
//! Without it a provider in trouble gets its load times the attempts, just when it can take least. The share keeps
//! that factor near one under load; the floor lets a quiet gateway retry at all.

use std::time::Duration;

/// The time over which both are counted, in slots of a second.
const SLOTS: usize = 10;

/// What may be retried at one provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudgetSettings {
    /// Retries at most this share of first attempts …
    pub ratio: f64,
    /// … but so many within ten seconds in any case.
    pub floor: u32,
}

impl Default for RetryBudgetSettings {
    fn default() -> Self {
        Self { ratio: 0.2, floor: 10 }
    }
}

/// The last ten seconds of one provider.
#[derive(Debug, Clone, Default)]
pub struct RetryBudget {
    slots: [Slot; SLOTS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u64,
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// A request comes here for the first time.
    pub fn note_request(&mut self, now: Duration) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Takes one retry, if there is one.
    pub fn take(&mut self, now: Duration, settings: &RetryBudgetSettings) -> bool {
        let second = now.as_secs();
        let recent = self.slots.iter().filter(|slot| slot.second + (SLOTS as u64) > second);
        let (requests, retries) = recent.fold((0_u64, 0_u64), |(requests, retries), slot| {
            (requests + u64::from(slot.requests), retries + u64::from(slot.retries))
        });
        // Counts of ten seconds are far below 2^52, so both are exact.
        let in_share = (retries + 1) as f64 <= settings.ratio * requests as f64;
        let is_granted = retries < u64::from(settings.floor) || in_share;
        if is_granted {
            let slot = self.slot(now);
            slot.retries = slot.retries.saturating_add(1);
        }
        is_granted
    }

    fn slot(&mut self, now: Duration) -> &mut Slot {
        let second = now.as_secs();
        // The remainder is below SLOTS.
        let slot = &mut self.slots[(second % SLOTS as u64) as usize];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_quiet_provider_gets_the_floor_and_no_more_within_ten_seconds() {
        let settings = RetryBudgetSettings { ratio: 0.2, floor: 3 };
        let mut budget = RetryBudget::default();
        let taken =
            |budget: &mut RetryBudget, now| (0..5).filter(|_| budget.take(at(now), &settings)).count();
        assert_eq!(taken(&mut budget, 100), 3);
        assert_eq!(taken(&mut budget, 109), 0);
        assert_eq!(taken(&mut budget, 110), 3);
    }

    #[test]
    fn a_busy_provider_gets_its_share() {
        let settings = RetryBudgetSettings { ratio: 0.2, floor: 3 };
        let mut budget = RetryBudget::default();
        for _ in 0..100 {
            budget.note_request(at(50));
        }
        assert_eq!((0..100).filter(|_| budget.take(at(52), &settings)).count(), 20);
    }

    proptest! {
        #[test]
        fn in_no_ten_seconds_are_there_more_retries_than_share_and_floor_allow(
            steps in prop::collection::vec((0..4_u64, 0..20_u32, 0..20_u32), 1..60),
        ) {
            let settings = RetryBudgetSettings { ratio: 0.2, floor: 5 };
            let mut budget = RetryBudget::default();
            let mut now = 1_000;
            let mut seen: Vec<(u64, u32, u32)> = Vec::new();
            for (pause, requests, wanted) in steps {
                now += pause;
                (0..requests).for_each(|_| budget.note_request(at(now)));
                let granted = (0..wanted).filter(|_| budget.take(at(now), &settings)).count() as u32;
                seen.push((now, requests, granted));
                let recent = seen.iter().filter(|(second, ..)| second + 10 > now);
                let (requests, retries) = recent.fold((0, 0), |sum, step| (sum.0 + step.1, sum.1 + step.2));
                // Requests may grow old before the retries that they allowed.
                let longer = seen.iter().filter(|(second, ..)| second + 20 > now).map(|step| step.1).sum::<u32>();
                let allowed = f64::from(longer.max(requests)) * 0.2;
                prop_assert!(f64::from(retries) <= allowed.max(5.0));
            }
        }
    }
}

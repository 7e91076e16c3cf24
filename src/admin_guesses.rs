//! Wrong admin tokens: a line in the log for each address and minute, and none for each guess.
//!
//! Owns     which addresses were told of in the last minute.
//! Called   by the front door, for whoever is not let into the operators' routes.
//! Bounded  by [`ADDRESSES_MAX`]; beyond them all share one entry, so one line a minute.
//! Fails    never. The token that was presented is not looked at again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing more is said of an address.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// Addresses that have a line of their own, some 64 bytes each.
const ADDRESSES_MAX: usize = 1_024;

/// Stands for all addresses beyond them.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Who was told of lately.
#[derive(Debug, Default)]
pub struct AdminGuesses {
    told: Mutex<HashMap<IpAddr, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Guesses since then.
    untold: u64,
}

impl AdminGuesses {
    /// Notes a guess: how many there were since the last line, if it is time for another one.
    pub fn note(&self, address: IpAddr) -> Option<u64> {
        let now = Instant::now();
        let is_quiet = |told: &Told| now.duration_since(told.at) < QUIET_FOR;
        // A map of times is whole at any time.
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&address) && all.len() >= ADDRESSES_MAX {
            all.retain(|_, told| is_quiet(told));
        }
        let is_known = all.contains_key(&address) || all.len() < ADDRESSES_MAX;
        let whose = if is_known { address } else { OTHERS };
        let Some(told) = all.get_mut(&whose) else {
            all.insert(whose, Told { at: now, untold: 0 });
            return Some(1);
        };
        told.untold += 1;
        if is_quiet(told) {
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_is_told_of_once_a_minute_with_the_number_of_its_guesses() {
        let guesses = AdminGuesses::default();
        let [ada, bob] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        assert_eq!(guesses.note(ada), Some(1));
        assert_eq!([ada, ada, bob].map(|address| guesses.note(address)), [None, None, Some(1)]);
        tokio::time::advance(QUIET_FOR).await;
        assert_eq!([ada, ada].map(|address| guesses.note(address)), [Some(3), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_addresses_is_bounded_and_told_of_as_one() {
        let guesses = AdminGuesses::default();
        let told = (0..3_000_u32).filter(|n| guesses.note(IpAddr::from(n.to_be_bytes())).is_some());
        assert_eq!(told.count(), ADDRESSES_MAX + 1);
        tokio::time::advance(QUIET_FOR).await;
        assert_eq!(guesses.note(IpAddr::from([192, 0, 2, 1])), Some(1), "the old ones made room");
    }
}

//! The moment at which running requests must end: the grace of a shutdown is over.
//!
//! Owns     a handful of tokens in place of one: every request waits on one of them, and a single one would be a
//!          lock that all requests share.
//! Called   by requests and streams, which wait; by `running.rs`, which cancels.
//! Fails    never.

use tokio_util::sync::CancellationToken;

/// Far more than threads, so that two of them seldom meet at one token.
const SHARDS: usize = 64;

/// Tells requests to end.
#[derive(Debug)]
pub struct CutOff([CancellationToken; SHARDS]);

impl Default for CutOff {
    fn default() -> Self {
        Self(std::array::from_fn(|_| CancellationToken::new()))
    }
}

impl CutOff {
    /// A token to wait on; which one is left to chance.
    pub fn token(&self) -> &CancellationToken {
        &self.0[rand::random_range(0..SHARDS)]
    }

    /// Ends all that wait, and all that will.
    pub fn cancel(&self) {
        self.0.iter().for_each(CancellationToken::cancel);
    }
}

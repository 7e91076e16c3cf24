//! What one call has cost so far: the admission and the lease in use, settled on every way out.
//!
//! Owns     a [`Dispatch`]'s two halves from the moment the request is sent.
//! Called   by `call.rs` until the answer begins, by `relay.rs` while it flows.
//! Fails    never. Dropped at any point (the client left, a panic, a clock above us) it settles to what was
//!          caused until then: nothing before the request was sent, then the prompt, then the prompt and what
//!          was relayed.

use std::time::Duration;

use gateway_actors::{Admission, Dispatch, Lease, Outcome};

/// A call in progress, as the client's account sees it.
#[derive(Debug)]
pub struct Charge {
    admission: Admission,
    lease: Lease,
    prompt_tokens: u64,
}

impl Charge {
    /// Takes over a dispatch; `prompt_tokens` is the prompt's estimate.
    pub fn new(dispatch: Dispatch, prompt_tokens: u64) -> Self {
        Self { admission: dispatch.admission, lease: dispatch.lease, prompt_tokens }
    }

    /// Whom to call.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The request is about to be sent.
    pub fn sending(&mut self) {
        self.admission.if_dropped(Outcome::Spent { tokens: self.prompt_tokens });
    }

    /// The first byte of an answer came, this long after sending.
    pub fn answered(&mut self, first_byte: Duration) {
        self.lease.answered(first_byte);
    }

    /// So much output has been relayed to the client.
    pub fn relayed(&mut self, output_tokens: u64) {
        let tokens = self.prompt_tokens.saturating_add(output_tokens);
        self.admission.if_dropped(Outcome::Spent { tokens });
    }

    /// The upstream refused the request for what it says: the tokens go back, the request stays counted.
    pub fn refused_upstream(self) {
        self.admission.settle(Outcome::Failed);
    }

    /// The upstream failed before anything reached the client: as above, and the key's health notes it.
    pub fn failed(mut self, what: &'static str) {
        self.lease.failed(what);
        self.admission.settle(Outcome::Failed);
    }

    /// The upstream failed in the middle of its answer: what was relayed is paid for.
    pub fn cut(mut self, what: &'static str, output_tokens: u64) {
        self.lease.failed(what);
        self.relayed(output_tokens);
    }

    /// The answer is complete; `reported` is what the upstream says it used. Without that it is what was
    /// relayed. Returns once the settlement is with the limiter, so before the last byte leaves.
    pub fn complete(self, reported: Option<u64>, output_tokens: impl FnOnce() -> u64) {
        let counted = || self.prompt_tokens.saturating_add(output_tokens());
        let tokens = reported.unwrap_or_else(counted);
        self.admission.settle(Outcome::Spent { tokens });
    }
}

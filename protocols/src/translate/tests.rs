//! Every pair of protocols, both ways: what one says, the other says too.

mod answers;
mod legal;
mod members;
mod requests;
mod turns;
mod upstream;

use crate::translate::Protocol;

/// Each pair of two different protocols.
fn pairs() -> impl Iterator<Item = (Protocol, Protocol)> {
    let all = Protocol::ALL.into_iter();
    all.flat_map(|from| Protocol::ALL.into_iter().map(move |to| (from, to))).filter(|(from, to)| from != to)
}

//! Which tool call a piece of a stream belongs to, when the upstream does not say.
//!
//! Owns     for one choice, the index of each call seen so far.
//! Called   by the chunk reader for each element of `delta.tool_calls`.
//! Bounded  by [`CALLS_REMEMBERED_MAX`] ids.
//! Fails    never: a piece that nothing identifies goes by its position.

use std::hash::{DefaultHasher, Hasher};

/// How many ids are remembered for one choice. Agents open some 20 calls in a turn; behind the
/// bound a call without index goes by its position.
const CALLS_REMEMBERED_MAX: usize = 1024;

/// The calls of one choice.
///
/// Clients glue together the argument pieces of equal index, so a missing one must not be read as
/// 0. A piece gets the index its id already has; a piece that opens a call (a new id, or no id but
/// a name) gets its position in the array, or the next free index where that is taken; a piece that
/// only goes on belongs to the call that was opened at its position, in the delta that opened calls
/// last.
#[derive(Debug, Default)]
pub(super) struct ToolCalls {
    /// Hash of the id and index. Ids may be long, since some carry a signature; two of one stream
    /// with the same 64 bits are not to be expected.
    known: Vec<(u64, u64)>,
    next_free: u64,
    /// Index of the first call of the delta that opened calls last.
    last_opened: u64,
    opened_in_this_delta: bool,
}

/// What one element of `delta.tool_calls` says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    /// The index it gives.
    pub(super) index: Option<u64>,
    /// The id it gives, unless empty.
    pub(super) id: Option<&'a str>,
    /// Whether it names a function.
    pub(super) named: bool,
}

impl ToolCalls {
    /// A new delta's array begins.
    pub(super) fn begin_delta(&mut self) {
        self.opened_in_this_delta = false;
    }

    /// The index of the call that the piece at `position` of the array belongs to; a given one is
    /// the answer.
    pub(super) fn index_of(&mut self, position: u64, piece: Piece<'_>) -> u64 {
        let hash = piece.id.map(hash_of);
        let known = hash.and_then(|hash| self.known.iter().find(|(seen, _)| *seen == hash));
        if let Some((_, index)) = known {
            return piece.index.unwrap_or(*index);
        }
        if piece.id.is_none() && !piece.named {
            return piece.index.unwrap_or(self.last_opened.saturating_add(position));
        }
        let index = piece.index.unwrap_or(position.max(self.next_free));
        self.next_free = self.next_free.max(index.saturating_add(1));
        if !std::mem::replace(&mut self.opened_in_this_delta, true) {
            self.last_opened = index;
        }
        if let Some(hash) = hash
            && self.known.len() < CALLS_REMEMBERED_MAX
        {
            self.known.push((hash, index));
        }
        index
    }
}

fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    hasher.finish()
}

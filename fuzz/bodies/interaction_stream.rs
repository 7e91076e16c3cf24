//! However the stream of an interaction is cut, what passes and what it says are the same.
//!
//! The first byte says where the cuts are.

use std::collections::VecDeque;

use bytes::Bytes;
use gateway_protocols::event::{AnswerStream, StreamFault};
use gateway_protocols::interactions::InteractionStream;
use gateway_protocols::usage::Usage;

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else { return };
    let pieces: Vec<&[u8]> = stream.chunks(usize::from(step % 64) + 1).collect();
    let whole = relayed(&[stream]);
    assert_eq!(whole, relayed(&pieces));
    let is_prefix = stream.starts_with(&whole.0);
    // A last event without its blank line has one when it passes.
    assert!(is_prefix || whole.0.starts_with(stream));
}

type Relayed = (Vec<u8>, Result<(), StreamFault>, u64, Option<String>, Option<Usage>, Usage);

fn relayed(chunks: &[&[u8]]) -> Relayed {
    let mut stream = InteractionStream::new(MAX_FRAME_BYTES);
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    assert_eq!(stream.is_terminal(), end.is_ok());
    let bytes = out.iter().flatten().copied().collect();
    let id = stream.response_id().map(str::to_owned);
    (bytes, end, stream.contents(), id, stream.usage(), stream.counted())
}

//! However a stream is cut, its frames and what the relay lets pass are the same.
//!
//! The first byte says where the cuts are.

use std::collections::VecDeque;

use bytes::Bytes;
use gateway_protocols::openai::{ChatStream, StreamFault, StreamOptions};
use gateway_protocols::sse::FrameReader;
use gateway_protocols::usage::Usage;

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(step % 64) + 1;
    let whole = [stream];
    let pieces: Vec<&[u8]> = stream.chunks(step).collect();
    let (raw, data) = frames(&whole);
    assert!(raw.starts_with(stream) || raw.len() < stream.len());
    assert_eq!((raw, data), frames(&pieces));
    for show_usage in [false, true] {
        assert_eq!(relayed(show_usage, &whole), relayed(show_usage, &pieces));
    }
}

/// The bytes of all frames together, and the data of each.
fn frames(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Option<Vec<u8>>>) {
    let mut reader = FrameReader::new(MAX_FRAME_BYTES);
    let mut raw = Vec::new();
    let mut data = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    raw.extend_from_slice(frame.raw());
                    if !frame.is_late_newline() {
                        data.push(frame.data().map(<[u8]>::to_vec));
                    }
                }
                Ok(None) => break,
                Err(_) => return (raw, data),
            }
        }
    }
    if let Some(frame) = reader.finish() {
        raw.extend_from_slice(frame.raw());
        data.push(frame.data().map(<[u8]>::to_vec));
    }
    (raw, data)
}

type Relayed = (Vec<u8>, Result<(), StreamFault>, bool, bool, Option<Usage>, Usage);

fn relayed(show_usage: bool, chunks: &[&[u8]]) -> Relayed {
    let mut stream = ChatStream::new(StreamOptions { show_usage, max_frame_bytes: MAX_FRAME_BYTES });
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    let bytes = out.iter().flatten().copied().collect();
    let usage = stream.usage().copied();
    (bytes, end, stream.has_content(), stream.is_terminal(), usage, stream.counted())
}

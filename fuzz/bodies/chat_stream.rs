//! However a chat stream is cut, its events are the same, and what is written of them reads the same again.
//!
//! The first byte says where the cuts are.

use bytes::{Bytes, BytesMut};
use gateway_protocols::event::{Event, EventReader, EventWriter, StreamFault};
use gateway_protocols::openai::{self, ChatEvents, ChatWriter, Identity};

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(step % 64) + 1;
    let whole = read(&[stream], MAX_FRAME_BYTES);
    let pieces: Vec<&[u8]> = stream.chunks(step).collect();
    assert_eq!(whole, read(&pieces, MAX_FRAME_BYTES));
    let (events, end) = whole;
    if end.is_ok() {
        let mut writer = ChatWriter::new(Identity { id: "c", model: "m", created: 0 }, true);
        let mut out = BytesMut::new();
        events.iter().for_each(|event| writer.write(event, &mut out));
        let (again, end) = read(&[&out], usize::MAX);
        assert_eq!(end, Ok(()));
        assert_eq!(text(&again), text(&events));
    }
    if let Ok(events) = openai::events(stream) {
        let answer = openai::render_answer(&events, Identity { id: "c", model: "m", created: 0 });
        let again = openai::events(answer.as_bytes());
        assert_eq!(again.as_deref().map(text), Ok(text(&events)));
    }
}

fn read(chunks: &[&[u8]], max_frame_bytes: usize) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = ChatEvents::new(max_frame_bytes);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    (events, end)
}

/// The text and the names of the calls, which no writer may change.
fn text(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text(text) | Event::CallStart { name: text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

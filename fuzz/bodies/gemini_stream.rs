//! However a Gemini stream is cut, what passes and what it says are the same; what it says is in order, and a client
//! that reads it as one array reads the same.
//!
//! The first byte says where the cuts are.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use gateway_protocols::event::{AnswerStream, Event, EventReader, EventWriter, Order, StreamFault};
use gateway_protocols::gemini::{
    self, ArrayStream, GenerateEvents, GenerateStream, GenerateWriter, render_answer,
};
use serde::de::IgnoredAny;

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(step % 64) + 1;
    let whole = [stream];
    let pieces: Vec<&[u8]> = stream.chunks(step).collect();
    let passing = || Box::new(GenerateStream::new(MAX_FRAME_BYTES));
    assert_eq!(relayed(passing(), &whole), relayed(passing(), &pieces));
    let (events, end) = told(&whole);
    assert_eq!((&events, &end), (&told(&pieces).0, &told(&pieces).1));
    let mut order = Order::default();
    let is_in_order = events.iter().all(|event| order.admit(event).is_ok());
    assert_eq!(is_in_order && order.has_ended(), is_in_order && end.is_ok());
    if is_in_order && end.is_ok() {
        read_again(&events);
    }
    // A last event without its blank line has one when it passes.
    let (array, end, _) = relayed(Box::new(ArrayStream::new(passing(), MAX_FRAME_BYTES + 2)), &pieces);
    if end.is_ok() {
        serde_json::from_slice::<Vec<IgnoredAny>>(&array).expect("an array");
    }
    let _ = gemini::whole(stream);
    if let Ok(events) = gemini::events(stream) {
        serde_json::from_str::<IgnoredAny>(&render_answer(&events, "id", "m")).expect("an answer");
    }
}

type Relayed = (Vec<u8>, Result<(), StreamFault>, bool);

fn relayed(mut stream: Box<dyn AnswerStream>, chunks: &[&[u8]]) -> Relayed {
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    assert_eq!(stream.is_terminal(), end.is_ok());
    (out.iter().flatten().copied().collect(), end, stream.contents() > 0)
}

fn told(chunks: &[&[u8]]) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = GenerateEvents::new(MAX_FRAME_BYTES);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    (events, end)
}

/// What is written of these events is a stream that ends well.
fn read_again(events: &[Event]) {
    let mut writer = GenerateWriter::new("id", "m");
    let mut out = BytesMut::new();
    for event in events {
        writer.write(event, &mut out);
    }
    let mut stream = GenerateStream::new(usize::MAX);
    let mut passed = VecDeque::new();
    stream.push(out.freeze(), &mut passed).expect("responses");
    stream.finish(&mut passed).expect("an end");
}

//! However a Messages stream is cut, what passes and what it says are the same; what it says in order is written again
//! as a stream that ends well and says the same as the whole message.
//!
//! The first byte says where the cuts are.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use gateway_protocols::anthropic::{self, MessagesEvents, MessagesStream, MessagesWriter, render_answer};
use gateway_protocols::event::{AnswerStream, Event, EventReader, EventWriter, Order, StreamFault};
use gateway_protocols::openai::Identity;
use gateway_protocols::usage::Usage;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

const IDENTITY: Identity<'static> = Identity { id: "id", model: "m", created: 0 };

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(step % 64) + 1;
    let whole = [stream];
    let pieces: Vec<&[u8]> = stream.chunks(step).collect();
    assert_eq!(relayed(&whole), relayed(&pieces));
    let (events, end) = told(&whole, MAX_FRAME_BYTES);
    assert_eq!((&events, &end), (&told(&pieces, MAX_FRAME_BYTES).0, &told(&pieces, MAX_FRAME_BYTES).1));
    if is_answer(&events) {
        read_again(&events);
    }
    let _ = anthropic::whole(stream);
    let _ = anthropic::input_tokens(stream);
    if let Ok(events) = anthropic::events(stream)
        && is_answer(&events)
    {
        read_again(&events);
    }
}

type Relayed = (Vec<u8>, Result<(), StreamFault>, u64, Option<Usage>, Usage);

fn relayed(chunks: &[&[u8]]) -> Relayed {
    let mut stream = MessagesStream::new(MAX_FRAME_BYTES);
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    assert_eq!(stream.is_terminal(), end.is_ok());
    let bytes = out.iter().flatten().copied().collect();
    (bytes, end, stream.contents(), stream.usage(), stream.counted())
}

fn told(chunks: &[&[u8]], max_frame_bytes: usize) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = MessagesEvents::new(max_frame_bytes);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    (events, end)
}

/// Whether the events are one answer, in order and to its end.
fn is_answer(events: &[Event]) -> bool {
    let mut order = Order::default();
    events.iter().all(|event| order.admit(event).is_ok()) && order.has_ended()
}

/// What is written of these events, as a stream and whole, is read as the same message.
fn read_again(events: &[Event]) {
    let mut writer = MessagesWriter::new(IDENTITY);
    let mut out = BytesMut::new();
    for event in events {
        writer.write(event, &mut out);
    }
    let (again, end) = told(&[&out], usize::MAX);
    end.expect("a stream that ends well");
    assert!(is_answer(&again));
    let whole = message(events);
    // Behind a whole object no more is streamed once another block waits; what glues objects keeps them in one text.
    if !render_answer(events, IDENTITY).contains("INVALID_JSON") {
        assert_eq!(message(&again), whole);
    }
}

/// `None` for a message with a number that only its text can hold.
fn message(events: &[Event]) -> Option<Value> {
    let written = render_answer(events, IDENTITY);
    serde_json::from_str::<IgnoredAny>(&written).expect("a message");
    serde_json::from_str(&written).ok()
}

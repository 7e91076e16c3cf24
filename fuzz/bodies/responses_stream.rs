//! However a stream of the Responses API is cut, what passes and what it says are the same; what it says is in order,
//! and written again it is a stream that ends well and says the same as a whole answer.
//!
//! The first byte says where the cuts are.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use gateway_protocols::event::{AnswerStream, Event, EventReader, EventWriter, Order, StreamFault};
use gateway_protocols::responses::{self, ResponsesEvents, ResponsesStream, ResponsesWriter};
use serde_json::Value;

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(step % 64) + 1;
    let whole = [stream];
    let pieces: Vec<&[u8]> = stream.chunks(step).collect();
    assert_eq!(relayed(&whole), relayed(&pieces));
    let (events, end) = told(&whole);
    assert_eq!((&events, &end), (&told(&pieces).0, &told(&pieces).1));
    let mut order = Order::default();
    let is_in_order = events.iter().all(|event| order.admit(event).is_ok());
    assert!(is_in_order, "{events:?}");
    assert_eq!(order.has_ended(), end.is_ok());
    if end.is_ok() {
        read_again(&events);
    }
    let _ = responses::whole(stream);
    let _ = responses::response_id(stream);
    if let Ok(events) = responses::events(stream) {
        read_again(&events);
    }
}

fn relayed(chunks: &[&[u8]]) -> (Vec<u8>, Result<(), StreamFault>, u64, Option<String>) {
    let mut stream = ResponsesStream::new(MAX_FRAME_BYTES);
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    assert_eq!(stream.is_terminal(), end.is_ok());
    let id = stream.response_id().map(str::to_owned);
    (out.iter().flatten().copied().collect(), end, stream.contents(), id)
}

fn told(chunks: &[&[u8]]) -> (Vec<Event>, Result<(), StreamFault>) {
    let mut reader = ResponsesEvents::new(MAX_FRAME_BYTES);
    let mut events = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk), &mut events));
    let end = pushed.and_then(|()| reader.finish(&mut events));
    (events, end)
}

/// What is written of these events is a stream that ends well, and its last event is the whole answer.
fn read_again(events: &[Event]) {
    let mut writer = ResponsesWriter::new("resp_1", "m", 0);
    let mut out = BytesMut::new();
    for event in events {
        writer.write(event, &mut out);
    }
    let mut stream = ResponsesStream::new(usize::MAX);
    let mut passed = VecDeque::new();
    stream.push(out.clone().freeze(), &mut passed).expect("events");
    stream.finish(&mut passed).expect("an end");
    let written = String::from_utf8(out.into()).expect("text");
    let last = written.trim_end().rsplit_once("\ndata: ").expect("data").1;
    let last: Value = serde_json::from_str(last).expect("JSON");
    let whole = ResponsesWriter::new("resp_1", "m", 0).render(events);
    assert_eq!(serde_json::from_str::<Value>(&whole).expect("an answer"), last["response"]);
}

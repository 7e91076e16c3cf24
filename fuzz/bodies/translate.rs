//! Between any two protocols: however a stream is cut, the client gets the same; and whatever is written is JSON.
//!
//! The first byte chooses the two, the second says where the cuts are.

use std::collections::VecDeque;

use bytes::Bytes;
use gateway_protocols::conversation::Target;
use gateway_protocols::event::StreamFault;
use gateway_protocols::openai::CapMember;
use gateway_protocols::sse::FrameReader;
use gateway_protocols::translate::{self, AnswerOptions, Protocol};
use gateway_protocols::usage::Usage;
use serde::de::IgnoredAny;

/// Small, so that the fuzzer gets above it.
const MAX_FRAME_BYTES: usize = 4096;

/// Panics where this does not hold.
pub fn check(input: &[u8]) {
    let [choice, step, body @ ..] = input else { return };
    let from = Protocol::ALL[usize::from(choice & 3)];
    let to = Protocol::ALL[usize::from(choice >> 2 & 3)];
    if from == to {
        return;
    }
    let step = usize::from(step % 64) + 1;
    let whole = relayed(from, to, &[body]);
    let pieces: Vec<&[u8]> = body.chunks(step).collect();
    assert_eq!(whole, relayed(from, to, &pieces));
    assert_frames(&whole.0);
    let body = Bytes::copy_from_slice(body);
    if let Ok((answer, _)) = translate::answer(from, to, &body, &options(&Bytes::new())) {
        assert_json(&answer);
    }
    let target = Target {
        model: "m",
        cap: None,
        max_output: 4096,
        cap_member: CapMember::MaxTokens,
        takes_temperature: true,
        asks_for_usage: true,
        missing_signature: None,
    };
    if let Ok((request, _)) = translate::request(from, to, &body, choice & 16 != 0, &target, true) {
        assert_json(&request);
    }
}

fn options(request: &Bytes) -> AnswerOptions<'_> {
    AnswerOptions {
        id: "a",
        model: "m",
        created: 0,
        show_usage: true,
        as_array: false,
        max_frame_bytes: MAX_FRAME_BYTES,
        request,
    }
}

type Relayed = (Vec<u8>, Result<(), StreamFault>, u64, Option<Usage>, Usage);

fn relayed(from: Protocol, to: Protocol, chunks: &[&[u8]]) -> Relayed {
    let mut stream = translate::stream(from, to, &options(&Bytes::new()));
    let mut out = VecDeque::new();
    let pushed = chunks.iter().try_for_each(|chunk| stream.push(Bytes::copy_from_slice(chunk), &mut out));
    let end = pushed.and_then(|()| stream.finish(&mut out));
    assert_eq!(end.is_ok(), stream.is_terminal());
    let bytes = out.iter().flatten().copied().collect();
    (bytes, end, stream.contents(), stream.usage(), stream.counted())
}

/// That every event's data is JSON, but for the word that ends a chat stream.
fn assert_frames(stream: &[u8]) {
    let mut reader = FrameReader::new(usize::MAX);
    reader.push(Bytes::copy_from_slice(stream));
    while let Ok(Some(frame)) = reader.next_frame() {
        match frame.data() {
            None | Some(b"[DONE]") => {}
            Some(data) => assert_json(data),
        }
    }
    assert!(reader.finish().is_none(), "the last event is whole");
}

fn assert_json(text: &[u8]) {
    let json = serde_json::from_slice::<IgnoredAny>(text);
    assert!(json.is_ok(), "{}", String::from_utf8_lossy(text));
}

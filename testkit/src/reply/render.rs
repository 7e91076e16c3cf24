//! From a reply and a request to the bytes that are written.
//!
//! In this order: the content's parts, what is inserted between them, compression, the length that
//! the head states, the end that comes too soon, the cuts into writes, the waits.

use std::time::Duration;

use bytes::Bytes;

use super::plan::{Bill, Ending, FOREVER, Head, Part, Plan};
use super::{After, Content, Framing, Insert, Place, Reply, Shape};
use crate::openai::{self, Asked, Chat, FILLER};
use crate::seen::Seen;

/// Filler is written in blocks of this size.
const BLOCK: usize = 64 << 10;

/// A body before faults.
struct Body {
    status: u16,
    content_type: &'static str,
    parts: Vec<Part>,
    streamed: bool,
    bill: Bill,
}

impl Reply {
    /// What is to be written in answer to this request.
    pub(crate) fn plan(&self, seen: &Seen) -> Plan {
        match &self.content {
            Content::Nothing(ending) => self.headless(Vec::new(), *ending),
            Content::Raw(parts) => {
                let mut parts = parts.clone();
                let close = self.after != After::KeptOpen;
                let ending = self.end_early(&mut parts, Ending::Complete { close });
                self.headless(parts, ending)
            }
            _ => self.answer(seen),
        }
    }

    fn headless(&self, mut parts: Vec<Part>, ending: Ending) -> Plan {
        self.cut(&mut parts);
        self.pace(&mut parts);
        Plan {
            wait: self.pace.before_head,
            head: None,
            parts,
            chunked: false,
            ending,
            writes_of: self.cuts.writes_of,
            bill: Bill::default(),
        }
    }

    fn answer(&self, seen: &Seen) -> Plan {
        let Body { status, content_type, mut parts, streamed, bill } = self.rendered(seen);
        for (n, insert) in &self.inserts {
            let mut part = match insert {
                Insert::Event(data) => Part::aside(self.stream.event(data)),
                Insert::Part(part) => part.clone(),
            };
            part.inserted = true;
            let at = behind(&parts, *n);
            parts.insert(at, part);
        }
        self.compression.apply(&mut parts);

        let endless = parts.iter().any(|part| part.times == FOREVER);
        let framing = match self.framing {
            Framing::Usual if self.http10 => Framing::UntilClose,
            Framing::Usual if streamed || endless => Framing::Chunked,
            Framing::Usual => Framing::Length(0),
            asked => asked,
        };
        let content_length = match framing {
            Framing::Length(off_by) => length(&parts).checked_add_signed(off_by),
            Framing::Usual | Framing::Chunked | Framing::UntilClose => None,
        };
        let close = matches!(self.after, After::ClosedSilently | After::ClosedAsAnnounced)
            || framing == Framing::UntilClose
            || self.http10;
        let ending = self.end_early(&mut parts, Ending::Complete { close });
        self.cut(&mut parts);
        self.pace(&mut parts);
        Plan {
            wait: self.pace.before_head,
            head: Some(Head {
                status: self.status.unwrap_or(status),
                http10: self.http10,
                headers: self.header_lines(seen, content_type),
                content_length,
                announce_close: self.after == After::ClosedAsAnnounced,
            }),
            parts,
            chunked: framing == Framing::Chunked,
            ending,
            writes_of: self.cuts.writes_of,
            bill,
        }
    }

    fn rendered(&self, seen: &Seen) -> Body {
        let asked = Asked::read(seen);
        let decided;
        let (status, content) = match &self.content {
            Content::OpenAi => {
                decided = openai::answer(seen, &asked);
                (decided.status, &decided.content)
            }
            content => (200, content),
        };
        let (content_type, parts, streamed, bill) = match content {
            Content::Chat { deltas, finish } => {
                let chat = Chat::new(seen.number(), &asked, deltas, finish, &self.chat);
                return self.chat_body(&asked, &chat);
            }
            Content::Events(payloads) => {
                let events = payloads.iter().map(|data| (data.clone(), true));
                let bill = Bill { whole: self.chat.tokens.unwrap_or_default(), pieces: payloads.len() };
                (EVENT_STREAM, self.stream.parts(events), true, bill)
            }
            Content::Body { content_type, parts } => {
                let bill = Bill { whole: self.chat.tokens.unwrap_or_default(), pieces: 1 };
                let streamed = content_type.starts_with("text/event-stream");
                (*content_type, parts.clone(), streamed, bill)
            }
            Content::OpenAi | Content::Raw(_) | Content::Nothing(_) => {
                panic!("the API's own answer is always chat or a body")
            }
        };
        Body { status, content_type, parts, streamed, bill }
    }

    fn chat_body(&self, asked: &Asked, chat: &Chat<'_>) -> Body {
        let streamed = match self.shape {
            Shape::AsAsked => asked.stream,
            Shape::Stream => true,
            Shape::Json => false,
        };
        let (content_type, mut parts) = if streamed {
            (EVENT_STREAM, self.stream.parts(chat.chunks()))
        } else {
            ("application/json", vec![Part::piece(chat.completion())])
        };
        if let Some(size) = chat.filler() {
            parts = parts.into_iter().flat_map(|part| filled(part, size)).collect();
        }
        let pieces = parts.iter().filter(|part| part.ends_piece).count();
        Body { status: 200, content_type, parts, streamed, bill: Bill { whole: chat.tokens(), pieces } }
    }

    fn header_lines(&self, seen: &Seen, content_type: &str) -> Vec<(String, String)> {
        let edits = &self.headers;
        let named = |names: &[String], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let own: Vec<String> = edits.own.iter().map(|(name, _)| name.clone()).collect();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut usual = vec![owned(("content-type", content_type))];
        usual.extend(edits.usual.iter().copied().map(owned));
        if !edits.bare {
            usual.extend(openai::headers(seen.number()));
        }
        usual.retain(|(name, _)| !named(&own, name));
        if edits.twice {
            usual = usual.into_iter().flat_map(|line| [line.clone(), line]).collect();
        }
        usual.extend(edits.own.iter().cloned());
        usual.retain(|(name, _)| !named(&edits.hidden, name));
        usual
    }

    /// Takes away what comes after the fault; how the answer ends.
    fn end_early(&self, parts: &mut Vec<Part>, natural: Ending) -> Ending {
        let Some((place, ending)) = self.end else {
            return natural;
        };
        match place {
            Place::Head => parts.clear(),
            Place::Pieces(n) => parts.truncate(behind(parts, n)),
            Place::Byte(n) => {
                let mut left = n;
                parts.retain_mut(|part| {
                    let kept = left.min(part.bytes.len());
                    part.ends_piece &= kept == part.bytes.len();
                    part.bytes.truncate(kept);
                    left -= kept;
                    kept > 0
                });
            }
        }
        match (ending, natural) {
            (Ending::Complete { .. }, Ending::Complete { close }) => Ending::Complete { close },
            (ending, _) => ending,
        }
    }

    /// Cuts parts where the reply asks for it.
    fn cut(&self, parts: &mut Vec<Part>) {
        if self.cuts.every.is_none() && self.cuts.at.is_empty() {
            return;
        }
        let mut offset = 0;
        let mut cut = Vec::new();
        for part in parts.drain(..) {
            if part.times > 1 {
                cut.push(part);
                continue;
            }
            let end = offset + part.bytes.len();
            let mut at: Vec<usize> = self.cuts.at.clone();
            if let Some(size) = self.cuts.every {
                at.extend((offset..end).filter(|byte| byte.is_multiple_of(size)));
            }
            at.retain(|byte| (offset + 1..end).contains(byte));
            at.sort_unstable();
            at.dedup();
            cut.extend(divided(part, offset, &at));
            offset = end;
        }
        *parts = cut;
    }

    fn pace(&self, parts: &mut [Part]) {
        let mut wait = self.pace.before_first;
        for part in parts.iter_mut().filter(|part| part.begins_piece) {
            part.wait += wait;
            wait = self.pace.gap;
        }
    }
}

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// The index behind the `n`-th piece and what was inserted there; before the first piece for 0.
fn behind(parts: &[Part], n: usize) -> usize {
    if n == 0 {
        let first = parts.iter().position(|part| part.begins_piece);
        return first.unwrap_or(parts.len());
    }
    let mut ended = (1..).zip(parts).filter(|(_, part)| part.ends_piece);
    let Some((at, _)) = ended.nth(n - 1) else {
        panic!("a fault after {n} pieces, but the answer has fewer");
    };
    let inserted = parts[at..].iter().take_while(|part| part.inserted);
    at + inserted.count()
}

fn length(parts: &[Part]) -> u64 {
    let bytes = |part: &Part| (part.bytes.len() as u64).saturating_mul(part.times);
    parts.iter().map(bytes).fold(0, u64::saturating_add)
}

/// A part with its filler mark replaced by `size` bytes.
fn filled(part: Part, size: u64) -> Vec<Part> {
    let Some(at) = memchr::memmem::find(&part.bytes, FILLER.as_bytes()) else {
        return vec![part];
    };
    let block = Bytes::from(vec![b'x'; BLOCK]);
    let (times, rest) = match size {
        FOREVER => (FOREVER, 0),
        size => (size / BLOCK as u64, size % BLOCK as u64),
    };
    let begin = Part { ends_piece: false, bytes: part.bytes.slice(..at), ..part.clone() };
    let filler = Part::aside(block.clone()).repeated(times, Duration::ZERO);
    let remainder = Part::aside(block.slice(..usize::try_from(rest).unwrap_or(0)));
    let end = Part { begins_piece: false, bytes: part.bytes.slice(at + FILLER.len()..), ..part };
    vec![begin, filler, remainder, end]
}

/// A part divided at offsets that lie within it; `start` is its own.
fn divided(part: Part, start: usize, at: &[usize]) -> Vec<Part> {
    let mut pieces = Vec::with_capacity(at.len() + 1);
    let mut rest = part.clone();
    let mut from = start;
    for &byte in at {
        let bytes = rest.bytes.split_to(byte - from);
        pieces.push(Part { bytes, ends_piece: false, ..rest.clone() });
        rest.begins_piece = false;
        rest.wait = Duration::ZERO;
        from = byte;
    }
    pieces.push(rest);
    pieces
}

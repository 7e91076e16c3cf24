//! From a reply and a request to the bytes that are written.
//!
//! In this order: the content's parts, what is inserted between them, compression, the length that
//! the head states, the end that comes too soon, the cuts into writes, the waits.

use std::time::Duration;

use bytes::Bytes;

use super::plan::{Bill, Ending, FOREVER, Head, Part, Plan};
use super::{After, Content, Frame, Framing, Insert, Place, Reply, Shape};
use crate::answer::{Answer, Delta, FILLER, Finish};
use crate::asked::Asked;
use crate::dialect::{Dialect, Vendor, Wire};
use crate::seen::{Billed, Seen};
use crate::shelf::Shelf;
use crate::vendor::{Refused, Served};

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
    /// What is to be written in answer to this request; what the upstream is to keep goes to the shelf.
    pub(crate) fn plan(&self, seen: &Seen, shelf: &Shelf) -> Plan {
        match &self.content {
            Content::Nothing(ending) => self.headless(Vec::new(), *ending),
            Content::Raw(parts) => {
                let mut parts = parts.clone();
                let close = self.after != After::KeptOpen;
                let ending = self.end_early(&mut parts, Ending::Complete { close });
                self.headless(parts, ending)
            }
            _ => self.answer(seen, shelf),
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

    fn answer(&self, seen: &Seen, shelf: &Shelf) -> Plan {
        let Body { status, content_type, mut parts, streamed, bill } = self.rendered(seen, shelf);
        for (n, insert) in &self.inserts {
            let at = behind(&parts, *n);
            parts.insert(at, self.inserted(insert, seen, at));
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

    /// An insert as part `at` of the answer.
    fn inserted(&self, insert: &Insert, seen: &Seen, at: usize) -> Part {
        let dialect = Dialect::of(seen);
        let event = |frame: &Frame| Part::aside(self.stream.event(frame, Wire::of(seen)));
        let part = match insert {
            Insert::ErrorEvent => event(&dialect.error_event(seen.number(), at)),
            Insert::MalformedEvent => event(&dialect.malformed_event()),
            Insert::Ping { every, times } => Part::aside(dialect.ping()).repeated(*times, *every),
            Insert::Part(part) => part.clone(),
        };
        Part { inserted: true, ..part }
    }

    fn rendered(&self, seen: &Seen, shelf: &Shelf) -> Body {
        let asked = Asked::read(seen);
        let vendor = Vendor::of(seen);
        let refusal = |refused: Refused| {
            let body = error_body(refused.body, Wire::of(seen));
            Body { status: refused.status, ..body }
        };
        if let Err(refused) = vendor.check(seen, &asked, &self.checks) {
            return refusal(refused);
        }
        let scripted = |prompt_and_completion: Billed| self.style.tokens.unwrap_or(prompt_and_completion);
        match &self.content {
            Content::Real => match vendor.serve(seen, &asked, shelf) {
                Err(refused) => refusal(refused),
                Ok(Served { content: Content::Chat { deltas, finish }, .. }) => {
                    self.chat_body(seen, &asked, (&deltas, &finish), shelf)
                }
                Ok(Served { content: Content::Body { content_type, parts }, bill }) => {
                    body(content_type, parts, scripted(bill))
                }
                Ok(_) => panic!("an API's own answer is a model's or a body"),
            },
            Content::Chat { deltas, finish } => self.chat_body(seen, &asked, (deltas, finish), shelf),
            Content::Events(payloads) => self.event_body(asked.dialect, payloads),
            Content::Error(status) => error_body(vendor.error(*status, seen.number()), Wire::of(seen)),
            Content::ErrorEvent => {
                let event = asked.dialect.error_event(seen.number(), 0).into_piece();
                let wire = Wire::of(seen);
                let parts = self.stream.parts(&[event], wire);
                let bill = Bill { whole: scripted(Billed::default()), pieces: 1 };
                Body { status: 200, content_type: stream_type(wire), parts, streamed: true, bill }
            }
            Content::Body { content_type, parts } => {
                body(content_type, parts.clone(), scripted(Billed::default()))
            }
            Content::Raw(_) | Content::Nothing(_) => panic!("this content has no head"),
        }
    }

    fn event_body(&self, dialect: Dialect, payloads: &[String]) -> Body {
        let frame = |payload: &String| match dialect.event_name(payload) {
            Some(name) => Frame::piece(payload.as_str()).named(name),
            None => Frame::piece(payload.as_str()),
        };
        let mut frames: Vec<Frame> = payloads.iter().map(frame).collect();
        if dialect.says_done() {
            frames.push(Frame::done());
        }
        let bill = Bill { whole: self.style.tokens.unwrap_or_default(), pieces: payloads.len() };
        let parts = self.stream.parts(&frames, Wire::Events);
        Body { status: 200, content_type: EVENT_STREAM, parts, streamed: true, bill }
    }

    fn chat_body(
        &self,
        seen: &Seen,
        asked: &Asked,
        (deltas, finish): (&[Delta], &Finish),
        shelf: &Shelf,
    ) -> Body {
        let streamed = match self.shape {
            Shape::AsAsked => asked.stream,
            Shape::Stream => true,
            Shape::Json => false,
        };
        let answer = Answer::new(seen.number(), asked, deltas, finish, &self.style);
        let written = asked.dialect.write(&answer);
        crate::openai::keep_response(asked, &written, shelf);
        let wire = Wire::of(seen);
        let (content_type, mut parts) = match streamed {
            true => (stream_type(wire), self.stream.parts(&written.frames, wire)),
            false => {
                ("application/json", vec![Part::piece(crate::openai::shown_at_once(asked, written.whole))])
            }
        };
        if let Some(size) = answer.filler() {
            parts = parts.into_iter().flat_map(|part| filled(part, size)).collect();
        }
        if !parts.iter().any(|part| part.ends_piece)
            && let Some(last) = parts.last_mut()
        {
            // What says nothing is billed when it is out.
            (last.begins_piece, last.ends_piece) = (true, true);
        }
        let pieces = parts.iter().filter(|part| part.ends_piece).count();
        let bill = Bill { whole: answer.tokens(), pieces };
        Body { status: 200, content_type, parts, streamed, bill }
    }

    fn header_lines(&self, seen: &Seen, content_type: &str) -> Vec<(String, String)> {
        let edits = &self.headers;
        let named = |names: &[String], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let own: Vec<String> = edits.own.iter().map(|(name, _)| name.clone()).collect();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let vendor = Vendor::of(seen);
        let mut usual = vec![owned(("content-type", content_type))];
        if let Content::Error(status) = &self.content {
            usual.extend(vendor.error_headers(*status).iter().copied().map(owned));
        }
        usual.extend(edits.usual.iter().copied().map(owned));
        if !edits.bare {
            usual.extend(vendor.headers(seen.number()));
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

fn stream_type(wire: Wire) -> &'static str {
    match wire {
        Wire::Events => EVENT_STREAM,
        Wire::Array => "application/json; charset=UTF-8",
    }
}

/// An error object; where an array is expected, in one.
fn error_body(error: String, wire: Wire) -> Body {
    let error = match wire {
        Wire::Events => error,
        Wire::Array => format!("[{error}]"),
    };
    body("application/json", vec![Part::piece(error)], Billed::default())
}

fn body(content_type: &'static str, parts: Vec<Part>, whole: Billed) -> Body {
    let pieces = parts.iter().filter(|part| part.ends_piece).count();
    let streamed = content_type.starts_with("text/event-stream");
    Body { status: 200, content_type, parts, streamed, bill: Bill { whole, pieces } }
}

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

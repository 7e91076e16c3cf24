//! What a head of HTTP/1.1 may not say, although hyper lets it pass.
//!
//! Owns     the look at a head's bytes as they come, since hyper hides one of two lengths.
//! Called   by `Socket` with the bytes, and by an exchange with what hyper made of them.
//! Bounded  by the start of one line: no byte is kept beyond the longest name that matters.
//! Fails    never; a fault that is found travels with the request and is answered by the front door.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Version};

/// Why a head that could be read is refused all the same: others on its way may have read it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// RFC 9112, 3.2.
    #[error("a request of HTTP/1.1 has one `host` header, and this one has {count}")]
    Hosts {
        /// How many came.
        count: usize,
    },
    /// RFC 9112, 6.1.
    #[error("`content-length` and `transfer-encoding` exclude each other; send one of them")]
    TwoLengths,
    /// RFC 9112, 7: whatever else is applied to a body is not undone here.
    #[error("no transfer coding but `chunked` is supported; send the body as it is")]
    TransferCoding,
}

/// What is wrong with a head; `two_lengths` is [`LengthScan::finds_two`] of its bytes.
pub(super) fn fault(version: Version, headers: &HeaderMap, two_lengths: bool) -> Option<HeadFault> {
    if version != Version::HTTP_11 {
        return None;
    }
    if two_lengths {
        return Some(HeadFault::TwoLengths);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Some(HeadFault::TransferCoding);
    }
    let count = headers.get_all(HOST).iter().count();
    (count != 1).then_some(HeadFault::Hosts { count })
}

/// The names that give a body its length, with what ends them.
const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_CODING: &[u8] = b"transfer-encoding:";

/// Looks for both lengths in the bytes of one head, cut anywhere. It sees the heads that begin a read; one that comes
/// behind another in the same read is left to hyper, which takes the chunks and ends the connection.
#[derive(Debug, Default)]
pub(super) struct LengthScan {
    /// The start of the line that is being read.
    name: [u8; TRANSFER_CODING.len()],
    /// How many of the line's bytes have come, as far as they matter.
    length: usize,
    begun: bool,
    ended: bool,
    has_length: bool,
    has_coding: bool,
}

impl LengthScan {
    /// Both have been seen.
    pub(super) fn finds_two(&self) -> bool {
        self.has_length && self.has_coding
    }

    /// The next bytes of the head; what comes behind its end is not looked at.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !self.ended && !bytes.is_empty() {
            let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
            let room = &mut self.name[self.length..];
            let taken = room.len().min(line);
            room[..taken].copy_from_slice(&bytes[..taken]);
            self.length += taken;
            bytes = &bytes[line..];
            if let [_, rest @ ..] = bytes {
                self.line_ends();
                bytes = rest;
            }
        }
    }

    fn line_ends(&mut self) {
        let line = &self.name[..self.length];
        let names =
            |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        self.has_length |= names(CONTENT_LENGTH);
        self.has_coding |= names(TRANSFER_CODING);
        // Empty lines may stand before a request, and one ends its head.
        let is_empty = matches!(line, [] | [b'\r']);
        self.ended = is_empty && self.begun;
        self.begun |= !is_empty;
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds_two(pieces: &[&[u8]]) -> bool {
        let mut scan = LengthScan::default();
        pieces.iter().for_each(|piece| scan.read(piece));
        scan.finds_two()
    }

    #[test]
    fn both_lengths_are_found_wherever_the_head_is_cut() {
        let both: &[u8] = b"\r\nPOST / HTTP/1.1\r\nhost: a\r\nContent-Length: 4\r\nx: y\r\nTRANSFER-ENCODING: chunked\r\n\r\n";
        let one: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\nx-content-length: 1\r\ncontent-length: 4\r\nx: transfer-encoding: y\r\n\r\n";
        for at in 0..both.len() {
            assert!(finds_two(&[&both[..at], &both[at..]]), "cut at {at}");
        }
        for at in 0..one.len() {
            assert!(!finds_two(&[&one[..at], &one[at..]]), "cut at {at}");
        }
    }

    #[test]
    fn the_body_is_no_part_of_the_head() {
        let head: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 40\r\n\r\n";
        assert!(!finds_two(&[head, b"transfer-encoding: chunked\r\n"]));
        assert!(finds_two(&[b"POST / HTTP/1.1\ncontent-length: 4\ntransfer-encoding: chunked\n\n"]));
    }
}

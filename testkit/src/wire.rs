//! HTTP/1 as both ends of this crate read it: heads to their exact last byte, bodies by their framing.
//!
//! Owns     the bytes that arrived and were not used yet.
//! Called   by `fake_upstream` for requests and by `raw_client` for answers.
//! Bounded  [`MAX_HEAD`] for a head; a body is handed on as it comes.
//! Fails    with the socket's own error; `UnexpectedEof` where the other side stopped within a
//!          message, `InvalidData` where what it sent is not HTTP.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::headers::Headers;

/// Longest head taken: far above what any test of the gateway sends or gets.
const MAX_HEAD: usize = 1 << 20;

/// Most header lines taken, for the same reason.
const MAX_HEADER_LINES: usize = 1024;

/// How much a reader asks of the socket at once.
const READ_SIZE: usize = 16 << 10;

/// Where a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// A chunk's size line is next.
    ChunkSize,
    /// So many bytes of this chunk are still to come.
    Chunk(u64),
    /// The line end behind a chunk is next.
    ChunkEnd,
    /// The last chunk has come; trailers, then an empty line.
    Trailers,
    /// Everything until the connection ends.
    UntilClose,
    /// The body has come in full.
    Done,
}

/// A request's first line.
pub(crate) struct RequestLine {
    pub(crate) method: String,
    pub(crate) target: String,
}

/// The receiving half's buffer. The socket is an argument, so that it can be one half of a split.
#[derive(Default)]
pub(crate) struct Incoming {
    buffer: BytesMut,
}

impl Incoming {
    /// Reads once; false at the end of the stream. Nothing is lost when dropped half way.
    pub(crate) async fn fill<R: AsyncRead + Unpin>(&mut self, socket: &mut R) -> io::Result<bool> {
        self.buffer.reserve(READ_SIZE);
        Ok(socket.read_buf(&mut self.buffer).await? > 0)
    }

    /// At most `n` of the bytes that wait.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        self.buffer.split_to(n.min(self.buffer.len())).freeze()
    }

    /// How many bytes wait to be used.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next head with its empty line; `None` when the stream ended before its first byte.
    pub(crate) async fn head<R: AsyncRead + Unpin>(&mut self, socket: &mut R) -> io::Result<Option<Bytes>> {
        let mut searched: usize = 0;
        loop {
            // The mark may lie across the edge of what was searched before.
            let from = searched.saturating_sub(3);
            if let Some(at) = memchr::memmem::find(&self.buffer[from..], b"\r\n\r\n") {
                return Ok(Some(self.buffer.split_to(from + at + 4).freeze()));
            }
            searched = self.buffer.len();
            if searched > MAX_HEAD {
                return Err(invalid("a head without end"));
            }
            if !self.fill(socket).await? {
                return match searched {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// The next bytes of a body, `None` at its end. Moves `framing` on.
    pub(crate) async fn data<R: AsyncRead + Unpin>(
        &mut self,
        socket: &mut R,
        framing: &mut Framing,
    ) -> io::Result<Option<Bytes>> {
        loop {
            match *framing {
                Framing::Done => return Ok(None),
                Framing::Length(0) => *framing = Framing::Done,
                Framing::Chunk(0) => *framing = Framing::ChunkEnd,
                Framing::Length(left) => {
                    let data = self.some(socket, left).await?;
                    *framing = Framing::Length(left - data.len() as u64);
                    return Ok(Some(data));
                }
                Framing::Chunk(left) => {
                    let data = self.some(socket, left).await?;
                    *framing = Framing::Chunk(left - data.len() as u64);
                    return Ok(Some(data));
                }
                Framing::ChunkEnd => {
                    if !self.line(socket).await?.is_empty() {
                        return Err(invalid("a chunk longer than its size"));
                    }
                    *framing = Framing::ChunkSize;
                }
                Framing::ChunkSize => {
                    let line = self.line(socket).await?;
                    *framing = match chunk_size(&line)? {
                        0 => Framing::Trailers,
                        size => Framing::Chunk(size),
                    };
                }
                Framing::Trailers => {
                    if self.line(socket).await?.is_empty() {
                        *framing = Framing::Done;
                    }
                }
                Framing::UntilClose => {
                    if self.buffer.is_empty() && !self.fill(socket).await? {
                        *framing = Framing::Done;
                        return Ok(None);
                    }
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }

    /// At least one and at most `limit` bytes.
    async fn some<R: AsyncRead + Unpin>(&mut self, socket: &mut R, limit: u64) -> io::Result<Bytes> {
        if self.buffer.is_empty() && !self.fill(socket).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let length = limit.min(self.buffer.len());
        Ok(self.buffer.split_to(length).freeze())
    }

    /// One line without its CRLF.
    async fn line<R: AsyncRead + Unpin>(&mut self, socket: &mut R) -> io::Result<Bytes> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let mut line = self.buffer.split_to(at + 2);
                line.truncate(at);
                return Ok(line.freeze());
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(invalid("a line without end"));
            }
            if !self.fill(socket).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .ok_or_else(|| invalid("a chunk size that is not a number"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads a request's head.
pub(crate) fn parse_request(head: &[u8]) -> io::Result<(RequestLine, Headers)> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADER_LINES];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(invalid("a head that is not complete")),
        Err(fault) => return Err(invalid(&fault.to_string())),
    }
    let line = RequestLine {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
    };
    Ok((line, owned(request.headers)))
}

/// Reads an answer's head: its status and header lines.
pub(crate) fn parse_answer(head: &[u8]) -> io::Result<(u16, Headers)> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADER_LINES];
    let mut answer = httparse::Response::new(&mut lines);
    match answer.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(invalid("a head that is not complete")),
        Err(fault) => return Err(invalid(&fault.to_string())),
    }
    Ok((answer.code.unwrap_or_default(), owned(answer.headers)))
}

fn owned(lines: &[httparse::Header<'_>]) -> Headers {
    let line = |line: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(line.value).into_owned();
        (line.name.to_owned(), value)
    };
    Headers::new(lines.iter().map(line).collect())
}

/// How a message's body is framed; `unframed` is what the lack of both headers means.
///
/// Both headers at once, or two lengths, are an error: request smuggling begins there.
pub(crate) fn framing(headers: &Headers, unframed: Framing) -> io::Result<Framing> {
    let lengths = headers.all("content-length");
    let encodings = headers.all("transfer-encoding");
    match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => Ok(unframed),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::ChunkSize),
        ([length], []) => match length.parse() {
            Ok(length) => Ok(Framing::Length(length)),
            Err(_) => Err(invalid("a content-length that is not a number")),
        },
        _ => Err(invalid("more than one framing for one body")),
    }
}

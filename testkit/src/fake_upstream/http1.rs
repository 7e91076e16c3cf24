//! One HTTP/1.1 connection of the fake: requests read to the byte, answers written as planned.
//!
//! Owns     the socket. While it writes it watches the reading side, so that a client that leaves
//!          is noticed at once, also during a wait or a stall.
//! Called   by the accept loop, a task per connection.
//! Bounded  [`MAX_BODY`] for a request, [`MAX_PIPELINED`] for what comes behind it.
//! Fails    a client that leaves ends it quietly; one that speaks no HTTP is a panic, for the fake
//!          has only the gateway as its client.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::switchboard::{Switchboard, Ticket};
use crate::headers::Headers;
use crate::reply::{Ending, Head, Part, Plan};
use crate::seen::{Peer, Request};
use crate::wire::{self, Framing, Incoming, RequestLine};

/// Longest request body taken: eight times the gateway's own limit.
const MAX_BODY: usize = 256 << 20;

/// How much may come behind a request that is still being answered.
const MAX_PIPELINED: usize = 1 << 20;

/// How a connection ends.
enum Goodbye {
    /// The client closed it.
    ClientLeft,
    /// We close it: FIN.
    Close,
    /// We reset it: RST.
    Reset,
}

/// Serves a connection until one side closes it.
pub(super) async fn serve(switchboard: Arc<Switchboard>, mut stream: TcpStream, number: usize) {
    let (peer, watched) = watch::channel(Peer::Connected);
    let goodbye = converse(&switchboard, &mut stream, number, &watched).await;
    match goodbye {
        Goodbye::ClientLeft => {
            peer.send_replace(Peer::Left(Instant::now()));
        }
        Goodbye::Close => {
            peer.send_replace(Peer::SentAway);
        }
        Goodbye::Reset => {
            peer.send_replace(Peer::SentAway);
            // A socket that the client has closed meanwhile takes no option, and needs none.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn converse(
    switchboard: &Arc<Switchboard>,
    stream: &mut TcpStream,
    connection: usize,
    peer: &watch::Receiver<Peer>,
) -> Goodbye {
    let (mut reader, mut writer) = stream.split();
    let mut incoming = Incoming::default();
    loop {
        let Some(arrived) = read_request(&mut incoming, &mut reader).await else {
            return Goodbye::ClientLeft;
        };
        let arrival = |number| arrived.numbered(number, connection);
        let (reply, ticket) = switchboard.receive(arrival, peer.clone());
        let plan = reply.plan(ticket.seen(), switchboard.shelf());
        let written = tokio::select! {
            biased;
            written = write_answer(&mut writer, &plan, &ticket) => written,
            () = until_left(&mut incoming, &mut reader) => return Goodbye::ClientLeft,
        };
        if written.is_err() {
            return Goodbye::ClientLeft;
        }
        ticket.finished();
        match plan.ending {
            Ending::Complete { close: false } => {}
            Ending::Complete { close: true } | Ending::Close | Ending::Refuse => {
                return Goodbye::Close;
            }
            Ending::Reset => return Goodbye::Reset,
            // Writing it never returns, so only the client's leaving gets past the `select!`.
            Ending::Stall => return Goodbye::ClientLeft,
        }
    }
}

/// A request before it has a number.
struct Arrived {
    head: Bytes,
    line: RequestLine,
    headers: Headers,
    body: Bytes,
}

impl Arrived {
    fn numbered(self, number: usize, connection: usize) -> Request {
        Request {
            number,
            connection,
            at: Instant::now(),
            version: http::Version::HTTP_11,
            head: self.head,
            method: self.line.method,
            target: self.line.target,
            headers: self.headers,
            body: self.body,
        }
    }
}

/// The next request; `None` when the client left before its last byte.
async fn read_request<R: AsyncRead + Unpin>(incoming: &mut Incoming, reader: &mut R) -> Option<Arrived> {
    match try_read_request(incoming, reader).await {
        Ok(arrived) => arrived,
        Err(fault) if fault.kind() == io::ErrorKind::InvalidData => {
            panic!("the fake upstream got a request that is not HTTP/1.1: {fault}")
        }
        Err(_left) => None,
    }
}

async fn try_read_request<R: AsyncRead + Unpin>(
    incoming: &mut Incoming,
    reader: &mut R,
) -> io::Result<Option<Arrived>> {
    let Some(head) = incoming.head(reader).await? else {
        return Ok(None);
    };
    let (line, headers) = wire::parse_request(&head)?;
    let mut framing = wire::framing(&headers, Framing::Done)?;
    let mut body = BytesMut::new();
    while let Some(data) = incoming.data(reader, &mut framing).await? {
        body.extend_from_slice(&data);
        assert!(body.len() <= MAX_BODY, "a request body of over {MAX_BODY} bytes");
    }
    Ok(Some(Arrived { head, line, headers, body: body.freeze() }))
}

/// Returns once the client has closed its side.
async fn until_left<R: AsyncRead + Unpin>(incoming: &mut Incoming, reader: &mut R) {
    while let Ok(true) = incoming.fill(reader).await {
        assert!(
            incoming.waiting() <= MAX_PIPELINED,
            "over {MAX_PIPELINED} bytes came behind an unanswered request"
        );
    }
}

/// Writes what is planned, up to its ending. An error means that the client is gone.
async fn write_answer<W: AsyncWrite + Unpin>(writer: &mut W, plan: &Plan, ticket: &Ticket) -> io::Result<()> {
    if !plan.wait.is_zero() {
        tokio::time::sleep(plan.wait).await;
    }
    if let Some(head) = &plan.head {
        write(writer, &head_bytes(head, plan.chunked), plan.writes_of).await?;
    }
    for part in &plan.parts {
        for nth in 1..=part.times {
            if !part.wait.is_zero() {
                tokio::time::sleep(part.wait).await;
            }
            write_part(writer, plan, part).await?;
            ticket.wrote(&part.bytes, part.ends_piece && nth == part.times, plan.bill);
        }
    }
    match plan.ending {
        Ending::Complete { .. } if plan.chunked => write(writer, b"0\r\n\r\n", plan.writes_of).await,
        Ending::Stall => std::future::pending().await,
        Ending::Complete { .. } | Ending::Close | Ending::Reset | Ending::Refuse => Ok(()),
    }
}

async fn write_part<W: AsyncWrite + Unpin>(writer: &mut W, plan: &Plan, part: &Part) -> io::Result<()> {
    // An empty chunk would end the body.
    if part.bytes.is_empty() {
        return Ok(());
    }
    if !plan.chunked {
        return write(writer, &part.bytes, plan.writes_of).await;
    }
    let mut chunk = BytesMut::with_capacity(part.bytes.len() + 20);
    chunk.put_slice(format!("{:x}\r\n", part.bytes.len()).as_bytes());
    chunk.put_slice(&part.bytes);
    chunk.put_slice(b"\r\n");
    write(writer, &chunk, plan.writes_of).await
}

/// One write, or many of `writes_of` bytes, each a segment of its own under TCP_NODELAY.
async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    bytes: &[u8],
    writes_of: Option<usize>,
) -> io::Result<()> {
    let Some(size) = writes_of else {
        return writer.write_all(bytes).await;
    };
    for piece in bytes.chunks(size) {
        writer.write_all(piece).await?;
        // Lets a reader on the same runtime see this piece before the next one lies beside it.
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn head_bytes(head: &Head, chunked: bool) -> Vec<u8> {
    let version = if head.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let reason = http::StatusCode::from_u16(head.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unassigned");
    let mut text = format!("{version} {} {reason}\r\n", head.status);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = head.content_length {
        text.push_str(&format!("content-length: {length}\r\n"));
    }
    if chunked {
        text.push_str("transfer-encoding: chunked\r\n");
    }
    if head.announce_close {
        text.push_str("connection: close\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

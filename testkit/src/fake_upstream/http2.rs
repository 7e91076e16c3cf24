//! One HTTP/2 connection of the fake, without TLS: the same replies as streams, and the ways in
//! which HTTP/2 alone can fail.
//!
//! Owns     the connection; each stream is answered by a task of its own.
//! Called   by the accept loop.
//! Bounded  [`SEND_BUFFER`] per stream, so that a piece counts as sent only when it has left it.
//! Fails    as `http1`; a raw reply is a panic, since a stream has no bytes of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::switchboard::{Switchboard, Ticket};
use crate::headers::Headers;
use crate::reply::{Ending, Head, Plan};
use crate::seen::{Peer, Request};

/// How much of a stream may wait inside h2: one frame of HTTP/2's initial size.
const SEND_BUFFER: usize = 16 << 10;

/// The client reset the stream or closed the connection.
struct Left;

/// Serves a connection until one side closes it.
pub(super) async fn serve(switchboard: Arc<Switchboard>, stream: TcpStream, number: usize) {
    let handshake = h2::server::Builder::new().max_send_buffer_size(SEND_BUFFER).handshake(stream);
    let Ok(mut connection) = handshake.await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let board = Arc::clone(&switchboard);
        switchboard.spawn(serve_stream(board, request, respond, number));
    }
}

async fn serve_stream(
    switchboard: Arc<Switchboard>,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: usize,
) {
    let (head, body) = request.into_parts();
    let Ok(body) = read_body(body).await else {
        return;
    };
    let (peer, watched) = watch::channel(Peer::Connected);
    let arrival = |number| numbered(number, connection, &head, body);
    let (reply, ticket) = switchboard.receive(arrival, watched);
    let plan = reply.plan(ticket.seen(), switchboard.shelf());
    match write_answer(&mut respond, &plan, &ticket).await {
        Ok(()) => {
            ticket.finished();
            peer.send_replace(Peer::SentAway);
        }
        Err(Left) => {
            drop(ticket);
            peer.send_replace(Peer::Left(Instant::now()));
        }
    }
}

async fn read_body(mut body: RecvStream) -> Result<Bytes, Left> {
    let mut whole = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|_| Left)?;
        whole.extend_from_slice(&data);
        let window = body.flow_control();
        window.release_capacity(data.len()).map_err(|_| Left)?;
    }
    Ok(whole.freeze())
}

fn numbered(number: usize, connection: usize, head: &http::request::Parts, body: Bytes) -> Request {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), value.into_owned())
    };
    Request {
        number,
        connection,
        at: Instant::now(),
        version: http::Version::HTTP_2,
        head: Bytes::new(),
        method: head.method.to_string(),
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: Headers::new(head.headers.iter().map(line).collect()),
        body,
    }
}

async fn write_answer(respond: &mut SendResponse<Bytes>, plan: &Plan, ticket: &Ticket) -> Result<(), Left> {
    tokio::select! {
        () = sleep(plan.wait) => {}
        _ = poll_fn(|context| respond.poll_reset(context)) => return Err(Left),
    }
    let Some(head) = &plan.head else {
        assert!(plan.parts.is_empty(), "a raw reply can't be given over HTTP/2");
        return match plan.ending {
            Ending::Stall => {
                let _ = poll_fn(|context| respond.poll_reset(context)).await;
                Err(Left)
            }
            ending => {
                respond.send_reset(reason(ending));
                Ok(())
            }
        };
    };
    let mut stream = respond.send_response(response(head), false).map_err(|_| Left)?;
    for part in &plan.parts {
        for nth in 1..=part.times {
            tokio::select! {
                () = sleep(part.wait) => {}
                _ = poll_fn(|context| stream.poll_reset(context)) => return Err(Left),
            }
            send(&mut stream, part.bytes.clone()).await?;
            ticket.wrote(&part.bytes, part.ends_piece && nth == part.times, plan.bill);
        }
    }
    match plan.ending {
        Ending::Complete { .. } => stream.send_data(Bytes::new(), true).map_err(|_| Left),
        Ending::Stall => {
            let _ = poll_fn(|context| stream.poll_reset(context)).await;
            Err(Left)
        }
        ending => {
            stream.send_reset(reason(ending));
            Ok(())
        }
    }
}

/// A timer costs a trip through the runtime even when it waits for nothing.
async fn sleep(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

fn reason(ending: Ending) -> Reason {
    match ending {
        Ending::Refuse => Reason::REFUSED_STREAM,
        Ending::Complete { .. } => Reason::NO_ERROR,
        Ending::Close | Ending::Reset | Ending::Stall => Reason::INTERNAL_ERROR,
    }
}

/// Sends bytes and waits until they have left the stream's buffer: a reset throws away what is in it.
async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), Left> {
    while !bytes.is_empty() {
        let room = room(stream, bytes.len().min(SEND_BUFFER), 1).await?;
        let frame = bytes.split_to(room.min(bytes.len()));
        stream.send_data(frame, false).map_err(|_| Left)?;
    }
    room(stream, SEND_BUFFER, SEND_BUFFER).await?;
    Ok(())
}

/// Asks for `wanted` bytes of room and waits for at least `least`.
async fn room(stream: &mut SendStream<Bytes>, wanted: usize, least: usize) -> Result<usize, Left> {
    stream.reserve_capacity(wanted);
    while stream.capacity() < least {
        match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(Left),
        }
    }
    Ok(stream.capacity())
}

fn response(head: &Head) -> http::Response<()> {
    let mut response = http::Response::builder().status(head.status);
    for (name, value) in &head.headers {
        response = response.header(name, value);
    }
    if let Some(length) = head.content_length {
        response = response.header("content-length", length);
    }
    response.body(()).expect("a reply's headers are valid")
}

/// The client's connection preface (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// A frame's header: 3 bytes of length, type, flags, 4 bytes of stream id (RFC 9113, 4.1).
const FRAME_HEADER: usize = 9;

/// The type of the frame that opens a stream.
const HEADERS: u8 = 1;

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// GOAWAY, last stream id 0, `NO_ERROR`.
const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Takes a connection up to its first request, then says that it began none.
///
/// Written by hand: h2 counts a request as begun once it has read it.
pub(super) async fn go_away(mut stream: TcpStream) {
    // An error here is the client's leaving.
    let _ = try_go_away(&mut stream).await;
}

async fn try_go_away(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE]).await?;
    stream.write_all(SETTINGS).await?;
    let mut header = [0; FRAME_HEADER];
    while header[3] != HEADERS {
        stream.read_exact(&mut header).await?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let payload = (&mut *stream).take(u64::from(length));
        tokio::io::copy(&mut { payload }, &mut tokio::io::sink()).await?;
    }
    stream.write_all(GO_AWAY).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the client might lose the frame.
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(())
}

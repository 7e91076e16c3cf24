//! From an accepted TCP stream to a TLS stream.
//!
//! Owns     nothing.
//! Called   by a connection's own task, so that a slow handshake keeps nobody else waiting.
//! Bounded  by its caller, which gives it `header_timeout` and ends it when the server stops; a client that speaks
//!          plain HTTP is heard for [`REFUSAL_TIME`] and [`REFUSAL_BYTES`] more.
//! Fails    with the client's fault, which is logged at debug level only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::outbound::Outbound;
use super::phase::SharedActivity;

/// The first byte of every TLS connection: a record of type handshake (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a client is told that speaks plain HTTP to a TLS port.
pub const SPEAKS_TLS: &str = "this port speaks TLS; use https:// here\n";

/// The whole answer of it.
const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 40\r\n\
                         connection: close\r\n\r\nthis port speaks TLS; use https:// here\n";

/// How long such a client may take to read it. Closing with its request unread would reset the connection, and
/// the answer would be lost.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// How much of its request is thrown away: what a request head may have.
const REFUSAL_BYTES: u64 = 64 * 1024;

/// Why there is no TLS stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeFault {
    /// The client speaks something else, and was told so.
    #[error("the client does not speak TLS")]
    NotTls,
    /// The handshake failed, or the client left.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Shakes hands.
pub(super) async fn shake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    activity: SharedActivity,
) -> Result<TlsStream<Outbound<TcpStream>>, HandshakeFault> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
        // Whether it hears is its own affair.
        let _ = timeout(REFUSAL_TIME, refuse(stream)).await;
        return Err(HandshakeFault::NotTls);
    }
    Ok(TlsAcceptor::from(config).accept(Outbound::new(stream, activity)).await?)
}

async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(REFUSAL_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_ends_with_its_words_and_counts_them() {
        let answer = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, SPEAKS_TLS);
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}

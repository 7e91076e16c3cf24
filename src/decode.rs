//! Answers that come encoded although we asked for `identity`: decoded on the way, with a bound.
//!
//! Called   by `call.rs` for every answer; costs nothing when there is no `content-encoding`.
//! Bounded  by what the reader takes: a bomb is decoded one buffer at a time, and the reader stops at its own
//!          maximum.
//! Fails    with [`WireFault::Undecodable`] for damaged data; an unknown encoding gives no body at all.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use futures_util::{StreamExt, TryStreamExt};
use http::HeaderValue;
use tokio::io::{AsyncRead, BufReader};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::upstream::{AnswerBody, WireFault};

/// The body without its encoding; `None` when the encoding is unknown.
pub fn decoded(body: AnswerBody, encoding: Option<&HeaderValue>) -> Option<AnswerBody> {
    let Some(encoding) = encoding else { return Some(body) };
    let name = encoding.as_bytes().trim_ascii().to_ascii_lowercase();
    if name.is_empty() || name == b"identity" {
        return Some(body);
    }
    let plain = BufReader::new(StreamReader::new(body.map_err(std::io::Error::other)));
    match name.as_slice() {
        b"gzip" | b"x-gzip" => Some(read(GzipDecoder::new(plain))),
        b"br" => Some(read(BrotliDecoder::new(plain))),
        // RFC 9110 8.4.1.2: `deflate` is the zlib format.
        b"deflate" => Some(read(ZlibDecoder::new(plain))),
        b"zstd" => Some(read(ZstdDecoder::new(plain))),
        _ => None,
    }
}

fn read(decoder: impl AsyncRead + Send + 'static) -> AnswerBody {
    AnswerBody::decoded(ReaderStream::new(decoder).map(|read| read.map_err(fault)).boxed())
}

/// A fault of the wire below the decoder comes through as it was.
fn fault(error: std::io::Error) -> WireFault {
    error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<WireFault>())
        .copied()
        .unwrap_or(WireFault::Undecodable)
}

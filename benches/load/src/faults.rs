//! What an upstream does wrong, asked for by name.
//!
//! Owns     the models that stand for faults, and what the fake upstream does about each.
//! Called   by [`crate::upstream`] (doing it), [`crate::isolation`] and [`crate::soak`] (asking for it).
//! Bounded  by [`FLOOD_MAX`]; a connection that hangs does so until its peer leaves.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scenario::contains;

/// What a flood comes to when nobody ends it: 1 GiB of headers.
const FLOOD_MAX: usize = 1 << 30;

/// One header of a flood, and how many go out in one write.
const FLOOD_HEADER: &str =
    "x-flood: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
const FLOOD_HEADERS: usize = 700;

/// An upstream's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers 500.
    Error,
    /// It takes the request and says nothing.
    Hang,
    /// It takes the request and resets the connection.
    Reset,
    /// It begins an answer whose headers do not end.
    Flood,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Error, Self::Hang, Self::Reset, Self::Flood];

    /// The model that has the fault.
    pub const fn model(self) -> &'static str {
        match self {
            Self::Error => "load-error",
            Self::Hang => "load-hang",
            Self::Reset => "load-reset",
            Self::Flood => "load-flood",
        }
    }

    /// The fault a request body asks for.
    pub fn of_request(body: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| contains(body, fault.model().as_bytes()))
    }

    /// Answers as this fault does. `true`: the connection is good for another request.
    pub async fn answer(self, stream: &mut TcpStream) -> io::Result<bool> {
        match self {
            Self::Error => {
                stream.write_all(ERROR.as_bytes()).await?;
                Ok(true)
            }
            Self::Hang => {
                // What else the peer sends is no concern of who hangs; its leaving is.
                while stream.read(&mut [0; 1_024]).await? > 0 {}
                Ok(false)
            }
            Self::Reset => {
                stream.set_zero_linger()?;
                Ok(false)
            }
            Self::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                let piece = FLOOD_HEADER.repeat(FLOOD_HEADERS);
                for _ in 0..FLOOD_MAX / piece.len() {
                    stream.write_all(piece.as_bytes()).await?;
                }
                Ok(false)
            }
        }
    }
}

const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 74\r\n\r\n\
    {\"error\":{\"message\":\"the model failed\",\"type\":\"server_error\",\"code\":null}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_as_long_as_it_says() {
        let (head, body) = ERROR.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }

    #[test]
    fn each_fault_is_asked_for_by_its_model() {
        for fault in Fault::ALL {
            let body = format!(r#"{{"model":"{}"}}"#, fault.model());
            assert_eq!(Fault::of_request(body.as_bytes()), Some(fault));
        }
        assert_eq!(Fault::of_request(br#"{"model":"load-plain"}"#), None);
    }
}

//! Why no connection to an upstream could be made, in fixed words.
//!
//! Owns     the resolver, whose errors are told from those of connecting.
//! Called   by `upstream.rs` for a connection that could not be made, and by whoever else asks over HTTP.
//! Fails    never: what is none of these is `Other`.

use std::error::Error;
use std::io;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiFuture, GaiResolver, Name};
use tower_service::Service;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoConnection {
    /// Nobody listens at the port.
    Refused,
    /// The host's name leads to no address.
    Dns,
    /// The other side does not speak TLS, or none that we do.
    Tls,
    /// Its certificate is not trusted, over, or another host's.
    Certificate,
    /// No route leads to the address.
    Unroutable,
    /// The other side broke the connection off.
    Reset,
    /// The system says something else.
    Other,
}

impl NoConnection {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Unroutable => "unroutable",
            Self::Reset => "reset",
            Self::Other => "unreachable",
        }
    }

    /// What an error's chain of causes says.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let (mut cause, mut found) = (Some(error), Self::Other);
        while let Some(error) = cause {
            if error.is::<NoAddress>() {
                return Self::Dns;
            }
            if let Some(fault) = error.downcast_ref::<rustls::Error>() {
                return match fault {
                    rustls::Error::InvalidCertificate(_) => Self::Certificate,
                    _ => Self::Tls,
                };
            }
            cause = error.source();
            if let Some(error) = error.downcast_ref::<io::Error>() {
                found = Self::of_io(error).unwrap_or(found);
                // What an error of this kind holds is not its source.
                if let Some(held) = error.get_ref() {
                    cause = Some(held);
                }
            }
        }
        found
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Some(Self::Unroutable),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            // In the middle of a handshake: TCP itself ends in no such way.
            | io::ErrorKind::UnexpectedEof => Some(Self::Reset),
            _ => None,
        }
    }
}

/// The innermost cause of an error, in the system's words; those around it repeat it, or an address with its query.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    inner.to_string()
}

/// The system found no address for a name.
#[derive(Debug, thiserror::Error)]
#[error("no address: {0}")]
pub(super) struct NoAddress(io::Error);

/// The system's resolver, with an error that is known again.
#[derive(Debug, Clone)]
pub(super) struct Resolver(GaiResolver);

impl Resolver {
    pub(super) fn new() -> Self {
        Self(GaiResolver::new())
    }
}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = NoAddress;
    type Future = MapErr<GaiFuture, fn(io::Error) -> NoAddress>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        self.0.poll_ready(cx).map_err(NoAddress)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        self.0.call(name).map_err(NoAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_in_the_errors_chain_and_inside_an_error_of_the_system() {
        let of = |error: io::Error| NoConnection::of(&error).as_str();
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert_eq!(of(io::Error::new(io::ErrorKind::InvalidData, expired)), "certificate");
        assert_eq!(of(io::Error::other(rustls::Error::HandshakeNotComplete)), "tls");
        assert_eq!(of(io::Error::other(NoAddress(io::ErrorKind::Other.into()))), "dns");
        for (kind, word) in [
            (io::ErrorKind::ConnectionRefused, "refused"),
            (io::ErrorKind::NetworkUnreachable, "unroutable"),
            (io::ErrorKind::HostUnreachable, "unroutable"),
            (io::ErrorKind::ConnectionReset, "reset"),
            (io::ErrorKind::PermissionDenied, "unreachable"),
        ] {
            assert_eq!(of(kind.into()), word, "{kind}");
            assert_eq!(of(io::Error::new(kind, "in words")), word, "{kind}");
        }
    }
}

//! The listening socket, and what becomes of its connections when the gateway stops.
//!
//! Owns     the socket: one of our own, one that shares its address with a successor's, or one that was handed to
//!          us and goes on without us.
//! Called   by `Gateway::start`, which opens it, and by `serve`, which accepts from it.
//! Bounded  by [`BACKLOG`] connections that the kernel holds.
//! Fails    with the system's error, before anything is served.

use std::io;
use std::net::SocketAddr;

use futures_util::FutureExt;
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::coop::unconstrained;

/// Connections the kernel may hold ready for us: a burst of this size survives a pause of accepting; Linux caps it at
/// `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// Who listens after us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Successor {
    /// Nobody: what waits in the backlog when we stop is reset.
    None,
    /// Another process, with a socket of its own at our address.
    Address,
    /// Whoever is handed the same socket, and with it what waits there.
    Socket,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    successor: Successor,
}

impl Door {
    /// Opens a listening socket; port 0 picks a free port. With `reuse_port` others of this user may listen at the
    /// same address, and the kernel spreads connections among them.
    ///
    /// # Errors
    /// The system's error: address in use, not this machine's, or not permitted.
    pub fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Lets a restarted server have its port although old connections are still in TIME_WAIT. On
        // Windows the same flag would let any other program take the port from us.
        if cfg!(not(windows)) {
            socket.set_reuseaddr(true)?;
        }
        #[cfg(unix)]
        socket.set_reuseport(reuse_port)?;
        socket.bind(address)?;
        let successor = if reuse_port { Successor::Address } else { Successor::None };
        Ok(Self { listener: socket.listen(BACKLOG)?, successor })
    }

    /// The socket that systemd, or whoever speaks its protocol (`LISTEN_FDS`, `LISTEN_PID`), has opened for this
    /// process; `None` where there is none. Of several the first counts.
    ///
    /// # Errors
    /// When what was handed over is no TCP socket that listens.
    pub fn inherited() -> io::Result<Option<Self>> {
        let Some(listener) = ListenFd::from_env().take_tcp_listener(0)? else { return Ok(None) };
        listener.set_nonblocking(true)?;
        Ok(Some(Self { listener: TcpListener::from_std(listener)?, successor: Successor::Socket }))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether another process goes on listening at the address, so that clients need not be told that we stop.
    pub fn hands_over(&self) -> bool {
        self.successor != Successor::None
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    /// Closes the socket and returns what nobody else could accept: the kernel has given it to us, and would reset
    /// it. What comes between the last accept and the close is reset all the same, unless Linux moves it to the
    /// other socket (`net.ipv4.tcp_migrate_req`, since 5.14, off by default).
    pub(super) fn close(self) -> Vec<(TcpStream, SocketAddr)> {
        let mut left = Vec::new();
        if self.successor == Successor::Address {
            // Without the runtime's budget, which would end the loop before the backlog is empty.
            while let Some(Ok(accepted)) = unconstrained(self.accept()).now_or_never() {
                left.push(accepted);
            }
        }
        left
    }
}

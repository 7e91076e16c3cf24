//! A port on which connecting never ends: what a connect timeout is for.
//!
//! Owns     a listener that never accepts, and the connections that fill its queue.
//! Called   by tests of the connect clock.
//! Bounded  by the queue: Linux drops the connection requests that find it full, and the client's
//!          kernel goes on asking. Other systems refuse instead, so tests that use this are Linux only.
//! Fails    by a panic at the start, when the queue can't be filled.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::deadline::patiently;

/// The shortest queue Linux takes. It holds one connection more than asked for.
const BACKLOG: u32 = 1;

/// How long a connection over loopback may take before the queue counts as full. The first
/// repeated connection request of Linux goes out after 1 s, so a shorter wait is never a late yes.
const FULL_AFTER: Duration = Duration::from_millis(200);

/// An address that neither accepts nor refuses. Dropping it frees the port.
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens a port and fills its queue. Needs a running clock.
    ///
    /// # Panics
    /// If the port still accepts connections after its queue should be full.
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().expect("a TCP socket can be made");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has a free port");
        let listener = socket.listen(BACKLOG).expect("a bound socket listens");
        let address = listener.local_addr().expect("a bound socket has an address");

        let mut queue = Vec::new();
        loop {
            let connecting = TcpStream::connect(address);
            match tokio::time::timeout(FULL_AFTER, connecting).await {
                Ok(Ok(connection)) => queue.push(connection),
                Ok(Err(refused)) => panic!("a full queue refused instead of waiting: {refused}"),
                Err(_full) => break,
            }
            assert!(queue.len() < 64, "the queue of {address} never fills");
        }
        Self { address, _listener: listener, _queue: queue }
    }

    /// The API's base URL at this address, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A base URL whose port nobody listens on: connecting is refused at once.
    pub async fn refusing_url() -> String {
        let listener = patiently("a free port", TcpListener::bind("127.0.0.1:0"))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        format!("http://{address}/v1")
    }
}

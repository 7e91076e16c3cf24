//! A client on a bare socket: it sends any bytes in any pieces, and reads what comes back as an
//! HTTP client does, or byte by byte.
//!
//! Owns     one connection, kept open between requests. Dropping it closes it.
//! Called   by tests of hostile clients, and wherever a test wants to see the very bytes.
//! Bounded  every wait ends after [`PATIENCE`](crate::deadline::PATIENCE).
//! Fails    by a panic where an answer was expected and none came; [`RawClient::try_answer`] and
//!          [`RawClient::closed`] are for tests that expect none.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::chat_stream::ChatStream;
use crate::deadline::patiently;
use crate::events::{Event, EventReader};
use crate::headers::Headers;
use crate::wire::{self, Framing, Incoming};

/// A request that is put together line by line, without being checked.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None }
    }

    /// A GET.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST; its body is empty until one is given.
    #[must_use]
    pub fn post(target: &str) -> Self {
        Self::new("POST", target).body(Bytes::new())
    }

    /// One header line more. Without a `host` of one's own there is one; `content-length` is added
    /// when there is a body and no line frames it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A JSON body with its content type.
    #[must_use]
    pub fn json(self, json: &Value) -> Self {
        self.header("content-type", "application/json").body(json.to_string())
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let has = |names: &[&str]| {
            let named = |name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
            self.headers.iter().any(|(name, _)| named(name))
        };
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !has(&["host"]) {
            head.push_str("host: 127.0.0.1\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.clone().unwrap_or_default();
        if self.body.is_some() && !has(&["content-length", "transfer-encoding"]) {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = BytesMut::from(head.as_bytes());
        bytes.extend_from_slice(&body);
        bytes.freeze()
    }
}

/// An answer's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
    /// The body, without framing.
    pub body: Bytes,
    /// Whether the body ended as its framing says. A body that ends with the connection always does.
    pub complete: bool,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("the answer is not JSON: {fault}: {}", self.text()))
    }

    /// The body as a chat stream.
    #[must_use]
    pub fn chat_stream(&self) -> ChatStream {
        ChatStream::read(&self.body)
    }

    /// The only value of a header; see [`Headers::get`].
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// In order: FIN.
    Properly,
    /// By a reset: RST.
    Reset,
}

/// The client.
pub struct RawClient {
    stream: TcpStream,
    incoming: Incoming,
    framing: Framing,
    torn: bool,
    events: EventReader,
    asked_head_only: bool,
}

impl RawClient {
    /// Connects to `host:port`, or to the host and port of an `http://` URL.
    ///
    /// # Panics
    /// If that fails.
    pub async fn connect(to: impl ToString) -> Self {
        let to = to.to_string();
        Self::try_connect(&to).await.unwrap_or_else(|fault| panic!("can't connect to {to}: {fault}"))
    }

    /// As [`RawClient::connect`], where nobody may be listening.
    ///
    /// # Errors
    /// `ConnectionRefused` and its kin.
    pub async fn try_connect(to: &str) -> io::Result<Self> {
        let address = to.trim_start_matches("http://");
        let address = address.split('/').next().unwrap_or_default();
        let stream = patiently("a connection", TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            incoming: Incoming::default(),
            framing: Framing::Done,
            torn: false,
            events: EventReader::default(),
            asked_head_only: false,
        })
    }

    /// Writes these bytes.
    ///
    /// # Errors
    /// When the other side has closed the connection.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let writing = self.stream.write_all(bytes.as_ref());
        patiently("the other side to read", writing).await
    }

    /// Writes these bytes `size` at a time, with a gap behind each write.
    ///
    /// # Errors
    /// When the other side has closed the connection: how many bytes went out is in vain.
    pub async fn drip(&mut self, bytes: impl AsRef<[u8]>, size: usize, gap: Duration) -> io::Result<()> {
        for piece in bytes.as_ref().chunks(size.max(1)) {
            self.write(piece).await?;
            tokio::time::sleep(gap).await;
        }
        Ok(())
    }

    /// Sends a request.
    ///
    /// # Panics
    /// If the other side has closed the connection.
    pub async fn send(&mut self, request: &Request) {
        self.asked_head_only = request.method == "HEAD";
        let sent = self.write(request.bytes()).await;
        sent.expect("the other side takes the request");
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// If none comes.
    pub async fn ask(&mut self, request: &Request) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// Sends a request and reads the answer's head; its body is read by [`RawClient::next_event`]
    /// or [`RawClient::next_data`].
    ///
    /// # Panics
    /// If none comes.
    pub async fn open(&mut self, request: &Request) -> Head {
        self.send(request).await;
        self.head().await
    }

    /// The next answer's head; interim answers (1xx) are passed over.
    ///
    /// # Panics
    /// If the connection ends instead.
    pub async fn head(&mut self) -> Head {
        match self.try_head().await {
            Ok(Some(head)) => head,
            Ok(None) => panic!("the connection was closed instead of an answer"),
            Err(fault) => panic!("no answer came: {fault}"),
        }
    }

    /// The next answer's head; `None` when the connection was closed before its first byte.
    ///
    /// # Errors
    /// `ConnectionReset` and its kin; `UnexpectedEof` within a head; `InvalidData` for what is no
    /// HTTP.
    pub async fn try_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let reading = self.incoming.head(&mut self.stream);
            let Some(head) = patiently("an answer's head", reading).await? else {
                return Ok(None);
            };
            let (status, headers) = wire::parse_answer(&head)?;
            if (100..200).contains(&status) {
                continue;
            }
            let bodiless = self.asked_head_only || status == 204 || status == 304;
            self.framing = match bodiless {
                true => Framing::Done,
                false => wire::framing(&headers, Framing::UntilClose)?,
            };
            self.torn = false;
            self.events = EventReader::default();
            return Ok(Some(Head { status, headers }));
        }
    }

    /// The next answer.
    ///
    /// # Panics
    /// If the connection ends instead.
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        self.with_body(head).await
    }

    /// The next answer; `None` when the connection was closed before its first byte.
    ///
    /// # Errors
    /// As [`RawClient::try_head`].
    pub async fn try_answer(&mut self) -> io::Result<Option<Answer>> {
        match self.try_head().await? {
            Some(head) => Ok(Some(self.with_body(head).await)),
            None => Ok(None),
        }
    }

    async fn with_body(&mut self, head: Head) -> Answer {
        let mut body = BytesMut::new();
        while let Some(data) = self.next_data().await {
            body.extend_from_slice(&data);
        }
        Answer { status: head.status, headers: head.headers, body: body.freeze(), complete: !self.torn }
    }

    /// The next bytes of the body as they come; `None` at its end, proper or not:
    /// [`RawClient::ended_properly`] tells.
    pub async fn next_data(&mut self) -> Option<Bytes> {
        let reading = self.incoming.data(&mut self.stream, &mut self.framing);
        match patiently("more of the body", reading).await {
            Ok(data) => data,
            Err(_cut) => {
                self.torn = true;
                self.framing = Framing::Done;
                None
            }
        }
    }

    /// The next event of the body, comments included; `None` at its end.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop() {
                return Some(event);
            }
            let data = self.next_data().await?;
            self.events.push(&data);
        }
    }

    /// The `data` of the body's next event; comments are passed over.
    pub async fn next_message(&mut self) -> Option<String> {
        loop {
            if let Event::Message { data, .. } = self.next_event().await? {
                return Some(data);
            }
        }
    }

    /// Whether some of an answer has come. Does not wait.
    pub async fn has_answer(&mut self) -> bool {
        let reading = self.incoming.fill(&mut self.stream);
        let has_come = tokio::select! {
            biased;
            read = reading => read.is_ok(),
            () = std::future::ready(()) => false,
        };
        has_come || self.incoming.waiting() > 0
    }

    /// The next `n` bytes as they stand on the wire, interim answers (1xx) included; fewer when the
    /// connection ends before.
    pub async fn next_bytes(&mut self, n: usize) -> Bytes {
        while self.incoming.waiting() < n {
            let reading = self.incoming.fill(&mut self.stream);
            if !patiently("more bytes", reading).await.unwrap_or(false) {
                break;
            }
        }
        self.incoming.take(n)
    }

    /// Whether the body has ended, and as its framing says.
    #[must_use]
    pub fn ended_properly(&self) -> bool {
        self.framing == Framing::Done && !self.torn
    }

    /// Waits until the other side closes the connection; what it sent until then is passed over.
    pub async fn closed(&mut self) -> Closed {
        loop {
            let reading = self.incoming.fill(&mut self.stream);
            match patiently("the connection to be closed", reading).await {
                Ok(true) => self.incoming = Incoming::default(),
                Ok(false) => return Closed::Properly,
                Err(_reset) => return Closed::Reset,
            }
        }
    }

    /// Says that nothing more will be sent; answers can still be read.
    ///
    /// # Errors
    /// When the connection is closed already.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Closes the connection. The same as dropping the client, for tests that say so.
    pub fn hang_up(self) {}

    /// Closes the connection with a reset.
    pub fn reset(self) {
        // A connection that is gone already takes no option, and needs none.
        let _ = self.stream.set_zero_linger();
    }
}

//! What one request came to, as its client saw it.

use std::io;
use std::time::Duration;

use gateway_testkit::RawClient;
use serde_json::Value;

use crate::load::{self, Kind, LEFT_AFTER, Load};

/// How a client's part in a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the whole of an answer, whatever it says.
    Whole,
    /// It left.
    Left,
    /// Its connection broke, or there was none.
    Broken,
}

/// A request and what was seen of its answer.
#[derive(Clone, Debug)]
pub struct Trace {
    pub client: usize,
    pub kind: Kind,
    pub turn: u64,
    /// Of the answer's head, which may be all that came.
    pub status: Option<u16>,
    pub request_id: Option<String>,
    /// The limit of its own that refused it.
    pub limited_by: Option<String>,
    /// Pieces of text that came as a stream.
    pub pieces: u64,
    pub end: End,
}

impl Trace {
    /// Asks on this connection, or on a new one if there is none. The connection stays there when it can be used
    /// again. A client that leaves early does so after its patience.
    pub async fn follow(
        load: &Load,
        connection: &mut Option<RawClient>,
        (client, kind, turn): (usize, Kind, u64),
        patience: Duration,
    ) -> Self {
        let mut trace = Self {
            client,
            kind,
            turn,
            status: None,
            request_id: None,
            limited_by: None,
            pieces: 0,
            end: End::Broken,
        };
        let mut open = match connection.take() {
            Some(open) => open,
            None => match RawClient::try_connect(load.address()).await {
                Ok(open) => open,
                Err(_) => return trace,
            },
        };
        trace.end = trace.ask(&mut open, patience).await.unwrap_or(End::Broken);
        if trace.end == End::Whole {
            *connection = Some(open);
        }
        trace
    }

    async fn ask(&mut self, connection: &mut RawClient, patience: Duration) -> io::Result<End> {
        connection.write(load::request(self.client, self.kind, self.turn).bytes()).await?;
        if self.kind == Kind::LeavesEarly {
            tokio::time::sleep(patience).await;
            return Ok(End::Left);
        }
        let Some(head) = connection.try_head().await? else { return Ok(End::Broken) };
        self.status = Some(head.status);
        self.request_id = head.headers.get("x-request-id").map(str::to_owned);
        self.limited_by = head.headers.get("x-ratelimit-limited-by").map(str::to_owned);
        let is_stream =
            head.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let leaves = matches!(self.kind, Kind::LeavesStalled | Kind::LeavesFlowing);
        if is_stream {
            while let Some(message) = connection.next_message().await {
                self.pieces += u64::from(has_text(&message));
                if leaves && self.pieces == LEFT_AFTER {
                    return Ok(End::Left);
                }
            }
        } else {
            while connection.next_data().await.is_some() {}
        }
        Ok(if connection.ended_properly() { End::Whole } else { End::Broken })
    }

    /// Whether some of the upstream's answer has come, be it the head alone.
    pub fn is_answered(&self) -> bool {
        self.status == Some(200)
    }

    pub fn is_broken(&self) -> bool {
        self.end == End::Broken
    }
}

fn has_text(message: &str) -> bool {
    let chunk: Value = serde_json::from_str(message).unwrap_or_default();
    chunk["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty())
}

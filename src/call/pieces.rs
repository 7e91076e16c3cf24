//! An answer that passes as it comes and is no JSON: sound, pictures as events, the content of a file.
//!
//! Owns     the call from the first piece of its answer to its end, and the client's charge with it.
//! Called   by the handlers of what passes; the connection polls the stream as the response's body.
//! Bounded  by the clocks of a whole answer (`answer`, `silence`, `total`); by one piece at a time.
//! Fails    before the first piece with an [`UpstreamFault`], like any call; behind it with [`BrokeOff`], which ends the
//!          connection: bytes without a form have no other way to say that they are not all. Dropped (the client left),
//!          it closes the upstream call and settles.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use gateway_limits::Usage;
use gateway_protocols::passthrough;
use gateway_protocols::sse::FrameReader;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use sync_wrapper::SyncStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Call, Clock, Limit, ReadWhole, UpstreamFault, Whole, is_event_stream, next_piece};
use crate::charge::Charge;
use crate::decode;
use crate::failover::verdict;
use crate::front::InFlight;
use crate::surface::EVENT_MAX;
use crate::upstream::AnswerBody;

/// The answer ended before its end; the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer broke off")]
pub struct BrokeOff;

/// An answer of whatever type.
#[derive(Debug)]
pub enum Came {
    /// JSON, which is taken whole: it may name what is to be noted.
    Whole(Whole),
    /// All else.
    Pieces(Pieces),
}

/// An answer whose first piece has come.
#[derive(Debug)]
pub struct Pieces {
    first: Option<Bytes>,
    body: AnswerBody,
    silence: Duration,
    until: [Limit; 2],
    provider: Arc<str>,
    /// How long the upstream took until its first piece.
    pub upstream_time: Duration,
    /// The upstream's content type.
    pub content_type: Option<HeaderValue>,
}

impl Call<'_> {
    /// Calls and takes the whole answer if it is JSON, else its first piece.
    ///
    /// # Errors
    /// Whatever kept it from coming.
    pub async fn begin(&self, charge: &mut Charge, read: ReadWhole) -> Result<Came, UpstreamFault> {
        let sent = Instant::now();
        let until = [(Clock::Answer, sent, Some(self.leg.timeouts.answer)), self.total()];
        let head = self.head(charge, sent, until, false).await?;
        let content_type = head.headers.get(CONTENT_TYPE).cloned();
        if content_type.as_ref().is_some_and(is_json) {
            return self.rest(charge, head, read, sent, until).await.map(Came::Whole);
        }
        let mut body = decode::decoded(head.body, head.headers.get(CONTENT_ENCODING))
            .ok_or(UpstreamFault::Undecodable)?;
        let first = self.next(&mut body, until).await?;
        charge.succeeded();
        charge.written().await.map_err(|_| UpstreamFault::NotAccounted)?;
        Ok(Came::Pieces(Pieces {
            first,
            body,
            silence: self.leg.timeouts.silence,
            until,
            provider: Arc::clone(&self.leg.provider.name),
            upstream_time: sent.elapsed(),
            content_type,
        }))
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().ends_with(b"json")
}

impl Pieces {
    /// Passes them on one by one. `cut_off` ends it when the gateway will wait no longer.
    pub fn flowing(
        self,
        charge: Charge,
        in_flight: InFlight,
        cut_off: CancellationToken,
    ) -> impl Stream<Item = Result<Bytes, BrokeOff>> + Send + Sync + 'static {
        let events = self.content_type.as_ref().is_some_and(is_event_stream);
        let events = events.then(|| Told { reader: Some(FrameReader::new(EVENT_MAX)), usage: None });
        let flow = Flow { pieces: self, charge, events, cut_off, _in_flight: in_flight };
        SyncStream::new(stream::unfold(Some(flow), |flow| async { flow?.step().await }).boxed())
    }
}

/// The answer on its way.
struct Flow {
    pieces: Pieces,
    charge: Charge,
    events: Option<Told>,
    cut_off: CancellationToken,
    _in_flight: InFlight,
}

impl Flow {
    /// The next piece; `None` is the end, which is settled before it is seen.
    async fn step(mut self) -> Option<(Result<Bytes, BrokeOff>, Option<Self>)> {
        let Pieces { first, body, silence, until, .. } = &mut self.pieces;
        let next = match first.take() {
            Some(first) => Ok(Some(first)),
            None => tokio::select! {
                biased;
                next = next_piece(body, *silence, *until) => next,
                () = self.cut_off.cancelled() => return Some((Err(BrokeOff), None)),
            },
        };
        match next {
            Ok(Some(piece)) => {
                self.events.iter_mut().for_each(|told| told.take(&piece));
                Some((Ok(piece), Some(self)))
            }
            Ok(None) => {
                self.charge.complete(self.events.and_then(|told| told.usage), Usage::default);
                None
            }
            Err(fault) => {
                let provider = &*self.pieces.provider;
                tracing::warn!(provider, fault = fault.as_str(), "an answer that passes broke off");
                self.charge.cut(fault.as_str(), verdict(&fault).blame, Usage::default());
                Some((Err(BrokeOff), None))
            }
        }
    }
}

/// What an answer of events says of itself, on its way.
struct Told {
    /// Gone behind an event that is too large: nothing more is read then, and the bytes pass all the same.
    reader: Option<FrameReader>,
    usage: Option<Usage>,
}

impl Told {
    fn take(&mut self, piece: &Bytes) {
        let Some(reader) = &mut self.reader else { return };
        reader.push(piece.clone());
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => self.usage = frame.data().and_then(passthrough::usage).or(self.usage),
                Ok(None) => return,
                Err(_) => break,
            }
        }
        self.reader = None;
    }
}

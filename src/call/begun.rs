//! An answer that passes as it comes and is no JSON: sound, pictures as events, the content of a file.
//!
//! Owns     the call from the first piece of its answer to its end, and the client's charge with it.
//! Called   by the handlers of what passes; the connection polls the stream as the response's body.
//! Bounded  by the clocks of a whole answer (`answer`, `silence`, `total`); by one piece at a time.
//! Fails    before the first piece with an [`UpstreamFault`], like any call; behind it with [`Broken`], which ends the
//!          connection: bytes without a form have no other way to say that they are not all. Dropped (the client left),
//!          it closes the upstream call and settles.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use gateway_limits::Usage;
use gateway_protocols::passthrough;
use gateway_protocols::sse::FrameReader;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use sync_wrapper::SyncStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ANSWER_MAX, Call, Clock, Limit, ReadWhole, UpstreamFault, Whole, is_event_stream, passed, settle_failed,
};
use crate::charge::Charge;
use crate::decode;
use crate::front::InFlight;
use crate::surface::EVENT_MAX;
use crate::upstream::AnswerBody;

/// The answer ended before its end; the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer broke off")]
pub struct Broken;

/// An answer whose first piece has come.
#[derive(Debug)]
pub struct Begun {
    call: Call,
    charge: Charge,
    until: [Limit; 2],
    sent: Instant,
    first: Option<Bytes>,
    body: AnswerBody,
    /// How long the upstream took until its first piece.
    pub upstream_time: Duration,
    /// The upstream's content type.
    pub content_type: Option<HeaderValue>,
}

impl Call {
    /// Calls and waits for the first piece of the answer, whatever it is.
    ///
    /// # Errors
    /// Whatever kept it from coming; the charge is settled.
    pub async fn begin(mut self, mut charge: Charge) -> Result<Begun, UpstreamFault> {
        let sent = Instant::now();
        let until = [(Clock::Answer, sent, Some(self.timeouts.answer)), self.total()];
        match self.first_piece(&mut charge, sent, until).await {
            Ok((content_type, first, body)) => {
                // Its memory is free while the answer flows.
                self.request.body = Bytes::new();
                let upstream_time = sent.elapsed();
                Ok(Begun { call: self, charge, until, sent, first, body, upstream_time, content_type })
            }
            Err(fault) => Err(settle_failed(charge, fault)),
        }
    }

    async fn first_piece(
        &self,
        charge: &mut Charge,
        sent: Instant,
        until: [Limit; 2],
    ) -> Result<(Option<HeaderValue>, Option<Bytes>, AnswerBody), UpstreamFault> {
        let head = self.head(charge, sent, until, false).await?;
        let (content_type, _) = passed(&head.headers);
        let mut body = decode::decoded(head.body, head.headers.get(CONTENT_ENCODING))
            .ok_or(UpstreamFault::Undecodable)?;
        let first = self.next(&mut body, until).await?;
        charge.written().await.map_err(|_| UpstreamFault::NotAccounted)?;
        Ok((content_type, first, body))
    }
}

impl Begun {
    /// Whether it is JSON, which is taken whole: it may name what is to be noted.
    pub fn is_json(&self) -> bool {
        let essence = self.content_type.as_ref().map_or(b"".as_slice(), HeaderValue::as_bytes);
        essence.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().ends_with(b"json")
    }

    /// Takes the rest. The charge is settled before this returns.
    ///
    /// # Errors
    /// Whatever kept a usable answer from coming.
    pub async fn whole(self, read: ReadWhole) -> Result<Whole, UpstreamFault> {
        let Self { call, charge, until, sent, first, mut body, content_type, .. } = self;
        let taken = async {
            let rest = match first {
                Some(_) => call.collect(&mut body, ANSWER_MAX, until).await?,
                None => Bytes::new(),
            };
            let bytes = match first {
                Some(first) if rest.is_empty() => first,
                Some(first) if first.len() + rest.len() > ANSWER_MAX => return Err(UpstreamFault::TooLarge),
                Some(first) => [first, rest].concat().into(),
                None => rest,
            };
            read(bytes).map_err(UpstreamFault::Answer)
        };
        match taken.await {
            Ok((bytes, answer)) => {
                charge.complete(answer.usage, || answer.counted);
                let upstream_time = sent.elapsed();
                Ok(Whole { bytes, content_type, processing_ms: None, answer, upstream_time })
            }
            Err(fault) => Err(settle_failed(charge, fault)),
        }
    }

    /// Passes it on piece by piece. `cut_off` ends it when the gateway will wait no longer.
    pub fn flowing(
        self,
        in_flight: InFlight,
        cut_off: CancellationToken,
    ) -> impl Stream<Item = Result<Bytes, Broken>> + Send + Sync + 'static {
        let events = self.content_type.as_ref().is_some_and(is_event_stream);
        let events = events.then(|| Told { reader: FrameReader::new(EVENT_MAX), usage: None });
        let flow = Flow { begun: self, events, cut_off, _in_flight: in_flight };
        SyncStream::new(stream::unfold(Some(flow), |flow| async { flow?.step().await }).boxed())
    }
}

/// The answer on its way.
struct Flow {
    begun: Begun,
    events: Option<Told>,
    cut_off: CancellationToken,
    _in_flight: InFlight,
}

impl Flow {
    /// The next piece; `None` is the end, which is settled before it is seen.
    async fn step(mut self) -> Option<(Result<Bytes, Broken>, Option<Self>)> {
        let Begun { call, until, first, body, .. } = &mut self.begun;
        let next = match first.take() {
            Some(first) => Ok(Some(first)),
            None => tokio::select! {
                biased;
                next = call.next(body, *until) => next,
                () = self.cut_off.cancelled() => return Some((Err(Broken), None)),
            },
        };
        match next {
            Ok(Some(piece)) => {
                self.events.iter_mut().for_each(|told| told.take(&piece));
                Some((Ok(piece), Some(self)))
            }
            Ok(None) => {
                self.begun.charge.complete(self.events.and_then(|told| told.usage), Usage::default);
                None
            }
            Err(fault) => {
                let provider = &*self.begun.call.provider.name;
                tracing::warn!(provider, fault = fault.as_str(), "an answer that passes broke off");
                self.begun.charge.cut(fault.as_str(), Usage::default());
                Some((Err(Broken), None))
            }
        }
    }
}

/// What an answer of events says of itself, on its way.
struct Told {
    reader: FrameReader,
    usage: Option<Usage>,
}

impl Told {
    fn take(&mut self, piece: &Bytes) {
        self.reader.push(piece.clone());
        // Behind an event that is too large nothing more is read of it; the bytes pass all the same.
        while let Ok(Some(frame)) = self.reader.next_frame() {
            self.usage = frame.data().and_then(passthrough::usage).or(self.usage);
        }
    }
}

//! The two bodies of a request, wrapped so that the connection knows what became of them.
//!
//! Owns     whether a request's body was read to its end, and the count of requests in flight, held
//!          from the complete head until the answer's body has ended or is dropped.
//! Called   by the service (`RequestBody`) and by hyper (`AnswerBody`), frame by frame.
//! Bounded  by the bodies inside; nothing is kept here.
//! Fails    as the bodies inside do. A request body dropped early stays marked as unread; dropping an
//!          answer ends its request.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::BoxError;
use super::phase::SharedActivity;
use super::stream::OWED_SINCE;
use crate::trail::Trail;

/// A request's body, as the service gets it.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    activity: SharedActivity,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, activity: SharedActivity) -> Self {
        Self { incoming, activity }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.activity.lock().body_read();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A request's place in its connection's count; dropping it gives the place back.
pub(super) struct InFlight(SharedActivity);

impl InFlight {
    pub(super) fn begin(activity: &SharedActivity, has_body: bool) -> Self {
        activity.lock().request_begins(has_body);
        Self(activity.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().request_ends(Instant::now());
    }
}

/// The service's answer, counted as in flight until it is dropped; empty for a HEAD request.
pub(super) struct AnswerBody<B> {
    body: Option<B>,
    /// Why it breaks off, which is said at the next poll: hyper closes the connection at once, and what it has been
    /// given before, the head of the answer included, would not leave with it.
    broken: Option<BoxError>,
    http2: bool,
    _in_flight: InFlight,
    _trail: Option<Trail>,
}

impl<B> AnswerBody<B> {
    /// `None` is the body of an answer that has none. The request's trail ends with the answer.
    pub(super) fn new(body: Option<B>, http2: bool, in_flight: InFlight, trail: Option<Trail>) -> Self {
        Self { body, broken: None, http2, _in_flight: in_flight, _trail: trail }
    }
}

impl<B: Body<Error: Into<BoxError>> + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(why) = self.broken.take() {
            return Poll::Ready(Some(Err(why)));
        }
        let http2 = self.http2;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        if http2 {
            owed_by_the_client(None);
        }
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Err(why)) => {
                self.broken = Some(why.into());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Ok(frame)) => Some(Ok(frame)),
            None => None,
        };
        if http2 && frame.is_some() {
            owed_by_the_client(Some(Instant::now()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A stream whose body is polled is waiting for the handler; one that holds a frame and does not
/// poll for the next waits for the client.
fn owed_by_the_client(since: Option<Instant>) {
    // Every HTTP/2 answer is polled inside its stream's task, where the value exists.
    let _ = OWED_SINCE.try_with(|owed: &Cell<_>| owed.set(since));
}

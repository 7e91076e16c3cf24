//! One request through the service, as the connection sees it: counted, and always answered.
//!
//! Owns     nothing beyond the request: the counting is in `bodies`, the phases in `phase`.
//! Called   by hyper once per request, through `connection`.
//! Bounded  by the protocol: one request at a time on HTTP/1, `MAX_STREAMS` on HTTP/2.
//! Fails    a handler that panics is answered by the program's own `PanicAnswer`, and the connection
//!          goes on. Dropping the future (the client left) drops the handler and ends the count.

use std::any::Any;
use std::convert::{Infallible, identity};
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::{self, Either};
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;

use super::bodies::{AnswerBody, InFlight, RequestBody};
use super::phase::SharedActivity;
use super::{PanicAnswer, Panicked, Peer, Query, head};
use crate::trail::Trail;

/// Hands a request to the service and watches over it until its answer has gone.
pub(super) fn exchange<S, B>(
    service: &S,
    request: Request<Incoming>,
    peer: Peer,
    activity: &SharedActivity,
    on_panic: PanicAnswer<B>,
) -> impl Future<Output = Result<Response<AnswerBody<B>>, Infallible>> + use<S, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    let in_flight = InFlight::begin(activity, !request.body().is_end_stream());
    let is_head = request.method() == Method::HEAD;
    let http2 = request.version() == Version::HTTP_2;
    let uri = request.uri().clone();
    let mut request = request.map(|incoming| RequestBody::new(incoming, activity.clone()));
    if uri.path_and_query().is_none() {
        // A target that is a bare authority (`CONNECT host:port`). It names nothing here, and warp panics
        // where there is no path; no route has the one that it gets.
        *request.uri_mut() = Uri::from_static("*");
    }
    request.extensions_mut().insert(peer);
    let two_lengths = activity.lock().two_lengths();
    if let Some(fault) = head::fault(request.version(), request.headers(), two_lengths) {
        request.extensions_mut().insert(fault);
    }
    if let Some(query) = uri.query() {
        request.extensions_mut().insert(Query(query.into()));
    }
    let activity = activity.clone();

    let answering = std::panic::catch_unwind(AssertUnwindSafe(|| service.call(request)));
    match answering {
        Ok(answer) => Either::Left(AssertUnwindSafe(answer).catch_unwind()),
        Err(panic) => Either::Right(future::ready(Err(panic))),
    }
    .map(move |outcome| {
        let mut response = match outcome {
            Ok(Ok(response)) => response,
            Err(panic) => on_panic(&Panicked { uri: &uri, message: panic_message(&*panic) }),
        };
        if !http2 && activity.lock().body_unread() {
            close_after(&mut response);
        }
        Ok(counted(response, in_flight, is_head, http2))
    })
}

/// Says that the connection ends with this answer, as it must where the rest of a request still
/// stands between us and the next one. Unsaid, a client could send that next one and lose it.
fn close_after<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

fn counted<B: Body>(
    response: Response<B>,
    in_flight: InFlight,
    is_head: bool,
    http2: bool,
) -> Response<AnswerBody<B>> {
    let (mut parts, body) = response.into_parts();
    let body = if is_head {
        // hyper leaves the body out on HTTP/1 only. A handler made for HEAD has an empty body, whose
        // length says nothing about the answer to GET.
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
        None
    } else {
        Some(body)
    };
    let trail = parts.extensions.remove::<Trail>();
    Response::from_parts(parts, AnswerBody::new(body, http2, in_flight, trail))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&'static str>().copied();
    let formatted = panic.downcast_ref::<String>().map(String::as_str);
    literal.or(formatted).map_or("a value that is not text", identity)
}

//! The one place where a fault becomes a status, headers and a body, in the dialect of the route.
//!
//! Called   by the front door for every fault, and by the relay for a fault in the middle of a stream.
//! Fails    never. There is no wildcard arm: a new fault must choose its status.

use std::time::Duration;

use bytes::Bytes;
use gateway_actors::{Denied, Refusal, View};
use gateway_limits::DenyReason;
use gateway_protocols::error::{Dialect, ErrorBody, LimitInfo, render, render_stream_error};
use gateway_protocols::generate::render_faults;
use gateway_protocols::openai::StreamFault;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use warp::reply::Response;

use crate::body::BodyFault;
use crate::call::{RETRY_AFTER_MS, UpstreamFault, passes};
use crate::credentials::AuthFault;
pub use crate::fault::Fault;
use crate::limit_headers;

/// Tells SDKs whether trying again can help.
static X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// How a fault looks from outside.
struct Looks {
    status: StatusCode,
    /// OpenAI's `type`.
    kind: &'static str,
    code: Option<String>,
    param: Option<String>,
    /// Instead of the fault's own words.
    message: Option<String>,
    retry_after: Option<Duration>,
    should_not_retry: bool,
}

impl Looks {
    fn new(status: StatusCode, kind: &'static str, code: Option<&str>) -> Self {
        Self {
            status,
            kind,
            code: code.map(str::to_owned),
            param: None,
            message: None,
            retry_after: None,
            should_not_retry: false,
        }
    }

    fn invalid(status: StatusCode) -> Self {
        Self::new(status, "invalid_request_error", None)
    }

    fn overloaded(retry_after: Option<Duration>) -> Self {
        let overloaded = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", Some("overloaded"));
        Self { retry_after: retry_after.or(Some(Duration::from_secs(1))), ..overloaded }
    }

    fn param(self, param: Option<impl Into<String>>) -> Self {
        Self { param: param.map(Into::into), ..self }
    }

    fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", None)
    }
}

/// The answer to a request that failed.
pub fn respond(dialect: Dialect, fault: &Fault, request_id: &str) -> Response {
    let looks = looks(dialect, fault);
    let body = match fault {
        Fault::Validation(faults) => render_faults(faults),
        Fault::Reload(fault) => fault.render(),
        _ => body_of(dialect, fault, &looks, request_id, render),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = looks.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Fault::MethodNotAllowed { allow, .. } = fault
        && let Ok(allow) = HeaderValue::try_from(allow)
    {
        headers.insert(ALLOW, allow);
    }
    if looks.should_not_retry {
        headers.insert(&X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(after) = looks.retry_after {
        // Whole seconds, rounded up, at least 1: a client that waits so long is never too early.
        let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        headers.insert(&RETRY_AFTER_MS, HeaderValue::from(ms));
    }
    if let Fault::Upstream { fault: UpstreamFault::Status { retry, .. }, .. } = fault {
        let passed = [(RETRY_AFTER, &retry.after), (RETRY_AFTER_MS.clone(), &retry.after_ms)];
        headers.extend(passed.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    }
    if let Fault::Refused(refused) = fault {
        let limited_by = match &refused.refusal {
            Refusal::LimitReached(denied) => Some(denied.limit),
            _ => None,
        };
        limit_headers::insert(headers, refused.limits.as_ref(), limited_by);
    }
    response
}

/// An error event, for a stream that has begun.
pub fn stream_error(dialect: Dialect, fault: &Fault, request_id: &str) -> Bytes {
    body_of(dialect, fault, &looks(dialect, fault), request_id, render_stream_error)
}

fn body_of(
    dialect: Dialect,
    fault: &Fault,
    looks: &Looks,
    request_id: &str,
    render: fn(Dialect, &ErrorBody<'_>) -> Bytes,
) -> Bytes {
    let own_words;
    let message = match &looks.message {
        Some(message) => message,
        None => {
            own_words = fault.to_string();
            &own_words
        }
    };
    let limit = match fault {
        Fault::Refused(refused) => match &refused.refusal {
            Refusal::LimitReached(denied) => Some(limit_info(denied)),
            _ => None,
        },
        _ => None,
    };
    let body = ErrorBody {
        status: looks.status.as_u16(),
        message,
        kind: looks.kind,
        param: looks.param.as_deref(),
        code: looks.code.as_deref(),
        limit,
        request_id,
    };
    render(dialect, &body)
}

fn limit_info(denied: &Denied) -> LimitInfo<'static> {
    LimitInfo {
        name: denied.limit.as_str(),
        limit: denied.max,
        used: denied.used,
        reset_at: (denied.reason != DenyReason::Busy).then_some(denied.reset_unix_ms.div_ceil(1000)),
    }
}

fn looks(dialect: Dialect, fault: &Fault) -> Looks {
    match fault {
        Fault::NoRoute { .. } | Fault::NotFound { .. } => Looks::invalid(StatusCode::NOT_FOUND),
        Fault::MethodNotAllowed { .. } => Looks::invalid(StatusCode::METHOD_NOT_ALLOWED),
        Fault::Auth(fault) => looks_of_auth(fault),
        Fault::NotAdmin => unauthorized(),
        Fault::EndpointNotAllowed { .. } | Fault::ProviderNotAllowed { .. } => Looks::forbidden(),
        Fault::ModelNotAllowed { .. } => Looks::forbidden().param(Some("model")),
        Fault::NotJson { .. } => Looks::invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Fault::Body(fault) => looks_of_body(fault),
        Fault::Request(fault) => Looks::invalid(StatusCode::BAD_REQUEST).param(fault.param()),
        Fault::Validation(_) | Fault::Reload(_) => Looks::invalid(StatusCode::UNPROCESSABLE_ENTITY),
        Fault::BadModelName | Fault::NoModel => {
            Looks::invalid(StatusCode::BAD_REQUEST).param(Some("model"))
        }
        Fault::UnknownModel { .. } => {
            Looks::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"))
                .param(Some("model"))
        }
        Fault::CapAboveLimit { param, .. } => Looks::invalid(StatusCode::BAD_REQUEST).param(Some(*param)),
        Fault::NoKey { .. } => Looks { should_not_retry: true, ..Looks::overloaded(None) },
        Fault::Refused(refused) => looks_of_refusal(&refused.refusal),
        Fault::Upstream { provider, fault } => looks_of_upstream(dialect, provider, fault),
        Fault::TooManyInFlight { .. } | Fault::Draining => Looks::overloaded(None),
        Fault::Bug => Looks::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None),
    }
}

fn unauthorized() -> Looks {
    Looks::new(StatusCode::UNAUTHORIZED, "authentication_error", Some("invalid_api_key"))
}

fn looks_of_auth(fault: &AuthFault) -> Looks {
    match fault {
        AuthFault::Invalid => unauthorized(),
        AuthFault::Repeated { .. } | AuthFault::TwoClients => Looks::invalid(StatusCode::BAD_REQUEST),
        AuthFault::PublishedSecret { .. } | AuthFault::AddressNotAllowed { .. } => Looks::forbidden(),
        AuthFault::Busy => Looks::overloaded(None),
    }
}

fn looks_of_body(fault: &BodyFault) -> Looks {
    match fault {
        BodyFault::TooLarge { .. } => Looks::invalid(StatusCode::PAYLOAD_TOO_LARGE),
        BodyFault::TooSlow { .. } => Looks::invalid(StatusCode::REQUEST_TIMEOUT),
        BodyFault::NoRoom { .. } => Looks::overloaded(None),
        BodyFault::Broken => Looks::invalid(StatusCode::BAD_REQUEST),
    }
}

fn looks_of_refusal(refusal: &Refusal) -> Looks {
    let retry_after = refusal.retry_after();
    match refusal {
        // It was known when its credentials were checked, and has been removed since.
        Refusal::UnknownClient { .. } => {
            Looks { message: Some(AuthFault::Invalid.to_string()), ..unauthorized() }
        }
        Refusal::LimitReached(denied) => looks_of_denied(denied),
        // Its provider went with a reload.
        Refusal::NoProvider { .. }
        | Refusal::Overloaded { .. }
        | Refusal::Restarting { .. }
        | Refusal::SwitchedOff { .. }
        | Refusal::ProviderFull { .. }
        | Refusal::LedgerBehind { .. }
        | Refusal::Stopping => Looks::overloaded(retry_after),
    }
}

fn looks_of_denied(denied: &Denied) -> Looks {
    let limit = denied.limit.as_str();
    let (max, used) = (denied.max, denied.used);
    let seconds = denied.retry_after.as_millis().div_ceil(1000).max(1);
    let limited = |code| Looks {
        retry_after: Some(denied.retry_after),
        ..Looks::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some(code))
    };
    match denied.reason {
        DenyReason::NeverFits => Looks {
            message: Some(format!(
                "this request may use more tokens than {limit} ({max}) ever allows; send a shorter prompt or a \
                 smaller output cap"
            )),
            ..Looks::invalid(StatusCode::BAD_REQUEST)
        },
        DenyReason::Blocked => Looks {
            message: Some(format!("{limit} is 0 for this client: nothing is allowed")),
            should_not_retry: true,
            ..limited("insufficient_quota")
        },
        DenyReason::Spent => Looks {
            message: Some(format!("{limit} is used up: {used} of {max}; it is renewed in {seconds}s")),
            should_not_retry: true,
            ..limited("insufficient_quota")
        },
        DenyReason::Reserved | DenyReason::Window | DenyReason::Busy => Looks {
            message: Some(format!("Rate limit reached for {limit}: limit {max}, used {used}; try again in {seconds}s")),
            ..limited("rate_limit_exceeded")
        },
    }
}

fn looks_of_upstream(dialect: Dialect, provider: &str, fault: &UpstreamFault) -> Looks {
    let bad_gateway = || Looks::new(StatusCode::BAD_GATEWAY, "server_error", Some("upstream_error"));
    match fault {
        UpstreamFault::Wire(_)
        | UpstreamFault::Answer(_)
        | UpstreamFault::TooLarge
        | UpstreamFault::NoEventStream
        | UpstreamFault::Undecodable => bad_gateway(),
        UpstreamFault::TimedOut { .. } => {
            Looks::new(StatusCode::GATEWAY_TIMEOUT, "server_error", Some("upstream_timeout"))
        }
        // An error event of a stream: the upstream's words, under its own status where it names one.
        UpstreamFault::Stream(stream) => match stream {
            StreamFault::Upstream(error) => {
                let status = error.status.and_then(|status| StatusCode::from_u16(status).ok());
                let status = status.filter(|status| passes(*status));
                Looks {
                    status: status.unwrap_or(StatusCode::BAD_GATEWAY),
                    code: error.code.clone().or_else(|| Some("upstream_error".to_owned())),
                    param: error.param.clone(),
                    message: error.message.clone(),
                    ..bad_gateway()
                }
            }
            StreamFault::Malformed(_)
            | StreamFault::Truncated
            | StreamFault::FrameTooLarge { .. }
            | StreamFault::Empty => bad_gateway(),
        },
        UpstreamFault::Status { status, body, .. } => match status.as_u16() {
            529 | 503 => Looks {
                status: if dialect == Dialect::Anthropic { *status } else { StatusCode::SERVICE_UNAVAILABLE },
                message: Some(format!("provider `{provider}` is overloaded")),
                ..Looks::overloaded(None)
            },
            // Its words may hold a part of our key.
            401 | 403 => Looks {
                message: Some(format!("provider `{provider}` did not accept the gateway's key (status {status})")),
                ..bad_gateway()
            },
            _ if passes(*status) => {
                let kind = match status.as_u16() {
                    429 => "rate_limit_error",
                    _ => "invalid_request_error",
                };
                Looks {
                    status: *status,
                    kind,
                    code: body.code.clone(),
                    param: body.param.clone(),
                    message: body.message.clone().or_else(|| {
                        Some(format!("provider `{provider}` answered with status {status}"))
                    }),
                    retry_after: (status.as_u16() == 429).then_some(Duration::from_secs(1)),
                    should_not_retry: false,
                }
            }
            _ => Looks {
                message: Some(format!("provider `{provider}` answered with status {status}")),
                ..bad_gateway()
            },
        },
    }
}

/// An answer of ours in JSON.
pub fn json(body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Puts the state of the client's limits into an answer.
pub fn with_limits(mut response: Response, limits: Option<&View>) -> Response {
    limit_headers::insert(response.headers_mut(), limits, None);
    response
}

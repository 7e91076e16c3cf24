//! The one place where a fault becomes a status, headers and a body, in the dialect of the route.
//!
//! Called   by the front door for every fault, and by the relay for a fault in the middle of a stream.
//! Fails    never. There is no wildcard arm: a new fault must choose its status.

use std::time::Duration;

use bytes::Bytes;
use gateway_actors::{Denied, Refusal, View};
use gateway_limits::{DenyReason, Usd};
use gateway_protocols::error::{Amount, Dialect, ErrorBody, LimitInfo, render, render_stream_error};
use gateway_protocols::generate::render_faults;
use gateway_protocols::openai::{StreamFault, UpstreamErrorBody};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warp::reply::Response;

use crate::body::BodyFault;
use crate::call::{RETRY_AFTER_MS, RetryHeaders, UpstreamFault, passes};
use crate::client_files::ChangeFault;
use crate::credentials::{AuthFault, INVALID};
pub use crate::fault::Fault;
use crate::limit_headers;
use crate::reload::{self, ReloadFault};

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
        Fault::Reload(fault @ (ReloadFault::Faults(_) | ReloadFault::Upstreams(_))) => fault.render(),
        Fault::Change(ChangeFault::Unusable(faults)) => {
            serde_json::json!({ "detail": reload::details(faults) }).to_string().into()
        }
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
    if looks.status == StatusCode::UNAUTHORIZED {
        // RFC 9110, 11.6.1, wants a way named; of ours it is the one that no browser asks people about.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if looks.should_not_retry {
        headers.insert(&X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(after) = looks.retry_after {
        // Both rounded up, seconds at least 1: a client that waits so long is never too early.
        let ms = u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        headers.insert(&RETRY_AFTER_MS, HeaderValue::from(ms));
    }
    // Another target may be free before the one that answered wants to be asked again.
    if let Fault::Upstream { fault: UpstreamFault::Status { retry, .. }, soonest, .. } = fault
        && soonest.is_none_or(|soonest| retry.wait.is_some_and(|wait| wait < soonest))
    {
        pass_retry_headers(headers, retry);
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

/// The upstream's word on when to come again takes the place of ours, in both forms: SDKs that know the one
/// in milliseconds prefer it.
fn pass_retry_headers(headers: &mut HeaderMap, retry: &RetryHeaders) {
    let number = |value: &Option<HeaderValue>| value.as_ref()?.to_str().ok()?.parse::<u64>().ok();
    let seconds = || number(&retry.after_ms).map(|ms| HeaderValue::from(ms.div_ceil(1000).max(1)));
    if let Some(after) = retry.after.clone().or_else(seconds) {
        headers.insert(RETRY_AFTER, after);
        headers.remove(&RETRY_AFTER_MS);
    }
    let ms = || number(&retry.after).map(|seconds| HeaderValue::from(seconds.saturating_mul(1000)));
    if let Some(after_ms) = retry.after_ms.clone().or_else(ms) {
        headers.insert(&RETRY_AFTER_MS, after_ms);
    }
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
    let amount = |number| match denied.limit.is_money() {
        true => Amount::Money(Usd(number)),
        false => Amount::Count(number),
    };
    LimitInfo {
        name: denied.limit.as_str(),
        limit: amount(denied.max),
        used: amount(denied.used),
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
        Fault::ModelNotAllowed { .. } | Fault::NoPrice { .. } => Looks::forbidden().param(Some("model")),
        Fault::NotJson { .. } | Fault::Encoded { .. } => Looks::invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Fault::Head(_) => Looks::invalid(StatusCode::BAD_REQUEST),
        Fault::Body(fault) => looks_of_body(fault),
        Fault::Request(fault) => Looks::invalid(StatusCode::BAD_REQUEST).param(fault.param()),
        Fault::Reload(ReloadFault::Refused(refusal)) => looks_of_refusal(refusal),
        Fault::Change(fault) => looks_of_change(fault),
        Fault::Audit(_) | Fault::Reload(ReloadFault::NotRecorded(_)) => Looks::overloaded(None),
        Fault::Validation(_) | Fault::Reload(ReloadFault::Faults(_) | ReloadFault::Upstreams(_)) => {
            Looks::invalid(StatusCode::UNPROCESSABLE_ENTITY)
        }
        Fault::BadModelName | Fault::NoModel => Looks::invalid(StatusCode::BAD_REQUEST).param(Some("model")),
        Fault::UnknownModel { .. } => {
            Looks::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"))
                .param(Some("model"))
        }
        Fault::CapAboveLimit { param, .. } => Looks::invalid(StatusCode::BAD_REQUEST).param(Some(*param)),
        Fault::NotServed { .. }
        | Fault::KeptApart { .. }
        | Fault::BatchLine { .. }
        | Fault::BatchModel { .. } => Looks::invalid(StatusCode::BAD_REQUEST),
        Fault::CannotGoOn { .. } => bad_gateway(),
        Fault::Untranslatable(fault) => {
            Looks::invalid(StatusCode::BAD_REQUEST).param(Some(fault.member.as_str()))
        }
        Fault::NoProviderFor { .. } | Fault::NotUnderLimit { .. } => Looks::forbidden(),
        Fault::NoKey { .. } => Looks { should_not_retry: true, ..Looks::overloaded(None) },
        Fault::Refused(refused) => looks_of_refusal(&refused.refusal),
        Fault::Upstream { provider, fault, soonest } => {
            let looks = looks_of_upstream(dialect, provider, fault);
            // Only what may be tried again has such a time.
            let retry_after = looks.retry_after.map(|usual| soonest.unwrap_or(usual));
            Looks { retry_after, ..looks }
        }
        Fault::BadParameter { name, .. } => Looks::invalid(StatusCode::BAD_REQUEST).param(Some(name)),
        Fault::TooManyInFlight { .. }
        | Fault::Draining
        | Fault::UsageBusy { .. }
        | Fault::LiveViewFull { .. }
        | Fault::LedgerUnreadable => Looks::overloaded(None),
        Fault::Bug => Looks::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None),
    }
}

fn unauthorized() -> Looks {
    Looks::new(StatusCode::UNAUTHORIZED, "authentication_error", Some("invalid_api_key"))
}

fn looks_of_change(fault: &ChangeFault) -> Looks {
    match fault {
        ChangeFault::Unusable(_)
        | ChangeFault::HiddenId { .. }
        | ChangeFault::NoProviderForModel { .. }
        | ChangeFault::NotEditable { .. } => Looks::invalid(StatusCode::UNPROCESSABLE_ENTITY),
        ChangeFault::NoSuchClient { .. } => Looks::invalid(StatusCode::NOT_FOUND),
        ChangeFault::Exists { .. } | ChangeFault::Busy { .. } => Looks::invalid(StatusCode::CONFLICT),
        ChangeFault::NotRecorded(_) => Looks::overloaded(None),
        // Told in full: it is the operator who asked, and the cure is theirs.
        ChangeFault::System { .. } => Looks::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None),
    }
}

fn looks_of_auth(fault: &AuthFault) -> Looks {
    match fault {
        AuthFault::Invalid(_) => unauthorized(),
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
        Refusal::UnknownClient { .. } => Looks { message: Some(INVALID.to_owned()), ..unauthorized() },
        Refusal::LimitReached(denied) => looks_of_denied(denied),
        // Its provider went with a reload.
        Refusal::NoProvider { .. }
        | Refusal::Overloaded { .. }
        | Refusal::Restarting { .. }
        | Refusal::SwitchedOff { .. }
        | Refusal::ProviderFull { .. }
        | Refusal::LedgerBehind { .. }
        | Refusal::NobodyLeft
        | Refusal::Resting { is_limited: false, .. }
        | Refusal::Stopping => Looks::overloaded(retry_after),
        // The upstreams' own limits, not the client's.
        Refusal::Resting { is_limited: true, .. } => Looks {
            retry_after,
            ..Looks::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"))
        },
        // What exactly is wrong is the operator's to know: the log and the tree say it.
        Refusal::LedgerUnavailable => Looks {
            message: Some(
                "accounts cannot be written right now, so nothing is admitted; try again".to_owned(),
            ),
            ..Looks::overloaded(retry_after)
        },
    }
}

fn looks_of_denied(denied: &Denied) -> Looks {
    let limited = |code| Looks {
        retry_after: Some(denied.retry_after),
        ..Looks::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some(code))
    };
    match denied.reason {
        DenyReason::NeverFits => Looks::invalid(StatusCode::BAD_REQUEST),
        // Nothing comes back within a call's patience: SDKs should not try again by themselves.
        DenyReason::Blocked | DenyReason::Spent => {
            Looks { should_not_retry: true, ..limited("insufficient_quota") }
        }
        DenyReason::Reserved | DenyReason::Window | DenyReason::Busy => limited("rate_limit_exceeded"),
    }
}

fn bad_gateway() -> Looks {
    Looks::new(StatusCode::BAD_GATEWAY, "server_error", Some("upstream_error"))
}

fn looks_of_upstream(dialect: Dialect, provider: &str, fault: &UpstreamFault) -> Looks {
    match fault {
        UpstreamFault::NotAccounted => Looks::overloaded(None),
        UpstreamFault::Wire(_)
        | UpstreamFault::Answer(_)
        | UpstreamFault::TooLarge
        | UpstreamFault::NoEventStream
        | UpstreamFault::Undecodable => bad_gateway(),
        UpstreamFault::TimedOut { .. } => {
            Looks::new(StatusCode::GATEWAY_TIMEOUT, "server_error", Some("upstream_timeout"))
        }
        UpstreamFault::Stream(stream) => match stream {
            StreamFault::Upstream(error) => looks_of_event(dialect, provider, fault.status(), error),
            StreamFault::Malformed(_)
            | StreamFault::Unreadable(_)
            | StreamFault::OutOfOrder(_)
            | StreamFault::Truncated
            | StreamFault::Differs
            | StreamFault::FrameTooLarge { .. }
            | StreamFault::Empty => bad_gateway(),
        },
        UpstreamFault::Status { status, body, .. } => looks_of_status(dialect, provider, *status, body),
    }
}

/// An error event of a stream: as an answer with that status would look; of no status, the upstream's own words.
fn looks_of_event(
    dialect: Dialect,
    provider: &str,
    status: Option<StatusCode>,
    error: &UpstreamErrorBody,
) -> Looks {
    match status {
        Some(status) if matches!(status.as_u16(), 503 | 529) => busy_upstream(dialect, provider, status),
        Some(status) if !status.is_server_error() => looks_of_status(dialect, provider, status, error),
        _ => Looks { message: error.message.clone(), ..bad_gateway() },
    }
}

/// An upstream that says of itself that it has too much to do; Anthropic's SDKs know its 529.
fn busy_upstream(dialect: Dialect, provider: &str, status: StatusCode) -> Looks {
    Looks {
        status: if dialect == Dialect::Anthropic { status } else { StatusCode::SERVICE_UNAVAILABLE },
        message: Some(format!("provider `{provider}` is overloaded")),
        ..Looks::overloaded(None)
    }
}

/// An upstream's answer that is no success.
fn looks_of_status(dialect: Dialect, provider: &str, status: StatusCode, body: &UpstreamErrorBody) -> Looks {
    let in_our_words = || format!("provider `{provider}` answered with status {status}");
    match status.as_u16() {
        529 => busy_upstream(dialect, provider, status),
        // A fault like any other 5xx: our own 503 says that nothing was asked. Still worth another try soon.
        503 => Looks {
            message: Some(in_our_words()),
            retry_after: Some(Duration::from_secs(1)),
            ..bad_gateway()
        },
        // Its words may hold a part of our key.
        401 | 403 => Looks {
            message: Some(format!(
                "provider `{provider}` did not accept the gateway's key (status {status})"
            )),
            ..bad_gateway()
        },
        _ if passes(status) => Looks {
            status,
            kind: if status.as_u16() == 429 { "rate_limit_error" } else { "invalid_request_error" },
            code: body.code.clone(),
            param: body.param.clone(),
            message: Some(body.message.clone().unwrap_or_else(in_our_words)),
            retry_after: (status.as_u16() == 429).then_some(Duration::from_secs(1)),
            should_not_retry: false,
        },
        _ => Looks { message: Some(in_our_words()), ..bad_gateway() },
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_ledger_that_cannot_be_written_is_a_503_that_tells_nothing_of_it() {
        let fault = Fault::from(Refusal::LedgerUnavailable);
        let response = respond(Dialect::OpenAi, &fault, "req_1");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[&RETRY_AFTER_MS], "1000");
        assert_eq!(response.headers().get(&X_SHOULD_RETRY), None);
        let expected = "{\"error\":{\"message\":\"accounts cannot be written right now, so nothing is admitted; \
                        try again\",\"type\":\"server_error\",\"param\":null,\"code\":\"overloaded\"}}";
        assert_eq!(text(response).await, expected);
    }

    #[tokio::test]
    async fn a_model_without_a_price_is_refused_in_the_words_of_every_dialect() {
        let fault = Fault::NoPrice { provider: "openai".to_owned(), model: "gpt-x".to_owned() };
        let dialects = [Dialect::Seed, Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];
        for dialect in dialects {
            let response = respond(dialect, &fault, "req_1");
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            let told = body.pointer("/error/message").or(body.get("detail")).unwrap().as_str().unwrap();
            assert_eq!(
                told,
                "the client has a budget, and model `gpt-x` of provider `openai` no price; add \
                 [openai.\"gpt-x\"] with `input = …` and `output = …` (USD per million tokens) to configs/models.toml"
            );
        }
    }
}

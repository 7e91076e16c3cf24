//! Anthropic's error objects, in its own words where a client might read them.

use serde_json::json;

use crate::answer::identifier;
use crate::vendor::Refused;

pub(super) fn request_id(number: usize) -> String {
    format!("req_{}", identifier(number, "request", 24))
}

fn object(kind: &str, message: &str, number: usize) -> String {
    let error = json!({"type": kind, "message": message});
    json!({"type": "error", "error": error, "request_id": request_id(number)}).to_string()
}

pub(super) fn invalid(message: &str, number: usize) -> Refused {
    Refused { status: 400, body: object("invalid_request_error", message, number) }
}

pub(super) fn unauthorised(message: &str, number: usize) -> Refused {
    Refused { status: 401, body: object("authentication_error", message, number) }
}

pub(super) fn not_found(what: &str, number: usize) -> Refused {
    Refused { status: 404, body: object("not_found_error", what, number) }
}

/// The error body that goes with a status.
pub(crate) fn error_for(status: u16, number: usize) -> String {
    let (kind, message) = match status {
        400 => ("invalid_request_error", "prompt is too long: 210001 tokens > 200000 maximum"),
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "Your credit balance is too low to access the Anthropic API."),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", "model: claude-instant-1"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => (
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 400,000 input tokens per minute.",
        ),
        504 => ("timeout_error", "The request timed out"),
        503 | 529 => ("overloaded_error", "Overloaded"),
        500.. => ("api_error", "Internal server error"),
        _ => ("invalid_request_error", "Something is wrong with this request"),
    };
    object(kind, message, number)
}

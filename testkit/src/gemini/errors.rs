//! Gemini's error objects, in its own words where a client might read them.

use serde_json::{Value, json};

use crate::vendor::Refused;

fn object(status: u16, name: &str, message: &str, details: Value) -> String {
    let mut error = json!({"code": status, "message": message, "status": name});
    if !details.is_null() {
        error["details"] = details;
    }
    json!({ "error": error }).to_string()
}

pub(super) fn invalid(message: &str) -> Refused {
    Refused { status: 400, body: object(400, "INVALID_ARGUMENT", message, Value::Null) }
}

pub(super) fn no_key() -> Refused {
    let message = "Method doesn't allow unregistered callers (callers without established identity). \
                   Please use API Key or other form of API consumer identity to call this API.";
    Refused { status: 403, body: object(403, "PERMISSION_DENIED", message, Value::Null) }
}

pub(super) fn wrong_key() -> Refused {
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }]);
    let message = "API key not valid. Please pass a valid API key.";
    Refused { status: 400, body: object(400, "INVALID_ARGUMENT", message, details) }
}

pub(super) fn no_such_model(model: &str) -> Refused {
    let message = format!(
        "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call \
         ListModels to see the list of available models and their supported methods."
    );
    Refused { status: 404, body: object(404, "NOT_FOUND", &message, Value::Null) }
}

pub(super) fn no_such_page(path: &str) -> Refused {
    let message = format!("Requested entity was not found: {path}");
    Refused { status: 404, body: object(404, "NOT_FOUND", &message, Value::Null) }
}

/// The error body that goes with a status.
pub(crate) fn error_for(status: u16) -> String {
    let (name, message) = match status {
        400 => (
            "INVALID_ARGUMENT",
            "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        ),
        401 => ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
        403 => ("PERMISSION_DENIED", "The caller does not have permission"),
        404 => return no_such_model("gemini-1.0-pro").body,
        429 => ("RESOURCE_EXHAUSTED", "You exceeded your current quota. Please retry in 1.2s."),
        499 => ("CANCELLED", "The operation was cancelled."),
        501 => ("UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
        504 => ("DEADLINE_EXCEEDED", "The request timed out. Please try again."),
        503 | 529 => {
            return object(
                503,
                "UNAVAILABLE",
                "The model is overloaded. Please try again later.",
                Value::Null,
            );
        }
        500.. => ("INTERNAL", "An internal error has occurred."),
        _ => ("FAILED_PRECONDITION", "Something is wrong with this request"),
    };
    let details = match status {
        429 => json!([
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{
                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                    "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
                    "quotaValue": "10",
                }],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.2s"},
        ]),
        _ => Value::Null,
    };
    object(status, name, message, details)
}

/// The event by which an interaction says that it is overloaded.
pub(crate) fn overloaded_event() -> String {
    let error = json!({"code": "unavailable", "message": "The model is overloaded. Please try again later."});
    json!({"event_type": "error", "error": error}).to_string()
}

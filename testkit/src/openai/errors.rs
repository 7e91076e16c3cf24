//! OpenAI's error objects, in its own words where a client might read them.

use serde_json::Value;

use crate::vendor::Refused;

fn object(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> String {
    let quoted = |text: Option<&str>| text.map_or(Value::Null, Value::from).to_string();
    format!(
        "{{\"error\":{{\"message\":{},\"type\":{},\"param\":{},\"code\":{}}}}}",
        quoted(Some(message)),
        quoted(Some(kind)),
        quoted(param),
        quoted(code),
    )
}

fn invalid(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Refused {
    Refused { status, body: object(message, "invalid_request_error", param, code) }
}

pub(super) fn no_key() -> Refused {
    let message = "You didn't provide an API key. You need to provide your API key in an \
                   Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
    invalid(401, message, None, None)
}

/// The real one shows both ends of the key, so a gateway that passes it on leaks them.
pub(super) fn wrong_key(key: &str) -> Refused {
    let letters: Vec<char> = key.chars().collect();
    let shown = match letters.len() {
        ..12 => key.to_owned(),
        n => {
            let ends = [&letters[..7], &['*'; 8], &letters[n - 4..]];
            ends.concat().into_iter().collect()
        }
    };
    let message = format!(
        "Incorrect API key provided: {shown}. You can find your API key at \
         https://platform.openai.com/account/api-keys."
    );
    invalid(401, &message, None, Some("invalid_api_key"))
}

pub(super) fn no_such_url(method: &str, path: &str) -> Refused {
    invalid(404, &format!("Invalid URL ({method} {path})"), None, None)
}

pub(super) fn method(method: &str, path: &str) -> Refused {
    let message = format!(
        "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    );
    invalid(405, &message, None, Some("method_not_supported"))
}

pub(super) fn no_such_model(model: &str) -> Refused {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    invalid(404, &message, None, Some("model_not_found"))
}

pub(super) fn not_json() -> Refused {
    let message = "We could not parse the JSON body of your request. (HINT: This likely means \
                   you aren't using your HTTP library correctly.)";
    invalid(400, message, None, None)
}

pub(super) fn no_model() -> Refused {
    invalid(400, "you must provide a model parameter", None, None)
}

pub(super) fn missing(member: &str) -> Refused {
    let message = format!("Missing required parameter: '{member}'.");
    invalid(400, &message, Some(member), Some("missing_required_parameter"))
}

pub(super) fn empty_array(member: &str) -> Refused {
    let message = format!(
        "Invalid '{member}': empty array. Expected an array with minimum length 1, but got an empty \
         array instead."
    );
    invalid(400, &message, Some(member), Some("empty_array"))
}

pub(super) fn gone(kind: &str, id: &str) -> Refused {
    let message = format!("{kind} with id '{id}' not found.");
    invalid(404, &message, None, None)
}

pub(super) fn background_without_store() -> Refused {
    let message = "Background mode requires 'store' to be true.";
    invalid(400, message, Some("background"), Some("invalid_value"))
}

pub(super) fn not_in_background() -> Refused {
    let message = "Cannot cancel a synchronous response.";
    invalid(400, message, None, None)
}

pub(super) fn max_tokens() -> Refused {
    let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                   'max_completion_tokens' instead.";
    invalid(400, message, Some("max_tokens"), Some("unsupported_parameter"))
}
/// The error that OpenAI sends when it is overloaded; also what stands in a stream's error event.
pub(crate) fn overloaded() -> String {
    let message = "The server had an error while processing your request. Sorry about that!";
    object(message, "server_error", None, None)
}

/// The same as Responses' event.
pub(crate) fn overloaded_event(sequence: usize) -> String {
    let message = "The server had an error while processing your request. Sorry about that!";
    let message = Value::from(message);
    format!(
        "{{\"type\":\"error\",\"sequence_number\":{sequence},\"code\":\"server_error\",\
         \"message\":{message},\"param\":null}}"
    )
}

/// The error body that goes with a status.
pub(crate) fn error_for(status: u16) -> String {
    let (message, kind, param, code) = match status {
        400 => (
            "This model's maximum context length is 128000 tokens. However, your messages resulted \
             in 130001 tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            Some("messages"),
            Some("context_length_exceeded"),
        ),
        401 => return wrong_key("sk-proj-0123456789abcdef").body,
        403 => (
            "You are not allowed to sample from this model",
            "invalid_request_error",
            None,
            Some("permission_denied"),
        ),
        404 => return no_such_model("gpt-3.5-turbo").body,
        429 => (
            "Rate limit reached for gpt-5.4-nano in organization org-fakeupstream0000000000 on \
             requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 850ms.",
            "requests",
            None,
            Some("rate_limit_exceeded"),
        ),
        503 => (
            "The engine is currently overloaded, please try again later",
            "server_error",
            None,
            Some("engine_overloaded"),
        ),
        500.. => return overloaded(),
        _ => ("Something is wrong with this request", "invalid_request_error", None, None),
    };
    object(message, kind, param, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_an_object_with_the_four_members() {
        for status in 400..600 {
            let body: Value = serde_json::from_str(&error_for(status)).unwrap();
            let members = body["error"].as_object().unwrap();
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            assert_eq!(names.len(), 4, "{status}: {names:?}");
        }
    }
}

//! What goes wrong at an upstream, in the client's protocol.

use gateway_testkit::Reply;
use gateway_testkit::raw_client::Answer;
use serde_json::{Value, json};

use super::pairs;
use crate::surfaces::{Api, MODELS, Site, question};

/// The error of an answer that is one, checked for the shape of its protocol.
fn error(api: Api, answer: &Answer) -> Value {
    let body = answer.json();
    let error = body["error"].clone();
    let members: Vec<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
    match api {
        Api::Chat | Api::Responses => {
            assert_eq!(members, ["message", "type", "param", "code"], "{body}");
            assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        }
        Api::Messages => {
            assert_eq!(members, ["type", "message"], "{body}");
            assert_eq!(body["type"], "error");
            assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
        }
        Api::Gemini => {
            assert_eq!(members, ["code", "message", "status"], "{body}");
            assert_eq!(error["code"], answer.status);
        }
    }
    error
}

#[tokio::test]
async fn an_upstreams_refusal_keeps_its_status_and_words() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        for status in [400, 404, 413, 422] {
            let case = format!("{api:?} over {model}, stream {stream}, {status}");
            let ask = question(api, model, stream, json!({}));
            let (answer, seen) = site.ask(Reply::error(status), &ask).await;
            assert_eq!(answer.status, status, "{case}: {}", answer.text());
            let theirs: Value = serde_json::from_slice(&seen.answer_body().await).unwrap();
            let ours = error(api, &answer);
            assert_eq!(ours["message"], theirs["error"]["message"], "{case}");
            let kind = match (api, status) {
                (Api::Messages, 404) => "not_found_error",
                (Api::Messages, 413) => "request_too_large",
                (Api::Gemini, 404) => "NOT_FOUND",
                (Api::Gemini, _) => "INVALID_ARGUMENT",
                _ => "invalid_request_error",
            };
            assert_eq!(ours[if api == Api::Gemini { "status" } else { "type" }], kind, "{case}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_full_upstream_says_when_to_come_again_in_every_protocol() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let reply = Reply::error(429).header("retry-after", "7");
        let (answer, _) = site.ask(reply, &question(api, model, stream, json!({}))).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, Some("7")),
            "{case}: {}",
            answer.text()
        );
        assert!(answer.header("retry-after-ms").is_some(), "{case}");
        let ours = error(api, &answer);
        let kind = match api {
            Api::Gemini => ours["status"] == "RESOURCE_EXHAUSTED",
            _ => ours["type"] == "rate_limit_error",
        };
        assert!(kind, "{case}: {ours}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_overloaded_upstream_is_529_on_messages_and_503_elsewhere() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let (answer, _) = site.ask(Reply::error(529), &question(api, model, stream, json!({}))).await;
        let shown = if api == Api::Messages { 529 } else { 503 };
        assert_eq!(answer.status, shown, "{api:?} over {model}: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
        let ours = error(api, &answer);
        match api {
            Api::Messages => assert_eq!(ours["type"], "overloaded_error"),
            Api::Gemini => assert_eq!(ours["status"], "UNAVAILABLE"),
            _ => {
                assert_eq!((&ours["type"], &ours["code"]), (&"server_error".into(), &"overloaded".into()))
            }
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn our_own_key_and_the_upstreams_faults_are_a_502_that_tells_nothing() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        for status in [401, 403, 500, 502, 503] {
            let (answer, _) = site.ask(Reply::error(status), &question(api, model, stream, json!({}))).await;
            assert_eq!(answer.status, 502, "{api:?} over {model}, {status}: {}", answer.text());
            error(api, &answer);
            for secret in ["sk-", "organization", "x-api-key"] {
                assert!(!answer.text().contains(secret), "{}", answer.text());
            }
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c19_an_error_in_a_200_is_an_error_in_every_protocol() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = |answer: &Answer| format!("{api:?} over {model}, stream {stream}: {}", answer.text());
        let ask = question(api, model, stream, json!({}));
        for reply in [Reply::error_in_200(), Reply::empty(), Reply::null(), Reply::html()] {
            let (answer, _) = site.ask(reply, &ask).await;
            assert!(matches!(answer.status, 502 | 503 | 529), "{}", case(&answer));
            error(api, &answer);
        }
        if stream {
            for reply in [
                Reply::error_event(),
                Reply::sse(""),
                Reply::stream(["a"]).error_event_after(0),
                Reply::stream(["a"]).clean_cut_after(0),
                Reply::stream(["a"]).malformed_event_after(0),
            ] {
                let (answer, _) = site.ask(reply, &ask).await;
                assert!(matches!(answer.status, 502 | 503 | 529), "{}", case(&answer));
                error(api, &answer);
            }
        }
    }
    assert_eq!(site.gateway.tokens_used("ada").await, 0);
    site.ends().await;
}

#[tokio::test]
async fn a_body_that_is_no_request_is_a_400_in_every_protocol_and_costs_nothing() {
    let site = Site::start().await;
    for (api, model) in Api::ALL.into_iter().flat_map(|api| MODELS.map(|model| (api, model))) {
        let path = crate::surfaces::path(api, model, false);
        for body in ["", "{", "[]", "null", "\"hi\"", "{\"model\": 7}"] {
            let answer = site.gateway.ask(&crate::surfaces::post("ada", &path, body)).await;
            if (api, body) == (Api::Gemini, "{\"model\": 7}") {
                // The model is in the path.
                continue;
            }
            assert_eq!(answer.status, 400, "{api:?} over {model}, `{body}`: {}", answer.text());
            error(api, &answer);
        }
        let none = question(api, "model-of-nobody/x", false, json!({}));
        let answer = site.gateway.ask(&none).await;
        assert_eq!(answer.status, 404, "{api:?}: {}", answer.text());
        error(api, &answer);
    }
    assert_eq!(site.gateway.tokens_used("ada").await, 0);
    assert_eq!(site.upstream.requests(), 0);
    site.ends().await;
}

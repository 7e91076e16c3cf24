//! Gemini's generateContent over Gemini.

use std::time::Duration;

use gateway_testkit::raw_client::Request;
use gateway_testkit::reply::UsageStyle;
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Api, CLAUDE, GEMINI, GPT, MODELS, Site, Told, get, post, question, told, tools};

const ODD: &str = "{ \"zeta\": 9007199254740993,\n\"contents\":[{\"parts\":[{\"text\":\"\\u0041 \u{1f600}\",\"weight\":1.0}],\
    \"role\":\"user\"},{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"id\":9007199254740993}},\
    \"thoughtSignature\":\"CpkB+/=\"}]},{\"role\":\"user\",\"parts\":[{\"function_response\":{\"name\":\"f\",\"response\":{}}}]}],\
    \"safety_settings\":[ ],\"x\":null, \"generationConfig\":{\"max_output_tokens\": 4000,\"topK\":5.0},\"tools\":[{\"googleSearch\":{}}] }\n";

fn at(method: &str) -> String {
    format!("/v1beta/models/{GEMINI}:{method}")
}

#[tokio::test]
async fn a_request_reaches_gemini_byte_for_byte_with_our_key_alone() {
    let site = Site::start().await;
    let ask = Request::post(&at("generateContent")).header("x-goog-api-key", "key-ada").body(ODD);
    let (answer, seen) = site.ask(Reply::text("ok"), &ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((seen.path(), seen.query()), (at("generateContent").as_str(), ""));
    assert_eq!(seen.body(), ODD);
    assert_eq!(seen.headers().all("x-goog-api-key"), ["sk-test-upstream-key"]);
    assert!(seen.header("authorization").is_none());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_key_in_the_query_does_not_reach_the_upstream() {
    let site = Site::start().await;
    let ask = Request::post(&format!("{}?key=key-ada", at("generateContent"))).body(ODD);
    let answer = site.gateway.ask(&ask).await;
    // Whether it lets the client in or not: it goes nowhere.
    assert!(matches!(answer.status, 401 | 200), "{}", answer.text());
    if answer.status == 200 {
        assert!(!site.upstream.request(0).query().contains("key-ada"));
    } else {
        assert_eq!(answer.json()["error"]["status"], "UNAUTHENTICATED");
        assert_eq!(site.upstream.requests(), 0);
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_whole_answer_and_a_stream_are_the_upstreams_bytes() {
    let site = Site::start().await;
    let said = || Reply::stream(["Hel", "lo \u{1f600}"]).reasoning(["hm, ", "so"]).tokens(20, 9).cached(5, 0);
    for reply in [
        said(),
        said().split_every(1),
        said().gzip(),
        said().usage(UsageStyle::BesideChoices),
        said().usage(UsageStyle::WithoutChoices),
        said().insert_after(2, "data: {\"novel\":9007199254740993}\n\n"),
        Reply::tool_calls([("look_up", "{\"id\":9007199254740993}"), ("nothing", "")]),
        Reply::escaped(["\\ud83d", "\\ude00", "\\ud83d"]),
        Reply::blocked().tokens(4, 0),
    ] {
        let shown = format!("{reply:?}");
        let is_whole = !shown.contains("novel");
        for (stream, path) in [(false, at("generateContent")), (true, at("streamGenerateContent?alt=sse"))] {
            if !stream && !is_whole {
                continue;
            }
            let (answer, seen) = site.ask(reply.clone(), &post("ada", &path, ODD)).await;
            assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
            assert_eq!(seen.query(), if stream { "alt=sse" } else { "" });
            if !shown.contains("Gzip") {
                let written = seen.answer_body().await;
                assert_eq!(answer.text(), String::from_utf8_lossy(&written), "{shown}, stream {stream}");
            }
            assert!(answer.header("content-encoding").is_none());
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_stream_without_alt_sse_is_one_array_whoever_serves_the_model() {
    let site = Site::start().await;
    for model in MODELS {
        let ask = |members: Value| {
            let whole = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
            post(
                "ada",
                &format!("/v1beta/models/{model}:streamGenerateContent"),
                super::merged(&[whole, members]),
            )
        };
        let (answer, _) =
            site.ask(Reply::stream(["Hel", "lo ", "there"]).split_every(5), &ask(json!({}))).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{model}"
        );
        let said = told::gemini::array(&answer.body);
        assert_eq!((&*said.text, said.ended), ("Hello there", true), "{model}: {}", answer.text());

        let calls = [("look_up", "{\"text\":\"a\"}"), ("nothing", "{}")];
        let (answer, _) =
            site.ask(Reply::tool_calls(calls), &ask(tools(Api::Gemini, &["look_up", "nothing"]))).await;
        assert_eq!(told::gemini::array(&answer.body).called(), calls, "{model}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_array_that_breaks_is_still_an_array_and_its_last_element_the_error() {
    let site = Site::start().await;
    for model in MODELS {
        let ask = post(
            "ada",
            &format!("/v1beta/models/{model}:streamGenerateContent"),
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        );
        for reply in [
            Reply::stream(["Hel", "lo ", "there"]).cut_after(2),
            Reply::stream(["Hel", "lo ", "there"]).error_event_after(2),
            Reply::stream(["Hel", "lo ", "there"]).malformed_event_after(2),
        ] {
            let (answer, _) = site.ask(reply, &ask).await;
            let said = told::gemini::array(&answer.body);
            assert_eq!(
                (&*said.text, said.errors.len(), said.ended),
                ("Hello ", 1, false),
                "{model}: {}",
                answer.text()
            );
        }
        let (answer, _) = site.ask(Reply::error(429), &ask).await;
        assert_eq!((answer.status, &answer.json()["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    }
    site.ends().await;
}

#[tokio::test(start_paused = true)]
async fn c21_a_silent_array_is_kept_alive_by_white_space() {
    let site = Site::start().await;
    for model in MODELS {
        for reply in [
            Reply::stream(["a", "b"]).gap(Duration::from_secs(60)),
            Reply::stream(["a", "b"]).after(Duration::from_secs(60)),
        ] {
            site.upstream.script(reply);
            let mut client = site.gateway.connect().await;
            let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
            let path = format!("/v1beta/models/{model}:streamGenerateContent");
            client.send(&post("ada", &path, body)).await;
            assert_eq!(client.head().await.status, 200);
            let (mut last, mut whole) = (Instant::now(), Vec::new());
            while let Some(data) = client.next_data().await {
                assert!(last.elapsed() <= Duration::from_secs(15), "{model}: {:?}", last.elapsed());
                last = Instant::now();
                whole.extend_from_slice(&data);
            }
            let said = told::gemini::array(&whole);
            assert_eq!((&*said.text, said.ended), ("ab", true), "{model}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_bounded_by_us() {
    let site = Site::start().await;
    let counted = "{ \"totalTokens\": 77 }";
    let (answer, seen) =
        site.ask(Reply::body("application/json", counted), &post("ada", &at("countTokens"), ODD)).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, counted));
    assert_eq!((seen.path(), seen.body().as_ref()), (at("countTokens").as_str(), ODD.as_bytes()));
    let long = "word ".repeat(1000);
    for model in [GPT, CLAUDE] {
        let body = json!({"contents": [{"parts": [{"text": long}]}]});
        let answer =
            site.gateway.ask(&post("ada", &format!("/v1beta/models/{model}:countTokens"), body)).await;
        let tokens = answer.json()["totalTokens"].as_u64().unwrap();
        assert!((900..6000).contains(&tokens), "{model}: {tokens}");
    }
    assert_eq!((site.upstream.requests(), site.gateway.tokens_used("ada").await), (1, 0));
    site.ends().await;
}

#[tokio::test]
async fn tuned_models_and_aliases_are_asked_where_they_are() {
    let site = Site::with(
        "[models.\"fast\"]\ntargets = [\"gemini/gemini-3-test\"]\n[models.\"mine\"]\ntargets = [\"gemini/tunedModels/my-model\"]\n",
        "",
    )
    .await;
    for (asked, path) in [
        ("fast", "/v1beta/models/gemini-3-test:generateContent"),
        ("gemini/gemini-3-test", "/v1beta/models/gemini-3-test:generateContent"),
        ("mine", "/v1beta/tunedModels/my-model:generateContent"),
    ] {
        let ask = post("ada", &format!("/v1beta/models/{asked}:generateContent"), ODD);
        let (answer, seen) = site.ask(Reply::text("ok"), &ask).await;
        assert_eq!((answer.status, seen.path()), (200, path), "{asked}: {}", answer.text());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c13_a_calls_signature_comes_back_through_every_protocol() {
    let site = Site::start().await;
    for stream in [false, true] {
        let offered = tools(Api::Chat, &["look_up"]);
        let ask = question(Api::Chat, GEMINI, stream, offered.clone());
        let (answer, _) = site.ask(Reply::tool_calls([("look_up", "{}")]).checked(), &ask).await;
        let told = Told::of(Api::Chat, stream, &answer);
        let call = &told.calls[0];
        let signature = call.signature.as_deref().expect("extra_content.google.thought_signature");
        let next = |signature: Option<&str>| {
            let mut shown = json!({"id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}});
            if let Some(signature) = signature {
                shown["extra_content"] = json!({"google": {"thought_signature": signature}});
            }
            let messages = json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": [shown]},
                {"role": "tool", "tool_call_id": call.id, "content": "42"}]});
            question(Api::Chat, GEMINI, stream, super::merged(&[offered.clone(), messages]))
        };
        let demanding = || Reply::text("I see").checked().demanding_signatures();
        let (answer, seen) = site.ask(demanding(), &next(Some(signature))).await;
        assert_eq!(Told::of(Api::Chat, stream, &answer).text, "I see");
        assert!(String::from_utf8_lossy(seen.body()).contains(signature));
        // A client that drops it gets the documented value that skips the check.
        let (answer, seen) = site.ask(demanding(), &next(None)).await;
        assert_eq!(Told::of(Api::Chat, stream, &answer).text, "I see");
        assert!(String::from_utf8_lossy(seen.body()).contains("skip_thought_signature_validator"));
    }
    site.ends_in_agreement().await;
}

/// Where the operator wants none to stand in, the upstream's own refusal comes back.
#[tokio::test]
async fn c13_a_lost_signature_is_a_clear_400_where_nothing_stands_in_for_it() {
    let upstream = FakeUpstream::start().await;
    let strict = format!(
        "[providers.strict]\nkind = \"gemini\"\nbase_url = \"{}/v1beta\"\napi_key_env = \"TEST_KEY\"\nmissing_signature = \"\"\n",
        upstream.origin()
    );
    let gateway = Site::builder(&upstream, &strict, "").start().await;
    let call = json!({"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}});
    let messages = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"}]});
    let ask = super::merged(&[tools(Api::Chat, &["look_up"]), messages]);
    upstream.script(Reply::text("I see").checked().demanding_signatures());
    let answer = gateway.ask(&question(Api::Chat, "strict/gemini-3-test", false, ask)).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("signature"), "{}", answer.text());
    assert!(!String::from_utf8_lossy(upstream.request(0).body()).contains("skip_thought"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn whatever_is_below_v1beta_is_answered_in_geminis_words() {
    let site = Site::start().await;
    for (request, status, word) in [
        (get("ada", "/v1beta/nothing"), 404, "NOT_FOUND"),
        (post("ada", "/v1beta/models/gemini-3-test:embedContent", "{}"), 404, "NOT_FOUND"),
        (post("ada", "/v1beta/models/gemini-3-test", "{}"), 405, "INVALID_ARGUMENT"),
        (post("ada", "/v1beta/models/..%2Fx:generateContent", "{}"), 400, "INVALID_ARGUMENT"),
        (post("ada", &at("generateContent"), "{"), 400, "INVALID_ARGUMENT"),
        (post("nobody", &at("generateContent"), "{}"), 401, "UNAUTHENTICATED"),
        (get("ada", "/v1beta/models/nobody-has-this"), 404, "NOT_FOUND"),
    ] {
        let answer = site.gateway.ask(&request).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]["status"]), (status, &json!(word)), "{request:?}: {body}");
        assert_eq!(body["error"]["code"], status);
    }
    site.ends_in_agreement().await;
}

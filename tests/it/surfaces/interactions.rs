//! Gemini's interactions over Gemini, and what it keeps of them.

use std::time::Duration;

use gateway_testkit::raw_client::Request;
use gateway_testkit::reply::{LineEnd, UsageStyle};
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use super::{CLAUDE, GEMINI, GPT, Site, get, post};

const ODD: &str = "{ \"zeta\": 9007199254740993, \"model\" :\"gemini-3-test\",\n\"input\":[{\"type\":\"user_input\",\"content\":\
    [{\"type\":\"text\",\"text\":\"\\u0041 \u{1f600}\",\"w\":1.0}]}],\"generation_config\":{\"max_output_tokens\":4000},\
    \"x\":null,\"tools\":[{\"type\":\"google_search\"}], \"alpha\":[ ] }\n";

const PATH: &str = "/v1beta/interactions";

fn asked(client: &str, members: Value) -> Request {
    let mut body = json!({"model": GEMINI, "input": "hi"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    post(client, PATH, body)
}

fn delete(client: &str, path: &str) -> Request {
    Request::new("DELETE", path).header("authorization", &format!("Bearer key-{client}"))
}

/// The data of the events, of which the last is `[DONE]` where the stream ended well.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

#[tokio::test]
async fn requests_and_answers_pass_byte_for_byte() {
    let site = Site::start().await;
    let said = || Reply::stream(["Hel", "lo"]).reasoning(["hm"]).tokens(20, 9).cached(5, 0);
    for reply in [
        said(),
        said().line_ends(LineEnd::CrLf).split_every(1),
        said().comments("hello"),
        said().insert_after(1, "event: novel\ndata: {\"event_type\":\"novel\",\"n\":9007199254740993}\n\n"),
        Reply::tool_calls([("a", "{\"id\":9007199254740993}"), ("b", "{}")]),
        Reply::cut_by_cap("one two"),
        Reply::blocked().tokens(4, 0),
        Reply::escaped(["\\ud83d", "\\ude00"]),
    ] {
        let shown = format!("{reply:?}");
        let streamed = ODD.replacen("{ ", "{ \"stream\":true, ", 1);
        let (answer, seen) =
            site.ask(reply.clone(), &post("ada", &format!("{PATH}?alt=sse"), &streamed)).await;
        assert_eq!((seen.path(), seen.query(), seen.body().as_ref()), (PATH, "", streamed.as_bytes()));
        assert_eq!(seen.headers().all("x-goog-api-key"), ["sk-test-upstream-key"]);
        let written = seen.answer_body().await;
        assert_eq!(answer.text(), String::from_utf8_lossy(&written), "{shown}");
        assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
        if !shown.contains("novel") {
            let (answer, seen) = site.ask(reply.clone(), &post("ada", PATH, ODD)).await;
            assert_eq!(seen.body(), ODD);
            assert_eq!(answer.body, seen.answer_body().await, "{shown}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn the_ledger_has_what_gemini_reported_and_counts_where_it_reported_nothing() {
    let site = Site::start().await;
    for stream in [false, true] {
        let reply = Reply::text("ok").reasoning(["hm"]).tokens(30, 12).cached(10, 0);
        let (answer, _) = site.ask(reply, &asked("ada", json!({"stream": stream}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let row = site.booked("gemini", 2).await;
    let counts = ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "tokens"];
    let counts = counts.map(|name| row[name].as_u64().unwrap());
    assert_eq!(counts, [40, 20, 22, 2, 84], "{row}");
    for stream in [false, true] {
        let reply = Reply::text("some words of an answer").usage(UsageStyle::Never);
        site.ask(reply, &asked("bob", json!({"stream": stream}))).await;
    }
    assert!(site.gateway.tokens_used("bob").await > 2 * 4);
    site.ends().await;
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_the_error_event_of_interactions() {
    let site = Site::start().await;
    for reply in
        [Reply::stream(["a", "b", "c"]).cut_after(2), Reply::stream(["a", "b", "c"]).error_event_after(2)]
    {
        let (answer, _) = site.ask(reply, &asked("ada", json!({"stream": true}))).await;
        let events = events(&answer.text());
        let last = events.last().unwrap();
        assert_eq!(last["event_type"], "error", "{}", answer.text());
        assert_eq!(last["error"]["code"], "unavailable", "{last}");
        assert!(answer.text().contains("event: error\n"));
        assert!(!answer.text().contains("[DONE]"));
    }
    site.ends().await;
}

#[tokio::test]
async fn an_error_before_content_keeps_its_status_in_geminis_form() {
    let site = Site::start().await;
    for (reply, status, word) in [
        (Reply::error(429), 429, "RESOURCE_EXHAUSTED"),
        (Reply::error(400), 400, "INVALID_ARGUMENT"),
        (Reply::error_event(), 503, "UNAVAILABLE"),
        (Reply::html(), 502, "UNAVAILABLE"),
    ] {
        let (answer, _) = site.ask(reply, &asked("ada", json!({"stream": true}))).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["status"]),
            (status, &json!(word)),
            "{}",
            answer.text()
        );
    }
    site.ends().await;
}

#[tokio::test]
async fn a_late_error_is_an_event_of_interactions_too() {
    let site = Site::with("[timeouts]\nhold_back = \"20ms\"\n", "").await;
    let reply = Reply::error_event().first_piece_after(Duration::from_millis(200));
    let (answer, _) = site.ask(reply, &asked("ada", json!({"stream": true}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().starts_with(": keep-alive"), "{}", answer.text());
    assert_eq!(events(&answer.text()).last().unwrap()["event_type"], "error", "{}", answer.text());
    site.ends().await;
}

#[tokio::test]
async fn an_interaction_is_its_owners_alone() {
    let site = Site::start().await;
    for stream in [false, true] {
        let (answer, _) = site.ask(Reply::real(), &asked("ada", json!({"stream": stream}))).await;
        let id = match stream {
            true => events(&answer.text())[0]["interaction"]["id"].clone(),
            false => answer.json()["id"].clone(),
        };
        let id = id.as_str().unwrap();
        let path = |rest: &str| format!("{PATH}/{id}{rest}");
        let before = site.upstream.requests();
        for request in [
            get("bob", &path("")),
            delete("bob", &path("")),
            post("bob", &path("/cancel"), ""),
            asked("bob", json!({"previous_interaction_id": id})),
            asked("bob", json!({"previousInteractionId": id})),
            get("ada", &format!("{PATH}/v1_of_nobody")),
            get("ada", &format!("{PATH}/{id}/../v1_of_bob")),
            get("ada", &path("/novel")),
            get("ada", &path("/")),
        ] {
            let answer = site.gateway.ask(&request).await;
            assert_eq!(
                (answer.status, &answer.json()["error"]["status"]),
                (404, &json!("NOT_FOUND")),
                "{request:?}"
            );
        }
        assert_eq!(site.upstream.requests(), before, "the upstream is not asked");

        let answer = site.gateway.ask(&get("ada", &path("?include_input=true&key=sk-other"))).await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)), "{}", answer.text());
        let seen = site.upstream.request(before);
        assert_eq!((seen.method(), seen.path(), seen.query()), ("GET", &*path(""), "include_input=true"));
        let replayed = site.gateway.ask(&get("ada", &path("?stream=true"))).await;
        assert_eq!(events(&replayed.text()).last(), Some(&json!("[DONE]")), "{}", replayed.text());
        assert!(replayed.header("content-type").unwrap().starts_with("text/event-stream"));
        let answer = site.gateway.ask(&post("ada", &path("/cancel"), "")).await;
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (200, &json!("cancelled")),
            "{}",
            answer.text()
        );
        assert_eq!(site.gateway.ask(&delete("ada", &path(""))).await.status, 200);
        let on = asked("ada", json!({"stream": stream, "previous_interaction_id": id}));
        let (answer, seen) = site.ask(Reply::real(), &on).await;
        assert_eq!(
            (answer.status, &seen.json()["previous_interaction_id"]),
            (200, &json!(id)),
            "{}",
            answer.text()
        );
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_is_made_in_the_background_comes_to_what_was_reserved() {
    let site = Site::start().await;
    let members = json!({"background": true, "generation_config": {"max_output_tokens": 500}});
    let (answer, _) = site.ask(Reply::text("later"), &asked("ada", members)).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("in_progress")), "{}", answer.text());
    let reserved = site.gateway.limits("ada").await.tokens_per_day.unwrap().reserved;
    assert!((501..600).contains(&reserved), "{reserved}");
    // Nobody will hear of it any more.
    let path = format!("/v1beta/interactions/{}", answer.json()["id"].as_str().unwrap());
    assert_eq!(site.gateway.ask(&delete("ada", &path)).await.status, 200);
    assert_eq!(site.gateway.tokens_used("ada").await, reserved);
    site.ends().await;
}

#[tokio::test]
async fn only_a_model_of_geminis_own_is_asked_and_within_the_clients_limits() {
    let upstream = FakeUpstream::start().await;
    let gateway = Site::builder(&upstream, "", "")
        .client("eve", json!({"max_tokens_limit": 100, "max_tokens_policy": "clamp"}))
        .client("max", json!({"allowed_endpoints": ["messages"]}))
        .start()
        .await;
    for model in [GPT, CLAUDE] {
        let answer = gateway.ask(&asked("eve", json!({"model": model}))).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("has no interactions"), "{}", answer.text());
    }
    for members in [json!({"model": null}), json!({"agent": "deep-research"})] {
        let answer = gateway.ask(&asked("eve", members)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert_eq!(gateway.ask(&asked("max", json!({}))).await.status, 403);
    assert_eq!(upstream.requests(), 0);
    for (config, sent) in [
        (json!(null), json!({"max_output_tokens": 100})),
        (json!({"max_output_tokens": 900, "seed": 1}), json!({"max_output_tokens": 100, "seed": 1})),
    ] {
        upstream.script(Reply::text("ok"));
        let answer = gateway.ask(&asked("eve", json!({"generation_config": config}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.request(upstream.requests() - 1).json()["generation_config"], sent);
    }
    gateway.ends_quiet().await;
    upstream.finish();
}

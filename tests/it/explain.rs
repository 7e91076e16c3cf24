//! Why a request was answered so: its trail, the list of the last requests, and the live view.

mod dropped;
mod refused;

use gateway_testkit::events::Event;
use gateway_testkit::raw_client::Request;
use gateway_testkit::test_gateway::chat_with;
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request};
use serde_json::{Value, json};

/// Stands in every prompt, and must stand nowhere else.
const PROMPT: &str = "the prompt of this test";

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

async fn gateway() -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({}))
        .client("bob", json!({"rate_limit": {"requests_per_minute": 0}}))
        .start()
        .await;
    (upstream, gateway)
}

/// The whole trail of the request that was answered with this id.
async fn trail(gateway: &TestGateway, id: &str) -> Value {
    gateway.admin(&format!("/admin/requests/{id}")).await
}

async fn listed(gateway: &TestGateway, query: &str) -> Vec<Value> {
    let list = gateway.admin(&format!("/admin/requests?{query}")).await;
    list["requests"].as_array().unwrap().clone()
}

fn steps(trail: &Value) -> Vec<&str> {
    trail["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_request_is_explained_decision_by_decision() {
    let (upstream, gateway) = gateway().await;
    upstream.script(Reply::text("hello").tokens(11, 3));
    let request = chat_request("ada", PROMPT, false).header("x-request-id", "mine-1");
    let answer = gateway.ask(&request).await;
    gateway.is_quiet().await;
    let trail = trail(&gateway, answer.header("x-request-id").unwrap()).await;
    let expected = [
        "routed",
        "known",
        "body_read",
        "asked",
        "targets",
        "admitted",
        "leased",
        "committed",
        "settled",
        "answered",
    ];
    assert_eq!(steps(&trail), expected, "{trail:#}");
    for (member, value) in [
        ("client", json!("ada")),
        ("client_request_id", json!("mine-1")),
        ("endpoint", json!("chat/completions")),
        ("provider", json!("openai")),
        ("upstream_model", json!("gpt-test")),
        ("status", json!(200)),
        ("ending", json!("answered")),
        ("attempts", json!(1)),
        ("grade", json!("reported")),
        ("steps_left_out", json!(0)),
    ] {
        assert_eq!(trail[member], value, "{member}");
    }
    assert_eq!((&trail["usage"]["input"], &trail["usage"]["output"]), (&json!(11), &json!(3)));
    let times: Vec<f64> =
        trail["steps"].as_array().unwrap().iter().map(|step| step["at_ms"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(trail["duration_ms"].as_f64() >= times.last().copied());
    assert!(!trail.to_string().contains(PROMPT) && !trail.to_string().contains("hello"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_refusal_names_the_limit_and_a_stranger_is_told_from_a_client() {
    let (_upstream, gateway) = gateway().await;
    let refused = gateway.chat("bob", PROMPT).await;
    let stranger = gateway.chat("nobody", PROMPT).await;
    assert_eq!((refused.status, stranger.status), (429, 401));
    gateway.is_quiet().await;
    let refused = trail(&gateway, refused.header("x-request-id").unwrap()).await;
    assert_eq!((&refused["client"], &refused["ending"]), (&json!("bob"), &json!("refused")));
    assert_eq!(refused["refused"], "requests_per_minute");
    let stranger = trail(&gateway, stranger.header("x-request-id").unwrap()).await;
    assert_eq!((&stranger["client"], &stranger["refused"]), (&Value::Null, &json!("invalid_credentials")));
    assert_eq!(steps(&stranger), ["routed", "refused", "answered"]);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn an_upstream_that_fails_is_named_with_its_key_and_status() {
    let (upstream, gateway) = gateway().await;
    // The second is for a resend or another attempt.
    upstream.script(Reply::error(500));
    upstream.script(Reply::error(500));
    let answer = gateway.chat("ada", PROMPT).await;
    assert!(answer.status >= 500);
    gateway.is_quiet().await;
    let trail = trail(&gateway, answer.header("x-request-id").unwrap()).await;
    let failed = trail["steps"].as_array().unwrap().iter().find(|step| step["step"] == "attempt_failed");
    let failed = failed.unwrap_or_else(|| panic!("no failure in {trail:#}"));
    assert_eq!((&failed["provider"], &failed["status"]), (&json!("openai"), &json!(500)));
    assert_eq!(trail["ending"], "failed");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_failover_is_told_with_its_reason_and_who_was_asked_next() {
    let upstream = FakeUpstream::start().await;
    let chain = "[models.\"chain\"]\ntargets = [\"openai/gpt-a\", \"openai/gpt-b\"]\n";
    let gateway = TestGateway::with(&upstream).toml(chain).client("ada", json!({})).start().await;
    upstream.when(|seen| seen.model() == "gpt-a", Reply::error(500));
    upstream.when(|seen| seen.model() == "gpt-b", Reply::text("hello"));
    let request =
        chat_with("ada", json!({"model": "chain", "messages": [{"role": "user", "content": PROMPT}]}));
    let answer = gateway.ask(&request).await;
    assert_eq!(answer.status, 200);
    gateway.is_quiet().await;
    let trail = trail(&gateway, answer.header("x-request-id").unwrap()).await;
    let told = steps(&trail);
    // Between two attempts at one target there is a pause.
    let told: Vec<&str> = told.into_iter().filter(|step| *step != "waiting").collect();
    let after_asked = told.iter().skip_while(|step| **step != "asked").copied().collect::<Vec<_>>();
    let expected = [
        "asked",
        "targets",
        "admitted",
        "leased",
        "attempt_failed",
        "leased",
        "attempt_failed",
        "leased",
        "committed",
        "settled",
        "answered",
    ];
    assert_eq!(after_asked, expected, "{trail:#}");
    let failures = trail["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "attempt_failed");
    let told: Vec<_> = failures.map(|step| (&step["what"], &step["status"])).collect();
    assert_eq!(told, [(&json!("status 500"), &json!(500)); 2]);
    assert_eq!((&trail["model"], &trail["upstream_model"]), (&json!("chain"), &json!("gpt-b")));
    assert_eq!(trail["attempts"], 3);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_stream_is_listed_while_it_runs_and_ends_with_its_last_byte() {
    let (upstream, gateway) = gateway().await;
    upstream.script(Reply::stream(["one ", "two"]).stall_after(1));
    let stream = gateway.stream("ada", PROMPT).await;
    let running = listed(&gateway, "client=ada").await;
    assert_eq!(running[0]["ending"], "running", "{:#}", running[0]);
    assert_eq!((&running[0]["status"], &running[0]["duration_ms"]), (&json!(200), &Value::Null));
    assert!(running[0]["first_token_ms"].is_number());
    stream.hang_up();
    gateway.is_quiet().await;
    let left = listed(&gateway, "client=ada").await;
    assert_eq!((&left[0]["ending"], &left[0]["stream"]), (&json!("left"), &json!(true)));
    assert!(left[0]["duration_ms"].is_number());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_last_requests_are_listed_newest_first_by_what_is_asked_for() {
    let (_upstream, gateway) = gateway().await;
    for prompt in ["one", "two", "three"] {
        assert_eq!(gateway.chat("ada", prompt).await.status, 200);
    }
    gateway.chat("bob", "refused").await;
    gateway.chat("nobody", "unknown").await;
    gateway.is_quiet().await;
    let count = async |query: &str| listed(&gateway, query).await.len();
    assert_eq!(count("").await, 5);
    assert_eq!(count("limit=2").await, 2);
    assert_eq!(count("client=ada").await, 3);
    assert_eq!(count("status=4xx").await, 2);
    assert_eq!(count("status=429&client=bob").await, 1);
    assert_eq!(count("model=gpt-test&status=200").await, 3);
    assert_eq!(count("model=another").await, 0);
    let all = listed(&gateway, "").await;
    assert_eq!(all[0]["refused"], "invalid_credentials", "the newest is first");
    assert!(all.is_sorted_by(|newer, older| newer["arrived_at"].as_str() >= older["arrived_at"].as_str()));
    let token = format!("Bearer {}", gateway.admin_token());
    for (path, status) in [
        ("/admin/requests?status=1", 400),
        ("/admin/requests/req_00000000000000000000000000000000", 404),
        ("/admin/requests/nonsense", 404),
    ] {
        let answer = gateway.ask(&Request::get(path).header("authorization", &token)).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(gateway.ask(&Request::get(path)).await.status, 401, "{path}");
    }
    gateway.ends_quiet().await;
}

async fn watch(gateway: &TestGateway) -> RawClient {
    let token = format!("Bearer {}", gateway.admin_token());
    let mut watcher = gateway.connect().await;
    let head = watcher.open(&Request::get("/admin/live").header("authorization", &token)).await;
    assert_eq!(head.status, 200);
    assert!(head.headers.get("content-type").is_some_and(|value| value.starts_with("text/event-stream")));
    watcher
}

/// The data of the next event of this kind.
async fn next(watcher: &mut RawClient, kind: &str) -> Value {
    loop {
        let event = watcher.next_event().await.expect("the live view goes on");
        if let Event::Message { name, data } = &event
            && name == kind
        {
            return serde_json::from_str(data).unwrap();
        }
    }
}

#[tokio::test]
async fn who_watches_sees_each_request_as_it_ends_and_the_state_of_now() {
    let (_upstream, gateway) = gateway().await;
    let mut watcher = watch(&gateway).await;
    let state = next(&mut watcher, "state").await;
    assert!(state["tree"][0]["children"].is_array(), "{state:#}");
    assert_eq!((&state["requests_ended"], &state["clients"]), (&json!(0), &json!([])));
    let answer = gateway.chat("ada", PROMPT).await;
    let seen = next(&mut watcher, "request").await;
    assert_eq!(seen["id"], answer.header("x-request-id").unwrap());
    assert_eq!((&seen["client"], &seen["ending"]), (&json!("ada"), &json!("answered")));
    let state = next(&mut watcher, "state").await;
    assert_eq!((&state["requests_ended"], &state["clients"][0]["id"]), (&json!(1), &json!("ada")));
    assert_eq!(state["providers"].as_array().unwrap().len(), 2);
    // It does not hold up the gateway's end.
    gateway.begin_stop();
    while watcher.next_event().await.is_some() {}
    gateway.ended().await;
}

#[tokio::test]
async fn no_more_can_watch_than_there_are_places_and_a_place_is_free_again() {
    let gateway = TestGateway::at(NOWHERE).start().await;
    let mut watchers = Vec::new();
    for _ in 0..16 {
        watchers.push(watch(&gateway).await);
    }
    let token = format!("Bearer {}", gateway.admin_token());
    let ask = Request::get("/admin/live").header("authorization", &token);
    let full = gateway.ask(&ask).await;
    assert_eq!(full.status, 503);
    assert!(full.header("retry-after").is_some());
    drop(watchers.pop());
    let admitted = async { while gateway.connect().await.open(&ask).await.status != 200 {} };
    gateway_testkit::deadline::patiently("a place to come free", admitted).await;
    drop(watchers);
    gateway.ends_quiet().await;
}
